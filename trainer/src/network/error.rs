//! Why layers make no network.

use super::Place;
use crate::config::{ConfigError, GROUP_SIZES};
use std::fmt;
use thiserror::Error;
use trishift_format::Tensor;

/// Why the layers make no network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A value of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Samples of another size than the configuration's.
    #[error("the configuration's samples are {expected}, but those of the data are {found}")]
    Shape {
        /// In the configuration.
        expected: Shape,
        /// In the data.
        found: Shape,
    },
    /// Neither data nor a configuration that says what samples are.
    #[error(
        "{name} leaves the shape and the classes of its samples to the data; only with shape and classes under [data] \
         can it be exported without training"
    )]
    NoShape {
        /// Name of the configuration.
        name: String,
    },
    /// Nothing, or something that needs sums of a layer before it, at the beginning.
    #[error(
        "the network must begin with a linear layer, a convolution, an embedding, or pooling or moving elements; found {found}"
    )]
    Beginning {
        /// What stands there.
        found: &'static str,
    },
    /// Something after the last linear layer.
    #[error("the network must end with a linear layer, whose outputs are the classes or the values; found {found}")]
    End {
        /// What stands there.
        found: &'static str,
    },
    /// A layer in the wrong place.
    #[error("layer {place} ({layer}) cannot stand here: {why}")]
    Order {
        /// Position in the configuration.
        place: Place,
        /// What stands there.
        layer: &'static str,
        /// What it needs.
        why: &'static str,
    },
    /// A window that does not fit.
    #[error(
        "layer {place} ({layer}): a window of {} × {} does not fit into {input} with these zeros around, which must be fewer \
         on each side than the window has",
        kernel[0], kernel[1]
    )]
    Window {
        /// Position in the configuration.
        place: Place,
        /// What stands there.
        layer: &'static str,
        /// Rows and columns of the window.
        kernel: [u8; 2],
        /// What it slides over.
        input: Shape,
    },
    /// An image that is larger than any window.
    #[error("layer {place} ({layer}): no window covers {input}; at most 255 × 255 are accepted")]
    Image {
        /// Position in the configuration.
        place: Place,
        /// What stands there.
        layer: &'static str,
        /// What it would have to cover.
        input: Shape,
    },
    /// Two ways that do not go together.
    #[error("layer {place} ({layer}): layers give {layers} and the shortcut {shortcut}; {needed} is needed")]
    Ways {
        /// Position in the configuration.
        place: Place,
        /// What stands there.
        layer: &'static str,
        /// Shape of the one.
        layers: Shape,
        /// Shape of the other.
        shortcut: Shape,
        /// What both must have.
        needed: &'static str,
    },
    /// A way without layers.
    #[error("layer {place} ({layer}): its layers are missing; only the shortcut may have none")]
    EmptyWay {
        /// Position in the configuration.
        place: Place,
        /// What stands there.
        layer: &'static str,
    },
    /// A group size that there is not.
    #[error("layer {place}: group is {found}; {GROUP_SIZES}")]
    Group {
        /// Position in the configuration.
        place: Place,
        /// What was given.
        found: u32,
    },
    /// What cards do not train.
    #[error("{what} cannot be trained on a card yet; use --device cpu")]
    UntrainableOnCard {
        /// What it is.
        what: &'static str,
    },
    /// A network for which there is no loss.
    #[error(
        "a network that gives values cannot be trained yet; `trishift export --preset` makes it with random weights"
    )]
    UntrainableOutput,
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
    #[error("layer {place}: an embedding has {expected}; found {found}")]
    Table {
        /// Position in the configuration.
        place: Place,
        /// What is accepted.
        expected: &'static str,
        /// What was given.
        found: u32,
    },
    /// A bias before a norm.
    #[error("layer {place}: a layer before a norm has no bias; remove `bias = true`")]
    BiasBeforeNorm {
        /// Position in the configuration.
        place: Place,
    },
    /// Outputs missing or of the wrong number.
    #[error("layer {place}: {problem}")]
    Outputs {
        /// Position in the configuration.
        place: Place,
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
    #[error("layer {place} would have {rows} × {columns} weights; at most 2^31 are accepted")]
    TooLarge {
        /// Position in the configuration.
        place: Place,
        /// Outputs.
        rows: u64,
        /// Inputs.
        columns: u64,
    },
    /// Too many outputs.
    #[error("layer {place} would have {shape} outputs; at most 2^31 are accepted")]
    TooWide {
        /// Position in the configuration.
        place: Place,
        /// Height, width, channels.
        shape: Shape,
    },
}

/// Height, width and channels, as errors tell them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(pub [usize; 3]);

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width, channels] = self.0;
        write!(f, "{height} × {width} × {channels}")
    }
}
