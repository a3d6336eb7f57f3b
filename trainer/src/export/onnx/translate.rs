//! Operators as nodes.

use super::graph::{Attribute, Element, Graph, Numbers};
use super::product::{Layer, Product, convolution, placed};
use super::quantize::{from_int8, rounded, rounded_to_int8, scaled, to_int8};
use super::values::{Values, reshape};
use super::weights::Dense;
use super::{EXPONENT_LIMIT, OnnxError, element};
use trishift::kernels::pool::mean_shift;
use trishift_format::{
    Add, ArgMax, Concat, DataType, Embedding, Int8Record, MatrixRecord, Model, Operator, Pad, Pool2d, Relu, Requantize,
    ShiftNorm, TensorClass,
};

/// Elements of a sample up to which float64 adds up the magnitudes of int32 exactly.
const NORM_LIMIT: usize = 1 << 22;

/// Why a stream has no ONNX form.
const STATE: &str = "a graph keeps nothing from run to run; export the model without --stream";

/// Weights of an operator.
pub(super) fn weights(operator: &Operator) -> u64 {
    let (rows, columns) = match operator {
        Operator::Linear(op) => (op.weights.rows, op.weights.columns),
        Operator::Conv2d(op) | Operator::DepthwiseConv2d(op) => (op.weights.rows, op.weights.columns),
        Operator::Embedding(op) => (op.weights.rows, op.weights.columns),
        Operator::Int8Linear(op) => (op.weights.rows, op.weights.columns),
        Operator::Int8Conv2d(op) | Operator::Int8DepthwiseConv2d(op) => (op.weights.rows, op.weights.columns),
        _ => (0, 0),
    };
    u64::from(rows) * u64::from(columns)
}

/// Appends the nodes of operator number `index`; its output is in `values` then.
pub(super) fn operator(
    graph: &mut Graph,
    values: &mut Values,
    model: &Model<'_>,
    index: usize,
    operator: &Operator,
) -> Result<(), OnnxError> {
    let kind = operator.kind();
    let refused = |reason| Err(OnnxError::Operator { index, kind, reason });
    let [left, right] = operator.inputs();
    let tensors = [left, right, operator.output()];
    if tensors.into_iter().any(|tensor| model.tensor(tensor).class == TensorClass::Persistent) {
        return refused(STATE);
    }
    let beyond = Err(OnnxError::Range { index, kind });
    if tensors.into_iter().any(|tensor| exponent(model, tensor).abs() > EXPONENT_LIMIT) {
        return beyond;
    }
    let weighted = match operator {
        Operator::Linear(op) => Some(ternary(model, [op.input, op.output], op.relu, &op.weights, op.bias)),
        Operator::Int8Linear(op) => Some(int8(model, [op.input, op.output], op.relu, &op.weights, op.bias)),
        Operator::Conv2d(op) | Operator::DepthwiseConv2d(op) => {
            Some(ternary(model, [op.input, op.output], op.relu, &op.weights, op.bias))
        }
        Operator::Int8Conv2d(op) | Operator::Int8DepthwiseConv2d(op) => {
            Some(int8(model, [op.input, op.output], op.relu, &op.weights, op.bias))
        }
        _ => None,
    };
    if let Some(layer) = weighted {
        // Weights, and their products with inputs.
        let input = exponent(model, left);
        if layer.weights.units.iter().any(|unit| unit.abs().max((unit + input).abs()) > EXPONENT_LIMIT) {
            return beyond;
        }
        layer.append(graph, values, model, product(operator));
        return Ok(());
    }
    let mut nodes = Nodes { graph, values, model };
    match operator {
        Operator::ShiftNorm(op) if model.tensor(op.input).len() > NORM_LIMIT => {
            return refused("float64 adds up at most 2^22 elements exactly");
        }
        Operator::ShiftNorm(op) => nodes.shift_norm(op),
        Operator::Requantize(op) => nodes.requantize(op),
        Operator::Relu(op) => nodes.relu(op),
        Operator::Add(op) => nodes.add(op),
        Operator::ArgMax(op) => nodes.argmax(op),
        Operator::Embedding(op) => nodes.embedding(op),
        Operator::MaxPool(op) => nodes.max_pool(op),
        Operator::AvgPool(op) => nodes.avg_pool(op),
        Operator::Concat(op) => nodes.concat(op),
        Operator::Pad(op) => nodes.pad(op),
        Operator::Reshape(op) => {
            let row = nodes.values.row(nodes.graph, op.input);
            nodes.values.hold_row(op.output, row);
        }
        Operator::RmsNorm(_) => return refused("its integer root and division have no like there; a shift-norm has"),
        Operator::Softmax(_) => {
            return refused("its integer table has no like there; leave it to who reads the logits");
        }
        Operator::Slide(_) => return refused(STATE),
        Operator::Linear(_)
        | Operator::Int8Linear(_)
        | Operator::Conv2d(_)
        | Operator::DepthwiseConv2d(_)
        | Operator::Int8Conv2d(_)
        | Operator::Int8DepthwiseConv2d(_) => {}
    }
    Ok(())
}

/// A layer of ternary weights.
fn ternary<'a>(
    model: &Model<'a>,
    [input, output]: [u16; 2],
    relu: bool,
    record: &MatrixRecord,
    bias: Option<u32>,
) -> Layer<'a> {
    let weights = Dense::of_ternary(&model.matrix(record), model.accumulators_between(input, output));
    Layer { input, output, relu, weights, bias: model.bias_at(bias, record.rows) }
}

/// A layer of int8 weights.
fn int8<'a>(
    model: &Model<'a>,
    [input, output]: [u16; 2],
    relu: bool,
    record: &Int8Record,
    bias: Option<u32>,
) -> Layer<'a> {
    let weights = Dense::of_int8(&model.int8_matrix(record), model.accumulators_between(input, output));
    Layer { input, output, relu, weights, bias: model.bias_at(bias, record.rows) }
}

/// How an operator's weights meet its inputs.
fn product(operator: &Operator) -> Product {
    match operator {
        Operator::Conv2d(op) => Product::Conv2d(op.window),
        Operator::Int8Conv2d(op) => Product::Conv2d(op.window),
        Operator::DepthwiseConv2d(op) => Product::Depthwise(op.window),
        Operator::Int8DepthwiseConv2d(op) => Product::Depthwise(op.window),
        _ => Product::Linear,
    }
}

fn exponent(model: &Model<'_>, tensor: u16) -> i32 {
    model.tensor(tensor).exponent.into()
}

/// Where the nodes go; one function for each operator without weights.
struct Nodes<'a, 'model> {
    graph: &'a mut Graph,
    values: &'a mut Values,
    model: &'a Model<'model>,
}

impl Nodes<'_, '_> {
    /// The factor is the largest power of two that keeps Σ|a| within 27 a element: of a list of all that there can be.
    fn shift_norm(&mut self, op: &ShiftNorm) {
        let graph = &mut *self.graph;
        let limit = 27.0 * self.model.tensor(op.input).len() as f64;
        let row = self.values.row(graph, op.input);
        let sums = graph.cast(&row, Element::F64);
        let magnitudes = graph.node("Abs", &[&sums], &[]);
        let axis = graph.list(&[1]);
        let total = graph.node("ReduceSum", &[&magnitudes, &axis], &[]);
        // Elements and their number are limited: no sum asks for more, or less.
        let powers: Vec<f64> = (-32..=31).map(|power| 2f64.powi(power)).collect();
        let powers = graph.constant("powers", &[1, powers.len()], &Numbers::F64(&powers));
        let totals = graph.node("Mul", &[&total, &powers], &[]);
        let limit = graph.scalar(limit, Element::F64);
        let fits = graph.node("LessOrEqual", &[&totals, &limit], &[]);
        let none = graph.scalar(0.0, Element::F64);
        let fitting = graph.node("Where", &[&fits, &powers, &none], &[]);
        let factor = graph.node("ReduceMax", &[&fitting], &[("axes", Attribute::Integers(vec![1]))]);
        let steps = graph.node("Mul", &[&sums, &factor], &[]);
        let name = rounded_to_int8(graph, &steps, Element::F64, op.relu);
        self.values.hold_row(op.output, name);
    }

    fn requantize(&mut self, op: &Requantize) {
        let shift = exponent(self.model, op.input) - exponent(self.model, op.output);
        let relu = op.relu;
        self.elementwise(op.input, op.output, |graph, held| {
            let sums = graph.cast(held, Element::F64);
            let steps = scaled(graph, &sums, Element::F64, shift);
            rounded_to_int8(graph, &steps, Element::F64, relu)
        });
    }

    fn relu(&mut self, op: &Relu) {
        self.elementwise(op.input, op.output, |graph, held| graph.node("Relu", &[held], &[]));
    }

    /// An operator for which the order of the elements is no matter.
    fn elementwise(&mut self, input: u16, output: u16, f: impl FnOnce(&mut Graph, &str) -> String) {
        let same_shape = self.model.tensor(input).shape == self.model.tensor(output).shape;
        if same_shape && self.values.is_image(input) {
            let held = self.values.image(self.graph, input);
            self.values.hold_image(output, f(self.graph, &held));
        } else {
            let held = self.values.row(self.graph, input);
            self.values.hold_row(output, f(self.graph, &held));
        }
    }

    /// Operands of one exponent are added as they are; else the finer one is rounded to the output's steps first.
    fn add(&mut self, op: &Add) {
        let shape = |tensor| self.model.tensor(tensor).shape;
        let shapes_agree = shape(op.left) == shape(op.output) && shape(op.right) == shape(op.output);
        let as_image = shapes_agree && self.values.is_image(op.left) && self.values.is_image(op.right);
        let step = exponent(self.model, op.output);
        let mut operand = |tensor: u16| {
            let graph = &mut *self.graph;
            let held = if as_image { self.values.image(graph, tensor) } else { self.values.row(graph, tensor) };
            let fine = exponent(self.model, tensor);
            let numbers = from_int8(graph, &held, fine);
            if fine == step {
                return numbers;
            }
            let steps = scaled(graph, &numbers, Element::F32, -step);
            let whole = rounded(graph, &steps, Element::F32);
            scaled(graph, &whole, Element::F32, step)
        };
        let (left, right) = (operand(op.left), operand(op.right));
        let sum = self.graph.node("Add", &[&left, &right], &[]);
        let name = to_int8(self.graph, &sum, step, op.relu);
        if as_image {
            self.values.hold_image(op.output, name);
        } else {
            self.values.hold_row(op.output, name);
        }
    }

    fn argmax(&mut self, op: &ArgMax) {
        let row = self.values.row(self.graph, op.input);
        let place = self.graph.node("ArgMax", &[&row], &[("axis", Attribute::Integer(1))]);
        let name = self.graph.cast(&place, Element::I32);
        self.values.hold_row(op.output, name);
    }

    /// The table's entries are known: they are constants of the output's type.
    fn embedding(&mut self, op: &Embedding) {
        let (input, output) = (self.model.tensor(op.input), self.model.tensor(op.output));
        let matrix = self.model.matrix(&op.weights);
        let limits = match output.data_type {
            DataType::I8 => (-128.0, 127.0),
            DataType::I32 => (f64::from(i32::MIN), f64::from(i32::MAX)),
        };
        let mut entries = Vec::with_capacity(matrix.rows() * matrix.columns());
        let mut trits = vec![0; matrix.columns()];
        for row in matrix.iter() {
            row.unpack(&mut trits);
            for (group, trits) in row.groups().zip(trits.chunks(matrix.group().get())) {
                let factor = 2f64.powi(group.exponent - i32::from(output.exponent));
                let steps = trits.iter().map(|trit| (f64::from(*trit) * factor + 0.5).floor());
                entries.extend(steps.map(|steps| steps.clamp(limits.0, limits.1) as i32));
            }
        }
        let graph = &mut *self.graph;
        let shape = [matrix.rows(), matrix.columns()];
        let table = match element(&output) {
            Element::I32 => graph.constant("table", &shape, &Numbers::I32(&entries)),
            _ => {
                let entries: Vec<i8> = entries.iter().map(|entry| *entry as i8).collect();
                graph.constant("table", &shape, &Numbers::I8(&entries))
            }
        };
        let row = self.values.row(graph, op.input);
        let rows = match input.data_type {
            DataType::I32 => row,
            DataType::I8 => {
                let wide = graph.cast(&row, Element::I32);
                let first = graph.scalar(128.0, Element::I32);
                graph.node("Add", &[&wide, &first], &[])
            }
        };
        let entries = graph.node("Gather", &[&table, &rows], &[]);
        let name = reshape(graph, &entries, &[-1, output.len() as i64]);
        self.values.hold_row(op.output, name);
    }

    fn max_pool(&mut self, op: &Pool2d) {
        let exponent = exponent(self.model, op.input);
        let held = self.values.image(self.graph, op.input);
        let numbers = from_int8(self.graph, &held, exponent);
        let largest = self.graph.node("MaxPool", &[&numbers], &placed(&op.window));
        let name = to_int8(self.graph, &largest, exponent, false);
        self.values.hold_image(op.output, name);
    }

    /// A sum over all of a plane, or a convolution with ones: a mean would be rounded where the window is not a power of two.
    fn avg_pool(&mut self, op: &Pool2d) {
        let (graph, window) = (&mut *self.graph, &op.window);
        let (input, step) = (self.model.tensor(op.input), exponent(self.model, op.output));
        let channels = input.shape[2] as usize;
        let held = self.values.image(graph, op.input);
        let numbers = from_int8(graph, &held, input.exponent.into());
        let whole = window.kernel.map(u32::from) == [input.shape[0], input.shape[1]] && window.padding == [0; 4];
        let sums = if whole {
            let axes = graph.list(&[2, 3]);
            graph.node("ReduceSum", &[&numbers, &axes], &[])
        } else {
            let kernel = window.kernel.map(usize::from);
            let ones = vec![1.0; channels * window.area()];
            let ones = graph.constant("ones", &[channels, 1, kernel[0], kernel[1]], &Numbers::F32(&ones));
            convolution(graph, &[&numbers, &ones], window, channels)
        };
        // What the sum is shifted by, and its own unit.
        let shift = mean_shift(window.area(), input.exponent.into(), step);
        let steps = scaled(graph, &sums, Element::F32, -shift - i32::from(input.exponent));
        let name = rounded_to_int8(graph, &steps, Element::F32, false);
        self.values.hold_image(op.output, name);
    }

    fn concat(&mut self, op: &Concat) {
        let left = self.values.image(self.graph, op.left);
        let right = self.values.image(self.graph, op.right);
        let name = self.graph.node("Concat", &[&left, &right], &[("axis", Attribute::Integer(1))]);
        self.values.hold_image(op.output, name);
    }

    fn pad(&mut self, op: &Pad) {
        let held = self.values.image(self.graph, op.input);
        let [above, left, below, right] = op.padding.map(i64::from);
        let padding = self.graph.list(&[0, 0, above, left, 0, 0, below, right]);
        let zero = self.graph.scalar(0.0, Element::I8);
        let name = self.graph.node("Pad", &[&held, &padding, &zero], &[]);
        self.values.hold_image(op.output, name);
    }
}
