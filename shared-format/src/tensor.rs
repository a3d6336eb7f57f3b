//! Tensors: the activations that flow between operators, and where each lies in memory.

use crate::container::u32_at;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DataType {
    /// Signed 8-bit activations.
    I8,
    /// Signed 32-bit accumulators: logits, the input of a norm, class numbers.
    I32,
}

impl DataType {
    /// Bytes of one element.
    pub const fn bytes(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::I32 => 4,
        }
    }
}

/// Who owns a tensor's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum TensorClass {
    /// The caller's input slice.
    Input,
    /// The caller's output slice.
    Output,
    /// The engine's arena, from the first to the last operator that uses it.
    Arena,
    /// The engine's arena, kept between runs (streaming state).
    Persistent,
}

/// One tensor of the graph: element type, shape, exponent and place in the memory plan.
///
/// A value means `q·2^exponent`. The shape is per sample; a batch repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tensor {
    /// Element type.
    pub data_type: DataType,
    /// Who owns the memory.
    pub class: TensorClass,
    /// Power of two of the least significant bit.
    pub exponent: i16,
    /// Height, width, channels; a vector is [1, 1, n].
    pub shape: [u32; 3],
    /// Byte offset in the arena of one sample, a multiple of [`Tensor::ALIGNMENT`]; 0 for the caller's slices.
    pub offset: u32,
    /// Index of the first operator during which the tensor is live (the one that writes it).
    pub first: u16,
    /// Index of the last operator during which the tensor is live.
    pub last: u16,
}

impl Tensor {
    /// Bytes of one record in a file.
    pub const RECORD_BYTES: usize = 24;

    /// Every arena offset is a multiple of this many bytes.
    pub const ALIGNMENT: u32 = 4;

    /// Most tensors of one graph: the pairwise check of the memory plan stays bounded.
    pub const MAX_COUNT: usize = 1024;

    /// Elements of one sample, `None` where the product exceeds u32.
    #[inline(never)]
    pub const fn checked_len(&self) -> Option<u32> {
        match self.shape[0].checked_mul(self.shape[1]) {
            Some(area) => area.checked_mul(self.shape[2]),
            None => None,
        }
    }

    /// Elements of one sample.
    pub const fn len(&self) -> usize {
        match self.checked_len() {
            Some(len) => len as usize,
            None => 0,
        }
    }

    /// True for a shape with a zero dimension; a parsed model holds none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of one sample. Where they are more than this machine can address, which no parsed model asks for, as many as it
    /// can.
    pub const fn bytes(&self) -> usize {
        let len = self.len();
        match self.data_type {
            DataType::I8 => len,
            // A shift where small cores would call a 64-bit multiplication.
            DataType::I32 if len <= usize::MAX >> 2 => len << 2,
            DataType::I32 => usize::MAX,
        }
    }

    /// The record as it is stored.
    #[cfg(feature = "alloc")]
    pub(crate) fn to_bytes(self) -> [u8; Self::RECORD_BYTES] {
        let mut record = [0; Self::RECORD_BYTES];
        record[0] = match self.data_type {
            DataType::I8 => 0,
            DataType::I32 => 1,
        };
        record[1] = match self.class {
            TensorClass::Input => 0,
            TensorClass::Output => 1,
            TensorClass::Arena => 2,
            TensorClass::Persistent => 3,
        };
        record[2..4].copy_from_slice(&self.exponent.to_le_bytes());
        for (bytes, dimension) in record[4..16].chunks_exact_mut(4).zip(self.shape) {
            bytes.copy_from_slice(&dimension.to_le_bytes());
        }
        record[16..20].copy_from_slice(&self.offset.to_le_bytes());
        record[20..22].copy_from_slice(&self.first.to_le_bytes());
        record[22..24].copy_from_slice(&self.last.to_le_bytes());
        record
    }

    /// The record in `bytes`; `None` for an element type or class this version does not know.
    ///
    /// Never inlined: the parser asks for tensors in twenty places.
    #[inline(never)]
    pub(crate) fn from_bytes(bytes: &[u8; Self::RECORD_BYTES]) -> Option<Self> {
        let word = |index: usize| u32_at(bytes, 4 * index);
        let (tags, lifetime) = (word(0), word(5));
        Some(Self {
            data_type: match tags as u8 {
                0 => DataType::I8,
                1 => DataType::I32,
                _ => return None,
            },
            class: match (tags >> 8) as u8 {
                0 => TensorClass::Input,
                1 => TensorClass::Output,
                2 => TensorClass::Arena,
                3 => TensorClass::Persistent,
                _ => return None,
            },
            exponent: (tags >> 16) as i16,
            shape: [word(1), word(2), word(3)],
            offset: word(4),
            first: lifetime as u16,
            last: (lifetime >> 16) as u16,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "alloc")]
    #[test]
    fn records_round_trip() {
        let tensor = Tensor {
            data_type: DataType::I32,
            class: TensorClass::Persistent,
            exponent: -300,
            shape: [3, 70_000, 5],
            offset: 0x0102_0304,
            first: 7,
            last: 0xFFFE,
        };
        assert_eq!(Tensor::from_bytes(&tensor.to_bytes()), Some(tensor));
        let mut unknown = tensor.to_bytes();
        unknown[0] = 2;
        assert_eq!(Tensor::from_bytes(&unknown), None);
    }

    #[test]
    fn sizes_that_overflow_are_seen() {
        let tensor = Tensor {
            data_type: DataType::I8,
            class: TensorClass::Arena,
            exponent: 0,
            shape: [1 << 16, 1 << 16, 1],
            offset: 0,
            first: 0,
            last: 0,
        };
        assert_eq!(tensor.checked_len(), None);
        assert_eq!((tensor.len(), tensor.bytes(), tensor.is_empty()), (0, 0, true));
        // 2^31 elements of four bytes: one that 32 bits can count, but not in bytes.
        let tensor = Tensor { data_type: DataType::I32, shape: [1 << 16, 1 << 15, 1], ..tensor };
        let addressable = u64::try_from(usize::MAX).unwrap_or(u64::MAX);
        assert_eq!((tensor.checked_len(), tensor.is_empty()), (Some(1 << 31), false));
        assert_eq!(tensor.bytes() as u64, (1u64 << 33).min(addressable));
    }
}
