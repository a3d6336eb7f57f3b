//! `[network]`: the layers.

use super::extent::{Extent, Padding};
use serde::{Deserialize, Serialize};

/// The layers, first to last, and their group size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Columns that share one exponent, in layers that name no other number.
    pub group: u32,
    /// Outputs of all layers but the last are multiplied by it and rounded, to 1 at least.
    #[serde(default = "default_width", skip_serializing_if = "is_default_width")]
    pub width: f64,
    /// What flows between layers while the network trains; the exported model's activations are int8 either way.
    #[serde(default, skip_serializing_if = "Activations::is_default")]
    pub activations: Activations,
    /// What the network gives.
    #[serde(default, skip_serializing_if = "NetworkOutput::is_default")]
    pub output: NetworkOutput,
    /// The layers.
    pub layers: Vec<LayerConfig>,
}

/// What flows between layers while a network trains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activations {
    /// Rounded and saturated as in the exported model: what is trained is what is exported.
    #[default]
    Int8,
    /// Not rounded; the export rounds them, which may cost accuracy. For comparison with recorded results.
    Float,
}

impl Activations {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a network gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkOutput {
    /// An int32 score for each class.
    #[default]
    Logits,
    /// int8 values, such as those that an autoencoder makes of its input.
    Values,
}

impl NetworkOutput {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a layer's weights are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Trits, and an exponent for each group of a row.
    #[default]
    Ternary,
    /// int8, and an exponent for each row: for the few layers where ternary weights cost too much accuracy.
    Int8,
}

impl Precision {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One layer. Images are [height, width, channels]; a linear layer takes any shape, flattened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayerConfig {
    /// Linear layer.
    Linear {
        /// Outputs; left out in the last layer, which has one for each class.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<u32>,
        /// With an int32 bias; not before a norm.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bias: bool,
        /// How the weights are stored.
        #[serde(default, skip_serializing_if = "Precision::is_default")]
        weights: Precision,
        /// Columns that share one exponent, instead of the network's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<u32>,
    },
    /// Ternary table: each value of a sample is the number of a row. First layer only; needs `scaling = "index"`.
    Embedding {
        /// Rows of the table.
        #[serde(default = "default_vocabulary")]
        vocabulary: u32,
        /// Columns of the table; not multiplied by the network's width.
        dimension: u32,
    },
    /// Convolution over height and width.
    #[serde(rename = "conv2d")]
    Conv2d {
        /// Channels of the output.
        outputs: u32,
        /// Rows and columns of the window.
        kernel: Extent,
        /// Rows and columns from one window to the next.
        #[serde(default = "one", skip_serializing_if = "Extent::is_one")]
        stride: Extent,
        /// Zeros around the input.
        #[serde(default = "Padding::same", skip_serializing_if = "Padding::is_same")]
        padding: Padding,
        /// With an int32 bias; not before a norm.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bias: bool,
        /// How the weights are stored.
        #[serde(default, skip_serializing_if = "Precision::is_default")]
        weights: Precision,
        /// Columns that share one exponent, instead of the network's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<u32>,
    },
    /// Convolution of each channel for itself.
    #[serde(rename = "depthwise-conv2d")]
    DepthwiseConv2d {
        /// Rows and columns of the window.
        kernel: Extent,
        /// Rows and columns from one window to the next.
        #[serde(default = "one", skip_serializing_if = "Extent::is_one")]
        stride: Extent,
        /// Zeros around the input.
        #[serde(default = "Padding::same", skip_serializing_if = "Padding::is_same")]
        padding: Padding,
        /// With an int32 bias; not before a norm.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bias: bool,
        /// How the weights are stored.
        #[serde(default, skip_serializing_if = "Precision::is_default")]
        weights: Precision,
        /// Columns that share one exponent, instead of the network's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<u32>,
    },
    /// Scales each channel by a power of two and adds a number to it; the export puts both into the weights before it.
    ShiftBatchNorm,
    /// Scales each sample by a power of two.
    ShiftNorm,
    /// Divides each sample by its root mean square.
    RmsNorm,
    /// max(x, 0).
    Relu,
    /// The largest element under a window, channel by channel.
    MaxPool {
        /// Rows and columns of the window.
        kernel: Extent,
        /// Rows and columns from one window to the next. Left out: the window's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Extent>,
        /// What lies around the input; it takes no part in the largest element.
        #[serde(default = "Padding::valid", skip_serializing_if = "Padding::is_valid")]
        padding: Padding,
    },
    /// The mean element under a window, channel by channel; a window of n counts as the nearest power of two.
    AvgPool {
        /// Rows and columns of the window.
        kernel: Extent,
        /// Rows and columns from one window to the next. Left out: the window's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stride: Option<Extent>,
        /// Zeros around the input.
        #[serde(default = "Padding::valid", skip_serializing_if = "Padding::is_valid")]
        padding: Padding,
    },
    /// The mean element of each channel.
    GlobalAvgPool {
        /// Binary digits that the means keep beyond those of their inputs; only directly before the last layer, which takes
        /// them times two to this power.
        #[serde(rename = "extra-bits", default, skip_serializing_if = "is_zero")]
        extra_bits: u8,
    },
    /// The sum of two ways through the network.
    Residual {
        /// The one.
        layers: Vec<LayerConfig>,
        /// The other. Left out: the input itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortcut: Vec<LayerConfig>,
    },
    /// The channels of two ways through the network, one behind the other.
    Concat {
        /// The one.
        layers: Vec<LayerConfig>,
        /// The other. Left out: the input itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        shortcut: Vec<LayerConfig>,
    },
    /// All elements in one row of channels.
    Flatten,
    /// Zeros around an image.
    Pad {
        /// Rows above, columns left, rows below, columns right.
        padding: [u8; 4],
    },
}

impl LayerConfig {
    /// The type's name in the configuration.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::Embedding { .. } => "embedding",
            Self::Conv2d { .. } => "conv2d",
            Self::DepthwiseConv2d { .. } => "depthwise-conv2d",
            Self::ShiftBatchNorm => "shift-batch-norm",
            Self::ShiftNorm => "shift-norm",
            Self::RmsNorm => "rms-norm",
            Self::Relu => "relu",
            Self::MaxPool { .. } => "max-pool",
            Self::AvgPool { .. } => "avg-pool",
            Self::GlobalAvgPool { .. } => "global-avg-pool",
            Self::Residual { .. } => "residual",
            Self::Concat { .. } => "concat",
            Self::Flatten => "flatten",
            Self::Pad { .. } => "pad",
        }
    }
}

fn default_vocabulary() -> u32 {
    256
}

fn default_width() -> f64 {
    1.0
}

#[allow(clippy::float_cmp, reason = "what is left out is exactly 1")]
fn is_default_width(width: &f64) -> bool {
    *width == default_width()
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

fn one() -> Extent {
    Extent::ONE
}
