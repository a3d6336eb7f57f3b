//! `Model::parse`: every check, from the header to the last trit.
//!
//! On the network 784-256-10 at group sizes 32, 40 and 8, which fits a processor's caches, and on files of 100 MB, which do
//! not: five layers of 24576 → 4096, in both layouts. And on a small file that takes long for its size: 1024 tensors, all
//! live at once.

#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    DataType, GroupSize, InputScale, Layout, Linear, Model, Operator, Relu, ShiftNorm, Tensor, TensorClass,
};

fn tensor(class: TensorClass, data_type: DataType, len: u32, life: [u16; 2], offset: u32) -> Tensor {
    // Sums are in units of the smallest exponent, −9, of inputs in units of 2^−5.
    let exponent = if data_type == DataType::I32 { -14 } else { -5 };
    Tensor { data_type, class, exponent, shape: [1, 1, len], offset, first: life[0], last: life[1] }
}

fn hash(i: usize) -> u32 {
    (i as u32).wrapping_mul(2_654_435_761) >> 16
}

/// The file of 784-256-10 with pseudo-random weights.
fn file(group: GroupSize) -> Vec<u8> {
    let mut writer = ModelWriter::new("mnist-mlp");
    let mut matrix = |rows: usize, columns: usize| {
        let trits: Vec<i8> = (0..rows * columns).map(|i| (hash(i) % 3) as i8 - 1).collect();
        let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|i| (hash(i) % 6) as i8 - 9).collect();
        let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
        writer.add_matrix(&values).expect("a valid matrix")
    };
    let (first, second) = (matrix(256, 784), matrix(10, 256));
    let operators = [
        Operator::Linear(Linear { input: 0, output: 1, relu: false, weights: first, bias: None }),
        Operator::ShiftNorm(ShiftNorm { input: 1, output: 2, relu: true }),
        Operator::Linear(Linear { input: 2, output: 3, relu: false, weights: second, bias: None }),
    ];
    for operator in &operators {
        writer.push(operator).expect("a valid operator");
    }
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensors = [
        tensor(TensorClass::Input, DataType::I8, 784, [0, 0], 0),
        tensor(TensorClass::Arena, DataType::I32, 256, [0, 1], 0),
        tensor(TensorClass::Arena, DataType::I8, 256, [1, 2], 1024),
        tensor(TensorClass::Output, DataType::I32, 10, [2, 2], 0),
    ];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 3, arena_bytes: 1280 }).expect("a valid model")
}

/// Five layers that read one input, with the same pseudo-random weights in five places.
fn large_file(group: GroupSize, layout: Layout) -> Vec<u8> {
    let (rows, columns) = (4096, 24_576);
    let mut writer = ModelWriter::new("large");
    let trits: Vec<i8> = (0..rows * columns).map(|i| (hash(i) % 3) as i8 - 1).collect();
    let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|i| (hash(i) % 6) as i8 - 9).collect();
    let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
    let mut tensors = vec![tensor(TensorClass::Input, DataType::I8, columns as u32, [0, 4], 0)];
    for layer in 0..5u16 {
        let weights = writer.add_matrix_in(&values, layout).expect("a valid matrix");
        let op = Linear { input: 0, output: layer + 1, relu: false, weights, bias: None };
        writer.push(&Operator::Linear(op)).expect("a valid operator");
        let class = if layer == 4 { TensorClass::Output } else { TensorClass::Arena };
        tensors.push(tensor(class, DataType::I32, rows as u32, [layer; 2], 0));
    }
    writer.input_scales(&[InputScale::IDENTITY]);
    let arena_bytes = 4 * rows as u64;
    writer.finish(&Region { tensors: &tensors, input: 0, output: 5, arena_bytes }).expect("a valid model")
}

fn parse_large(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("parse_100_MB");
    bench.sample_size(10);
    for (group, layout) in [(40, Layout::Rows), (32, Layout::Rows), (8, Layout::Rows), (40, Layout::Groups)] {
        let file = large_file(GroupSize::new(group).expect("a group size"), layout);
        bench.throughput(Throughput::Bytes(file.len() as u64));
        bench.bench_function(BenchmarkId::from_parameter(format!("g{group}, {layout}")), |b| {
            b.iter(|| Model::parse(black_box(&file)).is_ok());
        });
        bench.bench_function(BenchmarkId::from_parameter(format!("g{group}, {layout}, checksums")), |b| {
            b.iter(|| Model::checked_before(black_box(&file)).is_ok());
        });
    }
    bench.finish();
}

/// As many tensors as a graph may have, all live at all times: every pair of them is compared.
fn many_tensors() -> Vec<u8> {
    let count = Tensor::MAX_COUNT as u16 - 1;
    let mut writer = ModelWriter::new("chain");
    let mut tensors = vec![tensor(TensorClass::Input, DataType::I8, 4, [0, 0], 0)];
    for index in 0..count {
        writer.push(&Operator::Relu(Relu { input: index, output: index + 1 })).expect("a valid operator");
        let class = if index + 1 == count { TensorClass::Output } else { TensorClass::Arena };
        tensors.push(tensor(class, DataType::I8, 4, [index, count - 1], 4 * u32::from(index)));
    }
    writer.input_scales(&[InputScale::IDENTITY]);
    let arena_bytes = 4 * u64::from(count);
    writer.finish(&Region { tensors: &tensors, input: 0, output: count, arena_bytes }).expect("a valid model")
}

fn parse_many_tensors(criterion: &mut Criterion) {
    let file = many_tensors();
    criterion.bench_function("parse_1024_tensors", |b| b.iter(|| Model::parse(black_box(&file)).is_ok()));
}

fn parse(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("parse_784-256-10");
    for group in [32, 40, 8] {
        let file = file(GroupSize::new(group).expect("a group size"));
        bench.throughput(Throughput::Bytes(file.len() as u64));
        bench.bench_function(BenchmarkId::from_parameter(format!("g{group}")), |b| {
            b.iter(|| Model::parse(black_box(&file)).is_ok());
        });
    }
    bench.finish();
}

criterion_group!(benches, parse, parse_many_tensors, parse_large);
criterion_main!(benches);
