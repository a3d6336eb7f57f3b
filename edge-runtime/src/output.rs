//! The slice that a run writes to, of either element type.

use trishift_format::DataType;

/// Where a run's output goes: `&mut [i8]` or `&mut [i32]`, as the model's output tensor says.
#[derive(Debug)]
pub enum OutputSlice<'a> {
    /// Activations, [batch, output].
    I8(&'a mut [i8]),
    /// Logits or class numbers, [batch, output].
    I32(&'a mut [i32]),
}

impl<'a> From<&'a mut [i8]> for OutputSlice<'a> {
    fn from(slice: &'a mut [i8]) -> Self {
        Self::I8(slice)
    }
}

impl<'a> From<&'a mut [i32]> for OutputSlice<'a> {
    fn from(slice: &'a mut [i32]) -> Self {
        Self::I32(slice)
    }
}

impl<'a, const N: usize> From<&'a mut [i8; N]> for OutputSlice<'a> {
    fn from(slice: &'a mut [i8; N]) -> Self {
        Self::I8(slice)
    }
}

impl<'a, const N: usize> From<&'a mut [i32; N]> for OutputSlice<'a> {
    fn from(slice: &'a mut [i32; N]) -> Self {
        Self::I32(slice)
    }
}

#[cfg(feature = "std")]
impl<'a> From<&'a mut std::vec::Vec<i8>> for OutputSlice<'a> {
    fn from(slice: &'a mut std::vec::Vec<i8>) -> Self {
        Self::I8(slice)
    }
}

#[cfg(feature = "std")]
impl<'a> From<&'a mut std::vec::Vec<i32>> for OutputSlice<'a> {
    fn from(slice: &'a mut std::vec::Vec<i32>) -> Self {
        Self::I32(slice)
    }
}

impl OutputSlice<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::I8(slice) => slice.len(),
            Self::I32(slice) => slice.len(),
        }
    }

    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::I8(_) => DataType::I8,
            Self::I32(_) => DataType::I32,
        }
    }
}
