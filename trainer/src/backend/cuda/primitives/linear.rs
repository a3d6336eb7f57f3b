//! A ternary linear layer on a card: `y = x·Wᵀ + b`, `gx = gy·W`, with the W of the forward pass.

use super::{CardMatrix, CardTernary, CardVotes, CardWeights, PrimitiveError, THREADS};
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use crate::ternary::{Component, Linear, TernaryError};
use trishift_kernels::cuda::LINEAR;

/// Rows and columns of the tile of results that a block makes.
const SIDE: usize = 32;

/// A ternary matrix [N, K] as a layer from K inputs to N outputs.
#[derive(Debug)]
pub struct CardLinear {
    /// The matrix.
    pub state: CardTernary,
    /// Correlation strength S.
    pub strength: f64,
    bias: Option<Buffer<i32>>,
}

/// What a forward pass leaves for the backward pass.
#[derive(Debug)]
pub struct CardForward {
    /// y, [batch, N].
    pub output: CardMatrix,
    /// W as it was.
    pub weights: CardWeights,
}

impl CardLinear {
    /// The layer on the card, with its bias where it has one.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn upload(card: &Card, layer: &Linear) -> Result<Self, CudaError> {
        let bias = Some(layer.bias()).filter(|bias| !bias.is_empty());
        let bias = bias.map(|bias| card.upload("a bias", bias)).transpose()?;
        Ok(Self { state: CardTernary::upload(card, &layer.state)?, strength: layer.strength, bias })
    }

    /// y = x·Wᵀ + b for inputs [batch, K].
    ///
    /// # Errors
    /// [`TernaryError::Length`] for inputs of another width; [`CudaError`].
    pub fn forward(&self, card: &Card, input: &CardMatrix) -> Result<CardForward, PrimitiveError> {
        let shape = self.state.shape();
        TernaryError::check("columns of the inputs", shape.columns(), input.columns())?;
        let weights = self.state.weights(card, self.strength)?;
        let output = CardMatrix::zeros(card, "outputs", input.rows(), shape.rows())?;
        let arguments = arguments![
            input.values(),
            input.rows(),
            &weights.trits,
            &weights.scales,
            self.bias.as_ref(),
            shape.rows(),
            shape.columns(),
            shape.group().get(),
            output.values(),
        ];
        card.launch(Kernel::new(LINEAR, "linear_forward"), tiles(input.rows(), shape.rows()), arguments)?;
        Ok(CardForward { output, weights })
    }

    /// gx [batch, K] for gy [batch, N], and one correlation update on the way, by sign votes that count as the component
    /// says; no matrix of votes is ever stored.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where gy, inputs and layer do not fit together; [`CudaError`].
    pub fn backward(
        &mut self,
        card: &Card,
        pass: &CardForward,
        input: &CardMatrix,
        output_gradient: &CardMatrix,
        component: &Component,
    ) -> Result<CardMatrix, PrimitiveError> {
        let input_gradient = pass.input_gradient(card, output_gradient)?;
        self.state.update_correlation(card, CardVotes::Direct { output_gradient, input }, component.count())?;
        Ok(input_gradient)
    }
}

impl CardForward {
    /// gx = gy·W [batch, K] for gy [batch, N].
    ///
    /// # Errors
    /// [`TernaryError::Length`] for a gy of another shape than y; [`CudaError`].
    pub fn input_gradient(&self, card: &Card, output_gradient: &CardMatrix) -> Result<CardMatrix, PrimitiveError> {
        let names = ["rows of the output gradient", "columns of the output gradient"];
        output_gradient.check(names, self.output.rows(), self.output.columns())?;
        let CardWeights { shape, trits, scales } = &self.weights;
        let samples = self.output.rows();
        let gradient = CardMatrix::zeros(card, "an input gradient", samples, shape.columns())?;
        let arguments = arguments![
            output_gradient.values(),
            samples,
            trits,
            scales,
            shape.rows(),
            shape.columns(),
            shape.group().get(),
            gradient.values(),
        ];
        card.launch(Kernel::new(LINEAR, "linear_input_gradient"), tiles(samples, shape.columns()), arguments)?;
        Ok(gradient)
    }
}

/// Blocks for the tiles of a result [rows, columns].
fn tiles(rows: usize, columns: usize) -> Grid {
    Grid::new((rows.div_ceil(SIDE) * columns.div_ceil(SIDE)) as u32, THREADS)
}
