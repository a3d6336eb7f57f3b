//! Weights of the direct way: int8, a *quad* of four neighbouring bytes of a window's row in a word, and beside each quad
//! where it lies in an image.
//!
//! A *field* is as many rows of the matrix as a vector has words, a *block* a few of them, the last one as many as it needs.
//! A trit times 2^distance, the distance of its group's exponent from the row's smallest, does not always fit a byte: *digit*
//! d of a weight holds it where the distance is 7·d to 7·d + 6, and is 0 elsewhere. A block has its digits from the highest to
//! the lowest, and of each only the quads that are not 0 in all of its rows; the sums of a digit times 2^7 are added to those
//! of the next one. So groups of any size and exponents of any window are the same to the kernels.

use super::direct::{Runs, slab};
use super::image::Image;
use crate::conv2d::Conv2d;
use crate::geometry::Geometry;
use crate::simd::linear::Aligned;
use alloc::vec;
use alloc::vec::Vec;
use trishift_format::GroupSize;
use trishift_format::bound::Accumulators;
use trishift_format::trits::{DECODE, PER_BYTE};

/// Distances that one digit holds: weights up to 2^6, of which two products with uint8 fit int16 together.
pub(super) const DIGIT: u32 = 7;

/// Largest distance of a group that is not all zeros, by the int32 bound.
const LARGEST: i32 = 31;

/// Packed weights and what else is the same for all inputs.
#[derive(Debug)]
pub(super) struct Weights {
    /// Words of a vector.
    pub(super) lanes: usize,
    /// Most fields of a block.
    pub(super) fields: usize,
    /// What bytes of images are combined with.
    pub(super) flip: u8,
    pub(super) image: Image,
    /// For each number of windows that a run of some block has.
    pub(super) runs: Vec<Runs>,
    pub(super) blocks: Vec<Block>,
}

/// Some fields.
#[derive(Debug)]
pub(in crate::simd) struct Block {
    /// The first of its rows, and how many it has.
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) fields: usize,
    /// Quads of each digit.
    pub(super) digits: Vec<usize>,
    /// For each quad of all digits the byte of an image, counted from the window's first one.
    pub(super) offsets: Vec<usize>,
    /// The largest of these.
    pub(super) farthest: usize,
    /// For each quad a vector of each field.
    pub(super) words: Aligned,
    /// What sums start with, for each row of whole fields.
    pub(super) starts: Vec<u32>,
    /// int8 outputs: the requantising shift. int32 outputs: the shift to the left that leads to the layer's unit.
    pub(super) shifts: Vec<i32>,
    /// What is added behind the shift.
    pub(super) biases: Vec<i32>,
    /// int8 outputs whose shifts are all to the right: each less 1, at most 31. Else empty.
    pub(super) rights: Vec<i32>,
}

impl Weights {
    /// Packs blocks of at most so many fields, for images whose bytes are combined with `flip`; runs have as many windows as
    /// `windows` says for a number of fields.
    pub(super) fn new(
        layer: &Conv2d<'_>,
        lanes: usize,
        fields: usize,
        flip: u8,
        windows: impl Fn(usize) -> usize,
    ) -> Self {
        let (rows, image) = (layer.matrix.rows(), Image::new(&layer.geometry));
        let mut runs: Vec<Runs> = Vec::new();
        let blocks = (0..rows).step_by(lanes * fields).map(|first| {
            let rows = (lanes * fields).min(rows - first);
            let block = Block::new(layer, &image, [first, rows], lanes, flip);
            let windows = windows(block.fields);
            if runs.iter().all(|runs| runs.windows != windows) {
                runs.push(Runs::new(&layer.geometry, &image, windows, slab(&image)));
            }
            block
        });
        let blocks = blocks.collect();
        Self { lanes, fields, flip, image, runs, blocks }
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        let of = |block: &Block| {
            let constants = 3 * block.starts.capacity() + block.rights.capacity();
            let offsets = block.offsets.capacity() + block.digits.capacity();
            block.words.bytes() + constants * size_of::<u32>() + offsets * size_of::<usize>() + size_of::<Block>()
        };
        let runs: usize = self.runs.iter().map(Runs::bytes).sum();
        size_of::<Self>() + runs + self.blocks.iter().map(of).sum::<usize>()
    }
}

impl Block {
    fn new(layer: &Conv2d<'_>, image: &Image, [first, rows]: [usize; 2], lanes: usize, flip: u8) -> Self {
        let fields = rows.div_ceil(lanes);
        let quads = Quads::new(&layer.geometry);
        // Every quad of every digit, [digits, quads, rows of whole fields].
        let padded = fields * lanes;
        let mut dense: Vec<u32> = Vec::new();
        let (mut starts, mut shifts, mut biases) = (vec![0; padded], vec![0; padded], vec![0; padded]);
        for index in 0..rows {
            let Some(row) = layer.matrix.row(first + index) else { continue };
            let smallest = row.smallest_exponent();
            let mut sum = 0u32;
            let mut column = 0;
            for group in row.groups() {
                let distance = (group.exponent - smallest).clamp(0, LARGEST) as u32;
                let digit = (distance / DIGIT) as usize;
                let mut trits = [0; GroupSize::MAX.next_multiple_of(PER_BYTE)];
                for (trits, byte) in trits.chunks_exact_mut(PER_BYTE).zip(group.bytes) {
                    trits.copy_from_slice(&DECODE[usize::from(*byte)]);
                }
                for trit in trits.into_iter().take(group.len) {
                    if trit != 0 {
                        let needed = (digit + 1) * quads.count * padded;
                        if dense.len() < needed {
                            dense.resize(needed, 0);
                        }
                        let (quad, byte) = quads.of(column);
                        if let Some(word) = dense.get_mut((digit * quads.count + quad) * padded + index) {
                            *word |= u32::from((trit << (distance % DIGIT)) as u8) << (8 * byte);
                        }
                        sum = sum.wrapping_add((i32::from(trit) as u32) << distance);
                    }
                    column += 1;
                }
            }
            let bias = layer.bias.and_then(|bias| bias.get(first + index)).unwrap_or(0);
            let offset = sum.wrapping_mul(u32::from(flip)).wrapping_neg();
            (starts[index], shifts[index], biases[index]) = match layer.accumulators {
                Accumulators::PerRow { scale } => (offset.wrapping_add(bias as u32), scale - smallest, 0),
                // In 0..=31 by the int32 bound, but for rows of zeros.
                Accumulators::Layer { exponent } => (offset, (smallest - exponent).clamp(0, LARGEST), bias),
            };
        }
        let (mut digits, mut offsets, mut words) = (Vec::new(), Vec::new(), Aligned::with_room(dense.len()));
        for digit in dense.chunks(quads.count * padded).rev() {
            let used = digit.chunks(padded).enumerate().filter(|(_, words)| words.iter().any(|word| *word != 0));
            let before = offsets.len();
            for (quad, vectors) in used {
                offsets.push(quads.offset(quad, image));
                words.push(vectors);
            }
            digits.push(offsets.len() - before);
        }
        let to_the_right = matches!(layer.accumulators, Accumulators::PerRow { .. })
            && shifts.iter().take(rows).all(|shift| *shift >= 1);
        let rights = shifts.iter().filter(|_| to_the_right).map(|shift| (*shift - 1).clamp(0, LARGEST)).collect();
        let farthest = offsets.iter().copied().max().unwrap_or(0);
        Self { first, rows, fields, digits, offsets, farthest, words, starts, shifts, biases, rights }
    }
}

/// How the columns of a matrix lie in quads: each row of the window begins with a new one.
#[derive(Clone, Copy)]
struct Quads {
    /// Columns, and quads, of a row of the window.
    columns: usize,
    of_row: usize,
    count: usize,
}

impl Quads {
    fn new(geometry: &Geometry) -> Self {
        let columns = (geometry.kernel[1] * geometry.input[2]).max(1);
        let of_row = columns.div_ceil(4);
        Self { columns, of_row, count: geometry.kernel[0] * of_row }
    }

    /// The quad of a column, and the byte in it.
    const fn of(self, column: usize) -> (usize, usize) {
        let (row, column) = (column / self.columns, column % self.columns);
        (row * self.of_row + column / 4, column % 4)
    }

    /// Where a quad lies in an image, from the window's first byte on.
    const fn offset(self, quad: usize, image: &Image) -> usize {
        quad / self.of_row * image.row + quad % self.of_row * 4
    }
}
