//! The transforms of Winograd's algorithm (see [`crate::kernels::spec::Tile`]), for vectors of channels.

#[cfg(not(target_family = "wasm"))]
pub mod back;

use pulp::Simd;

use super::gemm::PANEL;
use super::math::load;

const _: () = assert!(PANEL == 16, "no vector is wider");

/// The tiles that pictures of one size are cut into.
#[derive(Clone, Copy)]
pub struct Grid {
    down: usize,
    across: usize,
    tile: usize,
}

impl Grid {
    /// For pictures of so many rows and columns, and tiles of `tile` × `tile`.
    pub fn new(rows: usize, columns: usize, tile: usize) -> Self {
        Self { down: rows.div_ceil(tile), across: columns.div_ceil(tile), tile }
    }

    /// Tiles of a picture.
    pub fn tiles(&self) -> usize {
        self.down * self.across
    }

    /// Picture, first row and first column of a tile's outputs.
    #[inline(always)]
    pub fn place(&self, tile: usize) -> (usize, usize, usize) {
        let Self { down, across, tile: side } = *self;
        (tile / (down * across), tile / across % down * side, tile % across * side)
    }
}

/// A kernel `[outputs, inputs, side, side]`, as it is or turned: half around, and outputs and inputs exchanged. The
/// turned kernel brings gradients back from outputs to inputs.
#[derive(Clone, Copy)]
pub struct Taps<'a> {
    pub weight: &'a [f32],
    pub side: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub turned: bool,
}

impl Taps<'_> {
    /// Channels that the kernel, turned or not, takes.
    pub fn inputs(&self) -> usize {
        if self.turned { self.outputs } else { self.inputs }
    }

    /// Channels that it gives.
    pub fn outputs(&self) -> usize {
        if self.turned { self.inputs } else { self.outputs }
    }

    /// The taps of `N` output channels from `first` on, for one input channel: zeros where there is none.
    #[inline(always)]
    pub fn gather<const N: usize>(&self, first: usize, input: usize) -> [[f32; N]; 9] {
        let count = self.side * self.side;
        let mut gathered = [[0.0; N]; 9];
        #[allow(clippy::needless_range_loop)] // it counts channels too
        for lane in 0..N.min(self.outputs().saturating_sub(first)) {
            let (row, column) = if self.turned { (input, first + lane) } else { (first + lane, input) };
            let start = (row * self.inputs + column) * count;
            for (tap, value) in self.weight[start..start + count].iter().enumerate() {
                gathered[if self.turned { count - 1 - tap } else { tap }][lane] = *value;
            }
        }
        gathered
    }
}

/// Some channels of the `N` × `N` positions from `border` rows and columns before a place on; zeros outside the picture.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // indices into arrays in registers, here and below
pub fn gather<S: Simd, const N: usize>(
    simd: S,
    x: &[f32],
    [_, rows, columns, channels]: [usize; 4],
    (picture, top, left): (usize, usize, usize),
    border: usize,
    channel: usize,
) -> [[S::f32s; N]; N] {
    let mut values = [[simd.splat_f32s(0.0); N]; N];
    for y in 0..N {
        let row = (top + y).wrapping_sub(border);
        if row >= rows {
            continue;
        }
        for x_at in 0..N {
            let column = (left + x_at).wrapping_sub(border);
            if column < columns {
                let at = ((picture * rows + row) * columns + column) * channels;
                values[y][x_at] = load(simd, &x[at..at + channels], channel);
            }
        }
    }
    values
}

#[inline(always)]
fn add<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.add_f32s(a, b)
}

#[inline(always)]
fn sub<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    simd.sub_f32s(a, b)
}

/// `factor · a`.
#[inline(always)]
fn scale<S: Simd>(simd: S, factor: f32, a: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), a)
}

/// `factor · a + plus`.
#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, a: S::f32s, plus: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), a, plus)
}

/// One of the algorithm's matrices, by its product with a column of numbers.
pub trait Matrix<const FROM: usize, const TO: usize> {
    fn times<S: Simd>(simd: S, column: [S::f32s; FROM]) -> [S::f32s; TO];
}

/// `M v Mᵀ`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub fn transform<M: Matrix<FROM, TO>, S: Simd, const FROM: usize, const TO: usize>(
    simd: S,
    values: [[S::f32s; FROM]; FROM],
) -> [[S::f32s; TO]; TO] {
    let mut half = [[simd.splat_f32s(0.0); FROM]; TO];
    for column in 0..FROM {
        let mut line = values[0];
        for row in 0..FROM {
            line[row] = values[row][column];
        }
        let line = M::times(simd, line);
        for row in 0..TO {
            half[row][column] = line[row];
        }
    }
    let mut out = [[simd.splat_f32s(0.0); TO]; TO];
    for row in 0..TO {
        out[row] = M::times(simd, half[row]);
    }
    out
}

/// `Bᵀ`: from inputs to frequencies.
pub struct InputTransform;

impl Matrix<6, 6> for InputTransform {
    #[inline(always)]
    fn times<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let (even, odd) = (times(simd, -4.0, d[2], d[4]), times(simd, -4.0, d[1], d[3]));
        let (outer, inner) = (sub(simd, d[4], d[2]), sub(simd, d[3], d[1]));
        [
            times(simd, 4.0, d[0], times(simd, -5.0, d[2], d[4])),
            add(simd, even, odd),
            sub(simd, even, odd),
            times(simd, 2.0, inner, outer),
            times(simd, -2.0, inner, outer),
            times(simd, 4.0, d[1], times(simd, -5.0, d[3], d[5])),
        ]
    }
}

impl Matrix<4, 4> for InputTransform {
    #[inline(always)]
    fn times<S: Simd>(simd: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
        [sub(simd, d[0], d[2]), add(simd, d[1], d[2]), sub(simd, d[2], d[1]), sub(simd, d[1], d[3])]
    }
}

/// `Aᵀ`: from frequencies to outputs.
pub struct OutputTransform;

impl Matrix<6, 4> for OutputTransform {
    #[inline(always)]
    fn times<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let (sum, difference) = (add(simd, m[1], m[2]), sub(simd, m[1], m[2]));
        let (far_sum, far_difference) = (add(simd, m[3], m[4]), sub(simd, m[3], m[4]));
        [
            add(simd, m[0], add(simd, sum, far_sum)),
            times(simd, 2.0, far_difference, difference),
            times(simd, 4.0, far_sum, sum),
            add(simd, m[5], times(simd, 8.0, far_difference, difference)),
        ]
    }
}

impl Matrix<4, 2> for OutputTransform {
    #[inline(always)]
    fn times<S: Simd>(simd: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
        [add(simd, m[0], add(simd, m[1], m[2])), sub(simd, sub(simd, m[1], m[2]), m[3])]
    }
}

/// `G`: from a kernel's taps to frequencies.
pub struct KernelTransform;

impl Matrix<3, 6> for KernelTransform {
    #[inline(always)]
    fn times<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 6] {
        let outer = scale(simd, -1.0 / 6.0, add(simd, a, c));
        let far = times(simd, 1.0 / 24.0, a, scale(simd, 1.0 / 6.0, c));
        [
            scale(simd, 0.25, a),
            times(simd, -1.0 / 6.0, b, outer),
            times(simd, 1.0 / 6.0, b, outer),
            times(simd, 1.0 / 12.0, b, far),
            times(simd, -1.0 / 12.0, b, far),
            c,
        ]
    }
}

impl Matrix<3, 4> for KernelTransform {
    #[inline(always)]
    fn times<S: Simd>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; 4] {
        let outer = scale(simd, 0.5, add(simd, a, c));
        [a, times(simd, 0.5, b, outer), times(simd, -0.5, b, outer), c]
    }
}

/// A kernel of 1 × 1 is its only tap.
impl Matrix<3, 1> for KernelTransform {
    #[inline(always)]
    fn times<S: Simd>(_: S, [a, ..]: [S::f32s; 3]) -> [S::f32s; 1] {
        [a]
    }
}
