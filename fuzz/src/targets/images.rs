//! Cases of the target `kernels` on images and with int8 weights.

use super::kernels::{compare, image, layer};
use crate::generate::bias;
use crate::generate_images::window;
use crate::network::{Int8Weights, Node, Weights};
use crate::random::Random;
use arbitrary::{Result, Unstructured};
use trishift_format::{DataType, Model, Operator, OperatorKind, Tensor, TensorClass, Window};
use trishift_kernels::conv2d::Conv2d;
use trishift_kernels::geometry::Geometry;
use trishift_kernels::int8_linear::Int8Linear;
use trishift_kernels::pool::mean_shift;
use trishift_kernels::{Kernels, Outputs, SCALAR};

/// Most rows and columns of an image, most channels, and most weights of a case and multiplications of a sample.
const MOST: [usize; 4] = [12, 40, 1 << 12, 1 << 15];

/// What a kernel wrote; both are filled with what no case is likely to give.
#[derive(Debug, PartialEq)]
struct Written(Vec<i8>, Vec<i32>);

impl Written {
    /// By a kernel that writes elements of this tensor's type.
    fn by(to: &Tensor, samples: usize, f: impl FnOnce(Outputs<'_>)) -> Self {
        let (mut narrow, mut wide) = (vec![], vec![]);
        match to.data_type {
            DataType::I8 => {
                narrow.resize(samples * to.len(), 77);
                f(Outputs::I8(&mut narrow));
            }
            DataType::I32 => {
                wide.resize(samples * to.len(), 77);
                f(Outputs::I32(&mut wide));
            }
        }
        Self(narrow, wide)
    }
}

/// An image with a channel's elements behind each other; mostly small, as definitions take their time.
fn shape(u: &mut Unstructured<'_>) -> Result<[u32; 3]> {
    let channels = *u.choose(&[1, 2, 3, 4, 5, 8, 15, 16, 17, 32, MOST[1] as u32])?;
    Ok([u.int_in_range(1..=MOST[0] as u32)?, u.int_in_range(1..=MOST[0] as u32)?, channels])
}

fn scratch(bytes: usize) -> Vec<i32> {
    vec![0x5A5A_5A5A; bytes.div_ceil(4)]
}

/// Type and exponent of an output of weights with this smallest exponent.
fn units(u: &mut Unstructured<'_>, unit: i32) -> Result<(DataType, i32)> {
    Ok(match u.arbitrary()? {
        true => (DataType::I32, unit - u.int_in_range(0..=2)?),
        false => (DataType::I8, unit + u.int_in_range(-10..=40)?),
    })
}

/// A convolution of any of the four kinds; a depthwise one that keeps the size in place too.
pub(super) fn convolution(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    use OperatorKind::{
        Conv2d as All, DepthwiseConv2d as Each, Int8Conv2d as Int8All, Int8DepthwiseConv2d as Int8Each,
    };
    let kind = *u.choose(&[All, All, Each, Each, Int8All, Int8Each])?;
    let from_shape = shape(u)?;
    let [height, width, channels] = from_shape;
    let depthwise = matches!(kind, Each | Int8Each);
    let rows = if depthwise { channels } else { u.int_in_range(1..=MOST[1] as u32)? };
    let (mut window, mut size) = window(u, [height, width], rows.into())?;
    if depthwise && u.arbitrary()? {
        window = Window::same(window.kernel, [1, 1], [height, width]).expect("a window without zeros");
        size = [height, width];
    }
    let columns = |window: &Window| window.area() * if depthwise { 1 } else { channels as usize };
    let work = |window: &Window, size: [u32; 2]| columns(window) * rows as usize * (size[0] * size[1]) as usize;
    if columns(&window) * rows as usize > MOST[2] || work(&window, size) > MOST[3] {
        (window, size) = (Window::new([1, 1]), [height, width]);
    }
    let (mut weights, mut int8) = (None, None);
    let (rows, columns) = (rows as usize, columns(&window));
    let unit = match kind {
        All | Each => weights.insert(Weights::generate(u, rows, columns)?).unit(),
        _ => int8.insert(Int8Weights::generate(u, rows, columns)?).unit(),
    };
    let (data_type, exponent) = units(u, unit)?;
    let relu = u.arbitrary::<bool>()? && data_type == DataType::I8;
    let node = Node { relu, weights, int8, bias: bias(u, rows)?, window: Some(window), ..Node::new(kind, [0; 2], 1) };
    let from = image(TensorClass::Input, DataType::I8, 0, from_shape);
    let to = image(TensorClass::Output, data_type, exponent, [size[0], size[1], rows as u32]);
    let Some(file) = layer(node, from, to) else { return Ok(None) };
    let samples = u.int_in_range(1..=3)?;
    let input = Random(u.arbitrary()?).activations(samples * from.len());
    let model = Model::parse(&file).expect("the writer has parsed it");
    compare(kind.name(), |kernels| {
        Written::by(&to, samples, |outputs| run(&model, kernels, [&from, &to], &input, outputs))
    });
    if kind == Each && from.shape == to.shape && data_type == DataType::I8 {
        let apart = Written::by(&to, samples, |outputs| run(&model, &SCALAR, [&from, &to], &input, outputs));
        compare("depthwise-conv2d in place", |kernels| {
            let found = in_place(&model, kernels, [&from, &to], &input);
            assert_eq!(found, apart.0, "{} in place", kernels.name);
        });
    }
    let size = if window.area() == 1 { "of-one" } else { "windows" };
    Ok(Some(format!("{}-{}-{size}", kind.name(), if data_type == DataType::I8 { "int8" } else { "int32" })))
}

/// The model's only operator on this input.
fn run(model: &Model<'_>, kernels: &Kernels, tensors: [&Tensor; 2], input: &[i8], outputs: Outputs<'_>) {
    match model.operators().next() {
        Some(Operator::Conv2d(op)) => {
            let layer = conv2d(model, &op, model.matrix(&op.weights), tensors);
            let [rows, columns] = [op.weights.rows, op.weights.columns].map(|number| number as usize);
            let scratch = &mut scratch(kernels.scratch.conv2d(&layer.geometry, rows, columns));
            (kernels.conv2d)(&layer, input, scratch, outputs);
        }
        Some(Operator::DepthwiseConv2d(op)) => {
            let layer = conv2d(model, &op, model.matrix(&op.weights), tensors);
            let scratch = &mut scratch(kernels.scratch.depthwise_conv2d(&layer.geometry, false));
            (kernels.depthwise_conv2d)(&layer, input, scratch, outputs);
        }
        Some(Operator::Int8Conv2d(op)) => {
            let layer = conv2d(model, &op, model.int8_matrix(&op.weights), tensors);
            let [rows, columns] = [op.weights.rows, op.weights.columns].map(|number| number as usize);
            let scratch = &mut scratch(kernels.scratch.int8_conv2d(&layer.geometry, rows, columns));
            (kernels.int8_conv2d)(&layer, input, scratch, outputs);
        }
        Some(Operator::Int8DepthwiseConv2d(op)) => {
            let layer = conv2d(model, &op, model.int8_matrix(&op.weights), tensors);
            let scratch = &mut scratch(kernels.scratch.int8_depthwise_conv2d(&layer.geometry));
            (kernels.int8_depthwise_conv2d)(&layer, input, scratch, outputs);
        }
        _ => unreachable!("one convolution"),
    }
}

fn in_place(model: &Model<'_>, kernels: &Kernels, tensors: [&Tensor; 2], input: &[i8]) -> Vec<i8> {
    let Some(Operator::DepthwiseConv2d(op)) = model.operators().next() else { unreachable!("a depthwise one") };
    let layer = conv2d(model, &op, model.matrix(&op.weights), tensors);
    let mut scratch = scratch(kernels.scratch.depthwise_conv2d(&layer.geometry, true));
    let mut data = input.to_vec();
    (kernels.depthwise_conv2d_in_place)(&layer, &mut scratch, &mut data);
    data
}

fn conv2d<'m, W, M>(
    model: &Model<'m>,
    op: &trishift_format::Conv2d<W>,
    matrix: M,
    [from, to]: [&Tensor; 2],
) -> Conv2d<'m, M> {
    Conv2d {
        matrix,
        bias: model.bias_at(op.bias, to.shape[2]),
        accumulators: model.accumulators_between(op.input, op.output),
        relu: op.relu,
        geometry: Geometry::new(&op.window, from, to),
    }
}

pub(super) fn int8_linear(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    let (rows, columns) = (u.int_in_range(1..=MOST[1])?, u.int_in_range(1..=MOST[2] / MOST[1])?);
    let weights = Int8Weights::generate(u, rows, columns)?;
    let (data_type, exponent) = units(u, weights.unit())?;
    let relu = u.arbitrary::<bool>()? && data_type == DataType::I8;
    let node =
        Node { relu, int8: Some(weights), bias: bias(u, rows)?, ..Node::new(OperatorKind::Int8Linear, [0; 2], 1) };
    let from = image(TensorClass::Input, DataType::I8, 0, [1, 1, columns as u32]);
    let to = image(TensorClass::Output, data_type, exponent, [1, 1, rows as u32]);
    let Some(file) = layer(node, from, to) else { return Ok(None) };
    let samples = u.int_in_range(1..=5)?;
    let input = Random(u.arbitrary()?).activations(samples * columns);
    let model = Model::parse(&file).expect("the writer has parsed it");
    let Some(Operator::Int8Linear(op)) = model.operators().next() else { unreachable!("one linear layer") };
    let layer = Int8Linear {
        matrix: model.int8_matrix(&op.weights),
        bias: model.bias_at(op.bias, op.weights.rows),
        accumulators: model.accumulators_between(0, 1),
        relu,
    };
    compare("int8-linear", |kernels| {
        Written::by(&to, samples, |outputs| (kernels.int8_linear)(&layer, &input, outputs))
    });
    Ok(Some(format!("int8-linear-{}", if data_type == DataType::I8 { "int8" } else { "int32" })))
}

/// Pools, and what moves elements about.
pub(super) fn pools(u: &mut Unstructured<'_>) -> Result<Option<String>> {
    let from_shape = shape(u)?;
    let [height, width, channels] = from_shape;
    let (mut window, mut size) = window(u, [height, width], channels.into())?;
    if window.area() * (size[0] * size[1] * channels) as usize > MOST[3] {
        (window, size) = (Window::new([1, 1]), [height, width]);
    }
    let from = image(TensorClass::Input, DataType::I8, 0, from_shape);
    let to = image(TensorClass::Output, DataType::I8, 0, [size[0], size[1], channels]);
    let samples = u.int_in_range(1..=3)?;
    let mut random = Random(u.arbitrary()?);
    let input = random.activations(samples * from.len());
    let geometry = Geometry::new(&window, &from, &to);
    let filled = |len: usize, f: &mut dyn FnMut(&mut [i8])| {
        let mut output = vec![55; len];
        f(&mut output);
        output
    };
    let outputs = samples * to.len();
    compare("max-pool", |kernels| filled(outputs, &mut |output| (kernels.max_pool)(&geometry, &input, output)));
    let shift = mean_shift(window.area(), 0, u.int_in_range(-40..=40)?);
    compare("avg-pool", |kernels| filled(outputs, &mut |output| (kernels.avg_pool)(&geometry, shift, &input, output)));
    let second = u.int_in_range(1..=MOST[1])?;
    let pixels = samples * (height * width) as usize;
    let right = random.activations(pixels * second);
    let both = [channels as usize, second];
    compare("concat", |kernels| {
        filled(pixels * (both[0] + both[1]), &mut |output| (kernels.concat)(&input, &right, both, output))
    });
    let mut around = || u.int_in_range(0..=3u32);
    let [above, left, below, behind] = [around()?, around()?, around()?, around()?];
    let padded = [above + height + below, left + width + behind, channels];
    let padded = image(TensorClass::Output, DataType::I8, 0, padded);
    let before = [above as usize, left as usize];
    let geometry = Geometry { before, ..Geometry::new(&Window::new([1, 1]), &from, &padded) };
    compare("pad", |kernels| filled(samples * padded.len(), &mut |output| (kernels.pad)(&geometry, &input, output)));
    Ok(Some(format!("pools-{}", if window.area() == 1 { "of-one" } else { "windows" })))
}
