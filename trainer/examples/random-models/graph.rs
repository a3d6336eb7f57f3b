//! Tensors, and where they lie.

use trishift_format::{DataType, Operator, Tensor, TensorClass};
use trishift_trainer::plan;

/// Exponent of the input, and of the norms' outputs.
pub(crate) const UNIT: i16 = -5;
/// Smallest exponent of the weights.
pub(crate) const BASE: i8 = -9;

pub(crate) fn tensor(data_type: DataType, exponent: i16, len: usize) -> Tensor {
    image(data_type, exponent, [1, 1, len as u32])
}

pub(crate) fn image(data_type: DataType, exponent: i16, shape: [u32; 3]) -> Tensor {
    Tensor { data_type, class: TensorClass::Arena, exponent, shape, offset: 0, first: 0, last: 0 }
}

/// Gives every tensor its class, its lifetime and its place; returns the arena's bytes.
pub(crate) fn live(tensors: &mut [Tensor], operators: &[Operator], output: u16) -> u64 {
    set_lifetimes(tensors, operators, output);
    plan::place(tensors, operators)
}

/// The same, but that no output takes the place of an input.
pub(crate) fn live_apart(tensors: &mut [Tensor], operators: &[Operator], output: u16) -> u64 {
    set_lifetimes(tensors, operators, output);
    plan::place(tensors, &[])
}

fn set_lifetimes(tensors: &mut [Tensor], operators: &[Operator], output: u16) {
    for (number, tensor) in tensors.iter_mut().enumerate() {
        let reads = |operator: &Operator| operator.inputs().iter().any(|input| usize::from(*input) == number);
        let first = operators.iter().position(|operator| usize::from(operator.output()) == number).unwrap_or(0);
        tensor.first = first as u16;
        tensor.last = operators.iter().rposition(reads).unwrap_or(first) as u16;
    }
    tensors[0].class = TensorClass::Input;
    tensors[usize::from(output)].class = TensorClass::Output;
}
