//! Every operator with every combination of types, exponents and shapes around the right ones, with tensors of every class
//! and of numbers that are not there, with one tensor as both operands.
//!
//! What must be refused is said here once more, after the table of operators in `docs/format.md`.

use super::support::raw::{RawLinear, RawModel, RawTensor, RawWindow, operator, varint};
use super::support::walk;
use super::{accepted, refusal};
use trishift_format::{Model, OperatorKind, ParseError, PlanFault};

const I8: u8 = RawTensor::I8;
const I32: u8 = RawTensor::I32;

type Shape = [u32; 3];

/// What a tensor may be in a test: every combination of these is tried.
#[derive(Clone, Copy)]
struct Operand {
    exponents: &'static [i16],
    shapes: &'static [Shape],
}

const fn operand(exponents: &'static [i16], shapes: &'static [Shape]) -> Operand {
    Operand { exponents, shapes }
}

/// An operator, the operands to try, one combination of (type, exponent, shape) that is right.
struct Subject {
    kind: OperatorKind,
    relu: bool,
    operands: Vec<Operand>,
    right: Vec<(u8, i16, Shape)>,
}

/// The matrix of the two operators on vectors that have a ternary one, 2 × 6: no exponent below −7, all of them far from the
/// int32 bound.
const MATRIX: RawLinear = RawLinear { encoding: 0, relu: false, bias: None, ..RawModel::SMALL };

/// The window of all that slide one, 3 × 2 in steps of 2 × 1: over 5 × 4 elements it has 3 × 4 places.
const WINDOW: RawWindow = [3, 2, 2, 1, 1, 0, 1, 1];

/// The rows above, columns left, rows below and columns right of the input that padding adds.
const PADDING: [u8; 4] = [1, 0, 2, 3];

/// Rows and columns of the matrix of every other operator that has one; all weights are 0 or as good as 0.
fn matrix(kind: OperatorKind) -> RawLinear {
    let [rows, columns] = match kind {
        OperatorKind::Conv2d | OperatorKind::Int8Conv2d => [2, 18],
        OperatorKind::DepthwiseConv2d | OperatorKind::Int8DepthwiseConv2d => [3, 6],
        _ => [2, 6],
    };
    RawLinear { rows, columns, group: 20, exponents: ZEROS as u32, ..MATRIX }
}

/// Where bytes of 0 follow bytes of 121, five trits of 0.
const ZEROS: usize = 48;

impl Subject {
    /// The record with these tensors as operands.
    fn record(&self, tensors: &[u16]) -> Vec<u8> {
        use OperatorKind::{
            AvgPool, Conv2d, DepthwiseConv2d, Embedding, Int8Conv2d, Int8DepthwiseConv2d, Int8Linear, Linear, MaxPool,
            Pad,
        };
        let with = |matrix| RawLinear { input: tensors[0], output: tensors[1], relu: self.relu, ..matrix };
        let code = self.kind as u16;
        match self.kind {
            Linear => with(MATRIX).record(),
            Embedding => with(MATRIX).embedding(),
            Conv2d | DepthwiseConv2d => with(matrix(self.kind)).convolution(code, WINDOW),
            Int8Linear => with(matrix(self.kind)).int8(code, None),
            Int8Conv2d | Int8DepthwiseConv2d => with(matrix(self.kind)).int8(code, Some(WINDOW)),
            MaxPool | AvgPool => [operator(code, tensors), WINDOW.to_vec()].concat(),
            Pad => [operator(code, tensors), PADDING.to_vec()].concat(),
            kind if has_flag(kind) => [operator(code, tensors), vec![self.relu.into()]].concat(),
            _ => operator(code, tensors),
        }
    }

    /// The graph of this one operator: its first operand is the input, its last one the output, one between is kept. What
    /// slides writes a tensor that is kept, and another operator takes that to the output.
    fn model(&self, tensors: &[(u8, i16, Shape)]) -> RawModel {
        let last = tensors.len() - 1;
        let tensor = |(index, (data_type, exponent, shape)): (usize, &(u8, i16, Shape))| {
            let class = match index {
                0 => RawTensor::INPUT,
                _ if index == last && !self.keeps() => RawTensor::OUTPUT,
                _ => RawTensor::PERSISTENT,
            };
            RawTensor { data_type: *data_type, exponent: *exponent, ..RawTensor::image(class, *shape, 0, 0) }
        };
        let mut tensors: Vec<_> = tensors.iter().enumerate().map(tensor).collect();
        let numbers: Vec<u16> = (0..=last as u16).collect();
        let mut records = vec![self.record(&numbers)];
        if self.keeps() {
            tensors.push(RawTensor { class: RawTensor::OUTPUT, first: 1, last: 1, ..tensors[last] });
            records.push(operator(OperatorKind::Reshape as u16, &[last as u16, last as u16 + 1]));
        }
        let model = RawModel::graph_of(tensors, records, 512);
        let mut weights = RawModel::small().weights;
        weights[4..8].copy_from_slice(&RawModel::SMALL_EXPONENTS.map(|exponent| exponent as u8));
        if !matches!(self.kind, OperatorKind::Linear | OperatorKind::Embedding) {
            weights = [[121; ZEROS], [0; ZEROS]].concat();
        }
        RawModel { weights, ..model }
    }

    /// True where what the operator writes must be kept.
    fn keeps(&self) -> bool {
        self.kind == OperatorKind::Slide
    }

    fn refusal(&self, what: &'static str) -> ParseError {
        ParseError::Operands { index: 0, kind: self.kind, what }
    }
}

/// True for the operators on vectors whose record ends in a ReLU flag.
fn has_flag(kind: OperatorKind) -> bool {
    use OperatorKind::{Add, Requantize, RmsNorm, ShiftNorm};
    matches!(kind, ShiftNorm | Requantize | Add | RmsNorm)
}

/// True for the operators with weights and biases. Their record ends in an option's flag where there are no biases.
fn has_bias(kind: OperatorKind) -> bool {
    use OperatorKind::{Conv2d, DepthwiseConv2d, Int8Conv2d, Int8DepthwiseConv2d, Int8Linear, Linear};
    matches!(kind, Linear | Conv2d | DepthwiseConv2d | Int8Linear | Int8Conv2d | Int8DepthwiseConv2d)
}

fn subjects() -> Vec<Subject> {
    use OperatorKind::{
        Add, ArgMax, AvgPool, Concat, Conv2d, DepthwiseConv2d, Embedding, Int8Conv2d, Int8DepthwiseConv2d, Int8Linear,
        Linear, MaxPool, Pad, Relu, Requantize, Reshape, RmsNorm, ShiftNorm, Slide, Softmax,
    };
    const NEAR: &[i16] = &[-6, -5, -4];
    const UNITS: [&[i16]; 2] = [&[-1, 0], &[-11, -10]];
    const FOUR: Operand = operand(NEAR, &[[1, 1, 3], [1, 2, 2], [4, 1, 1], [1, 1, 5]]);
    let subject = |kind, relu, operands: &[Operand], right: &[(u8, i16, Shape)]| Subject {
        kind,
        relu,
        operands: operands.to_vec(),
        right: right.to_vec(),
    };
    let (four, vector) = ([1, 1, 4], |len| [1, 1, len]);
    let norm = [(I32, -5, four), (I8, -4, four)];
    let shares = [i16::MIN, -31, -30, -8, -7, -6, 0, 1, i16::MAX];
    let shares: &'static [i16] = Box::leak(Box::new(shares));
    let images = operand(NEAR, &IMAGES);
    let sequences = operand(NEAR, &[[1, 4, 3], [1, 2, 3], [1, 4, 2], [2, 4, 3], [2, 2, 3], [1, 1, 12]]);
    let pooled =
        operand(NEAR, &[[3, 4, 3], [3, 4, 2], [3, 4, 4], [2, 4, 3], [4, 4, 3], [3, 3, 3], [3, 5, 3], [4, 3, 3]]);
    let padded =
        operand(NEAR, &[[8, 7, 3], [8, 7, 2], [7, 7, 3], [9, 7, 3], [8, 6, 3], [8, 8, 3], [7, 8, 3], [7, 6, 4]]);
    let joined = operand(&[-5, -4], &[[5, 4, 5], [5, 4, 4], [5, 4, 6], [4, 5, 5], [6, 4, 5], [5, 3, 5], [1, 20, 5]]);
    let (image, half) =
        (operand(&[-5, -4], &IMAGES), operand(&[-5, -4], &[[5, 4, 2], [5, 4, 3], [4, 4, 2], [5, 5, 2]]));
    let mut subjects = vec![
        subject(Relu, false, &[FOUR, FOUR], &[(I8, -5, four), (I8, -5, four)]),
        subject(
            ArgMax,
            false,
            &[FOUR, operand(&[-1, 0, 1], &[[1, 1, 1], [1, 2, 1], [1, 1, 4]])],
            &[(I8, -5, four), (I32, 0, vector(1))],
        ),
        subject(Softmax, false, &[FOUR, operand(shares, FOUR.shapes)], &[(I32, -5, four), (I32, -30, four)]),
        subject(
            Embedding,
            false,
            &[
                operand(NEAR, &[[1, 1, 2], [3, 1, 1], [1, 1, 4]]),
                operand(&[-10, -9, -8], &[[1, 1, 17], [1, 9, 2], [1, 1, 19]]),
            ],
            &[(I8, -5, vector(3)), (I32, -9, vector(18))],
        ),
        subject(Reshape, false, &[FOUR, FOUR], &[(I32, -5, [2, 2, 1]), (I32, -5, four)]),
        subject(Slide, false, &[images, images], &[(I32, -5, [5, 4, 3]), (I32, -5, [6, 4, 3])]),
        subject(Slide, false, &[sequences, sequences], &[(I8, -5, [1, 4, 3]), (I8, -5, [1, 2, 3])]),
        subject(MaxPool, false, &[images, pooled], &[(I8, -5, [5, 4, 3]), (I8, -5, [3, 4, 3])]),
        subject(AvgPool, false, &[images, pooled], &[(I8, -5, [5, 4, 3]), (I8, -6, [3, 4, 3])]),
        subject(Pad, false, &[images, padded], &[(I8, -5, [5, 4, 3]), (I8, -5, [8, 7, 3])]),
        subject(
            Concat,
            false,
            &[image, half, joined],
            &[(I8, -5, [5, 4, 3]), (I8, -5, [5, 4, 2]), (I8, -5, [5, 4, 5])],
        ),
    ];
    for relu in [false, true] {
        for kind in [ShiftNorm, RmsNorm, Requantize] {
            subjects.push(subject(kind, relu, &[FOUR, FOUR], &norm));
        }
        let right = [(I8, -6, four), (I8, -5, four), (I8, -5, four)];
        subjects.push(subject(Add, relu, &[FOUR, FOUR, FOUR], &right));
        let (inputs, outputs) = (&[[1, 1, 5], [1, 1, 6], [2, 3, 1], [1, 1, 7]], &[[1, 1, 1], [1, 2, 1], [1, 1, 3]]);
        let vectors = [operand(&[-1, 0, 1], inputs), operand(&[-11, -10, -9], outputs)];
        for kind in [Linear, Int8Linear] {
            subjects.push(subject(kind, relu, &vectors, &[(I8, 0, vector(6)), (I8, -10, vector(2))]));
        }
        let of_two =
            &[[3, 4, 2], [3, 4, 1], [3, 4, 3], [2, 4, 2], [4, 4, 2], [3, 3, 2], [3, 5, 2], [4, 3, 2], [1, 12, 2]];
        let of_three =
            &[[3, 4, 3], [3, 4, 2], [3, 4, 4], [2, 4, 3], [4, 4, 3], [3, 3, 3], [3, 5, 3], [4, 3, 3], [1, 12, 3]];
        for (kind, outputs, channels) in [
            (Conv2d, of_two, 2),
            (Int8Conv2d, of_two, 2),
            (DepthwiseConv2d, of_three, 3),
            (Int8DepthwiseConv2d, of_three, 3),
        ] {
            let operands = [operand(UNITS[0], &IMAGES), operand(UNITS[1], outputs)];
            subjects.push(subject(kind, relu, &operands, &[(I8, 0, [5, 4, 3]), (I8, -10, [3, 4, channels])]));
        }
    }
    assert!(OperatorKind::ALL.iter().all(|kind| subjects.iter().any(|subject| subject.kind == *kind)));
    subjects
}

/// Images of which two fit [`WINDOW`], and others of as many elements.
const IMAGES: [Shape; 9] =
    [[5, 4, 3], [6, 4, 3], [4, 4, 3], [5, 3, 3], [5, 5, 3], [5, 4, 2], [5, 4, 4], [4, 5, 3], [1, 1, 60]];

/// Places of [`WINDOW`] over an image, or none, counted one by one.
fn places([height, width, _]: Shape) -> [u32; 2] {
    let [rows, columns, down, right, above, left, below, behind] = WINDOW.map(u32::from);
    let count = |length: u32, kernel, stride: u32| (0..).take_while(|place| place * stride + kernel <= length).count();
    [count(above + height + below, rows, down) as u32, count(left + width + behind, columns, right) as u32]
}

/// The first thing that is wrong with these operands, in the words of the error.
fn fault(subject: &Subject, tensors: &[(u8, i16, Shape)]) -> Option<&'static str> {
    use OperatorKind::{
        Add, ArgMax, AvgPool, Concat, Conv2d, DepthwiseConv2d, Embedding, Int8Conv2d, Int8DepthwiseConv2d, Int8Linear,
        Linear, MaxPool, Pad, Relu, Requantize, Reshape, RmsNorm, ShiftNorm, Slide, Softmax,
    };
    let (inputs, (to, exponent, shape)) = (&tensors[..tensors.len() - 1], tensors[tensors.len() - 1]);
    let (from, from_exponent, from_shape) = inputs[0];
    let elements = |shape: Shape| shape.iter().product::<u32>();
    let (from_length, length) = (elements(from_shape), elements(shape));
    let RawLinear { rows, columns, .. } = matrix(subject.kind);
    let types = match subject.kind {
        kind if has_bias(kind) => from == I8 && (to == I8 || !subject.relu),
        ShiftNorm | RmsNorm | Requantize => from == I32 && to == I8,
        Relu | Add | MaxPool | AvgPool | Concat | Pad => tensors.iter().all(|(data_type, _, _)| *data_type == I8),
        ArgMax => to == I32,
        Reshape | Slide => from == to,
        _ => true,
    };
    let [height, width, channels] = shape;
    let shapes = match subject.kind {
        Linear | Int8Linear => from_length == columns && length == rows,
        Embedding => from_length * MATRIX.columns == length,
        ArgMax => length == 1,
        Conv2d | Int8Conv2d => {
            places(from_shape) == [height, width] && from_shape[2] * 3 * 2 == columns && channels == rows
        }
        DepthwiseConv2d | Int8DepthwiseConv2d => {
            places(from_shape) == [height, width] && from_shape[2] == channels && channels == rows
        }
        MaxPool | AvgPool => places(from_shape) == [height, width] && from_shape[2] == channels,
        Concat => {
            inputs.iter().all(|(_, _, from)| from[..2] == shape[..2]) && from_shape[2] + inputs[1].2[2] == channels
        }
        Pad => [from_shape[0] + 3, from_shape[1] + 3, from_shape[2]] == shape,
        // The same rows, or sequences of the same channels.
        Slide => from_shape[1..] == shape[1..] || (from_shape[0], height, from_shape[2]) == (1, 1, channels),
        _ => inputs.iter().all(|(_, _, from_shape)| elements(*from_shape) == length),
    };
    let exponents = match (subject.kind, to) {
        (Relu | Reshape | MaxPool | Pad | Slide, _) => from_exponent == exponent,
        (Concat, _) => inputs.iter().all(|(_, from_exponent, _)| *from_exponent == exponent),
        (Add, _) => inputs.iter().map(|(_, exponent, _)| *exponent).max() == Some(exponent),
        (ArgMax, _) => exponent == 0,
        (Softmax, I8) => exponent == -7,
        (Softmax, _) => exponent <= 0 && exponent > -31,
        _ => true,
    };
    let faults = [(types, "element types"), (shapes, "shapes"), (exponents, "exponents")];
    faults.iter().find_map(|(holds, what)| (!holds).then_some(*what))
}

/// All combinations of types, exponents and shapes.
fn combinations(operands: &[Operand]) -> Vec<Vec<(u8, i16, Shape)>> {
    let Some((first, rest)) = operands.split_first() else { return vec![vec![]] };
    let rest = combinations(rest);
    let choices = [I8, I32].iter().flat_map(|data_type| {
        let pairs =
            first.exponents.iter().flat_map(|exponent| first.shapes.iter().map(move |shape| (*exponent, *shape)));
        pairs.map(|(exponent, shape)| (*data_type, exponent, shape))
    });
    choices.flat_map(|choice| rest.iter().map(move |rest| [&[choice], &rest[..]].concat())).collect()
}

#[test]
fn every_combination_of_types_exponents_and_shapes() {
    let (mut allowed, mut refused) = (0, 0);
    for subject in subjects() {
        let mut allowed_here = 0;
        for tensors in combinations(&subject.operands) {
            let found = Model::parse(&subject.model(&tensors).file()).map(|model| walk::model(&model));
            let expected = fault(&subject, &tensors).map(|what| subject.refusal(what));
            assert_eq!(found.err(), expected, "{} {tensors:?}", subject.kind);
            *(if expected.is_none() { &mut allowed_here } else { &mut refused }) += 1;
        }
        assert!(allowed_here > 0, "{}", subject.kind);
        allowed += allowed_here;
    }
    println!("{allowed} combinations of operands are accepted, {refused} refused");
}

#[test]
fn tensors_of_every_class() {
    for subject in subjects() {
        let right = subject.model(&subject.right);
        accepted(&right.file());
        let last = right.tensors.len() - 1;
        for (number, tensor) in right.tensors.iter().enumerate() {
            for class in (0..4).filter(|class| *class != tensor.class) {
                let expected = match class {
                    // The caller's memory is not written; a tensor of another class is not the graph's input or output.
                    _ if subject.keeps() && number == 1 => PlanFault::Class,
                    RawTensor::INPUT if number == last => PlanFault::Written,
                    RawTensor::OUTPUT | RawTensor::ARENA if number < last => PlanFault::Lifetime,
                    _ => PlanFault::Class,
                };
                let mut model = right.clone();
                model.tensors[number].class = class;
                let expected = ParseError::Plan { tensor: number, fault: expected };
                assert_eq!(refusal(&model), expected, "{}: class {class}", subject.kind);
            }
        }
    }
}

#[test]
fn tensors_that_are_not_there() {
    for subject in subjects() {
        let right = subject.model(&subject.right);
        let count = right.tensors.len() as u16;
        for operand in 0..subject.right.len() as u16 {
            for tensor in [count, count + 1, 255, 256, 1024, u16::MAX] {
                let mut numbers: Vec<u16> = (0..subject.right.len() as u16).collect();
                numbers[usize::from(operand)] = tensor;
                let model = RawModel { operators: vec![subject.record(&numbers)], ..right.clone() };
                assert_eq!(refusal(&model), ParseError::TensorIndex { index: 0, tensor }, "{}", subject.kind);
            }
        }
    }
}

#[test]
fn one_tensor_as_every_operand() {
    for subject in subjects() {
        let right = subject.model(&subject.right);
        let last = subject.right.len() - 1;
        for number in [0, last] {
            let numbers = vec![number as u16; subject.right.len()];
            let model = RawModel { operators: vec![subject.record(&numbers)], ..right.clone() };
            let operands = vec![subject.right[number]; subject.right.len()];
            let expected = match fault(&subject, &operands) {
                Some(what) => subject.refusal(what),
                // What slides is kept, and never its own input.
                None if subject.keeps() && number == 0 => ParseError::Plan { tensor: 0, fault: PlanFault::Class },
                None if subject.keeps() => ParseError::Plan { tensor: 1, fault: PlanFault::Overlap { other: 1 } },
                // The caller's input is not written, its output not read before it is.
                None if number == 0 => ParseError::Plan { tensor: 0, fault: PlanFault::Written },
                None => ParseError::Plan { tensor: last, fault: PlanFault::Lifetime },
            };
            assert_eq!(refusal(&model), expected, "{}: tensor {number}", subject.kind);
        }
    }
}

#[test]
fn records_cut_off_extended_or_with_numbers_too_large() {
    let malformed = ParseError::MalformedOperator { index: 0, offset: 0 };
    for subject in subjects() {
        let right = subject.model(&subject.right);
        let record = right.operators[0].clone();
        let with = |record: Vec<u8>| refusal(&RawModel { operators: vec![record], ..right.clone() });
        for length in 0..record.len() {
            assert_eq!(with(record[..length].to_vec()), malformed, "{}: {length} bytes", subject.kind);
        }
        assert_eq!(with([&record[..], &[0]].concat()), malformed, "{}", subject.kind);
        // A tensor number of 17 bits, one of 33, one that does not end.
        for number in [varint(1 << 16), varint(u32::MAX.into()), varint(1 << 32), vec![0x80; 6]] {
            let longer = [&record[..1], &number, &record[2..]].concat();
            assert_eq!(with(longer), malformed, "{}: {number:?}", subject.kind);
        }
        if has_flag(subject.kind) || has_bias(subject.kind) {
            for flag in 2..=255 {
                let mut record = record.clone();
                *record.last_mut().unwrap() = flag;
                assert_eq!(with(record), malformed, "{}: flag {flag}", subject.kind);
            }
        }
    }
    // Codes of 17 bits are no codes, whatever their lower 16 say.
    for code in [1 << 16, (1 << 16) + 4, 1 << 31] {
        let record = [varint(code), vec![0, 1]].concat();
        assert_eq!(refusal(&RawModel { operators: vec![record], ..RawModel::relus(1) }), malformed, "{code}");
    }
    // The same in another list: one operator whose length says too much or too little.
    let record = operator(4, &[0, 1]);
    for length in [0, 1, 2, 4, 200] {
        let mut model = RawModel { operators: vec![], ..RawModel::relus(1) };
        model.operator_tail = [varint(length), record.clone()].concat();
        assert_eq!(refusal(&model), malformed, "{length}");
    }
}
