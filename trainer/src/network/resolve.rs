//! From a configuration to a network: its ends, its samples' shape, its depth.

use super::build::Builder;
use super::{Element, Network, NetworkError, Node, Operation, Place, Shape};
use crate::config::{Config, LayerConfig, NetworkOutput, Scaling};
use trishift_format::Tensor;

impl Network {
    /// The network of a configuration for samples of this shape in `classes` classes.
    ///
    /// # Errors
    /// [`NetworkError`] says which layer cannot stand where it does.
    pub fn resolve(config: &Config, shape: [usize; 3], classes: usize) -> Result<Self, NetworkError> {
        let group = config.group()?;
        let layers = &config.network.layers;
        check_ends(layers)?;
        let begins_with_table = matches!(layers.first(), Some(LayerConfig::Embedding { .. }));
        if begins_with_table != (config.data.scaling == Scaling::Index) {
            return Err(NetworkError::Index);
        }
        let (mut builder, mut at) = Builder::new(config, group, classes, input_shape(config, shape)?)?;
        for (index, layer) in layers.iter().enumerate() {
            at = builder.layer(layer, at, &Place::new(index), index + 1 == layers.len())?;
        }
        let (nodes, stages) = builder.finish();
        check_extra_bits(&nodes)?;
        let tensors = nodes.iter().filter(|node| node.element != Element::Folded).count();
        if tensors > Tensor::MAX_COUNT {
            return Err(NetworkError::TooDeep { tensors });
        }
        Ok(Self { nodes, stages, activations: config.network.activations, output: config.network.output })
    }
}

impl Network {
    /// The network of a configuration that says itself what its samples are.
    ///
    /// # Errors
    /// [`NetworkError::NoShape`] where it does not, and as [`Network::resolve`].
    pub fn without_data(config: &Config) -> Result<Self, NetworkError> {
        let classes = config.data.classes.as_ref().map(Vec::len);
        let (shape, classes) = match (config.data.shape, classes, config.network.output) {
            (Some(shape), Some(classes), _) if classes > 0 => (shape, classes),
            (Some(shape), _, NetworkOutput::Values) => (shape, 0),
            _ => return Err(NetworkError::NoShape { name: config.name.clone() }),
        };
        Self::resolve(config, shape.map(|side| side as usize), classes)
    }
}

/// The shape that the configuration gives to samples of this one.
fn input_shape(config: &Config, shape: [usize; 3]) -> Result<[usize; 3], NetworkError> {
    let Some(expected) = config.data.shape.map(|sides| sides.map(|side| side as usize)) else { return Ok(shape) };
    let elements = |shape: [usize; 3]| shape.iter().fold(1, |product: usize, side| product.saturating_mul(*side));
    if elements(expected) != elements(shape) {
        return Err(NetworkError::Shape { expected: Shape(expected), found: Shape(shape) });
    }
    Ok(expected)
}

/// What a network begins with needs no sums of a layer before it, and it ends with a linear layer.
fn check_ends(layers: &[LayerConfig]) -> Result<(), NetworkError> {
    let name = |layer: Option<&LayerConfig>| layer.map_or("nothing", LayerConfig::name);
    match layers.first() {
        None
        | Some(LayerConfig::Relu | LayerConfig::ShiftNorm | LayerConfig::RmsNorm | LayerConfig::ShiftBatchNorm) => {
            return Err(NetworkError::Beginning { found: name(layers.first()) });
        }
        Some(_) => {}
    }
    match layers.last() {
        Some(LayerConfig::Linear { .. }) => Ok(()),
        last => Err(NetworkError::End { found: name(last) }),
    }
}

/// Finer means are read by the last layer alone, whose weights the export moves by as many powers of two.
fn check_extra_bits(nodes: &[Node]) -> Result<(), NetworkError> {
    let ends_with_logits = nodes
        .last()
        .is_some_and(|node| matches!(node.operation, Operation::Linear(_)) && node.element == Element::Int32);
    for (index, node) in nodes.iter().enumerate() {
        if node.operation.extra_bits() != 0 && !(ends_with_logits && index + 2 == nodes.len()) {
            let why = "extra-bits need the last layer directly behind them, one that gives logits";
            return Err(NetworkError::Order { place: node.place.clone(), layer: "global-avg-pool", why });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{StageKind, StageOutput};

    fn resolve(layers: &str) -> Result<Network, NetworkError> {
        resolve_scaled("feature", layers)
    }

    fn resolve_scaled(scaling: &str, layers: &str) -> Result<Network, NetworkError> {
        let text = format!(
            "name = 'n'\n[data]\nscaling = '{scaling}'\n[network]\ngroup = 8\nlayers = [{layers}]\n[training]\nepochs = 1\nbatch = 1\n"
        );
        Network::resolve(&Config::from_toml(&text, "test").unwrap(), [1, 1, 20], 3)
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
            (
                "",
                "must begin with a linear layer, a convolution, an embedding, or pooling or moving elements; found nothing",
            ),
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

    fn of_image(layers: &str) -> Result<Network, NetworkError> {
        let text = format!(
            "name = 'n'\n[data]\nscaling = 'tensor'\nshape = [8, 6, 4]\n[network]\ngroup = 8\nlayers = [{layers}]\n\
             [training]\nepochs = 1\nbatch = 1\n"
        );
        // As a table has them: the configuration says that they are images.
        Network::resolve(&Config::from_toml(&text, "test").unwrap(), [1, 1, 192], 3)
    }

    #[test]
    fn convolutions_are_linear_layers_on_windows() {
        let network = of_image(
            "{type='conv2d', outputs=7, kernel=[3, 2], stride=[2, 1], bias=true, group=16}, {type='relu'}, \
             {type='depthwise-conv2d', kernel=3, padding='valid', weights='int8'}, {type='shift-batch-norm'}, \
             {type='relu'}, {type='max-pool', kernel=2, stride=1}, {type='linear'}",
        )
        .unwrap();
        let nodes: Vec<_> = network.nodes.iter().map(|node| (node.shape, node.relu, node.element)).collect();
        assert_eq!(
            nodes,
            [
                ([8, 6, 4], false, Element::Int8),
                ([4, 6, 7], true, Element::Int8),
                ([2, 4, 7], false, Element::Folded),
                ([2, 4, 7], true, Element::Int8),
                ([1, 3, 7], false, Element::Int8),
                ([1, 1, 3], false, Element::Int32),
            ]
        );
        let requantized = StageOutput::Requantized { relu: true };
        let stages = network.stages.iter().map(|s| (s.rows, s.columns, s.groups(), s.bias, s.output));
        assert_eq!(
            stages.collect::<Vec<_>>(),
            [(7, 24, 2, true, requantized), (7, 9, 1, false, requantized), (3, 21, 3, false, StageOutput::Logits)]
        );
        assert!(network.check_trainable().is_ok() && network.check_trainable_on_card().is_ok());
        let continuous = Network { activations: crate::config::Activations::Float, ..network };
        assert!(continuous.check_trainable().is_ok() && !continuous.is_perceptron());
        let error = continuous.check_trainable_on_card().unwrap_err().to_string();
        assert!(error.contains("float activations cannot be trained on a card yet; use --device cpu"), "{error}");
    }

    #[test]
    fn ways_part_and_come_together() {
        let network = of_image(
            "{type='residual', layers=[{type='relu'}, {type='conv2d', outputs=4, kernel=3}]}, {type='relu'}, \
             {type='concat', layers=[{type='max-pool', kernel=2}], shortcut=[{type='conv2d', outputs=5, kernel=1, stride=2}]}, \
             {type='relu'}, {type='linear'}",
        )
        .unwrap();
        let inputs: Vec<&[usize]> = network.nodes.iter().map(|node| &node.inputs[..]).collect();
        assert_eq!(inputs, [&[][..], &[0], &[1], &[2, 0], &[3], &[3], &[4, 5], &[6], &[7]]);
        let operations: Vec<_> = network.nodes.iter().map(|node| node.operation).collect();
        // A ReLU at the beginning of a way is its own: the shortcut takes what is before it. So is one on joined channels.
        assert_eq!((operations[1], operations[3], operations[7]), (Operation::Relu, Operation::Add, Operation::Relu));
        assert!(network.nodes[3].relu && !network.nodes[6].relu);
        assert_eq!((network.nodes[3].shape, network.nodes[6].shape), ([8, 6, 4], [4, 3, 9]));
        assert_eq!(network.nodes[5].place.to_string(), "2.shortcut.0");
    }

    #[test]
    fn images_that_do_not_fit_are_refused() {
        let conv = "{type='conv2d', outputs=4, kernel=3}";
        for (layers, part) in [
            (
                &format!("{conv}, {{type='max-pool', kernel=9}}"),
                "layer 1 (max-pool): a window of 9 × 9 does not fit into 8 × 6 × 4",
            ),
            (&"{type='conv2d', outputs=4, kernel=3, padding=[3, 0, 0, 0]}".into(), "fewer on each side"),
            (&"{type='conv2d', outputs=0, kernel=3}".into(), "at least 1"),
            (&format!("{conv}, {{type='conv2d', outputs=4, kernel=1, group=5}}"), "layer 1: group is 5"),
            (
                &format!("{{type='residual', layers=[{conv}, {{type='max-pool', kernel=2}}]}}"),
                "layers give 4 × 3 × 4 and the shortcut 8 × 6 × 4; one shape",
            ),
            (
                &"{type='concat', layers=[{type='flatten'}]}".into(),
                "1 × 1 × 192 and the shortcut 8 × 6 × 4; one height and width",
            ),
            (&"{type='residual', layers=[]}".into(), "layer 0 (residual): its layers are missing"),
            (&"{type='residual', layers=[{type='linear'}]}".into(), "layer 0.layers.0: outputs is missing"),
            (
                &"{type='residual', layers=[{type='shift-norm'}]}".into(),
                "layer 0.layers.0 (shift-norm) cannot stand here",
            ),
            (&"{type='residual', layers=[{type='embedding', dimension=4}]}".into(), "(embedding) cannot stand here"),
            (&format!("{conv}, {{type='relu'}}, {{type='shift-batch-norm'}}"), "comes directly before it"),
            (
                &"{type='conv2d', outputs=4, kernel=3, bias=true}, {type='shift-batch-norm'}".into(),
                "layer 0: a layer before a norm",
            ),
            (&"{type='shift-batch-norm'}".into(), "must begin with"),
            (
                &format!("{conv}, {{type='pad', padding=[0, 0, 255, 0]}}, {{type='global-avg-pool'}}"),
                "no window covers 263 × 6 × 4",
            ),
            (&"{type='global-avg-pool', extra-bits=5}".into(), "extra-bits is 0 to 4"),
            (&"{type='global-avg-pool', extra-bits=2}, {type='flatten'}".into(), "directly behind them"),
            (
                &"{type='concat', layers=[{type='global-avg-pool', extra-bits=1}], shortcut=[{type='global-avg-pool'}]}"
                    .into(),
                "layer 0.layers.0 (global-avg-pool) cannot stand here",
            ),
        ] {
            let error = of_image(&format!("{layers}, {{type='linear'}}")).unwrap_err().to_string();
            assert!(error.contains(part), "{layers}: {error}");
        }
        let error = of_image("{type='conv2d', outputs=4, kernel=3}").unwrap_err().to_string();
        assert!(error.contains("must end with a linear layer"), "{error}");
        let text = "name = 'n'\n[data]\nscaling = 'tensor'\nshape = [8, 6, 4]\n[network]\ngroup = 8\n\
                    layers = [{type='linear'}]\n[training]\nepochs = 1\nbatch = 1\n";
        let config = Config::from_toml(text, "test").unwrap();
        let error = Network::resolve(&config, [8, 8, 1], 3).unwrap_err().to_string();
        assert!(error.contains("8 × 6 × 4, but those of the data are 8 × 8 × 1"), "{error}");
        assert!(matches!(Network::without_data(&config), Err(NetworkError::NoShape { .. })));
    }

    #[test]
    fn depth_ends_where_the_format_does() {
        let layers = |count| "{type='linear', outputs=2}, {type='shift-norm'}, ".repeat(count) + "{type='linear'}";
        assert_eq!(resolve(&layers(511)).unwrap().stages.len(), 512);
        let error = resolve(&layers(512)).unwrap_err().to_string();
        assert!(error.contains("1026 tensors; a model file holds at most 1024"), "{error}");
    }
}
