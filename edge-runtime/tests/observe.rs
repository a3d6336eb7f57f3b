//! Observed runs: every operator is shown once, with what a run that ends there would give, and nothing else changes.
#![cfg(all(feature = "std", feature = "all-operators"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use trishift::format::write::{MatrixValues, ModelWriter, Region};
use trishift::format::{DataType, GroupSize, InputScale, Linear, Operator, Relu, Tensor, TensorClass};
use trishift::kernels::{SCALAR, available};
use trishift::{Engine, HeapArena, Model, Observer, Values};

/// What an observer has seen: the position of an operator and its values.
#[derive(Default)]
struct Seen(Vec<(usize, Vec<i32>)>);

impl Observer for Seen {
    fn written(&mut self, index: usize, values: Values<'_>) {
        let values = match values {
            Values::I8(values) => values.iter().map(|value| i32::from(*value)).collect(),
            Values::I32(values) => values.to_vec(),
        };
        self.0.push((index, values));
    }
}

/// A layer of ±1, a ReLU in its output's place, a layer behind them: the second operator overwrites the first one's output.
fn in_place() -> Vec<u8> {
    let group = GroupSize::new(4).unwrap();
    let mut writer = ModelWriter::new("in place");
    let trits = [1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1];
    let matrix = MatrixValues { rows: 4, columns: 4, group, trits: &trits, exponents: &[0; 4] };
    let first = writer.add_matrix(&matrix).unwrap();
    let second = writer.add_matrix(&matrix).unwrap();
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights: first, bias: None })).unwrap();
    writer.push(&Operator::Relu(Relu { input: 1, output: 2 })).unwrap();
    writer.push(&Operator::Linear(Linear { input: 2, output: 3, relu: false, weights: second, bias: None })).unwrap();
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensor = |class, data_type, [first, last]: [u16; 2]| Tensor {
        data_type,
        class,
        exponent: 0,
        shape: [1, 1, 4],
        offset: 0,
        first,
        last,
    };
    let tensors = [
        tensor(TensorClass::Input, DataType::I8, [0, 0]),
        tensor(TensorClass::Arena, DataType::I8, [0, 1]),
        tensor(TensorClass::Arena, DataType::I8, [1, 2]),
        tensor(TensorClass::Output, DataType::I32, [2, 2]),
    ];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 3, arena_bytes: 4 }).unwrap()
}

#[test]
fn an_output_is_seen_before_another_takes_its_place() {
    let file = in_place();
    let model = Model::parse(&file).unwrap();
    for kernels in available() {
        let mut arena = HeapArena::new(&model, 2).unwrap();
        let mut engine = Engine::with_kernels(&model, arena.bytes(), 2, kernels).unwrap();
        let (mut seen, mut output) = (Seen::default(), [0i32; 8]);
        engine.run_observed(&[1, 2, 3, 4, -5, -6, -7, -8], &mut output, &mut seen).unwrap();
        let expected = [
            (0, vec![1, -2, 3, -4, -5, 6, -7, 8]),
            (1, vec![1, 0, 3, 0, 0, 6, 0, 8]),
            (2, vec![1, 0, 3, 0, 0, -6, 0, -8]),
        ];
        assert_eq!(seen.0, expected, "{}", kernels.name);
        assert_eq!(output, [1, 0, 3, 0, 0, -6, 0, -8]);
    }
}

#[test]
fn observing_changes_nothing_and_all_kernels_show_the_same() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware-examples/models");
    for name in ["digits", "spoken", "motion"] {
        let file = std::fs::read(format!("{folder}/{name}.tsm")).unwrap();
        let model = Model::parse(&file).unwrap();
        let input: Vec<i8> = (0..model.input().len()).map(|index| (index * index % 251) as u8 as i8).collect();
        let run = |kernels| {
            let mut arena = HeapArena::new(&model, 1).unwrap();
            let mut engine = Engine::with_kernels(&model, arena.bytes(), 1, kernels).unwrap();
            let (mut seen, mut output) = (Seen::default(), vec![0i32; model.output().len()]);
            engine.run_observed(&input, &mut output, &mut seen).unwrap();
            engine.reset();
            let mut plain = vec![0i32; output.len()];
            engine.run(&input, &mut plain).unwrap();
            assert_eq!(plain, output, "{name} on {}", kernels.name);
            assert_eq!(seen.0.last().unwrap().1, output);
            assert!(seen.0.iter().map(|(index, _)| *index).eq(0..model.operators().count()));
            seen.0
        };
        let expected = run(&SCALAR);
        for kernels in available() {
            assert_eq!(run(kernels), expected, "{name} on {}", kernels.name);
        }
    }
}
