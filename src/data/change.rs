//! Changes to training pictures that the network is told about, so that few pictures serve for long and yet no sample
//! looks changed.
//!
//! "Non-leaking augmentation" (Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data"), with
//! the change given to the network as Karras et al. (2022, appendix F.2) do for diffusion models. A sampler says that
//! nothing was changed, by zeros.

use crate::noise::Noise;

/// How many numbers say what was done to a picture.
pub const LABELS: usize = 8;

/// Standard deviation of log₂ of the size, and of the stretch (Karras et al. 2022, table 6).
const STRETCH: f64 = 0.2;
/// Standard deviation of a shift, as a share of the picture's side (the same table).
const SHIFT: f64 = 0.125;
/// Standard deviation of a turn, in radians. Theirs are turns of any angle; specimens stand upright.
const TURN: f64 = 0.25;

/// What is done to a picture before it is shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// From a place in the changed picture to one in the picture as it was, both from −1 to 1: `x = a · x' + b · y' +
    /// c` in each row.
    back: [[f64; 3]; 2],
    /// What becomes of the colours, a row for each.
    colours: [[f32; 3]; 3],
    /// What the network is told: of unit variance where something was done, zero where not.
    labels: [f32; LABELS],
}

impl Change {
    /// Draws a change: in a share of all pictures the size, in as many others the turn, the stretch, the place, the hue.
    pub fn draw(noise: &mut Noise, share: f64) -> Self {
        let mut labels = [0.0; LABELS];
        let mut drawn = |chosen: &mut [f32]| {
            let applies = noise.uniform() < share;
            for label in chosen {
                let value = noise.gaussian() as f32;
                *label = if applies { value } else { 0.0 };
            }
        };
        let [size, turn, stretch @ .., shift_x, shift_y, hue_x, hue_y] = &mut labels;
        drawn(std::slice::from_mut(size));
        drawn(std::slice::from_mut(turn));
        drawn(stretch);
        let mut shift = [0.0; 2];
        drawn(&mut shift);
        [*shift_x, *shift_y] = shift;
        let mut hue = [0.0; 2];
        drawn(&mut hue);
        // A direction, any as likely as the next, told by its difference from the one that changes nothing.
        let length = (hue[0] * hue[0] + hue[1] * hue[1]).sqrt();
        if length > 0.0 {
            [*hue_x, *hue_y] = [hue[0] / length - 1.0, hue[1] / length];
        }
        Self::of(labels)
    }

    /// The change that labels describe.
    pub fn of(labels: [f32; LABELS]) -> Self {
        let [size, turn, stretch_x, stretch_y, shift_x, shift_y, hue_x, hue_y] = labels.map(f64::from);
        let power = |exponent: f64| libm::exp2(-STRETCH * exponent);
        // A stretch by 2^s along a direction and by 2^−s across it. Its label is s times the direction's double angle,
        // as a direction and its opposite are one.
        let strength = libm::hypot(stretch_x, stretch_y);
        let along = libm::atan2(stretch_y, stretch_x) / 2.0;
        let (along_x, along_y) = (libm::cos(along), libm::sin(along));
        let (by_along, by_across) = (power(strength), power(-strength));
        let unstretch = [
            [by_along * along_x * along_x + by_across * along_y * along_y, (by_along - by_across) * along_x * along_y],
            [(by_along - by_across) * along_x * along_y, by_along * along_y * along_y + by_across * along_x * along_x],
        ];
        let (cosine, sine) = (libm::cos(TURN * turn) * power(size), libm::sin(TURN * turn) * power(size));
        let unturn = [[cosine, sine], [-sine, cosine]];
        let [by_x, by_y] = [0, 1].map(|column| {
            [0, 1].map(|row| unstretch[row][0] * unturn[0][column] + unstretch[row][1] * unturn[1][column])
        });
        // From −1 to 1 is one side, so a share of a side counts twice.
        let (shift_x, shift_y) = (2.0 * SHIFT * shift_x, 2.0 * SHIFT * shift_y);
        let back = [0, 1].map(|row| [by_x[row], by_y[row], -(by_x[row] * shift_x + by_y[row] * shift_y)]);
        Self { back, colours: hue_rotation(hue_x + 1.0, hue_y), labels }
    }

    /// What the network is told.
    pub fn labels(&self) -> [f32; LABELS] {
        self.labels
    }

    /// Whether the picture stays as it is.
    pub fn is_none(&self) -> bool {
        self.labels == [0.0; LABELS]
    }

    /// A square picture, changed and brought to `size` × `size` pixels on the way: numbers from −1 to 1, channel by
    /// channel. `pixels` are the RGB bytes of the picture at `from` × `from`, a multiple of `size`; what lies outside
    /// of it has the colour of its edge.
    pub fn planes(&self, pixels: &[u8], from: usize, size: usize, flipped: bool) -> Vec<f32> {
        let plane = size * size;
        let mut planes = vec![0.0; 3 * plane];
        let taps = (from / size.max(1)).max(1);
        let share = 1.0 / (taps * taps) as f32;
        let step = 2.0 / (size * taps) as f64;
        for place in 0..plane {
            let (row, column) = (place / size, place % size);
            let mut sum = [0.0f32; 3];
            for tap in 0..taps * taps {
                let x = ((column * taps + tap % taps) as f64 + 0.5) * step - 1.0;
                let y = ((row * taps + tap / taps) as f64 + 0.5) * step - 1.0;
                let [x, y] = self.back.map(|[by_x, by_y, shift]| by_x * x + by_y * y + shift);
                let colour = bilinear(pixels, from, if flipped { -x } else { x }, y);
                sum.iter_mut().zip(colour).for_each(|(sum, value)| *sum += value);
            }
            let mean = sum.map(|sum| sum * share / 127.5 - 1.0);
            for (channel, row) in self.colours.iter().enumerate() {
                planes[channel * plane + place] = row.iter().zip(mean).map(|(factor, value)| factor * value).sum();
            }
        }
        planes
    }
}

/// The colour of a square picture between its pixels, from 0 to 255; `x` and `y` run from −1 to 1 over its sides.
fn bilinear(pixels: &[u8], side: usize, x: f64, y: f64) -> [f32; 3] {
    let last = side.saturating_sub(1) as f64;
    let [x, y] = [x, y].map(|at| ((at + 1.0) / 2.0 * side as f64 - 0.5).clamp(0.0, last));
    let (left, top) = (x as usize, y as usize);
    let (right, bottom) = ((left + 1).min(side - 1), (top + 1).min(side - 1));
    let (to_right, down) = ((x - left as f64) as f32, (y - top as f64) as f32);
    let pixel = |row: usize, column: usize| -> [f32; 3] {
        let at = (row * side + column) * 3;
        [0, 1, 2].map(|channel| pixels.get(at + channel).copied().map_or(0.0, f32::from))
    };
    let (a, b, c, d) = (pixel(top, left), pixel(top, right), pixel(bottom, left), pixel(bottom, right));
    [0, 1, 2].map(|k| {
        let (above, below) = (a[k] + (b[k] - a[k]) * to_right, c[k] + (d[k] - c[k]) * to_right);
        above + (below - above) * down
    })
}

/// Turns colours about the axis of greys (Rodrigues' formula), by the angle of a direction of length one. White stays white.
fn hue_rotation(cosine: f64, sine: f64) -> [[f32; 3]; 3] {
    let (even, odd) = ((1.0 - cosine) / 3.0, sine / 3.0f64.sqrt());
    let row = [cosine + even, even - odd, even + odd];
    [0, 1, 2].map(|channel: usize| [0, 1, 2].map(|other: usize| row[(other + 3 - channel) % 3] as f32))
}
