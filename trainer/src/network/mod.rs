//! The resolved network: nodes in the order in which they run, and the stages that hold their weights.
//!
//! A stage is one matrix of weights with what makes an int8 output of its sums. In a perceptron the stages follow each other
//! as the nodes do: one linear layer each (the first may be an embedding), then perhaps a norm, then perhaps a ReLU. A
//! convolution's stage is the linear layer that it is on what lies under one window.

mod build;
mod error;
mod node;
mod resolve;
mod window;

use crate::config::{Activations, NetworkOutput, Precision};
use trishift_format::GroupSize;

pub use error::{NetworkError, Shape};
pub use node::{Element, Node, Operation, Place};

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
    /// How the weights are stored.
    pub precision: Precision,
    /// Group size G; int8 weights have no groups.
    pub group: GroupSize,
    /// Weights of a depthwise convolution: a row for each channel.
    pub depthwise: bool,
    /// An int32 bias per output.
    pub bias: bool,
    /// A shift-batch-norm takes its sums.
    pub batch_norm: bool,
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

    /// The same with a lower clamp at 0, where it makes int8.
    pub(crate) const fn with_relu(self) -> Self {
        match self {
            Self::Requantized { .. } => Self::Requantized { relu: true },
            Self::ShiftNorm { .. } => Self::ShiftNorm { relu: true },
            Self::RmsNorm { .. } => Self::RmsNorm { relu: true },
            Self::Logits => Self::Logits,
        }
    }
}

impl Stage {
    /// A ternary linear layer without bias.
    pub const fn linear(rows: usize, columns: usize, group: GroupSize, output: StageOutput) -> Self {
        let (kind, precision) = (StageKind::Linear, Precision::Ternary);
        Self { kind, rows, columns, precision, group, depthwise: false, bias: false, batch_norm: false, output }
    }

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

    /// Groups of a row: as many as a row has exponents.
    pub const fn groups(&self) -> usize {
        match self.precision {
            Precision::Ternary => self.group.count(self.columns),
            Precision::Int8 => 1,
        }
    }

    /// Columns that share an exponent; the last ones of a row may be fewer.
    pub const fn group_columns(&self) -> usize {
        match self.precision {
            Precision::Ternary => self.group.get(),
            Precision::Int8 => self.columns,
        }
    }
}

/// A network: nodes in the order in which they run, the first one the input and the last one the output, and the stages that
/// they use, each one once and in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// What flows between them in training.
    pub activations: Activations,
    /// What it gives.
    pub output: NetworkOutput,
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

    /// Whether there is a loss for what it gives.
    ///
    /// # Errors
    /// [`NetworkError::UntrainableOutput`].
    pub const fn check_trainable(&self) -> Result<(), NetworkError> {
        match self.output {
            NetworkOutput::Logits => Ok(()),
            NetworkOutput::Values => Err(NetworkError::UntrainableOutput),
        }
    }

    /// What of it cards cannot train yet, if anything.
    pub fn untrainable_on_card(&self) -> Option<&'static str> {
        let is_table = |node: &Node| matches!(node.operation, Operation::Embedding(_));
        match self.activations {
            _ if self.is_perceptron() => None,
            Activations::Float => Some("a network of images with float activations"),
            Activations::Int8 if self.nodes.iter().any(is_table) => Some("a network of images behind an embedding"),
            Activations::Int8 => None,
        }
    }

    /// Whether cards can train it.
    ///
    /// # Errors
    /// [`NetworkError::UntrainableOnCard`].
    pub fn check_trainable_on_card(&self) -> Result<(), NetworkError> {
        self.untrainable_on_card().map_or(Ok(()), |what| Err(NetworkError::UntrainableOnCard { what }))
    }

    /// Whether its stages follow one behind the other, and nothing else stands between them.
    pub fn is_perceptron(&self) -> bool {
        self.nodes.iter().all(|node| node.operation.is_of_perceptrons())
    }

    /// Height, width, channels of one sample.
    pub fn input_shape(&self) -> [usize; 3] {
        self.nodes.first().map_or([0; 3], |node| node.shape)
    }

    /// Values of one sample.
    pub fn inputs(&self) -> usize {
        self.input_shape().iter().product()
    }

    /// Outputs of one sample.
    pub fn outputs(&self) -> usize {
        self.nodes.last().map_or(0, |node| node.shape.iter().product())
    }

    /// Weights of all stages.
    pub fn weights(&self) -> usize {
        self.stages.iter().map(Stage::weights).sum()
    }
}
