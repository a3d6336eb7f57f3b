//! The int32 bound: |b| + Σ_g 128·nnz_g·2^(E_g − e) + 2^(r−1) ≤ 2³¹ − 1, exact to the last unit.

use super::support::raw::{RawLinear, RawModel, RawTensor};
use super::support::walk::required;
use super::{accepted, refusal};
use trishift_format::bound::Accumulators;
use trishift_format::{MatrixFault, ParseError};

/// A row of 24 groups of 4, one trit each, with exponents low..low + 24: 128·(2²⁴ − 1), 127 short of the limit.
///
/// `unit` is the output's exponent where it is int32; `shift` the requantising shift r where it is int8.
fn row(low: i8, output: Output, bias: i32) -> RawModel {
    let groups = 24;
    let linear = RawLinear {
        input: 0,
        output: 1,
        relu: false,
        rows: 1,
        columns: 4 * groups,
        group: 4,
        encoding: 0,
        layout: 0,
        trits: 0,
        exponents: 24,
        bias: Some(48),
    };
    let mut tensors =
        vec![RawTensor::i8(RawTensor::INPUT, 4 * groups, 0, 0), RawTensor::i8(RawTensor::OUTPUT, 1, 0, 0)];
    match output {
        Output::I8 { shift } => tensors[1].exponent = i16::from(low) + shift,
        Output::I32 { below } => {
            tensors[1].exponent = i16::from(low) - below;
            tensors[1].data_type = RawTensor::I32;
        }
    }
    let mut model = RawModel::graph_of(tensors, vec![linear.record()], 0);
    // Digit 2 and four times digit 1: one trit of +1; alternately digit 0, a trit of −1.
    model.weights = (0..24).map(|group| 122 - 2 * (group % 2)).collect();
    model.weights.extend((0..24).map(|exponent: i8| (low + exponent) as u8));
    model.weights.extend(bias.to_le_bytes());
    model
}

#[derive(Clone, Copy, Debug)]
enum Output {
    I8 { shift: i16 },
    I32 { below: i16 },
}

const BEYOND: ParseError = ParseError::Matrix { index: 0, fault: MatrixFault::Int32Bound { row: 0 } };

#[test]
fn the_bias_may_fill_the_rest_and_no_more() {
    for low in [-128, -20, 0, 104] {
        for output in [Output::I8 { shift: 0 }, Output::I8 { shift: -9 }, Output::I32 { below: 0 }] {
            for bias in [127, -127, 0, 1] {
                accepted(&row(low, output, bias).file());
            }
            for bias in [128, -128, i32::MAX, i32::MIN] {
                assert_eq!(refusal(&row(low, output, bias)), BEYOND, "{low} {output:?} {bias}");
            }
        }
    }
}

#[test]
fn the_rounding_constant_takes_its_part() {
    // r = 4 rounds with 8; r > 31 gives 0 and rounds with nothing.
    for low in [-128, -3, 0, 104] {
        for (shift, rest) in [(1, 126), (4, 119), (7, 63), (32, 127), (200, 127)] {
            let output = Output::I8 { shift };
            accepted(&row(low, output, rest).file());
            accepted(&row(low, output, -rest).file());
            assert_eq!(refusal(&row(low, output, rest + 1)), BEYOND, "{low} {shift}");
            assert_eq!(refusal(&row(low, output, -rest - 1)), BEYOND, "{low} {shift}");
        }
        for shift in [8, 9, 31] {
            assert_eq!(refusal(&row(low, Output::I8 { shift }, 0)), BEYOND, "{low} {shift}");
        }
    }
}

#[test]
fn a_wider_window_or_a_finer_unit_is_one_step_too_far() {
    let mut wider = row(0, Output::I8 { shift: 0 }, 0);
    assert_eq!(wider.weights[24 + 23], 23);
    wider.weights[24 + 23] = 24;
    assert_eq!(refusal(&wider), BEYOND);
    assert_eq!(refusal(&row(0, Output::I32 { below: 1 }, 0)), BEYOND);
    assert_eq!(refusal(&row(0, Output::I32 { below: 32_000 }, 0)), BEYOND);
}

#[test]
fn only_trits_that_are_not_zero_count() {
    // Groups of four at window 24: 128·2²⁴ is one too many, whatever the other group holds; without that trit the
    // row is zeros, and zeros fit at any unit.
    let mut model = row(0, Output::I32 { below: 0 }, 0);
    model.weights[..24].fill(121);
    model.weights[24..48].fill(24);
    model.tensors[1].exponent = -32_000;
    accepted(&model.file());
    model.weights[5] = 122;
    assert_eq!(refusal(&model), BEYOND);
}

#[test]
fn the_parser_agrees_with_wide_arithmetic_at_the_edge() {
    // What the accepted files need, computed in i128, is the limit itself.
    let file = row(-3, Output::I8 { shift: 4 }, 119).file();
    let model = trishift_format::Model::parse(&file).unwrap();
    let Some(trishift_format::Operator::Linear(op)) = model.operators().next() else { panic!("one linear operator") };
    let matrix = model.matrix(&op.weights);
    let row = matrix.iter().next().unwrap();
    assert_eq!(model.accumulators(&op), Accumulators::PerRow { scale: 1 });
    assert_eq!(required(&row, 119, model.accumulators(&op)), (1 << 31) - 1);
    assert_eq!(required(&row, -120, model.accumulators(&op)), 1 << 31);
}
