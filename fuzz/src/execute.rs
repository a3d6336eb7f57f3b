//! Runs an accepted model on the engine: alone, or beside the interpreter.

use crate::interpreter::{Interpreter, RowMissing};
use crate::network::Network;
use crate::random::Random;
use trishift::kernels::{Kernels, SCALAR};
use trishift::{Engine, EngineError, HeapArena, OutputSlice, RunError};
use trishift_format::{DataType, Model, Operator};

/// Most elements and multiplications of a run: a file of some hundred bytes may well declare 2^32.
const MOST_WORK: u64 = 1 << 16;

/// Samples of a batch.
const BATCH: usize = 3;

/// True where a run does not take long: an element of a tensor costs as much as a multiplication, and so does one under a
/// pool's window.
pub fn is_small(model: &Model<'_>) -> bool {
    let elements = model.tensors().fold(0u64, |sum, tensor| sum.saturating_add(tensor.len() as u64));
    let pooled = model.operators().fold(0u64, |sum, operator| match operator {
        Operator::MaxPool(op) | Operator::AvgPool(op) => {
            sum.saturating_add(op.window.area() as u64 * model.tensor(op.output).len() as u64)
        }
        _ => sum,
    });
    let work = elements.saturating_add(model.macs()).saturating_add(pooled);
    work.saturating_add(model.arena_bytes()) <= MOST_WORK
}

/// An output of the model's type.
#[derive(Clone, Debug, PartialEq)]
enum Output {
    I8(Vec<i8>),
    I32(Vec<i32>),
}

impl Output {
    fn new(model: &Model<'_>, samples: usize) -> Self {
        let len = samples * model.output().len();
        match model.output().data_type {
            DataType::I8 => Self::I8(vec![99; len]),
            DataType::I32 => Self::I32(vec![99; len]),
        }
    }

    fn slice(&mut self) -> OutputSlice<'_> {
        match self {
            Self::I8(values) => OutputSlice::I8(values),
            Self::I32(values) => OutputSlice::I32(values),
        }
    }

    fn values(&self) -> Vec<i128> {
        match self {
            Self::I8(values) => values.iter().map(|value| (*value).into()).collect(),
            Self::I32(values) => values.iter().map(|value| (*value).into()).collect(),
        }
    }
}

/// Runs a small model once by the definitions, which are few and quickly linked; whatever comes out, it must come out.
pub fn run(model: &Model<'_>) {
    if !is_small(model) {
        return;
    }
    let mut arena = HeapArena::new(model, 1).expect("a small arena fits this machine");
    let mut engine = match Engine::with_kernels(model, arena.bytes(), 1, &SCALAR) {
        Ok(engine) => engine,
        Err(error) => return assert_eq!((error, model.input().data_type), (EngineError::InputType, DataType::I32)),
    };
    let input = Random(1).activations(model.input().len());
    let mut output = Output::new(model, 1);
    if let Err(error) = engine.run(&input, output.slice()) {
        assert!(matches!(error, RunError::RowMissing { .. }), "{error}");
    }
}

/// Runs a small model on every instruction set beside the interpreter: sample by sample, with what it keeps from one to the
/// next, again after a reset, and as two batches.
pub fn compare(model: &Model<'_>, network: &Network, seed: u64) {
    if !is_small(model) || model.input().data_type != DataType::I8 {
        return;
    }
    let mut random = Random(seed);
    let inputs = [0, 1, 2].map(|_| random.activations(model.input().len()));
    let mut interpreter = Interpreter::new(network);
    let expected = inputs.each_ref().map(|input| interpreter.run(input).map(<[i128]>::to_vec));
    let batches = [0, 1].map(|_| random.activations(BATCH * model.input().len()));
    let mut places = vec![Interpreter::new(network); BATCH];
    let expected_batches = batches.each_ref().map(|batch| {
        let samples = batch.chunks(model.input().len()).zip(&mut places);
        samples.map(|(input, place)| place.run(input).map(<[i128]>::to_vec)).collect::<Vec<_>>()
    });
    for kernels in trishift::kernels::available() {
        sample_by_sample(model, kernels, &inputs, &expected);
        at_once(model, kernels, &batches, &expected_batches);
    }
}

type Expected = Result<Vec<i128>, RowMissing>;

fn sample_by_sample(model: &Model<'_>, kernels: &'static Kernels, inputs: &[Vec<i8>], expected: &[Expected]) {
    let mut arena = HeapArena::new(model, 1).expect("a small arena fits this machine");
    let mut engine = Engine::with_kernels(model, arena.bytes(), 1, kernels).expect("the arena is right");
    for _ in 0..2 {
        for (input, expected) in inputs.iter().zip(expected) {
            let mut output = Output::new(model, 1);
            let outcome = engine.run(input, output.slice());
            assert_eq!(outcome.map_err(row_missing).map(|()| output.values()), *expected, "{}", kernels.name);
            if outcome.is_err() {
                // What is kept is not to be relied on before a reset.
                break;
            }
        }
        engine.reset();
    }
}

fn at_once(model: &Model<'_>, kernels: &'static Kernels, batches: &[Vec<i8>], expected: &[Vec<Expected>]) {
    // Room for one sample more than there are.
    let mut arena = HeapArena::new(model, BATCH + 1).expect("a small arena fits this machine");
    let mut engine = Engine::with_kernels(model, arena.bytes(), BATCH + 1, kernels).expect("the arena is right");
    for (batch, expected) in batches.iter().zip(expected) {
        let mut output = Output::new(model, BATCH);
        let outcome = engine.run(batch, output.slice()).map_err(row_missing).map(|()| output.values());
        // Operators run for all samples before the next one does.
        let missing = expected.iter().filter_map(|outcome| outcome.as_ref().err()).min_by_key(|missing| missing.index);
        let expected = match missing {
            Some(missing) => Err(*missing),
            None => Ok(expected.iter().flatten().flatten().copied().collect()),
        };
        assert_eq!(outcome, expected, "{}, batch", kernels.name);
        if outcome.is_err() {
            return;
        }
    }
}

fn row_missing(error: RunError) -> RowMissing {
    match error {
        RunError::RowMissing { index, row, .. } => RowMissing { index, row: row.into() },
        other => panic!("a parsed model never gives this: {other}"),
    }
}
