//! Export: a frozen network becomes a model file.
//!
//! Each row's exponent window is narrowed where its accumulator could overflow int32, memory is planned, metadata is
//! written, and the file is parsed once to prove it valid. What narrowing cost is reported, not hidden.

mod graph;
mod narrow;
mod onnx;
mod stream;

pub use onnx::{OnnxError, onnx};
pub use stream::{StreamError, Streamed, stream};

use crate::frozen::FrozenNetwork;
use crate::network::Place;
use crate::plan;
use thiserror::Error;
use trishift_format::write::{ModelWriter, Region, WriteError};
use trishift_format::{InputScale, Layout};

/// What the file says about itself beyond the network.
#[derive(Clone, Debug)]
pub struct Metadata<'a> {
    /// Name of the model.
    pub name: &'a str,
    /// Name of each output.
    pub labels: &'a [String],
    /// How raw values become the input.
    pub scales: &'a [InputScale],
    /// Further facts.
    pub properties: &'a [(&'a str, String)],
    /// Order of the ternary weights; tables are read a row at a time and keep theirs.
    pub layout: Layout,
}

/// What narrowing exponent windows cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// Rows whose window was narrowed.
    pub rows: usize,
    /// Trits set to 0 because their weight was too small for the window, and int8 weights rounded to coarser steps.
    pub zeroed: usize,
}

/// A model file and what making it cost.
#[derive(Clone, Debug)]
pub struct Exported {
    /// The file.
    pub file: Vec<u8>,
    /// The network in it: what was frozen, with windows narrowed.
    pub network: FrozenNetwork,
    /// What narrowing cost.
    pub narrowing: Narrowing,
}

/// Why a network could not be exported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Wider or deeper than the format allows.
    #[error("the network is too large for a model file")]
    TooLarge,
    /// A row's bias alone leaves no room for its weights.
    #[error("layer {place}, row {row}: the bias leaves no room in int32 for the weights")]
    Bias {
        /// Where the layer stands in the configuration.
        place: Place,
        /// The row.
        row: usize,
    },
    /// The format refused the result.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Makes the model file.
///
/// # Errors
/// [`ExportError`] where the network does not fit the format.
pub fn export(network: &FrozenNetwork, metadata: &Metadata<'_>) -> Result<Exported, ExportError> {
    let mut narrowing = Narrowing::default();
    let mut narrowed = network.clone();
    for node in &network.network.nodes {
        if let Some(layer) = node.operation.stage().and_then(|stage| narrowed.layers.get_mut(stage)) {
            narrow::narrow(layer, &node.place, &mut narrowing)?;
        }
    }
    let mut writer = ModelWriter::new(metadata.name);
    let mut graph = graph::Graph::new(&narrowed, metadata.layout, &mut writer)?;
    for label in metadata.labels {
        writer.label(label)?;
    }
    for (key, value) in metadata.properties {
        writer.property(key, value)?;
    }
    writer.input_scales(metadata.scales);
    let arena_bytes = plan::place(&mut graph.tensors, &graph.operators);
    for operator in &graph.operators {
        writer.push(operator)?;
    }
    let output = graph.output;
    let file = writer.finish(&Region { tensors: &graph.tensors, input: 0, output, arena_bytes })?;
    Ok(Exported { file, network: narrowed, narrowing })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Precision;
    use crate::config::{Activations, NetworkOutput};
    use crate::frozen::FrozenLayer;
    use crate::network::{Element, Network, Node, Operation, Place, Stage, StageOutput};
    use trishift_format::{GroupSize, Model};

    fn layer(exponents: Vec<i8>, output: StageOutput) -> FrozenLayer {
        let columns = exponents.len() * 4;
        let stage = Stage::linear(1, columns, GroupSize::new(4).unwrap(), output);
        FrozenLayer::from_weights(&stage, vec![1; columns], exponents)
    }

    /// Linear layers, one behind the other.
    fn chain(layers: Vec<FrozenLayer>) -> FrozenNetwork {
        let stages: Vec<Stage> = layers.iter().map(|layer| layer.stage).collect();
        let mut nodes = vec![node(Operation::Input, vec![], stages[0].columns)];
        for (index, stage) in stages.iter().enumerate() {
            nodes.push(node(Operation::Linear(index), vec![index], stage.rows));
            nodes[index + 1].relu = stage.output.relu();
            nodes[index + 1].element = if stage.output.is_wide() { Element::Int32 } else { Element::Int8 };
        }
        let (activations, output) = (Activations::Int8, NetworkOutput::Logits);
        FrozenNetwork { network: Network { nodes, stages, activations, output }, layers }
    }

    fn node(operation: Operation, inputs: Vec<usize>, elements: usize) -> Node {
        let (shape, place) = ([1, 1, elements], Place::new(0));
        Node { operation, inputs, shape, relu: false, element: Element::Int8, place }
    }

    fn metadata() -> Metadata<'static> {
        Metadata { name: "test", labels: &[], scales: &[InputScale::IDENTITY], properties: &[], layout: Layout::Rows }
    }

    #[test]
    fn windows_are_narrowed_only_as_far_as_needed() {
        for (exponents, zeroed) in
            [(vec![-14, 7], 0), (vec![-14, 8], 4), (vec![-14, 7, 15], 4), (vec![-14, -13, 15], 8)]
        {
            let exported = export(&chain(vec![layer(exponents, StageOutput::Logits)]), &metadata()).unwrap();
            assert_eq!(exported.narrowing.zeroed, zeroed);
            assert!(Model::parse(&exported.file).is_ok());
        }
    }

    #[test]
    fn a_row_of_zeros_exports() {
        let stage = Stage::linear(2, 4, GroupSize::new(4).unwrap(), StageOutput::Requantized { relu: true });
        let frozen = FrozenLayer::from_weights(&stage, vec![0; 8], vec![-128, 127]);
        let last = layer(vec![-3], StageOutput::Logits);
        let last = FrozenLayer { stage: Stage { columns: 2, ..last.stage }, values: vec![1, -1], ..last };
        let exported = export(&chain(vec![frozen, last]), &metadata()).unwrap();
        assert_eq!(exported.narrowing, Narrowing::default());
    }

    #[test]
    fn int8_weights_are_rounded_until_they_fit() {
        let stage = Stage::linear(2, 4, GroupSize::new(4).unwrap(), StageOutput::Logits);
        let stage = Stage { precision: Precision::Int8, ..stage };
        // 128·4·127·2^15 is just below 2^31; the other row's steps are finer by 16 bits.
        let values = vec![127, 127, 127, 127, 5, -6, 1, 0];
        let layer = FrozenLayer::from_weights(&stage, values, vec![16, 0]);
        let exported = export(&chain(vec![layer]), &metadata()).unwrap();
        let narrowed = &exported.network.layers[0];
        assert_eq!((&narrowed.values[4..], &narrowed.exponents), (&[3, -3, 1, 0][..], &vec![16, 1]));
        assert_eq!(exported.narrowing.zeroed, 3);
    }
}
