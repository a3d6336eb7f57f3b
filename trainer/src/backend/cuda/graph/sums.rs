//! Norms over a whole sample behind a convolution or a linear layer: the kernels of perceptrons, to which an image is a row.

use super::shape::Image;
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid, Kernel, arguments};
use crate::network::StageOutput;
use trishift_kernels::cuda::ACTIVATION;

/// A shift norm or an RMS norm.
#[derive(Debug)]
pub(super) struct SampleNorm {
    batch: usize,
    image: Image,
    /// As the kernels number them.
    norm: i32,
    relu: bool,
    scales: Buffer<f32>,
}

impl SampleNorm {
    pub(super) fn new(
        card: &Card,
        batch: usize,
        image: Image,
        output: StageOutput,
        relu: bool,
    ) -> Result<Self, CudaError> {
        let norm = if matches!(output, StageOutput::RmsNorm { .. }) { 2 } else { 1 };
        Ok(Self { batch, image, norm, relu, scales: card.zeros("a layer's scales", batch)? })
    }

    fn grid(&self) -> Grid {
        Grid::new(self.batch as u32, (self.image.len() / 4).next_multiple_of(32).clamp(32, 256) as u32)
    }

    /// Enqueues activations from sums.
    pub(super) fn forward(
        &self,
        card: &Card,
        sums: &Buffer<f32>,
        bias: Option<&Buffer<f32>>,
        activations: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let bytes: Option<&Buffer<i8>> = None;
        let [features, pitch] = [self.image.elements(), self.image.len()].map(|size| size as i32);
        let relu = i32::from(self.relu);
        let arguments = arguments![sums, bias, features, pitch, self.norm, relu, 0, &self.scales, activations, bytes];
        card.launch(Kernel::new(ACTIVATION, "activate"), self.grid(), arguments)
    }

    /// Enqueues the way back, in place.
    pub(super) fn backward(
        &self,
        card: &Card,
        sums: &Buffer<f32>,
        bias: Option<&Buffer<f32>>,
        gradient: &Buffer<u16>,
    ) -> Result<(), CudaError> {
        let [features, pitch] = [self.image.elements(), self.image.len()].map(|size| size as i32);
        let relu = i32::from(self.relu);
        let arguments = arguments![sums, bias, &self.scales, features, pitch, self.norm, relu, 0, gradient];
        card.launch(Kernel::new(ACTIVATION, "activation_gradient"), self.grid(), arguments)
    }

    pub(super) fn bytes(&self) -> usize {
        self.scales.bytes()
    }
}
