//! The gradient of a kernel: channels times positions.

use super::super::parallel::{filled, for_each};
use super::amx::{Amx, BLOCK, Rows, STEP, Sums};
use super::grid::Grid;
use super::pack::{self, STEP_NUMBERS};

/// Steps before the next tap's turn: with a row of taps, as much of both factors as the innermost cache holds beside
/// the sums.
const STEPS: usize = 8;

/// The gradient of a kernel `[outputs, inputs, side, side]`, from its input `[batch, rows, columns, inputs]` and the
/// gradient of its output.
pub fn gradient(amx: Amx, x: &[f32], dims: [usize; 4], gradient: &[f32], outputs: usize, side: usize) -> Vec<f32> {
    let [batch, rows, columns, inputs] = dims;
    let grid = Grid::new([batch, rows, columns], side);
    let (a, b) = (pack::turned(x, grid, inputs), pack::pairs(gradient, grid, outputs));
    let taps: Vec<isize> = grid.taps().collect();
    let (input_blocks, output_blocks) = (inputs.div_ceil(BLOCK), outputs.div_ceil(BLOCK));
    let (steps, count) = (grid.places() / STEP, side * side);
    filled(outputs * inputs * count, |out| {
        for_each(input_blocks * output_blocks * side, |item| {
            let (block, tap_row) = (item / side, item % side);
            let (first_input, first_output) = (block / output_blocks * BLOCK, block % output_blocks * BLOCK);
            let taps = &taps[tap_row * side..(tap_row + 1) * side];
            let mut sums = vec![Sums([[0.0; BLOCK]; BLOCK]); side];
            amx.with_tiles(|tiles| {
                for step in (0..steps).step_by(STEPS) {
                    let b = b.at((first_output / BLOCK * steps + step) * STEP_NUMBERS);
                    for (tap, sums) in taps.iter().zip(&mut sums) {
                        let place = (a.lead + step * STEP).wrapping_add_signed(*tap);
                        let rows =
                            Rows { start: a.numbers.at(first_input * a.row + place), stride: a.row * size_of::<u16>() };
                        // SAFETY: a row has a margin on both sides that every tap stays within, and there are whole
                        // blocks of them.
                        unsafe { tiles.multiply(rows, &[0], STEPS.min(steps - step), b, sums, step > 0) };
                    }
                }
            });
            for (index, output) in (first_output..outputs.min(first_output + BLOCK)).enumerate() {
                for (row, input) in (first_input..inputs.min(first_input + BLOCK)).enumerate() {
                    // SAFETY: every item has inputs, outputs and a row of taps of its own.
                    let into = unsafe { out.slice((output * inputs + input) * count + tap_row * side, side) };
                    for (into, sums) in into.iter_mut().zip(&sums) {
                        *into = sums.0[row][index];
                    }
                }
            }
        });
    })
}
