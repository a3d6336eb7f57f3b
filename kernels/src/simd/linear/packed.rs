//! What a packed matrix is.
//!
//! A *vector* is `L` words, as many as the instruction set has 32-bit lanes; a *block* is 4·L rows. Each byte of a vector
//! holds four 2-bit codes c = trit + 1 of one column: field f (bits 2f and 2f + 1) is row f·L + lane of the block. The four
//! bytes of a word are four neighbouring columns, a *quad*. So one vector of weights meets one broadcast word of four
//! inputs, the fields are told apart by masks alone, and a dot product of unsigned codes with signed inputs,
//! Σ c·x = Σ t·x + Σ x, differs from what is wanted by a sum that is the same for all rows.
//!
//! A block is one stream, read once from its first byte to its last: for each group a vector of *counts*, then a vector
//! for each of its ⌈G/4⌉ quads. Byte f of lane l of the counts belongs to row f·L + l: the distance s of the group's exponent
//! from the row's smallest or, where the instruction set rotates ([`Format::rotated`]), s − 2f modulo 32, which brings the
//! sum of field f, a multiple of 4^f, into place without losing a bit.
//!
//! Rows and columns that a block has too many are trits of 0. The last group has as many quads as it needs.

use super::aligned::Aligned;
use alloc::vec::Vec;
use core::ops::Range;
use trishift_format::GroupSize;

/// How an instruction set wants its matrices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// 32-bit lanes of a vector.
    pub(super) lanes: usize,
    /// Counts are rotations, and sums carry an offset that keeps them from being negative.
    pub(super) rotated: bool,
}

/// What is known of a block's exponents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The largest distance from a row's smallest exponent.
    pub(super) largest: u8,
    /// Counts are distances although the format rotates: a sum with its offset would not fit 32 bits.
    pub(super) plain: bool,
}

/// Per row, padded to whole blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RowConstants {
    /// The row's smallest exponent.
    pub(super) unit: i32,
    /// What takes the offsets off the sums of the row kernel.
    pub(super) offset: u32,
    /// What takes the inputs' offset of 128 off the sums of the panel kernel.
    pub(super) panel_offset: u32,
}

/// A ternary matrix in the order of one instruction set, made once from a [`trishift_format::TernaryMatrix`] by the `pack`
/// of a table of kernels. It is never changed, and threads may share it.
#[derive(Debug)]
pub struct PackedMatrix {
    pub(super) format: Format,
    pub(super) shape: Shape,
    pub(super) words: Aligned,
    pub(super) windows: Vec<Window>,
    pub(super) constants: Vec<RowConstants>,
}

/// Sizes of a packed matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) group: GroupSize,
    /// Groups of a row.
    pub(super) groups: usize,
    /// Quads of a full group.
    pub(super) group_quads: usize,
    /// Quads of a row.
    pub(super) quads: usize,
    /// Rows of a block.
    pub(super) block_rows: usize,
    pub(super) blocks: usize,
}

impl Shape {
    pub(super) fn new(rows: usize, columns: usize, group: GroupSize, lanes: usize) -> Self {
        let (groups, group_quads) = (group.count(columns), group.get().div_ceil(4));
        let full = columns / group.get();
        let quads = full * group_quads + (columns - full * group.get()).div_ceil(4);
        let block_rows = 4 * lanes;
        Self { rows, columns, group, groups, group_quads, quads, block_rows, blocks: rows.div_ceil(block_rows) }
    }

    /// Vectors of a block.
    pub(super) const fn block_vectors(&self) -> usize {
        self.groups + self.quads
    }
}

impl PackedMatrix {
    /// Rows N (outputs).
    pub const fn rows(&self) -> usize {
        self.shape.rows
    }

    /// Columns K (inputs).
    pub const fn columns(&self) -> usize {
        self.shape.columns
    }

    /// Group size G.
    pub const fn group(&self) -> GroupSize {
        self.shape.group
    }

    /// At most `count` ranges of rows that are all rows together, for so many threads: of whole blocks, as equal as these
    /// allow. A product of any other range reads its first and its last block as a whole too.
    pub fn shares(&self, count: usize) -> impl Iterator<Item = Range<usize>> {
        let Shape { rows, blocks, block_rows, .. } = self.shape;
        let count = count.min(blocks);
        let start = move |share: usize| (blocks / count * share + share.min(blocks % count)) * block_rows;
        (0..count).map(move |share| start(share)..start(share + 1).min(rows))
    }

    /// Bytes that the matrix takes in memory.
    pub fn bytes(&self) -> usize {
        self.words.bytes()
            + self.windows.capacity() * size_of::<Window>()
            + self.constants.capacity() * size_of::<RowConstants>()
            + size_of::<Self>()
    }

    /// Bytes of weights and exponents that a product of one sample reads.
    pub const fn stream_bytes(&self) -> usize {
        self.shape.blocks * self.shape.block_vectors() * self.format.lanes * size_of::<u32>()
    }

    /// The part of a range that is there.
    pub(super) fn clamp(&self, rows: &Range<usize>) -> Range<usize> {
        let end = rows.end.min(self.shape.rows);
        rows.start.min(end)..end
    }

    /// The vectors of a block; empty for one that is not there.
    pub(super) fn block<const L: usize>(&self, block: usize) -> Block<'_, L> {
        let vectors = self.words.words().as_chunks::<L>().0;
        let of_block = self.shape.block_vectors();
        let window = self.windows.get(block).copied().unwrap_or(Window { largest: 0, plain: true });
        Block {
            vectors: vectors.get(block * of_block..(block + 1) * of_block).unwrap_or(&[]),
            group_quads: self.shape.group_quads,
            plain: window.plain || !self.format.rotated,
            largest: window.largest,
        }
    }

    /// All vectors from this one on.
    pub(super) fn vectors_from<const L: usize>(&self, vector: usize) -> &[[u32; L]] {
        self.words.words().as_chunks::<L>().0.get(vector..).unwrap_or(&[])
    }

    /// The constants of a block's rows.
    pub(super) fn block_constants(&self, block: usize) -> &[RowConstants] {
        let rows = self.shape.block_rows;
        self.constants.get(block * rows..(block + 1) * rows).unwrap_or(&[])
    }
}

/// A block, or some neighbouring groups of one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'a, const L: usize> {
    /// For each group the counts, then its quads.
    pub(super) vectors: &'a [[u32; L]],
    /// Quads of a group; the last one may have fewer.
    pub(super) group_quads: usize,
    /// Counts are distances of exponents, not rotations.
    pub(super) plain: bool,
    /// The largest distance of the whole block.
    pub(super) largest: u8,
}
