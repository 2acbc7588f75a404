//! Where the noise of pictures comes from: seeds, ways between two of them, and series of both.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Where a picture's noise comes from: a seed, or a way between two of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    /// The seed, or where the way begins.
    pub seed: u64,
    /// Where it leads, and how far along it is.
    pub towards: Option<Towards>,
}

/// A place on the way to another seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Towards {
    /// The other seed.
    pub seed: u64,
    /// How far it is along, from 0 to 1.
    pub share: f64,
}

impl From<u64> for Origin {
    fn from(seed: u64) -> Self {
        Self { seed, towards: None }
    }
}

/// How pictures follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Series {
    /// Each has the next seed.
    #[default]
    Seeds,
    /// They lead to another seed, the last of them, in equal parts of the way.
    Morph(u64),
    /// Each has the next seed, so far on its way to another one, and these are next to each other too.
    Between {
        /// The other seed of the first picture.
        to: u64,
        /// How far it is along, in hundredths.
        percent: u8,
    },
    /// Each is the first one with ever more of another seed's noise.
    Relatives,
}

/// How far the farthest relative is on its way to another seed: it is still of the same kind there.
const FARTHEST_RELATIVE: f64 = 0.5;

impl Series {
    /// What it is for one of its pictures that has a seed of its own, so many places behind the first.
    pub fn of_place(self, place: usize) -> Self {
        match self {
            Self::Between { to, percent } => Self::Between { to: to.wrapping_add(place as u64), percent },
            Self::Seeds | Self::Morph(_) | Self::Relatives => self,
        }
    }

    /// The noise of the first picture.
    fn place(self, seed: u64) -> Origin {
        match self {
            Self::Between { to, percent: 100.. } => to.into(),
            Self::Between { to, percent: percent @ 1.. } => {
                Origin { seed, towards: Some(Towards { seed: to, share: f64::from(percent) / 100.0 }) }
            }
            _ => seed.into(),
        }
    }

    /// The noise of `count` pictures, the first of which is that of `seed`.
    pub fn origins(self, seed: u64, count: usize) -> Vec<Origin> {
        let last = count.saturating_sub(1);
        let between = |to: u64, share: f64| Origin { seed, towards: Some(Towards { seed: to, share }) };
        let origin = |index: usize| {
            let share = index as f64 / last.max(1) as f64;
            match self {
                Self::Between { .. } => self.of_place(index).place(seed.wrapping_add(index as u64)),
                _ if index == 0 => seed.into(),
                Self::Seeds => seed.wrapping_add(index as u64).into(),
                Self::Morph(to) if index == last => to.into(),
                Self::Morph(to) => between(to, share),
                // Any other seeds will do, as long as they are the same for everyone.
                Self::Relatives => between(seed.wrapping_add(index as u64), FARTHEST_RELATIVE * share),
            }
        };
        (0..count).map(origin).collect()
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seeds => write!(formatter, "seeds"),
            Self::Morph(to) => write!(formatter, "morph:{to}"),
            Self::Between { to, percent } => write!(formatter, "between:{to}:{percent}"),
            Self::Relatives => write!(formatter, "relatives"),
        }
    }
}

/// Why text is no [`Series`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no series '{0}': there are seeds, morph:SEED, between:SEED:PERCENT and relatives")]
pub struct UnknownSeries(String);

impl FromStr for Series {
    type Err = UnknownSeries;

    fn from_str(text: &str) -> Result<Self, UnknownSeries> {
        let unknown = || UnknownSeries(text.into());
        match text.split_once(':') {
            None if text == "seeds" => Ok(Self::Seeds),
            None if text == "relatives" => Ok(Self::Relatives),
            Some(("morph", to)) => to.parse().map(Self::Morph).map_err(|_| unknown()),
            Some(("between", place)) => {
                let (to, percent) = place.split_once(':').ok_or_else(unknown)?;
                let (to, percent) = (to.parse().map_err(|_| unknown())?, percent.parse().map_err(|_| unknown())?);
                if percent > 100 { Err(unknown()) } else { Ok(Self::Between { to, percent }) }
            }
            _ => Err(unknown()),
        }
    }
}
