//! Convolutions: Winograd's for 3 × 3 kernels, a matrix product for 1 × 1.

use std::cell::RefCell;

use pulp::{Simd, WithSimd};

use super::gemm::{PANEL, Rows, multiply, packed_columns};
use super::math::{load, silu, store as put};
use super::parallel::{Shared, filled, for_each, threads};
use super::width::arch;
use super::winograd::{Grid, InputTransform, KernelTransform, Matrix, OutputTransform, Taps, gather, transform};
use crate::kernels::spec::{LARGEST_ACTIVATION, Packing, Tile, padded};

/// What follows the convolution, with the numbers that it needs.
#[derive(Clone, Copy)]
pub enum BoundEpilogue<'a> {
    Plain,
    Activate,
    Modulate(&'a [f32]),
    Blend { main: f32, path: &'a [f32] },
}

/// At most so many tiles, or positions of a 1 × 1 convolution, are worked on at once: their scratch memory stays in the
/// cache.
const MOST_TILES: usize = 24;
const MOST_POSITIONS: usize = 96;

/// Brings a kernel `[outputs, inputs, side, side]` into the order of [`convolve`]: `[frequencies, inputs, outputs]`, packed.
pub fn pack(weight: &[f32], factor: f32, spec: Packing) -> (Vec<f32>, [usize; 3]) {
    let Packing { outputs, inputs, side, .. } = spec;
    let taps = Taps { weight, side, inputs, outputs, turned: false };
    pack_taps(taps, factor, padded(inputs), spec.tile())
}

/// A kernel for activations of `rows` channels, cut into tiles if it is 3 × 3, packed: its numbers and their shape.
pub fn pack_taps(taps: Taps<'_>, factor: f32, rows: usize, tile: Option<Tile>) -> (Vec<f32>, [usize; 3]) {
    assert!(taps.inputs() <= rows && tile.is_some() == (taps.side == 3), "a kernel of another shape");
    let columns = packed_columns(taps.outputs());
    let frequencies = tile.map_or(1, Tile::frequencies);
    let mut values = vec![0.0; frequencies * rows * columns];
    let shared = Shared::new(&mut values);
    for_each(columns / PANEL, |panel| match tile {
        Some(Tile::Large) => arch().dispatch(Pack::<6> { taps, factor, rows, columns, panel, out: shared }),
        Some(Tile::Small) => arch().dispatch(Pack::<4> { taps, factor, rows, columns, panel, out: shared }),
        None => arch().dispatch(Pack::<1> { taps, factor, rows, columns, panel, out: shared }),
    });
    (values, [frequencies, rows, columns])
}

/// A panel of a kernel: some output channels of it.
struct Pack<'a, const IN: usize> {
    taps: Taps<'a>,
    factor: f32,
    rows: usize,
    columns: usize,
    panel: usize,
    out: Shared<'a>,
}

impl<const IN: usize> WithSimd for Pack<'_, IN>
where
    KernelTransform: Matrix<3, IN>,
{
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // indices into arrays in registers
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { taps, factor, rows, columns, panel, out } = self;
        let factor = simd.splat_f32s(factor);
        for input in 0..taps.inputs() {
            let gathered = taps.gather::<PANEL>(panel * PANEL, input);
            for lane in (0..PANEL).step_by(S::F32_LANES) {
                let mut values = [[simd.splat_f32s(0.0); 3]; 3];
                for (tap, numbers) in gathered.iter().enumerate() {
                    values[tap / 3][tap % 3] = simd.mul_f32s(factor, load(simd, numbers, lane));
                }
                let transformed: [[S::f32s; IN]; IN] = transform::<KernelTransform, _, _, _>(simd, values);
                for y in 0..IN {
                    for x in 0..IN {
                        let at = (y * IN + x) * rows * columns + (panel * rows + input) * PANEL + lane;
                        // SAFETY: every panel has places of its own: `pack_taps` sees to it that there is a row for every input.
                        put(simd, unsafe { out.slice(at, S::F32_LANES) }, transformed[y][x]);
                    }
                }
            }
        }
    }
}

/// Convolves `x`, `[batch, rows, columns, channels]`, with a packed kernel, to `outputs` channels.
pub fn convolve(
    x: &[f32],
    dims: [usize; 4],
    weight: &[f32],
    packed: [usize; 3],
    outputs: usize,
    epilogue: BoundEpilogue<'_>,
) -> Vec<f32> {
    let [batch, rows, columns, inputs] = dims;
    let [frequencies, packed_inputs, packed_outputs] = packed;
    assert_eq!(packed_inputs, inputs, "the kernel was packed for other activations");
    assert_eq!(packed_outputs, packed_columns(outputs), "the kernel was packed for other channels");
    let tile = Tile::of(frequencies);
    assert_eq!(frequencies, tile.map_or(1, Tile::frequencies), "the kernel was not packed for these");
    let tiles = batch * Grid::new(rows, columns, tile.map_or(1, Tile::outputs)).tiles();
    let most = if tile.is_some() { MOST_TILES } else { MOST_POSITIONS };
    let at_once = tiles.div_ceil(threads()).next_multiple_of(6).min(most).max(1);
    filled(batch * rows * columns * outputs, |out| {
        for_each(tiles.div_ceil(at_once), |item| {
            let count = at_once.min(tiles - item * at_once);
            let scratch =
                [if tile.is_none() { 0 } else { inputs }, packed_outputs].map(|width| frequencies * count * width);
            with_scratch(scratch, |transformed, products| {
                let work = Work {
                    x,
                    dims,
                    weight,
                    packed_outputs,
                    outputs,
                    epilogue,
                    out,
                    first: item * at_once,
                    count,
                    transformed,
                    products,
                };
                match tile {
                    Some(Tile::Large) => arch().dispatch(Tiles::<6, 4>(work)),
                    Some(Tile::Small) => arch().dispatch(Tiles::<4, 2>(work)),
                    None => arch().dispatch(Positions(work)),
                }
            });
        });
    })
}

/// Some of the tiles of a convolution.
struct Work<'a> {
    x: &'a [f32],
    dims: [usize; 4],
    weight: &'a [f32],
    packed_outputs: usize,
    outputs: usize,
    epilogue: BoundEpilogue<'a>,
    out: Shared<'a>,
    first: usize,
    count: usize,
    transformed: &'a mut [f32],
    products: &'a mut [f32],
}

thread_local! {
    /// Transformed inputs and products, kept from one convolution to the next.
    static SCRATCH: RefCell<[Vec<f32>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

fn with_scratch(lengths: [usize; 2], work: impl FnOnce(&mut [f32], &mut [f32])) {
    SCRATCH.with_borrow_mut(|scratch| {
        for (scratch, length) in scratch.iter_mut().zip(lengths) {
            if scratch.len() < length {
                scratch.resize(length, 0.0);
            }
        }
        let [a, b] = scratch;
        work(&mut a[..lengths[0]], &mut b[..lengths[1]]);
    });
}

/// A 1 × 1 convolution.
struct Positions<'a>(Work<'a>);

impl WithSimd for Positions<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Work { x, dims, weight, packed_outputs, outputs, epilogue, out, first, count, products, .. } = self.0;
        let inputs = dims[3];
        let a = Rows { values: &x[first * inputs..], stride: inputs, step: 1, count };
        multiply::<S, false>(simd, a, weight, inputs, packed_outputs, products);
        for (index, row) in products.chunks_exact(packed_outputs).enumerate() {
            let at = (first + index) * outputs;
            // SAFETY: every position belongs to one piece of work.
            let into = unsafe { out.slice(at, outputs) };
            for channel in (0..outputs).step_by(S::F32_LANES) {
                let value = load(simd, &row[..outputs], channel);
                put(simd, &mut into[channel..], epilogue.apply(simd, value, at, channel, outputs));
            }
        }
    }
}

/// A 3 × 3 convolution in tiles of `OUT` × `OUT` outputs and `IN` × `IN` inputs.
struct Tiles<'a, const IN: usize, const OUT: usize>(Work<'a>);

impl<const IN: usize, const OUT: usize> WithSimd for Tiles<'_, IN, OUT>
where
    InputTransform: Matrix<IN, IN>,
    OutputTransform: Matrix<IN, OUT>,
{
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Work { x, dims, weight, packed_outputs, outputs, epilogue, out, first, count, transformed, products } =
            self.0;
        let [_, rows, columns, inputs] = dims;
        let grid = Grid::new(rows, columns, OUT);
        let zero = simd.splat_f32s(0.0);
        for index in 0..count {
            let place = grid.place(first + index);
            for channel in (0..inputs).step_by(S::F32_LANES) {
                let values: [[S::f32s; IN]; IN] =
                    transform::<InputTransform, _, _, _>(simd, gather::<_, IN>(simd, x, dims, place, 1, channel));
                for y in 0..IN {
                    for x_at in 0..IN {
                        let at = ((y * IN + x_at) * count + index) * inputs;
                        put(simd, &mut transformed[at + channel..at + inputs], values[y][x_at]);
                    }
                }
            }
        }
        for frequency in 0..IN * IN {
            let a = Rows {
                values: &transformed[frequency * count * inputs..(frequency + 1) * count * inputs],
                stride: inputs,
                step: 1,
                count,
            };
            let b = &weight[frequency * inputs * packed_outputs..(frequency + 1) * inputs * packed_outputs];
            let into = &mut products[frequency * count * packed_outputs..(frequency + 1) * count * packed_outputs];
            multiply::<S, false>(simd, a, b, inputs, packed_outputs, into);
        }
        for index in 0..count {
            let (picture, top, left) = grid.place(first + index);
            for channel in (0..outputs).step_by(S::F32_LANES) {
                let mut values = [[zero; IN]; IN];
                for y in 0..IN {
                    for x_at in 0..IN {
                        let at = ((y * IN + x_at) * count + index) * packed_outputs;
                        values[y][x_at] = load(simd, &products[at..at + packed_outputs], channel);
                    }
                }
                let values: [[S::f32s; OUT]; OUT] = transform::<OutputTransform, _, _, _>(simd, values);
                for y in 0..OUT {
                    for x_at in 0..OUT {
                        if top + y < rows && left + x_at < columns {
                            let at = ((picture * rows + top + y) * columns + left + x_at) * outputs;
                            // SAFETY: every position belongs to one tile, and every tile to one piece of work.
                            let into = unsafe { out.slice(at + channel, outputs - channel) };
                            put(simd, into, epilogue.apply(simd, values[y][x_at], at, channel, outputs));
                        }
                    }
                }
            }
        }
    }
}

impl BoundEpilogue<'_> {
    /// Finishes the channels from `channel` on of the position that starts at `at`.
    #[inline(always)]
    fn apply<S: Simd>(&self, simd: S, value: S::f32s, at: usize, channel: usize, outputs: usize) -> S::f32s {
        match self {
            Self::Plain => value,
            Self::Activate => silu(simd, value),
            Self::Modulate(modulation) => {
                let factor = simd.add_f32s(simd.splat_f32s(1.0), load(simd, &modulation[..outputs], channel));
                silu(simd, simd.mul_f32s(value, factor))
            }
            Self::Blend { main, path } => {
                let path = load(simd, &path[at..at + outputs], channel);
                let sum = simd.mul_add_e_f32s(simd.splat_f32s(*main), path, value);
                let most = simd.splat_f32s(LARGEST_ACTIVATION);
                // In this order what is no number stays none: x86 gives the second operand back then.
                simd.max_f32s(simd.neg_f32s(most), simd.min_f32s(most, sum))
            }
        }
    }
}
