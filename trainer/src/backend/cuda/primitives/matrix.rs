//! Dense matrices on a card, row after row without padding.

use super::PrimitiveError;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card};
use crate::ternary::{TernaryError, Votes};
use ndarray::{Array2, ArrayView2};

/// A matrix of f32: inputs, outputs, their gradients.
#[derive(Debug)]
pub struct CardMatrix {
    rows: usize,
    columns: usize,
    values: Buffer<f32>,
}

impl CardMatrix {
    /// A matrix of zeros. `what` names it where the card's memory is full.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn zeros(card: &Card, what: &'static str, rows: usize, columns: usize) -> Result<Self, CudaError> {
        Ok(Self { rows, columns, values: card.zeros(what, rows * columns)? })
    }

    /// These values.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn upload(card: &Card, values: ArrayView2<'_, f32>) -> Result<Self, CudaError> {
        let (rows, columns) = values.dim();
        // Of any layout; the card's is row after row.
        let values: Vec<f32> = values.iter().copied().collect();
        Ok(Self { rows, columns, values: card.upload("a matrix", &values)? })
    }

    /// The values on the host.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn download(&self, card: &Card) -> Result<Array2<f32>, CudaError> {
        let values = card.read(&self.values)?;
        // A buffer is never empty, a matrix may be.
        Ok(Array2::from_shape_fn((self.rows, self.columns), |(row, column)| values[row * self.columns + column]))
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Where the values lie.
    pub fn values(&self) -> &Buffer<f32> {
        &self.values
    }

    /// Checks that there are so many rows and columns.
    ///
    /// # Errors
    /// [`TernaryError::Length`].
    pub(super) fn check(
        &self,
        [rows_name, columns_name]: [&'static str; 2],
        rows: usize,
        columns: usize,
    ) -> Result<(), TernaryError> {
        TernaryError::check(rows_name, rows, self.rows)?;
        TernaryError::check(columns_name, columns, self.columns)
    }
}

/// Votes on every weight of a matrix, int8.
#[derive(Debug)]
pub struct CardVoteMatrix {
    rows: usize,
    columns: usize,
    values: Buffer<i8>,
}

impl CardVoteMatrix {
    /// Nobody votes.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn zeros(card: &Card, rows: usize, columns: usize) -> Result<Self, CudaError> {
        Ok(Self { rows, columns, values: card.zeros("votes", rows * columns)? })
    }

    /// These votes, row by row.
    ///
    /// # Errors
    /// [`TernaryError::Length`] and [`CudaError`].
    pub fn upload(card: &Card, rows: usize, columns: usize, votes: &[i8]) -> Result<Self, PrimitiveError> {
        TernaryError::check("votes", rows.saturating_mul(columns), votes.len())?;
        Ok(Self { rows, columns, values: card.upload("votes", votes)? })
    }

    /// The votes on the host.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn download(&self, card: &Card) -> Result<Votes, PrimitiveError> {
        let mut votes = card.read(&self.values)?;
        votes.truncate(self.rows * self.columns);
        Ok(Votes::new(self.rows, self.columns, votes)?)
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Where the votes lie.
    pub fn values(&self) -> &Buffer<i8> {
        &self.values
    }
}
