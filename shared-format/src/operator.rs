//! Operators: what the graph does, one record each.
//!
//! A record in the file is length-prefixed and begins with the operator's code, so that a reader can name an operator
//! that it does not know. Codes are never reused.

use crate::ParseError;
use crate::matrix::MatrixRecord;
use serde::{Deserialize, Serialize};

/// y = x·Wᵀ + b with ternary weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linear {
    /// Input tensor, int8, as many elements as the matrix has columns.
    pub input: u16,
    /// Output tensor, as many elements as the matrix has rows: int8 (requantised) or int32 (in its exponent's unit).
    pub output: u16,
    /// Lower clamp at 0; int8 outputs only.
    pub relu: bool,
    /// The weights.
    pub weights: MatrixRecord,
    /// Offset of the rows' int32 biases in the weight section, each in its accumulator's unit.
    pub bias: Option<u32>,
}

/// Shift norm: scales a sample by the power of two that brings its mean magnitude just under 27 steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShiftNorm {
    /// Input tensor, int32.
    pub input: u16,
    /// Output tensor, int8, same length.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
}

/// int32 to int8 by a rounding shift between the tensors' exponents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requantize {
    /// Input tensor, int32.
    pub input: u16,
    /// Output tensor, int8, same length.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
}

/// y = max(x, 0), int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relu {
    /// Input tensor, int8.
    pub input: u16,
    /// Output tensor, int8, same length and exponent.
    pub output: u16,
}

/// y = sat8(a + b), the finer operand aligned to the output's exponent by a rounding shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    /// First operand, int8.
    pub left: u16,
    /// Second operand, int8, same length.
    pub right: u16,
    /// Output tensor, int8, same length; its exponent is the larger of the operands'.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
}

/// Index of the largest element, the first one where several are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArgMax {
    /// Input tensor, int8 or int32.
    pub input: u16,
    /// Output tensor, int32, one element.
    pub output: u16,
}

/// RMS norm: divides a sample by the root of its mean square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RmsNorm {
    /// Input tensor, int32.
    pub input: u16,
    /// Output tensor, int8, same length; its exponent says how many steps are 1.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
}

/// Rows of a ternary table, one for each element of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedding {
    /// Input tensor: row numbers, int8 (q means row q + 128) or int32.
    pub input: u16,
    /// Output tensor, for each element of the input as many as the table has columns: int8 (requantised) or int32 (in
    /// its exponent's unit).
    pub output: u16,
    /// The table, [vocabulary, dimension].
    pub weights: MatrixRecord,
}

/// Softmax: a sample's elements become shares of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Softmax {
    /// Input tensor, int8 or int32.
    pub input: u16,
    /// Output tensor, same length: int8 of exponent −7, or int32 of an exponent from −30 to 0.
    pub output: u16,
}

/// An operator with its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// See [`Linear`].
    Linear(Linear),
    /// See [`ShiftNorm`].
    ShiftNorm(ShiftNorm),
    /// See [`Requantize`].
    Requantize(Requantize),
    /// See [`Relu`].
    Relu(Relu),
    /// See [`Add`].
    Add(Add),
    /// See [`ArgMax`].
    ArgMax(ArgMax),
    /// See [`RmsNorm`].
    RmsNorm(RmsNorm),
    /// See [`Embedding`].
    Embedding(Embedding),
    /// See [`Softmax`].
    Softmax(Softmax),
}

/// The kinds of operator, by the code that stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u16)]
pub enum OperatorKind {
    /// See [`Linear`].
    Linear = 1,
    /// See [`ShiftNorm`].
    ShiftNorm = 2,
    /// See [`Requantize`].
    Requantize = 3,
    /// See [`Relu`].
    Relu = 4,
    /// See [`Add`].
    Add = 5,
    /// See [`ArgMax`].
    ArgMax = 6,
    /// See [`RmsNorm`].
    RmsNorm = 7,
    /// See [`Embedding`].
    Embedding = 8,
    /// See [`Softmax`].
    Softmax = 9,
}

impl OperatorKind {
    /// Every kind, by ascending code.
    pub const ALL: [Self; 9] = [
        Self::Linear,
        Self::ShiftNorm,
        Self::Requantize,
        Self::Relu,
        Self::Add,
        Self::ArgMax,
        Self::RmsNorm,
        Self::Embedding,
        Self::Softmax,
    ];

    /// The name that reports and errors use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::ShiftNorm => "shift-norm",
            Self::Requantize => "requantize",
            Self::Relu => "relu",
            Self::Add => "add",
            Self::ArgMax => "argmax",
            Self::RmsNorm => "rms-norm",
            Self::Embedding => "embedding",
            Self::Softmax => "softmax",
        }
    }
}

impl core::fmt::Display for OperatorKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

impl Operator {
    /// Which kind it is.
    pub const fn kind(&self) -> OperatorKind {
        match self {
            Self::Linear(_) => OperatorKind::Linear,
            Self::ShiftNorm(_) => OperatorKind::ShiftNorm,
            Self::Requantize(_) => OperatorKind::Requantize,
            Self::Relu(_) => OperatorKind::Relu,
            Self::Add(_) => OperatorKind::Add,
            Self::ArgMax(_) => OperatorKind::ArgMax,
            Self::RmsNorm(_) => OperatorKind::RmsNorm,
            Self::Embedding(_) => OperatorKind::Embedding,
            Self::Softmax(_) => OperatorKind::Softmax,
        }
    }

    /// The tensors it reads; one operand stands twice where there is no second.
    pub const fn inputs(&self) -> [u16; 2] {
        match *self {
            Self::Linear(op) => [op.input, op.input],
            Self::ShiftNorm(op) => [op.input, op.input],
            Self::Requantize(op) => [op.input, op.input],
            Self::Relu(op) => [op.input, op.input],
            Self::Add(op) => [op.left, op.right],
            Self::ArgMax(op) => [op.input, op.input],
            Self::RmsNorm(op) => [op.input, op.input],
            Self::Embedding(op) => [op.input, op.input],
            Self::Softmax(op) => [op.input, op.input],
        }
    }

    /// The tensor it writes.
    pub const fn output(&self) -> u16 {
        match *self {
            Self::Linear(op) => op.output,
            Self::ShiftNorm(op) => op.output,
            Self::Requantize(op) => op.output,
            Self::Relu(op) => op.output,
            Self::Add(op) => op.output,
            Self::ArgMax(op) => op.output,
            Self::RmsNorm(op) => op.output,
            Self::Embedding(op) => op.output,
            Self::Softmax(op) => op.output,
        }
    }

    /// The ternary weights it uses, where it has some.
    pub const fn weights(&self) -> Option<&MatrixRecord> {
        match self {
            Self::Linear(op) => Some(&op.weights),
            Self::Embedding(op) => Some(&op.weights),
            _ => None,
        }
    }

    /// Multiply-accumulate operations of one sample, as the field counts them: looking up a row is none.
    pub const fn macs(&self) -> u64 {
        match self {
            Self::Linear(op) => op.weights.rows as u64 * op.weights.columns as u64,
            _ => 0,
        }
    }

    /// The operator in one record (code, then fields); `index` and `offset` are only for the error.
    pub(crate) fn decode(record: &[u8], index: usize, offset: usize) -> Result<Self, ParseError> {
        let malformed = ParseError::MalformedOperator { index, offset };
        let (code, fields) = postcard::take_from_bytes::<u16>(record).map_err(|_| malformed)?;
        let decoded = match OperatorKind::ALL.into_iter().find(|kind| *kind as u16 == code) {
            None => return Err(ParseError::UnknownOperator { index, code }),
            Some(OperatorKind::Linear) => take(fields).map(|(op, rest)| (Self::Linear(op), rest)),
            Some(OperatorKind::ShiftNorm) => take(fields).map(|(op, rest)| (Self::ShiftNorm(op), rest)),
            Some(OperatorKind::Requantize) => take(fields).map(|(op, rest)| (Self::Requantize(op), rest)),
            Some(OperatorKind::Relu) => take(fields).map(|(op, rest)| (Self::Relu(op), rest)),
            Some(OperatorKind::Add) => take(fields).map(|(op, rest)| (Self::Add(op), rest)),
            Some(OperatorKind::ArgMax) => take(fields).map(|(op, rest)| (Self::ArgMax(op), rest)),
            Some(OperatorKind::RmsNorm) => take(fields).map(|(op, rest)| (Self::RmsNorm(op), rest)),
            Some(OperatorKind::Embedding) => take(fields).map(|(op, rest)| (Self::Embedding(op), rest)),
            Some(OperatorKind::Softmax) => take(fields).map(|(op, rest)| (Self::Softmax(op), rest)),
        };
        match decoded {
            Some((operator, [])) => Ok(operator),
            _ => Err(malformed),
        }
    }

    /// The record's bytes (code, then fields).
    #[cfg(feature = "alloc")]
    pub(crate) fn encode(&self) -> Result<alloc::vec::Vec<u8>, postcard::Error> {
        let code = self.kind() as u16;
        match self {
            Self::Linear(op) => postcard::to_allocvec(&(code, op)),
            Self::ShiftNorm(op) => postcard::to_allocvec(&(code, op)),
            Self::Requantize(op) => postcard::to_allocvec(&(code, op)),
            Self::Relu(op) => postcard::to_allocvec(&(code, op)),
            Self::Add(op) => postcard::to_allocvec(&(code, op)),
            Self::ArgMax(op) => postcard::to_allocvec(&(code, op)),
            Self::RmsNorm(op) => postcard::to_allocvec(&(code, op)),
            Self::Embedding(op) => postcard::to_allocvec(&(code, op)),
            Self::Softmax(op) => postcard::to_allocvec(&(code, op)),
        }
    }
}

fn take<'a, T: Deserialize<'a>>(fields: &'a [u8]) -> Option<(T, &'a [u8])> {
    postcard::take_from_bytes(fields).ok()
}
