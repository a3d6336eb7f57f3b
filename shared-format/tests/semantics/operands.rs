//! Every operator with every combination of types, exponents and lengths around the right ones, with tensors of every class
//! and of numbers that are not there, with one tensor as both operands.
//!
//! What must be refused is said here once more, after the table of operators in `docs/format.md`.

use super::support::raw::{RawLinear, RawModel, RawTensor, operator, varint};
use super::support::walk;
use super::{accepted, refusal};
use trishift_format::{Model, OperatorKind, ParseError, PlanFault};

const I8: u8 = RawTensor::I8;
const I32: u8 = RawTensor::I32;

/// What a tensor may be in a test: every combination of these is tried.
#[derive(Clone, Copy)]
struct Operand {
    exponents: &'static [i16],
    lengths: &'static [u32],
}

const fn operand(exponents: &'static [i16], lengths: &'static [u32]) -> Operand {
    Operand { exponents, lengths }
}

/// An operator, the operands to try, one combination of (type, exponent, length) that is right.
struct Subject {
    kind: OperatorKind,
    relu: bool,
    operands: Vec<Operand>,
    right: Vec<(u8, i16, u32)>,
}

/// The matrix of the two operators that have one, 2 × 6: no exponent below −7, all of them far from the int32 bound.
const MATRIX: RawLinear = RawLinear { encoding: 0, relu: false, bias: None, ..RawModel::SMALL };

impl Subject {
    /// The record with these tensors as operands.
    fn record(&self, tensors: &[u16]) -> Vec<u8> {
        let linear = RawLinear { input: tensors[0], output: tensors[1], relu: self.relu, ..MATRIX };
        match self.kind {
            OperatorKind::Linear => linear.record(),
            OperatorKind::Embedding => linear.embedding(),
            kind if has_flag(kind) => [operator(kind as u16, tensors), vec![self.relu.into()]].concat(),
            kind => operator(kind as u16, tensors),
        }
    }

    /// The graph of this one operator: its first operand is the input, its last one the output, one between is kept.
    fn model(&self, tensors: &[(u8, i16, u32)]) -> RawModel {
        let last = tensors.len() - 1;
        let tensor = |(index, (data_type, exponent, len)): (usize, &(u8, i16, u32))| {
            let class = match index {
                0 => RawTensor::INPUT,
                _ if index == last => RawTensor::OUTPUT,
                _ => RawTensor::PERSISTENT,
            };
            RawTensor { data_type: *data_type, exponent: *exponent, ..RawTensor::i8(class, *len, 0, 0) }
        };
        let tensors: Vec<_> = tensors.iter().enumerate().map(tensor).collect();
        let numbers: Vec<u16> = (0..=last as u16).collect();
        let model = RawModel::graph_of(tensors, vec![self.record(&numbers)], 64);
        let mut weights = RawModel::small().weights;
        weights[4..8].copy_from_slice(&RawModel::SMALL_EXPONENTS.map(|exponent| exponent as u8));
        RawModel { weights, ..model }
    }

    fn refusal(&self, what: &'static str) -> ParseError {
        ParseError::Operands { index: 0, kind: self.kind, what }
    }
}

/// True for the operators whose record ends in a ReLU flag.
fn has_flag(kind: OperatorKind) -> bool {
    use OperatorKind::{Add, Requantize, RmsNorm, ShiftNorm};
    matches!(kind, ShiftNorm | Requantize | Add | RmsNorm)
}

fn subjects() -> Vec<Subject> {
    use OperatorKind::{Add, ArgMax, Embedding, Linear, Relu, Requantize, RmsNorm, ShiftNorm, Softmax};
    const NEAR: &[i16] = &[-6, -5, -4];
    const FOUR: Operand = operand(NEAR, &[3, 4, 5]);
    let subject = |kind, relu, operands: &[Operand], right: &[(u8, i16, u32)]| Subject {
        kind,
        relu,
        operands: operands.to_vec(),
        right: right.to_vec(),
    };
    let norm = [(I32, -5, 4), (I8, -4, 4)];
    let mut subjects = vec![
        subject(Relu, false, &[FOUR, FOUR], &[(I8, -5, 4), (I8, -5, 4)]),
        subject(ArgMax, false, &[FOUR, operand(&[-1, 0, 1], &[1, 2, 4])], &[(I8, -5, 4), (I32, 0, 1)]),
        subject(
            Softmax,
            false,
            &[FOUR, operand(&[i16::MIN, -31, -30, -8, -7, -6, 0, 1, i16::MAX], &[3, 4, 5])],
            &[(I32, -5, 4), (I32, -30, 4)],
        ),
        subject(
            Embedding,
            false,
            &[operand(NEAR, &[2, 3, 4]), operand(&[-10, -9, -8], &[17, 18, 19])],
            &[(I8, -5, 3), (I32, -9, 18)],
        ),
    ];
    for relu in [false, true] {
        for kind in [ShiftNorm, RmsNorm, Requantize] {
            subjects.push(subject(kind, relu, &[FOUR, FOUR], &norm));
        }
        subjects.push(subject(Add, relu, &[FOUR, FOUR, FOUR], &[(I8, -6, 4), (I8, -5, 4), (I8, -5, 4)]));
        let (inputs, outputs) = (operand(&[-1, 0, 1], &[5, 6, 7]), operand(&[-11, -10, -9], &[1, 2, 3]));
        subjects.push(subject(Linear, relu, &[inputs, outputs], &[(I8, 0, 6), (I8, -10, 2)]));
    }
    assert!(OperatorKind::ALL.iter().all(|kind| subjects.iter().any(|subject| subject.kind == *kind)));
    subjects
}

/// The first thing that is wrong with these operands, in the words of the error.
fn fault(subject: &Subject, tensors: &[(u8, i16, u32)]) -> Option<&'static str> {
    use OperatorKind::{Add, ArgMax, Embedding, Linear, Relu, Requantize, RmsNorm, ShiftNorm, Softmax};
    let (inputs, (to, exponent, length)) = (&tensors[..tensors.len() - 1], tensors[tensors.len() - 1]);
    let (from, from_exponent, from_length) = inputs[0];
    let types = match subject.kind {
        Linear => from == I8 && (to == I8 || !subject.relu),
        ShiftNorm | RmsNorm | Requantize => from == I32 && to == I8,
        Relu | Add => tensors.iter().all(|(data_type, _, _)| *data_type == I8),
        ArgMax => to == I32,
        Embedding | Softmax => true,
    };
    let lengths = match subject.kind {
        Linear => from_length == MATRIX.columns && length == MATRIX.rows,
        Embedding => from_length * MATRIX.columns == length,
        ArgMax => length == 1,
        _ => inputs.iter().all(|(_, _, from_length)| *from_length == length),
    };
    let exponents = match (subject.kind, to) {
        (Relu, _) => from_exponent == exponent,
        (Add, _) => inputs.iter().map(|(_, exponent, _)| *exponent).max() == Some(exponent),
        (ArgMax, _) => exponent == 0,
        (Softmax, I8) => exponent == -7,
        (Softmax, _) => exponent <= 0 && exponent > -31,
        _ => true,
    };
    let faults = [(types, "element types"), (lengths, "shapes"), (exponents, "exponents")];
    faults.iter().find_map(|(holds, what)| (!holds).then_some(*what))
}

/// All combinations of types, exponents and lengths.
fn combinations(operands: &[Operand]) -> Vec<Vec<(u8, i16, u32)>> {
    let Some((first, rest)) = operands.split_first() else { return vec![vec![]] };
    let rest = combinations(rest);
    let choices = [I8, I32].iter().flat_map(|data_type| {
        let pairs = first.exponents.iter().flat_map(|exponent| first.lengths.iter().map(move |len| (*exponent, *len)));
        pairs.map(|(exponent, len)| (*data_type, exponent, len))
    });
    choices.flat_map(|choice| rest.iter().map(move |rest| [&[choice], &rest[..]].concat())).collect()
}

#[test]
fn every_combination_of_types_exponents_and_lengths() {
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
        for operand in 0..count {
            for tensor in [count, count + 1, 255, 256, 1024, u16::MAX] {
                let mut numbers: Vec<u16> = (0..count).collect();
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
                // The caller's input is not written, its output not read before it is.
                None if number == 0 => ParseError::Plan { tensor: 0, fault: PlanFault::Written },
                None => ParseError::Plan { tensor: last, fault: PlanFault::Lifetime },
            };
            assert_eq!(refusal(&model), expected, "{}: tensor {number}", subject.kind);
        }
    }
}

#[test]
fn operands_that_would_fit_are_not_written_where_they_are_read() {
    // Of these operators one tensor can have the right type and length for both ends.
    let square = RawLinear { rows: 4, columns: 4, group: 4, exponents: 4, ..MATRIX };
    let column = RawLinear { rows: 2, columns: 1, exponents: 4, ..MATRIX };
    let records = [
        (I8, 0, RawLinear { input: 1, output: 1, ..square }.record()),
        (I8, 0, operator(4, &[1, 1])),
        (I8, 0, [operator(5, &[0, 1, 1]), vec![0]].concat()),
        (I8, 0, [operator(5, &[1, 0, 1]), vec![1]].concat()),
        (I8, -7, operator(9, &[1, 1])),
        (I32, -30, operator(9, &[1, 1])),
        (I8, 0, RawLinear { input: 1, output: 1, ..column }.embedding()),
    ];
    for (data_type, exponent, record) in records {
        let tensor = |class| RawTensor { data_type, exponent, ..RawTensor::i8(class, 4, 0, 1) };
        let copy = |to: u16| match data_type {
            I8 if exponent == 0 => operator(4, &[0, to]),
            _ => operator(9, &[0, to]),
        };
        let classes = [(RawTensor::PERSISTENT, true), (RawTensor::ARENA, false)];
        for (class, persistent) in classes {
            let mut tensors = vec![tensor(RawTensor::INPUT), tensor(class), tensor(RawTensor::OUTPUT)];
            tensors[2].first = 1;
            let operators = vec![record.clone(), copy(2)];
            let mut model = RawModel::graph_of(tensors, operators, 16);
            // Trits of 0, exponents of 0.
            model.weights = [vec![121; 4], vec![0; 4]].concat();
            let fault = if persistent { PlanFault::Overlap { other: 1 } } else { PlanFault::Lifetime };
            assert_eq!(refusal(&model), ParseError::Plan { tensor: 1, fault }, "{record:?}");
        }
    }
    // An argmax of one element, the only one whose input and output are alike.
    let one = |class| RawTensor { data_type: I32, ..RawTensor::i8(class, 1, 0, 1) };
    let mut tensors = vec![one(RawTensor::INPUT), one(RawTensor::PERSISTENT), one(RawTensor::OUTPUT)];
    tensors[2].first = 1;
    let model = RawModel::graph_of(tensors, vec![operator(6, &[1, 1]), operator(6, &[0, 2])], 4);
    let fault = PlanFault::Overlap { other: 1 };
    assert_eq!(refusal(&model), ParseError::Plan { tensor: 1, fault });
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
        if has_flag(subject.kind) {
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
