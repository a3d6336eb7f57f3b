//! The pool of engines: one sample whose layers are dealt out row by row, many callers at a time, tensors that persist.
#![cfg(all(feature = "threads", feature = "all-operators"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::num::NonZeroUsize;
use trishift::format::write::{MatrixValues, ModelWriter, Region};
use trishift::format::{Add, DataType, GroupSize, InputScale, Linear, Operator, Relu, Tensor, TensorClass};
use trishift::kernels::SCALAR;
use trishift::{Engine, EnginePool, HeapArena, Model};

/// Columns and rows of a layer that is large enough to be dealt out: more than 2^20 weights, rows that fill no block.
const COLUMNS: usize = 1030;
const ROWS: usize = 1050;

/// A large layer with int8 outputs and behind it one with int32 outputs.
fn large() -> Vec<u8> {
    let mut state = 7u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let group = GroupSize::new(40).unwrap();
    let mut writer = ModelWriter::new("large");
    for (input, columns) in [(0, COLUMNS), (1, ROWS)] {
        let trits: Vec<i8> = (0..ROWS * columns).map(|_| (random() % 3) as i8 - 1).collect();
        let exponents: Vec<i8> = (0..ROWS * group.count(columns)).map(|_| (random() % 4) as i8 - 8).collect();
        let bias: Vec<i32> = (0..ROWS).map(|_| random() as i32 % 2000 - 1000).collect();
        let values = MatrixValues { rows: ROWS, columns, group, trits: &trits, exponents: &exponents };
        let weights = writer.add_matrix(&values).unwrap();
        let bias = Some(writer.add_bias(&bias).unwrap());
        writer.push(&Operator::Linear(Linear { input, output: input + 1, relu: input == 0, weights, bias })).unwrap();
    }
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensor = |class, data_type, exponent, len: usize, life: [u16; 2]| {
        let [first, last] = life;
        Tensor { data_type, class, exponent, shape: [1, 1, len as u32], offset: 0, first, last }
    };
    let tensors = [
        tensor(TensorClass::Input, DataType::I8, 0, COLUMNS, [0, 0]),
        tensor(TensorClass::Arena, DataType::I8, 1, ROWS, [0, 1]),
        tensor(TensorClass::Output, DataType::I32, -8, ROWS, [1, 1]),
    ];
    writer
        .finish(&Region { tensors: &tensors, input: 0, output: 2, arena_bytes: ROWS.next_multiple_of(4) as u64 })
        .unwrap()
}

fn samples(count: usize, length: usize) -> Vec<i8> {
    (0..count * length).map(|i| (i * i % 251) as u8 as i8).collect()
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
fn one_sample_on_any_number_of_threads() {
    let file = large();
    let model = Model::parse(&file).unwrap();
    let input = samples(1, COLUMNS);
    let expected = expected(&model, &input);
    assert!(expected.iter().any(|value| *value != expected[0]));
    for kernels in trishift::kernels::available() {
        for threads in 1..=5 {
            let pool = EnginePool::with_kernels(&model, kernels, NonZeroUsize::new(threads).unwrap()).unwrap();
            for _ in 0..2 {
                let mut output = vec![0i32; ROWS];
                pool.run(&input, &mut output).unwrap();
                assert_eq!(output, expected, "{}, {threads} threads", kernels.name);
            }
        }
    }
}

#[test]
fn callers_at_the_same_time_do_not_meet() {
    let file = large();
    let model = Model::parse(&file).unwrap();
    let pool = EnginePool::new(&model, NonZeroUsize::new(2).unwrap()).unwrap();
    let input = samples(5, COLUMNS);
    let expected = expected(&model, &input);
    std::thread::scope(|scope| {
        for caller in 1..=5 {
            let (pool, input, expected) = (&pool, &input[..caller * COLUMNS], &expected[..caller * ROWS]);
            scope.spawn(move || {
                for _ in 0..5 {
                    let mut output = vec![0i32; caller * ROWS];
                    pool.run(input, &mut output).unwrap();
                    assert_eq!(output, expected, "{caller} samples");
                }
            });
        }
    });
}

/// Adds to each input what the run before left of its own.
fn stateful() -> Vec<u8> {
    let mut writer = ModelWriter::new("stateful");
    writer.push(&Operator::Add(Add { left: 0, right: 1, output: 2, relu: false })).unwrap();
    writer.push(&Operator::Relu(Relu { input: 0, output: 1 })).unwrap();
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensor = |class, last| Tensor {
        data_type: DataType::I8,
        class,
        exponent: 0,
        shape: [1, 1, 4],
        offset: 0,
        first: 0,
        last,
    };
    let tensors = [tensor(TensorClass::Input, 1), tensor(TensorClass::Persistent, 1), tensor(TensorClass::Output, 0)];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 2, arena_bytes: 4 }).unwrap()
}

#[test]
fn every_sample_begins_with_persistent_tensors_of_zeros() {
    let file = stateful();
    let model = Model::parse(&file).unwrap();
    let input: Vec<i8> = (0..600 * 4).map(|i| (i % 60) as i8 + 1).collect();
    // An engine by itself remembers.
    let mut arena = HeapArena::new(&model, 1).unwrap();
    let mut engine = Engine::new(&model, arena.bytes(), 1).unwrap();
    let mut output = [0i8; 4];
    for _ in 0..2 {
        engine.run(&[1, 2, 3, 4], &mut output).unwrap();
    }
    assert_eq!(output, [2, 4, 6, 8]);
    let pool = EnginePool::new(&model, NonZeroUsize::new(2).unwrap()).unwrap();
    for _ in 0..2 {
        let mut output = vec![0i8; input.len()];
        pool.run(&input, &mut output).unwrap();
        assert_eq!(output, input);
    }
}
