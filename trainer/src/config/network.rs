//! `[network]`: the layers.

use serde::{Deserialize, Serialize};

/// The layers, first to last, and their group size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Columns that share one exponent.
    pub group: u32,
    /// What flows between layers while the network trains; the exported model's activations are int8 either way.
    #[serde(default, skip_serializing_if = "Activations::is_default")]
    pub activations: Activations,
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

/// One layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LayerConfig {
    /// Ternary linear layer.
    Linear {
        /// Outputs; left out in the last layer, which has one for each class.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<u32>,
        /// With an int32 bias; not before a norm.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bias: bool,
    },
    /// Ternary table: each value of a sample is the number of a row. First layer only; needs `scaling = "index"`.
    Embedding {
        /// Rows of the table.
        #[serde(default = "default_vocabulary")]
        vocabulary: u32,
        /// Columns of the table.
        dimension: u32,
    },
    /// Scales each sample by a power of two.
    ShiftNorm,
    /// Divides each sample by its root mean square.
    RmsNorm,
    /// max(x, 0).
    Relu,
}

impl LayerConfig {
    /// The type's name in the configuration.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Linear { .. } => "linear",
            Self::Embedding { .. } => "embedding",
            Self::ShiftNorm => "shift-norm",
            Self::RmsNorm => "rms-norm",
            Self::Relu => "relu",
        }
    }
}

fn default_vocabulary() -> u32 {
    256
}
