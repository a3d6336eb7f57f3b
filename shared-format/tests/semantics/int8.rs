//! int8 weights: where their bytes lie, the unit of int32 outputs, and the int32 bound to the last unit.

use super::support::raw::{RawLinear, RawModel, RawTensor, RawWindow};
use super::support::walk::required_int8;
use super::{accepted, refusal};
use trishift_format::{MatrixFault, Model, ParseError};

fn fault(fault: MatrixFault) -> ParseError {
    ParseError::Matrix { index: 0, fault }
}

const BEYOND: ParseError = ParseError::Matrix { index: 0, fault: MatrixFault::Int32Bound { row: 0 } };
const OUTSIDE: ParseError = ParseError::Matrix { index: 0, fault: MatrixFault::OutsideSection };

/// 2 × 3 weights, the exponents 5 and −3, two biases.
const MATRIX: RawLinear =
    RawLinear { rows: 2, columns: 3, trits: 0, exponents: 6, bias: Some(8), relu: false, ..RawModel::SMALL };

/// The operators with int8 weights and this matrix: linear, a convolution and a depthwise one.
fn records(matrix: RawLinear) -> [(Vec<u8>, [[u32; 3]; 2]); 3] {
    let RawLinear { rows, columns, .. } = matrix;
    let one: RawWindow = [1, 1, 1, 1, 0, 0, 0, 0];
    let three: RawWindow = [1, 3, 1, 1, 0, 0, 0, 0];
    [
        (matrix.int8(12, None), [[1, 1, columns], [1, 1, rows]]),
        (matrix.int8(13, Some(one)), [[1, 1, columns], [1, 1, rows]]),
        (matrix.int8(14, Some(three)), [[1, 3, rows], [1, 1, rows]]),
    ]
}

/// The three as models, with these weights, an output of this type and exponent.
fn models(matrix: RawLinear, weights: &[u8], data_type: u8, exponent: i16) -> [RawModel; 3] {
    records(matrix).map(|(record, [from, to])| {
        let mut tensors =
            vec![RawTensor::image(RawTensor::INPUT, from, 0, 0), RawTensor::image(RawTensor::OUTPUT, to, 0, 0)];
        (tensors[1].data_type, tensors[1].exponent) = (data_type, exponent);
        RawModel { weights: weights.to_vec(), ..RawModel::graph_of(tensors, vec![record], 0) }
    })
}

fn weights() -> Vec<u8> {
    [[1i8, -128, 127, 0, -1, 3, 5, -3].map(|weight| weight as u8).as_slice(), &[7, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]]
        .concat()
}

#[test]
fn weights_read_back() {
    for model in models(MATRIX, &weights(), RawTensor::I8, 9) {
        let file = model.file();
        let model = Model::parse(&file).unwrap();
        let operator = model.operators().next().unwrap();
        let matrix = model.int8_matrix(operator.int8_weights().unwrap());
        let rows: Vec<_> = matrix.iter().map(|row| (row.values.to_vec(), row.exponent)).collect();
        assert_eq!(rows, [(vec![1, 128, 127], 5), (vec![0, 255, 3], -3)]);
        assert_eq!((matrix.smallest_exponent(), matrix.bytes()), (-3, 8));
        let bias = model.bias_at(operator.bias(), 2).unwrap();
        assert_eq!(bias.iter().collect::<Vec<_>>(), [7, -1]);
        assert_eq!(operator.weights(), None);
    }
}

#[test]
fn a_matrix_needs_its_bytes_and_no_more() {
    let all = weights();
    for length in 0..=all.len() {
        for model in models(MATRIX, &all[..length], RawTensor::I8, 9) {
            let found = Model::parse(&model.file()).err();
            assert_eq!(found, (length < all.len()).then_some(OUTSIDE), "{length} bytes");
        }
    }
    for offset in (0..20).chain([1 << 31, u32::MAX - 5, u32::MAX]) {
        let of_values = RawLinear { trits: offset, bias: None, ..MATRIX };
        let of_exponents = RawLinear { exponents: offset, bias: None, ..MATRIX };
        let of_bias = RawLinear { bias: Some(offset), ..MATRIX };
        for (matrix, bytes) in [(of_values, 6), (of_exponents, 2), (of_bias, 8)] {
            for model in models(matrix, &[0; 16], RawTensor::I8, 0) {
                if u64::from(offset) + bytes <= 16 {
                    accepted(&model.file());
                } else {
                    assert_eq!(refusal(&model), OUTSIDE, "{offset}");
                }
            }
        }
    }
}

#[test]
fn matrices_without_rows_or_columns_or_with_too_many() {
    // The tensors of a linear operator can be as long as a matrix has rows and columns, and no tensor is empty.
    for (rows, columns) in [(0, 3), (2, 0)] {
        let mut model = models(MATRIX, &weights(), RawTensor::I8, 9)[0].clone();
        model.operators = vec![RawLinear { rows, columns, ..MATRIX }.int8(12, None)];
        let kind = trishift_format::OperatorKind::Int8Linear;
        assert_eq!(refusal(&model), ParseError::Operands { index: 0, kind, what: "shapes" });
    }
    // Products that are 6 in 32 bits, or 0.
    for (rows, columns) in [(2, 0x8000_0003), (0x8000_0001, 6), (1 << 16, 1 << 16), (u32::MAX, u32::MAX), (1, u32::MAX)]
    {
        let matrix = RawLinear { rows, columns, ..MATRIX };
        for model in &models(matrix, &weights(), RawTensor::I8, 9)[..2] {
            assert_eq!(refusal(model), OUTSIDE, "{rows} x {columns}");
        }
    }
}

#[test]
fn exponents_below_the_unit_of_an_int32_output() {
    for exponent in [-3, -4] {
        models(MATRIX, &weights(), RawTensor::I32, exponent).into_iter().for_each(|model| accepted(&model.file()));
    }
    for (exponent, row) in [(-2, 1), (5, 1), (6, 0), (i16::MAX, 0)] {
        for model in models(MATRIX, &weights(), RawTensor::I32, exponent) {
            assert_eq!(refusal(&model), fault(MatrixFault::BelowOutputUnit { row }), "{exponent}");
        }
    }
    // int8 outputs take any exponent; so does a row, whatever it holds.
    for exponent in [i16::MIN, -2, 0, i16::MAX] {
        models(MATRIX, &weights(), RawTensor::I8, exponent).into_iter().for_each(|model| accepted(&model.file()));
    }
}

/// One row of three weights with this exponent and bias.
fn row(values: [i8; 3], exponent: i8, bias: i32) -> Vec<u8> {
    [&values.map(|value| value as u8)[..], &[exponent as u8], &bias.to_le_bytes()].concat()
}

const ROW: RawLinear = RawLinear { rows: 1, exponents: 3, bias: Some(4), ..MATRIX };

/// What a row may need: |b| + 128·Σ|w|·2^(E − e) + h, in 128 bits.
fn required(model: &RawModel, bias: i32) -> i128 {
    let file = model.file();
    let model = Model::parse(&file).expect("a valid model");
    let operator = model.operators().next().expect("one operator");
    let matrix = model.int8_matrix(operator.int8_weights().expect("int8 weights"));
    let accumulators = model.accumulators_between(operator.inputs()[0], operator.output());
    required_int8(&matrix.row(0).expect("one row"), bias, accumulators)
}

#[test]
fn the_bias_may_fill_the_rest_and_no_more() {
    for low in [-128i8, -20, 0, 127] {
        for values in [[1, -128, 127], [-1, 0, 0], [-128, -128, -128], [0, 0, 0]] {
            let sum: i32 = values.iter().map(|value| 128 * i32::from(*value).abs()).sum();
            let rest = i32::MAX - sum;
            // No rounding: shifts to the left and beyond 31, and int32 outputs in the row's own unit.
            for (data_type, shift) in
                [(RawTensor::I8, 0), (RawTensor::I8, -9), (RawTensor::I8, 32), (RawTensor::I32, 0)]
            {
                let exponent = i16::from(low) + shift;
                for bias in [rest, -rest, 0] {
                    for model in models(ROW, &row(values, low, bias), data_type, exponent) {
                        accepted(&model.file());
                        assert_eq!(required(&model, bias), i128::from(sum) + i128::from(bias).abs());
                    }
                }
                for bias in [rest.checked_add(1), Some(-rest - 1), Some(i32::MIN)].into_iter().flatten() {
                    for model in models(ROW, &row(values, low, bias), data_type, exponent) {
                        assert_eq!(refusal(&model), BEYOND, "{low} {values:?} {shift} {bias}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_rounding_constant_takes_its_part() {
    for low in [-128i8, -3, 127] {
        for shift in [1, 2, 15, 30, 31] {
            let rest = i32::MAX - 128 * 256 - (1 << (shift - 1));
            let models = |bias| models(ROW, &row([1, -128, 127], low, bias), RawTensor::I8, i16::from(low) + shift);
            for bias in [rest, -rest] {
                models(bias).into_iter().for_each(|model| accepted(&model.file()));
                let beyond = bias + bias.signum();
                models(beyond)
                    .into_iter()
                    .for_each(|model| assert_eq!(refusal(&model), BEYOND, "{low} {shift} {beyond}"));
            }
        }
    }
}

#[test]
fn a_finer_unit_is_one_step_too_far() {
    let models = |values, below: i16, bias| models(ROW, &row(values, 0, bias), RawTensor::I32, -below);
    // 128·1·2^23 leaves 2^30 − 1 for the bias, 128·255·2^16 leaves 2^23 − 1, 128·3·2^22 leaves 2^29 − 1.
    for (values, below, rest) in [([1, 0, 0], 23, 30), ([-128, 0, 127], 16, 23), ([0, -3, 0], 22, 29)] {
        let rest = (1 << rest) - 1;
        models(values, below, rest).into_iter().for_each(|model| accepted(&model.file()));
        models(values, below, -rest).into_iter().for_each(|model| accepted(&model.file()));
        models(values, below, rest + 1).into_iter().for_each(|model| assert_eq!(refusal(&model), BEYOND));
        for below in [below + 1, below + 40, 32_000] {
            models(values, below, 0)
                .into_iter()
                .for_each(|model| assert_eq!(refusal(&model), BEYOND, "{values:?} {below}"));
        }
    }
    // A row of zeros fits at any unit.
    models([0; 3], 32_000, i32::MAX).into_iter().for_each(|model| accepted(&model.file()));
    models([0; 3], 32_000, i32::MIN).into_iter().for_each(|model| assert_eq!(refusal(&model), BEYOND));
}

#[test]
fn the_second_row_is_checked_too() {
    let mut weights = weights();
    weights[12..16].copy_from_slice(&(i32::MAX - 128 * 4 + 1).to_le_bytes());
    for model in models(MATRIX, &weights, RawTensor::I8, i16::MIN) {
        assert_eq!(refusal(&model), fault(MatrixFault::Int32Bound { row: 1 }));
    }
    weights[12..16].copy_from_slice(&(i32::MAX - 128 * 4).to_le_bytes());
    models(MATRIX, &weights, RawTensor::I8, i16::MIN).into_iter().for_each(|model| accepted(&model.file()));
}

#[test]
fn long_rows_to_the_last_unit() {
    // 2^17 weights of −128 need 2^31: one of them must be smaller, by one.
    let columns = 1 << 17;
    let matrix = RawLinear { columns, exponents: columns, bias: None, ..ROW };
    let mut weights = vec![128; columns as usize + 1];
    for model in &models(matrix, &weights, RawTensor::I8, -9)[..2] {
        assert_eq!(refusal(model), BEYOND);
    }
    weights[77_777] = 129;
    for model in &models(matrix, &weights, RawTensor::I8, -200)[..2] {
        accepted(&model.file());
        assert_eq!(required(model, 0), (1 << 31) - 128);
    }
}
