//! A checkpoint: the training state, integers only, in the same container as a model.
//!
//! Tensors are named. Trits are packed flat, five to a byte over the whole matrix; everything else is little-endian
//! integers of the stated width. [`StateType::F32`] exists for one purpose: the straight-through baseline, which has
//! floating-point state by definition.

use crate::container::{Container, KIND_CHECKPOINT, SECTION_INDEX, SECTION_STATE};
use crate::{ParseError, trits};
use serde::{Deserialize, Serialize};

/// The index section: one postcard record.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct IndexRecord<'a> {
    pub(crate) config: &'a str,
    /// Tensor records, each a postcard byte string.
    pub(crate) tensors: &'a [u8],
}

/// One tensor's record.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct StateRecord<'a> {
    pub(crate) name: &'a str,
    pub(crate) state_type: u8,
    pub(crate) rows: u64,
    pub(crate) columns: u64,
    pub(crate) offset: u64,
}

/// Element type of a state tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateType {
    /// Trits, packed flat.
    Trits,
    /// Signed 8-bit integers.
    I8,
    /// Signed 16-bit integers.
    I16,
    /// Signed 32-bit integers.
    I32,
    /// Signed 64-bit integers.
    I64,
    /// IEEE single precision; only the straight-through baseline has such state.
    F32,
}

impl StateType {
    const ALL: [Self; 6] = [Self::Trits, Self::I8, Self::I16, Self::I32, Self::I64, Self::F32];

    /// The code in a file.
    #[cfg(feature = "alloc")]
    pub(crate) fn code(self) -> u8 {
        (0..).zip(Self::ALL).find_map(|(code, state_type)| (state_type == self).then_some(code)).unwrap_or(0)
    }

    /// Bytes of `count` elements, `None` where u64 overflows.
    pub const fn bytes(self, count: u64) -> Option<u64> {
        match self {
            Self::Trits => Some(count.div_ceil(trits::PER_BYTE as u64)),
            Self::I8 => Some(count),
            Self::I16 => count.checked_mul(2),
            Self::I32 | Self::F32 => count.checked_mul(4),
            Self::I64 => count.checked_mul(8),
        }
    }
}

/// A named tensor of the training state.
#[derive(Clone, Copy, Debug)]
pub struct StateTensor<'a> {
    /// Name, such as `layer0.trits`.
    pub name: &'a str,
    /// Element type.
    pub state_type: StateType,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub columns: usize,
    /// The elements, row after row.
    pub bytes: &'a [u8],
}

/// A checkpoint file, checked.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    index: IndexRecord<'a>,
    state: &'a [u8],
}

impl<'a> Checkpoint<'a> {
    /// Checks a file completely. Allocates nothing; time is proportional to the file's length.
    ///
    /// # Errors
    /// The first [`ParseError`] met.
    pub fn parse(file: &'a [u8]) -> Result<Self, ParseError> {
        let container = Container::parse(file, KIND_CHECKPOINT)?;
        let index = container.section(SECTION_INDEX)?;
        let state = container.section(SECTION_STATE)?;
        let malformed = ParseError::Malformed { what: "checkpoint index" };
        let (index, rest) = postcard::take_from_bytes::<IndexRecord<'a>>(index).map_err(|_| malformed)?;
        if !rest.is_empty() {
            return Err(malformed);
        }
        let checkpoint = Self { index, state };
        let mut tensors = checkpoint.tensors();
        let mut number = 0;
        while let Some(tensor) = tensors.try_next() {
            let tensor = tensor.ok_or(ParseError::StateTensor { index: number })?;
            if tensor.state_type == StateType::Trits && !trits_are_valid(&tensor) {
                return Err(ParseError::StateTrits { index: number });
            }
            number += 1;
        }
        Ok(checkpoint)
    }

    /// The configuration of the run, as TOML.
    pub const fn config(&self) -> &'a str {
        self.index.config
    }

    /// The tensors, in the order of the file.
    pub const fn tensors(&self) -> StateTensors<'a> {
        StateTensors { records: self.index.tensors, state: self.state, end: 0 }
    }

    /// The tensor with this name.
    pub fn tensor(&self, name: &str) -> Option<StateTensor<'a>> {
        self.tensors().find(|tensor| tensor.name == name)
    }
}

fn trits_are_valid(tensor: &StateTensor<'_>) -> bool {
    // In u64: on a 32-bit machine five trits a byte outgrow usize.
    let count = tensor.rows as u64 * tensor.columns as u64;
    let used = (count.wrapping_sub(1) % trits::PER_BYTE as u64) as usize + 1;
    tensor.bytes.iter().all(|byte| *byte <= trits::MAX_BYTE)
        && tensor.bytes.last().is_none_or(|last| trits::padding_is_digit_zero(*last, used))
}

/// The tensors of a checkpoint, one by one.
#[derive(Clone, Debug)]
pub struct StateTensors<'a> {
    records: &'a [u8],
    state: &'a [u8],
    /// End of the tensor before: tensors that share bytes would make the time of a parse grow with their number.
    end: usize,
}

impl<'a> StateTensors<'a> {
    /// `None` at the end, `Some(None)` for a record that is not valid, after which there are no more.
    fn try_next(&mut self) -> Option<Option<StateTensor<'a>>> {
        if self.records.is_empty() {
            return None;
        }
        let decoded = self.decode();
        if decoded.is_none() {
            self.records = &[];
        }
        Some(decoded)
    }

    fn decode(&mut self) -> Option<StateTensor<'a>> {
        let (record, rest) = postcard::take_from_bytes::<&[u8]>(self.records).ok()?;
        self.records = rest;
        let (record, trailing) = postcard::take_from_bytes::<StateRecord<'a>>(record).ok()?;
        let state_type = *StateType::ALL.get(usize::from(record.state_type))?;
        let bytes = state_type.bytes(record.rows.checked_mul(record.columns)?)?;
        let start = usize::try_from(record.offset).ok().filter(|start| *start >= self.end)?;
        let end = usize::try_from(record.offset.checked_add(bytes)?).ok()?;
        let valid = trailing.is_empty() && !record.name.is_empty();
        self.end = end;
        Some(StateTensor {
            name: record.name,
            state_type,
            rows: usize::try_from(record.rows).ok()?,
            columns: usize::try_from(record.columns).ok()?,
            bytes: self.state.get(start..end).filter(|_| valid)?,
        })
    }
}

impl<'a> Iterator for StateTensors<'a> {
    type Item = StateTensor<'a>;

    fn next(&mut self) -> Option<StateTensor<'a>> {
        self.try_next().flatten()
    }
}
