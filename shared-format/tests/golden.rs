//! Golden files: the bytes that version 0.4 writes, and what a reader finds in them and in those of earlier versions.
//!
//! `TRISHIFT_BLESS=1 cargo test -p trishift-format --test golden` writes the present version's files anew; a change of
//! their bytes is a change of the format and belongs in `docs/format.md`. Files of earlier versions stay as they are.
#![cfg(feature = "alloc")]

mod support;

use std::path::PathBuf;
use std::sync::LazyLock;
use support::golden::{
    self, CONVOLUTION, DEPTHWISE, DEPTHWISE_BIAS, HEAD, HEAD_BIAS, INT8_CONVOLUTION, INT8_DEPTHWISE, INT8_LINEAR,
    INT8_LINEAR_BIAS, Int8Weights, LABELS, MIX, STEM, STEM_BIAS, TABLE, WIDE, WIDE_BIAS, WINDOWS, Weights,
};
use support::walk;
use trishift_format::bound::Accumulators;
use trishift_format::checkpoint::StateType;
use trishift_format::{
    Add, ArgMax, Checkpoint, Concat, DataType, ExponentEncoding, InputScale, Linear, Model, Operator, Pad, Relu,
    Requantize, Reshape, RmsNorm, ShiftNorm, Slide, Softmax, TensorClass, trits,
};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn stored(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("the golden file is checked in")
}

/// The checked-in files, each compared once, before any test reads it.
static MODEL: LazyLock<Vec<u8>> =
    LazyLock::new(|| compare("model-0.4.tsm", &golden::model().expect("the golden model is valid")));
static CHECKPOINT: LazyLock<Vec<u8>> =
    LazyLock::new(|| compare("checkpoint-0.4.tsc", &golden::checkpoint().expect("the golden checkpoint is valid")));

/// What earlier versions wrote: the same network without what came later, the same checkpoint.
static OLD_MODELS: LazyLock<[Vec<u8>; 3]> =
    LazyLock::new(|| ["model-0.1.tsm", "model-0.2.tsm", "model-0.3.tsm"].map(stored));
static OLD_CHECKPOINTS: LazyLock<[Vec<u8>; 3]> =
    LazyLock::new(|| ["checkpoint-0.1.tsc", "checkpoint-0.2.tsc", "checkpoint-0.3.tsc"].map(stored));

/// Operators of the golden models, oldest first; each has a tensor more.
const OPERATORS: [usize; 4] = [9, 12, 25, 26];

/// The files of every version, oldest first.
fn files() -> [&'static [u8]; 4] {
    [&OLD_MODELS[0], &OLD_MODELS[1], &OLD_MODELS[2], &MODEL]
}

/// The golden models of every version, oldest first.
fn models() -> [Model<'static>; 4] {
    files().map(|file| Model::parse(file).expect("every version is read"))
}

/// The checked-in file, which must hold exactly what the builder wrote.
fn compare(name: &str, written: &[u8]) -> Vec<u8> {
    assert!(written.len() <= 2048, "{name} has grown to {} bytes", written.len());
    if std::env::var_os("TRISHIFT_BLESS").is_some() {
        std::fs::write(path(name), written).expect("tests/golden is writable");
    }
    let stored = stored(name);
    let first = stored.iter().zip(written).position(|(stored, written)| stored != written);
    assert!(
        stored == written,
        "{name}: {} bytes stored, {} written, first difference at {first:?}",
        stored.len(),
        written.len()
    );
    stored
}

/// The linear operator at this position.
fn linear(model: &Model<'_>, index: usize) -> Linear {
    match model.operators().nth(index) {
        Some(Operator::Linear(op)) => op,
        other => panic!("operator {index} is {other:?}"),
    }
}

fn check_matrix(model: &Model<'_>, index: usize, weights: &Weights, encoding: ExponentEncoding) {
    let operator = model.operators().nth(index).expect("the operator is there");
    let matrix = model.matrix(operator.weights().expect("the operator has weights"));
    assert_eq!((matrix.rows(), matrix.group().get()), (weights.trits.len(), weights.group as usize));
    assert_eq!(matrix.encoding(), encoding);
    for ((row, text), exponents) in matrix.iter().zip(weights.trits).zip(weights.exponents) {
        assert_eq!(row.exponents().collect::<Vec<_>>(), exponents.iter().map(|e| i32::from(*e)).collect::<Vec<_>>());
        let groups = row.groups().map(|group| {
            let mut values = vec![0; group.len];
            trits::unpack(group.bytes, &mut values);
            values.iter().map(|trit| ["-", "0", "+"][(trit + 1) as usize]).collect::<String>()
        });
        assert_eq!(groups.collect::<Vec<_>>().join(" "), *text);
    }
    assert_eq!(matrix.iter().len(), weights.trits.len());
}

#[test]
fn both_files_are_written_byte_for_byte() {
    assert_eq!(MODEL[..10], *b"\x89TSM\r\n\x1a\n\x00\x04");
    assert_eq!(MODEL[..10], CHECKPOINT[..10]);
}

#[test]
fn files_of_earlier_versions_are_still_read() {
    for (minor, (model, checkpoint)) in (1..).zip(OLD_MODELS.iter().zip(OLD_CHECKPOINTS.iter())) {
        assert_eq!(model[..10], [&b"\x89TSM\r\n\x1a\n"[..], &[0, minor]].concat());
        assert_eq!(model[..10], checkpoint[..10]);
    }
    for (model, operators) in models().iter().zip(OPERATORS) {
        walk::model(model);
        assert_eq!((model.tensors().len(), model.operators().count()), (operators + 1, operators));
    }
    // Nothing but operators, another order of weights and int8 ones has come since: state and records are what they were.
    let contents = |file: &'static [u8]| {
        let checkpoint = Checkpoint::parse(file).expect("every version is read");
        let tensors: Vec<_> = checkpoint.tensors().map(|tensor| (tensor.name, tensor.rows, tensor.bytes)).collect();
        (checkpoint.config(), tensors)
    };
    for old in OLD_CHECKPOINTS.iter() {
        assert_eq!(contents(old), contents(&CHECKPOINT));
    }
}

#[test]
fn the_models_read_back() {
    let images = 96 + 144 + 48 + 12 + 12;
    for ((model, file), (images, state)) in
        models().into_iter().zip(files()).zip([(0, 0), (0, 0), (images, 0), (images, 16)])
    {
        walk::model(&model);
        assert_eq!((model.name(), model.arena_bytes()), ("golden", 68 + state));
        assert_eq!(model.macs(), 120 + 100 + 100 + 30 + images);
        assert_eq!((model.file_bytes(), model.input_index(), model.output_index()), (file.len(), 0, 8));
        assert_eq!(model.labels().collect::<Vec<_>>(), LABELS);
        let properties: Vec<_> = model.properties().collect();
        assert_eq!(properties, [("trained-on", "nothing: a test file"), ("accuracy", "")]);
        assert_eq!((model.properties().get("accuracy"), model.properties().get("loss")), (Some(""), None));
        let scales: Vec<_> = model.input_scales().collect();
        assert_eq!(scales.len(), 12);
        assert_eq!(scales[0], InputScale { zero_mantissa: -3000, zero_exponent: 0, shift: -4 });
        assert_eq!(scales[11], InputScale { zero_mantissa: 8000, zero_exponent: -3, shift: -2 });
    }
}

#[test]
fn the_models_tensors_read_back() {
    for (model, count) in models().into_iter().zip(OPERATORS.map(|operators| operators + 1)) {
        assert_eq!(model.tensors().collect::<Vec<_>>(), golden::tensors()[..count]);
        let (input, output) = (model.input(), model.output());
        assert_eq!((input.data_type, input.shape, input.exponent, input.len()), (DataType::I8, [2, 3, 2], -4, 12));
        assert_eq!((output.data_type, output.class, output.bytes()), (DataType::I32, TensorClass::Output, 12));
        let class_seen = model.tensor(9);
        assert_eq!((class_seen.class, class_seen.offset, class_seen.len()), (TensorClass::Persistent, 64, 1));
        assert!(model.tensor(count as u16).is_empty());
    }
}

#[test]
fn the_models_operators_read_back() {
    let names = [
        ["linear", "linear", "shift-norm", "linear", "requantize", "add", "relu", "linear", "argmax"].as_slice(),
        &["embedding", "rms-norm", "softmax"],
        &["embedding", "reshape", "pad", "conv2d", "max-pool", "concat", "depthwise-conv2d", "int8-conv2d"],
        &["int8-depthwise-conv2d", "avg-pool", "add", "relu", "int8-linear"],
        &["slide"],
    ];
    let others = [
        Operator::ShiftNorm(ShiftNorm { input: 2, output: 3, relu: true }),
        Operator::Requantize(Requantize { input: 4, output: 5, relu: false }),
        Operator::Add(Add { left: 5, right: 3, output: 6, relu: false }),
        Operator::Relu(Relu { input: 6, output: 7 }),
        Operator::ArgMax(ArgMax { input: 8, output: 9 }),
        Operator::RmsNorm(RmsNorm { input: 10, output: 11, relu: true }),
        Operator::Softmax(Softmax { input: 11, output: 12 }),
        Operator::Reshape(Reshape { input: 13, output: 14 }),
        Operator::Pad(Pad { input: 14, output: 15, padding: [1, 0, 2, 1] }),
        Operator::Concat(Concat { left: 16, right: 17, output: 18 }),
        Operator::Add(Add { left: 21, right: 22, output: 23, relu: true }),
        Operator::Relu(Relu { input: 23, output: 24 }),
        Operator::Slide(Slide { input: 9, state: 26 }),
    ];
    for (model, (parts, count)) in models().into_iter().zip([(1, 5), (2, 7), (4, 12), (5, 13)]) {
        let found: Vec<_> = model.operators().map(|operator| operator.kind().name()).collect();
        assert_eq!(found, names[..parts].concat());
        let plain = |operator: &Operator| {
            let pools = matches!(operator, Operator::MaxPool(_) | Operator::AvgPool(_));
            operator.weights().is_none() && operator.int8_weights().is_none() && !pools
        };
        assert_eq!(model.operators().filter(plain).collect::<Vec<_>>(), others[..count]);
        let operands = [0, 1, 3, 7].map(|index| linear(&model, index)).map(|op| (op.input, op.output, op.relu));
        assert_eq!(operands, [(0, 1, true), (1, 2, false), (3, 4, false), (7, 8, false)]);
    }
    let [_, later @ ..] = models();
    for model in later {
        let Some(Operator::Embedding(op)) = model.operators().nth(9) else { panic!("operator 9 is the embedding") };
        assert_eq!((op.input, op.output), (9, 10));
    }
}

#[test]
fn the_models_windows_read_back() {
    let [.., model] = models();
    let found: Vec<_> = model
        .operators()
        .filter_map(|operator| match operator {
            Operator::Conv2d(op) | Operator::DepthwiseConv2d(op) => Some((op.input, op.output, op.relu, op.window)),
            Operator::Int8Conv2d(op) | Operator::Int8DepthwiseConv2d(op) => {
                Some((op.input, op.output, op.relu, op.window))
            }
            Operator::MaxPool(op) | Operator::AvgPool(op) => Some((op.input, op.output, false, op.window)),
            _ => None,
        })
        .collect();
    let [all, largest, each, int8_all, int8_each, mean] = WINDOWS;
    let expected = [
        (15, 16, true, all),
        (15, 17, false, largest),
        (18, 19, true, each),
        (19, 20, false, int8_all),
        (20, 21, false, int8_each),
        (20, 22, false, mean),
    ];
    assert_eq!(found, expected);
}

#[test]
fn the_models_weights_read_back() {
    let mixes =
        [ExponentEncoding::Offset4, ExponentEncoding::Offset8, ExponentEncoding::Offset8, ExponentEncoding::Offset8];
    for (model, mix) in models().into_iter().zip(mixes) {
        check_matrix(&model, 0, &STEM, ExponentEncoding::Offset4);
        check_matrix(&model, 1, &MIX, mix);
        check_matrix(&model, 3, &WIDE, ExponentEncoding::Int8);
        check_matrix(&model, 7, &HEAD, ExponentEncoding::Offset4);
        let biases: [&[i32]; 4] = [&STEM_BIAS, &[], &WIDE_BIAS, &HEAD_BIAS];
        for (index, expected) in [0, 1, 3, 7].into_iter().zip(biases) {
            let bias = model.bias(&linear(&model, index));
            assert_eq!(bias.map_or(vec![], |bias| bias.iter().collect()), expected, "operator {index}");
        }
        // int8 outputs: s_out − s_in; int32 outputs: the layer-wide exponent, which may lie below every row's.
        let units = [0, 1, 3, 7].map(|index| model.accumulators(&linear(&model, index)));
        let layer = |exponent| Accumulators::Layer { exponent };
        assert_eq!(units, [Accumulators::PerRow { scale: 2 }, layer(-3), layer(-11), layer(-4)]);
        let smallest = [0, 1, 3, 7].map(|index| model.matrix(&linear(&model, index).weights).smallest_exponent());
        assert_eq!(smallest, [-6, -3, -10, -4]);
    }
    check_matrix(&models()[1], 9, &TABLE, ExponentEncoding::Offset4);
    let [.., model] = models();
    check_matrix(&model, 9, &TABLE, ExponentEncoding::Offset4);
    check_matrix(&model, 12, &TABLE, ExponentEncoding::Offset4);
    check_matrix(&model, 15, &CONVOLUTION, ExponentEncoding::Offset8);
    check_matrix(&model, 18, &DEPTHWISE, ExponentEncoding::Offset4);
    for (index, Int8Weights { columns, values, exponents }) in
        [19, 20, 24].into_iter().zip([INT8_CONVOLUTION, INT8_DEPTHWISE, INT8_LINEAR])
    {
        let operator = model.operators().nth(index).expect("the operator is there");
        let matrix = model.int8_matrix(operator.int8_weights().expect("the operator has int8 weights"));
        assert_eq!((matrix.rows(), matrix.columns()), (exponents.len(), columns));
        assert!(matrix.iter().map(|row| row.exponent).eq(exponents.iter().map(|exponent| i32::from(*exponent))));
        assert!(matrix.iter().flat_map(|row| row.values).map(|value| *value as i8).eq(values.iter().copied()));
    }
    let biases = |index: usize| {
        let operator = model.operators().nth(index).expect("the operator is there");
        let rows = operator.weights().map_or(2, |record| record.rows);
        model.bias_at(operator.bias(), rows).map_or(vec![], |bias| bias.iter().collect())
    };
    assert_eq!([biases(15), biases(19)], [[0; 0]; 2]);
    assert_eq!((biases(18), biases(24)), (DEPTHWISE_BIAS.to_vec(), INT8_LINEAR_BIAS.to_vec()));
}

#[test]
fn the_checkpoint_reads_back() {
    let checkpoint = Checkpoint::parse(&CHECKPOINT).unwrap();
    walk::checkpoint(&checkpoint);
    assert_eq!(checkpoint.config(), "[network]\nlayers = [7, 3]\n");
    let found: Vec<_> = checkpoint.tensors().map(|t| (t.name, t.state_type, t.rows, t.columns, t.bytes)).collect();
    // Trits are packed flat: the second row starts inside the second byte, the last byte holds one trit.
    let expected: [(&str, StateType, usize, usize, &[u8]); 8] = [
        ("layer0.trits", StateType::Trits, 3, 7, &[228, 112, 44, 157, 1]),
        ("layer0.exponents", StateType::I8, 3, 2, &[0xFD, 0x7F, 0, 0x80, 5, 6]),
        ("layer0.credit", StateType::I16, 1, 3, &[0xD0, 0x8A, 0x2C, 0x01, 0, 0]),
        ("layer0.bias", StateType::I32, 3, 1, &[0x90, 0xEE, 0xFE, 0xFF, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F]),
        ("narrowed", StateType::I16, 2, 1, &[0x7F, 0xFF, 4, 0]),
        ("step", StateType::I64, 1, 1, &[0, 0, 0, 0, 0, 1, 0, 0]),
        ("latent", StateType::F32, 2, 1, &[0, 0, 0, 0x3F, 0, 0, 0xA0, 0xBF]),
        ("empty", StateType::I8, 0, 0, &[]),
    ];
    assert_eq!(found, expected);
    assert_eq!(checkpoint.tensor("step").map(|tensor| tensor.bytes), Some(&[0u8, 0, 0, 0, 0, 1, 0, 0][..]));
    assert!(checkpoint.tensor("steps").is_none());
    let mut unpacked = [7; 21];
    trits::unpack(found[0].4, &mut unpacked);
    assert_eq!(unpacked, [-1, 0, 0, 1, 1, 0, 0, -1, 0, 0, 1, 1, 0, 0, -1, 0, 0, 1, 1, 0, 0]);
}

#[test]
fn the_worked_example_of_the_documentation_is_this_file() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let page = std::fs::read_to_string(page).expect("docs/format.md is there");
    let mut compared = 0;
    // Lines of a dump: eight digits of offset, two spaces, bytes.
    for line in page.lines() {
        let Some((offset, bytes)) = line.split_once("  ") else { continue };
        let (8, Ok(offset)) = (offset.len(), usize::from_str_radix(offset, 16)) else { continue };
        let bytes: Vec<u8> =
            bytes.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hexadecimal")).collect();
        assert_eq!(bytes, MODEL[offset..offset + bytes.len()], "offset {offset:08x}");
        compared += bytes.len();
    }
    assert!(compared >= 192, "only {compared} bytes of the example were found");
    assert!(page.contains(&format!("which has {}", MODEL.len())));
}
