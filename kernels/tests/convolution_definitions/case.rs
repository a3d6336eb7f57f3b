//! A layer as plain values, its file, and what it must compute.

use crate::random::Random;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    Bias, DataType, GroupSize, InputScale, Int8Record, Layout, Linear, MatrixRecord, Model, Operator, Tensor,
    TensorClass, Window,
};
use trishift_kernels::conv2d::{
    Conv2d, conv2d, depthwise_conv2d, depthwise_conv2d_in_place, int8_conv2d, int8_depthwise_conv2d,
};
use trishift_kernels::geometry::Geometry;
use trishift_kernels::int8_linear::{Int8Linear, int8_linear};
use trishift_kernels::{Outputs, SCALAR};

impl Random {
    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as usize) as i32
    }
}

/// What is tested: the four convolutions, and the layer whose window is its whole input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Ternary,
    TernaryDepthwise,
    Int8,
    Int8Depthwise,
    Int8Linear,
}

use Kind::{Int8, Int8Depthwise, Ternary, TernaryDepthwise};

/// What the outputs are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    /// int8; the tensors' exponents are so far apart.
    I8 { scale: i32, relu: bool },
    /// int32, in units of this power of two.
    I32 { unit: i32 },
}

/// A layer as plain values: weights of any row are `weights[column]·2^exponents[column / group]`.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    /// Height, width, channels.
    pub(crate) input: [usize; 3],
    pub(crate) window: Window,
    pub(crate) rows: usize,
    /// Of int8 weights, all columns are one group.
    pub(crate) group: usize,
    pub(crate) layout: Layout,
    pub(crate) weights: Vec<i8>,
    pub(crate) exponents: Vec<i8>,
    pub(crate) bias: Option<Vec<i32>>,
    pub(crate) output: Output,
}

impl Case {
    fn is_int8(&self) -> bool {
        matches!(self.kind, Int8 | Int8Depthwise | Kind::Int8Linear)
    }

    fn is_depthwise(&self) -> bool {
        matches!(self.kind, TernaryDepthwise | Int8Depthwise)
    }

    /// Weights of a row.
    fn columns(&self) -> usize {
        self.window.area() * if self.is_depthwise() { 1 } else { self.input[2] }
    }

    /// Height, width, channels of the output, counted window by window.
    pub(crate) fn output_shape(&self) -> [usize; 3] {
        let Window { kernel, stride, padding } = self.window;
        let count = |axis: usize| {
            let covered = self.input[axis] + usize::from(padding[axis]) + usize::from(padding[axis + 2]);
            let starts = (0..covered).step_by(stride[axis].into());
            starts.filter(|start| start + usize::from(kernel[axis]) <= covered).count()
        };
        [count(0), count(1), self.rows]
    }

    /// Random weights, and exponents so far above `base` that no row can break the int32 bound, whatever its bias.
    pub(crate) fn random(kind: Kind, input: [usize; 3], window: Window, random: &mut Random) -> Self {
        let mut case = Self {
            kind,
            input,
            window,
            rows: random.between(1, 9) as usize,
            group: random.of(&GroupSize::ALL).get(),
            layout: random.of(&[Layout::Rows, Layout::Groups]),
            weights: vec![],
            exponents: vec![],
            bias: None,
            output: random.of(&[Output::I8 { scale: 0, relu: false }, Output::I32 { unit: 0 }]),
        };
        if case.is_depthwise() {
            case.rows = input[2];
        }
        if case.is_int8() {
            (case.group, case.layout) = (case.columns(), Layout::Rows);
        }
        case.fill(random.between(-20, 0), random.between(0, 24), random);
        case
    }

    /// Fills in weights, exponents from `base` on over at most `span`, a bias or none, and an output of the kind that it is.
    pub(crate) fn fill(&mut self, base: i32, span: i32, random: &mut Random) {
        let (columns, rows) = (self.columns(), self.rows);
        let magnitude = if self.is_int8() { 14 } else { 7 } + columns.next_power_of_two().ilog2() as i32;
        let span = span.min(29 - magnitude);
        self.weights = if self.is_int8() {
            random.bytes(rows * columns)
        } else {
            // Whole groups and rows of zeros come of the last two.
            let rarity = random.of(&[1, 2, 3, 30]);
            let mut trit = || if random.between(1, rarity) == 1 { random.between(-1, 1) as i8 } else { 0 };
            (0..rows * columns).map(|_| trit()).collect()
        };
        let groups = rows * columns.div_ceil(self.group);
        self.exponents = (0..groups).map(|_| (base + random.between(0, span)) as i8).collect();
        let mut bias = || random.between(-(1 << 20), 1 << 20);
        let bias = (0..rows).map(|_| bias()).collect();
        self.bias = random.of(&[true, false]).then_some(bias);
        self.output = match self.output {
            Output::I8 { .. } => {
                let usual = base + span / 2 + magnitude - 8;
                let scale = random.of(&[usual, usual, usual - 2, base - 40, base, base + 1, base + 31, base + 60]);
                Output::I8 { scale, relu: random.of(&[true, false]) }
            }
            // Rows of zeros have the exponent 0.
            Output::I32 { .. } => Output::I32 { unit: base.min(0) - random.between(0, 29 - magnitude - span) },
        };
    }

    /// The smallest exponent that a row uses.
    pub(crate) fn smallest(&self, row: usize) -> i32 {
        let groups = self.columns().div_ceil(self.group);
        let exponents = &self.exponents[row * groups..][..groups];
        if self.is_int8() {
            return exponents[0].into();
        }
        let weights = self.weights[row * self.columns()..][..self.columns()].chunks(self.group);
        let used = weights.zip(exponents).filter(|(weights, _)| weights.iter().any(|weight| *weight != 0));
        used.map(|(_, exponent)| i32::from(*exponent)).min().unwrap_or(0)
    }

    /// The formula: for each output of each sample, b + Σ w·2^(E − e)·x over what lies under the window.
    pub(crate) fn expected(&self, input: &[i8]) -> Vec<i128> {
        let [height, width, channels] = self.input;
        let [output_height, output_width, rows] = self.output_shape();
        let samples = input.chunks(height * width * channels);
        let mut outputs = vec![];
        for sample in samples {
            for (y, x, row) in places([output_height, output_width, rows]) {
                let mut sum = self.bias.as_ref().map_or(0, |bias| i128::from(bias[row]));
                let unit = match self.output {
                    Output::I8 { .. } => self.smallest(row),
                    Output::I32 { unit } => unit,
                };
                let kernel = self.window.kernel.map(usize::from);
                let own = if self.is_depthwise() { 1 } else { channels };
                for (column, (tap_y, tap_x, channel)) in places([kernel[0], kernel[1], own]).enumerate() {
                    let channel = if self.is_depthwise() { row } else { channel };
                    let place = |output: usize, tap: usize, axis: usize| {
                        output as isize * isize::from(self.window.stride[axis]) + tap as isize
                            - isize::from(self.window.padding[axis])
                    };
                    let (y, x) = (place(y, tap_y, 0), place(x, tap_x, 1));
                    if !(0..height as isize).contains(&y) || !(0..width as isize).contains(&x) {
                        continue;
                    }
                    let weight = self.weights[row * self.columns() + column];
                    if weight == 0 {
                        continue;
                    }
                    let groups = self.columns().div_ceil(self.group);
                    let exponent = i32::from(self.exponents[row * groups + column / self.group]);
                    let element = sample[(y as usize * width + x as usize) * channels + channel];
                    sum += (i128::from(weight) * i128::from(element)) << (exponent - unit);
                }
                outputs.push(match self.output {
                    Output::I8 { scale, relu } => requantize(sum, scale - unit, relu),
                    Output::I32 { .. } => sum,
                });
            }
        }
        outputs
    }

    fn file(&self) -> Vec<u8> {
        let mut writer = ModelWriter::new("case");
        let bias = self.bias.as_ref().map(|bias| writer.add_bias(bias).unwrap());
        let relu = matches!(self.output, Output::I8 { relu: true, .. });
        let window = self.window;
        let operator = if self.is_int8() {
            let weights = writer.add_int8(self.columns(), &self.weights, &self.exponents).unwrap();
            match self.kind {
                Int8 => Operator::Int8Conv2d(convolution(relu, window, weights, bias)),
                Int8Depthwise => Operator::Int8DepthwiseConv2d(convolution(relu, window, weights, bias)),
                _ => Operator::Int8Linear(Linear { input: 0, output: 1, relu, weights, bias }),
            }
        } else {
            let (trits, exponents) = (&self.weights, &self.exponents);
            let group = GroupSize::new(self.group as u32).unwrap();
            let values = MatrixValues { rows: self.rows, columns: self.columns(), group, trits, exponents };
            let weights = writer.add_matrix_in(&values, self.layout).unwrap();
            match self.kind {
                Ternary => Operator::Conv2d(convolution(relu, window, weights, bias)),
                _ => Operator::DepthwiseConv2d(convolution(relu, window, weights, bias)),
            }
        };
        writer.push(&operator).unwrap();
        writer.input_scales(&[InputScale::IDENTITY]);
        let (data_type, exponent) = match self.output {
            Output::I8 { scale, .. } => (DataType::I8, scale),
            Output::I32 { unit } => (DataType::I32, unit),
        };
        let tensor = |class, data_type, exponent: i32, shape: [usize; 3]| {
            let (exponent, shape) = (exponent as i16, shape.map(|size| size as u32));
            Tensor { data_type, class, exponent, shape, offset: 0, first: 0, last: 0 }
        };
        let tensors = [
            tensor(TensorClass::Input, DataType::I8, 0, self.input),
            tensor(TensorClass::Output, data_type, exponent, self.output_shape()),
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).expect("a valid layer")
    }

    /// Holds the definition against the formula for so many samples, and the one that works in place, where that may be.
    pub(crate) fn check(&self, samples: usize, random: &mut Random) {
        let input: Vec<i8> = (0..samples).flat_map(|_| random.bytes(self.input.iter().product())).collect();
        self.check_on(&input);
    }

    pub(crate) fn check_on(&self, input: &[i8]) {
        let file = self.file();
        let model = Model::parse(&file).unwrap();
        let expected = self.expected(input);
        let operator = model.operators().next().unwrap();
        let (mut narrow, mut wide) = (vec![55i8; expected.len()], vec![55i32; expected.len()]);
        let output = match self.output {
            Output::I8 { .. } => Outputs::I8(&mut narrow),
            Output::I32 { .. } => Outputs::I32(&mut wide),
        };
        match &operator {
            Operator::Conv2d(op) => conv2d(&layer(&model, op, model.matrix(&op.weights)), input, output),
            Operator::DepthwiseConv2d(op) => {
                depthwise_conv2d(&layer(&model, op, model.matrix(&op.weights)), input, output);
            }
            Operator::Int8Conv2d(op) => {
                int8_conv2d(&layer(&model, op, model.int8_matrix(&op.weights)), input, output);
            }
            Operator::Int8DepthwiseConv2d(op) => {
                int8_depthwise_conv2d(&layer(&model, op, model.int8_matrix(&op.weights)), input, output);
            }
            Operator::Int8Linear(op) => {
                let (matrix, bias) = (model.int8_matrix(&op.weights), bias_of(&model, &operator));
                let accumulators = model.accumulators_between(0, 1);
                int8_linear(&Int8Linear { matrix, bias, accumulators, relu: op.relu }, input, output);
            }
            _ => panic!("a layer with weights"),
        }
        let found: Vec<i128> = match self.output {
            Output::I8 { .. } => narrow.iter().map(|value| i128::from(*value)).collect(),
            Output::I32 { .. } => wide.iter().map(|value| i128::from(*value)).collect(),
        };
        assert_eq!(found, expected, "{self:?}");
        if let (Operator::DepthwiseConv2d(op), Output::I8 { .. }, true) =
            (&operator, self.output, self.input == self.output_shape())
        {
            let layer = layer(&model, op, model.matrix(&op.weights));
            let mut scratch = vec![0x5A5A_5A5A; SCALAR.scratch.depthwise_conv2d(&layer.geometry, true) / 4];
            let mut data = input.to_vec();
            depthwise_conv2d_in_place(&layer, &mut scratch, &mut data);
            assert_eq!(data, narrow, "in place: {self:?}");
        }
    }
}

fn convolution<W>(relu: bool, window: Window, weights: W, bias: Option<u32>) -> trishift_format::Conv2d<W> {
    trishift_format::Conv2d { input: 0, output: 1, relu, window, weights, bias }
}

/// An operator of a model as kernels take it.
fn layer<'a, W: Weights, M>(model: &Model<'a>, op: &trishift_format::Conv2d<W>, matrix: M) -> Conv2d<'a, M> {
    Conv2d {
        matrix,
        bias: model.bias_at(op.bias, op.weights.rows()),
        accumulators: model.accumulators_between(op.input, op.output),
        relu: op.relu,
        geometry: Geometry::new(&op.window, &model.tensor(op.input), &model.tensor(op.output)),
    }
}

trait Weights {
    fn rows(&self) -> u32;
}

impl Weights for MatrixRecord {
    fn rows(&self) -> u32 {
        self.rows
    }
}

impl Weights for Int8Record {
    fn rows(&self) -> u32 {
        self.rows
    }
}

fn bias_of<'a>(model: &Model<'a>, operator: &Operator) -> Option<Bias<'a>> {
    model.bias_at(operator.bias(), operator.int8_weights().unwrap().rows)
}

/// Every triple of numbers below these, the last one fastest.
fn places([a, b, c]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |place| (place / c / b, place / c % b, place % c))
}

/// int32 to int8 after `docs/format.md`.
fn requantize(sum: i128, shift: i32, relu: bool) -> i128 {
    let rounded = match shift {
        32.. => 0,
        1.. => (sum + (1 << (shift - 1))) >> shift,
        // From 2^60 on every value but 0 saturates.
        _ => sum << (-shift).min(60),
    };
    rounded.clamp(if relu { 0 } else { -128 }, 127)
}
