//! What every operator asks of its tensors and weights: element types, shapes, exponents, the bytes of a matrix.

use crate::bound;
use crate::matrix::{self, Bias};
use crate::model::Model;
use crate::operator::{Embedding, Operator};
use crate::tensor::{DataType, Tensor};
use crate::{MatrixFault, ParseError};

/// Longest sample of a norm: 27·N stays inside int32, the sum of N squares of 15 bits inside u64.
const MAX_NORM: usize = 1 << 26;

/// Longest sample of a softmax: every element of equal ones still has a share of some bits.
const MAX_SOFTMAX: usize = 1 << 16;

/// Exponent of int8 shares: 1 is 128 steps and saturates to 127.
const SHARES_I8: i16 = -7;

/// Checks the graph's input and output, then operator by operator tensors and weights.
pub(crate) fn check(model: &Model<'_>) -> Result<(), ParseError> {
    let count = model.tensors().len();
    for tensor in [model.input_index(), model.output_index()] {
        if usize::from(tensor) >= count {
            return Err(ParseError::GraphTensor { tensor });
        }
    }
    for (index, operator) in model.operators().enumerate() {
        let [left, right] = operator.inputs();
        for tensor in [left, right, operator.output()] {
            if usize::from(tensor) >= count {
                return Err(ParseError::TensorIndex { index, tensor });
            }
        }
        check_tensors(model, index, &operator)?;
        check_weights(model, &operator).map_err(|fault| ParseError::Matrix { index, fault })?;
    }
    Ok(())
}

fn check_tensors(model: &Model<'_>, index: usize, operator: &Operator) -> Result<(), ParseError> {
    let [left, right] = operator.inputs().map(|tensor| model.tensor(tensor));
    let output = model.tensor(operator.output());
    let refuse = |what| Err(ParseError::Operands { index, kind: operator.kind(), what });
    let types = (left.data_type, output.data_type);
    let same_length = left.len() == output.len();
    use DataType::{I8, I32};
    let [rows, columns] = operator.weights_shape();
    let (types_fit, shapes_fit, exponents_fit) = match operator {
        Operator::Linear(_) | Operator::Int8Linear(_) => {
            let fits = left.len() == columns as usize && output.len() == rows as usize;
            (types.0 == I8 && (types.1 == I8 || !operator.clamps()), fits, true)
        }
        Operator::Conv2d(_) | Operator::Int8Conv2d(_) => {
            let fits = convolves(operator, &left, &output, left.shape[2]);
            (types.0 == I8 && (types.1 == I8 || !operator.clamps()), fits, true)
        }
        Operator::DepthwiseConv2d(_) | Operator::Int8DepthwiseConv2d(_) => {
            let fits = left.shape[2] == output.shape[2] && convolves(operator, &left, &output, 1);
            (types.0 == I8 && (types.1 == I8 || !operator.clamps()), fits, true)
        }
        Operator::ShiftNorm(_) | Operator::RmsNorm(_) => {
            (types == (I32, I8), same_length && left.len() <= MAX_NORM, true)
        }
        Operator::Requantize(_) => (types == (I32, I8), same_length, true),
        Operator::Relu(_) => (types == (I8, I8), same_length, left.exponent == output.exponent),
        Operator::Add(_) => (
            types == (I8, I8) && right.data_type == I8,
            same_length && right.len() == output.len(),
            left.exponent.max(right.exponent) == output.exponent,
        ),
        Operator::ArgMax(_) => (types.1 == I32, output.len() == 1, output.exponent == 0),
        Operator::Embedding(_) => (true, left.len() as u64 * u64::from(columns) == output.len() as u64, true),
        Operator::Softmax(_) => (true, same_length && left.len() <= MAX_SOFTMAX, holds_shares(&output)),
        Operator::MaxPool(_) => (types == (I8, I8), pools(operator, &left, &output), left.exponent == output.exponent),
        Operator::AvgPool(_) => (types == (I8, I8), pools(operator, &left, &output), true),
        Operator::Concat(_) => {
            let same_image = left.shape[..2] == output.shape[..2] && right.shape[..2] == output.shape[..2];
            (
                types == (I8, I8) && right.data_type == I8,
                same_image && left.shape[2].checked_add(right.shape[2]) == Some(output.shape[2]),
                left.exponent == output.exponent && right.exponent == output.exponent,
            )
        }
        Operator::Reshape(_) => (types.0 == types.1, same_length, left.exponent == output.exponent),
        Operator::Pad(op) => (types == (I8, I8), pads(op.padding, &left, &output), left.exponent == output.exponent),
        Operator::Slide(_) => (types.0 == types.1, slides(&left, &output), left.exponent == output.exponent),
    };
    if !types_fit {
        return refuse("element types");
    }
    if !shapes_fit {
        return refuse("shapes");
    }
    if !exponents_fit {
        return refuse("exponents");
    }
    Ok(())
}

/// True where a convolution's window, weights and tensors go together; a product meets so many channels.
fn convolves(operator: &Operator, input: &Tensor, output: &Tensor, channels: u32) -> bool {
    let [rows, columns] = operator.weights_shape();
    let area = operator.window().map_or(0, |window| window.area() as u64);
    slides_to(operator, input, output)
        && rows == output.shape[2]
        && area.checked_mul(channels.into()) == Some(columns.into())
}

/// True where a pooling's window and tensors go together.
fn pools(operator: &Operator, input: &Tensor, output: &Tensor) -> bool {
    slides_to(operator, input, output) && input.shape[2] == output.shape[2]
}

/// True where the operator's window has as many places on the input as the output has pixels.
fn slides_to(operator: &Operator, input: &Tensor, output: &Tensor) -> bool {
    operator.window().and_then(|window| window.output(image(input))) == Some(image(output))
}

/// True where the output is the input and these rows and columns around it.
fn pads([above, left, below, right]: [u8; 4], input: &Tensor, output: &Tensor) -> bool {
    let [height, width] = image(input).map(u64::from);
    let padded = [height + u64::from(above) + u64::from(below), width + u64::from(left) + u64::from(right)];
    image(output).map(u64::from) == padded && input.shape[2] == output.shape[2]
}

/// True where rows of the input can be rows of the state or, where both are sequences, columns columns.
fn slides(input: &Tensor, state: &Tensor) -> bool {
    let ([height, width, channels], [state_height, state_width, state_channels]) = (input.shape, state.shape);
    channels == state_channels && (width == state_width || (height == 1 && state_height == 1))
}

/// Height and width.
const fn image(tensor: &Tensor) -> [u32; 2] {
    [tensor.shape[0], tensor.shape[1]]
}

/// True where shares of 1 can be told apart and 1 itself fits.
fn holds_shares(output: &Tensor) -> bool {
    match output.data_type {
        DataType::I8 => output.exponent == SHARES_I8,
        DataType::I32 => (-30..=0).contains(&output.exponent),
    }
}

fn check_weights(model: &Model<'_>, operator: &Operator) -> Result<(), MatrixFault> {
    if let Operator::Embedding(op) = operator {
        return check_embedding(model, op);
    }
    let accumulators = model.accumulators_between(operator.inputs()[0], operator.output());
    if let Some(record) = operator.weights() {
        let matrix = record.view(model.weights)?;
        bound::check(&matrix, check_bias(model, operator, record.rows)?, accumulators)
    } else if let Some(record) = operator.int8_weights() {
        let matrix = record.view(model.weights)?;
        bound::check_int8(&matrix, check_bias(model, operator, record.rows)?, accumulators)
    } else {
        Ok(())
    }
}

fn check_bias<'a>(model: &Model<'a>, operator: &Operator, rows: u32) -> Result<Option<Bias<'a>>, MatrixFault> {
    let section = |offset| matrix::section(model.weights, offset, (rows as usize).checked_mul(4)).map(Bias);
    operator.bias().map(section).transpose()
}

fn check_embedding(model: &Model<'_>, op: &Embedding) -> Result<(), MatrixFault> {
    let output = model.tensor(op.output);
    let unit = match output.data_type {
        DataType::I8 => None,
        DataType::I32 => Some(i32::from(output.exponent)),
    };
    bound::check_table(&op.weights.view(model.weights)?, unit)
}
