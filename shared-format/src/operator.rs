//! Operators: what the graph does, one record each.
//!
//! A record in the file is length-prefixed and begins with the operator's code, so that a reader can name an operator
//! that it does not know. Codes are never reused.
//!
//! The structures keep their fields in the order in which they stand (`repr(C)`): so one code decodes all of them.

use crate::ParseError;
use crate::fields::Fields;
use crate::int8_matrix::Int8Record;
use crate::matrix::MatrixRecord;
use crate::window::Window;
use serde::Serialize;

/// y = x·Wᵀ + b, with ternary weights or, as `Linear<Int8Record>`, with int8 ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Linear<W = MatrixRecord> {
    /// Input tensor, int8, as many elements as the matrix has columns.
    pub input: u16,
    /// Output tensor, as many elements as the matrix has rows: int8 (requantised) or int32 (in its exponent's unit).
    pub output: u16,
    /// Lower clamp at 0; int8 outputs only.
    pub relu: bool,
    /// The weights.
    pub weights: W,
    /// Offset of the rows' int32 biases in the weight section, each in its accumulator's unit.
    pub bias: Option<u32>,
}

/// A convolution over height and width, or a depthwise one, with ternary weights or, as `Conv2d<Int8Record>`, with int8
/// ones. Tensors are [height, width, channels]; outside the input are zeros.
///
/// A convolution's matrix has a row for each channel of the output, and its columns run over the window's rows, its columns,
/// and the input's channels. A depthwise one has a row for each channel, and columns over the window alone. A sequence is an
/// image of height 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Conv2d<W = MatrixRecord> {
    /// Input tensor, int8.
    pub input: u16,
    /// Output tensor: int8 (requantised) or int32 (in its exponent's unit).
    pub output: u16,
    /// Lower clamp at 0; int8 outputs only.
    pub relu: bool,
    /// What slides over the input.
    pub window: Window,
    /// The weights.
    pub weights: W,
    /// Offset of the rows' int32 biases in the weight section, each in its accumulator's unit.
    pub bias: Option<u32>,
}

/// The largest or the mean element under a window, channel by channel. Tensors are [height, width, channels].
///
/// What lies outside the input takes no part in the largest element. In the mean it counts as 0: the sum of n elements is
/// shifted right, rounded, by round(log2 n) and the distance of the tensors' exponents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Pool2d {
    /// Input tensor, int8.
    pub input: u16,
    /// Output tensor, int8; of the same exponent for the largest element.
    pub output: u16,
    /// What slides over the input.
    pub window: Window,
}

/// Two tensors of the same height, width and exponent, the channels of the one behind those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Concat {
    /// First operand, int8.
    pub left: u16,
    /// Second operand, int8.
    pub right: u16,
    /// Output tensor, int8.
    pub output: u16,
}

/// The same elements in another shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Reshape {
    /// Input tensor.
    pub input: u16,
    /// Output tensor of the same type, exponent and length.
    pub output: u16,
}

/// Zeros around an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Pad {
    /// Input tensor, int8.
    pub input: u16,
    /// Output tensor, int8, of the same exponent.
    pub output: u16,
    /// Rows above, columns left, rows below, columns right of the input.
    pub padding: [u8; 4],
}

/// The latest rows of all that ever came: a state that a model keeps from run to run.
///
/// The rows of the state move up by as many as the input has, the oldest are lost, and the input's are the last. Tensors are
/// [height, width, channels]; of a sequence, an image of height 1, it is the columns that move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(C)]
pub struct Slide {
    /// Input tensor, of any height; of a sequence, of any width.
    pub input: u16,
    /// The state, a persistent tensor: read and written. In all but its height, or of a sequence its width, as the input.
    pub state: u16,
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
    /// See [`Conv2d`].
    Conv2d(Conv2d),
    /// See [`Conv2d`].
    DepthwiseConv2d(Conv2d),
    /// See [`Linear`].
    Int8Linear(Linear<Int8Record>),
    /// See [`Conv2d`].
    Int8Conv2d(Conv2d<Int8Record>),
    /// See [`Conv2d`].
    Int8DepthwiseConv2d(Conv2d<Int8Record>),
    /// See [`Pool2d`].
    MaxPool(Pool2d),
    /// See [`Pool2d`].
    AvgPool(Pool2d),
    /// See [`Concat`].
    Concat(Concat),
    /// See [`Reshape`].
    Reshape(Reshape),
    /// See [`Pad`].
    Pad(Pad),
    /// See [`Slide`].
    Slide(Slide),
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
    /// See [`Conv2d`].
    Conv2d = 10,
    /// See [`Conv2d`].
    DepthwiseConv2d = 11,
    /// See [`Linear`].
    Int8Linear = 12,
    /// See [`Conv2d`].
    Int8Conv2d = 13,
    /// See [`Conv2d`].
    Int8DepthwiseConv2d = 14,
    /// See [`Pool2d`].
    MaxPool = 15,
    /// See [`Pool2d`].
    AvgPool = 16,
    /// See [`Concat`].
    Concat = 17,
    /// See [`Reshape`].
    Reshape = 18,
    /// See [`Pad`].
    Pad = 19,
    /// See [`Slide`].
    Slide = 20,
}

impl OperatorKind {
    /// Every kind, by ascending code.
    pub const ALL: [Self; 20] = [
        Self::Linear,
        Self::ShiftNorm,
        Self::Requantize,
        Self::Relu,
        Self::Add,
        Self::ArgMax,
        Self::RmsNorm,
        Self::Embedding,
        Self::Softmax,
        Self::Conv2d,
        Self::DepthwiseConv2d,
        Self::Int8Linear,
        Self::Int8Conv2d,
        Self::Int8DepthwiseConv2d,
        Self::MaxPool,
        Self::AvgPool,
        Self::Concat,
        Self::Reshape,
        Self::Pad,
        Self::Slide,
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
            10 => Self::Conv2d,
            11 => Self::DepthwiseConv2d,
            12 => Self::Int8Linear,
            13 => Self::Int8Conv2d,
            14 => Self::Int8DepthwiseConv2d,
            15 => Self::MaxPool,
            16 => Self::AvgPool,
            17 => Self::Concat,
            18 => Self::Reshape,
            19 => Self::Pad,
            20 => Self::Slide,
            _ => return None,
        })
    }

    /// The name that reports and errors use.
    // One list of names, where code is dear.
    #[inline(never)]
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
            Self::Conv2d => "conv2d",
            Self::DepthwiseConv2d => "depthwise-conv2d",
            Self::Int8Linear => "int8-linear",
            Self::Int8Conv2d => "int8-conv2d",
            Self::Int8DepthwiseConv2d => "int8-depthwise-conv2d",
            Self::MaxPool => "max-pool",
            Self::AvgPool => "avg-pool",
            Self::Concat => "concat",
            Self::Reshape => "reshape",
            Self::Pad => "pad",
            Self::Slide => "slide",
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
            Self::Conv2d(_) => OperatorKind::Conv2d,
            Self::DepthwiseConv2d(_) => OperatorKind::DepthwiseConv2d,
            Self::Int8Linear(_) => OperatorKind::Int8Linear,
            Self::Int8Conv2d(_) => OperatorKind::Int8Conv2d,
            Self::Int8DepthwiseConv2d(_) => OperatorKind::Int8DepthwiseConv2d,
            Self::MaxPool(_) => OperatorKind::MaxPool,
            Self::AvgPool(_) => OperatorKind::AvgPool,
            Self::Concat(_) => OperatorKind::Concat,
            Self::Reshape(_) => OperatorKind::Reshape,
            Self::Pad(_) => OperatorKind::Pad,
            Self::Slide(_) => OperatorKind::Slide,
        }
    }

    /// The tensors it reads; one operand stands twice where there is no second. The state of a slide is not among them.
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
            Self::Conv2d(op) => [op.input, op.input],
            Self::DepthwiseConv2d(op) => [op.input, op.input],
            Self::Int8Linear(op) => [op.input, op.input],
            Self::Int8Conv2d(op) => [op.input, op.input],
            Self::Int8DepthwiseConv2d(op) => [op.input, op.input],
            Self::MaxPool(op) => [op.input, op.input],
            Self::AvgPool(op) => [op.input, op.input],
            Self::Concat(op) => [op.left, op.right],
            Self::Reshape(op) => [op.input, op.input],
            Self::Pad(op) => [op.input, op.input],
            Self::Slide(op) => [op.input, op.input],
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
            Self::Conv2d(op) => op.output,
            Self::DepthwiseConv2d(op) => op.output,
            Self::Int8Linear(op) => op.output,
            Self::Int8Conv2d(op) => op.output,
            Self::Int8DepthwiseConv2d(op) => op.output,
            Self::MaxPool(op) => op.output,
            Self::AvgPool(op) => op.output,
            Self::Concat(op) => op.output,
            Self::Reshape(op) => op.output,
            Self::Pad(op) => op.output,
            Self::Slide(op) => op.state,
        }
    }

    /// The same on other tensors; only sums and concatenations read the second one.
    #[must_use]
    pub const fn on(&self, [input, right]: [u16; 2], output: u16) -> Self {
        match *self {
            Self::Linear(op) => Self::Linear(Linear { input, output, ..op }),
            Self::ShiftNorm(op) => Self::ShiftNorm(ShiftNorm { input, output, ..op }),
            Self::Requantize(op) => Self::Requantize(Requantize { input, output, ..op }),
            Self::Relu(_) => Self::Relu(Relu { input, output }),
            Self::Add(op) => Self::Add(Add { left: input, right, output, ..op }),
            Self::ArgMax(_) => Self::ArgMax(ArgMax { input, output }),
            Self::RmsNorm(op) => Self::RmsNorm(RmsNorm { input, output, ..op }),
            Self::Embedding(op) => Self::Embedding(Embedding { input, output, ..op }),
            Self::Softmax(_) => Self::Softmax(Softmax { input, output }),
            Self::Conv2d(op) => Self::Conv2d(Conv2d { input, output, ..op }),
            Self::DepthwiseConv2d(op) => Self::DepthwiseConv2d(Conv2d { input, output, ..op }),
            Self::Int8Linear(op) => Self::Int8Linear(self::Linear { input, output, ..op }),
            Self::Int8Conv2d(op) => Self::Int8Conv2d(Conv2d { input, output, ..op }),
            Self::Int8DepthwiseConv2d(op) => Self::Int8DepthwiseConv2d(Conv2d { input, output, ..op }),
            Self::MaxPool(op) => Self::MaxPool(Pool2d { input, output, ..op }),
            Self::AvgPool(op) => Self::AvgPool(Pool2d { input, output, ..op }),
            Self::Concat(_) => Self::Concat(Concat { left: input, right, output }),
            Self::Reshape(_) => Self::Reshape(Reshape { input, output }),
            Self::Pad(op) => Self::Pad(Pad { input, output, ..op }),
            Self::Slide(_) => Self::Slide(Slide { input, state: output }),
        }
    }

    /// What slides over the rows and columns of its input, where something does.
    pub const fn window(&self) -> Option<Window> {
        match self {
            Self::Conv2d(op) | Self::DepthwiseConv2d(op) => Some(op.window),
            Self::Int8Conv2d(op) | Self::Int8DepthwiseConv2d(op) => Some(op.window),
            Self::MaxPool(op) | Self::AvgPool(op) => Some(op.window),
            _ => None,
        }
    }

    /// The ternary weights it uses, where it has some.
    pub const fn weights(&self) -> Option<&MatrixRecord> {
        match self {
            Self::Linear(op) => Some(&op.weights),
            Self::Embedding(op) => Some(&op.weights),
            Self::Conv2d(op) | Self::DepthwiseConv2d(op) => Some(&op.weights),
            _ => None,
        }
    }

    /// The int8 weights it uses, where it has some.
    pub const fn int8_weights(&self) -> Option<&Int8Record> {
        match self {
            Self::Int8Linear(op) => Some(&op.weights),
            Self::Int8Conv2d(op) | Self::Int8DepthwiseConv2d(op) => Some(&op.weights),
            _ => None,
        }
    }

    /// Offset of the biases it uses, where it has some.
    pub const fn bias(&self) -> Option<u32> {
        match self {
            Self::Linear(op) => op.bias,
            Self::Int8Linear(op) => op.bias,
            Self::Conv2d(op) | Self::DepthwiseConv2d(op) => op.bias,
            Self::Int8Conv2d(op) | Self::Int8DepthwiseConv2d(op) => op.bias,
            _ => None,
        }
    }

    /// Rows and columns of the weights it uses; zeros where it has none.
    pub(crate) const fn weights_shape(&self) -> [u32; 2] {
        match (self.weights(), self.int8_weights()) {
            (Some(weights), _) => [weights.rows, weights.columns],
            (_, Some(weights)) => [weights.rows, weights.columns],
            _ => [0; 2],
        }
    }

    /// True where an operator with weights clamps its output at 0.
    pub(crate) const fn clamps(&self) -> bool {
        match self {
            Self::Linear(op) => op.relu,
            Self::Int8Linear(op) => op.relu,
            Self::Conv2d(op) | Self::DepthwiseConv2d(op) => op.relu,
            Self::Int8Conv2d(op) | Self::Int8DepthwiseConv2d(op) => op.relu,
            _ => false,
        }
    }

    /// Products of each element of the output: what [`Model::macs_of`](crate::Model::macs_of) multiplies by its length.
    pub(crate) const fn products(&self) -> u64 {
        match self {
            Self::Embedding(_) => 0,
            _ => self.weights_shape()[1] as u64,
        }
    }

    /// True where the output may take the place of an input: the operator has read an element before it writes it.
    pub const fn works_in_place(&self) -> bool {
        matches!(self, Self::Relu(_) | Self::Add(_) | Self::Reshape(_) | Self::DepthwiseConv2d(_))
    }

    /// The operator in one record (code, then fields); `index` and `offset` are only for the error.
    ///
    /// All kinds have their fields in one order, and each leaves some out.
    pub(crate) fn decode(record: &[u8], index: usize, offset: usize) -> Result<Self, ParseError> {
        use OperatorKind::{
            Add, ArgMax, AvgPool, Concat, Conv2d, DepthwiseConv2d, Embedding, Int8Conv2d, Int8DepthwiseConv2d,
            Int8Linear, Linear, MaxPool, Pad, Relu, Requantize, Reshape, RmsNorm, ShiftNorm, Slide, Softmax,
        };
        let mut fields = Fields::new(record);
        let code = fields.short();
        let known = OperatorKind::from_code(code);
        let kind = match known {
            Some(kind) => kind,
            None if fields.rest().is_some() => return Err(ParseError::UnknownOperator { index, code }),
            None => return Err(ParseError::MalformedOperator { index, offset }),
        };
        let input = fields.short();
        let right = if matches!(kind, Add | Concat) { fields.short() } else { input };
        let output = fields.short();
        let ternary = matches!(kind, Linear | Conv2d | DepthwiseConv2d);
        let int8 = matches!(kind, Int8Linear | Int8Conv2d | Int8DepthwiseConv2d);
        let clamps = ternary || int8 || matches!(kind, ShiftNorm | Requantize | Add | RmsNorm);
        let relu = clamps && fields.flag();
        let slides = matches!(kind, Conv2d | DepthwiseConv2d | Int8Conv2d | Int8DepthwiseConv2d | MaxPool | AvgPool);
        let window = if slides { Window::read(&mut fields) } else { Window::NONE };
        let weights = if ternary || kind == Embedding { MatrixRecord::read(&mut fields) } else { MatrixRecord::NONE };
        let int8_weights = if int8 { Int8Record::read(&mut fields) } else { Int8Record::NONE };
        let bias = ((ternary || int8) && fields.flag()).then(|| fields.number());
        let padding = if kind == Pad { core::array::from_fn(|_| fields.byte()) } else { [0; 4] };
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
            Conv2d => Self::Conv2d(self::Conv2d { input, output, relu, window, weights, bias }),
            DepthwiseConv2d => Self::DepthwiseConv2d(self::Conv2d { input, output, relu, window, weights, bias }),
            Int8Linear => Self::Int8Linear(self::Linear { input, output, relu, weights: int8_weights, bias }),
            Int8Conv2d => Self::Int8Conv2d(self::Conv2d { input, output, relu, window, weights: int8_weights, bias }),
            Int8DepthwiseConv2d => {
                Self::Int8DepthwiseConv2d(self::Conv2d { input, output, relu, window, weights: int8_weights, bias })
            }
            MaxPool => Self::MaxPool(Pool2d { input, output, window }),
            AvgPool => Self::AvgPool(Pool2d { input, output, window }),
            Concat => Self::Concat(self::Concat { left: input, right, output }),
            Reshape => Self::Reshape(self::Reshape { input, output }),
            Pad => Self::Pad(self::Pad { input, output, padding }),
            Slide => Self::Slide(self::Slide { input, state: output }),
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
            Self::Conv2d(op) => postcard::to_allocvec(&(code, op)),
            Self::DepthwiseConv2d(op) => postcard::to_allocvec(&(code, op)),
            Self::Int8Linear(op) => postcard::to_allocvec(&(code, op)),
            Self::Int8Conv2d(op) => postcard::to_allocvec(&(code, op)),
            Self::Int8DepthwiseConv2d(op) => postcard::to_allocvec(&(code, op)),
            Self::MaxPool(op) => postcard::to_allocvec(&(code, op)),
            Self::AvgPool(op) => postcard::to_allocvec(&(code, op)),
            Self::Concat(op) => postcard::to_allocvec(&(code, op)),
            Self::Reshape(op) => postcard::to_allocvec(&(code, op)),
            Self::Pad(op) => postcard::to_allocvec(&(code, op)),
            Self::Slide(op) => postcard::to_allocvec(&(code, op)),
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
        let fields = any::<([u16; 3], bool, [u8; 8], [u32; 4])>();
        (kinds, fields, matrix(), any::<Option<u32>>()).prop_map(|(kind, fields, weights, bias)| {
            let ([input, right, output], relu, bytes, numbers) = fields;
            let [a, b, c, d, padding @ ..] = bytes;
            let window = Window { kernel: [a, b], stride: [c, d], padding };
            let [rows, columns, values, exponents] = numbers;
            let int8 = Int8Record { rows, columns, values, exponents };
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
                OperatorKind::Conv2d => Operator::Conv2d(Conv2d { input, output, relu, window, weights, bias }),
                OperatorKind::DepthwiseConv2d => {
                    Operator::DepthwiseConv2d(Conv2d { input, output, relu, window, weights, bias })
                }
                OperatorKind::Int8Linear => Operator::Int8Linear(Linear { input, output, relu, weights: int8, bias }),
                OperatorKind::Int8Conv2d => {
                    Operator::Int8Conv2d(Conv2d { input, output, relu, window, weights: int8, bias })
                }
                OperatorKind::Int8DepthwiseConv2d => {
                    Operator::Int8DepthwiseConv2d(Conv2d { input, output, relu, window, weights: int8, bias })
                }
                OperatorKind::MaxPool => Operator::MaxPool(Pool2d { input, output, window }),
                OperatorKind::AvgPool => Operator::AvgPool(Pool2d { input, output, window }),
                OperatorKind::Concat => Operator::Concat(Concat { left: input, right, output }),
                OperatorKind::Reshape => Operator::Reshape(Reshape { input, output }),
                OperatorKind::Pad => Operator::Pad(Pad { input, output, padding }),
                OperatorKind::Slide => Operator::Slide(Slide { input, state: output }),
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

    proptest! {
        #[test]
        fn on_other_tensors_nothing_else_changes(operator in operator(), tensors in any::<[u16; 3]>()) {
            let [left, right, output] = tensors;
            let moved = operator.on([left, right], output);
            let two = matches!(operator, Operator::Add(_) | Operator::Concat(_));
            prop_assert_eq!((moved.inputs(), moved.output()), ([left, if two { right } else { left }], output));
            prop_assert_eq!(moved.on(operator.inputs(), operator.output()), operator);
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
