//! Which noise levels a sampler visits.

use serde::{Deserialize, Serialize};

use super::ddpm::{BetaSchedule, STEPS};

/// A falling list of noise levels, made for any number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NoiseLevels {
    /// σ^(1/ρ) in even steps (Karras et al. 2022, eq. 5).
    Karras {
        /// The last noise level before zero.
        smallest: f64,
        /// The first noise level.
        largest: f64,
        /// How much shorter the steps get towards the end.
        rho: f64,
    },
    /// Evenly spaced steps of the classic forward process.
    Ddpm(BetaSchedule),
}

impl Default for NoiseLevels {
    /// σ from 40 to 0.01 with ρ = 7: with few steps, what EDM's range spends on either end is missed between. KID × 1000 at
    /// 64 px in 16 + 6 steps is 97 with this and 104 with 80 to 0.01 (docs/recipe.md).
    fn default() -> Self {
        Self::Karras { smallest: 0.01, largest: 40.0, rho: 7.0 }
    }
}

impl NoiseLevels {
    /// σ from 80 to 0.002 with ρ = 7 (Karras et al. 2022, table 1).
    pub const EDM: Self = Self::Karras { smallest: 0.002, largest: 80.0, rho: 7.0 };

    /// `steps` noise levels, falling, and a zero to end on: `steps + 1` numbers. None for zero steps but the final zero.
    pub fn list(&self, steps: usize) -> Vec<f64> {
        let mut sigmas: Vec<f64> = match *self {
            Self::Karras { smallest, largest, rho } => karras([largest, smallest], rho, steps),
            Self::Ddpm(schedule) => {
                let all = schedule.sigmas();
                (0..steps)
                    .filter_map(|i| {
                        // t = T, T − T/n, …, T/n: the last step but one of the thousand-step list is at T/n, never at zero.
                        let t = (steps - i) * STEPS / steps;
                        all.get(t.max(1) - 1).copied()
                    })
                    .collect()
            }
        };
        sigmas.push(0.0);
        sigmas
    }

    /// The same levels from no higher than `largest`, unless they are a schedule's.
    pub(super) fn below(self, largest: f64) -> Self {
        match self {
            Self::Karras { smallest, largest: first, rho } => {
                Self::Karras { smallest, largest: first.min(largest), rho }
            }
            Self::Ddpm(_) => self,
        }
    }

    /// The same with `last` as the last level before zero: `last` alone for a single step. Fewer numbers where a schedule has
    /// fewer levels above it.
    pub fn list_down_to(&self, last: f64, steps: usize) -> Vec<f64> {
        let mut sigmas: Vec<f64> = match *self {
            _ if steps < 2 => vec![last; steps],
            Self::Karras { largest, rho, .. } => karras([largest.max(last), last], rho, steps),
            Self::Ddpm(schedule) => {
                let all = schedule.sigmas();
                let below = all.iter().take_while(|&&sigma| sigma <= last).count().min(STEPS - 1);
                let above = (0..steps - 1).filter_map(|i| {
                    // t from T in even steps to the first one above `last`.
                    let t = STEPS - i * (STEPS - below) / (steps - 1);
                    all.get(t - 1).copied()
                });
                let mut sigmas: Vec<f64> = above.chain([last]).collect();
                // Samplers of second order divide by the distance between two.
                sigmas.dedup();
                sigmas
            }
        };
        // To the bit, which powers of roots do not give.
        if let Some(end) = sigmas.last_mut() {
            *end = last;
        }
        sigmas.push(0.0);
        sigmas
    }
}

/// σ^(1/ρ) in even steps between two levels (Karras et al. 2022, eq. 5).
fn karras([from, to]: [f64; 2], rho: f64, steps: usize) -> Vec<f64> {
    let (from, to) = (libm::pow(from, 1.0 / rho), libm::pow(to, 1.0 / rho));
    (0..steps).map(|i| libm::pow(from + i as f64 / (steps.max(2) - 1) as f64 * (to - from), rho)).collect()
}
