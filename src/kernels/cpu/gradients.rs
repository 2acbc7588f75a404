//! The gradient of a 3 × 3 kernel, in f32.

use pulp::{Simd, WithSimd};

use super::gemm::{PANEL, Rows, multiply, packed_columns};
use super::math::{load, store};
use super::parallel::{Shared, for_each};
use super::width::arch;
use super::winograd::back::{KernelGradient, OutputGradient};
use super::winograd::{Grid, InputTransform, gather, transform};
use crate::kernels::spec::Tile;

/// Outputs of a tile, and inputs.
const OUT: usize = Tile::Large.outputs();
const IN: usize = Tile::Large.inputs();
/// Transformed numbers that are kept at once: 8 MB, which the caches of desktop processors hold.
const MOST_NUMBERS: usize = 2 << 20;
/// Tiles that a thread transforms at once, and input channels that it multiplies.
const TILES: usize = 8;
const CHANNELS: usize = 96;
/// The gradient of a 3 × 3 kernel, `[outputs, inputs, 3, 3]`, from its input `[batch, rows, columns, inputs]` and the
/// gradient of its output.
pub fn kernel(x: &[f32], dims: [usize; 4], gradient: &[f32], outputs: usize) -> Vec<f32> {
    let [batch, rows, columns, inputs] = dims;
    let (grid, wide) = (Grid::new(rows, columns, OUT), packed_columns(outputs));
    let tiles = batch * grid.tiles();
    let at_once = (MOST_NUMBERS / (IN * IN * (inputs + wide))).max(3 * TILES).min(tiles);
    let mut transformed = vec![0.0; IN * IN * at_once * inputs];
    let mut spread = vec![0.0; IN * IN * at_once * wide];
    let mut sums = vec![0.0; IN * IN * inputs * wide];
    for first in (0..tiles).step_by(at_once.max(1)) {
        let count = at_once.min(tiles - first);
        let (into, spread_into) = (Shared::new(&mut transformed), Shared::new(&mut spread));
        for_each(count.div_ceil(TILES), |group| {
            for index in group * TILES..count.min((group + 1) * TILES) {
                let input = Place { values: x, dims, at: grid.place(first + index), count, index, into };
                let dims = [batch, rows, columns, outputs];
                let output = Place { values: gradient, dims, into: spread_into, ..input };
                arch().dispatch(Transform(input));
                arch().dispatch(Spread(output));
            }
        });
        let groups = inputs.div_ceil(CHANNELS);
        let sums = Shared::new(&mut sums);
        for_each(IN * IN * groups, |item| {
            let (frequency, channel) = (item / groups, item % groups * CHANNELS);
            let channels = CHANNELS.min(inputs - channel);
            let values = &transformed[frequency * count * inputs + channel..(frequency + 1) * count * inputs];
            // SAFETY: every item has rows of its own.
            let into = unsafe { sums.slice((frequency * inputs + channel) * wide, channels * wide) };
            arch().dispatch(Multiply {
                a: Rows { values, stride: 1, step: inputs, count: channels },
                b: &spread[frequency * count * wide..(frequency + 1) * count * wide],
                inner: count,
                columns: wide,
                into,
            });
        });
    }
    let mut out = vec![0.0; outputs * inputs * 9];
    let shared = Shared::new(&mut out);
    for_each(wide / PANEL, |panel| {
        arch().dispatch(Gather { sums: &sums, inputs, outputs, wide, panel, out: shared });
    });
    out
}

/// One of the tiles that are transformed at once.
struct Place<'a> {
    /// `[batch, rows, columns, channels]`, and its shape.
    values: &'a [f32],
    dims: [usize; 4],
    /// Picture, row and column.
    at: (usize, usize, usize),
    /// How many tiles there are, and which one this is.
    count: usize,
    index: usize,
    into: Shared<'a>,
}

/// Brings a tile's inputs to where the products are: `[frequencies, tiles, inputs]`.
struct Transform<'a>(Place<'a>);

impl WithSimd for Transform<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // indices into arrays in registers, here and below
    fn with_simd<S: Simd>(self, simd: S) {
        let Place { values, dims, at, count, index, into } = self.0;
        let inputs = dims[3];
        for channel in (0..inputs).step_by(S::F32_LANES) {
            let tile: [[S::f32s; IN]; IN] =
                transform::<InputTransform, _, _, _>(simd, gather::<_, IN>(simd, values, dims, at, 1, channel));
            for y in 0..IN {
                for x in 0..IN {
                    let to = ((y * IN + x) * count + index) * inputs + channel;
                    // SAFETY: every tile has places of its own, here and below.
                    store(simd, unsafe { into.slice(to, inputs - channel) }, tile[y][x]);
                }
            }
        }
    }
}

/// Brings the gradient of a tile's outputs there, as a packed matrix: `[frequencies, tiles, outputs]`.
struct Spread<'a>(Place<'a>);

impl WithSimd for Spread<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Place { values, dims, at, count, index, into } = self.0;
        let wide = packed_columns(dims[3]);
        for channel in (0..wide).step_by(S::F32_LANES) {
            let mut outputs = [[simd.splat_f32s(0.0); OUT]; OUT];
            if channel < dims[3] {
                outputs = gather(simd, values, dims, at, 0, channel);
            }
            let tile: [[S::f32s; IN]; IN] = transform::<OutputGradient, _, _, _>(simd, outputs);
            for y in 0..IN {
                for x in 0..IN {
                    let panel = (y * IN + x) * count * wide + (channel / PANEL * count + index) * PANEL;
                    // SAFETY: as above.
                    let into = unsafe { into.slice(panel + channel % PANEL, S::F32_LANES) };
                    store(simd, into, tile[y][x]);
                }
            }
        }
    }
}

/// Adds a matrix product.
struct Multiply<'a> {
    a: Rows<'a>,
    b: &'a [f32],
    inner: usize,
    columns: usize,
    into: &'a mut [f32],
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        multiply::<S, true>(simd, self.a, self.b, self.inner, self.columns, self.into);
    }
}

/// Brings a panel of sums back to taps.
struct Gather<'a> {
    sums: &'a [f32],
    inputs: usize,
    outputs: usize,
    wide: usize,
    panel: usize,
    out: Shared<'a>,
}

impl WithSimd for Gather<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { sums, inputs, outputs, wide, panel, out } = self;
        let first = panel * PANEL;
        for input in 0..inputs {
            let mut taps = [[0.0; PANEL]; 9];
            for lane in (0..PANEL).step_by(S::F32_LANES) {
                let mut values = [[simd.splat_f32s(0.0); IN]; IN];
                for y in 0..IN {
                    for x in 0..IN {
                        values[y][x] = load(simd, sums, ((y * IN + x) * inputs + input) * wide + first + lane);
                    }
                }
                let values: [[S::f32s; 3]; 3] = transform::<KernelGradient, _, _, _>(simd, values);
                for y in 0..3 {
                    for x in 0..3 {
                        store(simd, &mut taps[3 * y + x][lane..], values[y][x]);
                    }
                }
            }
            for lane in 0..PANEL.min(outputs - first) {
                // SAFETY: every panel has outputs of its own.
                let into = unsafe { out.slice(((first + lane) * inputs + input) * 9, 9) };
                for tap in 0..9 {
                    into[tap] = taps[tap][lane];
                }
            }
        }
    }
}
