//! Finishing: from some noise levels on, a tuned stage's guesses are pictures, and no means of pictures.

use serde::{Deserialize, Deserializer};

/// Where a denoiser finishes, and how much noise its pictures are put under there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Finishing {
    sigmas: Vec<f64>,
    noise: Vec<f64>,
}

impl Finishing {
    /// From these noise levels, falling, with so much noise for each σ that the denoiser is told: S_noise of Karras et al. 2022,
    /// algorithm 2, which is 1 where nothing is said.
    pub fn new(sigmas: Vec<f64>, noise: Vec<f64>) -> Self {
        Self { sigmas, noise }
    }

    /// Whether guesses at a noise level are pictures.
    pub fn finishes(&self, sigma: f64) -> bool {
        self.sigmas.first().is_some_and(|first| sigma <= *first)
    }

    /// The standard deviation of the noise that a picture is put under for the denoiser to finish it from `sigma`. Levels between
    /// two take what belongs to the upper one.
    pub fn deviation_at(&self, sigma: f64) -> f64 {
        let level = self.sigmas.iter().rposition(|level| sigma <= *level);
        sigma * level.and_then(|level| self.noise.get(level)).copied().unwrap_or(1.0)
    }
}

/// Which noise levels a stage may [finish](super::Stage::finishes_from) from.
pub const FINISHING_LEVELS: &str = "at most four numbers from 0.001 to 1000, each less than the one before";

/// Whether a stage may finish from these, as shares of the data's scale, none at all included.
pub fn can_finish_from(levels: &[f64]) -> bool {
    levels.len() <= 4
        && levels.iter().all(|level| (1e-3..=1e3).contains(level))
        && levels.windows(2).all(|pair| matches!(pair, [from, to] if from > to))
}

/// Under how much noise a stage may finish, for each σ that it is told.
pub const FINISHING_NOISE: &str = "no more numbers than levels to finish from, each from 0.1 to 10";

/// Whether so much noise, for each σ that it is told, may go with the levels that a stage finishes from.
pub fn can_finish_under(noise: &[f64], levels: &[f64]) -> bool {
    noise.len() <= levels.len() && noise.iter().all(|noise| (0.1..=10.0).contains(noise))
}

/// A list, or the single number that stood in its place at first.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(f64),
        Many(Vec<f64>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(level) => vec![level],
        OneOrMany::Many(levels) => levels,
    })
}
