//! Networks that use every operator, from lists of steps.
//!
//! Each [`Step`] takes the latest tensor that its operator can read; where there is no int32 tensor to read, a linear layer
//! makes one first, so that every list of steps is a network.

use super::network::{Action, Network, Node, Value};
use super::weights::{Distribution, Precision, Weights};
use proptest::prelude::*;
use trishift_format::{DataType, GroupSize, OperatorKind, Window};

/// Most elements of a tensor, and most columns of a matrix: tests should take no minutes.
const MOST: usize = 400;

/// What the generator does next.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: OperatorKind,
    /// Layers with weights, embedding, softmax: int32 outputs. Additions and concatenations: the latest tensor is on the
    /// left. Sliding: columns rather than rows, if there is one row. Otherwise without meaning.
    pub(crate) wide: bool,
    pub(crate) relu: bool,
    pub(crate) bias: bool,
    /// Outputs of a linear layer, channels of a convolution, elements of a table's entry, rows or columns of a state.
    pub(crate) rows: usize,
    pub(crate) group: GroupSize,
    /// Smallest exponent of the weights, and how far the others lie above it.
    pub(crate) base: i32,
    pub(crate) window: i32,
    /// Requantising shift that the output's exponent is chosen for.
    pub(crate) shift: i32,
    /// What slides over an image, and how many zeros a padding has; cut down to what the image allows.
    pub(crate) slides: Window,
    /// The output takes an input's place where it may.
    pub(crate) in_place: bool,
    pub(crate) seed: u64,
}

impl Step {
    /// A step of this kind with weights of ordinary size.
    pub(crate) fn new(kind: OperatorKind, seed: u64) -> Self {
        let group = GroupSize::ALL[(seed % 10) as usize];
        Self {
            kind,
            wide: false,
            relu: false,
            bias: false,
            rows: 24,
            group,
            base: -9,
            window: 4,
            shift: 8,
            slides: Window { kernel: [3, 3], stride: [1, 1], padding: [1; 4] },
            in_place: true,
            seed,
        }
    }

    fn distribution(&self) -> Distribution {
        Distribution { base: self.base, window: self.window, bias: self.bias, seed: self.seed }
    }
}

/// Steps of every kind.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        5 => Just(OperatorKind::Linear),
        2 => Just(OperatorKind::ShiftNorm),
        2 => Just(OperatorKind::Requantize),
        2 => Just(OperatorKind::Relu),
        4 => Just(OperatorKind::Add),
        1 => Just(OperatorKind::ArgMax),
        2 => Just(OperatorKind::RmsNorm),
        1 => Just(OperatorKind::Embedding),
        1 => Just(OperatorKind::Softmax),
        5 => Just(OperatorKind::Conv2d),
        5 => Just(OperatorKind::DepthwiseConv2d),
        1 => Just(OperatorKind::Int8Linear),
        2 => Just(OperatorKind::Int8Conv2d),
        2 => Just(OperatorKind::Int8DepthwiseConv2d),
        2 => Just(OperatorKind::MaxPool),
        2 => Just(OperatorKind::AvgPool),
        2 => Just(OperatorKind::Concat),
        3 => Just(OperatorKind::Reshape),
        2 => Just(OperatorKind::Pad),
        3 => Just(OperatorKind::Slide),
    ];
    let shift = prop_oneof![6 => 2..14, 1 => -4..36];
    let window = prop_oneof![4 => 0..6, 1 => 0..=14];
    let sizes = (prop_oneof![Just(1usize), Just(12), 1usize..=100], prop::sample::select(GroupSize::ALL.to_vec()));
    let weights = (sizes, -20..=0, window, shift);
    let step = (kind, any::<[bool; 4]>(), weights, slides(), any::<u64>());
    let step = step.prop_map(|(kind, flags, ((rows, group), base, window, shift), slides, seed)| {
        let [wide, relu, bias, in_place] = flags;
        Step { kind, wide, relu, bias, rows, group, base, window, shift, slides, in_place, seed }
    });
    prop::collection::vec(step, 1..9)
}

/// Windows of any valid kind, those that keep an image's size among them.
fn slides() -> impl Strategy<Value = Window> {
    let kernel = prop_oneof![[1u8..=3, 1u8..=3], [1u8..=5, 1u8..=5], Just([10, 4]), Just([1, 7])];
    let stride = prop_oneof![3 => Just([1u8, 1]), 1 => [1u8..=3, 1u8..=3]];
    (kernel, stride, any::<bool>(), any::<[u8; 4]>()).prop_map(|(kernel, stride, same, padding)| {
        let [height, width] = kernel;
        let [above, left, below, right] = padding;
        let padding = if same {
            [(height - 1) / 2, (width - 1) / 2, height / 2, width / 2]
        } else {
            [above % height, left % width, below % height, right % width]
        };
        Window { kernel, stride, padding }
    })
}

/// A sample's shape: a vector, a sequence or an image.
pub(crate) fn shapes() -> impl Strategy<Value = [usize; 3]> {
    prop_oneof![
        (1usize..=100).prop_map(|len| [1, 1, len]),
        (1usize..=40, 1usize..=6).prop_map(|(width, channels)| [1, width, channels]),
        [1usize..=9, 1usize..=9, 1usize..=4],
    ]
}

impl Network {
    /// The network of these steps for samples of this shape; the output of operator number `output`, counted round and
    /// round without those that slide, is the network's.
    pub(crate) fn generate(shape: [usize; 3], steps: &[Step], output: usize) -> Self {
        let input = Value { data_type: DataType::I8, exponent: -5, shape };
        let mut network = Self { values: vec![input], nodes: Vec::new(), output: 0 };
        for step in steps {
            network.take(step);
        }
        let mut outputs: Vec<usize> = network.nodes.iter().map(|node| node.output).collect();
        outputs.retain(|output| !network.is_kept(*output));
        if outputs.is_empty() {
            network.take(&Step::new(OperatorKind::Reshape, 0));
            outputs.push(network.values.len() - 1);
        }
        network.output = outputs[output % outputs.len()];
        network
    }

    fn take(&mut self, step: &Step) {
        let narrow = self.latest(DataType::I8).unwrap_or(0);
        let value = self.values[narrow];
        let last = self.values.len() - 1;
        match step.kind {
            OperatorKind::Linear => self.push_linear(step, Precision::Ternary(step.group), narrow, step.wide),
            OperatorKind::Int8Linear => self.push_linear(step, Precision::Int8, narrow, step.wide),
            OperatorKind::ShiftNorm => {
                let source = self.int32(step);
                let shape = self.values[source].shape;
                let output = Value { data_type: DataType::I8, exponent: -(step.shift % 7), shape };
                self.push(step, Action::ShiftNorm, [source; 2], output);
            }
            OperatorKind::Requantize => {
                let source = self.int32(step);
                let Value { exponent, shape, .. } = self.values[source];
                let output = Value { data_type: DataType::I8, exponent: exponent + step.shift, shape };
                self.push(step, Action::Requantize, [source; 2], output);
            }
            OperatorKind::Relu => self.push(step, Action::Relu, [narrow; 2], value),
            OperatorKind::Add => {
                let inputs = self.operands(step, narrow, |other| other.len() == value.len());
                let exponent = inputs.map(|input| self.values[input].exponent).into_iter().max().unwrap_or(0);
                self.push(step, Action::Add, inputs, Value { exponent, ..value });
            }
            OperatorKind::ArgMax => {
                let output = Value { data_type: DataType::I32, exponent: 0, shape: [1, 1, 1] };
                self.push(step, Action::ArgMax, [last; 2], output);
            }
            OperatorKind::RmsNorm => {
                let source = self.int32(step);
                let (exponent, shape) = (-step.shift.rem_euclid(8), self.values[source].shape);
                self.push(step, Action::RmsNorm, [source; 2], Value { data_type: DataType::I8, exponent, shape });
            }
            OperatorKind::Embedding => self.push_embedding(step, narrow),
            OperatorKind::Softmax => {
                let (data_type, exponent) =
                    if step.wide { (DataType::I32, -((step.seed % 31) as i32)) } else { (DataType::I8, -7) };
                let output = Value { data_type, exponent, shape: self.values[last].shape };
                self.push(step, Action::Softmax, [last; 2], output);
            }
            OperatorKind::Conv2d | OperatorKind::DepthwiseConv2d => {
                self.push_convolution(step, Precision::Ternary(step.group), narrow);
            }
            OperatorKind::Int8Conv2d | OperatorKind::Int8DepthwiseConv2d => {
                self.push_convolution(step, Precision::Int8, narrow);
            }
            OperatorKind::MaxPool => {
                let (window, shape) = slid(step, &value, value.shape[2], false);
                self.push(step, Action::MaxPool(window), [narrow; 2], Value { shape, ..value });
            }
            OperatorKind::AvgPool => {
                let (window, shape) = slid(step, &value, value.shape[2], false);
                let output = Value { exponent: value.exponent + step.shift % 5 - 2, shape, ..value };
                self.push(step, Action::AvgPool(window), [narrow; 2], output);
            }
            OperatorKind::Concat => self.push_concat(step, narrow),
            OperatorKind::Reshape => {
                let source = self.values[last];
                let shape = reshaped(source.len(), step.seed);
                self.push(step, Action::Reshape, [last; 2], Value { shape, ..source });
            }
            OperatorKind::Pad => {
                let [height, width, channels] = value.shape;
                let [above, left, below, right] = step.slides.padding.map(usize::from);
                let shape = [height + above + below, width + left + right, channels];
                let fits = shape.iter().product::<usize>() <= MOST;
                let (padding, shape) = if fits { (step.slides.padding, shape) } else { ([0; 4], value.shape) };
                self.push(step, Action::Pad(padding), [narrow; 2], Value { shape, ..value });
            }
            OperatorKind::Slide => {
                let source = self.values[last];
                let axis = usize::from(step.wide && source.shape[0] == 1);
                let mut shape = source.shape;
                shape[axis] = step.rows.min(MOST / (source.len() / source.shape[axis])).max(1);
                self.push(step, Action::Slide, [last; 2], Value { shape, ..source });
            }
        }
    }

    fn latest(&self, data_type: DataType) -> Option<usize> {
        self.values.iter().rposition(|value| value.data_type == data_type)
    }

    /// The tensor and another int8 one that goes with it, maybe itself, on either side.
    fn operands(&self, step: &Step, tensor: usize, fits: impl Fn(&Value) -> bool) -> [usize; 2] {
        let fits = |value: &Value| value.data_type == DataType::I8 && fits(value);
        let partners: Vec<usize> = (0..self.values.len()).filter(|index| fits(&self.values[*index])).collect();
        let partner = partners[(step.seed % partners.len() as u64) as usize];
        if step.wide { [tensor, partner] } else { [partner, tensor] }
    }

    /// The latest int32 tensor; a linear layer makes one where there is none.
    fn int32(&mut self, step: &Step) -> usize {
        self.latest(DataType::I32).unwrap_or_else(|| {
            let input = self.latest(DataType::I8).unwrap_or(0);
            self.push_linear(step, Precision::Ternary(step.group), input, true);
            self.values.len() - 1
        })
    }

    fn push_linear(&mut self, step: &Step, precision: Precision, input: usize, wide: bool) {
        let weights = Weights::generate(&step.distribution(), precision, step.rows, self.values[input].len());
        let output = self.products(step, &weights, input, [1, 1, step.rows], wide);
        let step = Step { relu: step.relu && !wide, ..step.clone() };
        self.push(&step, Action::Linear(weights), [input; 2], output);
    }

    fn push_convolution(&mut self, step: &Step, precision: Precision, input: usize) {
        let value = self.values[input];
        let depthwise = matches!(step.kind, OperatorKind::DepthwiseConv2d | OperatorKind::Int8DepthwiseConv2d);
        let channels = value.shape[2];
        let rows = if depthwise { channels } else { step.rows.min(MOST / (value.shape[0] * value.shape[1])).max(1) };
        let (window, shape) = slid(step, &value, rows, !depthwise);
        let columns = window.area() * if depthwise { 1 } else { channels };
        let weights = Weights::generate(&step.distribution(), precision, rows, columns);
        let output = self.products(step, &weights, input, shape, step.wide);
        let action = if depthwise { Action::DepthwiseConv2d } else { Action::Conv2d };
        let step = Step { relu: step.relu && !step.wide, ..step.clone() };
        self.push(&step, action(window, weights), [input; 2], output);
    }

    /// The output of a layer with weights.
    fn products(&self, step: &Step, weights: &Weights, input: usize, shape: [usize; 3], wide: bool) -> Value {
        let exponent = self.values[input].exponent;
        if wide {
            let unit = weights.unit(&step.distribution());
            return Value { data_type: DataType::I32, exponent: exponent + unit, shape };
        }
        // Sums of int8 weights are some bits longer.
        let longer = if weights.precision == Precision::Int8 { 6 } else { 0 };
        Value { data_type: DataType::I8, exponent: exponent + step.base + step.shift + longer, shape }
    }

    /// Rows for the latest tensor where it holds a class, which is in int32; for an int8 tensor otherwise, which names no
    /// more than 256 of them.
    fn push_embedding(&mut self, step: &Step, narrow: usize) {
        let class = self.nodes.last().filter(|node| matches!(node.action, Action::ArgMax));
        let (source, rows) = class.map_or((narrow, 256), |node| (node.output, self.values[node.inputs[0]].len()));
        let elements = self.values[source].len();
        let columns = step.rows.min(100 / elements).max(1);
        let from = Distribution { bias: false, ..step.distribution() };
        let weights = Weights::generate(&from, Precision::Ternary(step.group), rows, columns);
        let (data_type, exponent) = if step.wide {
            (DataType::I32, weights.unit(&from))
        } else {
            // Near the weights, or they would all be 0 or saturated.
            (DataType::I8, step.base + step.shift - 8)
        };
        let output = Value { data_type, exponent, shape: [1, elements, columns] };
        self.push(step, Action::Embedding(weights), [source; 2], output);
    }

    /// Behind a linear layer where the tensors are too large.
    fn push_concat(&mut self, step: &Step, narrow: usize) {
        let value = self.values[narrow];
        let fits = |other: &Value| other.image() == value.image() && other.exponent == value.exponent;
        let inputs = self.operands(step, narrow, fits);
        let [left, right] = inputs.map(|input| self.values[input].shape[2]);
        let shape = [value.shape[0], value.shape[1], left + right];
        if shape.iter().product::<usize>() > MOST {
            self.push_linear(step, Precision::Ternary(step.group), narrow, false);
            return self.push_concat(step, self.values.len() - 1);
        }
        self.push(step, Action::Concat, inputs, Value { shape, ..value });
    }

    fn push(&mut self, step: &Step, action: Action, inputs: [usize; 2], value: Value) {
        let output = self.values.len();
        self.values.push(value);
        let sums = matches!(action, Action::Linear(_) | Action::Conv2d(..) | Action::DepthwiseConv2d(..) | Action::Add);
        let clamps = sums || matches!(action, Action::ShiftNorm | Action::Requantize | Action::RmsNorm);
        self.nodes.push(Node { action, inputs, output, relu: step.relu && clamps, in_place: step.in_place });
    }
}

/// The window of a step over an image, and the shape of its output of so many channels; a smaller one without padding where
/// the output or, with weights for every channel, the matrix would be too large.
fn slid(step: &Step, value: &Value, channels: usize, every_channel: bool) -> (Window, [usize; 3]) {
    let shape_of = |window: &Window| window.output(value.image()).map(|[h, w]| [h as usize, w as usize, channels]);
    let own = if every_channel { value.shape[2] } else { 1 };
    let fits =
        |window: &Window, shape: &[usize; 3]| shape.iter().product::<usize>() <= MOST && window.area() * own <= MOST;
    let [height, width] = value.image().map(|size| size.min(3) as u8);
    let [kernel_height, kernel_width] = step.slides.kernel;
    let inside =
        Window { kernel: [kernel_height.min(height), kernel_width.min(width)], padding: [0; 4], ..step.slides };
    let single = Window { kernel: [1, 1], ..inside };
    for window in [step.slides, inside] {
        if let Some(shape) = shape_of(&window).filter(|shape| fits(&window, shape)) {
            return (window, shape);
        }
    }
    (single, shape_of(&single).unwrap_or(value.shape))
}

/// A shape of so many elements.
fn reshaped(len: usize, seed: u64) -> [usize; 3] {
    let divisor = |of: usize, seed: u64| {
        let divisors: Vec<usize> = (1..=of).filter(|divisor| of.is_multiple_of(*divisor)).collect();
        divisors[(seed % divisors.len() as u64) as usize]
    };
    let height = divisor(len, seed >> 8);
    let width = divisor(len / height, seed >> 16);
    [height, width, len / height / width]
}

/// A network with every operator of images: a first layer of int8 weights, depthwise and pointwise layers with a residual
/// branch, pools, and a last layer of int8 weights. With `in_place` outputs take the places that they may.
pub(crate) fn images(in_place: bool) -> Network {
    let step = |kind, seed| Step { rows: 3, in_place, ..Step::new(kind, seed) };
    let window = |kernel, stride, padding| Window { kernel, stride, padding };
    let steps = [
        Step { slides: window([5, 4], [2, 2], [2, 1, 2, 2]), bias: true, ..step(OperatorKind::Int8Conv2d, 1) },
        Step { relu: true, bias: true, ..step(OperatorKind::DepthwiseConv2d, 3) },
        Step { slides: Window::new([1, 1]), bias: true, ..step(OperatorKind::Conv2d, 4) },
        // What the pointwise layer gave and what it read: both end here.
        Step { wide: true, relu: true, ..step(OperatorKind::Add, 1) },
        Step { slides: Window::new([1, 1]), rows: 3, ..step(OperatorKind::Conv2d, 26) },
        // The left operand is read once more, then it ends too.
        step(OperatorKind::Add, 3),
        step(OperatorKind::Add, 3),
        step(OperatorKind::Pad, 7),
        Step { slides: window([3, 3], [1, 1], [0; 4]), ..step(OperatorKind::DepthwiseConv2d, 23) },
        Step { slides: window([3, 3], [1, 1], [1; 4]), rows: 5, window: 9, ..step(OperatorKind::Conv2d, 12) },
        step(OperatorKind::Relu, 5),
        Step { wide: true, ..step(OperatorKind::Concat, 0) },
        step(OperatorKind::Relu, 6),
        Step { slides: window([2, 3], [2, 1], [0, 1, 1, 1]), ..step(OperatorKind::MaxPool, 8) },
        Step { slides: window([3, 3], [1, 1], [1; 4]), ..step(OperatorKind::Int8DepthwiseConv2d, 9) },
        Step { slides: window([2, 2], [2, 2], [0; 4]), ..step(OperatorKind::AvgPool, 10) },
        step(OperatorKind::Reshape, 11 << 8),
        Step { rows: 3, ..step(OperatorKind::Slide, 2) },
        Step { wide: true, rows: 10, bias: true, ..step(OperatorKind::Int8Linear, 13) },
    ];
    let network = Network::generate([13, 9, 2], &steps, 0);
    Network { output: network.values.len() - 1, ..network }
}
