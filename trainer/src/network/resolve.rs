//! From the layers of a configuration to stages.

use super::{Network, NetworkError, Stage, StageKind, StageOutput};
use crate::config::{Config, LayerConfig, Scaling};
use trishift_format::{GroupSize, Tensor};

/// Most weights of one layer: indices fit u32 with room to spare.
const MAX_WEIGHTS: u64 = 1 << 31;

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
        let begins_with_table = matches!(layers.first(), Some(LayerConfig::Embedding { .. }));
        if begins_with_table != (config.data.scaling == Scaling::Index) {
            return Err(NetworkError::Index);
        }
        let mut stages: Vec<Stage> = Vec::new();
        // Position of each stage's layer in the list, for errors.
        let mut stage_index = 0;
        for (index, layer) in layers.iter().enumerate() {
            let inputs = stages.last().map_or(features, Stage::outputs);
            match layer {
                LayerConfig::Linear { outputs, bias } => {
                    let is_last = !layers[index + 1..].iter().any(|l| matches!(l, LayerConfig::Linear { .. }));
                    let rows = stage_outputs(index, *outputs, is_last.then_some(classes))?;
                    stages.push(stage(index, StageKind::Linear, [rows, inputs], group, *bias)?);
                    stage_index = index;
                }
                LayerConfig::Embedding { .. } if index > 0 => {
                    return Err(NetworkError::Order { index, layer: layer.name() });
                }
                LayerConfig::Embedding { vocabulary, dimension } => {
                    let refuse = |expected, found| Err(NetworkError::Table { index, expected, found });
                    match (*vocabulary, *dimension) {
                        (found @ (0 | 257..), _) => return refuse("1 to 256 rows (vocabulary)", found),
                        (_, 0) => return refuse("at least 1 column (dimension)", 0),
                        (rows, columns) => {
                            let kind = StageKind::Embedding { positions: features };
                            stages.push(stage(index, kind, [rows as usize, columns as usize], group, false)?);
                        }
                    }
                }
                LayerConfig::ShiftNorm | LayerConfig::RmsNorm => {
                    let Some(stage) = stages.last_mut() else { continue };
                    if stage.output != (StageOutput::Requantized { relu: false }) {
                        return Err(NetworkError::Order { index, layer: layer.name() });
                    }
                    if stage.bias {
                        return Err(NetworkError::BiasBeforeNorm { index: stage_index });
                    }
                    stage.output = match layer {
                        LayerConfig::RmsNorm => StageOutput::RmsNorm { relu: false },
                        _ => StageOutput::ShiftNorm { relu: false },
                    };
                }
                LayerConfig::Relu => {
                    let Some(Stage { kind, output, .. }) = stages.last_mut() else { continue };
                    match (output, kind) {
                        // An embedding without norm has no ReLU in the runtime.
                        (StageOutput::Requantized { relu }, StageKind::Linear)
                        | (StageOutput::ShiftNorm { relu } | StageOutput::RmsNorm { relu }, _)
                            if !*relu =>
                        {
                            *relu = true;
                        }
                        _ => return Err(NetworkError::Order { index, layer: layer.name() }),
                    }
                }
            }
        }
        if let Some(last) = stages.last_mut() {
            last.output = StageOutput::Logits;
        }
        let has_norm = |output| matches!(output, StageOutput::ShiftNorm { .. } | StageOutput::RmsNorm { .. });
        let outputs = stages.iter().map(|stage| if has_norm(stage.output) { 2 } else { 1 });
        let tensors = 1 + outputs.sum::<usize>();
        if tensors > Tensor::MAX_COUNT {
            return Err(NetworkError::TooDeep { tensors });
        }
        Ok(Self { stages, activations: config.network.activations })
    }
}

/// A network begins with a layer that has weights and ends with a linear one.
fn check_ends(layers: &[LayerConfig]) -> Result<(), NetworkError> {
    let name = |layer: Option<&LayerConfig>| layer.map_or("nothing", LayerConfig::name);
    if !matches!(layers.first(), Some(LayerConfig::Linear { .. } | LayerConfig::Embedding { .. })) {
        return Err(NetworkError::Beginning { found: name(layers.first()) });
    }
    match layers.last() {
        Some(LayerConfig::Linear { .. }) => Ok(()),
        last => Err(NetworkError::End { found: name(last) }),
    }
}

/// A stage whose output is not yet known to be anything but requantised.
fn stage(
    index: usize,
    kind: StageKind,
    shape: [usize; 2],
    group: GroupSize,
    bias: bool,
) -> Result<Stage, NetworkError> {
    let [rows, columns] = shape;
    if rows as u64 * columns as u64 > MAX_WEIGHTS {
        return Err(NetworkError::TooLarge { index, rows: rows as u64, columns: columns as u64 });
    }
    Ok(Stage { kind, rows, columns, group, bias, output: StageOutput::Requantized { relu: false } })
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
        resolve_scaled("feature", layers)
    }

    fn resolve_scaled(scaling: &str, layers: &str) -> Result<Network, NetworkError> {
        let text = format!(
            "name = 'n'\n[data]\nscaling = '{scaling}'\n[network]\ngroup = 8\nlayers = [{layers}]\n[training]\nepochs = 1\nbatch = 1\n"
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
            ("", "must begin with a linear layer or an embedding; found nothing"),
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
    fn embeddings_give_a_row_for_every_input() {
        let resolve = |layers| resolve_scaled("index", layers);
        let network = resolve(
            "{type='embedding', dimension=6}, {type='rms-norm'}, {type='linear', outputs=5}, {type='rms-norm'}, \
             {type='relu'}, {type='linear'}",
        )
        .unwrap();
        let [table, hidden, last] = network.stages[..] else { panic!("{network:?}") };
        assert_eq!((table.kind, table.rows, table.columns), (StageKind::Embedding { positions: 20 }, 256, 6));
        assert_eq!((table.inputs(), table.outputs(), table.output), (20, 120, StageOutput::RmsNorm { relu: false }));
        assert_eq!((hidden.columns, hidden.output), (120, StageOutput::RmsNorm { relu: true }));
        assert_eq!((last.columns, network.inputs(), network.outputs()), (5, 20, 3));
        for (layers, part) in [
            ("{type='linear', outputs=4}, {type='linear'}", "go together"),
            ("{type='embedding', dimension=6}", "must end"),
            ("{type='embedding', dimension=0}, {type='linear'}", "at least 1 column"),
            ("{type='embedding', dimension=4, vocabulary=257}, {type='linear'}", "1 to 256 rows"),
            ("{type='embedding', dimension=4}, {type='relu'}, {type='linear'}", "layer 1 (relu) cannot stand here"),
            ("{type='embedding', dimension=4}, {type='embedding', dimension=4}, {type='linear'}", "(embedding) cannot"),
        ] {
            let error = resolve(layers).unwrap_err().to_string();
            assert!(error.contains(part), "{layers}: {error}");
        }
        let small = resolve("{type='embedding', dimension=4, vocabulary=9}, {type='linear'}").unwrap();
        assert!(small.check_indices(&[-128, -120]).is_ok());
        assert!(small.check_indices(&[-128, -119]).unwrap_err().to_string().contains("value 9"));
        let unscaled = resolve_scaled("tensor", "{type='embedding', dimension=4}, {type='linear'}");
        assert!(unscaled.unwrap_err().to_string().contains("go together"));
    }

    #[test]
    fn depth_ends_where_the_format_does() {
        let layers = |count| "{type='linear', outputs=2}, {type='shift-norm'}, ".repeat(count) + "{type='linear'}";
        assert_eq!(resolve(&layers(511)).unwrap().stages.len(), 512);
        let error = resolve(&layers(512)).unwrap_err().to_string();
        assert!(error.contains("1026 tensors; a model file holds at most 1024"), "{error}");
    }
}
