//! A model that needs an operator which is not in the build is refused by name, when the engine is made.
//!
//! Builds with some operators only: `cargo test -p trishift --no-default-features --features linear`.
#![cfg(all(feature = "linear", not(feature = "shift-norm")))]

use trishift::format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift::format::{
    DataType, GroupSize, InputScale, Linear, Operator, OperatorKind, ShiftNorm, Tensor, TensorClass,
};
use trishift::{Arena, Engine, EngineError, Model};

fn tensor(data_type: DataType, class: TensorClass, first: u16, last: u16) -> Tensor {
    Tensor { data_type, class, exponent: 0, shape: [1, 1, 4], offset: 0, first, last }
}

/// Four inputs through an identity, then, if asked for, a norm.
fn file(norm: bool) -> Result<Vec<u8>, WriteError> {
    let mut writer = ModelWriter::new("identity");
    let trits = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    let group = GroupSize::ALL[0];
    let matrix = MatrixValues { rows: 4, columns: 4, group, trits: &trits, exponents: &[0; 4] };
    let weights = writer.add_matrix(&matrix)?;
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None }))?;
    writer.input_scales(&[InputScale::IDENTITY]);
    let input = tensor(DataType::I8, TensorClass::Input, 0, 0);
    if !norm {
        let tensors = [input, tensor(DataType::I32, TensorClass::Output, 0, 0)];
        return writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 });
    }
    writer.push(&Operator::ShiftNorm(ShiftNorm { input: 1, output: 2, relu: false }))?;
    let middle = tensor(DataType::I32, TensorClass::Arena, 0, 1);
    let tensors = [input, middle, tensor(DataType::I8, TensorClass::Output, 1, 1)];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 2, arena_bytes: 16 })
}

#[test]
fn the_missing_operator_is_named() {
    let file = file(true).unwrap();
    let model = Model::parse(&file).unwrap();
    let error = Engine::new(&model, Arena::<16>::new().bytes(), 1).unwrap_err();
    assert_eq!(error, EngineError::OperatorMissing { index: 1, kind: OperatorKind::ShiftNorm });
    assert!(error.to_string().contains("enable the cargo feature \"shift-norm\""), "{error}");
}

#[test]
fn a_model_of_the_operators_there_are_runs() {
    let file = file(false).unwrap();
    let model = Model::parse(&file).unwrap();
    let mut arena = Arena::<0>::new();
    let mut output = [0i32; 4];
    Engine::new(&model, arena.bytes(), 1).unwrap().run(&[1, -2, 3, -128], &mut output).unwrap();
    assert_eq!(output, [1, -2, 3, -128]);
}
