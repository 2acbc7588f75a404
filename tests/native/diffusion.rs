//! The mathematics against closed forms.
//!
//! When the data are Gaussian, x₀ ~ N(μ, s²), the best denoiser is D(x; σ) = (s² x + σ² μ) / (s² + σ²), and the probability flow
//! is solved by x(σ) = μ + (x(σ₀) − μ) √((s² + σ²) / (s² + σ₀²)). Everything here runs in f64.

use burn::tensor::{Device, Tensor};
use chrysalis::diffusion::{
    BetaSchedule, Denoiser, NoiseDensity, NoiseLevels, Preconditioning, Prediction, Sampler, Sampling,
};
use chrysalis::noise::{BatchNoise, Noise, Purpose};

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
    for sampler in [Sampler::Heun, Sampler::DpmSolver, Sampler::Ddim { eta: 0.0 }] {
        // First order needs more steps for the same accuracy.
        let steps = if sampler == (Sampler::Ddim { eta: 0.0 }) { 2000 } else { 100 };
        let (mean, variance) = sample(sampler, NoiseLevels::default(), steps);
        assert!((mean - MEAN).abs() < 0.012, "{sampler}: mean {mean}");
        assert!((variance - DEVIATION * DEVIATION).abs() < 0.008, "{sampler}: variance {variance}");
    }
}

#[test]
fn stochastic_samplers_reach_the_mean_and_variance_of_the_data() {
    for sampler in [Sampler::Ddpm, Sampler::Ddim { eta: 1.0 }, Sampler::Ddim { eta: 0.5 }] {
        for levels in
            [NoiseLevels::default(), NoiseLevels::Ddpm(BetaSchedule::Linear), NoiseLevels::Ddpm(BetaSchedule::Cosine)]
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
    for (sampler, order) in [(Sampler::Ddim { eta: 0.0 }, 1.0), (Sampler::Heun, 2.0), (Sampler::DpmSolver, 2.0)] {
        let (coarse, fine) = (error(sampler, 128), error(sampler, 256));
        let measured = (coarse / fine).log2();
        assert!((measured - order).abs() < 0.15, "{sampler}: order {measured:.3}, errors {coarse:e} and {fine:e}");
    }
}

#[test]
fn ddim_with_eta_one_is_ancestral_sampling() {
    for levels in [NoiseLevels::default(), NoiseLevels::Ddpm(BetaSchedule::Linear)] {
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
    let sigmas = NoiseLevels::default().list(6);
    let steps: Vec<_> = Sampling::new(&Gaussian, Sampler::Heun, sigmas.clone(), noise).collect();
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
    for sampler in [Sampler::Heun, Sampler::DpmSolver, Sampler::Ddim { eta: 0.3 }, Sampler::Ddpm] {
        let counting = Counting(Default::default());
        let noise = BatchNoise::new(&[5], [3, 4, 4], &device());
        Sampling::new(&counting, sampler, NoiseLevels::default().list(9), noise).for_each(drop);
        assert_eq!(counting.0.get(), sampler.evaluations(9), "{sampler}");
    }
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
    // The cosine schedule is at half its signal near the middle (Nichol and Dhariwal 2021, figure 5), and its βs end clipped.
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
    let karras = NoiseLevels::default().list(18);
    assert_eq!(karras.len(), 19);
    assert!((karras[0] - 80.0).abs() < 1e-9 && (karras[17] - 0.002).abs() < 1e-12 && karras[18] == 0.0);
    let ddpm = NoiseLevels::Ddpm(BetaSchedule::Linear).list(50);
    assert_eq!(ddpm[0], BetaSchedule::Linear.sigmas()[999]);
    for list in [&karras, &ddpm, &NoiseLevels::Ddpm(BetaSchedule::Cosine).list(1000), &NoiseLevels::default().list(1)] {
        assert!(list.windows(2).all(|pair| pair[0] > pair[1]), "{list:?}");
        assert_eq!(list.last(), Some(&0.0));
    }
}

#[test]
fn every_frame_gives_the_exact_denoiser_for_the_exact_output() {
    // Given the clean picture and the noise, the output that each prediction stands for is known; the frame must turn it back.
    for prediction in [Prediction::Edm, Prediction::Epsilon, Prediction::Velocity, Prediction::Clean] {
        let frame = Preconditioning { prediction, sigma_data: 0.7 };
        for sigma in [0.01f64, 0.5, 1.0, 7.0, 60.0] {
            let (clean, epsilon) = (0.3, -1.2);
            let x = clean + sigma * epsilon;
            let c = frame.at(sigma);
            let alpha_bar = 1.0 / (1.0 + sigma * sigma);
            let output = match prediction {
                Prediction::Epsilon => epsilon,
                Prediction::Velocity => alpha_bar.sqrt() * epsilon - (1.0 - alpha_bar).sqrt() * clean,
                Prediction::Clean => clean,
                Prediction::Edm => (clean - c.skip * x) / c.output,
            };
            assert!((c.skip * x + c.output * output - clean).abs() < 1e-9, "{prediction:?} at σ = {sigma}");
        }
    }
}

#[test]
fn edm_keeps_input_and_target_at_unit_variance() {
    // For data of root mean square σ_data: Var(c_in x) = 1, and Var of the target = 1 (Karras et al. 2022, appendix B.6).
    let frame = Preconditioning::edm(0.6);
    for sigma in [0.002, 0.1, 0.6, 3.0, 80.0] {
        let c = frame.at(sigma);
        let data = 0.36;
        assert!((c.input * c.input * (data + sigma * sigma) - 1.0).abs() < 1e-9);
        let target = ((1.0 - c.skip).powi(2) * data + (c.skip * sigma).powi(2)) / (c.output * c.output);
        assert!((target - 1.0).abs() < 1e-9, "σ = {sigma}: {target}");
        assert!((c.label - sigma.ln() / 4.0).abs() < 1e-12);
    }
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
    for name in ["heun", "dpm", "ddim", "ddim:0.5", "ddpm"] {
        assert_eq!(name.parse::<Sampler>().unwrap().to_string(), name);
    }
    for name in ["", "Heun", "ddim:", "ddim:2", "ddim:nan", "euler"] {
        let error = name.parse::<Sampler>().unwrap_err().to_string();
        assert!(error.contains("choose heun"), "{error}");
    }
}
