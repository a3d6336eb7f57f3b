//! Convolutional models: a first layer of int8 weights, depthwise and pointwise layers with a residual branch, padding, a
//! convolution whose kernel and steps are other ones in every model, pools, concatenation, and a last layer that sees it all.
//!
//! Outputs take an input's place wherever they may, but in every fourth model.

use crate::graph::{BASE, UNIT, image, live, live_apart};
use crate::random::Random;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    Add, Concat, Conv2d, DataType, GroupSize, InputScale, Int8Record, Linear, MatrixRecord, Operator, Pad, Pool2d,
    Relu, Reshape, Tensor, Window,
};

/// Kernels of the convolution that every channel meets, one a model.
const KERNELS: [[u8; 2]; 10] = [[3, 3], [1, 3], [3, 1], [2, 2], [5, 4], [1, 1], [4, 2], [2, 5], [1, 4], [3, 5]];
/// The largest kernel meets the largest steps: a board counts no more than ten million instructions at a time.
const STRIDES: [[u8; 2]; 4] = [[2, 2], [1, 1], [2, 1], [1, 2]];
/// Channels of the first layers: fewer than a word, and more.
const CHANNELS: [u32; 3] = [5, 6, 3];
/// Numbers that the last layer gives.
const OUTPUTS: u32 = 10;

/// A model that is being put together: every method adds an operator and returns the number of its output.
struct Builder<'a> {
    writer: ModelWriter,
    tensors: Vec<Tensor>,
    operators: Vec<Operator>,
    group: GroupSize,
    /// Width of the window of exponents.
    span: i64,
    random: &'a mut Random,
}

/// The network of this number, as a file.
pub(crate) fn model(number: usize, group: GroupSize, random: &mut Random) -> anyhow::Result<Vec<u8>> {
    let channels = CHANNELS[number % 3];
    let input = image(DataType::I8, UNIT, [7, 6, 2]);
    let span = [3, 14, 7][number % 3];
    let (writer, tensors) = (ModelWriter::new("images"), vec![input]);
    let mut model = Builder { writer, tensors, operators: Vec::new(), group, span, random };
    let relu = number.is_multiple_of(2);

    let first = Window { kernel: [4, 3], stride: [2, 2], padding: [1, 1, 2, 1] };
    let first = model.int8_convolution(0, first, Some(channels), relu)?;
    let kernel = [[3, 3], [1, 3], [5, 1]][number % 3];
    let depthwise = model.depthwise(first, model.same(kernel, first)?)?;
    let pointwise = model.convolution(depthwise, Window::new([1, 1]), channels, DataType::I8)?;
    let joined = if relu { model.add(pointwise, depthwise) } else { model.add(depthwise, pointwise) };
    let padded = model.pad(joined, [1, 0, 1, 2]);
    let [kernel, stride] = [KERNELS[number % 10], STRIDES[number % 4]];
    let padding = [0, 1, 0, 1].map(|axis: usize| model.random.between(0, i64::from(kernel[axis]) - 1) as u8);
    let middle = model.convolution(padded, Window { kernel, stride, padding }, 5, DataType::I8)?;
    let largest = model.pool(middle, Operator::MaxPool, [2, 2])?;
    let again = model.int8_convolution(largest, model.same([3, 3], largest)?, None, false)?;
    let both = model.concat(largest, again);
    let positive = model.relu(both);
    let mean = model.pool(positive, Operator::AvgPool, [3, 2])?;
    let last = if relu {
        let vector = model.reshape(mean);
        model.int8_linear(vector)?
    } else {
        let [height, width, _] = model.tensors[usize::from(mean)].shape;
        model.convolution(mean, Window::new([height as u8, width as u8]), OUTPUTS, DataType::I32)?
    };
    model.finish(last, !number.is_multiple_of(4))
}

impl Builder<'_> {
    fn tensor(&self, index: u16) -> Tensor {
        self.tensors[usize::from(index)]
    }

    fn push(&mut self, operator: Operator, output: Tensor) -> u16 {
        self.operators.push(operator);
        self.tensors.push(output);
        self.next() - 1
    }

    /// The number of the next tensor.
    fn next(&self) -> u16 {
        self.tensors.len() as u16
    }

    /// A window that keeps a tensor's height and width.
    fn same(&self, kernel: [u8; 2], input: u16) -> anyhow::Result<Window> {
        self.same_in_steps(kernel, [1, 1], input)
    }

    fn same_in_steps(&self, kernel: [u8; 2], stride: [u8; 2], input: u16) -> anyhow::Result<Window> {
        let [height, width, _] = self.tensor(input).shape;
        Window::same(kernel, stride, [height, width]).ok_or_else(|| anyhow::anyhow!("a window of nothing"))
    }

    /// The output of a window over a tensor.
    fn slid(&self, window: Window, input: u16, channels: u32) -> anyhow::Result<Tensor> {
        let input = self.tensor(input);
        let [height, width, _] = input.shape;
        let output = window.output([height, width]);
        let [height, width] = output.ok_or_else(|| anyhow::anyhow!("{window:?} does not fit"))?;
        Ok(Tensor { shape: [height, width, channels], ..input })
    }

    fn ternary(&mut self, rows: u32, columns: usize) -> anyhow::Result<(MatrixRecord, Option<u32>)> {
        let (rows, group) = (rows as usize, self.group);
        let trits = self.random.trits(rows, columns);
        // Most near the smallest: where all are far apart the few largest groups saturate every output.
        let exponents: Vec<i8> = (0..rows * group.count(columns))
            .flat_map(|_| {
                let span = if self.random.between(0, 7) == 0 { self.span } else { 2 };
                self.random.exponents(1, span)
            })
            .collect();
        let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
        Ok((self.writer.add_matrix(&values)?, self.bias(rows, shift(columns, 0))?))
    }

    fn int8(&mut self, rows: u32, columns: usize) -> anyhow::Result<(Int8Record, Option<u32>)> {
        let values: Vec<i8> = (0..rows).flat_map(|_| self.random.bytes(columns)).collect();
        let exponents = self.random.exponents(rows as usize, 3);
        Ok((self.writer.add_int8(columns, &values, &exponents)?, self.bias(rows as usize, shift(columns, 6))?))
    }

    /// A bias of up to a quarter of what int8 holds after this shift.
    fn bias(&mut self, rows: usize, shift: i16) -> anyhow::Result<Option<u32>> {
        let bias: Vec<i32> = (0..rows).map(|_| self.random.between(-(32 << shift), 32 << shift) as i32).collect();
        Ok(Some(self.writer.add_bias(&bias)?))
    }

    fn convolution(&mut self, input: u16, window: Window, channels: u32, to: DataType) -> anyhow::Result<u16> {
        let mut tensor = self.slid(window, input, channels)?;
        let columns = window.area() * self.tensor(input).shape[2] as usize;
        let (weights, bias) = self.ternary(channels, columns)?;
        tensor.data_type = to;
        tensor.exponent += i16::from(BASE) + if to == DataType::I8 { shift(columns, 0) } else { 0 };
        let op = Conv2d { input, output: self.next(), relu: false, window, weights, bias };
        Ok(self.push(Operator::Conv2d(op), tensor))
    }

    fn depthwise(&mut self, input: u16, window: Window) -> anyhow::Result<u16> {
        let channels = self.tensor(input).shape[2];
        let mut tensor = self.slid(window, input, channels)?;
        let (weights, bias) = self.ternary(channels, window.area())?;
        tensor.exponent += i16::from(BASE) + shift(window.area(), 0);
        let op = Conv2d { input, output: self.next(), relu: false, window, weights, bias };
        Ok(self.push(Operator::DepthwiseConv2d(op), tensor))
    }

    /// With int8 weights: to so many channels, in steps of the input's unit times a power of two; or, depthwise, in the
    /// input's unit.
    fn int8_convolution(
        &mut self,
        input: u16,
        window: Window,
        channels: Option<u32>,
        relu: bool,
    ) -> anyhow::Result<u16> {
        let own = self.tensor(input).shape[2];
        let mut tensor = self.slid(window, input, channels.unwrap_or(own))?;
        let columns = window.area() * if channels.is_some() { own as usize } else { 1 };
        let (weights, bias) = self.int8(tensor.shape[2], columns)?;
        let op = Conv2d { input, output: self.next(), relu, window, weights, bias };
        if channels.is_some() {
            tensor.exponent += i16::from(BASE) + shift(columns, 6);
            return Ok(self.push(Operator::Int8Conv2d(op), tensor));
        }
        Ok(self.push(Operator::Int8DepthwiseConv2d(op), tensor))
    }

    fn int8_linear(&mut self, input: u16) -> anyhow::Result<u16> {
        let tensor = self.tensor(input);
        let (weights, bias) = self.int8(OUTPUTS, tensor.len())?;
        let op = Linear { input, output: self.next(), relu: false, weights, bias };
        let output = image(DataType::I32, tensor.exponent + i16::from(BASE), [1, 1, OUTPUTS]);
        Ok(self.push(Operator::Int8Linear(op), output))
    }

    fn pool(&mut self, input: u16, pool: fn(Pool2d) -> Operator, kernel: [u8; 2]) -> anyhow::Result<u16> {
        let window = self.same_in_steps(kernel, [2, 1], input)?;
        let tensor = self.slid(window, input, self.tensor(input).shape[2])?;
        Ok(self.push(pool(Pool2d { input, output: self.next(), window }), tensor))
    }

    fn add(&mut self, left: u16, right: u16) -> u16 {
        let exponent = self.tensor(left).exponent.max(self.tensor(right).exponent);
        let tensor = Tensor { exponent, ..self.tensor(left) };
        self.push(Operator::Add(Add { left, right, output: self.next(), relu: false }), tensor)
    }

    fn pad(&mut self, input: u16, padding: [u8; 4]) -> u16 {
        let mut tensor = self.tensor(input);
        let [above, left, below, right] = padding.map(u32::from);
        tensor.shape[0] += above + below;
        tensor.shape[1] += left + right;
        self.push(Operator::Pad(Pad { input, output: self.next(), padding }), tensor)
    }

    fn concat(&mut self, left: u16, right: u16) -> u16 {
        let mut tensor = self.tensor(left);
        tensor.shape[2] += self.tensor(right).shape[2];
        self.push(Operator::Concat(Concat { left, right, output: self.next() }), tensor)
    }

    fn relu(&mut self, input: u16) -> u16 {
        self.push(Operator::Relu(Relu { input, output: self.next() }), self.tensor(input))
    }

    fn reshape(&mut self, input: u16) -> u16 {
        let mut tensor = self.tensor(input);
        tensor.shape = [1, 1, tensor.len() as u32];
        self.push(Operator::Reshape(Reshape { input, output: self.next() }), tensor)
    }

    /// The file, with outputs in the place of inputs or without.
    fn finish(mut self, output: u16, in_place: bool) -> anyhow::Result<Vec<u8>> {
        for operator in &self.operators {
            self.writer.push(operator)?;
        }
        self.writer.input_scales(&[InputScale::IDENTITY]);
        let place = if in_place { live } else { live_apart };
        let arena_bytes = place(&mut self.tensors, &self.operators, output);
        Ok(self.writer.finish(&Region { tensors: &self.tensors, input: 0, output, arena_bytes })?)
    }
}

/// A shift that leaves most sums of so many products with weights of so many bits inside int8, and saturates some.
fn shift(columns: usize, bits: i16) -> i16 {
    bits + 1 + columns.ilog2() as i16 / 2
}
