//! Operators: what the graph does, one record each.
//!
//! A record in the file is length-prefixed and begins with the operator's code, so that a reader can name an operator
//! that it does not know. Codes are never reused.
//!
//! The structures keep their fields in the order in which they stand (`repr(C)`): so one code decodes all of them.

use crate::ParseError;
use crate::fields::Fields;
use crate::matrix::MatrixRecord;
use serde::Serialize;

/// y = x·Wᵀ + b with ternary weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct ShiftNorm {
    /// Input tensor, int32.
    pub input: u16,
    /// Output tensor, int8, same length.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
}

/// int32 to int8 by a rounding shift between the tensors' exponents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Requantize {
    /// Input tensor, int32.
    pub input: u16,
    /// Output tensor, int8, same length.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
}

/// y = max(x, 0), int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Relu {
    /// Input tensor, int8.
    pub input: u16,
    /// Output tensor, int8, same length and exponent.
    pub output: u16,
}

/// y = sat8(a + b), the finer operand aligned to the output's exponent by a rounding shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct ArgMax {
    /// Input tensor, int8 or int32.
    pub input: u16,
    /// Output tensor, int32, one element.
    pub output: u16,
}

/// RMS norm: divides a sample by the root of its mean square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct RmsNorm {
    /// Input tensor, int32.
    pub input: u16,
    /// Output tensor, int8, same length; its exponent says how many steps are 1.
    pub output: u16,
    /// Lower clamp at 0.
    pub relu: bool,
}

/// Rows of a ternary table, one for each element of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
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

    /// The kind of this code.
    const fn from_code(code: u16) -> Option<Self> {
        Some(match code {
            1 => Self::Linear,
            2 => Self::ShiftNorm,
            3 => Self::Requantize,
            4 => Self::Relu,
            5 => Self::Add,
            6 => Self::ArgMax,
            7 => Self::RmsNorm,
            8 => Self::Embedding,
            9 => Self::Softmax,
            _ => return None,
        })
    }

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
    ///
    /// All kinds have their fields in one order, and each leaves some out.
    pub(crate) fn decode(record: &[u8], index: usize, offset: usize) -> Result<Self, ParseError> {
        use OperatorKind::{Add, ArgMax, Embedding, Linear, Relu, Requantize, RmsNorm, ShiftNorm, Softmax};
        let mut fields = Fields::new(record);
        let code = fields.short();
        let known = OperatorKind::from_code(code);
        let kind = match known {
            Some(kind) => kind,
            None if fields.rest().is_some() => return Err(ParseError::UnknownOperator { index, code }),
            None => return Err(ParseError::MalformedOperator { index, offset }),
        };
        let input = fields.short();
        let right = if kind == Add { fields.short() } else { input };
        let output = fields.short();
        let relu = matches!(kind, Linear | ShiftNorm | Requantize | Add | RmsNorm) && fields.flag();
        let weights =
            if matches!(kind, Linear | Embedding) { MatrixRecord::read(&mut fields) } else { MatrixRecord::NONE };
        let bias = (kind == Linear && fields.flag()).then(|| fields.number());
        if !fields.end() {
            return Err(ParseError::MalformedOperator { index, offset });
        }
        Ok(match kind {
            Linear => Self::Linear(self::Linear { input, output, relu, weights, bias }),
            ShiftNorm => Self::ShiftNorm(self::ShiftNorm { input, output, relu }),
            Requantize => Self::Requantize(self::Requantize { input, output, relu }),
            Relu => Self::Relu(self::Relu { input, output }),
            Add => Self::Add(self::Add { left: input, right, output, relu }),
            ArgMax => Self::ArgMax(self::ArgMax { input, output }),
            RmsNorm => Self::RmsNorm(self::RmsNorm { input, output, relu }),
            Embedding => Self::Embedding(self::Embedding { input, output, weights }),
            Softmax => Self::Softmax(self::Softmax { input, output }),
        })
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

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matrix() -> impl Strategy<Value = MatrixRecord> {
        any::<(u32, u32, u8, u8, u8, u32, u32)>().prop_map(
            |(rows, columns, group, encoding, layout, trits, exponents)| MatrixRecord {
                rows,
                columns,
                group,
                encoding,
                layout,
                trits,
                exponents,
            },
        )
    }

    /// Any operator, every kind as often.
    fn operator() -> impl Strategy<Value = Operator> {
        let kinds = proptest::sample::select(&OperatorKind::ALL[..]);
        (kinds, any::<([u16; 3], bool)>(), matrix(), any::<Option<u32>>()).prop_map(|(kind, fields, weights, bias)| {
            let ([input, right, output], relu) = fields;
            match kind {
                OperatorKind::Linear => Operator::Linear(Linear { input, output, relu, weights, bias }),
                OperatorKind::ShiftNorm => Operator::ShiftNorm(ShiftNorm { input, output, relu }),
                OperatorKind::Requantize => Operator::Requantize(Requantize { input, output, relu }),
                OperatorKind::Relu => Operator::Relu(Relu { input, output }),
                OperatorKind::Add => Operator::Add(Add { left: input, right, output, relu }),
                OperatorKind::ArgMax => Operator::ArgMax(ArgMax { input, output }),
                OperatorKind::RmsNorm => Operator::RmsNorm(RmsNorm { input, output, relu }),
                OperatorKind::Embedding => Operator::Embedding(Embedding { input, output, weights }),
                OperatorKind::Softmax => Operator::Softmax(Softmax { input, output }),
            }
        })
    }

    proptest! {
        #[test]
        fn records_round_trip(operator in operator()) {
            let record = operator.encode().unwrap();
            prop_assert_eq!(Operator::decode(&record, 0, 0).ok(), Some(operator));
            let malformed = Some(ParseError::MalformedOperator { index: 3, offset: 7 });
            for length in 0..record.len() {
                prop_assert_eq!(Operator::decode(&record[..length], 3, 7).err(), malformed);
            }
            let longer = [&record[..], &[0]].concat();
            prop_assert_eq!(Operator::decode(&longer, 3, 7).err(), malformed);
        }
    }

    #[test]
    fn codes_name_their_kinds() {
        for code in 0..=u16::MAX {
            let named = OperatorKind::ALL.into_iter().find(|kind| *kind as u16 == code);
            assert_eq!(OperatorKind::from_code(code), named);
        }
    }
}
