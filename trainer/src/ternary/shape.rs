//! The shape of a ternary matrix, and what its state costs.

use super::TernaryError;
use super::votes::VoteSource;
use trishift_format::{GroupSize, trits};

/// N rows of K columns in groups of G; neither N nor K is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    rows: usize,
    columns: usize,
    group: GroupSize,
}

impl Shape {
    /// The shape of `rows` × `columns` weights.
    ///
    /// # Errors
    /// [`TernaryError::Empty`] and [`TernaryError::TooLarge`].
    pub const fn new(rows: usize, columns: usize, group: GroupSize) -> Result<Self, TernaryError> {
        if rows == 0 || columns == 0 {
            return Err(TernaryError::Empty { rows, columns });
        }
        match rows.checked_mul(columns) {
            Some(_) => Ok(Self { rows, columns, group }),
            None => Err(TernaryError::TooLarge { rows, columns }),
        }
    }

    /// Rows N: outputs.
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Columns K: inputs.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Group size G.
    pub const fn group(&self) -> GroupSize {
        self.group
    }

    /// N·K.
    pub const fn weights(&self) -> usize {
        self.rows * self.columns
    }

    /// Groups of one row, R = ⌈K/G⌉.
    pub const fn row_groups(&self) -> usize {
        self.group.count(self.columns)
    }

    /// Groups of the matrix, N·R.
    pub const fn groups(&self) -> usize {
        self.rows * self.row_groups()
    }

    /// Bytes of the trits packed flat, ⌈N·K/5⌉.
    pub const fn packed_bytes(&self) -> usize {
        trits::flat_bytes(self.weights())
    }

    /// Bits per weight of the trained state: 1.6 for the trit, 8 + 64 per group for E and corr, 32 per row for a bias.
    /// Accumulators of other rules are not counted.
    pub fn bits_per_weight(&self, bias: bool) -> f64 {
        let weights = self.weights() as f64;
        let bias_bits = if bias { 32.0 * self.rows as f64 } else { 0.0 };
        (1.6 * weights + 72.0 * self.groups() as f64 + bias_bits) / weights
    }

    /// Checks that votes are about a matrix of this shape.
    ///
    /// # Errors
    /// [`TernaryError::Length`].
    pub(super) fn check_votes(&self, votes: &dyn VoteSource) -> Result<(), TernaryError> {
        let (rows, columns) = votes.shape()?;
        TernaryError::check("rows of the votes", self.rows, rows)?;
        TernaryError::check("columns of the votes", self.columns, columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_bytes_are_counted() {
        let shape = Shape::new(7, 50, GroupSize::new(8).unwrap()).unwrap();
        assert_eq!((shape.row_groups(), shape.groups(), shape.packed_bytes()), (7, 49, 70));
        assert_eq!(shape.bits_per_weight(false), 1.6 + 72.0 * 49.0 / 350.0);
        assert_eq!(shape.bits_per_weight(true), 1.6 + (72.0 * 49.0 + 32.0 * 7.0) / 350.0);
    }

    #[test]
    fn shapes_without_weights_or_with_too_many_are_refused() {
        let group = GroupSize::new(4).unwrap();
        assert_eq!(Shape::new(0, 3, group), Err(TernaryError::Empty { rows: 0, columns: 3 }));
        assert_eq!(Shape::new(3, 0, group), Err(TernaryError::Empty { rows: 3, columns: 0 }));
        assert!(matches!(Shape::new(usize::MAX, 2, group), Err(TernaryError::TooLarge { .. })));
    }
}
