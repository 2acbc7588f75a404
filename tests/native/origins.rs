//! Ways between seeds: the same noise at their ends, good noise in between, and pictures that lead from one to another.

use burn::tensor::{Device, Tensor};
use chrysalis::diffusion::{Cascade, NoiseLevels, Plan, Sampler};
use chrysalis::noise::BatchNoise;
use chrysalis::origin::{Origin, Series, Towards};
use proptest::prelude::*;

use crate::support::small_model;

const SHAPE: [usize; 3] = [3, 64, 64];

fn values(tensor: Tensor<4>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn noise(origin: Origin) -> Vec<f32> {
    values(BatchNoise::of_stage(&[origin], 1, SHAPE, &Device::flex()).draw())
}

fn between(seed: u64, to: u64, share: f64) -> Origin {
    Origin { seed, towards: Some(Towards { seed: to, share }) }
}

fn product(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>() / a.len() as f64
}

#[test]
fn a_way_begins_and_ends_at_its_seeds_to_the_bit() {
    assert_eq!(noise(between(3, 8, 0.0)), noise(3.into()));
    assert_eq!(noise(between(3, 8, 1.0)), noise(8.into()));
    assert_eq!(noise(between(3, 3, 0.5)), noise(3.into()), "from a seed to itself nothing changes");
    let series = Series::Morph(8).origins(3, 5);
    assert_eq!((series[0], series[4]), (3.into(), 8.into()));
    assert_eq!(Series::Relatives.origins(3, 9)[0], 3.into());
    assert_eq!(Series::Seeds.origins(u64::MAX, 2), [u64::MAX.into(), 0.into()]);
    assert_eq!(Series::Morph(8).origins(3, 1), [3.into()]);
    assert_eq!(Series::Relatives.origins(3, 0), []);
    let place = |percent| Series::Between { to: 8, percent };
    assert_eq!(place(25).origins(3, 2), [between(3, 8, 0.25), between(4, 9, 0.25)]);
    assert_eq!([0, 100].map(|end| place(end).origins(3, 1)[0]), [3.into(), 8.into()]);
}

#[test]
fn noise_on_the_way_is_standard_normal_and_turns_evenly() {
    let (first, last) = (noise(3.into()), noise(8.into()));
    // Standard errors at 12,288 numbers are 0.009 for a product and 0.013 for a variance; four of each.
    for share in [0.1, 0.25, 0.5, 0.9] {
        let on_the_way = noise(between(3, 8, share));
        let angle = std::f64::consts::FRAC_PI_2 * share;
        let of = |other: &[f32]| product(&on_the_way, other);
        assert!((of(&on_the_way) - 1.0).abs() < 0.052, "variance at {share}: {}", of(&on_the_way));
        assert!((of(&first) - angle.cos()).abs() < 0.04, "at {share}: {} of the first", of(&first));
        assert!((of(&last) - angle.sin()).abs() < 0.04, "at {share}: {} of the last", of(&last));
    }
    // Later draws of a stochastic sampler are mixed in the same way.
    let mut draws = BatchNoise::of_stage(&[3.into(), 8.into(), between(3, 8, 0.5)], 0, SHAPE, &Device::flex());
    draws.draw();
    let second = draws.draw();
    let [a, b, middle] = [0, 1, 2].map(|index| values(second.clone().narrow(0, index, 1)));
    let half = std::f32::consts::FRAC_1_SQRT_2;
    for ((a, b), middle) in a.iter().zip(&b).zip(&middle) {
        assert!((half * (a + b) - middle).abs() < 1e-5);
    }
}

#[test]
fn relatives_stray_farther_and_farther() {
    let relatives = Series::Relatives.origins(5, 6);
    let first = noise(relatives[0]);
    let likeness: Vec<f64> = relatives.iter().map(|&origin| product(&first, &noise(origin))).collect();
    assert!(likeness.windows(2).all(|pair| pair[1] < pair[0] - 0.01), "{likeness:?}");
    assert!(likeness[5] > 0.6, "the farthest is still of the same kind: {likeness:?}");
}

#[test]
fn a_morph_leads_from_one_picture_to_the_other_without_a_jump() {
    let device = Device::flex();
    let model = small_model(&device).for_sampling(&device);
    for sampler in [Sampler::DpmSolver, Sampler::DpmSolverSde, Sampler::Ddpm] {
        let plan = Plan { sampler, levels: NoiseLevels::default(), steps: 5 };
        let finished = |origins: Vec<Origin>| {
            Cascade::from_origins(&model, plan, origins, None, &device).last().expect("a cascade has steps").step.x
        };
        let distance = |a: Tensor<4>, b: Tensor<4>| f64::from((a - b).square().mean().sqrt().into_scalar::<f32>());
        let morph = finished(Series::Morph(9).origins(4, 41));
        let at = |index: usize| morph.clone().narrow(0, index, 1);
        for (index, seed) in [(0, 4), (40, 9)] {
            let alone = Cascade::new(&model, plan, &[seed], &device).last().unwrap().step.x;
            assert!(distance(at(index), alone) < 1e-4, "{sampler}: the picture of seed {seed}");
        }
        let whole = distance(at(0), at(40));
        let most = (0..40).map(|index| distance(at(index), at(index + 1))).fold(0.0, f64::max);
        assert!(whole > 0.05 && most < whole / 4.0, "{sampler}: {most} of {whole} in one step of forty");
    }
}

proptest! {
    #[test]
    fn series_survive_being_written_down(to in any::<u64>(), percent in 0..=100u8) {
        for series in [Series::Seeds, Series::Relatives, Series::Morph(to), Series::Between { to, percent }] {
            prop_assert_eq!(series.to_string().parse::<Series>(), Ok(series));
        }
    }

    #[test]
    fn what_is_no_series_is_named(text in "[a-z:0-9 ]{0,12}") {
        match text.parse::<Series>() {
            Ok(series) => prop_assert!(["seeds", "relatives"].contains(&text.as_str()) || text.starts_with("morph:") || text.starts_with("between:"), "{series}"),
            Err(error) => {
                let named = format!("'{text}'");
                prop_assert!(error.to_string().contains(&named));
            }
        }
    }
}
