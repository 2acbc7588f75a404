//! The mathematics against closed forms.
//!
//! When the data are Gaussian, x₀ ~ N(μ, s²), the best denoiser is D(x; σ) = (s² x + σ² μ) / (s² + σ²), and the
//! probability flow is solved by x(σ) = μ + (x(σ₀) − μ) √((s² + σ²) / (s² + σ₀²)). Everything here runs in f64.

use burn::tensor::{Device, Tensor, TensorData};
use chrysalis::diffusion::{
    Bands, BandsError, Beginning, BetaSchedule, Cascade, CascadeStep, Clusters, Components, ComponentsError, Denoiser,
    Edited, Enlargement, Finishing, Mixture, NoiseDensity, NoiseLevels, Plan, Preconditioning, Prediction, Sampler,
    Sampling, SamplingModel, StageShape, Start, check_shapes, reduce,
};
use chrysalis::edit::{Edit, EditTask};
use chrysalis::noise::{BatchNoise, Noise, Purpose};

use crate::support::{small_model, strange_bands, strange_clusters, strange_components};

const HEUN: Sampler = Sampler::Heun { churn: 0.0 };
const MEAN: f64 = 0.4;
const DEVIATION: f64 = 0.5;

/// The best denoiser for Gaussian data.
struct Gaussian;

impl Denoiser for Gaussian {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        let (data, noise) = (DEVIATION * DEVIATION, sigma * sigma);
        x.mul_scalar(data / (data + noise)).add_scalar(MEAN * noise / (data + noise))
    }
}

fn device() -> Device {
    Device::flex()
}

fn values(x: Tensor<4>) -> Vec<f64> {
    x.into_data().convert::<f64>().try_into_vec().unwrap()
}

fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count)
}

/// Samples 30,000 numbers.
fn sample(sampler: Sampler, levels: NoiseLevels, steps: usize) -> (f64, f64) {
    let noise = BatchNoise::new(&[1, 2, 3], [1, 100, 100], &device());
    let last = Sampling::new(&Gaussian, sampler, levels.list(steps), noise).last().unwrap();
    mean_and_variance(&values(last.x))
}

#[test]
fn deterministic_samplers_reach_the_mean_and_variance_of_the_data() {
    for sampler in [HEUN, Sampler::DpmSolver, Sampler::Ddim { eta: 0.0 }] {
        // First order needs more steps for the same accuracy.
        let steps = if sampler == (Sampler::Ddim { eta: 0.0 }) { 2000 } else { 100 };
        let (mean, variance) = sample(sampler, NoiseLevels::EDM, steps);
        assert!((mean - MEAN).abs() < 0.012, "{sampler}: mean {mean}");
        assert!((variance - DEVIATION * DEVIATION).abs() < 0.008, "{sampler}: variance {variance}");
    }
}

#[test]
fn stochastic_samplers_reach_the_mean_and_variance_of_the_data() {
    for sampler in [
        Sampler::Ddpm,
        Sampler::Ddim { eta: 1.0 },
        Sampler::Ddim { eta: 0.5 },
        Sampler::Heun { churn: 80.0 },
        Sampler::DpmSolverSde,
    ] {
        for levels in
            [NoiseLevels::EDM, NoiseLevels::Ddpm(BetaSchedule::Linear), NoiseLevels::Ddpm(BetaSchedule::Cosine)]
        {
            let (mean, variance) = sample(sampler, levels, 500);
            assert!((mean - MEAN).abs() < 0.015, "{sampler} on {levels:?}: mean {mean}");
            assert!((variance - DEVIATION * DEVIATION).abs() < 0.01, "{sampler} on {levels:?}: variance {variance}");
        }
    }
}

/// The error at σ = 0.1 after walking there from 20 in `steps` steps, in f64.
fn error(sampler: Sampler, steps: usize) -> f64 {
    let (from, to) = (20.0, 0.1);
    let levels = NoiseLevels::Karras { smallest: to, largest: from, rho: 7.0 };
    let mut sigmas = levels.list(steps + 1);
    sigmas.pop();
    let start = Tensor::<4>::from_data(
        burn::tensor::TensorData::from([[[[-17.0f64, -3.0, 0.5, 9.0, 31.0]]]]),
        (&device(), burn::tensor::DType::F64),
    );
    let noise = BatchNoise::new(&[1], [1, 1, 5], &device());
    let last = Sampling::from_noisy(&Gaussian, sampler, sigmas, noise, start.clone()).last().unwrap();
    let data = DEVIATION * DEVIATION;
    let shrink = ((data + to * to) / (data + from * from)).sqrt();
    values(last.x)
        .iter()
        .zip(values(start))
        .map(|(found, start)| (found - (MEAN + (start - MEAN) * shrink)).abs())
        .fold(0.0, f64::max)
}

#[test]
fn deterministic_samplers_converge_at_their_order() {
    for (sampler, order) in [(Sampler::Ddim { eta: 0.0 }, 1.0), (HEUN, 2.0), (Sampler::DpmSolver, 2.0)] {
        let (coarse, fine) = (error(sampler, 128), error(sampler, 256));
        let measured = (coarse / fine).log2();
        assert!((measured - order).abs() < 0.15, "{sampler}: order {measured:.3}, errors {coarse:e} and {fine:e}");
    }
}

/// In few steps ancestral sampling loses variance, as it takes the guess for the picture itself; at second order it
/// loses far less.
#[test]
fn the_stochastic_solver_keeps_the_variance_in_few_steps() {
    let error = |sampler| {
        let levels = NoiseLevels::Karras { smallest: 0.1, largest: 20.0, rho: 7.0 };
        let mut sigmas = levels.list(13);
        sigmas.pop();
        let noise = BatchNoise::new(&[1, 2, 3, 4], [1, 200, 200], &device());
        let x = Sampling::new(&Gaussian, sampler, sigmas, noise).last().unwrap().x;
        let (_, variance) = mean_and_variance(&values(x));
        (variance - (DEVIATION * DEVIATION + 0.1 * 0.1)).abs()
    };
    // 160,000 numbers: a standard error of 0.001.
    let (first, second) = (error(Sampler::Ddpm), error(Sampler::DpmSolverSde));
    assert!(first > 0.02 && second < 0.3 * first, "errors of the variance: {first}, {second}");
}

#[test]
fn ddim_with_eta_one_is_ancestral_sampling() {
    for levels in [NoiseLevels::EDM, NoiseLevels::Ddpm(BetaSchedule::Linear)] {
        let run = |sampler| {
            let noise = BatchNoise::new(&[5], [3, 8, 8], &device());
            Sampling::new(&Gaussian, sampler, levels.list(20), noise).map(|step| values(step.x)).collect::<Vec<_>>()
        };
        for (step, (a, b)) in run(Sampler::Ddpm).iter().zip(&run(Sampler::Ddim { eta: 1.0 })).enumerate() {
            let scale = a.iter().fold(1.0f64, |most, v| most.max(v.abs()));
            let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off / scale < 2e-6, "step {step}: off by {off} of {scale}");
        }
    }
}

#[test]
fn every_step_reports_where_it_is() {
    let noise = BatchNoise::new(&[5], [3, 4, 4], &device());
    let sigmas = NoiseLevels::EDM.list(6);
    let steps: Vec<_> = Sampling::new(&Gaussian, HEUN, sigmas.clone(), noise).collect();
    assert_eq!(steps.len(), 6);
    for (index, step) in steps.iter().enumerate() {
        assert_eq!((step.index, step.of, step.sigma), (index + 1, 6, sigmas[index + 1]));
        assert_eq!(step.x.dims(), [1, 3, 4, 4]);
    }
    assert_eq!(steps[5].sigma, 0.0);
    assert_eq!(values(steps[5].x.clone()), values(steps[5].denoised.clone()), "the last step ends on the guess itself");
}

#[test]
fn heun_asks_twice_a_step_but_the_last() {
    struct Counting(std::cell::Cell<usize>);
    impl Denoiser for Counting {
        fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
            self.0.set(self.0.get() + 1);
            Gaussian.denoise(x, sigma)
        }
    }
    for sampler in [HEUN, Sampler::DpmSolver, Sampler::Ddim { eta: 0.3 }, Sampler::Ddpm] {
        let counted = |levels: Vec<f64>, finishes_from: Vec<f64>| {
            let counting = Counting(Default::default());
            let noise = BatchNoise::new(&[5], [3, 4, 4], &device());
            Sampling::new(&counting, sampler, levels, noise)
                .finishing(Finishing::new(finishes_from, Vec::new()))
                .for_each(drop);
            counting.0.get()
        };
        assert_eq!(counted(NoiseLevels::EDM.list(9), vec![]), sampler.evaluations(9), "{sampler}");
        // A stage that finishes more than once asks once for each.
        let plan = Plan { sampler, levels: NoiseLevels::default(), steps: 12 };
        assert_eq!(
            counted(plan.levels_of(0, &[0.5], Start::Noise), vec![0.5]),
            plan.evaluations_of(0, &[0.5]),
            "{sampler}"
        );
        assert_eq!(
            counted(plan.levels_of(0, &[2.0, 0.5], Start::Noise), vec![2.0, 0.5]),
            plan.evaluations_of(0, &[2.0, 0.5]),
            "{sampler}"
        );
        assert_eq!(plan.evaluations_of(1, &[]), 4, "further stages are sampled ancestrally");
    }
}

#[test]
fn from_the_level_that_a_stage_finishes_from_its_guesses_are_put_under_fresh_noise() {
    let every = ["heun", "heun:40", "dpm", "dpm-sde", "ddim", "ddim:0.5", "ddpm"];
    for sampler in every.map(|name| name.parse::<Sampler>().unwrap()) {
        let noise = BatchNoise::new(&[1, 2, 3], [1, 100, 100], &device());
        let levels = vec![2.0, 0.5, 0.5, 0.3, 0.0];
        let steps: Vec<_> =
            Sampling::new(&Gaussian, sampler, levels, noise).finishing(Finishing::new(vec![0.5], Vec::new())).collect();
        let mut fresh = Vec::new();
        for (pair, next) in steps.windows(2).zip([0.5, 0.3]) {
            let [before, again] = pair else { unreachable!() };
            assert_eq!(
                values(again.denoised.clone()),
                values(Gaussian.denoise(before.x.clone(), 0.5)),
                "{sampler} asks at the level itself"
            );
            fresh.push(values((again.x.clone() - again.denoised.clone()).div_scalar(next)));
            let (mean, variance) = mean_and_variance(fresh.last().unwrap());
            assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{sampler}: noise of {mean}, {variance}");
        }
        let product: f64 = fresh[0].iter().zip(&fresh[1]).map(|(a, b)| a * b).sum::<f64>() / fresh[0].len() as f64;
        assert!(product.abs() < 0.02, "{sampler}: other noise each time, {product}");
        assert_eq!(values(steps[3].x.clone()), values(Gaussian.denoise(steps[2].x.clone(), 0.3)), "{sampler}");
    }
}

#[test]
fn the_step_to_zero_asks_at_its_own_level_whatever_is_churned() {
    struct Asked(std::cell::RefCell<Vec<f64>>);
    impl Denoiser for Asked {
        fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
            self.0.borrow_mut().push(sigma);
            Gaussian.denoise(x, sigma)
        }
    }
    let asked = Asked(Default::default());
    let noise = BatchNoise::new(&[5], [3, 4, 4], &device());
    let levels = NoiseLevels::EDM.list_down_to(0.5, 6);
    Sampling::new(&asked, Sampler::Heun { churn: 40.0 }, levels.clone(), noise).for_each(drop);
    let asked = asked.0.into_inner();
    assert!(asked.iter().any(|sigma| !levels.contains(sigma)), "others are raised: {asked:?}");
    assert_eq!(asked.last(), levels.get(5));
}

#[test]
fn bands_are_shown_without_what_lies_beyond_white_and_black() {
    let bands = strange_bands(2);
    let picture = BatchNoise::new(&[3], [3, 8, 8], &device()).draw();
    let close = |a: Tensor<4>, b: Tensor<4>| {
        values(a).iter().zip(values(b)).fold(0.0f64, |most, (a, b)| most.max((a - b).abs())) < 1e-5
    };
    let shown = bands.to_pictures(bands.shown(bands.from_pictures(picture.clone()), None));
    assert!(close(shown, picture.clone().clamp(-1.0, 1.0)));
    // As detail, it is the whole that is cut off.
    let under = picture.clone().mul_scalar(-0.5).add_scalar(0.3);
    let whole =
        bands.to_pictures(bands.shown(bands.from_pictures(picture.clone()), Some(under.clone()))) + under.clone();
    assert!(close(whole, (picture + under).clamp(-1.0, 1.0)));
}

#[test]
fn forward_process_has_the_moments_of_q() {
    let device = device();
    for schedule in [BetaSchedule::Linear, BetaSchedule::Cosine] {
        let alpha_bars = schedule.alpha_bars();
        for t in [1, 250, 500, 999, 1000] {
            let clean = Tensor::<4>::full([1, 1, 150, 150], 0.8, &device);
            let epsilon = BatchNoise::new(&[t as u64], [1, 150, 150], &device).draw();
            let (mean, variance) = mean_and_variance(&values(schedule.diffuse(clean, t, epsilon)));
            let alpha_bar = alpha_bars[t - 1];
            // q(x_t | x₀) = N(√ᾱ x₀, 1 − ᾱ); standard errors at 22,500 draws, times four.
            let deviation = (1.0 - alpha_bar).sqrt();
            assert!(
                (mean - alpha_bar.sqrt() * 0.8).abs() < 0.027 * deviation + 1e-6,
                "{schedule:?} t = {t}: mean {mean}"
            );
            assert!(
                (variance - (1.0 - alpha_bar)).abs() < 0.04 * (1.0 - alpha_bar) + 1e-6,
                "{schedule:?} t = {t}: {variance}"
            );
        }
    }
}

#[test]
fn beta_schedules_have_their_published_values() {
    let linear = BetaSchedule::Linear.betas();
    assert_eq!((linear.len(), linear[0], linear[999]), (1000, 1e-4, 0.02));
    // ᾱ of the linear schedule ends at 4.0 × 10⁻⁵ (Ho et al. 2020: "close to N(0, I)").
    assert!((BetaSchedule::Linear.alpha_bars()[999] - 4.0358e-5).abs() < 1e-8);
    // The cosine schedule is at half its signal near the middle (Nichol and Dhariwal 2021, figure 5), and its βs end
    // clipped.
    assert!((BetaSchedule::Cosine.alpha_bars()[499] - 0.4938).abs() < 1e-3);
    assert_eq!(BetaSchedule::Cosine.betas()[999], 0.999);
    for schedule in [BetaSchedule::Linear, BetaSchedule::Cosine] {
        for (sigma, alpha_bar) in schedule.sigmas().iter().zip(schedule.alpha_bars()) {
            // The relation between the two languages: σ² = 1/ᾱ − 1.
            assert!((1.0 / (1.0 + sigma * sigma) - alpha_bar).abs() < 1e-12);
        }
    }
}

#[test]
fn noise_levels_fall_to_zero_and_start_and_end_where_they_should() {
    let karras = NoiseLevels::EDM.list(18);
    assert_eq!(karras.len(), 19);
    assert!((karras[0] - 80.0).abs() < 1e-9 && (karras[17] - 0.002).abs() < 1e-12 && karras[18] == 0.0);
    let ddpm = NoiseLevels::Ddpm(BetaSchedule::Linear).list(50);
    assert_eq!(ddpm[0], BetaSchedule::Linear.sigmas()[999]);
    for list in [&karras, &ddpm, &NoiseLevels::Ddpm(BetaSchedule::Cosine).list(1000), &NoiseLevels::EDM.list(1)] {
        assert!(list.windows(2).all(|pair| pair[0] > pair[1]), "{list:?}");
        assert_eq!(list.last(), Some(&0.0));
    }
}

#[test]
fn every_frame_gives_the_exact_denoiser_for_the_exact_output() {
    // Given the clean picture and the noise, the output that each prediction stands for is known; the frame must turn
    // it back.
    let scale = strange_bands(1).scale();
    for prediction in [Prediction::Edm, Prediction::Epsilon, Prediction::Velocity, Prediction::Clean] {
        let frame = Preconditioning { prediction, bands: strange_bands(1), components: None };
        for sigma in [0.01f64, 0.5, 1.0, 7.0, 60.0] {
            for (c, &deviation) in frame.at(sigma).iter().zip(frame.bands.deviations()) {
                let (clean, epsilon) = (0.3, -1.2);
                let x = clean + sigma * epsilon;
                let root_alpha_bar = 1.0 / (1.0 + (sigma / scale).powi(2)).sqrt();
                let output = match prediction {
                    Prediction::Epsilon => epsilon,
                    Prediction::Velocity => {
                        root_alpha_bar * epsilon - (1.0 - root_alpha_bar.powi(2)).sqrt() * clean / scale
                    }
                    Prediction::Clean => clean / scale,
                    // The part of clean / s that is at right angles to x, at unit variance (Karras et al. 2022, table 1).
                    Prediction::Edm => {
                        let deviation = f64::from(deviation);
                        let total = (sigma * sigma + deviation * deviation).sqrt();
                        (sigma / deviation * clean - deviation * epsilon) / total
                    }
                };
                assert!((c.skip * x + c.output * output - clean).abs() < 1e-6, "{prediction:?} at σ = {sigma}");
            }
        }
    }
}

#[test]
fn edm_keeps_input_and_target_of_every_band_at_unit_variance() {
    // For data of standard deviation s: Var(c_in x) = 1, and Var of the target = 1 (Karras et al. 2022, appendix B.6).
    let frame = Preconditioning { prediction: Prediction::Edm, bands: strange_bands(2), components: None };
    for sigma in [0.002, 0.1, 0.6, 3.0, 80.0] {
        for (c, &deviation) in frame.at(sigma).iter().zip(frame.bands.deviations()) {
            let data = f64::from(deviation).powi(2);
            assert!((c.input * c.input * (data + sigma * sigma) - 1.0).abs() < 1e-9);
            let target = ((1.0 - c.skip).powi(2) * data + (c.skip * sigma).powi(2)) / (c.output * c.output);
            assert!((target - 1.0).abs() < 1e-9, "σ = {sigma}: {target}");
        }
        assert!((frame.label(sigma) - (sigma / frame.bands.scale()).ln() / 4.0).abs() < 1e-12);
    }
}

#[test]
fn bands_are_a_rotation_about_the_mean() {
    let device = device();
    let bands = strange_bands(2);
    let pictures = BatchNoise::new(&[1, 2], [3, 8, 12], &device).draw();
    let rotated = bands.from_pictures(pictures.clone());
    assert_eq!(rotated.dims(), [2, 4, 6, 12]);
    let off: f32 = (bands.to_pictures(rotated) - pictures.clone()).abs().max().into_scalar();
    assert!(off < 1e-5, "off by {off}");
    // White noise stays white: distances are kept.
    let other = BatchNoise::new(&[3, 4], [3, 8, 12], &device).draw();
    let apart = |a: Tensor<4>, b: Tensor<4>| (a - b).square().sum().into_scalar::<f32>();
    let (before, after) =
        (apart(pictures.clone(), other.clone()), apart(bands.from_pictures(pictures), bands.from_pictures(other)));
    assert!((before - after).abs() < 1e-4 * before, "{before} {after}");
}

#[test]
fn bands_that_are_none_are_named() {
    let bands = strange_bands(1);
    let with = |mean: &[f32], rotation: &[f32], deviations: &[f32]| {
        Bands::new(1, mean.to_vec(), rotation.to_vec(), deviations.to_vec()).unwrap_err()
    };
    let (mean, rotation, deviations) = (bands.mean(), bands.rotation(), bands.deviations());
    assert!(matches!(
        with(&mean[..2], rotation, deviations),
        BandsError::Count { what: "means", needed: 3, found: 2, .. }
    ));
    assert!(matches!(with(mean, &rotation[..8], deviations), BandsError::Count { .. }));
    assert!(matches!(with(mean, rotation, &[1.0, 0.0, 1.0]), BandsError::Value { .. }));
    assert!(matches!(with(mean, rotation, &[1.0, f32::NAN, 1.0]), BandsError::Value { .. }));
    assert!(matches!(with(&[f32::INFINITY, 0.0, 0.0], rotation, deviations), BandsError::Value { .. }));
    let stretched: Vec<f32> = rotation.iter().map(|number| 1.01 * number).collect();
    assert!(matches!(with(mean, &stretched, deviations), BandsError::Rotation { row: 0, other: 0, .. }));
    let mut sheared = rotation.to_vec();
    sheared.copy_within(0..3, 3);
    assert!(matches!(with(mean, &sheared, deviations), BandsError::Rotation { row: 1, other: 0, .. }));
    let mut lost = rotation.to_vec();
    lost[4] = f32::NAN;
    assert!(matches!(with(mean, &lost, deviations), BandsError::Rotation { .. }));
}

/// On Gaussian data whose principal components are the bands, the frame around a network that says nothing is the best
/// denoiser there is, so every sampler must reach the covariance of the data.
struct Silent(Preconditioning);

impl Denoiser for Silent {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        let bands = &self.0.bands;
        let skips: Vec<f32> = self.0.at(sigma).iter().map(|band| band.skip as f32).collect();
        let skips = Tensor::from_data(burn::tensor::TensorData::new(skips, [1, 1, 1, bands.count()]), &x.device());
        bands.to_pictures(bands.from_pictures(x) * skips)
    }
}

#[test]
fn every_sampler_reaches_the_covariance_of_gaussian_data_with_a_network_that_says_nothing() {
    let bands = strange_bands(1);
    let silent = Silent(Preconditioning { prediction: Prediction::Edm, bands: bands.clone(), components: None });
    for (sampler, steps) in [
        (HEUN, 60),
        (Sampler::DpmSolver, 100),
        (Sampler::Ddim { eta: 0.0 }, 1000),
        (Sampler::Ddpm, 300),
        (Sampler::DpmSolverSde, 100),
        (Sampler::Heun { churn: 40.0 }, 150),
    ] {
        let sigmas = NoiseLevels::EDM.list(steps).into_iter().map(|sigma| sigma * bands.scale()).collect();
        let noise = BatchNoise::new(&[1, 2], [3, 100, 100], &device());
        let last = Sampling::new(&silent, sampler, sigmas, noise).last().unwrap();
        let found = values(bands.from_pictures(last.x));
        for (band, &deviation) in bands.deviations().iter().enumerate() {
            let numbers: Vec<f64> = found.iter().skip(band).step_by(3).copied().collect();
            let (mean, variance) = mean_and_variance(&numbers);
            let deviation = f64::from(deviation);
            // 20,000 draws: a standard error of 0.7 % of the mean's scale and 1 % of the variance.
            assert!(mean.abs() < 0.03 * deviation, "{sampler}, band {band}: mean {mean} of {deviation}");
            assert!(
                (variance.sqrt() / deviation - 1.0).abs() < 0.03,
                "{sampler}, band {band}: {} of {deviation}",
                variance.sqrt()
            );
        }
    }
}

#[test]
fn the_loss_is_the_one_computed_by_hand() {
    // One picture of one pixel: three bands along red, green and blue, of standard deviations 2, 1 and 0.5; σ = 1.
    let identity = vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let bands = Bands::new(1, vec![0.0; 3], identity, vec![2.0, 1.0, 0.5]).unwrap();
    let frame = Preconditioning { prediction: Prediction::Edm, bands, components: None };
    let tensor = |values: [f32; 3]| Tensor::<4>::from_data([[[values]]], &device());
    let (clean, noise) = ([1.0f32, -1.0, 0.5], [0.5f32, 1.0, -2.0]);
    let mut seen = Vec::new();
    let loss = frame.loss(
        |x, labels| {
            seen = values(x.clone());
            assert!((labels[0] - (1.0 / frame.bands.scale()).ln() / 4.0).abs() < 1e-12);
            x.zeros_like()
        },
        tensor(clean),
        &[1.0],
        tensor(noise),
    );
    // x = (1.5, 0, −1.5); c_in = 1/√5, 1/√2, 1/√1.25.
    for (found, wanted) in seen.iter().zip([1.5 / 5f64.sqrt(), 0.0, -1.5 / 1.25f64.sqrt()]) {
        assert!((found - wanted).abs() < 1e-6, "{found} {wanted}");
    }
    // c_skip = 4/5, 1/2, 1/5; c_out = 2/√5, 1/√2, 0.5/√1.25; the target is (x₀ − c_skip x) / c_out.
    let outputs = [2.0 / 5f64.sqrt(), 1.0 / 2f64.sqrt(), 0.5 / 1.25f64.sqrt()];
    let targets = [(1.0 - 1.2) / outputs[0], -1.0 / outputs[1], (0.5 + 0.3) / outputs[2]];
    let mean: f64 = outputs.iter().sum::<f64>() / 3.0;
    let wanted = targets.iter().zip(outputs).map(|(target, output)| target * target * output / mean).sum::<f64>() / 3.0;
    let found = f64::from(loss.into_scalar::<f32>());
    assert!((found - wanted).abs() < 1e-5, "{found} {wanted}");
}

#[test]
fn a_stage_finishes_under_as_much_noise_as_it_says() {
    let device = device();
    let mut model = small_model(&device);
    let stage = &mut model.stages[1];
    stage.finishes_from = vec![40.0, 2.0, 1.0];
    // The last level has no number of its own: as much noise as the stage is told.
    stage.finishing_noise = vec![1.25, 0.5];
    let model = model.for_sampling(&device);
    let stage = &model.stages()[1];
    let sigmas = stage.sigmas(&[40.0, 2.0, 1.0, 1.0, 0.0]);
    for given in [None, Some(Tensor::<4>::full([1, 3, 100, 100], 0.25, &device))] {
        let noise = BatchNoise::new(&[6], [3, 100, 100], &device);
        let mut sampling = stage.sampling(
            &Gaussian,
            Sampler::Ddpm,
            sigmas.clone(),
            noise,
            given.as_ref().map_or(Beginning::Noise, Beginning::Picture),
            stage.finishing(),
        );
        let begun = sampling.noisy() - given.unwrap_or_else(|| sampling.noisy().zeros_like());
        let made = sampling.by_ref().take(3).map(|step| step.x - step.denoised);
        let noises: Vec<_> = std::iter::once(begun).chain(made).collect();
        for ((noise, sigma), share) in noises.iter().zip(&sigmas).zip([1.25, 0.5, 1.0, 1.0]) {
            let (_, variance) = mean_and_variance(&values(noise.clone()));
            let found = variance.sqrt() / sigma;
            assert!((found / share - 1.0).abs() < 0.02, "σ = {sigma}: {found} of it for {share}");
        }
        let last = sampling.next().unwrap();
        assert_eq!(values(last.x), values(last.denoised), "and what comes last is under none");
    }
}

/// The best denoiser for pictures as components say they are.
struct Whole(Components);

impl Whole {
    /// Each picture of a batch as its coordinates along the components, and what lies across them.
    fn coordinates(&self, x: &[f64]) -> Vec<(Vec<f64>, Vec<f64>)> {
        let pixels = self.0.mean().len();
        let axes = self.0.axes();
        let split = |picture: &[f64]| {
            let mut across: Vec<f64> =
                picture.iter().zip(self.0.mean()).map(|(x, mean)| x - f64::from(*mean)).collect();
            let mut along = Vec::new();
            for (axis, _) in &axes {
                let share: f64 = axis.iter().zip(&across).map(|(a, b)| f64::from(*a) * b).sum();
                across.iter_mut().zip(axis).for_each(|(x, axis)| *x -= share * f64::from(*axis));
                along.push(share);
            }
            (along, across)
        };
        x.chunks_exact(pixels).map(split).collect()
    }
}

impl Denoiser for Whole {
    fn denoise(&self, x: Tensor<4>, sigma: f64) -> Tensor<4> {
        let (dims, axes) = (x.dims(), self.0.axes());
        let mut guess = Vec::new();
        for (along, _) in self.coordinates(&values(x)) {
            let mut picture = self.0.mean().to_vec();
            for ((axis, variance), along) in axes.iter().zip(along) {
                let share = along * variance / (variance + sigma * sigma);
                picture.iter_mut().zip(axis).for_each(|(x, axis)| *x += share as f32 * axis);
            }
            guess.extend(picture);
        }
        Tensor::from_data(TensorData::new(guess, dims), &device())
    }
}

#[test]
fn along_principal_components_a_gaussian_is_sampled_exactly_in_any_number_of_steps() {
    let device = device();
    let components = strange_components(6);
    let variances: Vec<f64> = components.axes().into_iter().map(|(_, variance)| variance).collect();
    let gaussian = Mixture::new(&components, &device);
    let whole = Whole(components);
    let noise = BatchNoise::new(&[1, 2], [3, 6, 6], &device).draw();
    let drawn: Vec<(Vec<f64>, Vec<f64>)> = {
        // About zero, where noise lies.
        let centred =
            values(noise.clone() + Tensor::from_data(TensorData::new(whole.0.mean().to_vec(), [1, 3, 6, 6]), &device));
        whole.coordinates(&centred)
    };
    let begun = gaussian.noisy(noise.mul_scalar(9.0), 9.0);
    for steps in [1, 2, 5] {
        let levels = NoiseLevels::Karras { smallest: 0.01, largest: 9.0, rho: 7.0 }.list_down_to(0.3, steps + 1);
        let sigmas = levels[..=steps].to_vec();
        let unused = BatchNoise::new(&[0], [3, 6, 6], &device);
        let walk = Sampling::from_noisy(&whole, Sampler::DpmSolver, sigmas.clone(), unused.clone(), begun.clone());
        let last = walk.about(Some(gaussian.clone())).last().unwrap();
        assert_eq!(last.index, steps);
        for ((along, across), (noise, noise_across)) in whole.coordinates(&values(last.x.clone())).iter().zip(&drawn) {
            for ((found, noise), variance) in along.iter().zip(noise).zip(&variances) {
                let wanted = noise * (variance + 0.3 * 0.3).sqrt();
                assert!((found - wanted).abs() < 2e-3, "{steps} steps, variance {variance}: {found} {wanted}");
            }
            for (found, noise) in across.iter().zip(noise_across) {
                assert!((found - 0.3 * noise).abs() < 2e-3, "{steps} steps, across: {found} {}", 0.3 * noise);
            }
        }
        // What makes it exact is what is known of the data.
        let blind = Sampling::from_noisy(&whole, Sampler::DpmSolver, sigmas, unused, begun.clone()).last().unwrap();
        let off = (blind.x - last.x).abs().max().into_scalar::<f32>();
        assert!(steps == 5 || off > 0.05, "{steps} steps: {off}");
    }
}

#[test]
fn what_goes_beyond_a_gaussian_is_walked_along_as_the_probability_flow_goes() {
    let device = device();
    let components = strange_components(4);
    let gaussian = Mixture::new(&components, &device);
    let whole = Whole(components);
    let x = BatchNoise::new(&[3], [3, 4, 4], &device).draw().mul_scalar(5.0);
    let rest = BatchNoise::new(&[4], [3, 4, 4], &device).draw();
    let guess = whole.denoise(x.clone(), 5.0);
    let off = gaussian.beyond(x.clone(), &(guess + rest.clone()), 5.0) - rest.clone();
    assert!(off.abs().max().into_scalar::<f32>() < 1e-4, "the Gaussian's own guess is nothing beyond it");

    // dx/dσ = (x − D) / σ in many small steps, by the midpoint.
    let (from, to, count) = (5.0, 0.8, 400);
    let slope = |x: Tensor<4>, sigma: f64| (x.clone() - whole.denoise(x, sigma) - rest.clone()).div_scalar(sigma);
    let mut walked = x.clone();
    for step in 0..count {
        let at = |part: f64| from + (to - from) * (step as f64 + part) / f64::from(count);
        let half = walked.clone() + slope(walked.clone(), at(0.0)).mul_scalar((to - from) / f64::from(count) / 2.0);
        walked = walked + slope(half, at(0.5)).mul_scalar((to - from) / f64::from(count));
    }
    let off = (gaussian.flow(x, rest, [from, to]) - walked).abs().max().into_scalar::<f32>();
    assert!(off < 2e-3, "{off}");
}

/// The guess of three clusters, one number at a time.
fn guess_of(clusters: &Clusters, point: &[f64], sigma: f64) -> Vec<f64> {
    let width = clusters.width();
    let parts: Vec<(f64, Vec<f64>)> = (0..clusters.count())
        .map(|index| {
            let (mut density, mut guess) = (f64::from(clusters.shares()[index]), Vec::new());
            for (axis, x) in point.iter().enumerate() {
                let centre = f64::from(clusters.centres()[index * width + axis]);
                let variance = f64::from(clusters.deviations()[index * width + axis]).powi(2);
                let noisy = variance + sigma * sigma;
                density *= (-(x - centre).powi(2) / noisy / 2.0).exp() / noisy.sqrt();
                guess.push(centre + (x - centre) * variance / noisy);
            }
            (density, guess)
        })
        .collect();
    let all: f64 = parts.iter().map(|(density, _)| density).sum();
    (0..width).map(|axis| parts.iter().map(|(density, guess)| density / all * guess[axis]).sum()).collect()
}

#[test]
fn a_mixture_guesses_and_flows_as_its_formulas_say() {
    let device = device();
    let components = strange_clusters(6);
    let clusters = components.clusters().unwrap().clone();
    let (mixture, whole) = (Mixture::new(&components, &device), Whole(components));
    let x = BatchNoise::new(&[1, 2, 3, 4, 5], [3, 6, 6], &device).draw().mul_scalar(3.0);
    let rest = BatchNoise::new(&[6, 7, 8, 9, 10], [3, 6, 6], &device).draw().mul_scalar(0.3);
    // What nobody says is nothing, so what goes beyond it is the guess taken away.
    let beyond = mixture.beyond(x.clone(), &x.zeros_like(), 2.0);
    let mean = Tensor::from_data(TensorData::new(whole.0.mean().to_vec(), [1, 3, 6, 6]), &device);
    let guesses = whole.coordinates(&values(beyond.neg()));
    for ((guess, across), (point, _)) in guesses.iter().zip(whole.coordinates(&values(x.clone()))) {
        for (found, wanted) in guess.iter().zip(guess_of(&clusters, &point, 2.0)) {
            assert!((found - wanted).abs() < 1e-4, "{found} {wanted}");
        }
        assert!(across.iter().all(|value| value.abs() < 1e-4), "and across them the mean");
    }

    let (from, to, count) = (4.0, 0.5, 2000);
    let mut off = Vec::new();
    let led = whole.coordinates(&values(mixture.flow(x.clone(), rest.clone(), [from, to])));
    let begun = whole.coordinates(&values(x));
    let beyond = whole.coordinates(&values(rest + mean));
    for (((along, across), (start, start_across)), (rest, rest_across)) in led.iter().zip(&begun).zip(&beyond) {
        let mut point = start.clone();
        for step in 0..count {
            let level = |part: f64| from * (to / from).powf((f64::from(step) + part) / f64::from(count));
            let slope = |point: &[f64], sigma: f64| -> Vec<f64> {
                let guess = guess_of(&clusters, point, sigma);
                point.iter().zip(guess).zip(rest).map(|((x, guess), rest)| (x - guess - rest) / sigma).collect()
            };
            let (first, last) = (level(0.0), level(1.0));
            let half: Vec<f64> =
                point.iter().zip(slope(&point, first)).map(|(x, slope)| x + slope * (last - first) / 2.0).collect();
            let slopes = slope(&half, (first + last) / 2.0);
            point.iter_mut().zip(slopes).for_each(|(x, slope)| *x += slope * (last - first));
        }
        off.extend(along.iter().zip(&point).map(|(found, wanted)| (found - wanted).abs()));
        for ((found, x), rest) in across.iter().zip(start_across).zip(rest_across) {
            let wanted = x * to / from + rest * (1.0 - to / from);
            assert!((found - wanted).abs() < 1e-4, "across them as DDIM goes: {found} {wanted}");
        }
    }
    // Probabilities that stay what they are for a stride cost most halfway between two clusters; the points move by up to seven.
    let (most, mean) = (off.iter().copied().fold(0.0, f64::max), off.iter().sum::<f64>() / off.len() as f64);
    assert!(most < 0.15 && mean < 0.04, "{most} {mean}");
}

#[test]
fn pictures_of_a_mixture_are_of_its_clusters() {
    let device = device();
    let components = strange_clusters(6);
    let clusters = components.clusters().unwrap().clone();
    let (mixture, whole) = (Mixture::new(&components, &device), Whole(components));
    let seeds: Vec<u64> = (0..3000).collect();
    let noise = BatchNoise::new(&seeds, [3, 6, 6], &device).draw();
    let sigma = 0.5;
    let pictures = whole.coordinates(&values(mixture.noisy(noise.mul_scalar(sigma), sigma)));
    let mut of = vec![Vec::new(); 3];
    for (along, across) in &pictures {
        // The clusters lie six of their reaches apart: each picture is of the nearest.
        let distance = |index: usize| -> f64 {
            let row = clusters.centres()[3 * index..][..3].iter().zip(&clusters.deviations()[3 * index..][..3]);
            row.zip(along)
                .map(|((centre, reach), x)| (x - f64::from(*centre)).powi(2) / (f64::from(*reach).powi(2) + 0.25))
                .sum()
        };
        let nearest = (0..3).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap();
        of[nearest].push(along.clone());
        assert!(across.iter().all(|value| value.abs() < 6.0 * sigma), "and across them noise");
    }
    for (index, found) in of.iter().enumerate() {
        let share = found.len() as f64 / 3000.0;
        let wanted = f64::from(clusters.shares()[index]);
        assert!((share - wanted).abs() < 0.04, "cluster {index}: {share} of {wanted}");
        for axis in 0..3 {
            let along: Vec<f64> = found.iter().map(|point| point[axis]).collect();
            let (mean, variance) = mean_and_variance(&along);
            let centre = f64::from(clusters.centres()[3 * index + axis]);
            let reach = (f64::from(clusters.deviations()[3 * index + axis]).powi(2) + sigma * sigma).sqrt();
            assert!((mean - centre).abs() < 0.15 * reach.max(1.0), "cluster {index}, axis {axis}: {mean} {centre}");
            let ratio = variance.sqrt() / reach;
            assert!((0.85..1.15).contains(&ratio), "cluster {index}, axis {axis}: {ratio}");
        }
    }
}

#[test]
fn clusters_are_nothing_impossible() {
    let of = |shares: &[f32], centres: &[f32], deviations: &[f32]| {
        Clusters::new(shares.to_vec(), centres.to_vec(), deviations.to_vec())
    };
    let sound = of(&[1.0, 3.0], &[0.0; 6], &[1.0; 6]).unwrap();
    assert_eq!((sound.count(), sound.width(), sound.shares()), (2, 3, &[0.25, 0.75][..]));
    for wrong in [
        of(&[], &[], &[]),
        of(&[1.0, 1.0], &[], &[]),
        of(&[1.0, 1.0], &[0.0; 5], &[1.0; 5]),
        of(&[1.0, 1.0], &[0.0; 6], &[1.0; 4]),
        of(&[1.0, 0.0], &[0.0; 6], &[1.0; 6]),
        of(&[1.0, f32::NAN], &[0.0; 6], &[1.0; 6]),
        of(&[f32::MAX, f32::MAX], &[0.0; 6], &[1.0; 6]),
        of(&[1.0; 65], &[0.0; 65], &[1.0; 65]),
        of(&[1.0], &[f32::INFINITY], &[1.0]),
        of(&[1.0], &[0.0], &[0.0]),
        of(&[1.0], &[0.0], &[f32::NAN]),
    ] {
        assert_eq!(wrong.unwrap_err(), ComponentsError::Clusters);
    }
    let error = strange_components(4).with_clusters(of(&[1.0], &[0.0; 2], &[1.0; 2]).unwrap()).unwrap_err();
    assert_eq!(error, ComponentsError::ClusterWidth { needed: 3, found: 2 });
}

#[test]
fn components_are_orthogonal_and_nothing_impossible() {
    let mean = vec![0.1; 12];
    let wrong = |mean: Vec<f32>, loadings: &[f32]| Components::new(2, mean, loadings.to_vec()).unwrap_err();
    assert!(matches!(wrong(vec![0.1; 11], &[]), ComponentsError::Count { needed: 12, found: 11, .. }));
    assert!(matches!(wrong(mean.clone(), &[1.0; 13]), ComponentsError::Count { .. }));
    assert!(matches!(wrong(mean.clone(), &[f32::NAN; 12]), ComponentsError::Value(_)));
    assert!(matches!(wrong(mean.clone(), &[1.0; 129 * 12]), ComponentsError::Count { .. }));
    for size in [0, 5, 66, 1 << 40] {
        let error = Components::new(size, Vec::new(), Vec::new()).unwrap_err();
        assert!(matches!(error, ComponentsError::Size(found) if found == size), "{error}");
    }
    let loading = |first: f32, second: f32| {
        let mut loading = [0.0; 12];
        (loading[0], loading[1]) = (first, second);
        loading
    };
    let rows = [loading(3.0, 0.0), loading(0.3, 2.0), loading(6.0, 0.0), loading(0.0, 1e-5)].concat();
    let components = Components::new(2, mean.clone(), rows).unwrap();
    let axes = components.axes();
    assert_eq!((components.count(), axes.len()), (4, 2), "what is a sum of others, or nothing, is left out");
    assert_eq!((&axes[0].0[..2], axes[0].1), (&[1.0, 0.0][..], 9.0));
    assert!(axes[1].0[0].abs() < 1e-6 && (axes[1].1 - 4.0).abs() < 1e-6);
    let many: Vec<f32> = (0..16 * 12).map(|i| ((i * i) as f32).sin()).collect();
    assert_eq!(Components::new(2, mean, many).unwrap().axes().len(), 12, "no more than there are dimensions");
}

#[test]
fn a_stage_that_knows_its_components_begins_where_a_mixture_leads() {
    let device = device();
    let mut model = small_model(&device);
    model.stages[0].finishes_from = vec![0.5];
    let blind = model.clone().for_sampling(&device);
    model.stages[0].preconditioning.components = Some(strange_components(8));
    let model = model.for_sampling(&device);
    let plan = Plan { sampler: Sampler::DpmSolver, levels: NoiseLevels::default(), steps: 4 };
    assert_eq!(plan.start_of(0, &model.stages()[0]), Start::Mixture);
    assert_eq!(plan.start_of(0, &blind.stages()[0]), Start::Noise);
    assert_eq!(plan.start_of(1, &model.stages()[1]), Start::Noise);
    assert_eq!(
        Plan { steps: 5, ..plan }.start_of(0, &model.stages()[0]),
        Start::Noise,
        "whoever has the time needs no help"
    );
    let levels = |steps| Plan { steps, ..plan }.levels_of(0, &[0.5], Start::Mixture);
    assert!((levels(4)[0] - 7.0).abs() < 1e-9, "{:?}", levels(4));
    assert_eq!(levels(4)[2..], [0.5, 0.5, 0.0]);
    let finishes = [2, 3, 4, 5, 6, 7, 12].map(|steps| levels(steps).iter().filter(|level| **level == 0.5).count());
    assert_eq!(finishes, [1, 1, 2, 2, 3, 4, 7]);
    for steps in 1..30 {
        assert_eq!(levels(steps).len(), steps + 1, "as many steps");
    }
    let pictures = |model, plan| values(Cascade::new(model, plan, &[5], &device).last().unwrap().step.x);
    assert_ne!(pictures(&model, plan), pictures(&blind, plan));
    let heun = Plan { sampler: HEUN, ..plan };
    assert_eq!(pictures(&model, heun), pictures(&blind, heun), "other samplers go by the network alone");
    let classic = Plan { levels: NoiseLevels::Ddpm(BetaSchedule::Linear), ..plan };
    assert_eq!(pictures(&model, classic), pictures(&blind, classic), "and so do schedules");
    let edited = |model: &SamplingModel, task: EditTask| {
        let picture = [200u8, 90, 30, 128].repeat(16 * 16);
        let edited = Edited::new(&Edit::new(16, picture, task).unwrap(), model, &device).unwrap();
        values(Cascade::from_origins(model, plan, vec![5.into()], Some(edited), &device).last().unwrap().step.x)
    };
    for task in
        [EditTask::ImageToImage { strength: 0.7 }, EditTask::ImageToImage { strength: 1.0 }, EditTask::Inpainting]
    {
        assert_eq!(edited(&model, task), edited(&blind, task), "{task:?} has a picture to go by");
    }
}

#[test]
fn a_stage_that_finishes_far_up_is_not_led_there_by_a_mixture() {
    let device = device();
    for first in [6.9, 7.0, 20.0, 32.0, 40.0] {
        let mut model = small_model(&device);
        model.stages[0].finishes_from = vec![first];
        model.stages[0].preconditioning.components = Some(strange_components(8));
        let model = model.for_sampling(&device);
        for steps in 1..=4 {
            let plan = Plan { sampler: Sampler::DpmSolver, levels: NoiseLevels::default(), steps };
            let start = if first < 7.0 { Start::Mixture } else { Start::Noise };
            assert_eq!(plan.start_of(0, &model.stages()[0]), start);
            let picture = values(Cascade::new(&model, plan, &[5], &device).last().unwrap().step.x);
            assert!(picture.iter().all(|value| value.is_finite()), "from {first} in {steps} steps");
        }
    }
}

#[test]
fn pictures_are_enlarged_linearly_and_white_lies_beyond_their_edge() {
    let device = device();
    let small = Tensor::<4>::from_data([[[[0.0f32, 1.0], [0.5, -1.0]], [[1.0; 2]; 2], [[0.2; 2]; 2]]], &device);
    let enlarged = values(Enlargement::new(4, 2, &device).enlarge(small));
    assert_eq!(enlarged.len(), 3 * 64);
    let at = |colour: usize, row: usize, column: usize| enlarged[colour * 64 + row * 8 + column];
    // Between the centres of the four pixels, at an eighth of the way: (0.125, 0.125) from the first.
    let (a, b, c, d) = (0.0, 1.0, 0.5, -1.0);
    let t = 0.125;
    let wanted = (1.0 - t) * ((1.0 - t) * a + t * b) + t * ((1.0 - t) * c + t * d);
    assert!((at(0, 2, 2) - wanted).abs() < 1e-5, "{} {wanted}", at(0, 2, 2));
    // In the corner, 0.375 beyond the centre: pixel, and white for what lies outside.
    let inside = 0.625f64 * 0.625;
    assert!((at(0, 0, 0) - (inside * a + (1.0 - inside))).abs() < 1e-5, "{}", at(0, 0, 0));
    assert!((at(1, 0, 5) - 1.0).abs() < 1e-5, "white stays white: {}", at(1, 0, 5));
    let flat = at(2, 3, 4);
    assert!((flat - 0.2).abs() < 1e-5, "a plain surface stays plain: {flat}");

    let large = BatchNoise::new(&[3], [3, 8, 8], &device).draw();
    let reduced = values(reduce(large.clone(), 4));
    let numbers = values(large);
    let mean: f64 =
        (0..4).flat_map(|y| (0..4).map(move |x| (y, x))).map(|(y, x)| numbers[(4 + y) * 8 + x]).sum::<f64>() / 16.0;
    assert!((reduced[2] - mean).abs() < 1e-6, "row 1, column 0 is the mean of its square");
}

#[test]
fn a_cascade_tells_every_step_and_gives_each_seed_its_own_picture() {
    let device = device();
    let model = crate::support::small_model(&device).for_sampling(&device);
    let plan = Plan { sampler: Sampler::Ddpm, levels: NoiseLevels::default(), steps: 7 };
    assert_eq!((plan.steps_of(0, &[]), plan.steps_of(1, &[])), (7, 3));
    assert_eq!((plan.all_steps(&model), plan.evaluations(&model)), (10, 10));
    let heun = Plan { sampler: Sampler::Heun { churn: 0.0 }, ..plan };
    assert_eq!((heun.sampler_of(0), heun.sampler_of(1), heun.evaluations(&model)), (heun.sampler, Sampler::Ddpm, 16));
    assert_eq!(Plan { steps: 200, ..plan }.steps_of(1, &[]), 8);
    assert_eq!(plan.levels_of(1, &[40.0], Start::Noise), [40.0, 0.0], "from pure noise at once");
    assert_eq!(plan.levels_of(1, &[40.0, 0.5], Start::Noise), [40.0, 0.5, 0.0], "and what was made, again");
    assert_eq!(plan.evaluations_of(1, &[40.0, 0.5]), 2);
    let early = plan.levels_of(0, &[0.5], Start::Noise);
    assert_eq!((early.len(), early[7]), (8, 0.0), "as many steps");
    assert_eq!(early[4..7], [0.5; 3], "and the last three from there");
    assert!((early[0] - 40.0).abs() < 1e-9 && early[..5].windows(2).all(|pair| pair[0] > pair[1]), "{early:?}");
    let finishes = |steps| {
        let levels = Plan { steps, ..plan }.levels_of(0, &[0.5], Start::Noise);
        levels.iter().filter(|&&level| level == 0.5).count()
    };
    assert_eq!([1, 2, 5, 6, 7, 8, 12, 40].map(finishes), [0, 1, 1, 2, 3, 3, 6, 25]);
    assert_eq!(Plan { steps: 0, ..plan }.levels_of(0, &[0.5], Start::Noise), [0.0]);
    let several = |steps| Plan { steps, ..plan }.levels_of(0, &[2.0, 0.5], Start::Noise);
    // However few, they begin in pure noise.
    assert_eq!(plan.levels.list(1), several(1));
    assert_eq!(several(2)[1..], [2.0, 0.0]);
    assert_eq!(several(3)[1..], [2.0, 0.5, 0.0]);
    for steps in 1..4 {
        assert!((several(steps)[0] - 40.0).abs() < 1e-9, "{:?}", several(steps));
    }
    assert_eq!(several(8)[5..], [2.0, 0.5, 0.5, 0.0]);
    let classic = NoiseLevels::Ddpm(BetaSchedule::Linear);
    let early = classic.list_down_to(0.5, 7);
    assert_eq!((early.len(), early[0], &early[6..]), (8, classic.list(7)[0], &[0.5, 0.0][..]));
    assert!(early.windows(2).all(|pair| pair[0] > pair[1]), "{early:?}");
    assert_eq!(classic.list_down_to(0.5, 1), [0.5, 0.0]);
    let crowded = classic.list_down_to(30.0, 600);
    assert!(crowded.len() < 601 && crowded.windows(2).all(|pair| pair[0] > pair[1]), "no level twice");
    let together: Vec<_> = Cascade::new(&model, plan, &[4, 9], &device).collect();
    assert_eq!(together.len(), 10);
    for (index, CascadeStep { stage, finished, step }) in together.iter().enumerate() {
        assert_eq!((step.index, step.of, *finished), (index + 1, 10, index == 9));
        let size = if index < 7 { 8 } else { 16 };
        assert_eq!((*stage, step.x.dims()), (usize::from(index >= 7), [2, 3, size, size]));
    }
    assert_eq!(values(together[9].step.x.clone()), values(together[9].step.denoised.clone()));
    let alone = Cascade::new(&model, plan, &[9], &device).last().unwrap().step.x;
    let off: f32 = (together[9].step.x.clone().narrow(0, 1, 1) - alone).abs().max().into_scalar();
    assert!(off < 1e-4, "off by {off}");
}

#[test]
fn detail_is_added_to_the_enlarged_picture() {
    // A second stage whose data are next to nothing: what comes out is the small picture, enlarged.
    let device = device();
    let mut model = crate::support::small_model(&device);
    model.stages[1].preconditioning = Preconditioning::edm(2, 1e-4);
    let model = model.for_sampling(&device);
    let plan = Plan { sampler: Sampler::Ddpm, levels: NoiseLevels::default(), steps: 6 };
    let steps: Vec<_> = Cascade::new(&model, plan, &[4], &device).map(|step| step.step.x).collect();
    let enlarged = Enlargement::new(2, 8, &device).enlarge(steps[5].clone());
    let off: f32 = (steps[7].clone() - enlarged).abs().max().into_scalar();
    assert!(off > 0.0 && off < 2e-3, "off by {off}");
}

#[test]
fn stages_that_do_not_follow_each_other_are_named() {
    let [first, second] = crate::support::small_shapes();
    check_shapes(&[first.clone(), second.clone()]).unwrap();
    let error = |shapes: &[StageShape]| check_shapes(shapes).unwrap_err().to_string();
    assert!(error(&[]).contains("from 1 to 4 stages, not 0"));
    assert!(error(std::slice::from_ref(&second)).contains("enlarges of stage 1 is 2"));
    let larger = StageShape { image_size: 32, ..second.clone() };
    assert!(error(&[first.clone(), larger]).contains("image_size of stage 2 is 32, but must be 16, 2 × 8"));
    assert!(error(&[first.clone(), StageShape { patch: 0, ..second.clone() }]).contains("patch of stage 2 is 0"));
    assert!(error(&[first.clone(), StageShape { enlarges: usize::MAX, ..second }]).contains("from 2 to 8"));
    assert!(error(&[StageShape { image_size: 9, patch: 2, ..first }]).contains("a multiple of the patch, 2"));
}

#[test]
fn training_noise_is_log_normal() {
    let density = NoiseDensity { mean: -0.6, deviation: 1.3 };
    let mut noise = Noise::new(3, Purpose::Training);
    let logs: Vec<f64> = (0..40_000).map(|_| density.draw(&mut noise).ln()).collect();
    let (mean, variance) = mean_and_variance(&logs);
    assert!((mean + 0.6).abs() < 0.026 && (variance - 1.69).abs() < 0.05, "{mean} {variance}");
}

#[test]
fn samplers_have_names_that_can_be_read_back() {
    for name in ["heun", "heun:40", "dpm", "dpm-sde", "ddim", "ddim:0.5", "ddpm"] {
        assert_eq!(name.parse::<Sampler>().unwrap().to_string(), name);
    }
    for name in ["", "Heun", "ddim:", "ddim:2", "ddim:nan", "euler", "heun:", "heun:-1", "heun:1e9"] {
        let error = name.parse::<Sampler>().unwrap_err().to_string();
        assert!(error.contains("choose heun"), "{error}");
    }
}
