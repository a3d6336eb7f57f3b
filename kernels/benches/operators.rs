//! Every operator of every instruction set but linear layers, on 32 samples of 1024 elements.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{DataType, GroupSize, InputScale, Linear, Model, Operator, Tensor, TensorClass};
use trishift_kernels::add::Alignment;
use trishift_kernels::embedding::Embedding;
use trishift_kernels::softmax::Exponents;
use trishift_kernels::{Kernels, Values};

const LENGTH: usize = 1024;
const SAMPLES: usize = 32;
const ELEMENTS: usize = LENGTH * SAMPLES;

/// Times `f(kernels)` for every table.
fn each(criterion: &mut Criterion, name: &str, mut f: impl FnMut(&Kernels)) {
    let mut bench = criterion.benchmark_group(name);
    bench.sample_size(20).throughput(Throughput::Elements(ELEMENTS as u64));
    for kernels in trishift_kernels::available() {
        bench.bench_function(BenchmarkId::from_parameter(kernels.name), |b| b.iter(|| f(black_box(kernels))));
    }
    bench.finish();
}

fn operators(criterion: &mut Criterion) {
    let narrow: Vec<i8> = (0..ELEMENTS).map(|i| (i * 37 % 255) as u8 as i8).collect();
    let wide: Vec<i32> = (0..ELEMENTS).map(|i| (i as i32).wrapping_mul(-1_640_531_527) >> 12).collect();
    let (mut bytes, mut words) = (vec![0i8; ELEMENTS], vec![0i32; ELEMENTS]);
    each(criterion, "relu", |kernels| (kernels.relu)(&narrow, &mut bytes));
    each(criterion, "add", |kernels| (kernels.add)(&narrow, &narrow, Alignment::of(0, 3), false, &mut bytes));
    each(criterion, "requantize", |kernels| (kernels.requantize)(&wide, 13, false, &mut bytes));
    each(criterion, "shift_norm", |kernels| (kernels.shift_norm)(&wide, LENGTH, false, &mut bytes));
    each(criterion, "rms_norm", |kernels| (kernels.rms_norm)(&wide, LENGTH, 5, false, &mut bytes));
    each(criterion, "argmax_i8", |kernels| (kernels.argmax_i8)(&narrow, LENGTH, &mut words));
    each(criterion, "argmax_i32", |kernels| (kernels.argmax_i32)(&wide, LENGTH, &mut words));
    let exponents = Exponents { input: -17, output: -7 };
    each(criterion, "softmax_i8", |kernels| (kernels.softmax_i8)(Values::I32(&wide), LENGTH, exponents, &mut bytes));
    each(criterion, "softmax_i32", |kernels| (kernels.softmax_i32)(Values::I32(&wide), LENGTH, exponents, &mut words));
    let file = table();
    let model = Model::parse(&file).expect("valid model");
    let Some(Operator::Linear(op)) = model.operators().next() else { return };
    let embedding = Embedding { table: model.matrix(&op.weights), exponent: -9 };
    let indices: Vec<i32> = (0..SAMPLES as i32).collect();
    each(criterion, "embedding_i8", |kernels| {
        black_box((kernels.embedding_i8)(&embedding, Values::I32(&indices), &mut bytes)).expect("rows that are there");
    });
    each(criterion, "embedding_i32", |kernels| {
        black_box((kernels.embedding_i32)(&embedding, Values::I32(&indices), &mut words)).expect("rows that are there");
    });
}

/// A table of 32 entries of 1024 elements, as a model of a linear layer.
fn table() -> Vec<u8> {
    let group = GroupSize::new(32).expect("group size");
    let trits: Vec<i8> = (0..ELEMENTS).map(|i| (i * 7 % 3) as i8 - 1).collect();
    let exponents: Vec<i8> = (0..SAMPLES * group.count(LENGTH)).map(|i| (i % 6) as i8 - 9).collect();
    let mut writer = ModelWriter::new("bench");
    let values = MatrixValues { rows: SAMPLES, columns: LENGTH, group, trits: &trits, exponents: &exponents };
    let weights = writer.add_matrix(&values).expect("valid matrix");
    let op = Linear { input: 0, output: 1, relu: false, weights, bias: None };
    writer.push(&Operator::Linear(op)).expect("valid operator");
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensor = |class, data_type, exponent, len: usize| Tensor {
        data_type,
        class,
        exponent,
        shape: [1, 1, len as u32],
        offset: 0,
        first: 0,
        last: 0,
    };
    let tensors =
        [tensor(TensorClass::Input, DataType::I8, 0, LENGTH), tensor(TensorClass::Output, DataType::I32, -9, SAMPLES)];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).expect("valid model")
}

criterion_group!(benches, operators);
criterion_main!(benches);
