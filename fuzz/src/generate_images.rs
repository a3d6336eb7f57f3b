//! The part of the generator that makes operators on images and operators with int8 weights.

use crate::generate::{Maker, bias, shift};
use crate::network::{Int8Weights, Node, Weights};
use arbitrary::{Result, Unstructured};
use trishift_format::{DataType, OperatorKind, Tensor, TensorClass, Window};

/// Most elements of an image that an operator makes of a smaller one, and most columns of a convolution's matrix.
const MOST: [u64; 2] = [400, 300];

/// An image of up to `most` rows and columns and five channels.
pub(crate) fn image(u: &mut Unstructured<'_>, most: u32) -> Result<[u32; 3]> {
    Ok([u.int_in_range(1..=most)?, u.int_in_range(1..=most)?, u.int_in_range(1..=5)?])
}

/// A window that has a place over an image of this height and width, and the height and width of what it gives.
pub(crate) fn window(u: &mut Unstructured<'_>, input: [u32; 2], channels: u64) -> Result<(Window, [u32; 2])> {
    let mut window = Window::new([1, 1]);
    for (axis, length) in input.into_iter().enumerate() {
        // Now and then larger than any image here.
        let largest = if u.ratio(1, 16)? { 255 } else { 4 };
        let kernel = u.int_in_range(1..=largest)?;
        let [before, behind] = [u.int_in_range(0..=kernel - 1)?, u.int_in_range(0..=kernel - 1)?];
        let reaches = length + u32::from(before) + u32::from(behind) >= kernel.into();
        window.kernel[axis] = kernel;
        window.padding[axis] = if reaches { before } else { kernel - 1 };
        window.padding[axis + 2] = if reaches { behind } else { kernel - 1 };
        window.stride[axis] = if u.ratio(1, 16)? { u.int_in_range(1..=255)? } else { u.int_in_range(1..=3)? };
    }
    let most = MOST[0].max(elements(input, channels));
    match window.output(input) {
        Some(output) if elements(output, channels) <= most => Ok((window, output)),
        _ => Ok((Window::new([1, 1]), input)),
    }
}

fn elements([height, width]: [u32; 2], channels: u64) -> u64 {
    u64::from(height) * u64::from(width) * channels
}

impl Maker {
    /// An int8 tensor.
    fn narrow(&self, u: &mut Unstructured<'_>) -> Result<u16> {
        self.choose(u, |tensor| tensor.data_type == DataType::I8)
    }

    /// Type and exponent of what an operator with weights of this smallest exponent writes.
    fn units(&self, u: &mut Unstructured<'_>, source: u16, unit: i32, bits: i32) -> Result<(DataType, i32)> {
        let unit = self.exponent(source) + unit;
        Ok(match u.arbitrary()? {
            true => (DataType::I32, unit - u.int_in_range(0..=2)?),
            false => (DataType::I8, unit + shift(u)? + bits),
        })
    }

    pub(crate) fn int8_linear(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let source = self.narrow(u)?;
        let rows = u.int_in_range(1..=self.most)?;
        let weights = Int8Weights::generate(u, rows, self.len(source))?;
        let (data_type, exponent) = self.units(u, source, weights.unit(), 4)?;
        let bias = bias(u, rows)?;
        let output = self.push(OperatorKind::Int8Linear, [source; 2], data_type, exponent, [1, 1, rows as u32]);
        if data_type == DataType::I8 {
            self.clamp(u, output)?;
        }
        let node = self.nodes.last_mut().expect("a node has just been pushed");
        (node.int8, node.bias) = (Some(weights), bias);
        Ok(())
    }

    pub(crate) fn convolution(&mut self, u: &mut Unstructured<'_>, kind: OperatorKind) -> Result<()> {
        let source = self.narrow(u)?;
        let [height, width, channels] = self.shape(source);
        let depthwise = matches!(kind, OperatorKind::DepthwiseConv2d | OperatorKind::Int8DepthwiseConv2d);
        let rows = if depthwise { channels } else { u.int_in_range(1..=6)? };
        let columns = |window: &Window| window.area() as u64 * if depthwise { 1 } else { channels.into() };
        let (mut window, mut size) = window(u, [height, width], rows.into())?;
        // A depthwise convolution that keeps the size may write over its input.
        if depthwise && u.arbitrary()? {
            let same = Window::same(window.kernel, [1, 1], [height, width]).expect("a window without zeros");
            (window, size) = (same, [height, width]);
        }
        if columns(&window) > MOST[1] {
            (window, size) = (Window::new([1, 1]), [height, width]);
        }
        let (rows, columns) = (rows as usize, columns(&window) as usize);
        let (mut weights, mut int8) = (None, None);
        let (unit, bits) = match kind {
            OperatorKind::Conv2d | OperatorKind::DepthwiseConv2d => {
                let made = weights.insert(Weights::generate(u, rows, columns)?);
                (made.unit(), 0)
            }
            _ => (int8.insert(Int8Weights::generate(u, rows, columns)?).unit(), 4),
        };
        let (data_type, exponent) = self.units(u, source, unit, bits)?;
        let bias = bias(u, rows)?;
        let output = self.push(kind, [source; 2], data_type, exponent, [size[0], size[1], rows as u32]);
        if data_type == DataType::I8 {
            self.clamp(u, output)?;
        }
        let node = self.nodes.last_mut().expect("a node has just been pushed");
        (node.weights, node.int8, node.bias, node.window) = (weights, int8, bias, Some(window));
        Ok(())
    }

    pub(crate) fn pool(&mut self, u: &mut Unstructured<'_>, kind: OperatorKind) -> Result<()> {
        let source = self.narrow(u)?;
        let [height, width, channels] = self.shape(source);
        let (window, size) = window(u, [height, width], channels.into())?;
        let exponent = match kind {
            OperatorKind::MaxPool => 0,
            _ if u.ratio(1, 8)? => u.int_in_range(-3000..=3000)?,
            _ => u.int_in_range(-4..=2)?,
        };
        let exponent = self.exponent(source) + exponent;
        self.push(kind, [source; 2], DataType::I8, exponent, [size[0], size[1], channels]);
        self.nodes.last_mut().expect("a node has just been pushed").window = Some(window);
        Ok(())
    }

    pub(crate) fn concat(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let left = self.narrow(u)?;
        let (shape, exponent) = (self.shape(left), self.exponent(left));
        let fits = |tensor: &Tensor| {
            let same = tensor.shape[..2] == shape[..2] && i32::from(tensor.exponent) == exponent;
            same && tensor.data_type == DataType::I8
        };
        let right = self.choose(u, fits)?;
        let channels = shape[2] + self.shape(right)[2];
        self.push(OperatorKind::Concat, [left, right], DataType::I8, exponent, [shape[0], shape[1], channels]);
        Ok(())
    }

    pub(crate) fn reshape(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let source = self.choose(u, |_| true)?;
        let divisor = |u: &mut Unstructured<'_>, number: u32| {
            let divisors: Vec<u32> = (1..=number).filter(|divisor| number.is_multiple_of(*divisor)).collect();
            u.choose(&divisors).copied()
        };
        let len = self.len(source) as u32;
        let channels = divisor(u, len)?;
        let height = divisor(u, len / channels)?;
        let Tensor { data_type, exponent, .. } = self.tensors[usize::from(source)];
        let shape = [height, len / channels / height, channels];
        self.push(OperatorKind::Reshape, [source; 2], data_type, exponent.into(), shape);
        Ok(())
    }

    /// The latest rows of a tensor, or columns of a sequence, in a new state or in one that others slide into as well.
    pub(crate) fn slide(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let source = self.choose(u, |_| true)?;
        let from = self.tensors[usize::from(source)];
        let [height, width, channels] = from.shape;
        let takes = |tensor: &Tensor| {
            let [rows, columns, depth] = tensor.shape;
            let same = (tensor.data_type, tensor.exponent, depth) == (from.data_type, from.exponent, channels);
            same && tensor.class == TensorClass::Persistent && (columns == width || [rows, height] == [1, 1])
        };
        let again: Vec<u16> = (0..)
            .zip(&self.tensors)
            .filter_map(|(number, tensor)| (number != source && takes(tensor)).then_some(number))
            .collect();
        if !again.is_empty() && u.ratio(1, 4)? {
            let state = *u.choose(&again)?;
            self.nodes.push(Node::new(OperatorKind::Slide, [source; 2], state));
            return Ok(());
        }
        let rows = u.int_in_range(1..=6)?;
        let is_sequence = height == 1 && u.arbitrary()?;
        let shape = if is_sequence { [1, rows, channels] } else { [rows, width, channels] };
        let state = self.push(OperatorKind::Slide, [source; 2], from.data_type, from.exponent.into(), shape);
        self.tensors[usize::from(state)].class = TensorClass::Persistent;
        Ok(())
    }

    pub(crate) fn pad(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let source = self.narrow(u)?;
        let [height, width, channels] = self.shape(source);
        let most = if u.ratio(1, 16)? { 255 } else { 2 };
        let mut padding = [0; 4];
        for rows in &mut padding {
            *rows = u.int_in_range(0..=most)?;
        }
        let [above, left, below, right] = padding.map(u32::from);
        let mut size = [height + above + below, width + left + right];
        if elements(size, channels.into()) > MOST[0] {
            (padding, size) = ([0; 4], [height, width]);
        }
        let exponent = self.exponent(source);
        self.push(OperatorKind::Pad, [source; 2], DataType::I8, exponent, [size[0], size[1], channels]);
        self.nodes.last_mut().expect("a node has just been pushed").padding = padding;
        Ok(())
    }

    /// The input whose place this tensor may take.
    pub(crate) fn replaced(&self, number: usize) -> Option<usize> {
        let to = self.tensors[number];
        let writer = self.nodes.iter().position(|node| usize::from(node.output) == number)?;
        let node = &self.nodes[writer];
        let [left, right] = node.inputs;
        let may = match node.kind {
            OperatorKind::Relu | OperatorKind::Reshape => true,
            OperatorKind::Add => left != right,
            OperatorKind::DepthwiseConv2d => to.shape == self.shape(left),
            _ => false,
        };
        let dies = |input: &u16| {
            let from = self.tensors[usize::from(*input)];
            let arena = from.class == TensorClass::Arena && to.class == TensorClass::Arena;
            arena && from.bytes() == to.bytes() && usize::from(from.last) == writer
        };
        [right, left].into_iter().filter(|_| may).find(dies).map(usize::from)
    }
}
