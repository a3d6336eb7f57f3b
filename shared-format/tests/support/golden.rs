//! Builds the two files of the present version in `tests/golden`, always the same bytes.
//!
//! The model holds every operator, both layouts, all three exponent encodings, five group sizes, groups and a row of zeros, int8
//! weights, windows, outputs in their input's place, persistent tensors, one input scale per feature, labels and properties;
//! the checkpoint holds every element type. Trits are written as text, a space between groups, so that the golden test can
//! compare them with what it reads.

use trishift_format::write::{CheckpointWriter, MatrixValues, ModelWriter, Region, StateValues, WriteError};
use trishift_format::{
    Add, ArgMax, Concat, Conv2d, DataType, Embedding, GroupSize, InputScale, Int8Record, Layout, Linear, MatrixRecord,
    Operator, Pad, Pool2d, Relu, Requantize, Reshape, RmsNorm, ShiftNorm, Slide, Softmax, Tensor, TensorClass, Window,
};

/// A matrix as text: one string a row, a space between groups; and its exponents, one for each group.
pub(crate) struct Weights {
    pub(crate) group: u32,
    pub(crate) trits: &'static [&'static str],
    pub(crate) exponents: &'static [&'static [i8]],
}

/// 12 → 10, groups of 6; its fifth row is zero.
pub(crate) const STEM: Weights = Weights {
    group: 6,
    trits: &[
        "00+-00 +-0++-",
        "-+++-- 0--++-",
        "00---+ 00--++",
        "0+++++ +-0--0",
        "000000 000000",
        "+00--+ 00-00-",
        "+0-0-+ +-0+0+",
        "0--++0 +0+-++",
        "++-+0- 000000",
        "+0++-0 -++00+",
    ],
    exponents: &[&[-3, 0], &[1, -2], &[0, 0], &[-6, 5], &[0, 0], &[2, 3], &[-1, -2], &[-4, 11], &[-5, -5], &[1, 0]],
};

/// 10 → 10, groups of 4, the last one of each row short; group after group, but in version 0.1.
pub(crate) const MIX: Weights = Weights {
    group: 4,
    trits: &[
        "+--0 +0-0 ++",
        "++00 0+++ 00",
        "0+-+ --+- ++",
        "++++ 0000 +0",
        "+--+ ++0- -+",
        "-+-0 -+00 ++",
        "-+-- 0--- ++",
        "0-++ 000+ 00",
        "-0++ --0+ ++",
        "+0+0 -00+ 0-",
    ],
    exponents: &[
        &[-3, -1, 0],
        &[-2, -3, -3],
        &[-3, -3, -3],
        &[0, -1, -1],
        &[-2, -1, 1],
        &[2, 1, 0],
        &[-3, 0, 12],
        &[-1, 0, -1],
        &[-2, -2, -3],
        &[0, 0, 3],
    ],
};

/// 10 → 10, groups of 8; windows of up to 19 need int8 exponents.
pub(crate) const WIDE: Weights = Weights {
    group: 8,
    trits: &[
        "--+0+0-0 --",
        "-+-+0--+ +-",
        "---+0+-+ +0",
        "-++-+0+- 0+",
        "+0--0+++ -0",
        "-+--000- 00",
        "00-0+0-- -0",
        "+-00+-+- -0",
        "0+000000 0+",
        "0-0+0+-- +0",
    ],
    exponents: &[&[9, -10], &[-4, -4], &[-10, 9], &[-3, 0], &[-8, 2], &[6, 6], &[0, 1], &[-2, -3], &[-9, 7], &[5, -5]],
};

/// 10 → 3, one short group of 20 a row.
pub(crate) const HEAD: Weights =
    Weights { group: 20, trits: &["00--0+++-+", "00++--+0-+", "+--++-+-+0"], exponents: &[&[-4], &[-2], &[-3]] };

/// 3 entries of 6, groups of 4, the last one of each entry short.
pub(crate) const TABLE: Weights =
    Weights { group: 4, trits: &["+0-- 0+", "-+00 --", "0+-+ +0"], exponents: &[&[-6, -2], &[-7, -7], &[3, -5]] };

/// 2 rows of 12 for windows of 3 × 2 over two channels, groups of 6; group after group.
pub(crate) const CONVOLUTION: Weights =
    Weights { group: 6, trits: &["+0--0+ 0+0-+0", "00+-+0 --00++"], exponents: &[&[-5, -3], &[-4, -4]] };

/// 4 rows of 9 for windows of 3 × 3 over each channel, groups of 16: one short group a row.
pub(crate) const DEPTHWISE: Weights = Weights {
    group: 16,
    trits: &["+-0+-0+-0", "000+++000", "-0+-0+-0+", "000000000"],
    exponents: &[&[-3], &[-1], &[-2], &[0]],
};

/// int8 weights, row after row, and an exponent for each row.
pub(crate) struct Int8Weights {
    pub(crate) columns: usize,
    pub(crate) values: &'static [i8],
    pub(crate) exponents: &'static [i8],
}

/// 3 rows of 8 for windows of 2 × 1 over four channels.
pub(crate) const INT8_CONVOLUTION: Int8Weights = Int8Weights {
    columns: 8,
    values: &[1, -2, 3, -128, 127, 0, 9, 4, /**/ 0, 0, 0, 0, 0, 0, 0, 0, /**/ -7, 6, -5, 4, -3, 2, -1, 100],
    exponents: &[-9, 0, -11],
};

/// 3 rows of 2 for windows of 1 × 2 over each channel.
pub(crate) const INT8_DEPTHWISE: Int8Weights =
    Int8Weights { columns: 2, values: &[64, 63, /**/ -1, 1, /**/ -128, -128], exponents: &[-7, -2, -8] };

/// 6 → 2.
pub(crate) const INT8_LINEAR: Int8Weights = Int8Weights {
    columns: 6,
    values: &[11, -12, 13, -14, 15, -16, /**/ 127, 126, -128, -127, 1, 0],
    exponents: &[-6, -10],
};

pub(crate) const DEPTHWISE_BIAS: [i32; 4] = [3, -3, 0, 77];
pub(crate) const INT8_LINEAR_BIAS: [i32; 2] = [-1000, 1 << 16];
pub(crate) const STEM_BIAS: [i32; 10] = [5, -7, 0, 300, 2, -100_000, 1, 1 << 20, -(1 << 21), 12];
pub(crate) const WIDE_BIAS: [i32; 10] = [0, 1, -1, 2, -2, 3, -3, 4, -4, 1_000_000];
pub(crate) const HEAD_BIAS: [i32; 3] = [-40, 25, 15];

pub(crate) const LABELS: [&str; 3] = ["still", "wave", "Fußtritt"];

impl Weights {
    /// Trits of the text, row after row.
    fn values(&self) -> Vec<i8> {
        let trit = |letter| match letter {
            '+' => Some(1),
            '-' => Some(-1),
            '0' => Some(0),
            _ => None,
        };
        self.trits.iter().flat_map(|row| row.chars().filter_map(trit)).collect()
    }

    fn add_to(&self, writer: &mut ModelWriter, layout: Layout) -> Result<MatrixRecord, WriteError> {
        let trits = self.values();
        let rows = self.trits.len();
        let matrix = MatrixValues {
            rows,
            columns: trits.len() / rows,
            group: GroupSize::new(self.group).expect("a group size of the format"),
            trits: &trits,
            exponents: &self.exponents.concat(),
        };
        writer.add_matrix_in(&matrix, layout)
    }
}

impl Int8Weights {
    fn add_to(&self, writer: &mut ModelWriter) -> Result<Int8Record, WriteError> {
        writer.add_int8(self.columns, self.values, self.exponents)
    }
}

/// How raw values become feature `i` of the golden model's input.
pub(crate) fn scale(i: i8) -> InputScale {
    InputScale { zero_mantissa: 1000 * i32::from(i) - 3000, zero_exponent: -(i % 4), shift: i % 3 - 4 }
}

fn tensor(data_type: DataType, class: TensorClass, exponent: i16, shape: [u32; 3], place: [u32; 3]) -> Tensor {
    let [offset, first, last] = place;
    Tensor { data_type, class, exponent, shape, offset, first: first as u16, last: last as u16 }
}

/// The tensors of the golden model: a residual block behind a stem, a head, the class last seen, and its embedding as
/// shares of 1; then as an image; and the last four classes. Version 0.1 has the first ten, version 0.2 the first thirteen,
/// version 0.3 all but the last.
pub(crate) fn tensors() -> [Tensor; 27] {
    use DataType::{I8, I32};
    use TensorClass::{Arena, Input, Output, Persistent};
    [
        tensor(I8, Input, -4, [2, 3, 2], [0, 0, 0]),
        tensor(I8, Arena, -2, [1, 1, 10], [0, 0, 1]),
        tensor(I32, Arena, -5, [1, 1, 10], [12, 1, 2]),
        tensor(I8, Arena, -4, [1, 1, 10], [0, 2, 5]),
        tensor(I32, Arena, -15, [1, 1, 10], [12, 3, 4]),
        tensor(I8, Arena, -3, [1, 1, 10], [52, 4, 5]),
        tensor(I8, Arena, -3, [1, 1, 10], [12, 5, 6]),
        tensor(I8, Arena, -3, [1, 1, 10], [24, 6, 7]),
        tensor(I32, Output, -7, [1, 1, 3], [0, 7, 8]),
        tensor(I32, Persistent, 0, [1, 1, 1], [64, 0, 8]),
        tensor(I32, Arena, -8, [1, 1, 6], [0, 9, 10]),
        tensor(I8, Arena, -5, [1, 1, 6], [24, 10, 11]),
        tensor(I32, Arena, -15, [1, 1, 6], [0, 11, 11]),
        // The class's embedding again as an image, zeros around it, two windows over that.
        tensor(I8, Arena, -7, [1, 1, 6], [0, 12, 13]),
        tensor(I8, Arena, -7, [1, 3, 2], [0, 13, 14]),
        tensor(I8, Arena, -7, [4, 4, 2], [8, 14, 16]),
        tensor(I8, Arena, -7, [2, 2, 2], [40, 15, 17]),
        tensor(I8, Arena, -7, [2, 2, 2], [48, 16, 17]),
        // Both behind each other and filtered, two pools of that and their sum.
        tensor(I8, Arena, -7, [2, 2, 4], [0, 17, 18]),
        tensor(I8, Arena, -6, [2, 2, 4], [0, 18, 19]),
        tensor(I8, Arena, -5, [1, 2, 3], [16, 19, 21]),
        tensor(I8, Arena, -4, [1, 2, 3], [24, 20, 22]),
        tensor(I8, Arena, -5, [1, 2, 3], [32, 21, 22]),
        tensor(I8, Arena, -4, [1, 2, 3], [24, 22, 23]),
        tensor(I8, Arena, -4, [6, 1, 1], [24, 23, 24]),
        tensor(I32, Arena, -15, [1, 1, 2], [0, 24, 24]),
        tensor(I32, Persistent, 0, [4, 1, 1], [68, 0, 25]),
    ]
}

/// The windows of the golden model's convolutions and pools, in the order in which they run.
pub(crate) const WINDOWS: [Window; 6] = [
    Window { kernel: [3, 2], stride: [1, 2], padding: [0, 1, 0, 0] },
    Window { kernel: [3, 3], stride: [1, 2], padding: [0, 1, 0, 1] },
    Window { kernel: [3, 3], stride: [1, 1], padding: [1, 1, 1, 1] },
    Window { kernel: [2, 1], stride: [1, 1], padding: [0, 0, 0, 0] },
    Window { kernel: [1, 2], stride: [1, 1], padding: [0, 1, 0, 0] },
    Window { kernel: [1, 2], stride: [1, 1], padding: [0, 0, 0, 1] },
];

/// The bytes of `tests/golden/model-0.4.tsm`.
pub(crate) fn model() -> Result<Vec<u8>, WriteError> {
    let mut writer = ModelWriter::new("golden");
    let stem = STEM.add_to(&mut writer, Layout::Rows)?;
    let stem_bias = Some(writer.add_bias(&STEM_BIAS)?);
    let mix = MIX.add_to(&mut writer, Layout::Groups)?;
    let wide = WIDE.add_to(&mut writer, Layout::Rows)?;
    let wide_bias = Some(writer.add_bias(&WIDE_BIAS)?);
    let head = HEAD.add_to(&mut writer, Layout::Rows)?;
    let head_bias = Some(writer.add_bias(&HEAD_BIAS)?);
    let table = TABLE.add_to(&mut writer, Layout::Rows)?;
    for operator in [
        Operator::Linear(Linear { input: 0, output: 1, relu: true, weights: stem, bias: stem_bias }),
        Operator::Linear(Linear { input: 1, output: 2, relu: false, weights: mix, bias: None }),
        Operator::ShiftNorm(ShiftNorm { input: 2, output: 3, relu: true }),
        Operator::Linear(Linear { input: 3, output: 4, relu: false, weights: wide, bias: wide_bias }),
        Operator::Requantize(Requantize { input: 4, output: 5, relu: false }),
        Operator::Add(Add { left: 5, right: 3, output: 6, relu: false }),
        Operator::Relu(Relu { input: 6, output: 7 }),
        Operator::Linear(Linear { input: 7, output: 8, relu: false, weights: head, bias: head_bias }),
        Operator::ArgMax(ArgMax { input: 8, output: 9 }),
        Operator::Embedding(Embedding { input: 9, output: 10, weights: table }),
        Operator::RmsNorm(RmsNorm { input: 10, output: 11, relu: true }),
        Operator::Softmax(Softmax { input: 11, output: 12 }),
        Operator::Embedding(Embedding { input: 9, output: 13, weights: table }),
    ] {
        writer.push(&operator)?;
    }
    push_images(&mut writer)?;
    writer.push(&Operator::Slide(Slide { input: 9, state: 26 }))?;
    for label in LABELS {
        writer.label(label)?;
    }
    writer.property("trained-on", "nothing: a test file")?;
    writer.property("accuracy", "")?;
    writer.input_scales(&(0..12).map(scale).collect::<Vec<_>>());
    writer.finish(&Region { tensors: &tensors(), input: 0, output: 8, arena_bytes: 84 })
}

/// The operators that came with version 0.3.
fn push_images(writer: &mut ModelWriter) -> Result<(), WriteError> {
    let [all, largest, each, int8_all, int8_each, mean] = WINDOWS;
    let convolution = CONVOLUTION.add_to(writer, Layout::Groups)?;
    let depthwise = DEPTHWISE.add_to(writer, Layout::Rows)?;
    let depthwise_bias = Some(writer.add_bias(&DEPTHWISE_BIAS)?);
    let int8_convolution = INT8_CONVOLUTION.add_to(writer)?;
    let int8_depthwise = INT8_DEPTHWISE.add_to(writer)?;
    let int8_linear = INT8_LINEAR.add_to(writer)?;
    let int8_bias = Some(writer.add_bias(&INT8_LINEAR_BIAS)?);
    let (relu, window, weights, bias) = (true, all, convolution, None);
    let convolution = Conv2d { input: 15, output: 16, relu, window, weights, bias };
    let (window, weights, bias) = (each, depthwise, depthwise_bias);
    let depthwise = Conv2d { input: 18, output: 19, relu, window, weights, bias };
    let (relu, window, weights, bias) = (false, int8_all, int8_convolution, None);
    let int8_convolution = Conv2d { input: 19, output: 20, relu, window, weights, bias };
    let (window, weights) = (int8_each, int8_depthwise);
    let int8_depthwise = Conv2d { input: 20, output: 21, relu, window, weights, bias };
    for operator in [
        Operator::Reshape(Reshape { input: 13, output: 14 }),
        Operator::Pad(Pad { input: 14, output: 15, padding: [1, 0, 2, 1] }),
        Operator::Conv2d(convolution),
        Operator::MaxPool(Pool2d { input: 15, output: 17, window: largest }),
        Operator::Concat(Concat { left: 16, right: 17, output: 18 }),
        Operator::DepthwiseConv2d(depthwise),
        Operator::Int8Conv2d(int8_convolution),
        Operator::Int8DepthwiseConv2d(int8_depthwise),
        Operator::AvgPool(Pool2d { input: 20, output: 22, window: mean }),
        Operator::Add(Add { left: 21, right: 22, output: 23, relu: true }),
        Operator::Relu(Relu { input: 23, output: 24 }),
        Operator::Int8Linear(Linear { input: 24, output: 25, relu, weights: int8_linear, bias: int8_bias }),
    ] {
        writer.push(&operator)?;
    }
    Ok(())
}
/// The bytes of `tests/golden/checkpoint-0.4.tsc`.
pub(crate) fn checkpoint() -> Result<Vec<u8>, WriteError> {
    let mut writer = CheckpointWriter::new("[network]\nlayers = [7, 3]\n");
    let trits: Vec<i8> = (0..21).map(|i: i32| (i * i % 7 % 3) as i8 - 1).collect();
    writer.push("layer0.trits", 3, StateValues::Trits(&trits))?;
    writer.push("layer0.exponents", 3, StateValues::I8(&[-3, 127, 0, -128, 5, 6]))?;
    writer.push("layer0.credit", 1, StateValues::I16(&[-30_000, 300, 0]))?;
    writer.push("layer0.bias", 3, StateValues::I32(&[-70_000, 1, i32::MAX]))?;
    writer.push("narrowed", 2, StateValues::I64(&[-129, 4]))?;
    writer.push("step", 1, StateValues::I64(&[1 << 40]))?;
    writer.push("latent", 2, StateValues::F32(&[0.5, -1.25]))?;
    writer.push("empty", 0, StateValues::I8(&[]))?;
    writer.finish()
}
