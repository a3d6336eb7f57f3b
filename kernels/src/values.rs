//! What an operator reads that takes elements of either type.

/// The elements of a tensor.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Signed 8-bit elements.
    I8(&'a [i8]),
    /// Signed 32-bit elements.
    I32(&'a [i32]),
}
