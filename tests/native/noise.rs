//! Noise is the same on every platform: the same golden numbers are checked in a browser by `tests/web.rs`.

use chrysalis::noise::{BatchNoise, Noise, Purpose};

include!("../shared/noise_golden.rs");

#[test]
fn seeds_give_the_golden_bits() {
    check_golden_noise();
}

#[test]
fn gaussians_have_the_moments_of_a_standard_normal() {
    let values = Noise::new(1, Purpose::Picture).gaussians(200_000);
    let moment = |power: i32| values.iter().map(|v| f64::from(*v).powi(power)).sum::<f64>() / values.len() as f64;
    // Standard errors at 200,000 draws: 0.0022, 0.0032, 0.0087, 0.022; four of each.
    assert!(moment(1).abs() < 0.009, "mean {}", moment(1));
    assert!((moment(2) - 1.0).abs() < 0.013, "variance {}", moment(2));
    assert!(moment(3).abs() < 0.035, "skew {}", moment(3));
    assert!((moment(4) - 3.0).abs() < 0.09, "kurtosis {}", moment(4));
}

#[test]
fn streams_of_another_seed_purpose_or_index_differ() {
    let first = |mut noise: Noise| noise.bits();
    let base = first(Noise::new(7, Purpose::Picture));
    assert_ne!(base, first(Noise::new(8, Purpose::Picture)));
    assert_ne!(base, first(Noise::new(7, Purpose::Training)));
    assert_ne!(base, first(Noise::indexed(7, Purpose::Picture, 1)));
    assert_eq!(base, first(Noise::indexed(7, Purpose::Picture, 0)));
}

#[test]
fn a_picture_does_not_depend_on_its_neighbours() {
    let device = burn::tensor::Device::flex();
    let draw = |seeds: &[u64]| {
        let mut noise = BatchNoise::new(seeds, [3, 4, 4], &device);
        noise.draw();
        noise.draw().into_data().try_into_vec::<f32>().unwrap()
    };
    let together = draw(&[3, 9, 11]);
    assert_eq!(together[48..96], draw(&[9])[..]);
}

#[test]
fn whole_numbers_below_a_bound_are_even() {
    let mut noise = Noise::new(5, Purpose::Order);
    let mut counts = [0; 5];
    for _ in 0..50_000 {
        counts[noise.below(5)] += 1;
    }
    assert!(counts.iter().all(|&count: &i32| (count - 10_000).abs() < 400), "{counts:?}");
}
