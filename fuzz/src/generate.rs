//! Networks out of a fuzzer's bytes: every operator, every group size, both layouts, int8 weights, images, persistent tensors,
//! any exponents, outputs in their input's place.
//!
//! What comes out keeps every rule of the format but one: a row may exceed the int32 bound, which the writer must find.

use crate::generate_images::image;
use crate::network::{Int8Weights, Network, Node, Weights};
use crate::random::Random;
use arbitrary::{Result, Unstructured};
use trishift_format::{DataType, GroupSize, InputScale, Layout, OperatorKind, Tensor, TensorClass};

/// Most elements of a tensor in most networks, and in the others: groups have up to 96.
const MOST: [usize; 2] = [20, 100];

/// Most operators of a network.
const MOST_NODES: usize = 8;

impl Network {
    /// A network of up to eight operators.
    ///
    /// # Errors
    /// None but where the bytes run out, which they do not: missing ones are taken as zeros.
    pub fn generate(u: &mut Unstructured<'_>) -> Result<Self> {
        let most = MOST[usize::from(u.ratio(1, 8)?)];
        let shape = if u.arbitrary()? { shape_of(u.int_in_range(1..=most)?) } else { image(u, 5)? };
        let mut maker = Maker::new(most, shape, u.int_in_range(-8..=4)?);
        if u.ratio(1, 4)? {
            maker.accumulate();
        }
        if u.ratio(1, 4)? {
            maker.remember(u)?;
        }
        while maker.nodes.is_empty() || (maker.nodes.len() < MOST_NODES && !u.is_empty()) {
            maker.take(u)?;
        }
        // What is kept cannot be the output.
        if !maker.tensors.iter().any(|tensor| tensor.class == TensorClass::Arena) {
            maker.reshape(u)?;
        }
        maker.finish(u)
    }
}

impl Weights {
    /// A matrix of this shape.
    ///
    /// # Errors
    /// As [`Network::generate`].
    pub fn generate(u: &mut Unstructured<'_>, rows: usize, columns: usize) -> Result<Self> {
        let group = *u.choose(&GroupSize::ALL)?;
        let layout = *u.choose(&[Layout::Rows, Layout::Groups])?;
        let mut random = Random(u.arbitrary()?);
        // Of how many trits one is not 0; whole groups and rows of zeros come of it.
        let rarity = *u.choose(&[0, 1, 2, 3, 20])?;
        let trit = |_| match rarity {
            0 => 1,
            _ if random.between(1, rarity) == 1 => random.between(-1, 1) as i8,
            _ => 0,
        };
        let trits = (0..rows * columns).map(trit).collect();
        let base: i8 = if u.ratio(1, 8)? { u.arbitrary()? } else { u.int_in_range(-20..=0)? };
        let window: i8 = if u.ratio(1, 4)? { u.arbitrary()? } else { u.int_in_range(0..=6)? };
        let window = i64::from(window.unsigned_abs());
        let exponent = |_| (i64::from(base) + random.between(0, window)).min(127) as i8;
        let groups = columns.div_ceil(group.get());
        let exponents = (0..rows * groups).map(exponent).collect();
        let mut weights = Self { rows, columns, group, layout, trits, exponents };
        for row in 0..rows {
            weights.make_canonical(row);
        }
        Ok(weights)
    }

    /// Groups of zeros take the smallest exponent of the others; a row of zeros has the exponent 0.
    fn make_canonical(&mut self, row: usize) {
        let groups = self.groups();
        let used: Vec<bool> = self.row(row).map(|(trits, _)| trits.iter().any(|trit| *trit != 0)).collect();
        let exponents = &mut self.exponents[row * groups..][..groups];
        let smallest = exponents.iter().zip(&used).filter_map(|(exponent, used)| used.then_some(*exponent)).min();
        for (exponent, used) in exponents.iter_mut().zip(used) {
            if !used {
                *exponent = smallest.unwrap_or(0);
            }
        }
    }

    /// The smallest exponent of all rows.
    pub fn unit(&self) -> i32 {
        self.exponents.iter().copied().min().unwrap_or(0).into()
    }
}

impl Int8Weights {
    /// A matrix of this shape.
    ///
    /// # Errors
    /// As [`Network::generate`].
    pub fn generate(u: &mut Unstructured<'_>, rows: usize, columns: usize) -> Result<Self> {
        let mut random = Random(u.arbitrary()?);
        // Of how many weights one is not 0; whole rows of zeros come of it.
        let rarity = *u.choose(&[1, 1, 2, 20])?;
        let limit = *u.choose(&[1, 10, 127, 128])?;
        let value = |_| if random.between(1, rarity) == 1 { random.between(-limit, limit.min(127)) as i8 } else { 0 };
        let values = (0..rows * columns).map(value).collect();
        let base: i8 = if u.ratio(1, 8)? { u.arbitrary()? } else { u.int_in_range(-20..=0)? };
        let window = *u.choose(&[0, 3, 6, 60])?;
        let exponents = (0..rows).map(|_| (i64::from(base) + random.between(0, window)).min(127) as i8).collect();
        Ok(Self { columns, values, exponents })
    }

    /// The smallest exponent of all rows.
    pub fn unit(&self) -> i32 {
        self.exponents.iter().copied().min().unwrap_or(0).into()
    }
}

/// A bias for every row, or none.
///
/// # Errors
/// As [`Network::generate`].
pub fn bias(u: &mut Unstructured<'_>, rows: usize) -> Result<Option<Vec<i32>>> {
    let mut random = Random(u.arbitrary()?);
    Ok(match u.int_in_range(0..=3)? {
        0 | 1 => None,
        2 => Some((0..rows).map(|_| random.between(-(1 << 20), 1 << 20) as i32).collect()),
        _ => Some(random.accumulators(rows)),
    })
}

/// A network in the making.
pub(crate) struct Maker {
    /// Most elements of a vector, but for those that an embedding writes.
    pub(crate) most: usize,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) nodes: Vec<Node>,
    /// A persistent class number that nobody has written yet.
    class: Option<u16>,
}

impl Maker {
    fn new(most: usize, shape: [u32; 3], exponent: i16) -> Self {
        let input = tensor(DataType::I8, TensorClass::Input, exponent.into(), shape);
        Self { most, tensors: vec![input], nodes: Vec::new(), class: None }
    }

    /// Adds the input to what it was in the run before.
    fn accumulate(&mut self) {
        let input = self.tensors[0];
        self.tensors.push(Tensor { class: TensorClass::Persistent, ..input });
        let sum = self.push(OperatorKind::Add, [0, 1], DataType::I8, input.exponent.into(), input.shape);
        self.nodes.push(Node::new(OperatorKind::Relu, [sum; 2], 1));
    }

    /// Looks up a row that an operator names for the next run.
    fn remember(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let class = self.tensors.len() as u16;
        self.tensors.push(tensor(DataType::I32, TensorClass::Persistent, 0, [1; 3]));
        self.class = Some(class);
        self.embed(u, class)
    }

    fn take(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let kind = *u.choose(&OperatorKind::ALL)?;
        match kind {
            OperatorKind::Linear => self.linear(u, None).map(|_| ()),
            OperatorKind::Int8Linear => self.int8_linear(u),
            OperatorKind::Conv2d
            | OperatorKind::DepthwiseConv2d
            | OperatorKind::Int8Conv2d
            | OperatorKind::Int8DepthwiseConv2d => self.convolution(u, kind),
            OperatorKind::MaxPool | OperatorKind::AvgPool => self.pool(u, kind),
            OperatorKind::Concat => self.concat(u),
            OperatorKind::Slide => self.slide(u),
            OperatorKind::Reshape => self.reshape(u),
            OperatorKind::Pad => self.pad(u),
            OperatorKind::ShiftNorm | OperatorKind::RmsNorm => {
                let source = self.int32(u)?;
                let exponent = if u.ratio(1, 8)? { u.int_in_range(-3000..=3000)? } else { u.int_in_range(-8..=0)? };
                let output = self.push(kind, [source; 2], DataType::I8, exponent, self.shape(source));
                self.clamp(u, output)
            }
            OperatorKind::Requantize => {
                let source = self.int32(u)?;
                let exponent = self.exponent(source) + shift(u)?;
                let output = self.push(kind, [source; 2], DataType::I8, exponent, self.shape(source));
                self.clamp(u, output)
            }
            OperatorKind::Relu => {
                let source = self.choose(u, |tensor| tensor.data_type == DataType::I8)?;
                self.push(kind, [source; 2], DataType::I8, self.exponent(source), self.shape(source));
                Ok(())
            }
            OperatorKind::Add => {
                let left = self.choose(u, |tensor| tensor.data_type == DataType::I8)?;
                let len = self.len(left);
                let right = self.choose(u, |tensor| tensor.data_type == DataType::I8 && tensor.len() == len)?;
                let exponent = self.exponent(left).max(self.exponent(right));
                let output = self.push(kind, [left, right], DataType::I8, exponent, self.shape(left));
                self.clamp(u, output)
            }
            OperatorKind::ArgMax => {
                let source = self.choose(u, |_| true)?;
                match self.class.filter(|class| *class != source) {
                    Some(class) => {
                        self.class = None;
                        self.nodes.push(Node::new(kind, [source; 2], class));
                    }
                    None => {
                        self.push(kind, [source; 2], DataType::I32, 0, [1; 3]);
                    }
                }
                Ok(())
            }
            OperatorKind::Embedding => {
                let source = self.choose(u, |_| true)?;
                self.embed(u, source)
            }
            OperatorKind::Softmax => {
                let source = self.choose(u, |_| true)?;
                let (data_type, exponent) =
                    if u.arbitrary()? { (DataType::I8, -7) } else { (DataType::I32, u.int_in_range(-30..=0)?) };
                self.push(kind, [source; 2], data_type, exponent, self.shape(source));
                Ok(())
            }
        }
    }

    /// A linear layer; `wide` says whether its outputs are int32, or nobody does.
    fn linear(&mut self, u: &mut Unstructured<'_>, wide: Option<bool>) -> Result<u16> {
        let source = self.choose(u, |tensor| tensor.data_type == DataType::I8)?;
        let rows = u.int_in_range(1..=self.most)?;
        let weights = Weights::generate(u, rows, self.len(source))?;
        let wide = wide.map_or_else(|| u.arbitrary(), Ok)?;
        let (data_type, exponent) = if wide {
            (DataType::I32, self.exponent(source) + weights.unit() - u.int_in_range(0..=2)?)
        } else {
            (DataType::I8, self.exponent(source) + weights.unit() + shift(u)?)
        };
        let bias = bias(u, rows)?;
        let output = self.push(OperatorKind::Linear, [source; 2], data_type, exponent, shape_of(rows));
        if !wide {
            self.clamp(u, output)?;
        }
        let node = self.nodes.last_mut().expect("a node has just been pushed");
        (node.weights, node.bias) = (Some(weights), bias);
        Ok(output)
    }

    fn embed(&mut self, u: &mut Unstructured<'_>, source: u16) -> Result<()> {
        let rows = *u.choose(&[256, 200, 16, 16, 2, 1])?;
        let elements = self.len(source);
        let columns = u.int_in_range(1..=(self.most / elements).max(1))?;
        let mut weights = Weights::generate(u, rows, columns)?;
        let (data_type, exponent) = if u.arbitrary()? {
            // A weight must fit its int32.
            let unit = weights.unit();
            for exponent in &mut weights.exponents {
                *exponent = i32::from(*exponent).min(unit + 28) as i8;
            }
            (0..rows).for_each(|row| weights.make_canonical(row));
            (DataType::I32, unit - u.int_in_range(0..=2)?)
        } else {
            (DataType::I8, weights.unit() + u.int_in_range(-10..=3)?)
        };
        self.push(OperatorKind::Embedding, [source; 2], data_type, exponent, shape_of(elements * columns));
        self.nodes.last_mut().expect("a node has just been pushed").weights = Some(weights);
        Ok(())
    }

    /// An int32 tensor; a linear layer makes one where there is none.
    fn int32(&mut self, u: &mut Unstructured<'_>) -> Result<u16> {
        if self.tensors.iter().any(|tensor| tensor.data_type == DataType::I32) {
            return self.choose(u, |tensor| tensor.data_type == DataType::I32);
        }
        self.linear(u, Some(true))
    }

    /// One of the tensors that fit; there must be one.
    pub(crate) fn choose(&self, u: &mut Unstructured<'_>, fits: impl Fn(&Tensor) -> bool) -> Result<u16> {
        let fitting: Vec<u16> =
            (0..).zip(&self.tensors).filter_map(|(number, tensor)| fits(tensor).then_some(number)).collect();
        u.choose(&fitting).copied()
    }

    /// The operator that wrote this last gets a ReLU, perhaps.
    pub(crate) fn clamp(&mut self, u: &mut Unstructured<'_>, output: u16) -> Result<()> {
        if let Some(node) = self.nodes.last_mut().filter(|node| node.output == output) {
            node.relu = u.arbitrary()?;
        }
        Ok(())
    }

    pub(crate) fn push(
        &mut self,
        kind: OperatorKind,
        inputs: [u16; 2],
        data_type: DataType,
        exponent: i32,
        shape: [u32; 3],
    ) -> u16 {
        let output = self.tensors.len() as u16;
        self.tensors.push(tensor(data_type, TensorClass::Arena, exponent, shape));
        self.nodes.push(Node::new(kind, inputs, output));
        output
    }

    pub(crate) fn shape(&self, tensor: u16) -> [u32; 3] {
        self.tensors[usize::from(tensor)].shape
    }

    pub(crate) fn len(&self, tensor: u16) -> usize {
        self.tensors[usize::from(tensor)].len()
    }

    pub(crate) fn exponent(&self, tensor: u16) -> i32 {
        self.tensors[usize::from(tensor)].exponent.into()
    }

    /// Lifetimes, places, and what is told about the model.
    fn finish(mut self, u: &mut Unstructured<'_>) -> Result<Network> {
        let is_arena = |node: &&Node| self.tensors[usize::from(node.output)].class == TensorClass::Arena;
        let outputs: Vec<u16> = self.nodes.iter().filter(is_arena).map(|node| node.output).collect();
        let output = *u.choose(&outputs)?;
        self.tensors[usize::from(output)].class = TensorClass::Output;
        for (number, tensor) in (0..).zip(&mut self.tensors) {
            let first = self.nodes.iter().position(|node| node.output == number).unwrap_or(0) as u16;
            let last = self.nodes.iter().rposition(|node| node.inputs.contains(&number));
            (tensor.first, tensor.last) = (first, last.map_or(first, |last| last as u16));
        }
        let arena_bytes = self.place(u)?;
        let sizes = [self.tensors[0].len(), self.tensors[usize::from(output)].len()];
        let mut random = Random(u.arbitrary()?);
        let scale = |random: &mut Random| InputScale {
            zero_mantissa: random.between(-0xFF_FFFF, 0xFF_FFFF) as i32,
            zero_exponent: random.between(-100, 100) as i8,
            shift: random.between(-100, 100) as i8,
        };
        let scales = (0..if u.arbitrary()? { sizes[0] } else { 1 }).map(|_| scale(&mut random)).collect();
        let labels = (0..if u.ratio(1, 4)? { sizes[1] } else { 0 }).map(|index| format!("class {index}")).collect();
        let name = u.arbitrary::<&str>()?.to_owned();
        let properties = (0..u.int_in_range(0..=2)?).map(|index| (format!("key {index}"), name.clone())).collect();
        let Self { tensors, nodes, .. } = self;
        Ok(Network { name, input: 0, output, arena_bytes, tensors, nodes, scales, labels, properties })
    }

    /// First fit, so that memory is used again as soon as it is free; gaps, and outputs in their input's place, where the bytes
    /// say so.
    fn place(&mut self, u: &mut Unstructured<'_>) -> Result<u64> {
        let mut arena_bytes = 0;
        for number in 0..self.tensors.len() {
            let replaced = self.replaced(number).filter(|_| u.arbitrary().unwrap_or(false));
            let (placed, rest) = self.tensors.split_at_mut(number);
            let tensor = &mut rest[0];
            if !matches!(tensor.class, TensorClass::Arena | TensorClass::Persistent) {
                continue;
            }
            tensor.offset = 4 * u.int_in_range(0..=2)?;
            let end = |tensor: &Tensor| tensor.offset + (tensor.bytes() as u32).next_multiple_of(4);
            let together = |a: &Tensor, b: &Tensor| {
                let always = [a, b].iter().any(|tensor| tensor.class == TensorClass::Persistent);
                always || (a.first <= b.last && b.first <= a.last)
            };
            let clash = |tensor: &Tensor| {
                let in_arena = |other: &&Tensor| matches!(other.class, TensorClass::Arena | TensorClass::Persistent);
                let mut others = placed.iter().filter(in_arena);
                others.find(|other| together(tensor, other) && tensor.offset < end(other) && other.offset < end(tensor))
            };
            match replaced {
                // Whatever lives when the output does lived with the input, and lies apart from it.
                Some(input) => tensor.offset = placed[input].offset,
                None => {
                    while let Some(other) = clash(tensor) {
                        tensor.offset = end(other);
                    }
                }
            }
            arena_bytes = arena_bytes.max(u64::from(tensor.offset) + tensor.bytes() as u64);
        }
        Ok(arena_bytes + u.int_in_range(0..=5)?)
    }
}

fn tensor(data_type: DataType, class: TensorClass, exponent: i32, shape: [u32; 3]) -> Tensor {
    Tensor { data_type, class, exponent: exponent as i16, shape, offset: 0, first: 0, last: 0 }
}

/// A shape of so many elements.
fn shape_of(len: usize) -> [u32; 3] {
    if len.is_multiple_of(2) { [2, 1, len as u32 / 2] } else { [1, 1, len as u32] }
}

/// How far an int8 output's exponent lies above its accumulators'; mostly such that something is left of them.
pub(crate) fn shift(u: &mut Unstructured<'_>) -> Result<i32> {
    if u.ratio(1, 6)? { u.int_in_range(-10..=40) } else { u.int_in_range(2..=14) }
}
