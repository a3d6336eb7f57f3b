//! Depthwise convolutions, operators with int8 weights, pooling, concatenation and padding of every instruction set's table
//! against the scalar definition. Cases come from a generator of its own, so that the test runs under emulators too.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod random;

use random::Random;
use trishift_format::bound::Accumulators;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{Conv2d, DataType, GroupSize, InputScale, Linear, Model, Operator, Tensor, TensorClass, Window};
use trishift_kernels::conv2d::Conv2d as Layer;
use trishift_kernels::geometry::Geometry;
use trishift_kernels::int8_linear::Int8Linear;
use trishift_kernels::pool::mean_shift;
use trishift_kernels::simd::depthwise::PackedDepthwise;
use trishift_kernels::{Kernels, Outputs, SCALAR};

impl Random {
    /// All of the smallest, the extremes, or any.
    fn elements(&mut self, length: usize) -> Vec<i8> {
        match self.below(4) {
            0 => vec![-128; length],
            1 => (0..length).map(|_| self.of(&[-128, 127])).collect(),
            _ => (0..length).map(|_| self.next() as i8).collect(),
        }
    }

    /// A window over an image; most fit.
    fn window(&mut self) -> Window {
        let kernel = self.of(&[[1, 1], [2, 3], [3, 3], [5, 5], [10, 4], [1, 7]]);
        let stride = [1 + self.below(3) as u8, 1 + self.below(3) as u8];
        let padding = [0, 1, 0, 1].map(|axis| self.below(usize::from(kernel[axis])) as u8);
        Window { kernel, stride, padding }
    }

    fn image(&mut self) -> [u32; 3] {
        let channels = self.of(&[1, 3, 16, 31, 32, 33, 40, 64, 70]);
        [1 + self.below(9) as u32, 1 + self.below(9) as u32, channels]
    }
}

/// The smallest exponent of weights.
const SMALLEST: i8 = -40;

fn tensor(class: TensorClass, data_type: DataType, exponent: i16, shape: [u32; 3]) -> Tensor {
    Tensor { data_type, class, exponent, shape, offset: 0, first: 0, last: 0 }
}

/// The file of one operator with int32 outputs; none where its sums do not fit int32.
fn file(mut writer: ModelWriter, operator: &Operator, input: [u32; 3], output: [u32; 3]) -> Option<Vec<u8>> {
    writer.push(operator).unwrap();
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensors = [
        tensor(TensorClass::Input, DataType::I8, 0, input),
        tensor(TensorClass::Output, DataType::I32, SMALLEST.into(), output),
    ];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).ok()
}

/// What a table's `run` gives with int8 outputs and with int32 ones, against the definition.
fn compare(what: &str, length: usize, scale: i32, mut run: impl FnMut(&Kernels, Accumulators, bool, Outputs<'_>)) {
    let mut of = |kernels: &Kernels| {
        let (mut narrow, mut wide) = (vec![99; length], vec![99; length]);
        run(kernels, Accumulators::PerRow { scale }, scale % 2 == 0, Outputs::I8(&mut narrow));
        run(kernels, Accumulators::Layer { exponent: SMALLEST.into() }, false, Outputs::I32(&mut wide));
        (narrow, wide)
    };
    let expected = of(&SCALAR);
    for kernels in trishift_kernels::available().chain([&trishift_kernels::PORTABLE]) {
        assert!(of(kernels) == expected, "{}: {what}, scale {scale}", kernels.name);
    }
}

/// Scratch of a depthwise convolution: what is in it must not matter.
fn scratch_of(kernels: &Kernels, geometry: &Geometry, in_place: bool) -> Vec<i32> {
    vec![0x5A5A_5A5A; kernels.scratch.depthwise_conv2d(geometry, in_place) / 4]
}

#[test]
fn depthwise_convolutions() {
    let mut random = Random(1);
    let (mut cases, mut in_place) = (0, 0);
    for _ in 0..1500 {
        let (window, image) = (random.window(), random.image());
        let Some([height, width]) = window.output([image[0], image[1]]) else { continue };
        let (rows, columns) = (image[2] as usize, window.area());
        let group = random.of(&GroupSize::ALL);
        // Beyond 14 weights no longer fit 16 bits.
        let distance = random.of(&[0, 5, 14, 15, 18]);
        let trits: Vec<i8> = (0..rows * columns).map(|_| random.of(&[-1, 0, 1, 1])).collect();
        let exponents: Vec<i8> =
            (0..rows * group.count(columns)).map(|_| SMALLEST + random.below(distance + 1) as i8).collect();
        let mut writer = ModelWriter::new("case");
        let weights =
            writer.add_matrix(&MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents }).unwrap();
        let biases: Vec<i32> = (0..rows).map(|_| random.below(20_001) as i32 - 10_000).collect();
        let bias = (random.below(2) == 0).then(|| writer.add_bias(&biases).unwrap());
        let op = Conv2d { input: 0, output: 1, relu: false, window, weights, bias };
        let output = [height, width, image[2]];
        let Some(file) = file(writer, &Operator::DepthwiseConv2d(op), image, output) else { continue };
        let model = Model::parse(&file).unwrap();
        let geometry = Geometry::new(&window, &model.input(), &model.output());
        let (matrix, bias) = (model.matrix(&weights), model.bias_at(bias, weights.rows));
        let layer = |accumulators, relu| Layer { matrix, bias, accumulators, relu, geometry };
        let samples = 1 + random.below(3);
        let input = random.elements(samples * geometry.input_len());
        let length = samples * geometry.output_len();
        let scale = i32::from(SMALLEST) + random.below(24) as i32 - 4;
        let what = format!("{window:?} over {image:?}, distance {distance}");
        compare(&what, length, scale, |kernels, accumulators, relu, output| {
            let mut scratch = scratch_of(kernels, &geometry, false);
            (kernels.depthwise_conv2d)(&layer(accumulators, relu), &input, &mut scratch, output);
        });
        compare(&format!("packed {what}"), length, scale, |kernels, accumulators, relu, output| {
            let layer = layer(accumulators, relu);
            match kernels.packed_depthwise_conv2d {
                Some(kernel) => kernel(&PackedDepthwise::new(&layer), &input, output),
                None => {
                    let mut scratch = scratch_of(kernels, &geometry, false);
                    (kernels.depthwise_conv2d)(&layer, &input, &mut scratch, output);
                }
            }
        });
        cases += 1;
        if image == output {
            in_place += 1;
            compare(&format!("in place {what}"), length, scale, |kernels, accumulators, relu, output| {
                let Outputs::I8(output) = output else { return };
                output.copy_from_slice(&input);
                let mut scratch = scratch_of(kernels, &geometry, true);
                (kernels.depthwise_conv2d_in_place)(&layer(accumulators, relu), &mut scratch, output);
            });
        }
    }
    assert!(cases > 400 && in_place > 40, "{cases}, {in_place}");
}

#[test]
fn int8_weights() {
    let mut random = Random(2);
    let mut cases = [0; 3];
    for index in 0..900 {
        let kind = index % 3;
        let (window, mut image) = (random.window(), random.image());
        let (window, output) = if kind == 0 {
            image = [1, 1, 1 + random.below(300) as u32];
            (Window::new([1, 1]), [1, 1, 1 + random.below(70) as u32])
        } else {
            let Some([height, width]) = window.output([image[0], image[1]]) else { continue };
            (window, [height, width, if kind == 1 { 1 + random.below(20) as u32 } else { image[2] }])
        };
        let rows = output[2] as usize;
        let columns = window.area() * if kind == 2 { 1 } else { image[2] as usize };
        let values: Vec<i8> = random.elements(rows * columns);
        let exponents: Vec<i8> = (0..rows).map(|_| SMALLEST + random.below(6) as i8).collect();
        let mut writer = ModelWriter::new("case");
        let weights = writer.add_int8(columns, &values, &exponents).unwrap();
        let biases: Vec<i32> = (0..rows).map(|_| random.below(20_001) as i32 - 10_000).collect();
        let bias = (random.below(2) == 0).then(|| writer.add_bias(&biases).unwrap());
        let op = Conv2d { input: 0, output: 1, relu: false, window, weights, bias };
        let operator = match kind {
            0 => Operator::Int8Linear(Linear { input: 0, output: 1, relu: false, weights, bias }),
            1 => Operator::Int8Conv2d(op),
            _ => Operator::Int8DepthwiseConv2d(op),
        };
        let Some(file) = file(writer, &operator, image, output) else { continue };
        let model = Model::parse(&file).unwrap();
        let geometry = Geometry::new(&window, &model.input(), &model.output());
        let (matrix, bias) = (model.int8_matrix(&weights), model.bias_at(bias, weights.rows));
        let samples = 1 + random.below(3);
        let input = random.elements(samples * geometry.input_len());
        let scale = i32::from(SMALLEST) + random.below(24) as i32 - 4;
        let what = format!("{operator:?} over {image:?}");
        compare(&what, samples * geometry.output_len(), scale, |kernels, accumulators, relu, output| {
            let layer = Layer { matrix, bias, accumulators, relu, geometry };
            match kind {
                0 => (kernels.int8_linear)(&Int8Linear { matrix, bias, accumulators, relu }, &input, output),
                1 => {
                    let bytes = kernels.scratch.int8_conv2d(&geometry, matrix.rows(), matrix.columns());
                    (kernels.int8_conv2d)(&layer, &input, &mut vec![0x5A5A_5A5A; bytes / 4], output);
                }
                _ => {
                    let bytes = kernels.scratch.int8_depthwise_conv2d(&geometry);
                    (kernels.int8_depthwise_conv2d)(&layer, &input, &mut vec![0x5A5A_5A5A; bytes / 4], output);
                }
            }
        });
        cases[kind] += 1;
    }
    assert!(cases.iter().all(|cases| *cases > 80), "{cases:?}");
}

#[test]
fn large_windows_go_by_the_definition() {
    let mut random = Random(3);
    // More taps than are unpacked, and more columns than are gathered.
    let (window, channels) = (Window::new([12, 12]), 60);
    let (input, output) = ([13, 12, channels], [2, 1, channels]);
    let area = window.area();
    let values: Vec<i8> = random.elements(channels as usize * area * channels as usize);
    let mut writer = ModelWriter::new("case");
    let depthwise = writer.add_int8(area, &values[..channels as usize * area], &[SMALLEST; 60]).unwrap();
    let full = writer.add_int8(area * 60, &values, &[SMALLEST; 60]).unwrap();
    let op = Conv2d { input: 0, output: 1, relu: false, window, weights: full, bias: None };
    let file = file(writer, &Operator::Int8Conv2d(op), input, output).unwrap();
    let model = Model::parse(&file).unwrap();
    let geometry = Geometry::new(&window, &model.input(), &model.output());
    let input = random.elements(geometry.input_len());
    for depth in [false, true] {
        compare("a large window", geometry.output_len(), -27, |kernels, accumulators, relu, output| {
            let matrix = model.int8_matrix(if depth { &depthwise } else { &full });
            let layer = Layer { matrix, bias: None, accumulators, relu, geometry };
            let kernel = if depth { kernels.int8_depthwise_conv2d } else { kernels.int8_conv2d };
            let scratch = &kernels.scratch;
            let bytes = match depth {
                true => scratch.int8_depthwise_conv2d(&geometry),
                false => scratch.int8_conv2d(&geometry, matrix.rows(), matrix.columns()),
            };
            kernel(&layer, &input, &mut vec![0x5A5A_5A5A; bytes / 4], output);
        });
    }
}

/// The int8 elements that a table's `run` writes, against the definition.
fn each(what: &str, length: usize, mut run: impl FnMut(&Kernels, &mut [i8])) {
    let mut of = |kernels: &Kernels| {
        let mut output = vec![99; length];
        run(kernels, &mut output);
        output
    };
    let expected = of(&SCALAR);
    for kernels in trishift_kernels::available().chain([&trishift_kernels::PORTABLE]) {
        assert_eq!(of(kernels), expected, "{}: {what}", kernels.name);
    }
}

#[test]
fn pooling_concatenation_and_padding() {
    let mut random = Random(4);
    let mut cases = 0;
    for _ in 0..400 {
        let (window, image) = (random.window(), random.image());
        let Some([height, width]) = window.output([image[0], image[1]]) else { continue };
        let tensor = |shape| tensor(TensorClass::Arena, DataType::I8, 0, shape);
        let geometry = Geometry::new(&window, &tensor(image), &tensor([height, width, image[2]]));
        let samples = 1 + random.below(3);
        let input = random.elements(samples * geometry.input_len());
        let what = format!("{window:?} over {image:?}");
        let length = samples * geometry.output_len();
        each(&what, length, |kernels, output| (kernels.max_pool)(&geometry, &input, output));
        let shift = mean_shift(window.area(), 0, random.below(5) as i32 - 2);
        each(&what, length, |kernels, output| (kernels.avg_pool)(&geometry, shift, &input, output));
        let [above, left, below, right] = window.padding.map(u32::from);
        let padded = [image[0] + above + below, image[1] + left + right, image[2]];
        let before = [above as usize, left as usize];
        let geometry = Geometry { before, ..Geometry::new(&Window::new([1, 1]), &tensor(image), &tensor(padded)) };
        let length = samples * geometry.output_len();
        each(&what, length, |kernels, output| (kernels.pad)(&geometry, &input, output));
        let channels = [image[2] as usize, 1 + random.below(40)];
        let right = random.elements(input.len() / channels[0] * channels[1]);
        let length = input.len() + right.len();
        cases += 1;
        each(&what, length, |kernels, output| (kernels.concat)(&input, &right, channels, output));
    }
    assert!(cases > 100, "{cases}");
}
