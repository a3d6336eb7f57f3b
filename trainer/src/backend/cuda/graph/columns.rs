//! Launches over the columns of large matrices [rows, pitch]: see the kernels' `columns.cuh`.

use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Buffer, Card, Grid};

/// Threads of a block that sums columns, and of one that changes values.
const SUM_THREADS: usize = 512;
const THREADS: usize = 256;

/// Most blocks that sum: whatever the card has, so that sums are the same on all.
const SUM_BLOCKS: usize = 128;

/// Vectors of four columns that lie beside each other in a block.
const TILE: usize = 64;

/// Rows that a thread takes at least where there are enough.
const ROWS: usize = 4;

/// A matrix of sums, or of their gradients: a row for each window of each sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) pitch: usize,
}

impl Matrix {
    /// Vectors that lie beside each other in a block.
    pub(super) const fn tile(self) -> usize {
        let vectors = self.pitch / 4;
        if vectors < TILE { vectors } else { TILE }
    }

    fn grid(self, threads: usize, most: usize) -> Grid {
        let (vectors, tile) = (self.pitch / 4, self.tile().max(1));
        let blocks = self.rows.div_ceil(threads / tile * ROWS).clamp(1, most);
        Grid { blocks: [blocks as u32, vectors.div_ceil(tile) as u32], threads: threads as u32, shared: 0 }
    }

    /// Blocks that sum columns.
    pub(super) fn sum_grid(self) -> Grid {
        self.grid(SUM_THREADS, SUM_BLOCKS)
    }

    /// Blocks that change values.
    pub(super) fn value_grid(self) -> Grid {
        self.grid(THREADS, usize::MAX)
    }
}

/// Memory of sums over the columns of one matrix.
#[derive(Debug)]
pub(super) struct ColumnSums {
    /// Two sums of each block and column.
    pub(super) partial: Buffer<f64>,
    /// Blocks that are done.
    pub(super) blocks: Buffer<u32>,
}

impl ColumnSums {
    pub(super) fn new(card: &Card, matrix: Matrix) -> Result<Self, CudaError> {
        let blocks = matrix.sum_grid().blocks[0] as usize;
        Ok(Self {
            partial: card.zeros("a layer's partial sums", 2 * blocks * matrix.pitch)?,
            blocks: card.zeros("a layer's blocks", 1)?,
        })
    }

    pub(super) fn bytes(&self) -> usize {
        self.partial.bytes() + self.blocks.bytes()
    }
}
