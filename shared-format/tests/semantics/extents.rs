//! How many bytes a matrix has, to the byte: every group size, every number of columns up to three groups, every encoding,
//! and every offset in a section of bytes that are valid wherever a matrix begins.

use super::support::raw::{RawLinear, RawModel, RawTensor};
use super::{accepted, refusal};
use trishift_format::{GroupSize, MatrixFault, Model, ParseError};

const OUTSIDE: ParseError = ParseError::Matrix { index: 0, fault: MatrixFault::OutsideSection };

/// Five trits of 0: as an exponent, 121.
const ZEROS: u8 = 121;

/// Encodings and the layouts they go with.
const FORMS: [(u8, u8); 3] = [(0, 0), (1, 0), (2, 1)];

/// A layer of `rows` rows alone in its file; an output exponent that leaves the int32 bound out of play.
fn layer(linear: RawLinear, weights: Vec<u8>) -> RawModel {
    let mut tensors = vec![
        RawTensor::i8(RawTensor::INPUT, linear.columns, 0, 0),
        RawTensor::i8(RawTensor::OUTPUT, linear.rows, 0, 0),
    ];
    tensors[1].exponent = -300;
    RawModel { weights, ..RawModel::graph_of(tensors, vec![linear.record()], 0) }
}

#[test]
fn a_matrix_needs_its_bytes_and_no_more() {
    let mut shapes = 0;
    for group in GroupSize::ALL.map(GroupSize::get) {
        for columns in 1..=3 * group {
            for rows in 1..=3 {
                // Row by row and group by group, as `docs/format.md` has it.
                let lengths = (0..columns).step_by(group).map(|first| group.min(columns - first));
                let groups = lengths.clone().count();
                let trits: usize = lengths.map(|len| len.div_ceil(5)).sum::<usize>() * rows;
                for (encoding, layout) in FORMS {
                    let (trits, exponents) = match encoding {
                        0 => (trits, rows * groups),
                        1 => (trits, rows + rows * groups.div_ceil(2)),
                        _ => (trits + rows * groups, rows),
                    };
                    let mut weights = vec![ZEROS; trits];
                    if layout == 1 {
                        // An offset of 0 in front of every group.
                        let mut place = 0;
                        for first in (0..columns).step_by(group) {
                            for _ in 0..rows {
                                weights[place] = 0;
                                place += 1 + group.min(columns - first).div_ceil(5);
                            }
                        }
                        assert_eq!(place, trits);
                    }
                    weights.resize(trits + exponents, 0);
                    let linear = RawLinear {
                        rows: rows as u32,
                        columns: columns as u32,
                        group: group as u8,
                        encoding,
                        layout,
                        trits: 0,
                        exponents: trits as u32,
                        bias: None,
                        ..RawModel::SMALL
                    };
                    let mut model = layer(linear, weights);
                    let file = model.file();
                    let found = Model::parse(&file).map(|model| {
                        let matrix = model.operators().next().and_then(|operator| operator.weights().copied());
                        matrix.map_or(0, |record| model.matrix(&record).bytes())
                    });
                    assert_eq!(found, Ok(trits + exponents), "{rows}x{columns} in groups of {group}, {encoding}");
                    model.weights.pop();
                    assert_eq!(refusal(&model), OUTSIDE, "{rows}x{columns} in groups of {group}, {encoding}");
                    shapes += 1;
                }
            }
        }
    }
    println!("{shapes} shapes");
}

#[test]
fn every_offset_in_a_section() {
    // Groups of 20 fill their bytes, so that any byte up to 242 is valid: bytes of 0 are trits of −1 and exponents of 0.
    const BYTES: u32 = 96;
    let linear = |encoding, layout| RawLinear {
        rows: 3,
        columns: 40,
        group: 20,
        encoding,
        layout,
        trits: 0,
        exponents: 0,
        bias: Some(0),
        ..RawModel::SMALL
    };
    let offsets = || (0..=BYTES + 2).chain([1 << 31, u32::MAX - 23, u32::MAX - 1, u32::MAX]);
    for (encoding, layout) in FORMS {
        let right = linear(encoding, layout);
        let trits = 3 * 2 * (4 + u32::from(layout));
        let exponents = [6, 6, 3][usize::from(encoding)];
        for offset in offsets() {
            let of_trits = RawLinear { trits: offset, ..right };
            let of_exponents = RawLinear { exponents: offset, ..right };
            let of_bias = RawLinear { bias: Some(offset), ..right };
            for (linear, bytes) in [(of_trits, trits), (of_exponents, exponents), (of_bias, 12)] {
                let model = layer(linear, vec![0; BYTES as usize]);
                if u64::from(offset) + u64::from(bytes) <= u64::from(BYTES) {
                    accepted(&model.file());
                } else {
                    assert_eq!(refusal(&model), OUTSIDE, "{offset}");
                }
            }
        }
    }
}
