//! The first state of a ternary matrix on a card, from normal numbers.

use super::state::words;
use super::{CardTernary, PrimitiveError, launch_each};
use crate::backend::cuda::card::{Card, arguments};
use crate::ternary::{Convention, Shape, TernaryError};
use trishift_kernels::cuda::INITIAL;

impl CardTernary {
    /// A fresh state from standard normal numbers [N, K]: w = normal·`deviation`; the integers that
    /// [`TernaryState::from_normals`](crate::ternary::TernaryState::from_normals) gives.
    ///
    /// # Errors
    /// [`TernaryError::Length`] and [`CudaError`](crate::backend::cuda::CudaError).
    pub fn from_normals(
        card: &Card,
        shape: Shape,
        normals: &[f32],
        deviation: f32,
        threshold: f32,
        convention: Convention,
    ) -> Result<Self, PrimitiveError> {
        TernaryError::check("normal numbers", shape.weights(), normals.len())?;
        let state = Self::zeros(card, shape)?;
        let normals = card.upload("normal numbers", normals)?;
        let (rows, columns) = (shape.rows(), shape.columns());
        let arguments = arguments![&normals, rows, columns, deviation, threshold, &state.trits];
        launch_each(card, INITIAL, "initial_trits", rows * words(&shape), arguments)?;
        let compatible = i32::from(convention == Convention::Compatible);
        let arguments =
            arguments![&normals, rows, columns, shape.group().get(), deviation, compatible, &state.exponents];
        launch_each(card, INITIAL, "initial_exponents", shape.groups(), arguments)?;
        Ok(state)
    }
}
