//! An embedding on a card: rows of a ternary table, looked up by index.
//!
//! Indices come from the host, which checks them and sorts them by row, so that the gradient of a row is summed in the
//! order of the positions that looked it up.

use super::{CardMatrix, CardTernary, CardVoteMatrix, PrimitiveError, launch_each};
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, arguments};
use crate::ternary::embedding::rows_of;
use crate::ternary::{Component, Embedding};
use trishift_kernels::cuda::TABLE;

/// A ternary table [vocabulary, dimension].
#[derive(Debug)]
pub struct CardEmbedding {
    /// The table.
    pub state: CardTernary,
    /// Correlation strength S.
    pub strength: f64,
}

/// Positions sorted by the row that each looked up, and then by themselves.
struct Positions {
    /// Where every row's positions begin, and the end.
    starts: Buffer<u64>,
    sorted: Buffer<u64>,
}

impl CardEmbedding {
    /// The table on the card.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn upload(card: &Card, layer: &Embedding) -> Result<Self, CudaError> {
        Ok(Self { state: CardTernary::upload(card, &layer.state)?, strength: layer.strength })
    }

    /// The rows T·2^e of these indices, [indices, dimension].
    ///
    /// # Errors
    /// [`TernaryError::Index`](crate::ternary::TernaryError::Index) names the first index outside the table; [`CudaError`].
    pub fn forward(&self, card: &Card, indices: &[i64]) -> Result<CardMatrix, PrimitiveError> {
        let shape = self.state.shape();
        let rows: Vec<u64> = rows_of(indices, shape.rows())?.into_iter().map(|row| row as u64).collect();
        let weights = self.state.weights(card, self.strength)?;
        let output = CardMatrix::zeros(card, "rows of a table", rows.len(), shape.columns())?;
        let own_indices = card.upload("indices", &rows)?;
        let arguments = arguments![
            &own_indices,
            rows.len(),
            &weights.trits,
            &weights.scales,
            shape.rows(),
            shape.columns(),
            shape.group().get(),
            output.values(),
        ];
        launch_each(card, TABLE, "table_rows", rows.len() * shape.columns(), arguments)?;
        Ok(output)
    }

    /// The votes of gy [indices, dimension] on the table.
    ///
    /// # Errors
    /// [`TernaryError::Index`](crate::ternary::TernaryError::Index) and [`TernaryError::Length`](crate::ternary::TernaryError::Length); [`CudaError`].
    pub fn votes(
        &self,
        card: &Card,
        indices: &[i64],
        output_gradient: &CardMatrix,
    ) -> Result<CardVoteMatrix, PrimitiveError> {
        let positions = self.positions(card, indices, output_gradient)?;
        let shape = self.state.shape();
        let votes = CardVoteMatrix::zeros(card, shape.rows(), shape.columns())?;
        let arguments = arguments![
            &positions.starts,
            &positions.sorted,
            output_gradient.values(),
            shape.rows(),
            shape.columns(),
            votes.values(),
        ];
        launch_each(card, TABLE, "table_votes", shape.weights(), arguments)?;
        Ok(votes)
    }

    /// One correlation update by gy [indices, dimension], whose votes count as the component says and are not stored.
    ///
    /// # Errors
    /// [`TernaryError::Index`](crate::ternary::TernaryError::Index) and [`TernaryError::Length`](crate::ternary::TernaryError::Length); [`CudaError`].
    pub fn backward(
        &mut self,
        card: &Card,
        indices: &[i64],
        output_gradient: &CardMatrix,
        component: &Component,
    ) -> Result<(), PrimitiveError> {
        let positions = self.positions(card, indices, output_gradient)?;
        let shape = self.state.shape();
        let arguments = arguments![
            &positions.starts,
            &positions.sorted,
            output_gradient.values(),
            shape.rows(),
            shape.columns(),
            shape.group().get(),
            &self.state.trits,
            component.count(),
            &self.state.corr,
        ];
        launch_each(card, TABLE, "table_correlation", shape.groups(), arguments)?;
        self.state.count(component.count());
        Ok(())
    }

    fn positions(
        &self,
        card: &Card,
        indices: &[i64],
        output_gradient: &CardMatrix,
    ) -> Result<Positions, PrimitiveError> {
        let shape = self.state.shape();
        let names = ["rows of the output gradient", "columns of the output gradient"];
        output_gradient.check(names, indices.len(), shape.columns())?;
        let rows = rows_of(indices, shape.rows())?;
        let mut sorted: Vec<u64> = (0..rows.len() as u64).collect();
        // Stable: positions of a row stay in order.
        sorted.sort_by_key(|position| rows[*position as usize]);
        let mut starts = vec![0u64; shape.rows() + 1];
        for row in &rows {
            starts[row + 1] += 1;
        }
        for row in 0..shape.rows() {
            starts[row + 1] += starts[row];
        }
        Ok(Positions { starts: card.upload("positions", &starts)?, sorted: card.upload("positions", &sorted)? })
    }
}
