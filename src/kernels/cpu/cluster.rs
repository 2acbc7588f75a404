//! What a mixture of Gaussians says of points.

use super::parallel::in_pieces;
use crate::kernels::Clustered;
use crate::kernels::spec::LEAST_VARIANCE;

/// A mixture at a noise level: rows of `width` numbers for each cluster.
pub struct Mixture<'a> {
    centres: &'a [f32],
    variances: &'a [f32],
    /// What is known of each cluster before a point is.
    known: &'a [f32],
    /// σ² before and after the step.
    squares: [f32; 2],
    width: usize,
}

/// Clusters of a smaller probability count as nothing.
const LEAST_PROBABILITY: f32 = 1e-7;

impl<'a> Mixture<'a> {
    /// Of a table `[1, 2, clusters, width]` and the numbers that belong to it.
    pub fn new(table: &'a [f32], [_, _, clusters, width]: [usize; 4], numbers: &'a [f32]) -> Self {
        let (centres, variances) = table.split_at(clusters * width);
        let (squares, known) = numbers.split_at(2);
        Self { centres, variances, known: &known[..clusters], squares: [squares[0], squares[1]], width }
    }

    /// The answer for each point.
    pub fn step(&self, x: &[f32], rest: &[f32], spec: Clustered) -> Vec<f32> {
        in_pieces(x.len(), self.width, |start, out| {
            self.answer(&x[start..][..out.len()], &rest[start..][..out.len()], spec, out);
        })
    }

    fn answer(&self, x: &[f32], rest: &[f32], spec: Clustered, out: &mut [f32]) {
        let [before, after] = self.squares;
        let probable = self.probable(x);
        for (axis, (out, (x, rest))) in out.iter_mut().zip(x.iter().zip(rest)).enumerate() {
            let (mut pull, mut weight, mut kept, mut added) = (0.0, 0.0, 0.0, 0.0);
            for &(cluster, probability) in &probable {
                let at = cluster * self.width + axis;
                let variance = self.variances[at];
                let unknown = probability * before / (variance + before);
                weight += unknown;
                pull += unknown * self.centres[at];
                if spec == Clustered::Flow {
                    kept += probability * ((variance + after) / (variance + before)).ln();
                    added += probability * integral(variance, self.squares);
                }
            }
            *out = match spec {
                Clustered::Guess => x - weight * x + pull,
                Clustered::Flow => {
                    let centre = pull / weight;
                    (kept / 2.0).exp() * (x - centre) + centre + added * rest
                }
            };
        }
    }

    /// The clusters that a point may be of, and how probable each is.
    fn probable(&self, x: &[f32]) -> Vec<(usize, f32)> {
        let rows = self.centres.chunks_exact(self.width).zip(self.variances.chunks_exact(self.width));
        let scores = rows.zip(self.known).map(|((centres, variances), known)| {
            let distances = x.iter().zip(centres).zip(variances).map(|((x, centre), variance)| {
                let off = x - centre;
                off * off / (variance + self.squares[0])
            });
            known - distances.sum::<f32>() / 2.0
        });
        let scores: Vec<f32> = scores.collect();
        let most = scores.iter().fold(f32::NEG_INFINITY, |most, score| most.max(*score));
        let all: f32 = scores.iter().map(|score| (score - most).exp()).sum();
        let probabilities = scores.iter().map(|score| (score - most).exp() / all).enumerate();
        probabilities.filter(|(_, probability)| *probability > LEAST_PROBABILITY).collect()
    }
}

/// How much of what else there is is added along an axis.
fn integral(variance: f32, [before, after]: [f32; 2]) -> f32 {
    let variance = variance.max(LEAST_VARIANCE * after);
    let deviation = variance.sqrt();
    let at = |square: f32| (deviation + (variance + square).sqrt()) / square.sqrt();
    (variance + after).sqrt() * (at(after) / at(before)).ln() / deviation
}
