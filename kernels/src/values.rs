//! Elements of either type: what an operator reads or writes that takes both.

/// The elements of a tensor.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Signed 8-bit elements.
    I8(&'a [i8]),
    /// Signed 32-bit elements.
    I32(&'a [i32]),
}

impl Values<'_> {
    /// How many there are.
    #[allow(dead_code, reason = "not every build has an operator that reads either type")]
    #[inline(always)]
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::I8(values) => values.len(),
            Self::I32(values) => values.len(),
        }
    }

    /// The element with this number, as an int32; 0 where there is none.
    #[allow(dead_code, reason = "not every build has an operator that reads either type")]
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> i32 {
        match self {
            Self::I8(values) => values.get(index).map_or(0, |value| i32::from(*value)),
            Self::I32(values) => values.get(index).copied().unwrap_or(0),
        }
    }
}

/// Where elements go: requantised to int8, or int32 in the layer's unit.
#[cfg(any(
    feature = "conv2d",
    feature = "depthwise-conv2d",
    feature = "int8-linear",
    feature = "int8-conv2d",
    feature = "int8-depthwise-conv2d",
    feature = "embedding",
    feature = "softmax"
))]
#[derive(Debug)]
pub enum Outputs<'a> {
    /// Signed 8-bit elements.
    I8(&'a mut [i8]),
    /// Signed 32-bit elements.
    I32(&'a mut [i32]),
}

#[cfg(feature = "conv2d")]
impl Outputs<'_> {
    /// True for 8-bit elements.
    pub(crate) const fn is_i8(&self) -> bool {
        matches!(self, Self::I8(_))
    }
}
