//! The resolved network: stages of a ternary layer and what follows it.
//!
//! A stage is one linear layer (the first may be an embedding), then perhaps a norm, then perhaps a ReLU; norm and ReLU
//! are fused into the step that makes the stage's int8 output. The last stage gives int32 logits.

mod error;
mod resolve;

use crate::config::Activations;
use trishift_format::GroupSize;

pub use error::NetworkError;

/// Every int8 tensor of a network has this exponent: a least significant bit of 2^−5.
pub const ACTIVATION_EXPONENT: i32 = -5;

/// What a stage makes of its input and its weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// y = W·x + b.
    Linear,
    /// Rows of W, one after another: each input q is the number q + 128 of a row.
    Embedding {
        /// Inputs of one sample.
        positions: usize,
    },
}

/// A layer with weights and what makes its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it computes.
    pub kind: StageKind,
    /// Rows N of the weights: outputs of a linear layer, vocabulary of an embedding.
    pub rows: usize,
    /// Columns K of the weights: inputs of a linear layer, dimension of an embedding.
    pub columns: usize,
    /// Group size G.
    pub group: GroupSize,
    /// An int32 bias per output.
    pub bias: bool,
    /// What happens to the accumulators.
    pub output: StageOutput,
}

/// What happens to a layer's accumulators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageOutput {
    /// Requantised to int8.
    Requantized {
        /// Lower clamp at 0.
        relu: bool,
    },
    /// Shift-normed to int8.
    ShiftNorm {
        /// Lower clamp at 0.
        relu: bool,
    },
    /// Divided by their root mean square, to int8: 32 steps are 1.
    RmsNorm {
        /// Lower clamp at 0.
        relu: bool,
    },
    /// int32 logits; the last stage.
    Logits,
}

impl StageOutput {
    /// True where the layer gives int32 in one unit for all its outputs.
    pub const fn is_wide(self) -> bool {
        !matches!(self, Self::Requantized { .. })
    }

    /// Whether it clamps at 0 from below.
    pub const fn relu(self) -> bool {
        match self {
            Self::Requantized { relu } | Self::ShiftNorm { relu } | Self::RmsNorm { relu } => relu,
            Self::Logits => false,
        }
    }
}

impl Stage {
    /// Values of one sample that it takes.
    pub const fn inputs(&self) -> usize {
        match self.kind {
            StageKind::Linear => self.columns,
            StageKind::Embedding { positions } => positions,
        }
    }

    /// Values of one sample that it gives.
    pub const fn outputs(&self) -> usize {
        match self.kind {
            StageKind::Linear => self.rows,
            StageKind::Embedding { positions } => positions * self.columns,
        }
    }

    /// Weights of the stage.
    pub const fn weights(&self) -> usize {
        self.rows * self.columns
    }

    /// Groups of a row.
    pub const fn groups(&self) -> usize {
        self.group.count(self.columns)
    }
}

/// The stages of a network, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The stages, first to last.
    pub stages: Vec<Stage>,
    /// What flows between them in training.
    pub activations: Activations,
}

impl Network {
    /// Whether the samples' values, int8, all number a row of the table that the network begins with, if it does.
    ///
    /// # Errors
    /// [`NetworkError::Row`].
    pub fn check_indices(&self, samples: &[i8]) -> Result<(), NetworkError> {
        let Some(Stage { kind: StageKind::Embedding { .. }, rows, .. }) = self.stages.first() else { return Ok(()) };
        let index = |value: &i8| (i32::from(*value) + 128) as usize;
        match samples.iter().map(index).max() {
            Some(index) if index >= *rows => Err(NetworkError::Row { index, rows: *rows }),
            _ => Ok(()),
        }
    }

    /// Values of one sample.
    pub fn inputs(&self) -> usize {
        self.stages.first().map_or(0, Stage::inputs)
    }

    /// Logits of one sample.
    pub fn outputs(&self) -> usize {
        self.stages.last().map_or(0, Stage::outputs)
    }

    /// Weights of all stages.
    pub fn weights(&self) -> usize {
        self.stages.iter().map(Stage::weights).sum()
    }
}
