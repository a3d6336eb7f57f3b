//! Convolutions of every instruction set on 16 samples: layers of ResNet-8 and of a keyword spotter, by packed weights where
//! there are some.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{Conv2d, DataType, GroupSize, InputScale, Model, Operator, Tensor, TensorClass, Window};
use trishift_kernels::Outputs;
use trishift_kernels::conv2d::Conv2d as Layer;
use trishift_kernels::geometry::Geometry;
use trishift_kernels::simd::depthwise::PackedDepthwise;
use trishift_kernels::simd::linear::Workspace;

const SAMPLES: usize = 16;

/// A model of one convolution, or a depthwise one, with pseudo-random trits and exponents in a 6-bit window. Requantising
/// shifts leave most outputs inside int8.
fn file(input: [u32; 3], channels: u32, window: Window, depthwise: bool) -> Vec<u8> {
    let hash = |i: usize| (i as u32).wrapping_mul(2_654_435_761) >> 16;
    let columns = window.area() * if depthwise { 1 } else { input[2] as usize };
    let (rows, group) = (channels as usize, GroupSize::new(32).expect("group size"));
    let trits: Vec<i8> = (0..rows * columns).map(|i| (hash(i) % 3) as i8 - 1).collect();
    let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|i| (hash(i) % 6) as i8 - 9).collect();
    let mut writer = ModelWriter::new("bench");
    let matrix = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
    let weights = writer.add_matrix(&matrix).expect("valid matrix");
    let op = Conv2d { input: 0, output: 1, relu: true, window, weights, bias: None };
    let operator = if depthwise { Operator::DepthwiseConv2d(op) } else { Operator::Conv2d(op) };
    writer.push(&operator).expect("valid operator");
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensor = |class, exponent, shape| Tensor {
        data_type: DataType::I8,
        class,
        exponent,
        shape,
        offset: 0,
        first: 0,
        last: 0,
    };
    let [height, width] = window.output([input[0], input[1]]).expect("window that fits");
    let exponent = columns.ilog2() as i16 / 2 - 5;
    let tensors =
        [tensor(TensorClass::Input, 0, input), tensor(TensorClass::Output, exponent, [height, width, channels])];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).expect("valid model")
}

fn convolutions(criterion: &mut Criterion) {
    let mut bench = criterion.benchmark_group("conv2d");
    bench.sample_size(10);
    for (input, channels, kernel, stride, depthwise) in [
        ([32, 32, 3], 16, [3, 3], 1, false),
        ([32, 32, 16], 16, [3, 3], 1, false),
        ([32, 32, 16], 32, [1, 1], 2, false),
        ([16, 16, 32], 32, [3, 3], 1, false),
        ([8, 8, 64], 64, [3, 3], 1, false),
        ([49, 10, 1], 64, [10, 4], 2, false),
        ([25, 5, 64], 64, [3, 3], 1, true),
    ] {
        let window = Window::same(kernel, [stride; 2], [input[0], input[1]]).expect("valid window");
        let file = file(input, channels, window, depthwise);
        let model = Model::parse(&file).expect("valid model");
        let op = match model.operators().next() {
            Some(Operator::Conv2d(op) | Operator::DepthwiseConv2d(op)) => op,
            _ => continue,
        };
        let layer = Layer {
            matrix: model.matrix(&op.weights),
            bias: None,
            accumulators: model.accumulators_between(op.input, op.output),
            relu: true,
            geometry: Geometry::new(&op.window, &model.input(), &model.output()),
        };
        let input: Vec<i8> = (0..SAMPLES * model.input().len()).map(|i| (i * 37 % 255) as u8 as i8).collect();
        let mut output = vec![0i8; SAMPLES * model.output().len()];
        bench.throughput(Throughput::Elements(SAMPLES as u64 * model.macs()));
        for kernels in trishift_kernels::available() {
            let [height, width, depth] = layer.geometry.input;
            let what = if depthwise { "_depthwise" } else { "" };
            let name = format!("{height}x{width}x{depth}_{channels}_{}x{}{what}", kernel[0], kernel[1]);
            let id = BenchmarkId::new(kernels.name, name);
            let mut workspace = Workspace::new();
            match (&kernels.packed, kernels.packed_depthwise_conv2d) {
                (Some(packed), _) if !depthwise => {
                    let weights = (packed.pack_conv2d)(&layer);
                    bench.bench_function(id, |b| {
                        b.iter(|| (packed.conv2d)(&weights, &input, &mut workspace, Outputs::I8(&mut output)));
                    });
                }
                (_, Some(kernel)) => {
                    let weights = PackedDepthwise::new(&layer);
                    bench.bench_function(id, |b| b.iter(|| kernel(&weights, &input, Outputs::I8(&mut output))));
                }
                _ => {
                    let kernel = if depthwise { kernels.depthwise_conv2d } else { kernels.conv2d };
                    bench.bench_function(id, |b| {
                        b.iter(|| kernel(&layer, &input, &mut [], Outputs::I8(&mut output)));
                    });
                }
            }
        }
    }
    bench.finish();
}

criterion_group!(benches, convolutions);
criterion_main!(benches);
