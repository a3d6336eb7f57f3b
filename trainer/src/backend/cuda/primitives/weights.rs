//! What a matrix on a card means: trits and the scale 2^e of every group.

use super::{CardTernary, launch_each};
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, arguments};
use crate::ternary::Shape;
use ndarray::Array2;
use trishift_kernels::cuda::WEIGHTS;

/// The weights W = T·2^e of a matrix as they were at one moment: its trits, and a scale in f32 for each group. Updates of
/// the matrix do not change them.
#[derive(Debug)]
pub struct CardWeights {
    pub(super) shape: Shape,
    /// [N, words].
    pub(super) trits: Buffer<u32>,
    /// [N, R].
    pub(super) scales: Buffer<f32>,
}

impl CardTernary {
    /// The weights as they are, with correlations of strength `strength`; e is not clamped.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn weights(&self, card: &Card, strength: f64) -> Result<CardWeights, CudaError> {
        let Self { shape, .. } = self;
        let mut trits = card.zeros("trits", self.trits.len())?;
        card.copy(&self.trits, &mut trits)?;
        let scales: Buffer<f32> = card.zeros("scales", shape.groups())?;
        let arguments = arguments![
            &self.exponents,
            &self.corr,
            shape.groups(),
            shape.group().get(),
            self.step as u64,
            strength,
            &scales,
        ];
        launch_each(card, WEIGHTS, "find_scales", shape.groups(), arguments)?;
        Ok(CardWeights { shape: *shape, trits, scales })
    }
}

impl CardWeights {
    /// W [N, K] on the host.
    ///
    /// # Errors
    /// [`CudaError`].
    pub fn download(&self, card: &Card) -> Result<Array2<f32>, CudaError> {
        let Self { shape, trits, scales } = self;
        let weights = super::CardMatrix::zeros(card, "weights", shape.rows(), shape.columns())?;
        let arguments = arguments![trits, scales, shape.rows(), shape.columns(), shape.group().get(), weights.values()];
        launch_each(card, WEIGHTS, "expand_weights", shape.weights(), arguments)?;
        weights.download(card)
    }
}
