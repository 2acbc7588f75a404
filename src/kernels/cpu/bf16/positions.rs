//! A convolution: positions times a kernel.

use super::super::parallel::{filled, for_each};
use super::super::winograd::Taps;
use super::amx::{Amx, BLOCK, Rows, STEP, Sums, Tiles};
use super::grid::Grid;
use super::pack::{self, Buffer, STEP_NUMBERS};

/// Blocks of places that a thread takes at once.
const AT_ONCE: usize = 8;

/// Convolves `x`, `[batch, rows, columns, channels]`, with a kernel of side 1 or 3 that keeps rows and columns.
pub fn convolve(amx: Amx, x: &[f32], dims: [usize; 4], taps: Taps<'_>) -> Vec<f32> {
    let [batch, rows, columns, channels] = dims;
    let grid = Grid::new([batch, rows, columns], taps.side);
    let (from, kernel) = (pack::positions(x, grid, channels), pack::kernel(taps));
    let wide = channels.next_multiple_of(STEP);
    let offsets: Vec<isize> = grid.taps().map(|tap| tap * (wide * size_of::<u16>()) as isize).collect();
    let (blocks, outputs) = (grid.places() / BLOCK, taps.outputs());
    filled(batch * rows * columns * outputs, |out| {
        for_each(blocks.div_ceil(AT_ONCE), |item| {
            amx.with_tiles(|tiles| {
                for block in item * AT_ONCE..blocks.min((item + 1) * AT_ONCE) {
                    let product = Product { tiles, from: &from, kernel: &kernel, grid, wide, offsets: &offsets };
                    let positions: [_; BLOCK] = std::array::from_fn(|row| grid.position(block * BLOCK + row));
                    for (index, first) in (0..outputs).step_by(BLOCK).enumerate() {
                        let sums = product.block(block, index);
                        let width = BLOCK.min(outputs - first);
                        for (position, sums) in positions.iter().zip(&sums.0) {
                            if let Some(position) = position {
                                // SAFETY: every position lies at one place only.
                                let into = unsafe { out.slice(position * outputs + first, width) };
                                into.copy_from_slice(&sums[..width]);
                            }
                        }
                    }
                }
            });
        });
    })
}

/// The two factors.
struct Product<'a> {
    tiles: &'a Tiles,
    from: &'a Buffer,
    kernel: &'a Buffer,
    grid: Grid,
    wide: usize,
    offsets: &'a [isize],
}

impl Product<'_> {
    /// The sums of a block of places and one of outputs.
    fn block(&self, places: usize, outputs: usize) -> Sums {
        let steps = self.wide / STEP;
        let start = self.from.at((self.grid.margin() + places * BLOCK) * self.wide);
        let a = Rows { start, stride: self.wide * size_of::<u16>() };
        let b = self.kernel.at(outputs * self.offsets.len() * steps * STEP_NUMBERS);
        let mut sums = Sums([[0.0; BLOCK]; BLOCK]);
        // SAFETY: places have a margin before and behind them that every tap stays within, and the kernel has all its
        // blocks in full.
        unsafe { self.tiles.multiply(a, self.offsets, steps, b, &mut sums, false) };
        sums
    }
}
