//! A file says which butterfly it is, and stays a picture.

use std::io::Cursor;

use chrysalis::picture::Picture;
use chrysalis::png::{KEYWORD, animated, text, with_text};
use flate2::Crc;
use image::AnimationDecoder;
use image::codecs::png::PngDecoder;
use proptest::prelude::*;

use crate::support::disc;

const SAID: &str = "seed=7&steps=12&sampler=dpm-sde";

#[test]
fn a_text_is_found_again_and_the_picture_is_the_same() {
    let png = disc(3, 24).to_png().unwrap();
    assert_eq!(text(&png, KEYWORD), None);
    let labelled = with_text(&png, KEYWORD, SAID).unwrap();
    assert_eq!(text(&labelled, KEYWORD).as_deref(), Some(SAID));
    assert_eq!(text(&labelled, "Chrysa"), None, "a keyword is a whole one");
    assert_eq!(Picture::from_png(&labelled).unwrap(), disc(3, 24));
    let both = with_text(&labelled, "Software", "Chrysalis").unwrap();
    assert_eq!((text(&both, KEYWORD).as_deref(), text(&both, "Software").as_deref()), (Some(SAID), Some("Chrysalis")));

    // The chunk as the standard has it: length, kind, data, check sum.
    let added = &labelled[33..labelled.len() - (png.len() - 33)];
    let (length, body, sum) = (&added[..4], &added[4..added.len() - 4], &added[added.len() - 4..]);
    assert_eq!(length, (KEYWORD.len() as u32 + 1 + SAID.len() as u32).to_be_bytes());
    let mut crc = Crc::new();
    crc.update(body);
    assert_eq!(sum, crc.sum().to_be_bytes());
}

#[test]
fn what_is_no_png_or_no_plain_text_is_left_alone() {
    let png = disc(3, 24).to_png().unwrap();
    assert_eq!(with_text(b"GIF89a", KEYWORD, SAID), None);
    assert_eq!(with_text(&png[..20], KEYWORD, SAID), None);
    for spoilt in ["seed=7\n", "σ", "\0"] {
        assert_eq!(with_text(&png, KEYWORD, spoilt), None);
        assert_eq!(with_text(&png, spoilt, SAID), None);
    }
    assert_eq!(text(b"", KEYWORD), None);
}

#[test]
fn pictures_follow_each_other_in_one_file() {
    let pictures: Vec<Picture> = (0..4).map(|index| disc(index, 24)).collect();
    let files: Vec<Vec<u8>> = pictures.iter().map(|picture| picture.to_png().unwrap()).collect();
    let file = animated(&files, [80, 1500]).unwrap();
    let decoder = PngDecoder::new(Cursor::new(&file)).unwrap();
    assert!(decoder.is_apng().unwrap());
    let frames = decoder.apng().unwrap().into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 4);
    for (index, (frame, picture)) in frames.iter().zip(&pictures).enumerate() {
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        assert_eq!(numerator / denominator, if index == 3 { 1500 } else { 80 });
        assert_eq!(frame.buffer().as_raw(), &picture.rgba(), "picture {index}");
    }
    assert_eq!(Picture::from_png(&file).unwrap(), pictures[0], "who knows no animation sees the first");
    let labelled = with_text(&file, KEYWORD, SAID).unwrap();
    assert_eq!(text(&labelled, KEYWORD).as_deref(), Some(SAID));
    assert_eq!(animated(&[], [80, 1500]), None);
    assert_eq!(animated(&[files[0].clone(), disc(1, 32).to_png().unwrap()], [80, 1500]), None, "of different sizes");
    assert_eq!(animated(&[files[0].clone(), b"GIF89a".to_vec()], [80, 1500]), None);
}

proptest! {
    #[test]
    fn whatever_the_file_is_reading_it_ends(cut in 0usize..200, at in 0usize..200, byte in any::<u8>()) {
        let mut labelled = with_text(&disc(3, 8).to_png().unwrap(), KEYWORD, SAID).unwrap();
        labelled.truncate(labelled.len().saturating_sub(cut));
        if let Some(spoilt) = labelled.get_mut(at) {
            *spoilt = byte;
        }
        let _ = text(&labelled, KEYWORD);
        let _ = with_text(&labelled, KEYWORD, SAID);
        let _ = animated(&[labelled.clone(), labelled], [1, 2]);
    }
}
