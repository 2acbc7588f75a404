//! Where positions of a batch of pictures lie.

use super::amx::BLOCK;

/// The places of a batch `[batch, rows, columns]`: pictures one after the other, each row with `border` columns of
/// zeros behind it and each picture with `border` rows. The zeros behind a row are also those before the next one.
#[derive(Clone, Copy)]
pub struct Grid {
    batch: usize,
    rows: usize,
    columns: usize,
    border: usize,
}

impl Grid {
    /// For a kernel of `side` × `side` taps.
    pub fn new([batch, rows, columns]: [usize; 3], side: usize) -> Self {
        Self { batch, rows, columns, border: side / 2 }
    }

    /// Places from row to row.
    pub fn pitch(&self) -> usize {
        self.columns + self.border
    }

    /// Places of the whole batch, in whole blocks.
    pub fn places(&self) -> usize {
        (self.batch * (self.rows + self.border) * self.pitch()).next_multiple_of(BLOCK)
    }

    /// Places before the first and behind the last one that a tap may reach.
    pub fn margin(&self) -> usize {
        self.border * (self.pitch() + 1)
    }

    /// The position in the batch, without zeros, that lies at a place; none if there are zeros.
    pub fn position(&self, place: usize) -> Option<usize> {
        let (line, column) = (place / self.pitch(), place % self.pitch());
        let (picture, row) = (line / (self.rows + self.border), line % (self.rows + self.border));
        let inside = column < self.columns && row < self.rows && picture < self.batch;
        inside.then(|| (picture * self.rows + row) * self.columns + column)
    }

    /// How many places further on the input of each tap lies than its output.
    pub fn taps(&self) -> impl Iterator<Item = isize> {
        let (border, pitch) = (self.border as isize, self.pitch() as isize);
        (-border..=border).flat_map(move |down| (-border..=border).map(move |across| down * pitch + across))
    }
}
