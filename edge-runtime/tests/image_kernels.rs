//! A network on images through engines and pools of every table of kernels: convolutions on packed weights, depthwise ones in
//! place and not, pooling.
#![cfg(all(feature = "threads", feature = "all-operators"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::num::NonZeroUsize;
use trishift::format::write::{MatrixValues, ModelWriter, Region};
use trishift::format::{
    Add, Conv2d, DataType, GroupSize, InputScale, Linear, MatrixRecord, Operator, OperatorKind, Pool2d, Tensor,
    TensorClass, Window,
};
use trishift::kernels::{SCALAR, available};
use trishift::{Engine, EnginePool, HeapArena, Model, Profiler, Step};

/// Channels inside the network.
const CHANNELS: u32 = 20;

fn random(state: &mut u32) -> u32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *state >> 8
}

fn matrix(writer: &mut ModelWriter, rows: u32, columns: u32, state: &mut u32) -> MatrixRecord {
    let (rows, columns, group) = (rows as usize, columns as usize, GroupSize::new(16).unwrap());
    let trits: Vec<i8> = (0..rows * columns).map(|_| (random(state) % 3) as i8 - 1).collect();
    let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|_| (random(state) % 5) as i8 - 8).collect();
    writer.add_matrix(&MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents }).unwrap()
}

/// Convolution, depthwise convolution out of place, another one in place, their sum in place, pooling, linear layer.
fn network() -> Vec<u8> {
    let mut writer = ModelWriter::new("images");
    let mut state = 5;
    let three = Window::same([3, 3], [1, 1], [9, 7]).unwrap();
    let weights = matrix(&mut writer, CHANNELS, 27, &mut state);
    let first = Conv2d { input: 0, output: 1, relu: true, window: three, weights, bias: None };
    let mut depthwise = |input, output| {
        let weights = matrix(&mut writer, CHANNELS, 9, &mut state);
        let bias: Vec<i32> = (0..CHANNELS).map(|_| random(&mut state) as i32 % 200 - 100).collect();
        let bias = Some(writer.add_bias(&bias).unwrap());
        Operator::DepthwiseConv2d(Conv2d { input, output, relu: false, window: three, weights, bias })
    };
    let (second, third) = (depthwise(1, 2), depthwise(2, 3));
    let weights = matrix(&mut writer, 10, CHANNELS, &mut state);
    let operators = [
        Operator::Conv2d(first),
        second,
        third,
        Operator::Add(Add { left: 1, right: 3, output: 4, relu: true }),
        Operator::AvgPool(Pool2d { input: 4, output: 5, window: Window::new([9, 7]) }),
        Operator::Linear(Linear { input: 5, output: 6, relu: false, weights, bias: None }),
    ];
    for operator in &operators {
        writer.push(operator).unwrap();
    }
    writer.input_scales(&[InputScale::IDENTITY]);
    let image = 9 * 7 * CHANNELS;
    let tensor = |class, exponent, shape, offset, [first, last]: [u16; 2]| {
        let data_type = if class == TensorClass::Output { DataType::I32 } else { DataType::I8 };
        Tensor { data_type, class, exponent, shape, offset, first, last }
    };
    let arena = TensorClass::Arena;
    let inner = |exponent, offset, life| tensor(arena, exponent, [9, 7, CHANNELS], offset, life);
    let tensors = [
        tensor(TensorClass::Input, -5, [9, 7, 3], 0, [0, 0]),
        inner(-7, 0, [0, 3]),
        inner(-9, image, [1, 2]),
        inner(-7, image, [2, 3]),
        inner(-7, 0, [3, 4]),
        tensor(arena, -7, [1, 1, CHANNELS], image, [4, 5]),
        tensor(TensorClass::Output, -15, [1, 1, 10], 0, [5, 5]),
    ];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 6, arena_bytes: u64::from(2 * image) }).unwrap()
}

fn samples(count: usize) -> Vec<i8> {
    (0..count * 9 * 7 * 3).map(|i| (i * i % 251) as u8 as i8).collect()
}

/// Outputs of the definitions, sample by sample.
fn expected(model: &Model<'_>, input: &[i8]) -> Vec<i32> {
    let mut arena = HeapArena::new(model, 1).unwrap();
    let mut engine = Engine::with_kernels(model, arena.bytes(), 1, &SCALAR).unwrap();
    let mut all = Vec::new();
    for sample in input.chunks(model.input().len()) {
        let mut output = vec![0i32; model.output().len()];
        engine.run(sample, &mut output).unwrap();
        all.extend(output);
    }
    all
}

#[test]
fn every_table_gives_what_the_definitions_give() {
    let file = network();
    let model = Model::parse(&file).unwrap();
    let input = samples(11);
    let expected = expected(&model, &input);
    // Activations are there to be compared.
    assert!(expected.iter().filter(|value| **value != 0).count() > 80, "{expected:?}");
    for kernels in available() {
        for batch in [1, 2, 11] {
            let mut arena = HeapArena::new(&model, batch).unwrap();
            let mut engine = Engine::with_kernels(&model, arena.bytes(), batch, kernels).unwrap();
            for (input, expected) in input.chunks(batch * model.input().len()).zip(expected.chunks(batch * 10)) {
                let mut output = vec![0i32; expected.len()];
                engine.run(input, &mut output).unwrap();
                assert_eq!(output, expected, "{}, batch {batch}", kernels.name);
            }
        }
    }
}

#[test]
fn pools_of_any_size_give_the_same() {
    let file = network();
    let model = Model::parse(&file).unwrap();
    for kernels in available() {
        for threads in [1, 3] {
            let pool = EnginePool::with_kernels(&model, kernels, NonZeroUsize::new(threads).unwrap()).unwrap();
            for count in [1, 40] {
                let input = samples(count);
                let mut output = vec![0i32; count * 10];
                pool.run(&input, &mut output).unwrap();
                assert_eq!(output, expected(&model, &input), "{}, {threads} threads", kernels.name);
            }
        }
    }
}

/// The kernels that run each operator.
#[derive(Default)]
struct Names(Vec<(OperatorKind, &'static str)>);

impl Profiler for Names {
    fn begin(&mut self, step: &Step) {
        self.0.push((step.kind, step.kernel));
    }

    fn end(&mut self, _: &Step) {}
}

#[test]
fn profiles_name_packed_weights() {
    let file = network();
    let model = Model::parse(&file).unwrap();
    for kernels in available() {
        let mut arena = HeapArena::new(&model, 1).unwrap();
        let mut engine = Engine::with_kernels(&model, arena.bytes(), 1, kernels).unwrap();
        let mut names = Names::default();
        engine.run_profiled(&samples(1), &mut [0i32; 10], &mut names).unwrap();
        for (kind, name) in names.0 {
            let weights = [OperatorKind::Conv2d, OperatorKind::DepthwiseConv2d, OperatorKind::Linear].contains(&kind);
            let packed = kernels.packed.is_some() && weights;
            assert_eq!(name, if packed { "packed" } else { kernels.name }, "{kind}");
        }
    }
}
