//! The loops around an instruction set's kernels, written once: blocks of rows, pieces of columns, tiles of samples.
//!
//! A block takes one of two ways. The *row kernel* reads the packed weights and up to [`Leaf::ROW_SAMPLES`] samples, and
//! shifts the sum of each group: it is for small batches, and for groups so long that their shifts cost little. For larger
//! batches a piece of the block is unpacked to a *panel*, which then meets all samples, [`Leaf::PANEL_SAMPLES`] at a time.

use super::finish::RowFinish;
use super::input::OFFSET_128;
use super::packed::{Block, Format, PackedMatrix, RowConstants, Shape, Window};
use super::transcode::{LookUp, Transcoder};
use super::workspace::Workspace;
use core::ops::Range;

/// Samples of a slab: their sums of one block, and their inputs of one piece, stay in the second cache.
const SLAB: usize = 264;

/// Quads of a piece: its panel stays in the first cache. A piece has whole pairs of groups.
pub(super) const PIECE_QUADS: usize = 128;

/// Sums of one sample and block: a vector for each field.
pub(super) type Sums<const L: usize> = [[u32; L]; 4];

/// The kernels of one instruction set with vectors of `L` words. A value of the type is the proof that the processor has
/// the instructions.
pub(super) trait Leaf<const L: usize>: Copy {
    /// The order of its matrices.
    const FORMAT: Format;
    /// Most samples of a call of [`Leaf::rows`]; at most 4.
    const ROW_SAMPLES: usize;
    /// Most samples of a call of [`Leaf::tile`]; at most 8.
    const PANEL_SAMPLES: usize;
    /// The largest distance of exponents that one panel holds.
    const PANEL_WINDOW: u32;
    /// The least batch for which a panel of this many digits pays.
    fn panel_from(shape: &Shape, digits: u32) -> usize;
    /// Words of a group and sample that [`Leaf::prepare`] writes.
    const STARTS: usize;
    /// Words that a panel of one piece takes, at most.
    fn panel_words(quads: usize, groups: usize) -> usize;

    /// Packs a tile as [`super::input::pack_tile`] does.
    fn pack_tile(self, shape: &Shape, samples: &[i8], count: usize, flip: u32, out: &mut [u32]);
    /// From a tile [quads, samples], what the row kernel's sums start with: [groups, samples, STARTS].
    fn prepare(self, shape: &Shape, inputs: &[u32], samples: usize, starts: &mut [u32]);
    /// Adds a block's products with the samples of a tile to `sums`, which holds one for each sample.
    fn rows(self, block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]);
    /// Unpacks digit number `digit` of a piece's weights: those whose exponents lie `digit`·(`PANEL_WINDOW` + 1) to
    /// (`digit` + 1)·(`PANEL_WINDOW` + 1) − 1 above their rows' smallest.
    fn unpack(self, piece: &Block<'_, L>, digit: u32, panel: &mut [u32]);
    /// Brings a tile of inputs plus 128 into the order that panels have within pairs of groups.
    fn order_panel_tile(self, _shape: &Shape, _count: usize, _inputs: &mut [u32]) {}
    /// Adds the panel's products with the samples of a tile, times 2^`shift`, to `sums`.
    fn tile(self, panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]);
    /// As [`super::read_words`].
    fn read(self, words: &[u64]) -> u64 {
        super::read_words(words)
    }
    /// Asks for memory that will be used before long.
    fn fetch<T>(self, _memory: &[T]) {}
    /// As [`super::finish::finish_i8`].
    fn finish_i8(self, sums: &[u32], rows: RowFinish<'_>, relu: bool, output: &mut [i8]);
    /// As [`Transcoder::block`].
    fn transcode(
        self,
        transcoder: &mut Transcoder<'_>,
        block: usize,
        vectors: &mut [[u32; L]],
        constants: &mut [RowConstants],
    ) -> Window {
        transcoder.block(block, vectors, constants, LookUp)
    }
    /// As [`super::finish::finish_i32`].
    fn finish_i32(self, sums: &[u32], rows: RowFinish<'_>, output: &mut [i32]);
}

/// An unpacked piece.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel<'a, const L: usize> {
    /// What [`Leaf::unpack`] wrote.
    pub(super) words: &'a [u32],
    /// Quads of a group.
    pub(super) group_quads: usize,
    /// Packed vectors that will be read before long; kernels may fetch them.
    pub(super) next: &'a [[u32; L]],
}

/// Panels that a block with this window takes.
const fn digits(window: Window, panel_window: u32) -> u32 {
    window.largest as u32 / (panel_window + 1) + 1
}

/// Calls `finish(row, sample, sums of the rows from this one on)` for every sample and every block that has some of `rows`,
/// which are in the matrix; the row is counted from the first of them.
///
/// `input` is [batch, columns]; what is no whole sample is left out.
pub(super) fn multiply<const L: usize, F: Leaf<L>>(
    leaf: F,
    matrix: &PackedMatrix,
    rows: &Range<usize>,
    input: &[i8],
    workspace: &mut Workspace,
    mut finish: impl FnMut(usize, usize, &[u32]),
) {
    let shape = &matrix.shape;
    let blocks = rows.start / shape.block_rows..rows.end.div_ceil(shape.block_rows);
    let slab = SLAB.saturating_mul(shape.columns).max(1);
    for (index, input) in input.chunks(slab).enumerate() {
        let samples = input.len() / shape.columns.max(1);
        if samples > 0 {
            slab_of(leaf, matrix, blocks.clone(), input, samples, workspace, |row, sample, sums| {
                // Of the first block some rows may come before the range.
                let sums = sums.get(rows.start.saturating_sub(row)..).unwrap_or(&[]);
                finish(row.saturating_sub(rows.start), index * SLAB + sample, sums);
            });
        }
    }
}

fn slab_of<const L: usize, F: Leaf<L>>(
    leaf: F,
    matrix: &PackedMatrix,
    blocks: Range<usize>,
    input: &[i8],
    samples: usize,
    workspace: &mut Workspace,
    mut finish: impl FnMut(usize, usize, &[u32]),
) {
    let shape = &matrix.shape;
    let windows = matrix.windows.get(blocks.clone()).unwrap_or(&[]);
    let Workspace { signed, starts, unsigned, panel, sums, .. } = workspace;
    let panel_digits = |window: &Window| {
        let digits = digits(*window, F::PANEL_WINDOW);
        (samples >= F::panel_from(shape, digits)).then_some(digits)
    };
    let (row_tiles, panel_tiles) = (Tiles::new(samples, F::ROW_SAMPLES), Tiles::new(samples, F::PANEL_SAMPLES));
    let inputs = shape.quads * samples;
    let (mut row_inputs, mut row_starts): (&[u32], &[u32]) = (&[], &[]);
    if windows.iter().any(|window| panel_digits(window).is_none()) {
        let (inputs, starts) = (signed.at_least(inputs), starts.at_least(shape.groups * samples * F::STARTS));
        for tile in row_tiles.iter() {
            let Some(out) = inputs.get_mut(tile.of(shape.quads)) else { continue };
            leaf.pack_tile(shape, input.get(tile.of(shape.columns)).unwrap_or(&[]), tile.samples, 0, out);
            let Some(starts) = starts.get_mut(tile.of(shape.groups * F::STARTS)) else { continue };
            leaf.prepare(shape, out, tile.samples, starts);
        }
        (row_inputs, row_starts) = (inputs, starts);
    }
    let mut panel_inputs: &[u32] = &[];
    if windows.iter().any(|window| panel_digits(window).is_some()) {
        let inputs = unsigned.at_least(inputs);
        for tile in panel_tiles.iter() {
            let Some(out) = inputs.get_mut(tile.of(shape.quads)) else { continue };
            let samples = input.get(tile.of(shape.columns)).unwrap_or(&[]);
            leaf.pack_tile(shape, samples, tile.samples, OFFSET_128, out);
            leaf.order_panel_tile(shape, tile.samples, out);
        }
        panel_inputs = inputs;
    }
    let piece_groups = (PIECE_QUADS / shape.group_quads).max(2) & !1;
    let panel = panel.at_least(F::panel_words(piece_groups * shape.group_quads, piece_groups));
    let sums = sums.at_least(samples * 4 * L);
    for (index, window) in blocks.zip(windows) {
        let block = matrix.block::<L>(index);
        let sums = sums.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0;
        let mut constants = [[0; L]; 4];
        let digits = panel_digits(window);
        for (to, from) in constants.as_flattened_mut().iter_mut().zip(matrix.block_constants(index)) {
            *to = if digits.is_some() { from.panel_offset } else { from.offset };
        }
        sums.fill(constants);
        if let Some(digits) = digits {
            let piece_vectors = piece_groups * (1 + shape.group_quads);
            for (number, vectors) in block.vectors.chunks(piece_vectors).enumerate() {
                let piece = Block { vectors, ..block };
                let next = matrix.vectors_from(index * shape.block_vectors() + (number + 1) * piece_vectors);
                let next_share = piece_vectors.div_ceil(panel_tiles.count);
                let first = number * piece_groups * shape.group_quads;
                let quads = vectors.len() - vectors.len().div_ceil(1 + shape.group_quads);
                for digit in 0..digits {
                    leaf.unpack(&piece, digit, panel);
                    let mut next = next.chunks(next_share);
                    for tile in panel_tiles.iter() {
                        let next = next.next().filter(|_| digit == 0).unwrap_or(&[]);
                        let words = &*panel;
                        let panel = Panel { words, group_quads: shape.group_quads, next };
                        let inputs = panel_inputs.get(tile.of(shape.quads)).unwrap_or(&[]);
                        let inputs = inputs.get(first * tile.samples..(first + quads) * tile.samples).unwrap_or(&[]);
                        let Some(sums) = sums.get_mut(tile.of(1)) else { continue };
                        leaf.tile(&panel, inputs, digit * (F::PANEL_WINDOW + 1), sums);
                    }
                }
            }
        } else {
            for tile in row_tiles.iter() {
                let inputs = row_inputs.get(tile.of(shape.quads)).unwrap_or(&[]);
                let starts = row_starts.get(tile.of(shape.groups * F::STARTS)).unwrap_or(&[]);
                let Some(sums) = sums.get_mut(tile.of(1)) else { continue };
                leaf.rows(&block, inputs, starts, sums);
            }
        }
        for (sample, sums) in sums.iter().enumerate() {
            finish(index * shape.block_rows, sample, sums.as_flattened());
        }
    }
}

/// Samples in as few tiles as possible, of sizes as equal as possible.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    samples: usize,
    pub(super) count: usize,
}

/// Some neighbouring samples.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    first: usize,
    pub(super) samples: usize,
}

impl Tiles {
    pub(super) fn new(samples: usize, most: usize) -> Self {
        Self { samples, count: samples.div_ceil(most.max(1)) }
    }

    #[inline(always)]
    pub(super) fn iter(self) -> impl Iterator<Item = Tile> {
        let Self { samples, count } = self;
        let (size, larger) = (samples.checked_div(count).unwrap_or(0), samples.checked_rem(count).unwrap_or(0));
        (0..count)
            .map(move |tile| Tile { first: tile * size + tile.min(larger), samples: size + usize::from(tile < larger) })
    }
}

impl Tile {
    /// The tile's part of something that has `size` elements for each sample.
    pub(super) const fn of(self, size: usize) -> core::ops::Range<usize> {
        self.first * size..(self.first + self.samples) * size
    }
}
