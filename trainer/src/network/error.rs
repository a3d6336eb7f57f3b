//! Why layers make no network.

use crate::config::ConfigError;
use thiserror::Error;
use trishift_format::Tensor;

/// Why the layers make no network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A value of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No layer with weights at the beginning.
    #[error("the network must begin with a linear layer or an embedding; found {found}")]
    Beginning {
        /// What stands there.
        found: &'static str,
    },
    /// Something after the last linear layer.
    #[error("the network must end with a linear layer, whose outputs are the classes; found {found}")]
    End {
        /// What stands there.
        found: &'static str,
    },
    /// Embedding, norm or ReLU in the wrong place.
    #[error(
        "layer {index} ({layer}) cannot stand here; an embedding comes first or not at all, after it and after a linear \
         layer come shift-norm or rms-norm and then relu, each at most once"
    )]
    Order {
        /// Position in the list.
        index: usize,
        /// What stands there.
        layer: &'static str,
    },
    /// An embedding without indices, or indices without an embedding.
    #[error(
        "an embedding needs samples that are numbers of its rows, and nothing else can use them: `scaling = \"index\"` \
         under [data] and an embedding as the first layer go together"
    )]
    Index,
    /// A value that numbers no row.
    #[error("the data holds the value {index}, but the embedding's rows are 0 to {}; raise its vocabulary", rows - 1)]
    Row {
        /// The value.
        index: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A table of another size than indices can name.
    #[error("layer {index}: an embedding has {expected}; found {found}")]
    Table {
        /// Position in the list.
        index: usize,
        /// What is accepted.
        expected: &'static str,
        /// What was given.
        found: u32,
    },
    /// A bias before a norm.
    #[error("layer {index}: a linear layer before a norm has no bias; remove `bias = true`")]
    BiasBeforeNorm {
        /// Position in the list.
        index: usize,
    },
    /// Outputs missing or of the wrong number.
    #[error("layer {index}: {problem}")]
    Outputs {
        /// Position in the list.
        index: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Too many layers.
    #[error(
        "the network needs {tensors} tensors; a model file holds at most {}, so take layers out",
        Tensor::MAX_COUNT
    )]
    TooDeep {
        /// Tensors of the model file.
        tensors: usize,
    },
    /// Too many weights.
    #[error("layer {index} would have {rows} × {columns} weights; at most 2^31 are accepted")]
    TooLarge {
        /// Position in the list.
        index: usize,
        /// Outputs.
        rows: u64,
        /// Inputs.
        columns: u64,
    },
}
