//! Outputs that take their input's place: where they may, and everything that stands in the way.

use super::support::raw::{RawLinear, RawModel, RawTensor, RawWindow, operator};
use super::{accepted, refusal};
use trishift_format::{ParseError, PlanFault};

const OVERLAP: ParseError = ParseError::Plan { tensor: 2, fault: PlanFault::Overlap { other: 1 } };

/// A window of 3 × 3 that keeps an image's size, and one that halves it.
const SAME: RawWindow = [3, 3, 1, 1, 1, 1, 1, 1];
const HALVES: RawWindow = [2, 2, 2, 2, 0, 0, 0, 0];

/// A window of one element.
const ONE: RawWindow = [1, 1, 1, 1, 0, 0, 0, 0];

/// A depthwise convolution of tensor 1 into tensor 2 for the four channels of an image; weights of 0.
fn depthwise(window: RawWindow) -> Vec<u8> {
    let columns = u32::from(window[0]) * u32::from(window[1]);
    let matrix =
        RawLinear { input: 1, output: 2, rows: 4, columns, group: 20, encoding: 0, exponents: 8, ..RawModel::SMALL };
    RawLinear { relu: false, bias: None, ..matrix }.convolution(11, window)
}

/// A ReLU from the input into tensor 1, the operator of this record from there into tensor 2, a ReLU into the output; tensors 1
/// and 2 lie in the same place.
fn in_place(record: Vec<u8>) -> RawModel {
    let shape = [2, 4, 4];
    let tensors = vec![
        RawTensor::image(RawTensor::INPUT, shape, 0, 0),
        RawTensor::image(RawTensor::ARENA, shape, 0, 1),
        RawTensor::image(RawTensor::ARENA, shape, 1, 2),
        RawTensor::image(RawTensor::OUTPUT, shape, 2, 2),
    ];
    let model = RawModel::graph_of(tensors, vec![operator(4, &[0, 1]), record, operator(4, &[2, 3])], 256);
    // Trits of 0, exponents of 0.
    RawModel { weights: [[121; 8], [0; 8]].concat(), ..model }
}

/// The same with a change.
fn changed(record: Vec<u8>, change: impl FnOnce(&mut RawModel)) -> RawModel {
    let mut model = in_place(record);
    change(&mut model);
    model
}

/// Operators that may write over their input, each with its input and output alike.
fn operators() -> [Vec<u8>; 3] {
    [operator(4, &[1, 2]), operator(18, &[1, 2]), depthwise(SAME)]
}

#[test]
fn operators_that_may() {
    for record in operators() {
        accepted(&in_place(record.clone()).file());
        accepted(
            &changed(record, |model| model.tensors[1..3].iter_mut().for_each(|tensor| tensor.offset = 224)).file(),
        );
    }
    // Elements of four bytes, in another shape.
    let mut reshape = in_place(operator(18, &[1, 2]));
    for tensor in &mut reshape.tensors {
        (tensor.data_type, tensor.exponent) = (RawTensor::I32, -7);
    }
    reshape.tensors[2].shape = [1, 1, 32];
    reshape.operators[0] = operator(9, &[0, 1]);
    reshape.operators[2] = operator(9, &[2, 3]);
    accepted(&reshape.file());
}

#[test]
fn operators_that_may_not() {
    let linear = RawLinear { input: 1, output: 2, rows: 32, columns: 32, exponents: 256, ..RawModel::SMALL };
    let linear = RawLinear { group: 40, encoding: 0, relu: false, bias: None, ..linear };
    let channels = RawLinear { rows: 4, columns: 4, ..linear };
    let taps = RawLinear { rows: 4, columns: 1, ..linear };
    let records = [
        linear.record(),
        linear.int8(12, None),
        channels.convolution(10, ONE),
        channels.int8(13, Some(ONE)),
        taps.int8(14, Some(ONE)),
        [operator(15, &[1, 2]), ONE.to_vec()].concat(),
        [operator(16, &[1, 2]), ONE.to_vec()].concat(),
        [operator(19, &[1, 2]), vec![0; 4]].concat(),
    ];
    for record in records {
        let mut model = in_place(record.clone());
        // Trits of 0, exponents of 0; as int8 weights valid too.
        model.weights = [vec![121; 256], vec![0; 800]].concat();
        assert_eq!(refusal(&model), OVERLAP, "{record:?}");
        model.tensors[2].offset = 32;
        accepted(&model.file());
    }
    // Shares of 1 have an exponent of their own.
    let mut softmax = in_place(operator(9, &[1, 2]));
    softmax.tensors.iter_mut().for_each(|tensor| tensor.exponent = -7);
    assert_eq!(refusal(&softmax), OVERLAP);
    softmax.tensors[2].offset = 32;
    accepted(&softmax.file());
}

#[test]
fn int32_that_becomes_int8_in_its_place() {
    for record in [2, 3, 7].map(|code| [operator(code, &[1, 2]), vec![0]].concat()) {
        let mut model = in_place(record);
        model.tensors[1] = RawTensor { data_type: RawTensor::I32, exponent: -7, ..model.tensors[1] };
        model.operators[0] = operator(9, &[0, 1]);
        assert_eq!(refusal(&model), OVERLAP);
        model.tensors[2].offset = 128;
        accepted(&model.file());
    }
}

#[test]
fn an_input_that_is_used_later() {
    for record in operators() {
        // Nobody reads it later, but the plan keeps it.
        assert_eq!(refusal(&changed(record.clone(), |model| model.tensors[1].last = 2)), OVERLAP);
        let read = changed(record.clone(), |model| {
            model.tensors[1].last = 2;
            model.operators[2] = [operator(5, &[2, 1, 3]), vec![0]].concat();
        });
        assert_eq!(refusal(&read), OVERLAP);
        let mut apart = read.clone();
        apart.tensors[2].offset = 32;
        accepted(&apart.file());
    }
}

#[test]
fn places_that_overlap_in_part() {
    for record in operators() {
        for offsets in [[0, 4], [4, 0], [0, 28], [28, 0]] {
            let model = changed(record.clone(), |model| {
                (model.tensors[1].offset, model.tensors[2].offset) = (offsets[0], offsets[1]);
            });
            assert_eq!(refusal(&model), OVERLAP, "{offsets:?}");
        }
        accepted(&changed(record, |model| model.tensors[2].offset = 32).file());
    }
}

#[test]
fn a_depthwise_convolution_into_another_shape() {
    // As many elements, but the rows of the output begin elsewhere: 2 × 4 become 4 × 2 by a window and its padding.
    let tall: RawWindow = [1, 3, 1, 1, 0, 0, 0, 0];
    let model = |window: RawWindow, shape| {
        changed(depthwise(window), |model| {
            model.tensors[2].shape = shape;
            model.tensors[3].shape = shape;
        })
    };
    let record = model([3, 3, 1, 1, 2, 0, 2, 0], [4, 2, 4]);
    assert_eq!(refusal(&record), OVERLAP);
    let mut apart = record.clone();
    apart.tensors[2].offset = 32;
    accepted(&apart.file());
    // Fewer elements in the same place.
    for (window, shape) in [(HALVES, [1, 2, 4]), (tall, [2, 2, 4])] {
        let fewer = model(window, shape);
        assert_eq!(refusal(&fewer), OVERLAP, "{window:?}");
    }
    // The same of int32 outputs, which take more room.
    let mut wide = in_place(depthwise(SAME));
    (wide.tensors[2].data_type, wide.tensors[3].data_type) = (RawTensor::I32, RawTensor::I32);
    (wide.tensors[2].exponent, wide.tensors[3].exponent) = (-7, -7);
    wide.operators[2] = operator(9, &[2, 3]);
    assert_eq!(refusal(&wide), OVERLAP);
    wide.tensors[2].offset = 32;
    accepted(&wide.file());
}

/// An addition of tensors 1 and 2 into tensor 3, each a ReLU of the input before; tensors 1 to 3 at these offsets.
fn addition(operands: [u16; 2], offsets: [u32; 3]) -> RawModel {
    let mut tensors = vec![
        RawTensor::i8(RawTensor::INPUT, 8, 0, 1),
        RawTensor::i8(RawTensor::ARENA, 8, 0, 2),
        RawTensor::i8(RawTensor::ARENA, 8, 1, 2),
        RawTensor::i8(RawTensor::ARENA, 8, 2, 3),
        RawTensor::i8(RawTensor::OUTPUT, 8, 3, 3),
    ];
    for (tensor, offset) in tensors[1..].iter_mut().zip(offsets) {
        tensor.offset = offset;
    }
    let add = [operator(5, &[operands[0], operands[1], 3]), vec![1]].concat();
    let relus = [[0, 1], [0, 2], [3, 4]].map(|tensors| operator(4, &tensors));
    let [first, second, last] = relus;
    RawModel::graph_of(tensors, vec![first, second, add, last], 64)
}

#[test]
fn additions() {
    let overlap = |tensor, other| ParseError::Plan { tensor, fault: PlanFault::Overlap { other } };
    for operands in [[1, 2], [2, 1]] {
        accepted(&addition(operands, [0, 8, 0]).file());
        accepted(&addition(operands, [0, 8, 8]).file());
        accepted(&addition(operands, [0, 8, 16]).file());
        // Half of one operand, or of both.
        assert_eq!(refusal(&addition(operands, [0, 16, 4])), overlap(3, 1));
        assert_eq!(refusal(&addition(operands, [0, 8, 4])), overlap(3, 1));
        assert_eq!(refusal(&addition(operands, [8, 16, 20])), overlap(3, 2));
        // Operands may not share a place, whatever the sum does.
        assert_eq!(refusal(&addition(operands, [0, 0, 0])), overlap(2, 1));
    }
    // A tensor added to itself, and one that is no operand.
    for number in [1, 2] {
        assert_eq!(refusal(&addition([number; 2], [0, 8, 0])), overlap(3, 1));
        assert_eq!(refusal(&addition([number; 2], [0, 8, 8])), overlap(3, 2));
        accepted(&addition([number; 2], [0, 8, 16]).file());
    }
    // An operand that is kept.
    let mut kept = addition([1, 2], [0, 8, 0]);
    kept.tensors[1].class = RawTensor::PERSISTENT;
    assert_eq!(refusal(&kept), overlap(3, 1));
    let mut sum = addition([1, 2], [0, 8, 0]);
    sum.tensors[3].class = RawTensor::PERSISTENT;
    assert_eq!(refusal(&sum), overlap(3, 1));
}

#[test]
fn tensors_in_any_order_of_their_numbers() {
    // A chain of three in one place, its tensors numbered backwards.
    let mut tensors = vec![
        RawTensor::i8(RawTensor::INPUT, 4, 0, 0),
        RawTensor::i8(RawTensor::ARENA, 4, 2, 3),
        RawTensor::i8(RawTensor::ARENA, 4, 1, 2),
        RawTensor::i8(RawTensor::ARENA, 4, 0, 1),
        RawTensor::i8(RawTensor::OUTPUT, 4, 3, 3),
    ];
    let operators = [[0, 3], [3, 2], [2, 1], [1, 4]].map(|tensors| operator(4, &tensors));
    accepted(&RawModel::graph_of(tensors.clone(), operators.to_vec(), 4).file());
    // The first of them lives on while the last one is written, in the same place.
    tensors[3].last = 2;
    let overlap = ParseError::Plan { tensor: 3, fault: PlanFault::Overlap { other: 1 } };
    assert_eq!(refusal(&RawModel::graph_of(tensors, operators.to_vec(), 4)), overlap);
}

#[test]
fn tensors_that_live_for_one_operator_alone() {
    // Written by operator 1 and read by nobody: it takes the place of the input, or of what it has nothing to do with.
    let model = |input, offset| {
        let tensors = vec![
            RawTensor::i8(RawTensor::INPUT, 4, 0, 2),
            RawTensor::i8(RawTensor::ARENA, 4, 0, 1),
            RawTensor { offset, ..RawTensor::i8(RawTensor::ARENA, 4, 1, 1) },
            RawTensor::i8(RawTensor::OUTPUT, 4, 2, 2),
        ];
        let operators = [[0, 1], [input, 2], [0, 3]].map(|tensors| operator(4, &tensors));
        RawModel::graph_of(tensors, operators.to_vec(), 8)
    };
    accepted(&model(1, 0).file());
    assert_eq!(refusal(&model(0, 0)), OVERLAP);
    accepted(&model(0, 4).file());
}

#[test]
fn operands_that_would_fit_are_not_written_where_they_are_read() {
    // Of these operators one tensor can have the right type and length for both ends.
    let matrix = RawLinear { encoding: 0, relu: false, bias: None, ..RawModel::SMALL };
    let square = RawLinear { rows: 4, columns: 4, group: 4, exponents: 4, ..matrix };
    let column = RawLinear { rows: 2, columns: 1, exponents: 4, ..matrix };
    let tap = RawLinear { rows: 4, columns: 1, group: 4, exponents: 4, ..matrix };
    let records = [
        (RawTensor::I8, 0, RawLinear { input: 1, output: 1, ..square }.record()),
        (RawTensor::I8, 0, operator(4, &[1, 1])),
        (RawTensor::I8, 0, [operator(5, &[0, 1, 1]), vec![0]].concat()),
        (RawTensor::I8, 0, [operator(5, &[1, 0, 1]), vec![1]].concat()),
        (RawTensor::I8, -7, operator(9, &[1, 1])),
        (RawTensor::I32, -30, operator(9, &[1, 1])),
        (RawTensor::I8, 0, RawLinear { input: 1, output: 1, ..column }.embedding()),
        (RawTensor::I8, 0, RawLinear { input: 1, output: 1, ..square }.int8(12, None)),
        (RawTensor::I8, 0, RawLinear { input: 1, output: 1, ..square }.convolution(10, ONE)),
        (RawTensor::I8, 0, RawLinear { input: 1, output: 1, ..tap }.convolution(11, ONE)),
        (RawTensor::I8, 0, RawLinear { input: 1, output: 1, ..square }.int8(13, Some(ONE))),
        (RawTensor::I8, 0, RawLinear { input: 1, output: 1, ..tap }.int8(14, Some(ONE))),
        (RawTensor::I8, 0, [operator(15, &[1, 1]), ONE.to_vec()].concat()),
        (RawTensor::I8, 0, [operator(16, &[1, 1]), ONE.to_vec()].concat()),
        (RawTensor::I8, 0, operator(18, &[1, 1])),
        (RawTensor::I32, -30, operator(18, &[1, 1])),
        (RawTensor::I8, 0, [operator(19, &[1, 1]), vec![0; 4]].concat()),
    ];
    for (data_type, exponent, record) in records {
        let tensor = |class| RawTensor { data_type, exponent, ..RawTensor::i8(class, 4, 0, 1) };
        let copy = |to: u16| match data_type {
            RawTensor::I8 if exponent == 0 => operator(4, &[0, to]),
            _ => operator(9, &[0, to]),
        };
        let classes = [(RawTensor::PERSISTENT, true), (RawTensor::ARENA, false)];
        for (class, persistent) in classes {
            let mut tensors = vec![tensor(RawTensor::INPUT), tensor(class), tensor(RawTensor::OUTPUT)];
            tensors[2].first = 1;
            let operators = vec![record.clone(), copy(2)];
            let mut model = RawModel::graph_of(tensors, operators, 16);
            // Trits of 0, exponents of 0; behind them as many bytes as 16 of int8 are.
            model.weights = [vec![121; 4], vec![0; 12]].concat();
            let fault = if persistent { PlanFault::Overlap { other: 1 } } else { PlanFault::Lifetime };
            assert_eq!(refusal(&model), ParseError::Plan { tensor: 1, fault }, "{record:?}");
        }
    }
    // An argmax of one element, the only one whose input and output are alike.
    let one = |class| RawTensor { data_type: RawTensor::I32, ..RawTensor::i8(class, 1, 0, 1) };
    let mut tensors = vec![one(RawTensor::INPUT), one(RawTensor::PERSISTENT), one(RawTensor::OUTPUT)];
    tensors[2].first = 1;
    let model = RawModel::graph_of(tensors, vec![operator(6, &[1, 1]), operator(6, &[0, 2])], 4);
    let fault = PlanFault::Overlap { other: 1 };
    assert_eq!(refusal(&model), ParseError::Plan { tensor: 1, fault });
}
