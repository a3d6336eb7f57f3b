//! Memory that products need for a while.

use super::aligned::Aligned;
use alloc::vec::Vec;

/// Memory for products with packed matrices. It grows with the largest product it has served and is kept from one to the
/// next; a thread has one of its own.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Inputs as int8, tiles for the row kernel.
    pub(super) signed: Aligned,
    /// What the row kernel's sums start with.
    pub(super) starts: Aligned,
    /// Inputs plus 128 as uint8, tiles for the panel kernel.
    pub(super) unsigned: Aligned,
    /// Unpacked weights.
    pub(super) panel: Aligned,
    /// Sums of a block, for each sample.
    pub(super) sums: Aligned,
    /// Biases and shifts of all rows.
    pub(super) finish: [Vec<i32>; 2],
    /// What lies under windows.
    #[cfg(feature = "conv2d")]
    pub(in crate::simd) gathered: Vec<i8>,
    /// Inputs with the zeros around them.
    #[cfg(feature = "conv2d")]
    pub(in crate::simd) image: Vec<u8>,
}

impl Workspace {
    /// An empty one; nothing is allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        #[cfg(feature = "conv2d")]
        let windows = self.gathered.capacity() + self.image.capacity();
        #[cfg(not(feature = "conv2d"))]
        let windows = 0;
        let finish: usize = self.finish.iter().map(|part| part.capacity() * size_of::<i32>()).sum();
        let parts = [&self.signed, &self.starts, &self.unsigned, &self.panel, &self.sums];
        windows + finish + parts.iter().map(|part| part.bytes()).sum::<usize>()
    }
}
