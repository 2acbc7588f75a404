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

/// A kernel `[outputs, inputs, side, side]`, as it is or turned: half around, and outputs and inputs exchanged. The turned kernel
/// brings gradients back from outputs to inputs.
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

/// `Bᵀ d B`, in place.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub fn transform_input<S: Simd, const IN: usize>(simd: S, values: &mut [[S::f32s; IN]; IN]) {
    for column in 0..IN {
        let mut line = values[0];
        for row in 0..IN {
            line[row] = values[row][column];
        }
        line = input_line(simd, line);
        for row in 0..IN {
            values[row][column] = line[row];
        }
    }
    for row in values {
        *row = input_line(simd, *row);
    }
}

/// One row of `Bᵀ`'s products; 6 numbers for large tiles, 4 for small ones.
#[inline(always)]
fn input_line<S: Simd, const IN: usize>(simd: S, d: [S::f32s; IN]) -> [S::f32s; IN] {
    let mut line = d;
    if IN == 6 {
        let (even, odd) = (times(simd, -4.0, d[2], d[4]), times(simd, -4.0, d[1], d[3]));
        let (outer, inner) = (sub(simd, d[4], d[2]), sub(simd, d[3], d[1]));
        line[0] = times(simd, 4.0, d[0], times(simd, -5.0, d[2], d[4]));
        line[1] = add(simd, even, odd);
        line[2] = sub(simd, even, odd);
        line[3] = times(simd, 2.0, inner, outer);
        line[4] = times(simd, -2.0, inner, outer);
        line[5] = times(simd, 4.0, d[1], times(simd, -5.0, d[3], d[5]));
    } else {
        line[0] = sub(simd, d[0], d[2]);
        line[1] = add(simd, d[1], d[2]);
        line[2] = sub(simd, d[2], d[1]);
        line[3] = sub(simd, d[1], d[3]);
    }
    line
}

/// `Aᵀ m A`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub fn transform_output<S: Simd, const IN: usize, const OUT: usize>(
    simd: S,
    values: [[S::f32s; IN]; IN],
) -> [[S::f32s; OUT]; OUT] {
    let mut half = [[simd.splat_f32s(0.0); IN]; OUT];
    for column in 0..IN {
        let mut line = values[0];
        for row in 0..IN {
            line[row] = values[row][column];
        }
        let line: [S::f32s; OUT] = output_line(simd, line);
        for row in 0..OUT {
            half[row][column] = line[row];
        }
    }
    let mut out = [[simd.splat_f32s(0.0); OUT]; OUT];
    for row in 0..OUT {
        out[row] = output_line(simd, half[row]);
    }
    out
}

/// One row of `Aᵀ`'s products.
#[inline(always)]
fn output_line<S: Simd, const IN: usize, const OUT: usize>(simd: S, m: [S::f32s; IN]) -> [S::f32s; OUT] {
    let mut line = [simd.splat_f32s(0.0); OUT];
    if IN == 6 {
        let (sum, difference) = (add(simd, m[1], m[2]), sub(simd, m[1], m[2]));
        let (far_sum, far_difference) = (add(simd, m[3], m[4]), sub(simd, m[3], m[4]));
        line[0] = add(simd, m[0], add(simd, sum, far_sum));
        line[1] = times(simd, 2.0, far_difference, difference);
        line[2] = times(simd, 4.0, far_sum, sum);
        line[3] = add(simd, m[5], times(simd, 8.0, far_difference, difference));
    } else {
        line[0] = add(simd, m[0], add(simd, m[1], m[2]));
        line[1] = sub(simd, sub(simd, m[1], m[2]), m[3]);
    }
    line
}

/// `G g Gᵀ`.
#[inline(always)]
#[allow(clippy::needless_range_loop)]
pub fn transform_kernel<S: Simd, const IN: usize>(simd: S, taps: [[S::f32s; 3]; 3]) -> [[S::f32s; IN]; IN] {
    let mut half = [[simd.splat_f32s(0.0); 3]; IN];
    for column in 0..3 {
        let line: [S::f32s; IN] = kernel_line(simd, [taps[0][column], taps[1][column], taps[2][column]]);
        for row in 0..IN {
            half[row][column] = line[row];
        }
    }
    let mut out = [[simd.splat_f32s(0.0); IN]; IN];
    for row in 0..IN {
        out[row] = kernel_line(simd, half[row]);
    }
    out
}

/// One row of `G`'s products.
#[inline(always)]
fn kernel_line<S: Simd, const IN: usize>(simd: S, [a, b, c]: [S::f32s; 3]) -> [S::f32s; IN] {
    let mut line = [c; IN];
    if IN == 6 {
        let outer = scale(simd, -1.0 / 6.0, add(simd, a, c));
        let far = times(simd, 1.0 / 24.0, a, scale(simd, 1.0 / 6.0, c));
        line[0] = scale(simd, 0.25, a);
        line[1] = times(simd, -1.0 / 6.0, b, outer);
        line[2] = times(simd, 1.0 / 6.0, b, outer);
        line[3] = times(simd, 1.0 / 12.0, b, far);
        line[4] = times(simd, -1.0 / 12.0, b, far);
    } else {
        let outer = scale(simd, 0.5, add(simd, a, c));
        line[0] = a;
        line[1] = times(simd, 0.5, b, outer);
        line[2] = times(simd, -0.5, b, outer);
    }
    line
}
