//! The graph record: tensors, operators, and what operators ask of their tensors.

use super::support::raw::{RawLinear, RawModel, RawTensor, operator, prefixed, varint};
use super::{accepted, refusal};
use trishift_format::{OperatorKind, ParseError};

/// One operator over tensors of these types, exponents and lengths; the last one is the output.
fn one_operator(record: Vec<u8>, tensors: &[(u8, i16, u32)]) -> RawModel {
    let classes = [RawTensor::INPUT, RawTensor::PERSISTENT, RawTensor::OUTPUT];
    let class = |index| if index + 1 == tensors.len() { classes[2] } else { classes[index] };
    let tensors = tensors.iter().enumerate().map(|(index, (data_type, exponent, len))| RawTensor {
        data_type: *data_type,
        exponent: *exponent,
        ..RawTensor::i8(class(index), *len, 0, 0)
    });
    RawModel::graph_of(tensors.collect(), vec![record], 64)
}

/// An operator's code and tensors, with a ReLU flag behind them.
fn with_relu(code: u16, tensors: &[u16]) -> Vec<u8> {
    [operator(code, tensors), vec![0]].concat()
}

const I8: u8 = RawTensor::I8;
const I32: u8 = RawTensor::I32;

#[test]
fn a_graph_record_that_does_not_decode() {
    let malformed = ParseError::Malformed { what: "graph" };
    let endless_name = RawModel { name: vec![0xFF; 3], ..RawModel::small() };
    assert_eq!(refusal(&endless_name), malformed, "the name is not UTF-8");
    let tail = RawModel { graph_tail: vec![0], ..RawModel::small() };
    assert_eq!(refusal(&tail), malformed, "a byte behind the record");
    // The property list, the last field, claims more bytes than there are.
    let mut cut = RawModel::small();
    cut.properties = vec![];
    let mut graph = cut.graph();
    assert_eq!(graph.pop(), Some(0));
    graph.extend(varint(1 << 40));
    assert_eq!(super::refused(&file_of(graph, &cut)), malformed);
}

/// A model file of this graph section.
fn file_of(graph: Vec<u8>, model: &RawModel) -> Vec<u8> {
    use super::support::raw::{RawSection, container};
    container(1, model.arena_bytes, &[RawSection::new(1, graph), RawSection::new(2, model.weights.clone())])
}

#[test]
fn a_tensor_table_of_broken_records() {
    let model = RawModel { tensor_tail: vec![0; 23], ..RawModel::small() };
    assert_eq!(refusal(&model), ParseError::Malformed { what: "tensor table" });
}

#[test]
fn operator_records_that_do_not_decode() {
    let second = RawModel::relus(2);
    let offset = prefixed(&second.operators[0]).len();
    let cut =
        |record: &[u8]| RawModel { operators: vec![second.operators[0].clone(), record.to_vec()], ..second.clone() };
    let cases = [&[][..], &[4], &[4, 1], &[4, 1, 2, 0], &[1, 1, 2, 0], &[7, 1, 2], &[8, 1, 2, 3], &[9, 1, 2, 0]];
    for record in cases {
        assert_eq!(refusal(&cut(record)), ParseError::MalformedOperator { index: 1, offset }, "{record:?}");
    }
    for code in [2, 7] {
        let error = refusal(&cut(&[code, 1, 2, 2]));
        assert_eq!(error, ParseError::MalformedOperator { index: 1, offset }, "a flag that is neither 0 nor 1");
    }
    let mut length = second.clone();
    length.operator_tail = vec![200, 4];
    assert_eq!(refusal(&length), ParseError::MalformedOperator { index: 2, offset: 2 * offset });
}

#[test]
fn an_unknown_operator_is_named() {
    for code in [0, 21, 77, 65535] {
        let mut model = RawModel::relus(3);
        model.operators[1] = operator(code, &[1, 2]);
        let error = refusal(&model);
        assert_eq!(error, ParseError::UnknownOperator { index: 1, code });
        assert!(error.to_string().contains(&format!("unknown code {code};")), "{error}");
        // A newer minor version does not make it known.
        let mut file = model.file();
        file[9] = 200;
        super::support::seal::seal(&mut file);
        assert_eq!(super::refused(&file), error);
    }
}

#[test]
fn tensors_of_unknown_type_or_class() {
    for change in [|tensor: &mut RawTensor| tensor.data_type = 2, |tensor: &mut RawTensor| tensor.class = 4] {
        let mut model = RawModel::relus(2);
        change(&mut model.tensors[1]);
        assert_eq!(refusal(&model), ParseError::Tensor { index: 1 });
    }
}

#[test]
fn shapes_that_are_empty_or_too_large() {
    for shape in [[0, 1, 4], [1, 0, 4], [1, 1, 0], [1 << 16, 1 << 16, 1], [1 << 31, 2, 1], [u32::MAX; 3]] {
        let mut model = RawModel::relus(2);
        model.tensors[2].shape = shape;
        assert_eq!(refusal(&model), ParseError::Tensor { index: 2 }, "{shape:?}");
    }
    // 2^30 elements fit u32, their 2^32 bytes do not.
    let large = one_operator(operator(6, &[0, 1]), &[(I32, 0, 1 << 30), (I32, 0, 1)]);
    assert_eq!(refusal(&large), ParseError::Tensor { index: 0 });
    accepted(&one_operator(operator(6, &[0, 1]), &[(I32, 0, (1 << 30) - 1), (I32, 0, 1)]).file());
}

#[test]
fn graphs_of_no_or_too_many_parts() {
    let empty = RawModel { operators: vec![], ..RawModel::relus(1) };
    assert_eq!(refusal(&empty), ParseError::GraphSize { tensors: 2, operators: 0 });
    let no_tensors = RawModel { tensors: vec![], ..RawModel::relus(1) };
    assert_eq!(refusal(&no_tensors), ParseError::GraphSize { tensors: 0, operators: 1 });
    accepted(&RawModel::relus(1023).file());
    assert_eq!(refusal(&RawModel::relus(1024)), ParseError::GraphSize { tensors: 1025, operators: 1024 });
    let mut operators = RawModel::relus(1);
    operators.operators = vec![operator(4, &[0, 1]); 1025];
    assert_eq!(refusal(&operators), ParseError::GraphSize { tensors: 2, operators: 1025 });
}

#[test]
fn operators_of_tensors_that_do_not_exist() {
    for (index, record, tensor) in [(0, [3, 1], 3), (1, [1, 400], 400), (1, [65535, 2], 65535)] {
        let mut model = RawModel::relus(2);
        model.operators[index] = operator(4, &record);
        assert_eq!(refusal(&model), ParseError::TensorIndex { index, tensor });
    }
    let right_operand = one_operator(with_relu(5, &[0, 9, 1]), &[(I8, 0, 4), (I8, 0, 4)]);
    assert_eq!(refusal(&right_operand), ParseError::TensorIndex { index: 0, tensor: 9 });
}

#[test]
fn graph_inputs_and_outputs_that_do_not_exist() {
    let input = RawModel { input: 3, ..RawModel::relus(2) };
    assert_eq!(refusal(&input), ParseError::GraphTensor { tensor: 3 });
    let output = RawModel { output: 700, ..RawModel::relus(2) };
    assert_eq!(refusal(&output), ParseError::GraphTensor { tensor: 700 });
}

#[test]
fn element_types_that_do_not_fit_the_operator() {
    use OperatorKind::{Add, ArgMax, Relu, Requantize, RmsNorm, ShiftNorm};
    let pair = |left, output| vec![(left, 0, 4), (output, 0, 4)];
    let cases = [
        (ShiftNorm, with_relu(2, &[0, 1]), vec![pair(I8, I8), pair(I32, I32), pair(I8, I32)], pair(I32, I8)),
        (RmsNorm, with_relu(7, &[0, 1]), vec![pair(I8, I8), pair(I32, I32), pair(I8, I32)], pair(I32, I8)),
        (Requantize, with_relu(3, &[0, 1]), vec![pair(I8, I8), pair(I32, I32), pair(I8, I32)], pair(I32, I8)),
        (Relu, operator(4, &[0, 1]), vec![pair(I32, I8), pair(I8, I32), pair(I32, I32)], pair(I8, I8)),
        (ArgMax, operator(6, &[0, 1]), vec![vec![(I8, 0, 4), (I8, 0, 1)]], vec![(I8, 0, 4), (I32, 0, 1)]),
        (
            Add,
            with_relu(5, &[0, 1, 2]),
            vec![
                vec![(I32, 0, 4), (I8, 0, 4), (I8, 0, 4)],
                vec![(I8, 0, 4), (I32, 0, 4), (I8, 0, 4)],
                vec![(I8, 0, 4), (I8, 0, 4), (I32, 0, 4)],
            ],
            vec![(I8, 0, 4), (I8, 0, 4), (I8, 0, 4)],
        ),
    ];
    for (kind, record, wrong, right) in cases {
        accepted(&one_operator(record.clone(), &right).file());
        for tensors in wrong {
            let what = "element types";
            let error = refusal(&one_operator(record.clone(), &tensors));
            assert_eq!(error, ParseError::Operands { index: 0, kind, what }, "{tensors:?}");
            assert!(error.to_string().contains(kind.name()));
        }
    }
}

#[test]
fn element_types_of_linear_operators() {
    let refuse = ParseError::Operands { index: 0, kind: OperatorKind::Linear, what: "element types" };
    let mut input = RawModel::small();
    input.tensors[0].data_type = I32;
    assert_eq!(refusal(&input), refuse);
    // int32 outputs have no ReLU.
    let mut output = RawModel::small();
    output.tensors[1] = RawTensor { data_type: I32, exponent: -7, ..output.tensors[1] };
    assert_eq!(refusal(&output), refuse);
    output.operators = vec![RawLinear { relu: false, ..RawModel::SMALL }.record()];
    accepted(&output.file());
}

#[test]
fn shapes_that_do_not_fit_the_operator() {
    use OperatorKind::{Add, ArgMax, Linear, Relu, Requantize, RmsNorm, ShiftNorm, Softmax};
    let refuse = |kind| ParseError::Operands { index: 0, kind, what: "shapes" };
    let two = |kind, record, left| {
        assert_eq!(refusal(&one_operator(record, &[(left, 0, 4), (I8, 0, 5)])), refuse(kind));
    };
    two(ShiftNorm, with_relu(2, &[0, 1]), I32);
    two(RmsNorm, with_relu(7, &[0, 1]), I32);
    two(Softmax, operator(9, &[0, 1]), I8);
    two(Softmax, operator(9, &[0, 1]), I32);
    two(Requantize, with_relu(3, &[0, 1]), I32);
    two(Relu, operator(4, &[0, 1]), I8);
    for lengths in [[5, 4, 4], [4, 5, 4], [4, 4, 5], [5, 5, 4]] {
        let model = one_operator(with_relu(5, &[0, 1, 2]), &lengths.map(|len| (I8, 0, len)));
        assert_eq!(refusal(&model), refuse(Add));
    }
    let two_winners = one_operator(operator(6, &[0, 1]), &[(I8, 0, 4), (I32, 0, 2)]);
    assert_eq!(refusal(&two_winners), refuse(ArgMax));
    for (rows, columns) in [(3, 6), (1, 6), (2, 5), (2, 7), (0, 6), (2, 0)] {
        let model = RawModel::small_with(RawLinear { rows, columns, ..RawModel::SMALL });
        assert_eq!(refusal(&model), refuse(Linear), "{rows}x{columns}");
    }
}

#[test]
fn the_form_of_a_shape_is_free() {
    let mut model = RawModel::relus(2);
    model.tensors[0].shape = [4, 1, 1];
    model.tensors[1].shape = [2, 2, 1];
    accepted(&model.file());
}

#[test]
fn samples_longer_than_the_operators_sums_allow() {
    use OperatorKind::{RmsNorm, ShiftNorm, Softmax};
    let cases = [
        (ShiftNorm, with_relu(2, &[0, 1]), I32, 1 << 26),
        (RmsNorm, with_relu(7, &[0, 1]), I32, 1 << 26),
        (Softmax, operator(9, &[0, 1]), I8, 1 << 16),
        (Softmax, operator(9, &[0, 1]), I32, 1 << 16),
    ];
    for (kind, record, input, longest) in cases {
        let model = |len| one_operator(record.clone(), &[(input, 0, len), (I8, -7, len)]);
        accepted(&model(longest).file());
        let refuse = ParseError::Operands { index: 0, kind, what: "shapes" };
        assert_eq!(refusal(&model(longest + 1)), refuse);
    }
}

#[test]
fn exponents_that_do_not_fit_the_operator() {
    use OperatorKind::{Add, ArgMax, Relu, Softmax};
    let refuse = |kind| ParseError::Operands { index: 0, kind, what: "exponents" };
    let relu = one_operator(operator(4, &[0, 1]), &[(I8, 0, 4), (I8, 1, 4)]);
    assert_eq!(refusal(&relu), refuse(Relu));
    let argmax = one_operator(operator(6, &[0, 1]), &[(I8, 5, 4), (I32, 5, 1)]);
    assert_eq!(refusal(&argmax), refuse(ArgMax));
    let add = |exponents: [i16; 3]| one_operator(with_relu(5, &[0, 1, 2]), &exponents.map(|e| (I8, e, 4)));
    for exponents in [[-3, 2, 2], [2, -3, 2], [-4, -4, -4], [-32768, 32767, 32767]] {
        accepted(&add(exponents).file());
    }
    for exponents in [[-3, 2, 3], [-3, 2, -3], [2, -3, 1], [-4, -4, -3]] {
        assert_eq!(refusal(&add(exponents)), refuse(Add), "{exponents:?}");
    }
    let softmax =
        |input, (data_type, exponent)| one_operator(operator(9, &[0, 1]), &[(input, 3, 4), (data_type, exponent, 4)]);
    for input in [I8, I32] {
        for output in [(I8, -7), (I32, -30), (I32, -7), (I32, 0)] {
            accepted(&softmax(input, output).file());
        }
        for output in [(I8, -8), (I8, -6), (I8, 0), (I32, -31), (I32, 1), (I32, i16::MIN)] {
            assert_eq!(refusal(&softmax(input, output)), refuse(Softmax), "{output:?}");
        }
    }
}
