//! Convolutions of small cores, by their kernels in plain Rust, against the scalar definitions.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use trishift_format::bound::Accumulators;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{Conv2d, DataType, GroupSize, Layout, Model, Operator, Tensor, TensorClass, Window};
use trishift_kernels::geometry::Geometry;
use trishift_kernels::{Kernels, Outputs, PORTABLE, SCALAR};

/// A convolution, or a depthwise one, and a batch for it.
#[derive(Clone, Debug)]
struct Case {
    depthwise: bool,
    input: [u32; 3],
    channels: u32,
    window: Window,
    group: GroupSize,
    layout: Layout,
    spread: u8,
    /// Exponent of an int8 output; `None` for int32 ones.
    exponent: Option<i16>,
    relu: bool,
    batch: usize,
    seed: u64,
    saturated: bool,
}

/// Mixes a number.
fn mix(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

impl Case {
    /// The model's file; `None` where the window does not fit into the image, or a row could overflow.
    fn file(&self, seed: &mut u64) -> Option<Vec<u8>> {
        let [height, width] = self.window.output([self.input[0], self.input[1]])?;
        let output = [height, width, if self.depthwise { self.input[2] } else { self.channels }];
        let rows = output[2] as usize;
        let columns = self.window.area() * if self.depthwise { 1 } else { self.input[2] as usize };
        let zeros = mix(seed) % 3;
        let trits: Vec<i8> = (0..rows * columns).map(|_| [1, -1, 0, 1][(mix(seed) % (2 + zeros)) as usize]).collect();
        let groups = self.group.count(columns);
        let exponents: Vec<i8> = (0..rows * groups).map(|_| (mix(seed) % u64::from(self.spread)) as i8 - 9).collect();
        let bias: Vec<i32> = (0..rows).map(|_| (mix(seed) % 8192) as i32 - 4096).collect();
        let mut writer = ModelWriter::new("case");
        let values = MatrixValues { rows, columns, group: self.group, trits: &trits, exponents: &exponents };
        let weights = writer.add_matrix_in(&values, self.layout).unwrap();
        let bias = (!mix(seed).is_multiple_of(4)).then(|| writer.add_bias(&bias).unwrap());
        let relu = self.relu && self.exponent.is_some();
        let op = Conv2d { input: 0, output: 1, relu, window: self.window, weights, bias };
        writer.push(&if self.depthwise { Operator::DepthwiseConv2d(op) } else { Operator::Conv2d(op) }).unwrap();
        writer.input_scales(&[trishift_format::InputScale::IDENTITY]);
        let tensor = |class, data_type, exponent, shape| Tensor {
            data_type,
            class,
            exponent,
            shape,
            offset: 0,
            first: 0,
            last: 0,
        };
        let (data_type, exponent) = self.exponent.map_or((DataType::I32, -9), |exponent| (DataType::I8, exponent));
        let tensors = [
            tensor(TensorClass::Input, DataType::I8, 0, self.input),
            tensor(TensorClass::Output, data_type, exponent, output),
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).ok()
    }

    /// Compares the kernels; false where there is no such model.
    fn check(&self) -> bool {
        let mut seed = self.seed;
        let Some(file) = self.file(&mut seed) else { return false };
        let model = Model::parse(&file).unwrap();
        let (op, depthwise) = match model.operators().next().unwrap() {
            Operator::DepthwiseConv2d(op) => (op, true),
            Operator::Conv2d(op) => (op, false),
            _ => unreachable!(),
        };
        let layer = trishift_kernels::conv2d::Conv2d {
            matrix: model.matrix(&op.weights),
            bias: model.bias_at(op.bias, op.weights.rows),
            accumulators: model.accumulators_between(op.input, op.output),
            relu: op.relu,
            geometry: Geometry::new(&op.window, &model.input(), &model.output()),
        };
        let length = self.batch * model.input().len();
        let input: Vec<i8> = (0..length)
            .map(|_| match (self.saturated, mix(&mut seed)) {
                (true, _) => -128,
                (false, value) => value as i8,
            })
            .collect();
        let run = |kernels: &Kernels| {
            let (rows, columns) = (op.weights.rows as usize, op.weights.columns as usize);
            let scratch = &kernels.scratch;
            let bytes = match depthwise {
                true => scratch.depthwise_conv2d(&layer.geometry, false),
                false => scratch.conv2d(&layer.geometry, rows, columns),
            };
            // What is in the scratch must not matter.
            let mut scratch = vec![0x5A5A_5A5A; bytes / 4];
            let mut narrow = vec![77i8; self.batch * model.output().len()];
            let mut wide = vec![77i32; narrow.len()];
            let kernel = if depthwise { kernels.depthwise_conv2d } else { kernels.conv2d };
            match layer.accumulators {
                Accumulators::PerRow { .. } => kernel(&layer, &input, &mut scratch, Outputs::I8(&mut narrow)),
                Accumulators::Layer { .. } => kernel(&layer, &input, &mut scratch, Outputs::I32(&mut wide)),
            }
            (narrow, wide)
        };
        let expected = run(&SCALAR);
        assert!(run(&PORTABLE) == expected, "{self:?}");
        if depthwise && model.input().shape == model.output().shape && self.exponent.is_some() {
            for kernels in [&SCALAR, &PORTABLE] {
                let mut data = input.clone();
                let bytes = kernels.scratch.depthwise_conv2d(&layer.geometry, true);
                let mut scratch = vec![0x5A5A_5A5A; bytes / 4];
                (kernels.depthwise_conv2d_in_place)(&layer, &mut scratch, &mut data);
                assert!(data == expected.0, "in place, {}: {self:?}", kernels.name);
            }
        }
        true
    }
}

/// Windows that fit and some that do not.
fn window() -> impl Strategy<Value = Window> {
    let kernel = prop_oneof![Just([1u8, 1]), Just([3, 3]), Just([10, 4]), Just([1, 5]), [1u8..6, 1u8..6]];
    (kernel, [1u8..4, 1u8..4], any::<[u8; 4]>()).prop_map(|(kernel, stride, padding)| {
        let [above, left, below, right] = padding;
        let [height, width] = kernel;
        Window { kernel, stride, padding: [above % height, left % width, below % height, right % width] }
    })
}

prop_compose! {
    fn case()(
        depthwise: bool,
        size in [1u32..20, 1u32..20],
        channels in (prop_oneof![1u32..9, Just(40u32)], 1u32..12),
        window in window(),
        group in proptest::sample::select(&GroupSize::ALL[..]),
        groups_first: bool,
        spread in prop_oneof![Just(1u8), Just(3), Just(6), Just(14)],
        exponent in prop_oneof![
            Just(None), (-4i16..4).prop_map(Some), Just(Some(40)), Just(Some(-12))
        ],
        relu: bool,
        batch in 1usize..3,
        seed: u64,
        saturated in proptest::bool::weighted(0.2),
    ) -> Case {
        let layout = if groups_first { Layout::Groups } else { Layout::Rows };
        let input = [size[0], size[1], channels.0];
        Case {
            depthwise, input, channels: channels.1, window, group, layout, spread, exponent, relu, batch, seed, saturated,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn tiles_give_what_the_definition_gives(case in case()) {
        prop_assume!(case.check());
    }
}

/// More columns than sums of 16 bits hold, more lists than fit at once, and more columns than lists can name.
#[test]
fn large_convolutions() {
    let case = Case {
        depthwise: false,
        input: [5, 9, 64],
        channels: 40,
        window: Window { kernel: [3, 3], stride: [1, 1], padding: [1; 4] },
        group: GroupSize::new(32).unwrap(),
        layout: Layout::Groups,
        spread: 1,
        exponent: Some(2),
        relu: true,
        batch: 2,
        seed: 1,
        saturated: true,
    };
    assert!(case.check());
    assert!(Case { spread: 6, seed: 2, saturated: false, ..case.clone() }.check());
    let window = Window { kernel: [8, 8], stride: [1, 1], padding: [0; 4] };
    // The whole image is a linear layer; of a part of it there are too many columns.
    assert!(Case { input: [8, 8, 64], channels: 10, window, exponent: None, ..case.clone() }.check());
    assert!(Case { input: [8, 9, 64], channels: 10, window, exponent: None, ..case.clone() }.check());
    assert!(Case { input: [17, 3, 64], channels: 1, window: Window { kernel: [9, 1], ..window }, ..case }.check());
}

/// Windows as wide as the image, one above another: each is a linear layer on a slice of it. Wider ones, and those with zeros
/// around, are not.
#[test]
fn windows_that_stand_one_above_another() {
    let case = Case {
        depthwise: false,
        input: [11, 1, 12],
        channels: 7,
        window: Window { kernel: [5, 1], stride: [1, 1], padding: [0; 4] },
        group: GroupSize::new(8).unwrap(),
        layout: Layout::Groups,
        spread: 4,
        exponent: Some(1),
        relu: false,
        batch: 2,
        seed: 5,
        saturated: false,
    };
    for (height, width, wider) in [(5, 1, 0), (6, 1, 0), (11, 1, 0), (14, 3, 0), (9, 3, 1), (30, 2, 0)] {
        for (stride, padding) in [([1, 1], [0; 4]), ([3, 2], [0; 4]), ([2, 1], [1, 0, 0, 0]), ([2, 1], [0, 0, 2, 0])] {
            for exponent in [Some(1), None] {
                let window = Window { kernel: [5, width], stride, padding };
                let input = [height, u32::from(width) + wider, 12];
                assert!(Case { input, window, exponent, ..case.clone() }.check());
            }
        }
    }
    // A column of zeros on the right, where the only place does not reach.
    let window = Window { kernel: [5, 2], stride: [1, 2], padding: [0, 0, 0, 1] };
    assert!(Case { input: [9, 2, 12], window, ..case }.check());
}

/// Sizes that no parsed model has: lists must not name columns that no tile has.
#[test]
fn weights_that_do_not_go_with_their_tensors() {
    let (rows, columns, group) = (5, 90, GroupSize::new(8).unwrap());
    let mut seed = 3;
    let trits: Vec<i8> = (0..rows * columns).map(|_| (mix(&mut seed) % 3) as i8 - 1).collect();
    let mut writer = ModelWriter::new("case");
    let exponents = vec![-9; rows * group.count(columns)];
    let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
    let weights = writer.add_matrix(&values).unwrap();
    let linear = trishift_format::Linear { input: 0, output: 1, relu: false, weights, bias: None };
    writer.push(&Operator::Linear(linear)).unwrap();
    writer.input_scales(&[trishift_format::InputScale::IDENTITY]);
    let tensor =
        |class, shape| Tensor { data_type: DataType::I8, class, exponent: 0, shape, offset: 0, first: 0, last: 0 };
    let tensors = [tensor(TensorClass::Input, [1, 1, 90]), tensor(TensorClass::Output, [1, 1, 5])];
    let file = writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).unwrap();
    let model = Model::parse(&file).unwrap();
    for channels in [[2, 5], [10, 4], [10, 6], [5, 5], [5, 1]] {
        let [from, to] = channels.map(|channels| tensor(TensorClass::Arena, [9, 12, channels]));
        let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1; 4] };
        let layer = trishift_kernels::conv2d::Conv2d {
            matrix: model.matrix(&weights),
            bias: None,
            accumulators: Accumulators::PerRow { scale: 0 },
            relu: false,
            geometry: Geometry::new(&window, &from, &to),
        };
        let input = vec![3; from.len()];
        let run = |kernels: &Kernels, depthwise: bool| {
            let (kernel, bytes) = match depthwise {
                true => (kernels.depthwise_conv2d, kernels.scratch.depthwise_conv2d(&layer.geometry, false)),
                false => (kernels.conv2d, kernels.scratch.conv2d(&layer.geometry, rows, columns)),
            };
            let mut output = vec![77; to.len()];
            kernel(&layer, &input, &mut vec![0x5A5A_5A5A; bytes / 4], Outputs::I8(&mut output));
            output
        };
        for depthwise in [false, true] {
            assert_eq!(run(&PORTABLE, depthwise), run(&SCALAR, depthwise), "{channels:?} channels");
        }
    }
}
