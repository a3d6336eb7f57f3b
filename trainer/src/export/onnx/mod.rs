//! ONNX: a model for runtimes other than ours, with the same integers.
//!
//! Activations are int8 between QuantizeLinear and DequantizeLinear with powers of two as scales, weights T·2^E are int8 with a
//! scale for each row where a row's exponents allow that, else float32, which holds them exactly. ONNX rounds halves to even,
//! the models' arithmetic rounds them up: what has been multiplied is rounded by Floor(x + 0.5) before it is quantised. All
//! of it is exact: float32 adds integers up without rounding as long as they stay within 24 bits, and layers that exceed
//! those are divided ([`weights`]). So an ONNX runtime that computes in IEEE floats gives every logit bit for bit.
//!
//! The graph takes raw values and quantises them itself, as the model's input scaling says; it gives the model's integers. Images
//! are [batch, height, width, channels] there, and inside [batch, channels, height, width], as ONNX has them.
//!
//! [`translate`] makes nodes of operators, [`graph`] holds them, [`protobuf`] writes them.

mod graph;
mod product;
mod protobuf;
mod quantize;
mod translate;
mod values;
mod weights;

use graph::{Element, Graph};
use thiserror::Error;
use trishift_format::{DataType, Model, OperatorKind, Tensor};
use values::Values;

/// Name of the graph's input.
const INPUT: &str = "input";
/// Name of the graph's output.
const OUTPUT: &str = "output";

/// Why a model has no ONNX form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// An operator whose integers ONNX's operators do not give.
    #[error("operator {index} ({kind}) cannot be expressed in ONNX; {reason}")]
    Operator {
        /// Position of the operator.
        index: usize,
        /// What it is.
        kind: OperatorKind,
        /// Why not.
        reason: &'static str,
    },
    /// The exponent of a tensor, of a weight, or of their product, that float32 cannot hold.
    #[error(
        "operator {index} ({kind}) cannot be expressed in ONNX; its exponents go beyond −100 to 100, and float32 ends there"
    )]
    Range {
        /// Position of the operator.
        index: usize,
        /// What it is.
        kind: OperatorKind,
    },
    /// A protobuf is limited to 2 GiB.
    #[error("the model is too large for an ONNX file, which holds 2 GiB")]
    TooLarge,
}

/// The largest magnitude of exponents: their sums stay among float32's normal numbers.
const EXPONENT_LIMIT: i32 = 100;

/// Makes an ONNX file of a model.
///
/// # Errors
/// [`OnnxError`] where an operator cannot be expressed.
pub fn onnx(model: &Model<'_>) -> Result<Vec<u8>, OnnxError> {
    // What is dense as float32 must fit.
    let weights: u64 = model.operators().map(|operator| translate::weights(&operator)).sum();
    if weights.saturating_mul(4) >= 1 << 31 {
        return Err(OnnxError::TooLarge);
    }
    let mut graph = Graph::default();
    graph.scope("input scaling".into());
    let mut values = Values::new(model);
    let raw = outer_shape(&model.input());
    graph.input(INPUT, Element::F32, &raw);
    let input = quantize::raw(&mut graph, model, INPUT, &raw);
    values.hold_outer(&mut graph, model.input_index(), input);
    for (index, operator) in model.operators().enumerate() {
        graph.scope(format!("{index} {}", operator.kind()));
        translate::operator(&mut graph, &mut values, model, index, &operator)?;
    }
    graph.scope("output".into());
    let output = values.outer(&mut graph, model.output_index());
    graph.node_named("Identity", &[&output], &[], OUTPUT);
    graph.output(OUTPUT, element(&model.output()), &outer_shape(&model.output()));
    let labels = model.labels().collect::<Vec<_>>();
    let facts = [
        ("trishift.output_exponent", model.output().exponent.to_string()),
        ("trishift.labels", serde_json::Value::from(labels).to_string()),
    ];
    let properties = model.properties().map(|(key, value)| (key, value.to_string()));
    let file = graph.into_file(model.name(), facts.into_iter().chain(properties));
    if file.len() >= 1 << 31 { Err(OnnxError::TooLarge) } else { Ok(file) }
}

fn element(tensor: &Tensor) -> Element {
    match tensor.data_type {
        DataType::I8 => Element::I8,
        DataType::I32 => Element::I32,
    }
}

/// The shape of a sample outside: [height, width, channels], or a vector's length.
fn outer_shape(tensor: &Tensor) -> Vec<i64> {
    match tensor.shape.map(i64::from) {
        [1, 1, length] => vec![length],
        image => image.to_vec(),
    }
}
