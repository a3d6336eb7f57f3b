//! Convolutions on packed weights of every instruction set against the scalar definition: kernels, strides and paddings of
//! all kinds, channels around every edge of blocks, every group size, windows up to the widest that int32 holds.
//!
//! Cases come from a generator of its own and files are made in memory: the test needs nothing of its machine, so it runs
//! under emulators too.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod random;

use random::{Random, Trits};
use trishift_format::bound::Accumulators;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{Conv2d, DataType, GroupSize, InputScale, Layout, Model, Operator, Tensor, TensorClass, Window};
use trishift_kernels::geometry::Geometry;
use trishift_kernels::simd::linear::{PORTABLE_PACKED, PackedKernels, Workspace};
use trishift_kernels::{Outputs, SCALAR, conv2d};

#[derive(Clone, Copy, Debug)]
struct Case {
    /// Height, width, channels.
    input: [u32; 3],
    channels: u32,
    window: Window,
    group: GroupSize,
    trits: Trits,
    /// The largest distance of exponents.
    distance: usize,
    bias: bool,
}

/// The smallest exponent of every case.
const SMALLEST: i8 = -40;

impl Case {
    /// A model of one convolution with int32 outputs; none where the window does not fit or sums do not fit int32.
    fn file(&self, random: &mut Random) -> Option<Vec<u8>> {
        let Self { input: [height, width, channels], group, distance, window, .. } = *self;
        let [output_height, output_width] = window.output([height, width])?;
        let (rows, columns) = (self.channels as usize, window.area() * channels as usize);
        let trits = self.trits.draw(random, rows * columns);
        // The widest distance stands in few groups, so that sums fit.
        let mut exponent = || {
            let largest = if distance > 10 && random.below(8) != 0 { 10 } else { distance };
            SMALLEST + random.below(largest + 1) as i8
        };
        let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|_| exponent()).collect();
        let biases: Vec<i32> = (0..rows).map(|_| random.below(20_001) as i32 - 10_000).collect();
        let mut writer = ModelWriter::new("case");
        let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
        let layout = random.of(&[Layout::Rows, Layout::Groups]);
        let weights = writer.add_matrix_in(&values, layout).unwrap();
        let bias = self.bias.then(|| writer.add_bias(&biases).unwrap());
        writer.push(&Operator::Conv2d(Conv2d { input: 0, output: 1, relu: false, window, weights, bias })).unwrap();
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensor = |class, data_type, exponent, shape| Tensor {
            data_type,
            class,
            exponent,
            shape,
            offset: 0,
            first: 0,
            last: 0,
        };
        let tensors = [
            tensor(TensorClass::Input, DataType::I8, 0, self.input),
            tensor(
                TensorClass::Output,
                DataType::I32,
                i16::from(SMALLEST),
                [output_height, output_width, self.channels],
            ),
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).ok()
    }

    /// Multiplications of a sample, which the definition does one by one.
    fn macs(&self) -> usize {
        let [height, width, channels] = self.input;
        let [rows, columns] = self.window.output([height, width]).unwrap_or([0; 2]);
        (rows * columns * channels * self.channels) as usize * self.window.area()
    }
}

/// Every packed implementation here, by name.
fn implementations() -> impl Iterator<Item = (&'static str, &'static PackedKernels)> {
    let tables = trishift_kernels::available().filter_map(|kernels| Some((kernels.name, kernels.packed.as_ref()?)));
    tables.chain(PORTABLE_PACKED.iter().map(|packed| ("plain Rust", packed)))
}

/// Outputs of both types: what `run` makes of the convolution with int8 ones and with int32 ones.
fn outputs(
    layer: &conv2d::Conv2d<'_>,
    scale: i32,
    samples: usize,
    mut run: impl FnMut(&conv2d::Conv2d<'_>, Outputs<'_>),
) -> (Vec<i8>, Vec<i32>) {
    let length = samples * layer.geometry.output_len();
    let (mut narrow, mut wide) = (vec![99; length], vec![99; length]);
    let accumulators = Accumulators::PerRow { scale };
    run(&conv2d::Conv2d { accumulators, relu: scale % 2 == 0, ..*layer }, Outputs::I8(&mut narrow));
    run(layer, Outputs::I32(&mut wide));
    (narrow, wide)
}

/// Compares batches on all implementations; false where there is no such case.
fn check(case: &Case, batches: &[usize], random: &mut Random) -> bool {
    let Some(file) = case.file(random) else { return false };
    let model = Model::parse(&file).unwrap();
    let Some(Operator::Conv2d(op)) = model.operators().next() else { panic!("one convolution") };
    let layer = conv2d::Conv2d {
        matrix: model.matrix(&op.weights),
        bias: model.bias_at(op.bias, op.weights.rows),
        accumulators: model.accumulators_between(op.input, op.output),
        relu: false,
        geometry: Geometry::new(&op.window, &model.input(), &model.output()),
    };
    let mut workspace = Workspace::new();
    for batch in batches {
        let scale = i32::from(SMALLEST) + random.below(24) as i32 - 4;
        let length = batch * layer.geometry.input_len();
        let input: Vec<i8> = match random.below(4) {
            0 => vec![-128; length],
            1 => (0..length).map(|_| random.of(&[-128, 127])).collect(),
            _ => (0..length).map(|_| random.next() as i8).collect(),
        };
        let expected = outputs(&layer, scale, *batch, |layer, output| (SCALAR.conv2d)(layer, &input, &mut [], output));
        for (name, kernels) in implementations() {
            let found = outputs(&layer, scale, *batch, |layer, output| {
                (kernels.conv2d)(&(kernels.pack_conv2d)(layer), &input, &mut workspace, output);
            });
            assert!(found == expected, "{name}, batch {batch}, scale {scale}: {case:?}");
        }
    }
    true
}

fn window(kernel: [u8; 2], stride: [u8; 2], padding: [u8; 4]) -> Window {
    Window { kernel, stride, padding }
}

/// A case that each test changes in what it is about.
fn usual() -> Case {
    Case {
        input: [8, 8, 16],
        channels: 16,
        window: window([3, 3], [1, 1], [1; 4]),
        group: GroupSize::new(16).unwrap(),
        trits: Trits::Random,
        distance: 5,
        bias: true,
    }
}

#[test]
fn every_group_size() {
    let mut random = Random(1);
    for group in GroupSize::ALL {
        for (trits, distance) in [(Trits::Random, 5), (Trits::AllOne, 6), (Trits::AllZero, 3), (Trits::Random, 10)] {
            for channels in [3, 8, 17] {
                let case = Case { input: [5, 6, channels], channels: 20, group, trits, distance, ..usual() };
                assert!(check(&case, &[1, 3], &mut random), "{case:?}");
            }
        }
    }
}

#[test]
fn channels_around_every_edge() {
    let mut random = Random(2);
    // Fields have 8 or 16 rows, blocks up to 64.
    for rows in [1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 96, 112, 128, 130] {
        for (channels, kernel) in [(1, 3), (2, 2), (3, 3), (5, 1), (64, 1), (130, 1)] {
            let padding = [kernel - 1, kernel / 2, kernel / 2, 0];
            let window = window([kernel; 2], [1, 1], padding);
            let group = random.of(&GroupSize::ALL);
            let bias = rows % 2 == 0;
            let case = Case { input: [3, 7, channels], channels: rows, window, group, bias, ..usual() };
            assert!(check(&case, &[1, 2], &mut random), "{case:?}");
        }
    }
}

#[test]
fn every_kernel_stride_and_padding() {
    let mut random = Random(3);
    let mut cases = 0;
    for kernel in [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [1, 5], [3, 1], [10, 4], [4, 10]] {
        for stride in [[1, 1], [2, 2], [1, 2], [3, 1], [4, 5]] {
            for input in [[1, 1], [3, 4], [4, 3], [7, 9], [12, 10], [16, 16]] {
                let padding = [0, 1, 0, 1].map(|axis| random.below(usize::from(kernel[axis])) as u8);
                for padding in [padding, [0; 4]] {
                    let input = [input[0], input[1], random.of(&[1, 3, 4, 6])];
                    let group = random.of(&GroupSize::ALL);
                    let (window, channels) = (window(kernel, stride, padding), random.of(&[5, 16, 24, 40, 70]));
                    let case = Case { input, channels, window, group, ..usual() };
                    cases += usize::from(check(&case, &[1, 3], &mut random));
                }
            }
        }
    }
    assert!(cases > 200, "{cases}");
}

#[test]
fn every_width_of_outputs() {
    let mut random = Random(4);
    for width in 1..=34 {
        for channels in [16, 32, 48, 64] {
            let input = [2, width, 4];
            let case = Case { input, channels, ..usual() };
            assert!(check(&case, &[1, 2, 3, 7], &mut random), "{case:?}");
        }
    }
}

#[test]
fn every_distance_of_exponents() {
    let mut random = Random(5);
    let mut widest = 0;
    for distance in 0..=31 {
        for (input, trits) in [([3, 3, 20], Trits::Random), ([3, 3, 80], Trits::Sparse), ([1, 1, 4], Trits::AllOne)] {
            for group in [4, 6, 16] {
                let kernel = if trits == Trits::AllOne { [1, 1] } else { [3, 3] };
                let padding = kernel.map(|size| size - 1);
                let window = window(kernel, [1, 1], [padding[0], padding[1], 0, 0]);
                let (group, channels) = (GroupSize::new(group).unwrap(), 37);
                let case = Case { input, channels, window, group, trits, distance, bias: false };
                if check(&case, &[1, 4], &mut random) {
                    widest = widest.max(distance);
                }
            }
        }
    }
    // 128·(1 + 2^23) < 2^31: no window is wider, but where groups of zeros have none.
    assert!(widest >= 20, "{widest}");
}

#[test]
fn batches_are_cut_into_slabs() {
    let mut random = Random(6);
    for (input, batches) in [([20, 20, 16], &[1, 7, 20][..]), ([1, 1, 3], &[1, 65, 400])] {
        let case = Case { input, channels: 10, ..usual() };
        assert!(check(&case, batches, &mut random));
    }
}

#[test]
fn any_case() {
    let mut random = Random(7);
    let mut cases = 0;
    for _ in 0..1500 {
        let kernel = random.of(&[[1, 1], [2, 3], [3, 3], [5, 5], [10, 4], [1, 7]]);
        let stride = [1 + random.below(3) as u8, 1 + random.below(3) as u8];
        let padding = [0, 1, 0, 1].map(|axis| random.below(usize::from(kernel[axis])) as u8);
        let case = Case {
            input: [1 + random.below(12) as u32, 1 + random.below(12) as u32, 1 + random.below(40) as u32],
            channels: 1 + random.below(130) as u32,
            window: window(kernel, stride, padding),
            group: random.of(&GroupSize::ALL),
            trits: random.of(&[Trits::Random, Trits::Random, Trits::AllOne, Trits::Sparse]),
            distance: random.of(&[0, 3, 6, 7, 9, 14, 21]),
            bias: random.below(2) == 0,
        };
        let batch = 1 + random.below(4);
        if case.macs() * batch < 400_000 {
            cases += usize::from(check(&case, &[batch], &mut random));
        }
    }
    assert!(cases > 200, "{cases}");
}

#[test]
fn weights_of_other_instruction_sets_give_the_same() {
    let mut random = Random(8);
    let case = Case { channels: 67, ..usual() };
    let file = case.file(&mut random).unwrap();
    let model = Model::parse(&file).unwrap();
    let Some(Operator::Conv2d(op)) = model.operators().next() else { panic!("one convolution") };
    let layer = conv2d::Conv2d {
        matrix: model.matrix(&op.weights),
        bias: model.bias_at(op.bias, op.weights.rows),
        accumulators: model.accumulators_between(op.input, op.output),
        relu: false,
        geometry: Geometry::new(&op.window, &model.input(), &model.output()),
    };
    let input: Vec<i8> = (0..2 * layer.geometry.input_len()).map(|_| random.next() as i8).collect();
    let expected = outputs(&layer, -30, 2, |layer, output| (SCALAR.conv2d)(layer, &input, &mut [], output));
    for (packer, packing) in implementations() {
        for (name, kernels) in implementations() {
            let found = outputs(&layer, -30, 2, |layer, output| {
                (kernels.conv2d)(&(packing.pack_conv2d)(layer), &input, &mut Workspace::new(), output);
            });
            assert!(found == expected, "packed by {packer}, run by {name}");
        }
    }
}

#[test]
fn images_of_the_wrong_length_do_not_panic() {
    let mut random = Random(9);
    let case = Case { channels: 40, ..usual() };
    let file = case.file(&mut random).unwrap();
    let model = Model::parse(&file).unwrap();
    let Some(Operator::Conv2d(op)) = model.operators().next() else { panic!("one convolution") };
    let layer = conv2d::Conv2d {
        matrix: model.matrix(&op.weights),
        bias: None,
        accumulators: model.accumulators_between(op.input, op.output),
        relu: false,
        geometry: Geometry::new(&op.window, &model.input(), &model.output()),
    };
    let (of_input, of_output) = (layer.geometry.input_len(), layer.geometry.output_len());
    for (_, kernels) in implementations() {
        let packed = (kernels.pack_conv2d)(&layer);
        for (input, output) in [(0, of_output), (of_input - 1, of_output), (3 * of_input, of_output + 5), (of_input, 7)]
        {
            let (input, mut output) = (vec![1; input], vec![0; output]);
            (kernels.conv2d)(&packed, &input, &mut Workspace::new(), Outputs::I32(&mut output));
        }
    }
}
