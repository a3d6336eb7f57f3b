//! Builds a checkpoint file from named tensors.

use super::{WriteError, container};
use crate::checkpoint::{Checkpoint, IndexRecord, StateRecord, StateType};
use crate::container::{KIND_CHECKPOINT, SECTION_INDEX, SECTION_STATE};
use crate::trits;
use alloc::vec::Vec;

/// The elements of a state tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StateValues<'a> {
    /// Trits, written flat, five to a byte.
    Trits(&'a [i8]),
    /// 8-bit integers.
    I8(&'a [i8]),
    /// 16-bit integers.
    I16(&'a [i16]),
    /// 32-bit integers.
    I32(&'a [i32]),
    /// 64-bit integers, stored in the narrowest of 8, 16, 32 and 64 bits that holds them all.
    I64(&'a [i64]),
    /// Floating-point numbers of the straight-through baseline.
    F32(&'a [f32]),
}

/// Collects the tensors of a checkpoint; [`CheckpointWriter::finish`] gives the file.
#[derive(Clone, Debug, Default)]
pub struct CheckpointWriter {
    config: alloc::string::String,
    tensors: Vec<u8>,
    state: Vec<u8>,
}

impl CheckpointWriter {
    /// An empty checkpoint of a run with this configuration (TOML).
    pub fn new(config: &str) -> Self {
        Self { config: config.into(), ..Self::default() }
    }

    /// Adds a tensor of `rows` rows.
    ///
    /// # Errors
    /// [`WriteError::Count`] where the number of values is not a multiple of `rows`.
    pub fn push(&mut self, name: &str, rows: usize, values: StateValues<'_>) -> Result<(), WriteError> {
        let count = match values {
            StateValues::Trits(values) | StateValues::I8(values) => values.len(),
            StateValues::I16(values) => values.len(),
            StateValues::I32(values) => values.len(),
            StateValues::I64(values) => values.len(),
            StateValues::F32(values) => values.len(),
        };
        let columns = count.checked_div(rows).unwrap_or(0);
        if columns * rows != count {
            return Err(WriteError::Count { what: "state values", found: count, expected: columns * rows });
        }
        self.state.resize(self.state.len().next_multiple_of(8), 0);
        let offset = self.state.len() as u64;
        let state = &mut self.state;
        let state_type = match values {
            StateValues::Trits(values) => {
                state.extend(trits::pack_flat(values));
                StateType::Trits
            }
            StateValues::I8(values) => {
                state.extend(values.iter().map(|value| *value as u8));
                StateType::I8
            }
            StateValues::I16(values) => {
                state.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                StateType::I16
            }
            StateValues::I32(values) => {
                state.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                StateType::I32
            }
            StateValues::I64(values) => push_narrowed(state, values),
            StateValues::F32(values) => {
                state.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                StateType::F32
            }
        };
        let (rows, columns) = (rows as u64, columns as u64);
        let record =
            postcard::to_allocvec(&StateRecord { name, state_type: state_type.code(), rows, columns, offset })?;
        self.tensors.extend(postcard::to_allocvec(&record.as_slice())?);
        Ok(())
    }

    /// The file, parsed once to prove it valid.
    ///
    /// # Errors
    /// [`WriteError::Invalid`] with what [`Checkpoint::parse`] found.
    pub fn finish(&self) -> Result<Vec<u8>, WriteError> {
        let index = postcard::to_allocvec(&IndexRecord { config: &self.config, tensors: &self.tensors })?;
        let sections = [(SECTION_INDEX, index.as_slice()), (SECTION_STATE, self.state.as_slice())];
        let file = container::assemble(KIND_CHECKPOINT, 0, &sections);
        Checkpoint::parse(&file)?;
        Ok(file)
    }
}

/// Writes 64-bit integers in the narrowest type that holds them all.
fn push_narrowed(state: &mut Vec<u8>, values: &[i64]) -> StateType {
    let fits = |low: i64, high: i64| values.iter().all(|value| (low..=high).contains(value));
    let (state_type, bytes) = if fits(i8::MIN.into(), i8::MAX.into()) {
        (StateType::I8, 1)
    } else if fits(i16::MIN.into(), i16::MAX.into()) {
        (StateType::I16, 2)
    } else if fits(i32::MIN.into(), i32::MAX.into()) {
        (StateType::I32, 4)
    } else {
        (StateType::I64, 8)
    };
    for value in values {
        state.extend_from_slice(&value.to_le_bytes()[..bytes]);
    }
    state_type
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_the_narrowest_type_that_holds_them() {
        let cases: [(&[i64], StateType, &[u8]); 4] = [
            (&[127, -128], StateType::I8, &[127, 128]),
            (&[128], StateType::I16, &[128, 0]),
            (&[-32769], StateType::I32, &[0xFF, 0x7F, 0xFF, 0xFF]),
            (&[1 << 31], StateType::I64, &[0, 0, 0, 0x80, 0, 0, 0, 0]),
        ];
        for (values, state_type, bytes) in cases {
            let mut writer = CheckpointWriter::new("");
            writer.push("corr", 1, StateValues::I64(values)).unwrap();
            let file = writer.finish().unwrap();
            let tensor = Checkpoint::parse(&file).unwrap().tensor("corr").unwrap();
            assert_eq!((tensor.state_type, tensor.bytes), (state_type, bytes));
        }
    }
}
