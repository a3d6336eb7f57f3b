//! RMS norm with a ternary weight on a card: `y = x/√(mean(x²) + ε)·T·2^e`.

use super::{CardMatrix, CardTernary, CardVoteMatrix, CardVotes, CardWeights, PrimitiveError, THREADS, launch_each};
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use crate::ternary::{Component, RmsNorm, TernaryError};
use trishift_kernels::cuda::RMS_NORM;

/// A norm over the columns of [batch, K].
#[derive(Debug)]
pub struct CardRmsNorm {
    /// The weight, [1, K].
    pub state: CardTernary,
    /// Correlation strength S of the weight.
    pub strength: f64,
    /// Whether a backward pass updates the weight.
    pub trains: bool,
    epsilon: f64,
}

/// What a forward pass leaves for the backward pass.
#[derive(Debug)]
pub struct CardNormForward {
    /// y, [batch, K].
    pub output: CardMatrix,
    /// x̂ = x/rms, [batch, K].
    pub normalized: CardMatrix,
    /// rms = √(mean(x²) + ε) of every sample, \[batch\].
    pub rms: Buffer<f64>,
    /// W as it was.
    pub weights: CardWeights,
}

impl CardRmsNorm {
    /// The norm on the card.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn upload(card: &Card, norm: &RmsNorm) -> Result<Self, CudaError> {
        let state = CardTernary::upload(card, &norm.state)?;
        Ok(Self { state, strength: norm.strength, trains: norm.trains, epsilon: norm.epsilon() })
    }

    /// y for inputs [batch, K].
    ///
    /// # Errors
    /// [`TernaryError::Length`] for inputs of another width; [`CudaError`].
    pub fn forward(&self, card: &Card, input: &CardMatrix) -> Result<CardNormForward, PrimitiveError> {
        let shape = self.state.shape();
        let (samples, columns) = (input.rows(), shape.columns());
        TernaryError::check("columns of the inputs", columns, input.columns())?;
        let pass = CardNormForward {
            output: CardMatrix::zeros(card, "outputs", samples, columns)?,
            normalized: CardMatrix::zeros(card, "normalised inputs", samples, columns)?,
            rms: card.zeros("root mean squares", samples)?,
            weights: self.state.weights(card, self.strength)?,
        };
        let arguments = arguments![
            input.values(),
            &pass.weights.trits,
            &pass.weights.scales,
            columns,
            shape.group().get(),
            self.epsilon,
            &pass.rms,
            pass.normalized.values(),
            pass.output.values(),
        ];
        card.launch(Kernel::new(RMS_NORM, "norm_forward"), Grid::new(samples as u32, THREADS), arguments)?;
        Ok(pass)
    }

    /// gx [batch, K] for gy [batch, K]; a norm that trains also gets one correlation update by the signs of Σ_m gy·x̂,
    /// which count as the component says.
    ///
    /// # Errors
    /// [`TernaryError::Length`] for a gy of another shape than y; [`CudaError`].
    pub fn backward(
        &mut self,
        card: &Card,
        pass: &CardNormForward,
        output_gradient: &CardMatrix,
        component: &Component,
    ) -> Result<CardMatrix, PrimitiveError> {
        let input_gradient = pass.input_gradient(card, output_gradient)?;
        if self.trains {
            let votes = pass.votes(card, output_gradient)?;
            self.state.update_correlation(card, CardVotes::Matrix(&votes), component.count())?;
        }
        Ok(input_gradient)
    }
}

impl CardNormForward {
    /// gx = (dyw − x̂·mean(x̂·dyw))/rms with dyw = gy·W, [batch, K].
    ///
    /// # Errors
    /// [`TernaryError::Length`] for a gy of another shape than y; [`CudaError`].
    pub fn input_gradient(&self, card: &Card, output_gradient: &CardMatrix) -> Result<CardMatrix, PrimitiveError> {
        self.check(output_gradient)?;
        let (samples, columns) = (self.output.rows(), self.output.columns());
        let gradient = CardMatrix::zeros(card, "an input gradient", samples, columns)?;
        let arguments = arguments![
            output_gradient.values(),
            self.normalized.values(),
            &self.rms,
            &self.weights.trits,
            &self.weights.scales,
            columns,
            self.weights.shape.group().get(),
            gradient.values(),
        ];
        card.launch(Kernel::new(RMS_NORM, "norm_input_gradient"), Grid::new(samples as u32, THREADS), arguments)?;
        Ok(gradient)
    }

    /// The votes on the weight: the signs of Σ_m gy·x̂, summed in f64 in the order of the samples.
    ///
    /// # Errors
    /// [`TernaryError::Length`] for a gy of another shape than y; [`CudaError`].
    pub fn votes(&self, card: &Card, output_gradient: &CardMatrix) -> Result<CardVoteMatrix, PrimitiveError> {
        self.check(output_gradient)?;
        let (samples, columns) = (self.output.rows(), self.output.columns());
        let votes = CardVoteMatrix::zeros(card, 1, columns)?;
        let arguments =
            arguments![output_gradient.values(), self.normalized.values(), samples, columns, votes.values()];
        launch_each(card, RMS_NORM, "norm_votes", columns, arguments)?;
        Ok(votes)
    }

    fn check(&self, output_gradient: &CardMatrix) -> Result<(), TernaryError> {
        let names = ["rows of the output gradient", "columns of the output gradient"];
        output_gradient.check(names, self.output.rows(), self.output.columns())
    }
}
