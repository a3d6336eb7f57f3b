//! The resolved network: stages of a ternary linear layer and what follows it.
//!
//! A stage is one linear layer, then perhaps a shift norm, then perhaps a ReLU; norm and ReLU are fused into the step that
//! makes the stage's int8 output. The last stage gives int32 logits.

use crate::config::{Config, ConfigError, LayerConfig};
use thiserror::Error;
use trishift_format::{GroupSize, Tensor};

/// Every int8 tensor of a network has this exponent: a least significant bit of 2^−5.
pub const ACTIVATION_EXPONENT: i32 = -5;

/// Most weights of one layer: indices fit u32 with room to spare.
const MAX_WEIGHTS: u64 = 1 << 31;

/// A linear layer and what makes its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Outputs N.
    pub rows: usize,
    /// Inputs K.
    pub columns: usize,
    /// Group size G.
    pub group: GroupSize,
    /// An int32 bias per output.
    pub bias: bool,
    /// What happens to the accumulators.
    pub output: StageOutput,
}

/// What happens to a linear layer's accumulators.
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
    /// int32 logits; the last stage.
    Logits,
}

impl Stage {
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
}

/// Why the layers make no network.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// A value of the configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No linear layer at the beginning.
    #[error("the network must begin with a linear layer; found {found}")]
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
    /// Norm or ReLU in the wrong place.
    #[error(
        "layer {index} ({layer}) cannot stand here; after a linear layer come shift-norm and then relu, each at most once"
    )]
    Order {
        /// Position in the list.
        index: usize,
        /// What stands there.
        layer: &'static str,
    },
    /// A bias before a norm.
    #[error("layer {index}: a linear layer before a shift-norm has no bias; remove `bias = true`")]
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

impl Network {
    /// The network of a configuration for samples of `features` values in `classes` classes.
    ///
    /// # Errors
    /// [`NetworkError`] says which layer cannot stand where it does.
    pub fn resolve(config: &Config, features: usize, classes: usize) -> Result<Self, NetworkError> {
        let group = config.group()?;
        let layers = &config.network.layers;
        // From here on there is a stage before every norm and ReLU.
        check_ends(layers)?;
        let mut stages: Vec<Stage> = Vec::new();
        let mut columns = features;
        // Position of each stage's linear layer in the list, for errors.
        let mut linear_index = 0;
        for (index, layer) in layers.iter().enumerate() {
            match layer {
                LayerConfig::Linear { outputs, bias } => {
                    let is_last = !layers[index + 1..].iter().any(|l| matches!(l, LayerConfig::Linear { .. }));
                    let rows = stage_outputs(index, *outputs, is_last.then_some(classes))?;
                    if rows as u64 * columns as u64 > MAX_WEIGHTS {
                        return Err(NetworkError::TooLarge { index, rows: rows as u64, columns: columns as u64 });
                    }
                    let output = StageOutput::Requantized { relu: false };
                    stages.push(Stage { rows, columns, group, bias: *bias, output });
                    columns = rows;
                    linear_index = index;
                }
                LayerConfig::ShiftNorm => {
                    let Some(stage) = stages.last_mut() else { continue };
                    if stage.output != (StageOutput::Requantized { relu: false }) {
                        return Err(NetworkError::Order { index, layer: "shift-norm" });
                    }
                    if stage.bias {
                        return Err(NetworkError::BiasBeforeNorm { index: linear_index });
                    }
                    stage.output = StageOutput::ShiftNorm { relu: false };
                }
                LayerConfig::Relu => {
                    let Some(stage) = stages.last_mut() else { continue };
                    match &mut stage.output {
                        StageOutput::Requantized { relu } | StageOutput::ShiftNorm { relu } if !*relu => *relu = true,
                        _ => return Err(NetworkError::Order { index, layer: "relu" }),
                    }
                }
            }
        }
        if let Some(last) = stages.last_mut() {
            last.output = StageOutput::Logits;
        }
        let outputs =
            stages.iter().map(|stage| if matches!(stage.output, StageOutput::ShiftNorm { .. }) { 2 } else { 1 });
        let tensors = 1 + outputs.sum::<usize>();
        if tensors > Tensor::MAX_COUNT {
            return Err(NetworkError::TooDeep { tensors });
        }
        Ok(Self { stages })
    }

    /// Values of one sample.
    pub fn inputs(&self) -> usize {
        self.stages.first().map_or(0, |stage| stage.columns)
    }

    /// Logits of one sample.
    pub fn outputs(&self) -> usize {
        self.stages.last().map_or(0, |stage| stage.rows)
    }

    /// Weights of all stages.
    pub fn weights(&self) -> usize {
        self.stages.iter().map(Stage::weights).sum()
    }
}

/// A network begins and ends with a linear layer.
fn check_ends(layers: &[LayerConfig]) -> Result<(), NetworkError> {
    let name = |layer: Option<&LayerConfig>| match layer {
        None => Some("nothing"),
        Some(LayerConfig::ShiftNorm) => Some("shift-norm"),
        Some(LayerConfig::Relu) => Some("relu"),
        Some(LayerConfig::Linear { .. }) => None,
    };
    match (name(layers.first()), name(layers.last())) {
        (Some(found), _) => Err(NetworkError::Beginning { found }),
        (None, Some(found)) => Err(NetworkError::End { found }),
        (None, None) => Ok(()),
    }
}

/// Outputs of a linear layer; `classes` is given for the last one.
fn stage_outputs(index: usize, outputs: Option<u32>, classes: Option<usize>) -> Result<usize, NetworkError> {
    match (outputs.map(|outputs| outputs as usize), classes) {
        (Some(0), _) => Err(NetworkError::Outputs { index, problem: "outputs must be at least 1" }),
        (None, None) => Err(NetworkError::Outputs { index, problem: "outputs is missing" }),
        (Some(outputs), Some(classes)) if outputs != classes => Err(NetworkError::Outputs {
            index,
            problem: "the last layer has one output for each class of the data; leave outputs out",
        }),
        (Some(outputs), _) => Ok(outputs),
        (None, Some(classes)) => Ok(classes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(layers: &str) -> Result<Network, NetworkError> {
        let text = format!(
            "name = 'n'\n[data]\n[network]\ngroup = 8\nlayers = [{layers}]\n[training]\nepochs = 1\nbatch = 1\n"
        );
        Network::resolve(&Config::from_toml(&text, "test").unwrap(), 20, 3)
    }

    #[test]
    fn norms_and_relus_are_fused_into_stages() {
        let network = resolve(
            "{type='linear', outputs=7}, {type='shift-norm'}, {type='relu'}, {type='linear', outputs=5, bias=true}, \
             {type='relu'}, {type='linear'}",
        );
        let stages = network.unwrap().stages;
        let shapes: Vec<_> = stages.iter().map(|s| (s.rows, s.columns, s.bias, s.output)).collect();
        assert_eq!(
            shapes,
            [
                (7, 20, false, StageOutput::ShiftNorm { relu: true }),
                (5, 7, true, StageOutput::Requantized { relu: true }),
                (3, 5, false, StageOutput::Logits),
            ]
        );
    }

    #[test]
    fn layers_in_the_wrong_place_are_refused() {
        for (layers, part) in [
            ("", "must begin with a linear layer; found nothing"),
            ("{type='relu'}", "must begin"),
            ("{type='linear'}, {type='relu'}", "must end"),
            ("{type='linear', outputs=4}, {type='shift-norm'}", "must end with a linear layer"),
            ("{type='linear', outputs=4}, {type='relu'}, {type='shift-norm'}, {type='linear'}", "cannot stand here"),
            ("{type='linear', outputs=4}, {type='relu'}, {type='relu'}, {type='linear'}", "cannot stand here"),
            ("{type='linear', outputs=4, bias=true}, {type='shift-norm'}, {type='linear'}", "has no bias"),
            ("{type='linear', outputs=0}, {type='linear'}", "at least 1"),
            ("{type='linear'}, {type='linear'}", "outputs is missing"),
            ("{type='linear', outputs=4}", "one output for each class"),
            ("{type='linear', outputs=4294967295}, {type='linear'}", "at most 2^31"),
        ] {
            let error = resolve(layers).unwrap_err().to_string();
            assert!(error.contains(part), "{layers}: {error}");
        }
    }

    #[test]
    fn depth_ends_where_the_format_does() {
        let layers = |count| "{type='linear', outputs=2}, {type='shift-norm'}, ".repeat(count) + "{type='linear'}";
        assert_eq!(resolve(&layers(511)).unwrap().stages.len(), 512);
        let error = resolve(&layers(512)).unwrap_err().to_string();
        assert!(error.contains("1026 tensors; a model file holds at most 1024"), "{error}");
    }
}
