//! From f32 to the orders of bf16 that the tiles want.

use pulp::{Simd, WithSimd};

use super::super::parallel::{Shared, for_each};
use super::super::width::arch;
use super::super::winograd::Taps;
use super::amx::{BLOCK, STEP};
use super::grid::Grid;

/// Rows of a tile, of pairs of numbers, and its columns.
const TILE: usize = 16;
/// Numbers of a step's two tiles.
pub const STEP_NUMBERS: usize = 2 * STEP * TILE;
/// Numbers of a cache line.
const LINE: usize = 32;

/// The nearest bf16, ties to even, as its bits. Infinities stay what they are, and what is no number stays none.
#[inline(always)]
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    // Adding could carry the highest payloads of a NaN over into a zero.
    let bits = if value.is_nan() { f32::NAN.to_bits() } else { bits };
    (bits + 0x7fff + (bits >> 16 & 1)) >> 16
}

/// Two numbers as a pair of bf16, the first in the lower half.
#[inline(always)]
fn pair(low: f32, high: f32) -> u32 {
    rounded(low) | rounded(high) << 16
}

/// Memory for bf16 numbers that starts where a cache line does: a tile's row then never lies across two.
pub struct Buffer(Vec<Line>);

#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u16; LINE]);

impl Buffer {
    /// A buffer of `length` numbers, every one of which `fill` writes, given them or them in pairs.
    fn filled(length: usize, fill: impl FnOnce(Shared<'_, u16>, Shared<'_, u32>)) -> Self {
        let mut lines: Vec<Line> = Vec::with_capacity(length.div_ceil(LINE));
        let start = lines.as_mut_ptr();
        // SAFETY: room for so many numbers, at an alignment that is higher than theirs, and the vector outlives `fill`.
        let (numbers, pairs) = unsafe { (Shared::at(start.cast(), length), Shared::at(start.cast(), length / 2)) };
        fill(numbers, pairs);
        assert!(length.is_multiple_of(LINE), "whole lines");
        // SAFETY: they have been written.
        unsafe { lines.set_len(length / LINE) };
        Self(lines)
    }

    /// The number at `index`.
    pub fn at(&self, index: usize) -> *const u16 {
        assert!(index <= self.0.len() * LINE);
        // SAFETY: inside, as just checked, or one behind it.
        unsafe { self.0.as_ptr().cast::<u16>().add(index) }
    }
}

/// Positions by channels, `[margin + places + margin, channels in whole steps]`: the left factor of a convolution.
pub fn positions(x: &[f32], grid: Grid, channels: usize) -> Buffer {
    let (wide, margin) = (channels.next_multiple_of(STEP), grid.margin());
    let length = 2 * margin + grid.places();
    Buffer::filled(length * wide, |numbers, _| {
        for_each(length.div_ceil(AT_ONCE), |item| {
            for place in item * AT_ONCE..length.min((item + 1) * AT_ONCE) {
                // SAFETY: every place has numbers of its own.
                let into = unsafe { numbers.slice(place * wide, wide) };
                match place.checked_sub(margin).and_then(|place| grid.position(place)) {
                    Some(position) => {
                        let from = &x[position * channels..(position + 1) * channels];
                        arch().dispatch(Round { from, into });
                    }
                    None => into.fill(0),
                }
            }
        });
    })
}

/// Places that a thread fills at once.
const AT_ONCE: usize = 64;

/// Rounds numbers, and fills up with zeros.
struct Round<'a> {
    from: &'a [f32],
    into: &'a mut [u16],
}

impl WithSimd for Round<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (into, rest) = self.into.split_at_mut(self.from.len());
        for (into, from) in into.iter_mut().zip(self.from) {
            *into = rounded(*from) as u16;
        }
        rest.fill(0);
    }
}

/// A kernel as the right factor of a convolution: `[outputs in blocks, taps, inputs in steps, 2, 16 pairs of inputs, 16
/// outputs]`.
pub fn kernel(taps: Taps<'_>) -> Buffer {
    let count = taps.side * taps.side;
    let (blocks, steps) = (taps.outputs().div_ceil(BLOCK), taps.inputs().div_ceil(STEP));
    Buffer::filled(blocks * count * steps * STEP_NUMBERS, |_, pairs| {
        for_each(blocks * steps, |item| {
            let (block, step) = (item / steps, item % steps);
            arch().dispatch(Pack { taps, first_output: block * BLOCK, first_input: step * STEP, steps, into: pairs });
        });
    })
}

/// A kernel's taps between some outputs and some inputs.
struct Pack<'a> {
    taps: Taps<'a>,
    first_output: usize,
    first_input: usize,
    steps: usize,
    into: Shared<'a, u32>,
}

impl WithSimd for Pack<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { taps, first_output, first_input, steps, into } = self;
        let count = taps.side * taps.side;
        // Rows of the weight, rounded: those of its outputs or, turned, of its inputs, and what of them is needed here.
        let (first_row, first_column) =
            if taps.turned { (first_input, first_output) } else { (first_output, first_input) };
        let mut rows = [[0_u16; MOST_TAPS * BLOCK]; BLOCK];
        let width = BLOCK.min(taps.inputs - first_column) * count;
        for (row, into) in (first_row..taps.outputs).zip(&mut rows) {
            let from = &taps.weight[(row * taps.inputs + first_column) * count..][..width];
            for (into, from) in into.iter_mut().zip(from) {
                *into = rounded(*from) as u16;
            }
        }
        let (block, step) = (first_output / BLOCK, first_input / STEP);
        for tap in 0..count {
            let at = (block * count + tap) * steps + step;
            // SAFETY: every block, tap and step has numbers of its own.
            let into = unsafe { into.slice(at * STEP_NUMBERS / 2, STEP_NUMBERS / 2) };
            let from = if taps.turned { count - 1 - tap } else { tap };
            for (index, into) in into.chunks_exact_mut(TILE).enumerate() {
                let (tile, pair) = (index / TILE, index % TILE);
                for (column, into) in into.iter_mut().enumerate() {
                    let output = tile * TILE + column;
                    let [low, high] = if taps.turned {
                        [rows[2 * pair][output * count + from], rows[2 * pair + 1][output * count + from]]
                    } else {
                        [rows[output][2 * pair * count + from], rows[output][(2 * pair + 1) * count + from]]
                    };
                    *into = u32::from(low) | u32::from(high) << 16;
                }
            }
        }
    }
}

/// Taps of the largest kernel.
const MOST_TAPS: usize = 9;

/// Channels by positions, `[channels in blocks, row]`: the left factor of a kernel's gradient. Place 0 lies `lead`
/// numbers into a row.
pub struct Turned {
    pub numbers: Buffer,
    pub row: usize,
    pub lead: usize,
}

/// See [`Turned`].
pub fn turned(x: &[f32], grid: Grid, channels: usize) -> Turned {
    let lead = grid.margin().next_multiple_of(LINE);
    // An odd number of cache lines a row: at an even one the sixteen rows of a tile would meet in a few sets of the cache.
    let lines = (lead + grid.places() + grid.margin()).div_ceil(LINE) | 1;
    let (row, end) = (lines * LINE, lead + grid.places());
    let wide = channels.next_multiple_of(BLOCK);
    let numbers = Buffer::filled(wide * row, |numbers, pairs| {
        for channel in 0..wide {
            // SAFETY: nobody else writes before the first place or behind the last one.
            let (before, behind) =
                unsafe { (numbers.slice(channel * row, lead), numbers.slice(channel * row + end, row - end)) };
            before.fill(0);
            behind.fill(0);
        }
        for_each(grid.places() / STEP, |step| {
            let rows = PositionRows::new(x, grid, channels, step);
            for first in (0..wide).step_by(TILE) {
                let tile = rows.tile(first);
                for column in 0..TILE {
                    // SAFETY: every channel and step has numbers of its own.
                    let into = unsafe { pairs.slice(((first + column) * row + lead + step * STEP) / 2, TILE) };
                    for (into, pairs) in into.iter_mut().zip(&tile) {
                        *into = pairs[column];
                    }
                }
            }
        });
    });
    Turned { numbers, row, lead }
}

/// Positions by channels in pairs of positions, `[channels in blocks, places in steps, 2, 16 pairs, 16 channels]`: the
/// right factor of a kernel's gradient.
pub fn pairs(x: &[f32], grid: Grid, channels: usize) -> Buffer {
    let (steps, tiles) = (grid.places() / STEP, channels.next_multiple_of(BLOCK) / TILE);
    Buffer::filled(tiles / 2 * steps * STEP_NUMBERS, |_, pairs| {
        for_each(steps, |step| {
            let rows = PositionRows::new(x, grid, channels, step);
            for tile in 0..tiles {
                let at = ((tile / 2 * steps + step) * 2 + tile % 2) * TILE * TILE;
                // SAFETY: as above.
                let into = unsafe { pairs.slice(at, TILE * TILE) };
                into.copy_from_slice(rows.tile(tile * TILE).as_flattened());
            }
        });
    })
}

/// The positions of a step's places.
struct PositionRows<'a> {
    rows: [&'a [f32]; STEP],
}

impl<'a> PositionRows<'a> {
    fn new(x: &'a [f32], grid: Grid, channels: usize, step: usize) -> Self {
        let row = |index| match grid.position(step * STEP + index) {
            Some(position) => &x[position * channels..(position + 1) * channels],
            None => &[][..],
        };
        Self { rows: std::array::from_fn(row) }
    }

    /// Sixteen channels from `first` on, in pairs of places.
    fn tile(&self, first: usize) -> [[u32; TILE]; TILE] {
        let mut tile = [[0; TILE]; TILE];
        arch().dispatch(Tile { rows: &self.rows, first, into: &mut tile });
        tile
    }
}

struct Tile<'a> {
    rows: &'a [&'a [f32]; STEP],
    first: usize,
    into: &'a mut [[u32; TILE]; TILE],
}

impl WithSimd for Tile<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for (into, rows) in self.into.iter_mut().zip(self.rows.chunks_exact(2)) {
            let [low, high] = [sixteen(rows[0], self.first), sixteen(rows[1], self.first)];
            for ((into, low), high) in into.iter_mut().zip(low).zip(high) {
                *into = pair(low, high);
            }
        }
    }
}

/// Sixteen numbers of a row, with zeros for those that it does not have.
#[inline(always)]
fn sixteen(row: &[f32], first: usize) -> [f32; TILE] {
    let rest = row.get(first..).unwrap_or_default();
    match rest.first_chunk() {
        Some(numbers) => *numbers,
        None => {
            let mut numbers = [0.0; TILE];
            numbers.iter_mut().zip(rest).for_each(|(into, from)| *into = *from);
            numbers
        }
    }
}
