//! A model that needs an operator which is not in the build is refused by name, when the engine is made.
//!
//! Builds with some operators only: `cargo test -p trishift --no-default-features --features linear`.
#![cfg(all(feature = "linear", not(feature = "all-operators")))]

use trishift::format::write::{MatrixValues, ModelWriter, Region, WriteError};
use trishift::format::{
    Add, ArgMax, Concat, Conv2d, DataType, Embedding, GroupSize, InputScale, Linear, MatrixRecord, Operator,
    OperatorKind, Pad, Pool2d, Relu, Requantize, Reshape, RmsNorm, ShiftNorm, Slide, Softmax, Tensor, TensorClass,
    Window,
};
use trishift::{Arena, Engine, EngineError, Model};

/// Every operator but the linear layer, and whether it is in this build.
const KINDS: [(OperatorKind, bool); 19] = [
    (OperatorKind::ShiftNorm, cfg!(feature = "shift-norm")),
    (OperatorKind::Requantize, cfg!(feature = "requantize")),
    (OperatorKind::Relu, cfg!(feature = "relu")),
    (OperatorKind::Add, cfg!(feature = "add")),
    (OperatorKind::ArgMax, cfg!(feature = "argmax")),
    (OperatorKind::RmsNorm, cfg!(feature = "rms-norm")),
    (OperatorKind::Embedding, cfg!(feature = "embedding")),
    (OperatorKind::Softmax, cfg!(feature = "softmax")),
    (OperatorKind::Conv2d, cfg!(feature = "conv2d")),
    (OperatorKind::DepthwiseConv2d, cfg!(feature = "depthwise-conv2d")),
    (OperatorKind::Int8Linear, cfg!(feature = "int8-linear")),
    (OperatorKind::Int8Conv2d, cfg!(feature = "int8-conv2d")),
    (OperatorKind::Int8DepthwiseConv2d, cfg!(feature = "int8-depthwise-conv2d")),
    (OperatorKind::MaxPool, cfg!(feature = "max-pool")),
    (OperatorKind::AvgPool, cfg!(feature = "avg-pool")),
    (OperatorKind::Concat, cfg!(feature = "concat")),
    (OperatorKind::Reshape, cfg!(feature = "reshape")),
    (OperatorKind::Pad, cfg!(feature = "pad")),
    (OperatorKind::Slide, cfg!(feature = "slide")),
];

fn tensor(data_type: DataType, class: TensorClass, first: u16, last: u16) -> Tensor {
    Tensor { data_type, class, exponent: 0, shape: [1, 1, 4], offset: 0, first, last }
}

/// An operator on tensor 1, four channels of one pixel; these weights are an identity.
fn operator(kind: OperatorKind, writer: &mut ModelWriter, weights: MatrixRecord) -> Result<Operator, WriteError> {
    let (input, output, relu, window, bias) = (1, 2, false, Window::new([1, 1]), None);
    let group = GroupSize::ALL[0];
    let column = MatrixValues { rows: 4, columns: 1, group, trits: &[1; 4], exponents: &[0; 4] };
    Ok(match kind {
        OperatorKind::Linear => Operator::Linear(Linear { input, output, relu, weights, bias }),
        OperatorKind::ShiftNorm => Operator::ShiftNorm(ShiftNorm { input, output, relu }),
        OperatorKind::Requantize => Operator::Requantize(Requantize { input, output, relu }),
        OperatorKind::Relu => Operator::Relu(Relu { input, output }),
        OperatorKind::Add => Operator::Add(Add { left: input, right: input, output, relu }),
        OperatorKind::ArgMax => Operator::ArgMax(ArgMax { input, output }),
        OperatorKind::RmsNorm => Operator::RmsNorm(RmsNorm { input, output, relu }),
        OperatorKind::Embedding => Operator::Embedding(Embedding { input, output, weights }),
        OperatorKind::Softmax => Operator::Softmax(Softmax { input, output }),
        OperatorKind::Conv2d => Operator::Conv2d(Conv2d { input, output, relu, window, weights, bias }),
        OperatorKind::DepthwiseConv2d => {
            let weights = writer.add_matrix(&column)?;
            Operator::DepthwiseConv2d(Conv2d { input, output, relu, window, weights, bias })
        }
        OperatorKind::Int8Linear => {
            let weights = writer.add_int8(4, &[1; 16], &[0; 4])?;
            Operator::Int8Linear(Linear { input, output, relu, weights, bias })
        }
        OperatorKind::Int8Conv2d => {
            let weights = writer.add_int8(4, &[1; 16], &[0; 4])?;
            Operator::Int8Conv2d(Conv2d { input, output, relu, window, weights, bias })
        }
        OperatorKind::Int8DepthwiseConv2d => {
            let weights = writer.add_int8(1, &[1; 4], &[0; 4])?;
            Operator::Int8DepthwiseConv2d(Conv2d { input, output, relu, window, weights, bias })
        }
        OperatorKind::MaxPool => Operator::MaxPool(Pool2d { input, output, window }),
        OperatorKind::AvgPool => Operator::AvgPool(Pool2d { input, output, window }),
        OperatorKind::Concat => Operator::Concat(Concat { left: input, right: input, output }),
        OperatorKind::Reshape => Operator::Reshape(Reshape { input, output }),
        OperatorKind::Pad => Operator::Pad(Pad { input, output, padding: [0, 0, 1, 0] }),
        OperatorKind::Slide => Operator::Slide(Slide { input, state: output }),
    })
}

/// Four inputs through an identity, then, if asked for, another operator.
fn file(second: Option<OperatorKind>) -> Result<Vec<u8>, WriteError> {
    use OperatorKind::{ArgMax, Concat, Embedding, Pad, Requantize, Reshape, RmsNorm, ShiftNorm, Slide};
    let mut writer = ModelWriter::new("identity");
    let trits = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    let group = GroupSize::ALL[0];
    let matrix = MatrixValues { rows: 4, columns: 4, group, trits: &trits, exponents: &[0; 4] };
    let weights = writer.add_matrix(&matrix)?;
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None }))?;
    writer.input_scales(&[InputScale::IDENTITY]);
    let input = tensor(DataType::I8, TensorClass::Input, 0, 0);
    let Some(second) = second else {
        let tensors = [input, tensor(DataType::I32, TensorClass::Output, 0, 0)];
        return writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 });
    };
    let operator = operator(second, &mut writer, weights)?;
    writer.push(&operator)?;
    let middle = match second {
        ShiftNorm | Requantize | RmsNorm => tensor(DataType::I32, TensorClass::Arena, 0, 1),
        _ => Tensor { exponent: -7, ..tensor(DataType::I8, TensorClass::Arena, 0, 1) },
    };
    let output = Tensor { exponent: -7, ..tensor(DataType::I8, TensorClass::Output, 1, 1) };
    let output = match second {
        ArgMax => Tensor { data_type: DataType::I32, exponent: 0, shape: [1, 1, 1], ..output },
        Embedding => Tensor { shape: [1, 1, 16], ..output },
        Concat => Tensor { shape: [1, 1, 8], ..output },
        Reshape => Tensor { shape: [2, 2, 1], ..output },
        Pad => Tensor { shape: [2, 1, 4], ..output },
        _ => output,
    };
    if second == Slide {
        // The state is kept, and the output is another tensor.
        let middle = Tensor { last: 2, ..middle };
        let state = Tensor { class: TensorClass::Persistent, offset: 4, ..output };
        let output = Tensor { exponent: -7, ..tensor(DataType::I32, TensorClass::Output, 2, 2) };
        writer.push(&Operator::Linear(Linear { input: 1, output: 3, relu: false, weights, bias: None }))?;
        let tensors = [input, middle, state, output];
        return writer.finish(&Region { tensors: &tensors, input: 0, output: 3, arena_bytes: 16 });
    }
    writer.finish(&Region { tensors: &[input, middle, output], input: 0, output: 2, arena_bytes: 16 })
}

#[test]
fn the_missing_operator_is_named() {
    for (kind, is_built_in) in KINDS {
        let file = file(Some(kind)).unwrap();
        let model = Model::parse(&file).unwrap();
        let mut words = vec![0u64; Engine::arena_len(&model, 1).unwrap().div_ceil(8)];
        let engine = Engine::new(&model, bytemuck::cast_slice_mut(&mut words), 1);
        if is_built_in {
            assert!(engine.is_ok(), "{kind}");
            continue;
        }
        let error = engine.unwrap_err();
        assert_eq!(error, EngineError::OperatorMissing { index: 1, kind });
        assert!(error.to_string().contains(&format!("enable the cargo feature \"{kind}\"")), "{error}");
    }
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
