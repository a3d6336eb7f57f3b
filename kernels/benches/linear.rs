//! Linear layers of every instruction set: 4096 × 4096 at batch 1 and 32, the first layer of the MNIST network, and what
//! packing a matrix takes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{DataType, GroupSize, InputScale, Linear, Model, Operator, Tensor, TensorClass, TernaryMatrix};
use trishift_kernels::linear::LinearI32;
use trishift_kernels::simd::linear::{PackedI32, Workspace};

/// A model of one linear layer with pseudo-random trits and exponents in a 6-bit window.
fn file(rows: usize, columns: usize, group: GroupSize) -> Vec<u8> {
    let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 16;
    let trits: Vec<i8> = (0..rows * columns).map(|i| (hash(i) % 3) as i8 - 1).collect();
    let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|i| (hash(i) % 6) as i8 - 9).collect();
    let mut writer = ModelWriter::new("bench");
    let matrix = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
    let weights = writer.add_matrix(&matrix).expect("valid matrix");
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
        [tensor(TensorClass::Input, DataType::I8, 0, columns), tensor(TensorClass::Output, DataType::I32, -9, rows)];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).expect("valid model")
}

fn linear(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("linear_i32");
    bench.sample_size(10);
    for (rows, columns, group, batch) in
        [(4096, 4096, 32, 1), (4096, 4096, 32, 32), (256, 784, 32, 1), (256, 784, 8, 1)]
    {
        let file = file(rows, columns, GroupSize::new(group).expect("group size"));
        let model = Model::parse(&file).expect("valid model");
        let Some(Operator::Linear(op)) = model.operators().next() else { continue };
        let layer = LinearI32 { matrix: model.matrix(&op.weights), bias: None, exponent: -9 };
        let input: Vec<i8> = (0..batch * columns).map(|i| (i * 37 % 255) as u8 as i8).collect();
        let mut output = vec![0; batch * rows];
        bench.throughput(Throughput::Elements((rows * columns * batch) as u64));
        for kernels in trishift_kernels::available() {
            let id = BenchmarkId::new(kernels.name, format!("{rows}x{columns}_g{group}_b{batch}"));
            if let Some(packed) = &kernels.packed {
                let (matrix, mut workspace) = ((packed.pack)(&layer.matrix), Workspace::new());
                let layer = PackedI32 { matrix: &matrix, bias: None, exponent: -9, rows: 0..rows };
                bench.bench_function(id, |b| {
                    b.iter(|| (packed.linear_i32)(&layer, &input, &mut workspace, &mut output));
                });
            } else {
                bench.bench_function(id, |b| b.iter(|| (kernels.linear_i32)(&layer, &input, &mut [], &mut output)));
            }
        }
    }
    bench.finish();
}

/// The trits of a matrix, one byte and one trit after the other, as the words of blocks of 64 rows.
fn byte_by_byte(matrix: &TernaryMatrix<'_>, quads: usize) -> Vec<u32> {
    let mut words = vec![0u32; matrix.rows().div_ceil(64) * quads * 16];
    for row in 0..matrix.rows() {
        let (block, field, lane) = (row / 64, row % 64 / 16, row % 16);
        let mut column = 0;
        for group in matrix.row(row).iter().flat_map(|row| row.groups()) {
            let end = column + group.len;
            for byte in group.bytes {
                let mut digits = *byte;
                for _ in 0..5 {
                    if column < end {
                        let word = &mut words[(block * quads + column / 4) * 16 + lane];
                        *word |= u32::from(digits % 3) << (8 * (column % 4) + 2 * field);
                        digits /= 3;
                        column += 1;
                    }
                }
            }
        }
    }
    words
}

fn packing(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("pack");
    bench.sample_size(10);
    for group in [4, 8, 32] {
        let file = file(4096, 4096, GroupSize::new(group).expect("group size"));
        let model = Model::parse(&file).expect("valid model");
        let Some(Operator::Linear(op)) = model.operators().next() else { continue };
        let matrix = model.matrix(&op.weights);
        bench.throughput(Throughput::Elements(4096 * 4096));
        for kernels in trishift_kernels::available() {
            let Some(packed) = &kernels.packed else { continue };
            let id = BenchmarkId::new(kernels.name, format!("4096x4096_g{group}"));
            bench.bench_function(id, |b| b.iter(|| (packed.pack)(&matrix)));
        }
        let id = BenchmarkId::new("byte by byte", format!("4096x4096_g{group}"));
        bench.bench_function(id, |b| b.iter(|| byte_by_byte(&matrix, 1024)));
    }
    bench.finish();
}

criterion_group!(benches, linear, packing);
criterion_main!(benches);
