//! The cabinet: what was sampled can be looked at again, in bounded memory.

use std::sync::Arc;

use chrysalis::cabinet::Cabinet;
use chrysalis::diffusion::Sampler;
use chrysalis::edit::{Edit, EditTask};
use chrysalis::origin::Series;
use chrysalis::protocol::{Purpose, SampleRequest, Shown, ShownStep};

/// What a label says of what made it.
const MADE: &str = "Butterflies, in 0.4 s on the CPU";

fn request(seed: u64, count: usize) -> SampleRequest {
    SampleRequest {
        seed,
        count,
        series: Series::Seeds,
        steps: Some(3),
        sampler: Some(Sampler::Ddpm),
        edit: None,
        purpose: Purpose::Specimen,
    }
}

fn shown(side: u32, value: u8) -> Shown {
    Shown { width: side, height: side, rgba: vec![value; 4 * (side * side) as usize] }
}

fn steps(count: usize, side: u32) -> Vec<ShownStep> {
    let pictures = |first: u8| (0..count as u8).map(|place| shown(side, first + place)).collect();
    (1..=3)
        .map(|index| ShownStep {
            index,
            of: 3,
            sigma: 1.0 / index as f64,
            began: 1.0 / (index - 1).max(1) as f64,
            noisy: pictures(10 * index as u8),
            clean: pictures(100 + 10 * index as u8),
            activations: Vec::new(),
        })
        .collect()
}

fn pictures(count: usize, side: u32) -> Vec<Shown> {
    (0..count as u8).map(|place| shown(side, 200 + place)).collect()
}

#[test]
fn every_picture_of_a_request_is_a_specimen_with_its_own_way() {
    let mut cabinet = Cabinet::default();
    cabinet.add(request(4, 3), &steps(3, 2), &pictures(3, 2), MADE);
    let places: Vec<usize> = cabinet.iter().map(|specimen| specimen.place).collect();
    assert_eq!(places, [0, 1, 2], "in order");
    cabinet.add(request(9, 1), &steps(1, 2), &pictures(1, 2), MADE);
    let seeds: Vec<u64> = cabinet.iter().map(|specimen| specimen.again().seed).collect();
    assert_eq!(seeds, [9, 4, 5, 6], "the newest in front");
    let second = cabinet.iter().nth(2).unwrap();
    assert_eq!(second.picture, shown(2, 201));
    let of = |picture: &Shown| picture.rgba[0];
    let way: Vec<(u8, u8)> = second.steps.iter().map(|step| (of(&step.noisy[0]), of(&step.clean[0]))).collect();
    assert_eq!(way, [(11, 111), (21, 121), (31, 131)]);
    assert_eq!(second.again(), request(5, 1));
    assert_eq!(cabinet.get(second.number), Some(second));
    assert_eq!(cabinet.newest().map(|newest| newest.place), Some(0));

    let morph = SampleRequest { series: Series::Morph(9), ..request(4, 3) };
    cabinet.add(morph.clone(), &steps(3, 2), &pictures(3, 2), MADE);
    assert_eq!(cabinet.newest().map(|newest| newest.again()), Some(morph), "a place between seeds is seen on the way");
}

#[test]
fn the_same_picture_is_not_kept_twice() {
    let mut cabinet = Cabinet::default();
    cabinet.add(request(4, 3), &steps(3, 2), &pictures(3, 2), MADE);
    let numbers: Vec<u32> = cabinet.iter().map(|specimen| specimen.number).collect();
    cabinet.add(request(5, 1), &steps(1, 2), &pictures(1, 2), "Butterflies, in 0.1 s on a GPU");
    assert_eq!(cabinet.iter().count(), 3, "number 5 was there");
    assert_eq!(cabinet.newest().unwrap().made, "Butterflies, in 0.1 s on a GPU", "its label is that of the last time");
    assert_eq!(cabinet.iter().nth(1).unwrap().made, MADE, "and everybody's is their own");
    assert_eq!(cabinet.newest().unwrap().again(), request(5, 1));
    assert!(cabinet.newest().unwrap().number > numbers[0], "a new specimen has a new number");
    cabinet.add(SampleRequest { steps: Some(4), ..request(5, 1) }, &steps(1, 2), &pictures(1, 2), MADE);
    assert_eq!(cabinet.iter().count(), 4, "other steps, another picture");
    let morph = SampleRequest { series: Series::Morph(5), ..request(4, 3) };
    cabinet.add(morph, &steps(3, 2), &pictures(3, 2), MADE);
    assert_eq!(cabinet.iter().count(), 5, "the ends of a way were there, its middle was not");

    let begun_with = |grey: u8| {
        let edit = Edit::new(1, vec![grey, grey, grey, 255], EditTask::ImageToImage { strength: 0.5 }).unwrap();
        SampleRequest { edit: Some(Arc::new(edit)), ..request(5, 1) }
    };
    for (grey, count) in [(10, 6), (20, 7), (10, 7)] {
        cabinet.add(begun_with(grey), &steps(1, 2), &pictures(1, 2), MADE);
        assert_eq!(cabinet.iter().count(), count, "another beginning, another picture");
    }
    assert_eq!(cabinet.newest().unwrap().again(), begun_with(10));
}

#[test]
fn the_oldest_make_room() {
    let mut cabinet = Cabinet::default();
    for seed in 0..100 {
        cabinet.add(request(seed, 1), &steps(1, 256), &pictures(1, 256), MADE);
    }
    let seeds: Vec<u64> = cabinet.iter().map(|specimen| specimen.again().seed).collect();
    assert!((36..100).contains(&seeds.len()) && seeds[0] == 99, "{seeds:?}");
    assert!(cabinet.get(1).is_none());
    for specimen in cabinet.iter() {
        assert_eq!(specimen.picture.width, 256, "the finished picture stays whole");
        let pictures = specimen.steps.iter().flat_map(|step| step.noisy.iter().chain(&step.clean));
        let bytes: usize = pictures.map(|picture| picture.rgba.len()).sum();
        assert!(bytes <= 1 << 20, "{bytes}");
    }
}
