//! Nodes: the steps of a network, each from the outputs of earlier ones.

use std::fmt;
use trishift_format::Window;

/// One step of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it computes.
    pub operation: Operation,
    /// Numbers of the nodes whose outputs it takes: none for the input, two for sums and concatenations, else one. All are
    /// smaller than its own.
    pub inputs: Vec<usize>,
    /// Height, width, channels of its output.
    pub shape: [usize; 3],
    /// Lower clamp of the output at 0.
    pub relu: bool,
    /// What its output's elements are.
    pub element: Element,
    /// Where its layer stands in the configuration.
    pub place: Place,
}

/// What a node computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The sample.
    Input,
    /// y = W·x + b, with the weights of the stage of this number.
    Linear(usize),
    /// Rows of the table of the stage of this number.
    Embedding(usize),
    /// The linear layer of a stage on what lies under every window: a column for each row of the window, column of it, and
    /// channel.
    Conv2d(usize, Window),
    /// A row of a stage's weights for each channel, on what lies of it under every window.
    DepthwiseConv2d(usize, Window),
    /// y = x·2^s + b, with s and b for each channel.
    ShiftBatchNorm,
    /// Scales a sample by a power of two.
    ShiftNorm,
    /// Divides a sample by its root mean square.
    RmsNorm,
    /// max(x, 0), where no other node can do it.
    Relu,
    /// The largest element under a window.
    MaxPool(Window),
    /// The mean element under a window, times two to the power of a number: so many binary digits finer.
    AvgPool(Window, u8),
    /// The sum of two nodes.
    Add,
    /// The channels of two nodes.
    Concat,
    /// The same elements in another shape.
    Reshape,
    /// Zeros around an image: rows above, columns left, rows below, columns right.
    Pad([u8; 4]),
}

impl Operation {
    /// Number of the stage whose weights it uses.
    pub const fn stage(&self) -> Option<usize> {
        match self {
            Self::Linear(stage) | Self::Embedding(stage) | Self::Conv2d(stage, _) | Self::DepthwiseConv2d(stage, _) => {
                Some(*stage)
            }
            _ => None,
        }
    }

    /// Binary digits by which its output is finer than its inputs.
    pub(crate) const fn extra_bits(&self) -> i32 {
        match self {
            Self::AvgPool(_, bits) => *bits as i32,
            _ => 0,
        }
    }

    /// Whether it is a stage of a perceptron or a part of one.
    pub(super) const fn is_of_perceptrons(&self) -> bool {
        matches!(self, Self::Input | Self::Linear(_) | Self::Embedding(_) | Self::ShiftNorm | Self::RmsNorm)
    }

    /// The same with the weights of the stage of this number, where it has some.
    pub(crate) const fn with_stage(self, stage: usize) -> Self {
        match self {
            Self::Linear(_) => Self::Linear(stage),
            Self::Embedding(_) => Self::Embedding(stage),
            Self::Conv2d(_, window) => Self::Conv2d(stage, window),
            Self::DepthwiseConv2d(_, window) => Self::DepthwiseConv2d(stage, window),
            other => other,
        }
    }
}

/// What the elements of a node's output are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// int8 in steps of 2^[`ACTIVATION_EXPONENT`](super::ACTIVATION_EXPONENT).
    Int8,
    /// int32 sums in one unit for all of them.
    Int32,
    /// Sums that the shift-batch-norm behind the node takes; in a model file the two are one operator.
    Folded,
}

/// Where a layer stands in a configuration: its number, and behind it those inside residual and concat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(String);

impl Place {
    /// Of the network's input, which is no layer.
    pub(super) fn input() -> Self {
        Self(String::new())
    }

    /// Number `index` of the layers.
    pub(crate) fn new(index: usize) -> Self {
        Self(index.to_string())
    }

    /// Number `index` of a list inside this layer.
    pub(super) fn inside(&self, list: &str, index: usize) -> Self {
        Self(format!("{self}.{list}.{index}"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
