//! The lesson's own figure: a butterfly under as much noise as the visitor likes, and what the network sees in it.

use std::f64::consts::TAU;
use std::sync::Arc;

use super::canvas;
use super::view::View;
use crate::diffusion::Sampler;
use crate::edit::{Edit, EditTask};
use crate::origin::Series;
use crate::protocol::{Purpose, SampleRequest, Shown, ShownStep};
use crate::words;

/// The noise levels of the slider's ends, for pictures from −1 to 1.
const LEVELS: [f64; 2] = [0.01, 20.0];

/// A picture and noise to add to it.
#[derive(Default)]
pub struct Forward {
    picture: Option<Shown>,
    /// The same at the size of the first stage, which is the one that is asked.
    small: Option<Shown>,
    /// Sides of the model's pictures and of the first stage's, in pixels.
    sizes: [u32; 2],
    noise: Vec<f32>,
    /// What stands for the noise that the network is given.
    seed: u64,
}

impl Forward {
    /// Learns how large the model's pictures and the first stage's are.
    pub fn set_sizes(&mut self, sizes: [u32; 2]) {
        self.sizes = sizes;
    }

    /// Takes another picture, under other noise.
    pub fn take(&mut self, picture: &Shown) {
        let small = picture.averaged(self.sizes[1]);
        self.noise = gaussians(small.rgba.len());
        // Not the seed that the picture was sampled from: the network would know its noise.
        self.seed = (js_sys::Math::random() * 1e15) as u64;
        self.picture = Some(picture.clone());
        self.small = Some(small);
    }

    /// Shows it at the level that the slider stands at, and no guess yet.
    pub fn show(&self, view: &View) {
        let sigma = level(view);
        view.forward_shown.set_text_content(Some(&words::level(sigma)));
        if let Some(small) = &self.small {
            canvas::draw(&view.forward_picture, &[self.noisy(small, sigma)]);
        }
        view.forward_guess.set_hidden(true);
    }

    /// What to ask to learn what the network sees at that level, be it without one of its skip connections, and what its blocks
    /// put out if `activations` are wanted too.
    pub fn question(&self, view: &View, without_skip: Option<usize>, activations: bool) -> Option<SampleRequest> {
        // Another model's picture may be of another size.
        let picture = self.picture.as_ref().filter(|picture| picture.width == self.sizes[0])?;
        let task = EditTask::Guess { sigma: level(view), without_skip };
        // Only a picture that is no square is refused, and the model makes none.
        let edit = Edit::new(picture.width as usize, picture.rgba.clone(), task).ok()?;
        let (seed, series, sampler) = (self.seed, Series::Seeds, Some(Sampler::default()));
        let edit = Some(Arc::new(edit));
        Some(SampleRequest {
            seed,
            count: 1,
            series,
            steps: Some(1),
            sampler,
            edit,
            purpose: Purpose::Guess { activations },
        })
    }

    /// Shows what the network was given, and what it saw in it.
    pub fn show_guess(&self, view: &View, sigma: f64, step: &ShownStep) {
        // The slider has moved on.
        if sigma != level(view) {
            return;
        }
        canvas::draw(&view.forward_picture, &step.noisy);
        canvas::draw(&view.forward_guessed, &step.clean);
        view.forward_guess.set_hidden(false);
    }

    fn noisy(&self, picture: &Shown, sigma: f64) -> Shown {
        let noisy = |(index, (&byte, &noise)): (usize, (&u8, &f32))| match index % 4 {
            3 => byte,
            // A float-to-integer cast saturates: what is brighter than white is shown white.
            _ => (f64::from(byte) + 127.5 * sigma * f64::from(noise)).round() as u8,
        };
        let rgba = picture.rgba.iter().zip(&self.noise).enumerate().map(noisy).collect();
        Shown { rgba, ..*picture }
    }
}

/// The noise level that the slider stands at.
fn level(view: &View) -> f64 {
    let share: f64 = view.forward_level.value().parse().unwrap_or(0.0);
    let [least, most] = LEVELS;
    least * (most / least).powf(share.clamp(0.0, 1.0))
}

/// Standard normal numbers (Box and Muller 1958) that nobody needs to see again.
fn gaussians(count: usize) -> Vec<f32> {
    let uniform = || 1.0 - js_sys::Math::random();
    let pair = || {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), TAU * uniform());
        [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
    };
    (0..count.div_ceil(2)).flat_map(|_| pair()).take(count).collect()
}
