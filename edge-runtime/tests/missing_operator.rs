//! A model that needs an operator which is not in the build is refused by name, when the engine is made.
//!
//! Builds with some operators only: `cargo test -p trishift --no-default-features --features linear`.
#![cfg(all(
    feature = "linear",
    not(all(feature = "shift-norm", feature = "rms-norm", feature = "embedding", feature = "softmax"))
))]

use trishift::format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift::format::{
    DataType, Embedding, GroupSize, InputScale, Linear, MatrixRecord, Operator, OperatorKind, RmsNorm, ShiftNorm,
    Softmax, Tensor, TensorClass,
};
use trishift::{Arena, Engine, EngineError, Model};

fn tensor(data_type: DataType, class: TensorClass, first: u16, last: u16) -> Tensor {
    Tensor { data_type, class, exponent: 0, shape: [1, 1, 4], offset: 0, first, last }
}

/// Four inputs through an identity, then, if asked for, an operator on its weights and their int32 outputs.
fn file(second: Option<fn(MatrixRecord) -> Operator>) -> Result<Vec<u8>, WriteError> {
    let mut writer = ModelWriter::new("identity");
    let trits = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    let group = GroupSize::ALL[0];
    let matrix = MatrixValues { rows: 4, columns: 4, group, trits: &trits, exponents: &[0; 4] };
    let weights = writer.add_matrix(&matrix)?;
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None }))?;
    writer.input_scales(&[InputScale::IDENTITY]);
    let input = tensor(DataType::I8, TensorClass::Input, 0, 0);
    let Some(second) = second.map(|second| second(weights)) else {
        let tensors = [input, tensor(DataType::I32, TensorClass::Output, 0, 0)];
        return writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 });
    };
    writer.push(&second)?;
    let middle = tensor(DataType::I32, TensorClass::Arena, 0, 1);
    let len = if second.kind() == OperatorKind::Embedding { 16 } else { 4 };
    let output = Tensor { exponent: -7, shape: [1, 1, len], ..tensor(DataType::I8, TensorClass::Output, 1, 1) };
    writer.finish(&Region { tensors: &[input, middle, output], input: 0, output: 2, arena_bytes: 16 })
}

#[test]
fn the_missing_operator_is_named() {
    let seconds: [(bool, fn(MatrixRecord) -> Operator); 4] = [
        (cfg!(feature = "shift-norm"), |_| Operator::ShiftNorm(ShiftNorm { input: 1, output: 2, relu: false })),
        (cfg!(feature = "rms-norm"), |_| Operator::RmsNorm(RmsNorm { input: 1, output: 2, relu: false })),
        (cfg!(feature = "embedding"), |weights| Operator::Embedding(Embedding { input: 1, output: 2, weights })),
        (cfg!(feature = "softmax"), |_| Operator::Softmax(Softmax { input: 1, output: 2 })),
    ];
    let mut missing = 0;
    for (is_built_in, second) in seconds {
        let file = file(Some(second)).unwrap();
        let model = Model::parse(&file).unwrap();
        let mut arena = Arena::<16>::new();
        let engine = Engine::new(&model, arena.bytes(), 1);
        if is_built_in {
            assert!(engine.is_ok());
            continue;
        }
        let error = engine.unwrap_err();
        let kind = model.operators().last().unwrap().kind();
        assert_eq!(error, EngineError::OperatorMissing { index: 1, kind });
        assert!(error.to_string().contains(&format!("enable the cargo feature \"{kind}\"")), "{error}");
        missing += 1;
    }
    assert!(missing > 0);
}

#[test]
fn a_model_of_the_operators_there_are_runs() {
    let file = file(None).unwrap();
    let model = Model::parse(&file).unwrap();
    let mut arena = Arena::<0>::new();
    let mut output = [0i32; 4];
    Engine::new(&model, arena.bytes(), 1).unwrap().run(&[1, -2, 3, -128], &mut output).unwrap();
    assert_eq!(output, [1, -2, 3, -128]);
}
