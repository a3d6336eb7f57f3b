//! A model: checked once by [`Model::parse`], read in place for ever after.

use crate::bound::Accumulators;
use crate::container::{Container, KIND_MODEL, SECTION_GRAPH, SECTION_WEIGHTS};
use crate::fields::Fields;
use crate::int8_matrix::{Int8Matrix, Int8Record};
use crate::matrix::{self, Bias, MatrixRecord, TernaryMatrix};
use crate::operator::{Linear, Operator};
use crate::scaling::InputScale;
use crate::tensor::{DataType, Tensor};
use crate::{ParseError, operands, plan};

/// The graph section: one postcard record. Lists are byte strings of records, so that they can be read in place.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "alloc", derive(serde::Serialize))]
pub(crate) struct GraphRecord<'a> {
    /// A text.
    pub(crate) name: &'a [u8],
    pub(crate) input: u16,
    pub(crate) output: u16,
    /// Tensor records of [`Tensor::RECORD_BYTES`] each.
    pub(crate) tensors: &'a [u8],
    /// Operators, each a postcard byte string holding code and fields.
    pub(crate) operators: &'a [u8],
    /// Input scaling records of [`InputScale::BYTES`] each: one, or one per input element.
    pub(crate) scales: &'a [u8],
    /// Postcard strings: none, or one per output element.
    pub(crate) labels: &'a [u8],
    /// Pairs of postcard strings.
    pub(crate) properties: &'a [u8],
}

impl<'a> GraphRecord<'a> {
    /// The record that `section` holds, and nothing else.
    fn read(section: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::new(section);
        let graph = Self {
            name: fields.bytes(),
            input: fields.short(),
            output: fields.short(),
            tensors: fields.bytes(),
            operators: fields.bytes(),
            scales: fields.bytes(),
            labels: fields.bytes(),
            properties: fields.bytes(),
        };
        fields.end().then_some(graph)
    }
}

/// A model file, checked.
///
/// ```
/// # fn main() -> Result<(), trishift_format::ParseError> {
/// let file = std::fs::read("tests/golden/model-0.4.tsm").unwrap();
/// let model = trishift_format::Model::parse(&file)?;
/// println!("{}: {} inputs, {} outputs", model.name(), model.input().len(), model.output().len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    graph: GraphRecord<'a>,
    pub(crate) weights: &'a [u8],
    arena_bytes: u64,
    file_bytes: usize,
}

impl<'a> Model<'a> {
    /// Checks a file completely: container, graph, every operator's operands, every weight byte, the int32 bound of
    /// every row, the memory plan, the metadata. Allocates nothing; time is proportional to the file's length, weights
    /// counted once for every operator that uses them.
    ///
    /// # Errors
    /// The first [`ParseError`] met.
    pub fn parse(file: &'a [u8]) -> Result<Self, ParseError> {
        let model = Self::checked_before(file)?;
        model.check_tensors()?;
        operands::check(&model)?;
        plan::check(&model)?;
        model.check_metadata()?;
        Ok(model)
    }

    /// A file that [`Model::parse`] has accepted before, when it was built into a firmware: finds any damage since then
    /// by the checksums, and takes the rest as it was. Half the code of `parse`, and none of its walk over the weights.
    ///
    /// Files that `parse` would refuse are harmless here, but no more than that: they end in wrong numbers, in missing
    /// operators or in an error of the engine.
    ///
    /// # Errors
    /// A [`ParseError`] of the container, or of a graph that does not decode.
    pub fn checked_before(file: &'a [u8]) -> Result<Self, ParseError> {
        let container = Container::parse(file, KIND_MODEL)?;
        let graph = container.section(SECTION_GRAPH)?;
        let weights = container.section(SECTION_WEIGHTS)?;
        let graph = GraphRecord::read(graph).ok_or(ParseError::Malformed { what: "graph" })?;
        Ok(Self { graph, weights, arena_bytes: container.arena_bytes, file_bytes: file.len() })
    }

    fn check_tensors(&self) -> Result<(), ParseError> {
        let (records, rest) = self.graph.tensors.as_chunks::<{ Tensor::RECORD_BYTES }>();
        if !rest.is_empty() {
            return Err(ParseError::Malformed { what: "tensor table" });
        }
        // Record by record: a list that ends early would decode to fewer operators than its bytes hold.
        let mut operators = Operators::new(self.graph.operators);
        let mut count = 0usize;
        while let Some(operator) = operators.try_next() {
            operator?;
            count += 1;
        }
        let limit = 1..=Tensor::MAX_COUNT;
        if !limit.contains(&records.len()) || !limit.contains(&count) {
            return Err(ParseError::GraphSize { tensors: records.len(), operators: count });
        }
        for (index, record) in records.iter().enumerate() {
            let tensor = Tensor::from_bytes(record).ok_or(ParseError::Tensor { index })?;
            // Byte lengths must fit u32 too: a 32-bit machine addresses no more.
            let bytes = tensor.checked_len().and_then(|len| len.checked_mul(tensor.data_type.bytes() as u32));
            if bytes.is_none_or(|bytes| bytes == 0) {
                return Err(ParseError::Tensor { index });
            }
        }
        Ok(())
    }

    /// Input scaling, labels and properties.
    fn check_metadata(&self) -> Result<(), ParseError> {
        if core::str::from_utf8(self.graph.name).is_err() {
            return Err(ParseError::Malformed { what: "graph" });
        }
        let (records, rest) = self.graph.scales.as_chunks::<{ InputScale::BYTES }>();
        let count_fits = records.len() == 1 || records.len() == self.input().len();
        if !rest.is_empty() || !count_fits || !self.input_scales().all(|scale| scale.is_valid()) {
            return Err(ParseError::InputScales);
        }
        let labels = count_strings(self.graph.labels).ok_or(ParseError::Malformed { what: "label list" })?;
        let outputs = self.output().len();
        if labels != 0 && labels != outputs {
            return Err(ParseError::LabelCount { labels, outputs });
        }
        match count_strings(self.graph.properties) {
            Some(strings) if strings.is_multiple_of(2) => Ok(()),
            _ => Err(ParseError::Malformed { what: "property list" }),
        }
    }

    /// The model's name.
    pub const fn name(&self) -> &'a str {
        match core::str::from_utf8(self.graph.name) {
            Ok(name) => name,
            Err(_) => "",
        }
    }

    /// Bytes of the file.
    pub const fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// Bytes of the weight section.
    pub const fn weight_bytes(&self) -> usize {
        self.weights.len()
    }

    /// Arena bytes of one sample, without the scratch of kernels.
    pub const fn arena_bytes(&self) -> u64 {
        self.arena_bytes
    }

    /// Number of the input tensor.
    pub const fn input_index(&self) -> u16 {
        self.graph.input
    }

    /// Number of the output tensor.
    pub const fn output_index(&self) -> u16 {
        self.graph.output
    }

    /// The input tensor.
    pub fn input(&self) -> Tensor {
        self.tensor(self.graph.input)
    }

    /// The output tensor.
    pub fn output(&self) -> Tensor {
        self.tensor(self.graph.output)
    }

    /// Tensor number `index`; an empty one where there is none, which no operator of a parsed model asks for.
    #[inline(never)]
    pub fn tensor(&self, index: u16) -> Tensor {
        const NONE: Tensor = Tensor {
            data_type: DataType::I8,
            class: crate::TensorClass::Arena,
            exponent: 0,
            shape: [0; 3],
            offset: 0,
            first: 0,
            last: 0,
        };
        self.graph.tensors.as_chunks().0.get(usize::from(index)).and_then(Tensor::from_bytes).unwrap_or(NONE)
    }

    /// The tensors, by number.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = Tensor> + use<'a> {
        let model = *self;
        let count = self.graph.tensors.len() / Tensor::RECORD_BYTES;
        // At most `Tensor::MAX_COUNT`, so the number fits u16.
        (0..count.min(usize::from(u16::MAX)) as u16).map(move |index| model.tensor(index))
    }

    /// The operators, in the order in which they run.
    pub fn operators(&self) -> Operators<'a> {
        Operators::new(self.graph.operators)
    }

    /// The matrix of a record of this model's operators.
    pub fn matrix(&self, record: &MatrixRecord) -> TernaryMatrix<'a> {
        record.view(self.weights).unwrap_or(TernaryMatrix::empty())
    }

    /// The int8 matrix of a record of this model's operators.
    pub fn int8_matrix(&self, record: &Int8Record) -> Int8Matrix<'a> {
        record.view(self.weights).unwrap_or(Int8Matrix::empty())
    }

    /// The biases of a linear operator of this model.
    pub fn bias(&self, op: &Linear) -> Option<Bias<'a>> {
        self.bias_at(op.bias, op.weights.rows)
    }

    /// The biases of so many rows of an operator of this model.
    pub fn bias_at(&self, offset: Option<u32>, rows: u32) -> Option<Bias<'a>> {
        matrix::section(self.weights, offset?, (rows as usize).checked_mul(4)).ok().map(Bias)
    }

    /// The unit of a linear operator's accumulators: exponents of its tensors decide.
    pub fn accumulators(&self, op: &Linear) -> Accumulators {
        self.accumulators_between(op.input, op.output)
    }

    /// The unit of the accumulators of an operator with weights, from these tensors' exponents.
    pub fn accumulators_between(&self, input: u16, output: u16) -> Accumulators {
        let (input, output) = (self.tensor(input), self.tensor(output));
        let scale = i32::from(output.exponent) - i32::from(input.exponent);
        match output.data_type {
            DataType::I8 => Accumulators::PerRow { scale },
            DataType::I32 => Accumulators::Layer { exponent: scale },
        }
    }

    /// Multiply-accumulate operations of one sample, as the field counts them.
    pub fn macs(&self) -> u64 {
        self.operators().fold(0, |sum: u64, operator| sum.saturating_add(self.macs_of(&operator)))
    }

    /// The same of one operator: columns of its weights for each element of its output. Looking up a row is none, and
    /// what lies outside an image counts.
    pub fn macs_of(&self, operator: &Operator) -> u64 {
        operator.products() * self.tensor(operator.output()).len() as u64
    }

    /// How raw values become the input: one record for all elements, or one for each.
    pub fn input_scales(&self) -> impl ExactSizeIterator<Item = InputScale> + use<'a> {
        self.graph.scales.as_chunks().0.iter().map(|bytes| InputScale::from_bytes(*bytes))
    }

    /// How raw values become this element of the input: the one record for all elements, or its own.
    pub fn input_scale(&self, element: usize) -> Option<InputScale> {
        let (records, _) = self.graph.scales.as_chunks();
        let record = if records.len() == 1 { records.first() } else { records.get(element) };
        record.map(|bytes| InputScale::from_bytes(*bytes))
    }

    /// Names of the output's elements; none where the file holds none.
    pub const fn labels(&self) -> Labels<'a> {
        Labels { bytes: self.graph.labels }
    }

    /// Further facts as pairs of key and value.
    pub const fn properties(&self) -> Properties<'a> {
        Properties { strings: Labels { bytes: self.graph.properties } }
    }
}

/// Number of postcard strings that fill `bytes` exactly.
fn count_strings(mut bytes: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !bytes.is_empty() {
        let mut fields = Fields::new(bytes);
        fields.text();
        bytes = fields.rest()?;
        count += 1;
    }
    Some(count)
}

/// The operators of a model, decoded one by one.
#[derive(Clone, Debug)]
pub struct Operators<'a> {
    records: &'a [u8],
    total: usize,
    index: usize,
}

impl<'a> Operators<'a> {
    pub(crate) fn new(records: &'a [u8]) -> Self {
        Self { records, total: records.len(), index: 0 }
    }

    pub(crate) fn try_next(&mut self) -> Option<Result<Operator, ParseError>> {
        if self.records.is_empty() {
            return None;
        }
        let (index, offset) = (self.index, self.total - self.records.len());
        let mut fields = Fields::new(self.records);
        let record = fields.bytes();
        let Some(rest) = fields.rest() else {
            self.records = &[];
            return Some(Err(ParseError::MalformedOperator { index, offset }));
        };
        self.records = rest;
        self.index += 1;
        Some(Operator::decode(record, index, offset))
    }
}

impl Iterator for Operators<'_> {
    type Item = Operator;

    fn next(&mut self) -> Option<Operator> {
        // A parsed model's records all decode.
        self.try_next()?.ok()
    }
}

/// Strings of the metadata, one by one.
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.bytes.is_empty() {
            return None;
        }
        let mut fields = Fields::new(self.bytes);
        let label = fields.text();
        self.bytes = fields.rest()?;
        Some(label)
    }
}

/// Pairs of key and value.
#[derive(Clone, Debug)]
pub struct Properties<'a> {
    strings: Labels<'a>,
}

impl<'a> Properties<'a> {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.clone().find_map(|(name, value)| (name == key).then_some(value))
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        Some((self.strings.next()?, self.strings.next()?))
    }
}
