//! Matrix products: rows of numbers times a packed matrix.

use pulp::Simd;

/// Columns of a panel. A packed matrix is panels of this many columns, each stored row by row, so that the innermost
/// loop reads memory in order. 16 is the widest vector there is.
pub const PANEL: usize = 16;

/// Columns of the packed matrix: whole panels.
pub fn packed_columns(columns: usize) -> usize {
    columns.next_multiple_of(PANEL)
}

/// Where row `row` and column `column` of a matrix with `rows` rows are in its packed form.
#[inline(always)]
pub fn packed_index(row: usize, column: usize, rows: usize) -> usize {
    (column / PANEL) * rows * PANEL + row * PANEL + column % PANEL
}

/// A matrix of which each row starts `stride` numbers after the last one, and each number of a row `step` after the
/// last one.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub values: &'a [f32],
    pub stride: usize,
    pub step: usize,
    pub count: usize,
}

/// `into = a · b`, or `into += a · b`, where `b` is packed and has `inner` rows and `columns` columns, a multiple of
/// [`PANEL`]; `into` has rows of `columns` numbers.
#[inline(always)]
pub fn multiply<S: Simd, const ADD: bool>(
    simd: S,
    a: Rows<'_>,
    b: &[f32],
    inner: usize,
    columns: usize,
    into: &mut [f32],
) {
    assert!(columns.is_multiple_of(PANEL) && b.len() >= inner * columns && into.len() >= a.count * columns);
    assert!(inner > 0 && (a.count == 0 || a.values.len() > (a.count - 1) * a.stride + (inner - 1) * a.step));
    let mut column = 0;
    while column < columns {
        // As many columns at once as two vectors hold: with six rows that fills a register file of sixteen.
        let width = (2 * S::F32_LANES).min(columns - column);
        let mut row = 0;
        while row < a.count {
            let left = a.count - row;
            // SAFETY: the asserts above cover every place that the kernels touch.
            unsafe {
                let a_at = a.values.as_ptr().add(row * a.stride);
                let into_at = into.as_mut_ptr().add(row * columns + column);
                let b = b.as_ptr();
                let block = Block { a: a_at, stride: a.stride, step: a.step, b, column, inner, into: into_at, columns };
                if width == 2 * S::F32_LANES {
                    block.run_rows::<S, 2, ADD>(simd, left);
                } else {
                    block.run_rows::<S, 1, ADD>(simd, left);
                }
            }
            row += left.min(6);
        }
        column += width;
    }
}

/// A few rows and columns of the result, which stay in registers.
struct Block {
    a: *const f32,
    stride: usize,
    step: usize,
    b: *const f32,
    column: usize,
    inner: usize,
    into: *mut f32,
    columns: usize,
}

impl Block {
    /// As many of the `left` rows as fit into registers, six at most.
    ///
    /// # Safety
    /// They and `VECTORS` vectors of columns from `column` on must exist.
    #[inline(always)]
    unsafe fn run_rows<S: Simd, const VECTORS: usize, const ADD: bool>(self, simd: S, left: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match left {
                1 => self.run::<S, 1, VECTORS, ADD>(simd),
                2 => self.run::<S, 2, VECTORS, ADD>(simd),
                3 => self.run::<S, 3, VECTORS, ADD>(simd),
                4 => self.run::<S, 4, VECTORS, ADD>(simd),
                5 => self.run::<S, 5, VECTORS, ADD>(simd),
                _ => self.run::<S, 6, VECTORS, ADD>(simd),
            }
        }
    }

    /// # Safety
    /// `ROWS` rows of `a` and `into` and `VECTORS` vectors of columns from `column` on must exist.
    #[inline(always)]
    #[allow(clippy::needless_range_loop)] // indices into arrays in registers
    unsafe fn run<S: Simd, const ROWS: usize, const VECTORS: usize, const ADD: bool>(self, simd: S) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut start = [self.b; VECTORS];
            for (vector, start) in start.iter_mut().enumerate() {
                *start = self.b.add(packed_index(0, self.column + vector * S::F32_LANES, self.inner));
            }
            let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
            for k in 0..self.inner {
                let mut b = [simd.splat_f32s(0.0); VECTORS];
                for vector in 0..VECTORS {
                    b[vector] = start[vector].add(k * PANEL).cast::<S::f32s>().read_unaligned();
                }
                for row in 0..ROWS {
                    let a = simd.splat_f32s(*self.a.add(row * self.stride + k * self.step));
                    for vector in 0..VECTORS {
                        sums[row][vector] = simd.mul_add_e_f32s(a, b[vector], sums[row][vector]);
                    }
                }
            }
            for row in 0..ROWS {
                for vector in 0..VECTORS {
                    let at = self.into.add(row * self.columns + vector * S::F32_LANES).cast::<S::f32s>();
                    let sum = sums[row][vector];
                    at.write_unaligned(if ADD { simd.add_f32s(at.read_unaligned(), sum) } else { sum });
                }
            }
        }
    }
}
