//! From numbers to int8, rounding halves up.

use super::graph::{Element, Graph, Numbers};
use trishift_format::Model;

/// Raw values by the model's input scaling: q = sat8(⌊(v − zero)·2^k + ½⌋), in float32 as the runtime does it.
pub(super) fn raw(graph: &mut Graph, model: &Model<'_>, values: &str, shape: &[i64]) -> String {
    let zeros: Vec<f32> =
        model.input_scales().map(|scale| scale.zero_mantissa as f32 * power(scale.zero_exponent.into())).collect();
    let factors: Vec<f32> = model.input_scales().map(|scale| power(scale.shift.into())).collect();
    // One for all elements, or one for each.
    let shape: Vec<usize> = if zeros.len() == 1 { vec![] } else { shape.iter().map(|n| *n as usize).collect() };
    let zeros = graph.constant("zero", &shape, &Numbers::F32(&zeros));
    let factors = graph.constant("scale", &shape, &Numbers::F32(&factors));
    let from_zero = graph.node("Sub", &[values, &zeros], &[]);
    let scaled = graph.node("Mul", &[&from_zero, &factors], &[]);
    rounded_to_int8(graph, &scaled, Element::F32, false)
}

/// Numbers in steps of the output, as the nearest int8; halves are rounded up.
pub(super) fn rounded_to_int8(graph: &mut Graph, steps: &str, element: Element, relu: bool) -> String {
    let whole = rounded(graph, steps, element);
    // What float32 cannot hold of a whole number is far beyond int8.
    let whole = if element == Element::F32 { whole } else { graph.cast(&whole, Element::F32) };
    to_int8(graph, &whole, 0, relu)
}

/// ⌊x + ½⌋.
pub(super) fn rounded(graph: &mut Graph, numbers: &str, element: Element) -> String {
    let half = graph.scalar(0.5, element);
    let sum = graph.node("Add", &[numbers, &half], &[]);
    graph.node("Floor", &[&sum], &[])
}

/// float32 multiples of 2^exponent as int8, saturated.
pub(super) fn to_int8(graph: &mut Graph, multiples: &str, exponent: i32, relu: bool) -> String {
    let clamped = if relu { graph.node("Relu", &[multiples], &[]) } else { multiples.to_string() };
    let scale = graph.scalar(2f64.powi(exponent), Element::F32);
    let zero = graph.scalar(0.0, Element::I8);
    graph.node("QuantizeLinear", &[&clamped, &scale, &zero], &[])
}

/// The float32 numbers that int8 stands for.
pub(super) fn from_int8(graph: &mut Graph, integers: &str, exponent: i32) -> String {
    let scale = graph.scalar(2f64.powi(exponent), Element::F32);
    let zero = graph.scalar(0.0, Element::I8);
    graph.node("DequantizeLinear", &[integers, &scale, &zero], &[])
}

/// Numbers multiplied by a power of two, exactly.
pub(super) fn scaled(graph: &mut Graph, numbers: &str, element: Element, exponent: i32) -> String {
    if exponent == 0 {
        return numbers.to_string();
    }
    let factor = graph.scalar(2f64.powi(exponent), element);
    graph.node("Mul", &[numbers, &factor], &[])
}

fn power(exponent: i32) -> f32 {
    2f64.powi(exponent) as f32
}
