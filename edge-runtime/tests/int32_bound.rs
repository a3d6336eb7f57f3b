//! Rows that use up int32 to the last unit: every table of kernels gives what 128-bit arithmetic does, whatever extreme the
//! inputs are at, and a row that needs one unit more is refused.
//!
//! |b| + Σ 128·n·2^(E − e) + h = 2³¹ − 1 exactly, h the rounding constant of an int8 output.
#![cfg(all(feature = "std", feature = "all-operators"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "other tests use the rest of it")]
#[path = "support/random.rs"]
mod random;

use random::Random;
use trishift::format::bound::Accumulators;
use trishift::format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift::format::{
    Conv2d, DataType, GroupSize, InputScale, Layout, Linear, MatrixFault, Operator, ParseError, Tensor, TensorClass,
    Window,
};
use trishift::kernels::linear::{LinearI8, LinearI32};
use trishift::kernels::{Kernels, PORTABLE, available};
use trishift::{Engine, HeapArena, Model};

const LIMIT: i128 = i32::MAX as i128;

/// What the outputs of a layer are.
#[derive(Clone, Copy, Debug)]
enum Output {
    /// int8, requantised by this shift.
    I8 { shift: i32 },
    /// int32, in units so many powers of two below the smallest exponent.
    I32 { below: i32 },
}

/// What the layer is: all of them multiply the same rows with the same elements.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Linear,
    /// A window as large as the image.
    Conv2d,
    /// The same, and every channel is the same image.
    DepthwiseConv2d,
}

/// A layer whose rows all need `LIMIT`: a few groups of one trit, one for each power of two below `window`, and as many
/// trits of the largest exponent as still fit.
#[derive(Clone, Debug)]
struct Layer {
    kind: Kind,
    group: usize,
    layout: Layout,
    output: Output,
    smallest: i8,
    columns: usize,
    /// Row after row.
    trits: Vec<i8>,
    exponents: Vec<i8>,
    bias: Vec<i32>,
}

/// Signs of a row's trits: what a sum does on its way depends on their order.
const SIGNS: [fn(usize, usize) -> i8; 5] = [
    |_, _| 1,
    |_, _| -1,
    |column, _| if column.is_multiple_of(2) { 1 } else { -1 },
    |column, columns| if column < columns / 2 { 1 } else { -1 },
    |column, columns| if column < columns / 2 { -1 } else { 1 },
];

impl Layer {
    fn new(window: u32, group: usize, layout: Layout, output: Output) -> Option<Self> {
        let (rounding, below) = match output {
            Output::I8 { shift } => (if (1..=31).contains(&shift) { 1 << (shift - 1) } else { 0 }, 0),
            Output::I32 { below } => (0, below),
        };
        // Odd, so that a group has the smallest exponent: the lower bits are groups of one trit, the rest is one run.
        let trits = (((LIMIT - rounding) >> (7 + below)) - 1) | 1;
        let run = (trits >> window) as usize;
        if run == 0 {
            return None;
        }
        let singles: Vec<u32> = (0..window).filter(|bit| trits >> bit & 1 == 1).collect();
        let groups = singles.len() + run.div_ceil(group);
        let columns = groups * group;
        let bias = (LIMIT - rounding - (trits << (7 + below))) as i32;
        let smallest = -9;
        let kind = Kind::Linear;
        let mut layer =
            Self { kind, group, layout, output, smallest, columns, trits: vec![], exponents: vec![], bias: vec![] };
        for (row, sign) in SIGNS.iter().enumerate() {
            // The run in front of the single trits, or behind them.
            let (start, first) = if row % 2 == 0 { (singles.len() * group, 0) } else { (0, run.div_ceil(group)) };
            let mut trits = vec![0; columns];
            let mut exponents = vec![smallest + window as i8; groups];
            trits[start..start + run].fill(1);
            for (index, bit) in singles.iter().enumerate() {
                // Somewhere in its group.
                trits[(first + index) * group + index % group] = 1;
                exponents[first + index] = smallest + *bit as i8;
            }
            let signed = trits.iter().enumerate().map(|(column, trit)| trit * sign(column, columns));
            layer.trits.extend(signed);
            layer.exponents.extend(exponents);
            layer.bias.push(if row == 0 { -bias } else { bias });
        }
        Some(layer)
    }

    /// The sizes of an input that meets every column once: of a single pixel, or of several where the columns allow it.
    /// `None` where they do not fill a window, or are too many for a test of definitions.
    fn shape(&self) -> Option<[usize; 3]> {
        let fits = |size: &usize| self.columns.is_multiple_of(*size);
        match self.kind {
            Kind::Linear => Some([1, 1, self.columns]),
            _ if self.columns > 10_000 => None,
            Kind::Conv2d => {
                let height = [3, 2, 1].into_iter().find(fits)?;
                let width = [4, 2, 1].into_iter().find(|width| (self.columns / height).is_multiple_of(*width))?;
                Some([height, width, self.columns / height / width])
            }
            Kind::DepthwiseConv2d => {
                let height = (1..=255).rev().filter(fits).find(|height| self.columns / height <= 255)?;
                Some([height, self.columns / height, self.bias.len()])
            }
        }
    }

    /// The elements that a row meets, as the input has them.
    fn spread(&self, elements: &[i8]) -> Vec<i8> {
        let copies = if self.kind == Kind::DepthwiseConv2d { self.bias.len() } else { 1 };
        elements.iter().flat_map(|element| vec![*element; copies]).collect()
    }

    fn file(&self) -> Result<Vec<u8>, WriteError> {
        let rows = self.bias.len();
        let mut writer = ModelWriter::new("bound");
        let values = MatrixValues {
            rows,
            columns: self.columns,
            group: GroupSize::new(self.group as u32).unwrap(),
            trits: &self.trits,
            exponents: &self.exponents,
        };
        let weights = writer.add_matrix_in(&values, self.layout)?;
        let bias = Some(writer.add_bias(&self.bias)?);
        let shape = self.shape().unwrap();
        let (input, output, relu) = (0, 1, false);
        let window = Window::new([shape[0].min(255) as u8, shape[1].min(255) as u8]);
        writer.push(&match self.kind {
            Kind::Linear => Operator::Linear(Linear { input, output, relu, weights, bias }),
            Kind::Conv2d => Operator::Conv2d(Conv2d { input, output, relu, window, weights, bias }),
            Kind::DepthwiseConv2d => Operator::DepthwiseConv2d(Conv2d { input, output, relu, window, weights, bias }),
        })?;
        writer.input_scales(&[InputScale::IDENTITY]);
        let smallest = i32::from(self.smallest);
        let (data_type, exponent) = match self.output {
            Output::I8 { shift } => (DataType::I8, smallest + shift),
            Output::I32 { below } => (DataType::I32, smallest - below),
        };
        let tensor = |class, data_type, exponent: i32, shape: [usize; 3]| Tensor {
            data_type,
            class,
            exponent: exponent as i16,
            shape: shape.map(|size| size as u32),
            offset: 0,
            first: 0,
            last: 0,
        };
        let tensors = [
            tensor(TensorClass::Input, DataType::I8, 0, shape),
            tensor(TensorClass::Output, data_type, exponent, [1, 1, rows]),
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 })
    }

    /// What a row comes to, by arithmetic in which nothing can overflow; no partial sum of it leaves int32.
    fn expected(&self, row: usize, input: &[i8]) -> i128 {
        let below = if let Output::I32 { below } = self.output { below } else { 0 };
        let trits = &self.trits[row * self.columns..][..self.columns];
        let exponents = &self.exponents[row * (self.columns / self.group)..];
        let mut sum = i128::from(self.bias[row]);
        for (column, (trit, value)) in trits.iter().zip(input).enumerate() {
            let shift = i32::from(exponents[column / self.group]) - i32::from(self.smallest) + below;
            sum += i128::from(*trit) * i128::from(*value) * (1 << shift);
            assert!(sum.abs() <= LIMIT);
        }
        match self.output {
            Output::I32 { .. } => sum,
            Output::I8 { shift: shift @ 1..=31 } => ((sum + (1 << (shift - 1))) >> shift).clamp(-128, 127),
            Output::I8 { shift: 32.. } => 0,
            Output::I8 { shift } => (sum << -shift).clamp(-128, 127),
        }
    }

    /// Inputs at their extremes: all at one, all at the other, each so that it adds to a row's sum or takes from it.
    fn inputs(&self) -> Vec<Vec<i8>> {
        let mut random = Random::new(self.columns as u64);
        let extreme = |positive: bool| if positive { 127 } else { -128 };
        let mut inputs = vec![vec![-128; self.columns], vec![127; self.columns]];
        inputs.push((0..self.columns).map(|_| extreme(random.next().is_multiple_of(2))).collect());
        for row in self.trits.chunks(self.columns).skip(2) {
            inputs.push(row.iter().map(|trit| extreme(*trit > 0)).collect());
            inputs.push(row.iter().map(|trit| extreme(*trit < 0)).collect());
        }
        inputs
    }

    fn run(&self, model: &Model<'_>, kernels: &'static Kernels, inputs: &[Vec<i8>]) -> Vec<i128> {
        let rows = self.bias.len();
        let mut arena = HeapArena::new(model, inputs.len()).unwrap();
        let mut engine = Engine::with_kernels(model, arena.bytes(), inputs.len(), kernels).unwrap();
        let input = self.spread(&inputs.concat());
        match self.output {
            Output::I8 { .. } => {
                let mut output = vec![77i8; rows * inputs.len()];
                engine.run(&input, &mut output).unwrap();
                output.into_iter().map(i128::from).collect()
            }
            Output::I32 { .. } => {
                let mut output = vec![77i32; rows * inputs.len()];
                engine.run(&input, &mut output).unwrap();
                output.into_iter().map(i128::from).collect()
            }
        }
    }

    /// The kernels of small cores by themselves: an engine has scratch for its own machine's alone.
    fn run_portable(&self, model: &Model<'_>, inputs: &[Vec<i8>]) -> Vec<i128> {
        let Some(Operator::Linear(op)) = model.operators().next() else { panic!("one linear operator") };
        let (matrix, bias) = (model.matrix(&op.weights), model.bias(&op));
        let mut scratch = vec![0x5A5A_5A5A; PORTABLE.scratch.bytes(matrix.rows(), false) / 4];
        let input = inputs.concat();
        match model.accumulators(&op) {
            Accumulators::PerRow { scale } => {
                let layer = LinearI8 { matrix, bias, scale, relu: false };
                let mut output = vec![77i8; matrix.rows() * inputs.len()];
                (PORTABLE.linear_i8)(&layer, &input, &mut scratch, &mut output);
                output.into_iter().map(i128::from).collect()
            }
            Accumulators::Layer { exponent } => {
                let layer = LinearI32 { matrix, bias, exponent };
                let mut output = vec![77i32; matrix.rows() * inputs.len()];
                (PORTABLE.linear_i32)(&layer, &input, &mut scratch, &mut output);
                output.into_iter().map(i128::from).collect()
            }
        }
    }

    /// True if the last sum of a row, before it is requantised, is as far from 0 as the bound allows.
    fn reaches_the_limit(&self) -> bool {
        let plain = Self { output: Output::I32 { below: 0 }, ..self.clone() };
        (0..2).any(|row| plain.expected(row, &vec![-128; self.columns]).abs() == LIMIT)
    }

    /// The layer and the convolutions that are the same sums; the number of outputs that were compared.
    fn check(&self) -> usize {
        let kinds = [Kind::Linear, Kind::Conv2d, Kind::DepthwiseConv2d];
        let layers = kinds.map(|kind| Self { kind, ..self.clone() });
        layers.iter().filter(|layer| layer.shape().is_some()).map(Self::check_kind).sum()
    }

    fn check_kind(&self) -> usize {
        let file = self.file().expect("a layer at the bound is valid");
        let model = Model::parse(&file).unwrap();
        let inputs = self.inputs();
        let expected: Vec<i128> =
            inputs.iter().flat_map(|input| (0..self.bias.len()).map(|row| self.expected(row, input))).collect();
        let what = format!("{:?}, {:?}, groups of {}, {:?}", self.kind, self.output, self.group, self.layout);
        for kernels in available() {
            assert_eq!(self.run(&model, kernels, &inputs), expected, "{what}, kernels {}", kernels.name);
            // A sample by itself takes other paths than a batch.
            assert_eq!(
                self.run(&model, kernels, &inputs[..1]),
                expected[..self.bias.len()],
                "{what}, {}",
                kernels.name
            );
        }
        if self.kind == Kind::Linear {
            assert_eq!(self.run_portable(&model, &inputs), expected, "{what}, kernels {}", PORTABLE.name);
        }
        self.one_unit_more(&what);
        expected.len()
    }

    /// The same layer, and in one row one unit more than int32 has.
    fn one_unit_more(&self, what: &str) {
        let refused = |layer: &Self, row| {
            let fault = MatrixFault::Int32Bound { row };
            assert_eq!(layer.file(), Err(WriteError::Invalid(ParseError::Matrix { index: 0, fault })), "{what}");
        };
        for row in 0..self.bias.len() {
            let mut bias = self.clone();
            bias.bias[row] += bias.bias[row].signum();
            refused(&bias, row);
            // The largest exponent's window one wider. The run starts at one end of the row, its groups are the most.
            let mut wider = self.clone();
            let exponents = &mut wider.exponents[row * (self.columns / self.group)..][..self.columns / self.group];
            let largest = exponents.iter_mut().max().unwrap();
            *largest += 1;
            refused(&wider, row);
        }
    }
}

/// Windows, and group sizes to try with each: the narrower, the more columns.
const WINDOWS: [(u32, &[usize]); 5] =
    [(23, &[4, 20]), (22, &[6, 96]), (15, &[8, 32, 40]), (12, &[16, 64]), (8, &[80, 96])];

#[test]
fn int32_outputs_at_the_bound() {
    let mut results = 0;
    for (window, groups) in WINDOWS {
        for (group, below) in groups.iter().flat_map(|group| [0, 1].map(|below| (*group, below))) {
            for layout in [Layout::Rows, Layout::Groups] {
                let Some(layer) = Layer::new(window, group, layout, Output::I32 { below }) else { continue };
                results += layer.check();
            }
        }
    }
    println!("{results} outputs of every table of kernels");
    assert!(results > 500, "{results}");
}

#[test]
fn int8_outputs_at_the_bound() {
    let mut results = 0;
    for (window, groups) in WINDOWS {
        // From shifts that saturate to the one that leaves a single bit, and on to those that leave nothing. A few of them
        // are enough for rows of 65,000 columns.
        let shifts: &[i32] = if window > 8 { &[-40, -1, 0, 1, 7, 8, 20, 24, 30, 31, 32, 100] } else { &[0, 20, 31] };
        for shift in shifts.iter().copied() {
            for (group, layout) in groups.iter().flat_map(|group| [(*group, Layout::Rows), (*group, Layout::Groups)]) {
                let Some(layer) = Layer::new(window, group, layout, Output::I8 { shift }) else { continue };
                assert_eq!(layer.reaches_the_limit(), !(1..=31).contains(&shift));
                results += layer.check();
            }
        }
    }
    println!("{results} outputs of every table of kernels");
    assert!(results > 3000, "{results}");
}
