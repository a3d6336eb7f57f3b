//! A model run by the words of `docs/format.md`, in i64, from the trits and without the runtime's kernels.

use trishift::Model;
use trishift_format::bound::Accumulators;
use trishift_format::{Conv2d, Operator, Tensor, TensorClass, Window};

/// The values of every tensor for one sample.
pub(crate) fn run(model: &Model<'_>, sample: &[i8]) -> Vec<Vec<i64>> {
    let mut values: Vec<Vec<i64>> = vec![Vec::new(); model.tensors().len()];
    values[usize::from(model.input_index())] = sample.iter().map(|value| i64::from(*value)).collect();
    for operator in model.operators() {
        let [left, right] = operator.inputs();
        let (input, output) = (model.tensor(left), model.tensor(operator.output()));
        let (x, y) = (&values[usize::from(left)], &values[usize::from(right)]);
        let unchanged = || x.iter().copied();
        let result: Vec<i64> = match operator {
            Operator::Linear(op) => weighted(model, &operator, op.relu, None, x),
            Operator::Int8Linear(op) => weighted(model, &operator, op.relu, None, x),
            Operator::Conv2d(op) => weighted(model, &operator, op.relu, Some((window(&op), false)), x),
            Operator::Int8Conv2d(op) => weighted(model, &operator, op.relu, Some((window(&op), false)), x),
            Operator::DepthwiseConv2d(op) => weighted(model, &operator, op.relu, Some((window(&op), true)), x),
            Operator::Int8DepthwiseConv2d(op) => weighted(model, &operator, op.relu, Some((window(&op), true)), x),
            Operator::Relu(_) => unchanged().map(|x| x.max(0)).collect(),
            Operator::Reshape(_) => unchanged().collect(),
            Operator::Add(op) => {
                assert_eq!(input.exponent, model.tensor(right).exponent);
                x.iter().zip(y).map(|(x, y)| clamp(x + y, op.relu)).collect()
            }
            Operator::Concat(_) => {
                let channels = [input.shape[2], model.tensor(right).shape[2]].map(|channels| channels as usize);
                let pixels = x.chunks(channels[0]).zip(y.chunks(channels[1]));
                pixels.flat_map(|(x, y)| [x, y].concat()).collect()
            }
            Operator::Pad(op) => {
                let window = Window { padding: op.padding, ..Window::new([1, 1]) };
                pooled(&window, &input, &output, x, |under| under.first().copied().unwrap_or(0))
            }
            Operator::MaxPool(op) => {
                pooled(&op.window, &input, &output, x, |under| under.iter().copied().max().unwrap_or(-128))
            }
            Operator::AvgPool(op) => {
                let elements = op.window.area() as f64;
                let shift = elements.log2().round() as i32 + i32::from(output.exponent) - i32::from(input.exponent);
                pooled(&op.window, &input, &output, x, |under| requantize(under.iter().sum(), shift, false))
            }
            other => panic!("{} is not among the operators of the presets", other.kind()),
        };
        assert_eq!(result.len(), output.len());
        values[usize::from(operator.output())] = result;
    }
    values
}

/// Numbers of the tensors of a model that are int8, and are made by an operator with weights.
pub(crate) fn weighted_outputs(model: &Model<'_>) -> Vec<u16> {
    let has_weights = |operator: &Operator| operator.weights().is_some() || operator.int8_weights().is_some();
    let outputs = model.operators().filter(has_weights).map(|operator| operator.output());
    let is_int8 = |tensor: &Tensor| tensor.data_type == trishift_format::DataType::I8;
    outputs
        .filter(|output| is_int8(&model.tensor(*output)) && model.tensor(*output).class != TensorClass::Input)
        .collect()
}

fn window<W>(op: &Conv2d<W>) -> Window {
    op.window
}

/// A row of weights in units of 2^unit, and that unit.
fn rows(model: &Model<'_>, operator: &Operator) -> Vec<(Vec<i64>, i32)> {
    if let Some(record) = operator.weights() {
        let matrix = model.matrix(record);
        let row = |row: trishift_format::Row<'_>| {
            let mut trits = vec![0; matrix.columns()];
            row.unpack(&mut trits);
            let exponents: Vec<i32> = row.exponents().collect();
            let unit = exponents.iter().copied().min().unwrap_or(0);
            let group = matrix.group().get();
            let weight = |(column, trit): (usize, &i8)| i64::from(*trit) << (exponents[column / group] - unit);
            (trits.iter().enumerate().map(weight).collect(), unit)
        };
        return matrix.iter().map(row).collect();
    }
    let matrix = model.int8_matrix(operator.int8_weights().expect("weights"));
    matrix.iter().map(|row| (row.values.iter().map(|value| i64::from(*value as i8)).collect(), row.exponent)).collect()
}

/// An operator with weights; `slides` is the window and whether every channel is for itself.
fn weighted(model: &Model<'_>, operator: &Operator, relu: bool, slides: Option<(Window, bool)>, x: &[i64]) -> Vec<i64> {
    let (input, output) = (model.tensor(operator.inputs()[0]), model.tensor(operator.output()));
    let rows = rows(model, operator);
    let biases: Vec<i64> = match model.bias_at(operator.bias(), rows.len() as u32) {
        Some(bias) => bias.iter().map(i64::from).collect(),
        None => vec![0; rows.len()],
    };
    let accumulators = model.accumulators_between(operator.inputs()[0], operator.output());
    let finish = |row: usize, sum: i64| match accumulators {
        Accumulators::PerRow { scale } => requantize(sum + biases[row], scale - rows[row].1, relu),
        Accumulators::Layer { exponent } => (sum << (rows[row].1 - exponent)) + biases[row],
    };
    let Some((window, is_depthwise)) = slides else {
        let sum = |weights: &[i64]| weights.iter().zip(x).map(|(w, x)| w * x).sum();
        return rows.iter().enumerate().map(|(row, (weights, _))| finish(row, sum(weights))).collect();
    };
    let mut result = Vec::with_capacity(output.len());
    for_each_pixel(&output, |pixel| {
        for (row, (weights, _)) in rows.iter().enumerate() {
            let mut weights = weights.iter();
            let mut sum = 0;
            for tap in taps(&window) {
                let place = place(&window, &input, pixel, tap);
                let channels = if is_depthwise { row..row + 1 } else { 0..input.shape[2] as usize };
                for channel in channels {
                    let weight = weights.next().expect("a weight");
                    sum += place.map_or(0, |place| weight * x[place + channel]);
                }
            }
            result.push(finish(row, sum));
        }
    });
    result
}

fn pooled(window: &Window, input: &Tensor, output: &Tensor, x: &[i64], pool: impl Fn(&[i64]) -> i64) -> Vec<i64> {
    let mut result = Vec::with_capacity(output.len());
    for_each_pixel(output, |pixel| {
        for channel in 0..input.shape[2] as usize {
            let inside = taps(window).filter_map(|tap| place(window, input, pixel, tap));
            result.push(pool(&inside.map(|place| x[place + channel]).collect::<Vec<_>>()));
        }
    });
    result
}

fn for_each_pixel(output: &Tensor, mut f: impl FnMut([i64; 2])) {
    for row in 0..output.shape[0] {
        for column in 0..output.shape[1] {
            f([row.into(), column.into()]);
        }
    }
}

fn taps(window: &Window) -> impl Iterator<Item = [i64; 2]> + use<> {
    let [height, width] = window.kernel.map(i64::from);
    (0..height).flat_map(move |row| (0..width).map(move |column| [row, column]))
}

/// Where the channels of the pixel under a tap begin, if that is inside.
fn place(window: &Window, input: &Tensor, pixel: [i64; 2], tap: [i64; 2]) -> Option<usize> {
    let at = |axis: usize| pixel[axis] * i64::from(window.stride[axis]) + tap[axis] - i64::from(window.padding[axis]);
    let [height, width, channels] = input.shape.map(i64::from);
    let (row, column) = (at(0), at(1));
    let inside = (0..height).contains(&row) && (0..width).contains(&column);
    inside.then_some(((row * width + column) * channels) as usize)
}

fn requantize(sum: i64, shift: i32, relu: bool) -> i64 {
    let shifted = match shift {
        32.. => 0,
        1..=31 => (sum + (1 << (shift - 1))) >> shift,
        _ => sum << shift.unsigned_abs().min(20),
    };
    clamp(shifted, relu)
}

fn clamp(value: i64, relu: bool) -> i64 {
    value.clamp(if relu { 0 } else { -128 }, 127)
}
