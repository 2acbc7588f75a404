//! The little linear algebra that scores need.

use rayon::prelude::*;

use crate::rows::dot;

/// Rows of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    values: Vec<f64>,
    width: usize,
}

impl Matrix {
    /// Rows of `width` numbers, one after the other.
    pub fn new(values: Vec<f64>, width: usize) -> Self {
        Self { values, width: width.max(1) }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    /// Numbers of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row.
    pub fn row(&self, index: usize) -> &[f64] {
        self.values.get(index * self.width..(index + 1) * self.width).unwrap_or_default()
    }

    /// Every row.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.width)
    }

    /// The rows named.
    pub fn select(&self, rows: impl IntoIterator<Item = usize>) -> Self {
        Self { values: rows.into_iter().flat_map(|row| self.row(row)).copied().collect(), width: self.width }
    }

    /// These rows and those of another matrix of the same width.
    pub fn with(&self, other: &Self) -> Self {
        Self { values: [self.values.as_slice(), &other.values].concat(), width: self.width }
    }

    /// Every row at length one.
    pub fn unit_rows(&self) -> Self {
        let unit = |row: &[f64]| {
            let length = dot(row, row).sqrt() + 1e-12;
            row.iter().map(|value| value / length).collect::<Vec<_>>()
        };
        Self { values: self.iter().flat_map(unit).collect(), width: self.width }
    }

    /// The mean row.
    pub fn mean(&self) -> Vec<f64> {
        let mut mean = vec![0.0; self.width];
        for row in self.iter() {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value);
        }
        let rows = self.rows().max(1) as f64;
        mean.iter_mut().for_each(|mean| *mean /= rows);
        mean
    }

    /// Every row without the mean row.
    pub fn centred(&self) -> Self {
        let mean = self.mean();
        let values = self.iter().flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean)).collect();
        Self { values, width: self.width }
    }

    /// The products of every row with every row of another: `self · otherᵀ`.
    pub fn products(&self, other: &Self) -> Self {
        let values = self
            .values
            .par_chunks_exact(self.width)
            .flat_map_iter(|row| other.iter().map(move |of_other| dot(row, of_other)))
            .collect();
        Self { values, width: other.rows().max(1) }
    }

    /// The squared distances between every row and every row of another.
    pub fn squared_distances(&self, other: &Self) -> Self {
        let lengths = |matrix: &Self| matrix.iter().map(|row| dot(row, row)).collect::<Vec<_>>();
        let (of_self, of_other) = (lengths(self), lengths(other));
        let mut products = self.products(other);
        for (row, length) in products.values.chunks_exact_mut(products.width).zip(of_self) {
            for (value, other) in row.iter_mut().zip(&of_other) {
                *value = (length + other - 2.0 * *value).max(0.0);
            }
        }
        products
    }

    /// The sum of all squares.
    pub fn squares(&self) -> f64 {
        dot(&self.values, &self.values)
    }
}

/// The sum of the singular values of a matrix: the roots of the eigenvalues of its product with itself.
pub fn nuclear_norm(matrix: &Matrix) -> f64 {
    eigenvalues(matrix.products(matrix)).into_iter().map(|value| value.max(0.0).sqrt()).sum()
}

/// The eigenvalues of a symmetric matrix, in no order: Householder's reflections to three diagonals (Golub and Van Loan
/// 2013, algorithm 8.3.1), then QL steps with implicit shifts (Dubrulle, Martin and Wilkinson 1968).
pub fn eigenvalues(matrix: Matrix) -> Vec<f64> {
    let (mut diagonal, mut beside) = tridiagonal(matrix);
    let size = diagonal.len();
    beside.push(0.0);
    for first in 0..size {
        for _ in 0..MOST_STEPS {
            let split = (first..size.saturating_sub(1))
                .find(|&at| beside[at].abs() <= f64::EPSILON * (diagonal[at].abs() + diagonal[at + 1].abs()));
            let last = split.unwrap_or(size - 1);
            if last == first {
                break;
            }
            ql_step(&mut diagonal, &mut beside, first, last);
        }
    }
    diagonal
}

/// Steps for an eigenvalue: two or three are usual.
const MOST_STEPS: usize = 60;

fn ql_step(diagonal: &mut [f64], beside: &mut [f64], first: usize, last: usize) {
    let gap = (diagonal[first + 1] - diagonal[first]) / (2.0 * beside[first]);
    let root = gap.hypot(1.0);
    let mut shifted = diagonal[last] - diagonal[first] + beside[first] / (gap + root.copysign(gap));
    let (mut sine, mut cosine, mut carried) = (1.0, 1.0, 0.0);
    for at in (first..last).rev() {
        let (across, along) = (sine * beside[at], cosine * beside[at]);
        let length = across.hypot(shifted);
        beside[at + 1] = length;
        if length == 0.0 {
            diagonal[at + 1] -= carried;
            beside[last] = 0.0;
            return;
        }
        (sine, cosine) = (across / length, shifted / length);
        let lower = diagonal[at + 1] - carried;
        let turn = (diagonal[at] - lower) * sine + 2.0 * cosine * along;
        carried = sine * turn;
        diagonal[at + 1] = lower + carried;
        shifted = cosine * turn - along;
    }
    diagonal[first] -= carried;
    beside[first] = shifted;
    beside[last] = 0.0;
}

/// The diagonal and what is beside it, after reflections that leave nothing else.
fn tridiagonal(matrix: Matrix) -> (Vec<f64>, Vec<f64>) {
    let size = matrix.rows();
    let mut rows: Vec<Vec<f64>> = matrix.iter().map(<[f64]>::to_vec).collect();
    let mut beside = Vec::with_capacity(size);
    for column in 0..size.saturating_sub(1) {
        // The reflection that brings the rest of this column to its first number.
        let mut mirror: Vec<f64> = (column + 1..size).map(|row| rows[row][column]).collect();
        let length = dot(&mirror, &mirror).sqrt();
        let along = -length.copysign(mirror[0]);
        beside.push(along);
        mirror[0] -= along;
        let squares = dot(&mirror, &mirror);
        if squares == 0.0 {
            continue;
        }
        // A ← A − v wᵀ − w vᵀ with p = A v · 2 / vᵀv and w = p − v · (pᵀv) / vᵀv.
        let mut change: Vec<f64> =
            rows[column + 1..].par_iter().map(|row| 2.0 / squares * dot(&row[column + 1..], &mirror)).collect();
        let share = dot(&change, &mirror) / squares;
        change.iter_mut().zip(&mirror).for_each(|(change, mirror)| *change -= share * mirror);
        rows[column + 1..].par_iter_mut().enumerate().for_each(|(index, row)| {
            let (v, w) = (mirror[index], change[index]);
            for (value, (mirror, change)) in row[column + 1..].iter_mut().zip(mirror.iter().zip(&change)) {
                *value -= v * change + w * mirror;
            }
        });
    }
    ((0..size).map(|index| rows[index][index]).collect(), beside)
}

/// Sweeps of Jacobi's method: it converges quadratically, and ten are plenty for a hundred channels.
const SWEEPS: usize = 30;

/// Eigenvalues and eigenvectors of a symmetric matrix, by Jacobi's rotations (Golub and Van Loan 2013, algorithm 8.5.2).
pub fn principal_components(mut matrix: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let size = matrix.len();
    let mut vectors: Vec<Vec<f64>> =
        (0..size).map(|i| (0..size).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect();
    for _ in 0..SWEEPS {
        for p in 0..size {
            for q in p + 1..size {
                let off = matrix[p][q];
                if off.abs() <= f64::EPSILON * (matrix[p][p] * matrix[q][q]).abs().sqrt() {
                    continue;
                }
                let tau = (matrix[q][q] - matrix[p][p]) / (2.0 * off);
                let tangent = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
                let cosine = 1.0 / (1.0 + tangent * tangent).sqrt();
                let sine = tangent * cosine;
                let turn = |a: &mut f64, b: &mut f64| (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
                for row in &mut matrix {
                    let (left, right) = row.split_at_mut(q);
                    turn(&mut left[p], &mut right[0]);
                }
                for rows in [&mut matrix, &mut vectors] {
                    let (above, below) = rows.split_at_mut(q);
                    above[p].iter_mut().zip(&mut below[0]).for_each(|(a, b)| turn(a, b));
                }
            }
        }
    }
    vectors.into_iter().enumerate().map(|(i, vector)| (matrix[i][i], vector)).collect()
}
