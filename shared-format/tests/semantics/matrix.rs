//! Contents of the weight section: tags, places, trit bytes, exponents.

use super::support::raw::{RawLinear, RawModel, RawTensor};
use super::{accepted, refusal};
use trishift_format::{MatrixFault, Model, ParseError, UnknownGroupSize};

fn fault(fault: MatrixFault) -> ParseError {
    ParseError::Matrix { index: 0, fault }
}

/// The small model with one byte of its weight section changed: trits at 0, bases at 4, offsets at 6, biases at 8.
fn with_weight(offset: usize, byte: u8) -> RawModel {
    let mut model = RawModel::small();
    assert_ne!(model.weights[offset], byte);
    model.weights[offset] = byte;
    model
}

/// The small model with int8 exponents: two rows of two.
fn int8(exponents: [i8; 4]) -> RawModel {
    let mut model = RawModel::small_with(RawLinear { encoding: 0, ..RawModel::SMALL });
    model.weights[4..8].copy_from_slice(&exponents.map(|exponent| exponent as u8));
    model
}

#[test]
fn group_sizes_outside_the_list() {
    for group in [0, 1, 5, 7, 10, 12, 48, 95, 97, 128, 255] {
        let model = RawModel::small_with(RawLinear { group, ..RawModel::SMALL });
        assert_eq!(refusal(&model), fault(MatrixFault::GroupSize(UnknownGroupSize(u32::from(group)))));
    }
}

#[test]
fn unknown_exponent_encodings_and_layouts() {
    for code in [3, 4, 255] {
        let encoding = RawModel::small_with(RawLinear { encoding: code, ..RawModel::SMALL });
        assert_eq!(refusal(&encoding), fault(MatrixFault::Encoding(code)));
        let layout = RawModel::small_with(RawLinear { layout: code, ..RawModel::SMALL });
        assert_eq!(refusal(&layout), fault(MatrixFault::Layout(code)));
    }
    assert_eq!(
        refusal(&RawModel::small_with(RawLinear { layout: 2, ..RawModel::SMALL })),
        fault(MatrixFault::Layout(2))
    );
}

#[test]
fn records_go_with_their_own_encoding() {
    for (encoding, layout) in [(0, 1), (1, 1), (2, 0)] {
        let model = RawModel::small_with(RawLinear { encoding, layout, ..RawModel::SMALL });
        assert_eq!(refusal(&model), fault(MatrixFault::LayoutEncoding));
    }
    accepted(&RawModel::records().file());
}

/// [`RawModel::records`] with one byte of its weight section changed: records at 0, bases at 8, biases at 12.
fn with_record(offset: usize, byte: u8) -> RawModel {
    let mut model = RawModel::records();
    assert_ne!(model.weights[offset], byte);
    model.weights[offset] = byte;
    model
}

#[test]
fn contents_of_records() {
    // The offsets of row 0 are 0 and 5, those of row 1 are 0 and 0; row 1 begins with a group of zeros.
    for (offset, byte, expected) in [
        (1, 243, MatrixFault::TritByte { row: 0 }),
        (7, 255, MatrixFault::TritByte { row: 1 }),
        (1, 0, MatrixFault::TritPadding { row: 0, group: 0 }),
        (7, 0, MatrixFault::TritPadding { row: 1, group: 1 }),
        (0, 1, MatrixFault::ExponentOffsets { row: 0 }),
        (4, 130, MatrixFault::ExponentOffsets { row: 0 }),
        (8, 123, MatrixFault::ExponentOffsets { row: 0 }),
        (2, 1, MatrixFault::EmptyGroup { row: 1, group: 0 }),
        (4, 24, MatrixFault::Int32Bound { row: 0 }),
        (4, 34, MatrixFault::Int32Bound { row: 0 }),
    ] {
        assert_eq!(refusal(&with_record(offset, byte)), fault(expected), "{byte} at {offset}");
    }
    // 128·(3 + 2^23) fits, and the bases may be anything, as long as no exponent exceeds 127.
    accepted(&with_record(4, 23).file());
    accepted(&with_record(8, 122).file());
    accepted(&with_record(9, 0x80).file());
}

#[test]
fn records_outside_their_section() {
    let bytes = RawModel::records().weights.len() as u32;
    for offset in [bytes - 7, bytes, 1 << 20, u32::MAX] {
        let model = RawModel {
            operators: vec![RawLinear { trits: offset, ..RawModel::RECORDS }.record()],
            ..RawModel::records()
        };
        assert_eq!(refusal(&model), fault(MatrixFault::OutsideSection), "{offset}");
    }
    for offset in [bytes - 1, bytes, u32::MAX] {
        let linear = RawLinear { exponents: offset, ..RawModel::RECORDS };
        let model = RawModel { operators: vec![linear.record()], ..RawModel::records() };
        assert_eq!(refusal(&model), fault(MatrixFault::OutsideSection), "{offset}");
    }
}

#[test]
fn weights_outside_their_section() {
    let bytes = RawModel::small().weights.len() as u32;
    assert_eq!(bytes, 16);
    for offset in [bytes - 3, bytes, 1 << 20, u32::MAX] {
        let trits = RawLinear { trits: offset, ..RawModel::SMALL };
        let exponents = RawLinear { exponents: offset, ..RawModel::SMALL };
        let bias = RawLinear { bias: Some(offset.max(bytes - 7)), ..RawModel::SMALL };
        for linear in [trits, exponents, bias] {
            assert_eq!(refusal(&RawModel::small_with(linear)), fault(MatrixFault::OutsideSection), "{offset}");
        }
    }
    let mut cut = RawModel::small();
    cut.weights.pop();
    assert_eq!(refusal(&cut), fault(MatrixFault::OutsideSection));
}

#[test]
fn a_matrix_of_another_models_record_is_empty() {
    let file = RawModel::small().file();
    let model = Model::parse(&file).unwrap();
    let Some(trishift_format::Operator::Linear(op)) = model.operators().next() else { panic!("the small model") };
    assert_eq!(model.matrix(&op.weights).iter().len(), 2);
    for (rows, columns) in [(0, 6), (2, 0), (0, 0), (3, 600), (u32::MAX, u32::MAX)] {
        let foreign = trishift_format::MatrixRecord { rows, columns, ..op.weights };
        let matrix = model.matrix(&foreign);
        assert_eq!((matrix.iter().len(), matrix.rows(), matrix.bytes(), matrix.smallest_exponent()), (0, 0, 0, 0));
    }
}

#[test]
fn trit_bytes_above_242() {
    for (offset, row) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
        for byte in 243..=255 {
            assert_eq!(refusal(&with_weight(offset, byte)), fault(MatrixFault::TritByte { row }));
        }
    }
}

#[test]
fn trit_bytes_above_242_where_no_trit_is_padding() {
    // Two rows of two groups of 20, each four bytes of five trits.
    for place in 0..16 {
        for byte in 0..=255 {
            let linear =
                RawLinear { columns: 40, group: 20, encoding: 0, exponents: 16, bias: None, ..RawModel::SMALL };
            let mut model = RawModel { weights: vec![0; 20], ..RawModel::small_with(linear) };
            model.tensors[0].shape = [1, 1, 40];
            model.weights[place] = byte;
            match byte {
                0..=242 => accepted(&model.file()),
                _ => assert_eq!(refusal(&model), fault(MatrixFault::TritByte { row: place / 8 }), "{byte}"),
            }
        }
    }
}

#[test]
fn padding_trits_of_a_short_group() {
    // Groups of 4 use four digits of their byte, the short ones of 2 use two.
    for (offset, row, group, used) in [(0, 0, 0, 4), (1, 0, 1, 2), (2, 1, 0, 4), (3, 1, 1, 2)] {
        for byte in 0..=242u8 {
            let mut model = RawModel::small();
            model.weights[offset] = byte;
            let padding_is_zero = (used..5).all(|digit| u16::from(byte) / 3u16.pow(digit) % 3 == 1);
            if padding_is_zero && offset != 1 {
                accepted(&model.file());
            } else if !padding_is_zero {
                assert_eq!(refusal(&model), fault(MatrixFault::TritPadding { row, group }), "{byte}");
            }
        }
    }
}

#[test]
fn a_base_that_is_not_the_smallest_exponent() {
    // Row 1 has the offsets 0 and 0.
    assert_eq!(refusal(&with_weight(7, 0x11)), fault(MatrixFault::ExponentOffsets { row: 1 }));
    // Row 0 has 0 and 5.
    assert_eq!(refusal(&with_weight(6, 0x51)), fault(MatrixFault::ExponentOffsets { row: 0 }));
    accepted(&with_weight(6, 0xF0).file());
    accepted(&with_weight(6, 0x05).file());
}

#[test]
fn offsets_beyond_int8() {
    // A base of 122 and an offset of 5 give 127, one more does not fit.
    accepted(&with_weight(4, 122).file());
    assert_eq!(refusal(&with_weight(4, 123)), fault(MatrixFault::ExponentOffsets { row: 0 }));
    assert_eq!(refusal(&with_weight(4, 127)), fault(MatrixFault::ExponentOffsets { row: 0 }));
}

#[test]
fn an_unused_offset_that_is_not_zero() {
    // Groups of 6: one offset a row, the high nibble is unused. Two bytes of trits a row.
    let mut model = RawModel::small_with(RawLinear { group: 6, ..RawModel::SMALL });
    model.weights[..4].copy_from_slice(&[121, 121, 121, 121]);
    model.weights[6] = 0;
    accepted(&model.file());
    model.weights[7] = 0x10;
    assert_eq!(refusal(&model), fault(MatrixFault::ExponentOffsets { row: 1 }));
}

#[test]
fn a_group_of_zeros_with_an_exponent_of_its_own() {
    // Row 1: the first group is zero, the second is not.
    assert_eq!(refusal(&with_weight(7, 0x01)), fault(MatrixFault::EmptyGroup { row: 1, group: 0 }));
    accepted(&int8([0, 0, -7, -7]).file());
    assert_eq!(refusal(&int8([0, 0, -6, -7])), fault(MatrixFault::EmptyGroup { row: 1, group: 0 }));
    // The smallest exponent may belong to the zero group alone: nothing is lost by it.
    accepted(&int8([0, 0, -8, -7]).file());
}

#[test]
fn exponents_below_the_unit_of_an_int32_output() {
    let logits = |exponent| {
        let mut model = int8([-2, 3, -3, -3]);
        model.operators = vec![RawLinear { encoding: 0, relu: false, ..RawModel::SMALL }.record()];
        model.tensors[0].exponent = -10;
        model.tensors[1] = RawTensor { data_type: RawTensor::I32, exponent, ..model.tensors[1] };
        model
    };
    accepted(&logits(-13).file());
    accepted(&logits(-14).file());
    assert_eq!(refusal(&logits(-12)), fault(MatrixFault::BelowOutputUnit { row: 1 }));
    assert_eq!(refusal(&logits(-11)), fault(MatrixFault::BelowOutputUnit { row: 0 }));
    assert_eq!(refusal(&logits(i16::MAX)), fault(MatrixFault::BelowOutputUnit { row: 0 }));
}

#[test]
fn what_a_matrix_is_stored_as_is_named_before_its_biases_are_looked_for() {
    // A newer layout may well have its biases elsewhere.
    for (change, expected) in [
        (RawLinear { layout: 2, ..RawModel::SMALL }, MatrixFault::Layout(2)),
        (RawLinear { encoding: 3, ..RawModel::SMALL }, MatrixFault::Encoding(3)),
        (RawLinear { group: 5, ..RawModel::SMALL }, MatrixFault::GroupSize(UnknownGroupSize(5))),
    ] {
        let model = RawModel::small_with(RawLinear { bias: Some(1 << 20), ..change });
        assert_eq!(refusal(&model), ParseError::Matrix { index: 0, fault: expected });
    }
}
