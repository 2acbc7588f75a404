//! How new a picture is: what an index says of copies, mirror images, neighbours and strangers, and which indices are refused.

use chrysalis::averages::averages;
use chrysalis::novelty::{self, AVERAGES, FIELDS, Index};
use chrysalis::picture::Picture;
use chrysalis::quality::novelty::{described, index, rank_correlation};
use proptest::prelude::*;

const SIDE: usize = 32;

/// A disc of a colour, somewhere on white.
fn disc(x: f64, y: f64, radius: f64, colour: [u8; 3]) -> Picture {
    let pixel = |at: usize| {
        let (row, column) = ((at / SIDE) as f64, (at % SIDE) as f64);
        if (column - x).hypot(row - y) < radius { colour } else { [255; 3] }
    };
    Picture::from_rgb(SIDE, SIDE, (0..SIDE * SIDE).flat_map(pixel).collect()).unwrap()
}

fn discs() -> Vec<Picture> {
    (0..60)
        .map(|number| {
            let turn = f64::from(number);
            let colour = [(40 + 3 * number) as u8, (200 - 2 * number) as u8, (17 * number % 256) as u8];
            disc(12.0 + 6.0 * turn.sin(), 16.0 + 5.0 * (1.7 * turn).cos(), 5.0 + turn % 7.0, colour)
        })
        .collect()
}

#[test]
fn averages_are_those_of_fields() {
    // Left half black, right half of a colour; four bytes a pixel, the last of which does not count.
    let bytes: Vec<u8> = (0..16 * 16).flat_map(|at| if at % 16 < 8 { [0, 0, 0, 9] } else { [255, 51, 0, 7] }).collect();
    let found = novelty::described(&bytes, [16, 16], 4).unwrap();
    assert_eq!(found.len(), AVERAGES);
    for (field, average) in found.chunks(3).enumerate() {
        let expected = if field % FIELDS < FIELDS / 2 { [0.0; 3] } else { [1.0, 0.2, 0.0] };
        assert!(average.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{field}: {average:?}");
    }
    assert_eq!(novelty::described(&[0; 7 * 16 * 3], [7, 16], 3), None, "fewer pixels than fields");
    assert_eq!(novelty::described(&[0; 100], [16, 16], 4), None);
    assert_eq!(novelty::described(&[0; 16 * 16], [16, 16], 1), None, "grey");
    // A side that eight does not divide has fields of several sizes.
    assert_eq!(novelty::described(&[255; 13 * 9 * 3], [13, 9], 3), Some(vec![1.0; AVERAGES]));
    assert_eq!(averages(&[1, 2, 3, 7, 8, 9], [3, 2], 1, 2), Some(vec![1.5, 3.0, 7.5, 9.0]));
}

#[test]
fn copies_are_not_new_and_strangers_are() {
    let training = discs();
    let index = index(&training);
    let novelty = |picture: &Picture| index.novelty(&described(picture).unwrap()).unwrap();
    let median = {
        // What the index calls the middle: half of the training pictures lie nearer to another one than that.
        let mut of_real: Vec<f64> = (0..training.len())
            .map(|left_out| {
                let rest: Vec<&Picture> =
                    training.iter().enumerate().filter(|(number, _)| *number != left_out).map(|(_, of)| of).collect();
                let to = |other: &Picture| distance(&index, &training[left_out], other);
                rest.iter().map(|other| to(other).min(to(&other.flipped()))).fold(f64::INFINITY, f64::min)
            })
            .collect();
        of_real.sort_by(f64::total_cmp);
        of_real[of_real.len() / 2]
    };
    for picture in training.iter().step_by(7) {
        for copy in [picture.clone(), picture.flipped()] {
            let found = novelty(&copy);
            assert!(found.share == 0.0 && found.distance < 0.05 * median, "{found:?}, {median}");
        }
    }
    let night: Vec<u8> = disc(16.0, 16.0, 8.0, [90, 120, 40]).rgb().iter().map(|byte| 255 - byte).collect();
    let stranger = novelty(&Picture::from_rgb(SIDE, SIDE, night).unwrap());
    assert!(stranger.share > 0.9 && stranger.distance > 2.0 * median, "{stranger:?}, {median}");
    // Between both: every share is met by how far a picture moves away from a training picture.
    let near = described(&training[5]).unwrap();
    let far: Vec<f64> = near.iter().map(|average| 1.0 - average).collect();
    let shares: Vec<f64> = (0..=20)
        .map(|step| {
            let share = f64::from(step) / 20.0;
            let between: Vec<f64> = near.iter().zip(&far).map(|(a, b)| a + share * (b - a)).collect();
            index.novelty(&between).unwrap().share
        })
        .collect();
    assert!(
        shares[0] == 0.0 && shares[20] == 1.0 && shares.iter().any(|share| (0.2..0.8).contains(share)),
        "{shares:?}"
    );
}

/// The distance of two pictures along the directions of an index.
fn distance(index: &Index, a: &Picture, b: &Picture) -> f64 {
    let index = serde_json::to_value(index).unwrap();
    let (a, b) = (described(a).unwrap(), described(b).unwrap());
    let numbers = |averages: &[f64]| -> Vec<f64> {
        let of = |name: &str| index[name].clone();
        let mean: Vec<f64> = serde_json::from_value(of("mean")).unwrap();
        let step: f64 = serde_json::from_value(of("direction_step")).unwrap();
        let directions: Vec<Vec<f64>> = serde_json::from_value(of("directions")).unwrap();
        let along = |row: &Vec<f64>| {
            row.iter().zip(averages.iter().zip(&mean)).map(|(row, (a, mean))| row * step * (a - mean)).sum()
        };
        directions.iter().map(along).collect()
    };
    let squares: f64 = numbers(&a).iter().zip(numbers(&b)).map(|(a, b)| (a - b).powi(2)).sum();
    squares.sqrt()
}

#[test]
fn an_index_survives_its_file_and_nothing_else_is_one() {
    let training = discs();
    let index = index(&training);
    let bytes = index.write().unwrap();
    assert_eq!(Index::read(&bytes).unwrap(), index);
    assert!(bytes.len() < 80_000, "{}", bytes.len());

    let whole: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let refused = |change: &dyn Fn(&mut serde_json::Value), why: &str| {
        let mut other = whole.clone();
        change(&mut other);
        let error = Index::read(other.to_string().as_bytes()).unwrap_err().to_string();
        assert!(error.contains(why), "{error} does not say {why}");
    };
    refused(&|index| index["format"] = 2.into(), "format");
    refused(&|index| index["mean"] = vec![0.5; AVERAGES - 1].into(), "means");
    refused(&|index| index["directions"][3] = vec![1; AVERAGES + 1].into(), "directions");
    refused(&|index| index["directions"] = serde_json::json!([]), "directions");
    refused(&|index| index["pictures"][0] = vec![1; 3].into(), "pictures");
    refused(&|index| index["pictures"] = serde_json::json!([]), "pictures");
    refused(&|index| index["pictures"][0][0] = 40_000.into(), "no index");
    refused(&|index| index["step"] = serde_json::json!(1e300), "steps");
    refused(&|index| index["real"][50] = 1e9.into(), "percentiles");
    refused(&|index| index["real"] = vec![0.5; 100].into(), "percentiles");
    refused(&|index| index["more"] = 1.into(), "no index");
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(Index::read(&bytes[..cut]).is_err());
    }
    assert_eq!(index.novelty(&[0.5; 10]), None);
}

#[test]
fn ranks_are_compared_as_spearman_does() {
    assert_eq!(rank_correlation(&[1.0, 2.0, 3.0, 4.0], &[10.0, 20.0, 25.0, 1000.0]), 1.0);
    assert_eq!(rank_correlation(&[1.0, 2.0, 3.0, 4.0], &[4.0, 3.0, 2.0, 1.0]), -1.0);
    // scipy.stats.spearmanr([1, 2, 3, 4, 5], [5, 6, 7, 8, 7.5])
    let found = rank_correlation(&[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 6.0, 7.0, 8.0, 7.5]);
    assert!((found - 0.9).abs() < 1e-12, "{found}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Index::read(&bytes);
    }
}
