//! The noise levels that a stage was tuned to [finish](super::Stage::finishes_from) from.

use serde::{Deserialize, Deserializer};

/// Which noise levels a stage may [finish](super::Stage::finishes_from) from.
pub const FINISHING_LEVELS: &str = "at most four numbers from 0.001 to 1000, each less than the one before";

/// Whether a stage may finish from these, as shares of the data's scale, none at all included.
pub fn can_finish_from(levels: &[f64]) -> bool {
    levels.len() <= 4
        && levels.iter().all(|level| (1e-3..=1e3).contains(level))
        && levels.windows(2).all(|pair| matches!(pair, [from, to] if from > to))
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
