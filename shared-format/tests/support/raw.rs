//! A second writer, after `docs/format.md` and nothing else, that keeps no rule: files are wrong in exactly one way.
//!
//! [`RawModel::small`] is valid and byte for byte what the crate's own writer makes of the same network, which holds
//! the two against each other; a test then changes a field and says what the parser must answer.

use super::seal::seal_with_length;
use trishift_format::{DataType, Tensor, TensorClass};

/// A postcard varint: seven bits a byte, the lowest first, the top bit where more follow.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 127 {
        bytes.push(value as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A postcard string or byte string: its length, then its bytes.
pub(crate) fn prefixed(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    [varint(bytes.as_ref().len() as u64), bytes.as_ref().to_vec()].concat()
}

/// One section of a file and what the table says of it; `None` is what a right file would say.
#[derive(Clone, Default)]
pub(crate) struct RawSection {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) contents: Vec<u8>,
    pub(crate) offset: Option<u64>,
    pub(crate) length: Option<u64>,
}

impl RawSection {
    pub(crate) fn new(kind: u32, contents: Vec<u8>) -> Self {
        Self { kind, contents, ..Self::default() }
    }
}

/// The file of these sections, each at the first multiple of 64 bytes, with right checksums.
pub(crate) fn container(kind: u8, arena_bytes: u64, sections: &[RawSection]) -> Vec<u8> {
    let mut file = vec![0; 64 + 24 * sections.len()];
    file[..8].copy_from_slice(b"\x89TSM\r\n\x1a\n");
    file[8..11].copy_from_slice(&[0, 4, kind]);
    file[12..16].copy_from_slice(&(sections.len() as u32).to_le_bytes());
    file[24..32].copy_from_slice(&arena_bytes.to_le_bytes());
    for (index, section) in sections.iter().enumerate() {
        file.resize(file.len().next_multiple_of(64), 0);
        let offset = section.offset.unwrap_or(file.len() as u64);
        let length = section.length.unwrap_or(section.contents.len() as u64);
        let entry = &mut file[64 + 24 * index..][..24];
        entry[..4].copy_from_slice(&section.kind.to_le_bytes());
        entry[4..8].copy_from_slice(&section.flags.to_le_bytes());
        entry[8..16].copy_from_slice(&offset.to_le_bytes());
        entry[16..].copy_from_slice(&length.to_le_bytes());
        file.extend(&section.contents);
    }
    seal_with_length(&mut file);
    file
}

/// A tensor's record, whose codes may be unknown ones.
#[derive(Clone, Copy)]
pub(crate) struct RawTensor {
    pub(crate) data_type: u8,
    pub(crate) class: u8,
    pub(crate) exponent: i16,
    pub(crate) shape: [u32; 3],
    pub(crate) offset: u32,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl RawTensor {
    pub(crate) const I8: u8 = 0;
    pub(crate) const I32: u8 = 1;
    pub(crate) const INPUT: u8 = 0;
    pub(crate) const OUTPUT: u8 = 1;
    pub(crate) const ARENA: u8 = 2;
    pub(crate) const PERSISTENT: u8 = 3;

    /// A vector of `len` int8 elements at offset 0.
    pub(crate) fn i8(class: u8, len: u32, first: u16, last: u16) -> Self {
        Self::image(class, [1, 1, len], first, last)
    }

    /// An int8 image at offset 0.
    pub(crate) fn image(class: u8, shape: [u32; 3], first: u16, last: u16) -> Self {
        Self { data_type: Self::I8, class, exponent: 0, shape, offset: 0, first, last }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.data_type, self.class];
        bytes.extend(self.exponent.to_le_bytes());
        bytes.extend(self.shape.iter().flat_map(|dimension| dimension.to_le_bytes()));
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.first.to_le_bytes());
        bytes.extend(self.last.to_le_bytes());
        bytes
    }

    /// The crate's own tensor.
    pub(crate) fn tensor(&self) -> Tensor {
        Tensor {
            data_type: [DataType::I8, DataType::I32][usize::from(self.data_type)],
            class: [TensorClass::Input, TensorClass::Output, TensorClass::Arena, TensorClass::Persistent]
                [usize::from(self.class)],
            exponent: self.exponent,
            shape: self.shape,
            offset: self.offset,
            first: self.first,
            last: self.last,
        }
    }
}

/// A linear operator's record.
#[derive(Clone, Copy)]
pub(crate) struct RawLinear {
    pub(crate) input: u16,
    pub(crate) output: u16,
    pub(crate) relu: bool,
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    pub(crate) group: u8,
    pub(crate) encoding: u8,
    pub(crate) layout: u8,
    pub(crate) trits: u32,
    pub(crate) exponents: u32,
    pub(crate) bias: Option<u32>,
}

impl RawLinear {
    pub(crate) fn record(&self) -> Vec<u8> {
        [self.head(1), self.matrix(), option(self.bias)].concat()
    }

    /// A convolution's record with this matrix: `code` 10, or 11 for a depthwise one.
    pub(crate) fn convolution(&self, code: u16, window: RawWindow) -> Vec<u8> {
        [self.head(code), window.to_vec(), self.matrix(), option(self.bias)].concat()
    }

    /// An operator's record with an int8 matrix: this one's rows and columns, values where its trits are. `code` 12, or with
    /// a window 13 or 14.
    pub(crate) fn int8(&self, code: u16, window: Option<RawWindow>) -> Vec<u8> {
        let numbers = [self.rows, self.columns, self.trits, self.exponents].map(|number| varint(number.into()));
        let window = window.map_or(vec![], |window| window.to_vec());
        [self.head(code), window, numbers.concat(), option(self.bias)].concat()
    }

    fn head(&self, code: u16) -> Vec<u8> {
        [operator(code, &[self.input, self.output]), vec![u8::from(self.relu)]].concat()
    }

    /// An embedding's record with this matrix as its table; it has no ReLU and no bias.
    pub(crate) fn embedding(&self) -> Vec<u8> {
        [operator(8, &[self.input, self.output]), self.matrix()].concat()
    }

    fn matrix(&self) -> Vec<u8> {
        let tags = vec![self.group, self.encoding, self.layout];
        let [rows, columns, trits, exponents] =
            [self.rows, self.columns, self.trits, self.exponents].map(|number| varint(number.into()));
        [rows, columns, tags, trits, exponents].concat()
    }
}

/// A window's bytes: rows and columns, steps down and to the right, zeros above, left, below, right.
pub(crate) type RawWindow = [u8; 8];

/// An option: one byte 0, or 1 and the number.
fn option(number: Option<u32>) -> Vec<u8> {
    number.map_or(vec![0], |number| [vec![1], varint(number.into())].concat())
}

/// Code and tensor numbers of an operator; those with a ReLU flag want one byte more, a pooling its
/// window, padding four bytes.
pub(crate) fn operator(code: u16, tensors: &[u16]) -> Vec<u8> {
    [code].iter().chain(tensors).flat_map(|number| varint(u64::from(*number))).collect()
}

/// A model in pieces.
#[derive(Clone)]
pub(crate) struct RawModel {
    pub(crate) name: Vec<u8>,
    pub(crate) input: u16,
    pub(crate) output: u16,
    pub(crate) tensors: Vec<RawTensor>,
    /// Bytes behind the last tensor record.
    pub(crate) tensor_tail: Vec<u8>,
    pub(crate) operators: Vec<Vec<u8>>,
    /// Bytes behind the last operator record.
    pub(crate) operator_tail: Vec<u8>,
    pub(crate) scales: Vec<u8>,
    pub(crate) labels: Vec<u8>,
    pub(crate) properties: Vec<u8>,
    /// Bytes behind the graph record.
    pub(crate) graph_tail: Vec<u8>,
    pub(crate) weights: Vec<u8>,
    pub(crate) arena_bytes: u64,
}

/// Input scaling that changes nothing.
const IDENTITY: [u8; 6] = [0; 6];

impl RawModel {
    /// A model of these tensors and operators, without weights; tensor 0 is the input, the last one the output.
    pub(crate) fn graph_of(tensors: Vec<RawTensor>, operators: Vec<Vec<u8>>, arena_bytes: u64) -> Self {
        Self {
            name: b"raw".to_vec(),
            input: 0,
            output: tensors.len() as u16 - 1,
            tensors,
            tensor_tail: vec![],
            operators,
            operator_tail: vec![],
            scales: IDENTITY.to_vec(),
            labels: vec![],
            properties: vec![],
            graph_tail: vec![],
            weights: vec![],
            arena_bytes,
        }
    }

    /// The operator of [`RawModel::small`].
    pub(crate) const SMALL: RawLinear = RawLinear {
        input: 0,
        output: 1,
        relu: true,
        rows: 2,
        columns: 6,
        group: 4,
        encoding: 1,
        layout: 0,
        trits: 0,
        exponents: 4,
        bias: Some(8),
    };

    /// Rows of [`RawModel::small`].
    pub(crate) const SMALL_TRITS: [i8; 12] = [1, 0, -1, 1, /**/ 0, 1, /**/ 0, 0, 0, 0, /**/ -1, -1];

    /// Exponents of [`RawModel::small`].
    pub(crate) const SMALL_EXPONENTS: [i8; 4] = [-2, 3, -7, -7];

    /// Biases of [`RawModel::small`].
    pub(crate) const SMALL_BIAS: [i32; 2] = [258, -1];

    /// One linear layer, 6 → 2 in groups of 4, with a bias; two labels, one property.
    pub(crate) fn small() -> Self {
        let mut tensors = vec![RawTensor::i8(RawTensor::INPUT, 6, 0, 0), RawTensor::i8(RawTensor::OUTPUT, 2, 0, 0)];
        tensors[1].exponent = -1;
        let mut model = Self::graph_of(tensors, vec![Self::SMALL.record()], 0);
        // Digits are trit + 1, the first trit's the lowest; missing ones are 1.
        let byte = |digits: [u8; 5]| digits.iter().rev().fold(0, |byte, digit| byte * 3 + digit);
        model.weights = vec![byte([2, 1, 0, 2, 1]), byte([1, 2, 1, 1, 1]), 121, byte([0, 0, 1, 1, 1])];
        // Bases −2 and −7, then offsets: 0 and 5, 0 and 0.
        model.weights.extend([0xFE, 0xF9, 0x50, 0x00]);
        model.weights.extend(Self::SMALL_BIAS.iter().flat_map(|bias| bias.to_le_bytes()));
        model.labels = [prefixed("no"), prefixed("yes")].concat();
        model.properties = [prefixed("key"), prefixed("value")].concat();
        model
    }

    /// The operator of [`RawModel::records`].
    pub(crate) const RECORDS: RawLinear =
        RawLinear { encoding: 2, layout: 1, exponents: 8, bias: Some(12), ..Self::SMALL };

    /// [`RawModel::small`] in the other layout.
    pub(crate) fn records() -> Self {
        let small = Self::small_with(Self::RECORDS);
        let trits = &small.weights[..4];
        // Groups of row 0 and row 1, each behind its offset.
        let records = [0, trits[0], 0, trits[2], 5, trits[1], 0, trits[3]];
        let bases = [0xFE, 0xF9, 0, 0];
        Self { weights: [&records[..], &bases, &small.weights[8..]].concat(), ..small }
    }

    /// [`RawModel::small`] with another operator.
    pub(crate) fn small_with(linear: RawLinear) -> Self {
        Self { operators: vec![linear.record()], ..Self::small() }
    }

    /// The matrix of [`RawModel::small`] as a table of two rows, three of which make the output.
    pub(crate) fn table() -> Self {
        let tensors = vec![RawTensor::i8(RawTensor::INPUT, 3, 0, 0), RawTensor::i8(RawTensor::OUTPUT, 18, 0, 0)];
        let weights = Self::small().weights;
        Self { weights, ..Self::graph_of(tensors, vec![Self::SMALL.embedding()], 0) }
    }

    /// A chain of `count` ReLUs over four elements; the tensors between them take turns in an arena of 8 bytes.
    pub(crate) fn relus(count: u16) -> Self {
        let tensor = |index: u16| match index {
            0 => RawTensor::i8(RawTensor::INPUT, 4, 0, 0),
            index if index == count => RawTensor::i8(RawTensor::OUTPUT, 4, index - 1, index - 1),
            index => {
                let place = RawTensor::i8(RawTensor::ARENA, 4, index - 1, index);
                RawTensor { offset: u32::from(index % 2) * 4, ..place }
            }
        };
        let operators = (0..count).map(|index| operator(4, &[index, index + 1])).collect();
        Self::graph_of((0..=count).map(tensor).collect(), operators, 8)
    }

    /// The graph section.
    pub(crate) fn graph(&self) -> Vec<u8> {
        let tensors: Vec<u8> = self.tensors.iter().flat_map(RawTensor::bytes).chain(self.tensor_tail.clone()).collect();
        let operators: Vec<u8> = self.operators.iter().flat_map(prefixed).chain(self.operator_tail.clone()).collect();
        let numbers = [varint(self.input.into()), varint(self.output.into())].concat();
        let lists = [&tensors, &operators, &self.scales, &self.labels, &self.properties].map(prefixed).concat();
        [prefixed(&self.name), numbers, lists, self.graph_tail.clone()].concat()
    }

    /// The file.
    pub(crate) fn file(&self) -> Vec<u8> {
        let sections = [RawSection::new(1, self.graph()), RawSection::new(2, self.weights.clone())];
        container(1, self.arena_bytes, &sections)
    }
}
