//! One value for each weight, or each group, of a layer on a card.

use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card};
use crate::backend::cuda::extent::Extent;
use cudarc::driver::{DeviceRepr, ValidAsZeroBits};

/// A matrix, [padded rows, columns with padding]; begins as zeros. Hosts see it as [rows, columns].
#[derive(Debug)]
pub(super) struct Matrix<T> {
    extent: Extent,
    columns: usize,
    pitch: usize,
    /// Where kernels find it.
    pub(super) values: Buffer<T>,
}

impl<T: DeviceRepr + ValidAsZeroBits + Copy + Default> Matrix<T> {
    /// A value for each weight. `what` names the matrix where there is no room.
    pub(super) fn of_weights(card: &Card, what: &'static str, extent: Extent) -> Result<Self, CudaError> {
        Self::new(card, what, extent, extent.columns, extent.pitch())
    }

    /// A value for each group.
    pub(super) fn of_groups(card: &Card, what: &'static str, extent: Extent) -> Result<Self, CudaError> {
        Self::new(card, what, extent, extent.own_groups(), extent.groups())
    }

    fn new(card: &Card, what: &'static str, extent: Extent, columns: usize, pitch: usize) -> Result<Self, CudaError> {
        Ok(Self { extent, columns, pitch, values: card.zeros(what, extent.padded_rows() * pitch)? })
    }

    /// Values without padding.
    pub(super) fn len(&self) -> usize {
        self.extent.rows * self.columns
    }

    /// Bytes on the card.
    pub(super) fn bytes(&self) -> usize {
        self.values.bytes()
    }

    /// The values without padding.
    pub(super) fn read(&self, card: &Card) -> Result<Vec<T>, CudaError> {
        Ok(self.extent.unpad(&card.read(&self.values)?, self.columns, self.pitch))
    }

    /// Takes values without padding.
    pub(super) fn write(&mut self, card: &Card, values: &[T]) -> Result<(), CudaError> {
        card.write(&mut self.values, &self.extent.pad(values, self.columns, self.pitch))
    }
}
