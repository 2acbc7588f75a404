//! The lesson's own figure: a butterfly under as much noise as the visitor likes.

use std::f64::consts::TAU;

use super::view::{self, View};
use super::words;
use crate::protocol::Shown;

/// The noise levels of the slider's ends, for pictures from −1 to 1.
const LEVELS: [f64; 2] = [0.01, 20.0];

/// A picture and noise to add to it.
#[derive(Default)]
pub struct Forward {
    picture: Option<Shown>,
    noise: Vec<f32>,
}

impl Forward {
    /// Takes another picture, under other noise.
    pub fn take(&mut self, picture: &Shown) {
        self.noise = gaussians(picture.rgba.len());
        self.picture = Some(picture.clone());
    }

    /// Shows it at the level that the slider stands at.
    pub fn show(&self, view: &View) {
        let share: f64 = view.forward_level.value().parse().unwrap_or(0.0);
        let [least, most] = LEVELS;
        let sigma = least * (most / least).powf(share.clamp(0.0, 1.0));
        view.forward_shown.set_text_content(Some(&words::level(sigma)));
        if let Some(picture) = &self.picture {
            view::draw(&view.forward_picture, &[self.noisy(picture, sigma)]);
        }
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

/// Standard normal numbers (Box and Muller 1958) that nobody needs to see again.
fn gaussians(count: usize) -> Vec<f32> {
    let uniform = || 1.0 - js_sys::Math::random();
    let pair = || {
        let (radius, angle) = ((-2.0 * uniform().ln()).sqrt(), TAU * uniform());
        [(radius * angle.cos()) as f32, (radius * angle.sin()) as f32]
    };
    (0..count.div_ceil(2)).flat_map(|_| pair()).take(count).collect()
}
