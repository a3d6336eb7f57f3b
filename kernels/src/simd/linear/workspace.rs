//! Memory that products need for a while.

use super::aligned::Aligned;

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
    /// Bias and shift of a block's rows.
    pub(super) finish: alloc::vec::Vec<super::finish::RowFinish>,
}

impl Workspace {
    /// An empty one; nothing is allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        [&self.signed, &self.starts, &self.unsigned, &self.panel, &self.sums].iter().map(|part| part.bytes()).sum()
    }
}
