//! Embedding: every element of the input names a row of a ternary table, and the rows stand in the output one behind the
//! other.
//!
//! An int8 element q names row q + 128, an int32 element the row of its own number. A weight t·2^E becomes int8 by the
//! rounding shift s_out − E of [`crate::requantize`], or int32 in units of 2^s_out, t << (E − s_out).
//!
//! Parsing cannot know what a run will ask for: a row that is not there is the one thing that can go wrong here.

use crate::requantize::requantize_one;
use crate::{Outputs, Values};
use trishift_format::trits::{DECODE, PER_BYTE};
use trishift_format::{Group, TernaryMatrix};

/// A table and the unit of what is taken from it.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    /// The table, [vocabulary, dimension].
    pub table: TernaryMatrix<'a>,
    /// s_out, the output's exponent.
    pub exponent: i32,
}

/// The input named a row that the table does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutsideTable {
    /// The row asked for.
    pub row: i32,
}

/// Scalar definition, int8 outputs: [indices, dimension].
///
/// # Errors
/// [`OutsideTable`] for the first element that names no row; the output holds the rows before it.
#[inline(always)]
pub fn embedding_i8(embedding: &Embedding<'_>, indices: Values<'_>, output: &mut [i8]) -> Result<(), OutsideTable> {
    look_up_all(embedding, indices, Outputs::I8(output))
}

/// Scalar definition, int32 outputs: [indices, dimension].
///
/// # Errors
/// [`OutsideTable`] for the first element that names no row; the output holds the rows before it.
#[inline(always)]
pub fn embedding_i32(embedding: &Embedding<'_>, indices: Values<'_>, output: &mut [i32]) -> Result<(), OutsideTable> {
    look_up_all(embedding, indices, Outputs::I32(output))
}

/// One function, where code is dear, for outputs of either type.
#[cfg_attr(feature = "std", inline(always))]
#[cfg_attr(not(feature = "std"), inline(never))]
fn look_up_all(embedding: &Embedding<'_>, indices: Values<'_>, mut output: Outputs<'_>) -> Result<(), OutsideTable> {
    let Embedding { table, exponent } = *embedding;
    let columns = table.columns().max(1);
    let entries = match &output {
        Outputs::I8(output) => output.len() / columns,
        Outputs::I32(output) => output.len() / columns,
    };
    for index in 0..indices.len().min(entries) {
        let row = match indices {
            Values::I8(_) => indices.get(index) + 128,
            Values::I32(_) => indices.get(index),
        };
        let found = usize::try_from(row).ok().and_then(|row| table.row(row)).ok_or(OutsideTable { row })?;
        let mut start = index * columns;
        for group in 0.. {
            let Some(group) = found.get(group) else { break };
            let place = start..start + group.len;
            match &mut output {
                Outputs::I8(output) => {
                    let mut elements = [0; 3];
                    for (element, trit) in elements.iter_mut().zip(-1..) {
                        *element = requantize_one(trit, exponent - group.exponent, false);
                    }
                    unpack(&group, elements, output.get_mut(place).unwrap_or(&mut []));
                }
                Outputs::I32(output) => {
                    // In 0..=30 in a parsed model, but for groups of zeros, whose elements are 0 whatever the shift.
                    let shift = (group.exponent - exponent).clamp(0, 30);
                    unpack(&group, [-1, 0, 1].map(|trit| trit << shift), output.get_mut(place).unwrap_or(&mut []));
                }
            }
            start += group.len;
        }
    }
    Ok(())
}

/// A group's part of an entry, whose elements for the trits −1, 0 and 1 are these.
#[inline(always)]
fn unpack<T: Copy>(group: &Group<'_>, [minus, zero, plus]: [T; 3], entry: &mut [T]) {
    for (entry, byte) in entry.chunks_mut(PER_BYTE).zip(group.bytes) {
        for (element, trit) in entry.iter_mut().zip(DECODE[usize::from(*byte)]) {
            *element = match trit {
                0 => zero,
                1 => plus,
                _ => minus,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;
    use trishift_format::write::{MatrixValues, ModelWriter, Region};
    use trishift_format::{DataType, GroupSize, InputScale, Model, Operator, Tensor, TensorClass};

    /// A table as plain values.
    #[derive(Clone, Debug)]
    struct Case {
        rows: usize,
        columns: usize,
        group: GroupSize,
        trits: Vec<i8>,
        exponents: Vec<i8>,
    }

    /// Exponents from −20 to −1: above any unit down to −31 they fit int32.
    const UNITS: core::ops::RangeInclusive<i32> = -31..=-20;

    fn cases() -> impl Strategy<Value = Case> {
        let shape = (1usize..6, 1usize..120, proptest::sample::select(GroupSize::ALL.to_vec()));
        shape.prop_flat_map(|(rows, columns, group)| {
            let trits = proptest::collection::vec(-1i8..=1, rows * columns);
            let exponents = proptest::collection::vec(-20i8..0, rows * group.count(columns));
            (trits, exponents).prop_map(move |(trits, exponents)| Case { rows, columns, group, trits, exponents })
        })
    }

    impl Case {
        /// The table in a model file that looks one row up.
        fn file(&self) -> Vec<u8> {
            let Self { rows, columns, group, ref trits, ref exponents } = *self;
            let mut writer = ModelWriter::new("case");
            let weights = writer.add_matrix(&MatrixValues { rows, columns, group, trits, exponents }).unwrap();
            writer.push(&Operator::Embedding(trishift_format::Embedding { input: 0, output: 1, weights })).unwrap();
            writer.input_scales(&[InputScale::IDENTITY]);
            let tensor = |class, len: usize| Tensor {
                data_type: DataType::I8,
                class,
                exponent: 0,
                shape: [1, 1, len as u32],
                offset: 0,
                first: 0,
                last: 0,
            };
            let tensors = [tensor(TensorClass::Input, 1), tensor(TensorClass::Output, columns)];
            writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).unwrap()
        }

        /// Trit and exponent of an element.
        fn weight(&self, row: usize, column: usize) -> (i8, i32) {
            let group = row * self.group.count(self.columns) + column / self.group.get();
            (self.trits[row * self.columns + column], self.exponents[group].into())
        }

        /// The elements of a row by the definition, before saturation.
        fn naive(&self, row: usize, unit: i32) -> Vec<i64> {
            let element = |column| {
                let (trit, exponent) = self.weight(row, column);
                match unit - exponent {
                    shift @ 1.. => (i64::from(trit) + (1 << (shift - 1))) >> shift,
                    shift => i64::from(trit) << -shift,
                }
            };
            (0..self.columns).map(element).collect()
        }
    }

    /// `f(table)`, the table read back from a file.
    fn with_table<R>(case: &Case, f: impl FnOnce(TernaryMatrix<'_>) -> R) -> R {
        let file = case.file();
        let model = Model::parse(&file).unwrap();
        let Some(Operator::Embedding(op)) = model.operators().next() else { panic!("one embedding") };
        f(model.matrix(&op.weights))
    }

    fn ternary() -> Case {
        let (trits, exponents) = (vec![1, 0, -1, 1, -1, /**/ 0, 0, 1, -1, 1], vec![0, 2, -1, 1]);
        Case { rows: 2, columns: 5, group: GroupSize::ALL[0], trits, exponents }
    }

    #[test]
    fn rows_stand_in_the_order_of_their_indices() {
        with_table(&ternary(), |table| {
            let mut output = [9i32; 15];
            let embedding = Embedding { table, exponent: -2 };
            embedding_i32(&embedding, Values::I32(&[1, 0, 1]), &mut output).unwrap();
            assert_eq!(output, [0, 0, 2, -2, 8, /**/ 4, 0, -4, 4, -16, /**/ 0, 0, 2, -2, 8]);
            // −128 is row 0.
            let mut narrow = [9i8; 10];
            embedding_i8(&embedding, Values::I8(&[-127, -128]), &mut narrow).unwrap();
            assert_eq!(narrow, [0, 0, 2, -2, 8, /**/ 4, 0, -4, 4, -16]);
            // Halves round up: 2^−1 in units of 1 is 1, −2^−1 is 0.
            embedding_i8(&Embedding { table, exponent: 0 }, Values::I8(&[-127, -127]), &mut narrow).unwrap();
            assert_eq!(narrow[..5], [0, 0, 1, 0, 2]);
        });
    }

    #[test]
    fn a_row_that_is_not_there_is_named() {
        with_table(&ternary(), |table| {
            let embedding = Embedding { table, exponent: -2 };
            for row in [2, 3, -1, 256, i32::MIN, i32::MAX] {
                let mut output = [9i32; 15];
                let outcome = embedding_i32(&embedding, Values::I32(&[0, row, 7]), &mut output);
                assert_eq!(outcome, Err(OutsideTable { row }));
                // The rows before it are there, and nothing else is.
                assert_eq!(output, [4, 0, -4, 4, -16, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
            }
            for (q, row) in [(-126, 2), (0, 128), (127, 255)] {
                let outcome = embedding_i8(&embedding, Values::I8(&[q]), &mut [0; 5]);
                assert_eq!(outcome, Err(OutsideTable { row }));
            }
        });
    }

    proptest! {
        #[test]
        fn equals_the_definition(
            case in cases(),
            picks in proptest::collection::vec(any::<proptest::sample::Index>(), 1..5),
            unit in UNITS,
            narrow_unit in -30i32..40,
        ) {
            let rows: Vec<usize> = picks.iter().map(|pick| pick.index(case.rows)).collect();
            let wide: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
            let narrow: Vec<i8> = rows.iter().map(|row| (*row as i32 - 128) as i8).collect();
            for indices in [Values::I32(&wide), Values::I8(&narrow)] {
                let mut output = vec![9; rows.len() * case.columns];
                let outcome = with_table(&case, |table| {
                    embedding_i32(&Embedding { table, exponent: unit }, indices, &mut output)
                });
                prop_assert_eq!(outcome, Ok(()));
                let expected: Vec<i64> = rows.iter().flat_map(|row| case.naive(*row, unit)).collect();
                prop_assert_eq!(output.into_iter().map(i64::from).collect::<Vec<_>>(), expected);
                let mut output = vec![9; rows.len() * case.columns];
                let outcome = with_table(&case, |table| {
                    embedding_i8(&Embedding { table, exponent: narrow_unit }, indices, &mut output)
                });
                prop_assert_eq!(outcome, Ok(()));
                let expected = rows.iter().flat_map(|row| case.naive(*row, narrow_unit));
                let expected: Vec<i64> = expected.map(|element| element.clamp(-128, 127)).collect();
                prop_assert_eq!(output.into_iter().map(i64::from).collect::<Vec<_>>(), expected);
            }
        }
    }
}
