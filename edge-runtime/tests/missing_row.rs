//! An embedding's input that names a row which is not there ends the run by name, and the engine can be used again.
#![cfg(all(feature = "embedding", feature = "argmax"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use trishift::format::write::{MatrixValues, ModelWriter, Region};
use trishift::format::{ArgMax, DataType, Embedding, GroupSize, InputScale, Operator, Tensor, TensorClass};
use trishift::{Arena, Engine, Model, Profiler, RunError, Step};

fn tensor(data_type: DataType, class: TensorClass, len: u32, [first, last]: [u16; 2]) -> Tensor {
    Tensor { data_type, class, exponent: 0, shape: [1, 1, len], offset: 0, first, last }
}

/// A table of two rows, (1, −1, 0) and (0, 0, 4): of two bytes, or of the class of four values.
fn file(of_class: bool) -> Vec<u8> {
    let mut writer = ModelWriter::new("table");
    let (trits, group) = ([1, -1, 0, 0, 0, 1], GroupSize::ALL[0]);
    let matrix = MatrixValues { rows: 2, columns: 3, group, trits: &trits, exponents: &[0, 2] };
    let weights = writer.add_matrix(&matrix).unwrap();
    writer.input_scales(&[InputScale::IDENTITY]);
    let (tensors, output) = if of_class {
        writer.push(&Operator::ArgMax(ArgMax { input: 0, output: 1 })).unwrap();
        let class = tensor(DataType::I32, TensorClass::Arena, 1, [0, 1]);
        let output = tensor(DataType::I8, TensorClass::Output, 3, [1, 1]);
        (vec![tensor(DataType::I8, TensorClass::Input, 4, [0, 0]), class, output], 2)
    } else {
        let output = tensor(DataType::I8, TensorClass::Output, 6, [0, 0]);
        (vec![tensor(DataType::I8, TensorClass::Input, 2, [0, 0]), output], 1)
    };
    writer.push(&Operator::Embedding(Embedding { input: output - 1, output, weights })).unwrap();
    writer.finish(&Region { tensors: &tensors, input: 0, output, arena_bytes: 4 }).unwrap()
}

/// Counts operators that began and that ended.
#[derive(Default)]
struct Count {
    begun: usize,
    ended: usize,
}

impl Profiler for Count {
    fn begin(&mut self, _: &Step) {
        self.begun += 1;
    }

    fn end(&mut self, _: &Step) {
        self.ended += 1;
    }
}

#[test]
fn bytes_outside_the_table_are_named() {
    let file = file(false);
    let model = Model::parse(&file).unwrap();
    let mut arena = Arena::<8>::new();
    let mut engine = Engine::new(&model, arena.bytes(), 2).unwrap();
    for (input, row) in [([-128, -126, -128, -128], 2), ([-127, -128, -128, 127], 255), ([0, 5, 6, 7], 128)] {
        let mut output = [0i8; 12];
        let mut count = Count::default();
        let error = engine.run_profiled(&input, &mut output, &mut count).unwrap_err();
        assert_eq!(error, RunError::RowMissing { index: 0, row, rows: 2 });
        assert!(error.to_string().contains(&format!("row {row} of a table of 2")), "{error}");
        assert_eq!((count.begun, count.ended), (1, 0));
        engine.run(&[-127, -128, -128, -127], &mut output).unwrap();
        assert_eq!(output, [0, 0, 4, 1, -1, 0, 1, -1, 0, 0, 0, 4]);
    }
}

#[test]
fn classes_outside_the_table_are_named() {
    let file = file(true);
    let model = Model::parse(&file).unwrap();
    let mut arena = Arena::<4>::new();
    let mut engine = Engine::new(&model, arena.bytes(), 1).unwrap();
    let mut output = [0i8; 3];
    for (input, row) in [([0, 1, 2, 1], 2), ([-4, -3, -2, -1], 3)] {
        let mut count = Count::default();
        let error = engine.run_profiled(&input, &mut output, &mut count).unwrap_err();
        assert_eq!(error, RunError::RowMissing { index: 1, row, rows: 2 });
        assert_eq!((count.begun, count.ended), (2, 1));
    }
    engine.run(&[5, 6, 6, 5], &mut output).unwrap();
    assert_eq!(output, [0, 0, 4]);
}

#[cfg(feature = "std")]
#[test]
fn threads_name_the_first_row_that_is_missing() {
    use std::num::NonZeroUsize;
    let file = file(false);
    let model = Model::parse(&file).unwrap();
    let mut input = vec![-128i8; 200];
    (input[71], input[150]) = (9, 10);
    for threads in 1..=4 {
        let mut output = vec![0i8; 600];
        let threads = NonZeroUsize::new(threads).unwrap();
        let error = trishift::run_threads(&model, trishift::kernels::best(), &input, &mut output, threads);
        assert_eq!(error, Err(RunError::RowMissing { index: 0, row: 137, rows: 2 }.into()));
    }
}
