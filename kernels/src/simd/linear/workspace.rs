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
    /// What lies under windows, or any other copy.
    #[cfg(any(feature = "conv2d", feature = "depthwise-conv2d"))]
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

    /// A copy of these elements, until the next product.
    #[cfg(feature = "depthwise-conv2d")]
    pub fn copy(&mut self, elements: &[i8]) -> &[i8] {
        self.gathered.clear();
        self.gathered.extend_from_slice(elements);
        &self.gathered
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        #[cfg(any(feature = "conv2d", feature = "depthwise-conv2d"))]
        let copies = self.gathered.capacity();
        #[cfg(not(any(feature = "conv2d", feature = "depthwise-conv2d")))]
        let copies = 0;
        #[cfg(feature = "conv2d")]
        let copies = copies + self.image.capacity();
        let finish: usize = self.finish.iter().map(|part| part.capacity() * size_of::<i32>()).sum();
        let parts = [&self.signed, &self.starts, &self.unsigned, &self.panel, &self.sums];
        copies + finish + parts.iter().map(|part| part.bytes()).sum::<usize>()
    }
}
