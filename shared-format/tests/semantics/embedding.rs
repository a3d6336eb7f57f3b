//! Embeddings: the table, its shape, and the unit of int32 outputs.

use super::support::raw::{RawLinear, RawModel, RawTensor};
use super::{accepted, refusal};
use trishift_format::{MatrixFault, OperatorKind, ParseError};

const I8: u8 = RawTensor::I8;
const I32: u8 = RawTensor::I32;

fn fault(fault: MatrixFault) -> ParseError {
    ParseError::Matrix { index: 0, fault }
}

/// The table of the tests with this record, and tensors of these types; the output's exponent is `exponent`.
fn table(record: RawLinear, types: [u8; 2], exponent: i16) -> RawModel {
    let mut model = RawModel { operators: vec![record.embedding()], ..RawModel::table() };
    for (tensor, data_type) in model.tensors.iter_mut().zip(types) {
        tensor.data_type = data_type;
    }
    model.tensors[1].exponent = exponent;
    model
}

/// The table with int8 exponents: two rows of two groups, the first group of the second row is zeros.
fn int32_output(exponents: [i8; 4], exponent: i16) -> RawModel {
    let mut model = table(RawLinear { encoding: 0, ..RawModel::SMALL }, [I8, I32], exponent);
    model.weights[4..8].copy_from_slice(&exponents.map(|exponent| exponent as u8));
    model
}

#[test]
fn every_pair_of_element_types() {
    for types in [[I8, I8], [I8, I32], [I32, I8], [I32, I32]] {
        accepted(&table(RawModel::SMALL, types, -7).file());
    }
}

#[test]
fn outputs_of_other_lengths_than_the_rows_together() {
    let refuse = ParseError::Operands { index: 0, kind: OperatorKind::Embedding, what: "shapes" };
    for (inputs, outputs) in [(3, 17), (3, 19), (3, 6), (18, 18), (1, 18), (4, 18)] {
        let mut model = RawModel::table();
        model.tensors[0].shape = [1, 1, inputs];
        model.tensors[1].shape = [1, 1, outputs];
        assert_eq!(refusal(&model), refuse, "{inputs} → {outputs}");
    }
    for columns in [0, 5, 7, u32::MAX] {
        let record = RawLinear { columns, ..RawModel::SMALL };
        assert_eq!(refusal(&table(record, [I8, I8], 0)), refuse, "{columns} columns");
    }
    // 2^16 elements times 2^16 columns are no elements in 32 bits, and not in a file either.
    let mut wide = table(RawLinear { columns: 1 << 16, ..RawModel::SMALL }, [I8, I8], 0);
    wide.tensors[0].shape = [1, 1, 1 << 16];
    assert_eq!(refusal(&wide), refuse);
}

#[test]
fn a_table_is_checked_like_other_weights() {
    let cases = [
        (RawLinear { rows: 0, ..RawModel::SMALL }, MatrixFault::Empty),
        (RawLinear { encoding: 3, ..RawModel::SMALL }, MatrixFault::Encoding(3)),
        (RawLinear { layout: 2, ..RawModel::SMALL }, MatrixFault::Layout(2)),
        (RawLinear { layout: 1, ..RawModel::SMALL }, MatrixFault::LayoutEncoding),
        (RawLinear { rows: 200, ..RawModel::SMALL }, MatrixFault::OutsideSection),
        (RawLinear { exponents: 15, ..RawModel::SMALL }, MatrixFault::OutsideSection),
    ];
    for (record, expected) in cases {
        assert_eq!(refusal(&table(record, [I8, I8], 0)), fault(expected));
    }
    let contents = [
        (2, 243, MatrixFault::TritByte { row: 1 }),
        (1, 0, MatrixFault::TritPadding { row: 0, group: 1 }),
        (7, 0x11, MatrixFault::ExponentOffsets { row: 1 }),
        (7, 0x01, MatrixFault::EmptyGroup { row: 1, group: 0 }),
    ];
    for types in [[I8, I8], [I32, I32]] {
        for (offset, byte, expected) in contents {
            let mut model = table(RawModel::SMALL, types, -9);
            model.weights[offset] = byte;
            assert_eq!(refusal(&model), fault(expected));
        }
    }
}

#[test]
fn exponents_below_the_unit_of_an_int32_output() {
    for exponent in [-7, -8] {
        accepted(&int32_output([-2, 3, -7, -7], exponent).file());
    }
    assert_eq!(refusal(&int32_output([-2, 3, -7, -7], -6)), fault(MatrixFault::BelowOutputUnit { row: 1 }));
    assert_eq!(refusal(&int32_output([-2, 3, -7, -7], i16::MAX)), fault(MatrixFault::BelowOutputUnit { row: 0 }));
    // The input's exponent plays no part.
    let mut model = int32_output([-2, 3, -7, -7], -7);
    model.tensors[0].exponent = 20;
    accepted(&model.file());
}

#[test]
fn weights_of_more_than_thirty_one_bits() {
    let beyond = |row| fault(MatrixFault::Int32Bound { row });
    accepted(&int32_output([-2, 3, -7, -7], -27).file());
    assert_eq!(refusal(&int32_output([-2, 3, -7, -7], -28)), beyond(0));
    assert_eq!(refusal(&int32_output([-2, -3, -7, -7], -38)), beyond(0));
    assert_eq!(refusal(&int32_output([-8, -8, -7, -7], -38)), beyond(1));
    assert_eq!(refusal(&int32_output([-8, -8, -7, -7], i16::MIN)), beyond(0));
    // Zeros fit whatever their exponent is: here the second row is zeros alone.
    let mut zeros = int32_output([-8, -8, -7, -7], -38);
    zeros.weights[3] = 121;
    accepted(&zeros.file());
}

#[test]
fn int8_outputs_of_any_exponent() {
    for exponent in [i16::MIN, -7, 0, 200, i16::MAX] {
        accepted(&table(RawModel::SMALL, [I8, I8], exponent).file());
    }
}
