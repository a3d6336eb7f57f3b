//! From the file's five trits a byte to the packed order: once, when a model is loaded.
//!
//! The four rows that share the bytes of a lane are decoded together, each shifted into its field, so that one pass gives
//! the bytes of four rows; words then go to the vectors they belong to. Work is done in pieces of about a thousand columns,
//! which stay in the first caches. An instruction set may bring both steps ([`Steps`]); those of plain Rust look bytes up.

use super::packed::{Format, RowConstants, Shape, Window};
use alloc::vec;
use alloc::vec::Vec;
use trishift_format::trits::{MAX_BYTE, PER_BYTE, ZERO_BYTE};
use trishift_format::{ExponentEncoding, Group, Layout, TernaryMatrix};

/// Largest distance of exponents: by the int32 bound those of groups with a non-zero trit stay below it.
const LARGEST: u8 = 31;

/// Bytes of a row that are decoded at a time; a whole number of groups of at most that many.
const PIECE: usize = 224;

/// The steps from bytes of trits to words of codes.
pub(super) trait Steps<const L: usize>: Copy {
    /// Decodes bytes of four rows, equally many of each: `codes` has five for each byte, in the order of the columns, each
    /// row's in its field; eight more may be overwritten.
    fn decode(self, rows: [&[u8]; 4], codes: &mut [u8]);
    /// Word `index` of lane l, wherever it begins: `vectors[index][l]` from `codes[l·stride + 4·index]` on.
    fn interleave(self, codes: &[u8], stride: usize, vectors: &mut [[u32; L]]);
    /// The words of groups of `quads` each, `group` codes apart, to vectors of which each group has one more, that is left.
    fn interleave_groups(self, codes: &[u8], stride: usize, group: usize, quads: usize, vectors: &mut [[u32; L]]) {
        for (index, vectors) in vectors.chunks_mut(1 + quads).enumerate() {
            let codes = codes.get(index * group..).unwrap_or(&[]);
            self.interleave(codes, stride, vectors.get_mut(1..).unwrap_or(&mut []));
        }
    }
    /// Spreads distances of four rows that lie two in a byte, the first one in the lower half: a word has those of one group.
    /// Gives each row's sum of 2^distance, and the largest distance of all.
    fn spread(self, rows: [&[u8]; 4], words: &mut [[u8; 4]]) -> ([u32; 4], u8) {
        let (mut sums, mut largest) = ([0; 4], 0);
        for (row, (bytes, sum)) in rows.iter().zip(&mut sums).enumerate() {
            for (pair, byte) in words.chunks_mut(2).zip(*bytes) {
                for (word, distance) in pair.iter_mut().zip([byte & 15, byte >> 4]) {
                    word[row] = distance;
                    *sum += 1 << distance;
                    largest = largest.max(distance);
                }
            }
        }
        (sums, largest)
    }
    /// Asks for bytes that will be decoded before long.
    fn fetch(self, _bytes: &[u8]) {}
}

/// Codes that a store writes: five, and three that the next store replaces.
const STORED: usize = size_of::<u64>();

/// The steps in plain Rust.
#[derive(Clone, Copy, Debug)]
pub(super) struct LookUp;

impl<const L: usize> Steps<L> for LookUp {
    #[inline(always)]
    fn decode(self, [first, second, third, fourth]: [&[u8]; 4], codes: &mut [u8]) {
        let bytes = first.iter().zip(second).zip(third.iter().zip(fourth));
        let mut at = 0;
        for ((a, b), (c, d)) in bytes {
            let code = |byte: &u8, field: u32| CODES[usize::from(*byte)] << (2 * field);
            let word = code(a, 0) | code(b, 1) | code(c, 2) | code(d, 3);
            if let Some(out) = codes.get_mut(at..at + STORED) {
                out.copy_from_slice(&word.to_le_bytes());
            }
            at += PER_BYTE;
        }
    }

    #[inline(always)]
    fn interleave(self, codes: &[u8], stride: usize, vectors: &mut [[u32; L]]) {
        for (lane, codes) in codes.chunks(stride).enumerate().take(L) {
            for (vector, quad) in vectors.iter_mut().zip(codes.as_chunks::<4>().0) {
                if let Some(word) = vector.get_mut(lane) {
                    *word = u32::from_le_bytes(*quad);
                }
            }
        }
    }
}

/// The codes 0, 1, 2 of a byte's five trits, the first one in the lowest byte; above them the code of trit 0.
static CODES: [u64; 256] = {
    let mut codes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut digits = if byte <= MAX_BYTE as usize { byte } else { ZERO_BYTE as usize };
        let mut i = 0;
        while i < STORED {
            let code = if i < PER_BYTE { digits % 3 } else { 1 };
            codes[byte] |= (code as u64) << (8 * i);
            digits /= 3;
            i += 1;
        }
        byte += 1;
    }
    codes
};

/// Buffers of [`Transcoder::block`], and the matrix.
pub(super) struct Transcoder<'a> {
    matrix: TernaryMatrix<'a>,
    shape: Shape,
    format: Format,
    /// Bytes of a row's trits.
    row_bytes: usize,
    /// Trit bytes of a block's rows, where they do not lie together in the file.
    gathered: Vec<u8>,
    /// Distances of the exponents of a lane's four rows.
    row_distances: Vec<u8>,
    /// Those of a block, lane after lane, for each group a word with the bytes of four rows.
    distances: Vec<u8>,
    /// Bytes from lane to lane.
    distance_stride: usize,
    /// Counts of a block, group after group.
    counts: Vec<u32>,
    /// Codes of a piece, lane after lane.
    codes: Vec<u8>,
    /// Codes from lane to lane.
    stride: usize,
}

impl<'a> Transcoder<'a> {
    pub(super) fn new(matrix: &TernaryMatrix<'a>, shape: Shape, format: Format) -> Self {
        let row_bytes = shape.group.row_bytes(shape.columns);
        // Not a multiple of a large power of two: lanes would meet in the same sets of the cache.
        let distance_stride = 4 * shape.groups + 48;
        let stride = PIECE.max(shape.group.bytes()) * PER_BYTE + 48;
        Self {
            matrix: *matrix,
            shape,
            format,
            row_bytes,
            gathered: Vec::new(),
            row_distances: vec![0; 4 * shape.groups],
            distances: vec![0; format.lanes * distance_stride],
            distance_stride,
            counts: vec![0; format.lanes * shape.groups],
            codes: vec![0; format.lanes * stride],
            stride,
        }
    }

    /// Writes one block: its vectors and its rows' constants but for [`RowConstants::panel_offset`].
    #[inline(always)]
    pub(super) fn block<const L: usize>(
        &mut self,
        block: usize,
        vectors: &mut [[u32; L]],
        constants: &mut [RowConstants],
        steps: impl Steps<L>,
    ) -> Window {
        let first = block * self.shape.block_rows;
        self.trits(first, vectors, steps);
        let largest = self.exponents(first, constants, steps);
        // A sum and its offset are below 256·G together.
        let bits = (256 * self.shape.group.get()).ilog2() + 1 + u32::from(largest);
        let plain = bits > 32;
        let counts = self.counts.as_chunks_mut::<L>().0;
        steps.interleave(&self.distances, self.distance_stride, counts);
        if self.format.rotated && !plain {
            for word in counts.as_flattened_mut() {
                // Each byte plus 32 − 2f: no carry, as distances are below 32.
                *word = word.wrapping_add(0x1A1C_1E20) & 0x1F1F_1F1F;
            }
        }
        for (vectors, counts) in vectors.chunks_mut(1 + self.shape.group_quads).zip(counts) {
            if let Some(out) = vectors.first_mut() {
                *out = *counts;
            }
        }
        Window { largest, plain }
    }

    /// The trits of the block that begins with this row.
    #[inline(always)]
    fn trits<const L: usize>(&mut self, first: usize, vectors: &mut [[u32; L]], steps: impl Steps<L>) {
        let Self { matrix, shape, row_bytes, gathered, codes, stride, .. } = self;
        let (row_bytes, stride, block_bytes) = (*row_bytes, *stride, shape.block_rows * *row_bytes);
        let direct = matrix.layout() == Layout::Rows && first + shape.block_rows <= shape.rows;
        let rows = if direct {
            matrix.trit_bytes().get(first * row_bytes..).unwrap_or(&[])
        } else {
            gathered.clear();
            gathered.resize(block_bytes, ZERO_BYTE);
            for (index, out) in gathered.chunks_exact_mut(row_bytes.max(1)).enumerate() {
                let mut out = out.iter_mut();
                for Group { bytes, .. } in matrix.row(first + index).iter().flat_map(|row| row.groups()) {
                    bytes.iter().zip(out.by_ref()).for_each(|(byte, out)| *out = *byte);
                }
            }
            gathered
        };
        let (group_bytes, group_quads) = (shape.group.bytes(), shape.group_quads);
        let groups = (PIECE / group_bytes).max(1);
        for (piece, vectors) in vectors.chunks_mut(groups * (1 + group_quads)).enumerate() {
            let start = piece * groups * group_bytes;
            let end = row_bytes.min(start + groups * group_bytes);
            for (lane, codes) in codes.chunks_exact_mut(stride).enumerate() {
                let rows = [0, 1, 2, 3].map(|field| {
                    let row = (field * L + lane) * row_bytes;
                    let next = if end < row_bytes { row + end } else { row + block_bytes };
                    steps.fetch(rows.get(next..next + PIECE).unwrap_or(&[]));
                    rows.get(row + start..row + end).unwrap_or(&[])
                });
                steps.decode(rows, codes);
            }
            steps.interleave_groups(codes, stride, group_bytes * PER_BYTE, group_quads, vectors);
        }
    }

    /// The exponents of the block that begins with this row, as distances; gives the largest.
    #[inline(always)]
    fn exponents<const L: usize>(&mut self, first: usize, constants: &mut [RowConstants], steps: impl Steps<L>) -> u8 {
        let Self { matrix, shape, format, row_distances, distances: words, distance_stride, .. } = self;
        let offset = if format.rotated { offset_of_group(shape) as u32 } else { 0 };
        let mut largest = 0;
        for (lane, words) in words.chunks_exact_mut(*distance_stride).enumerate() {
            let words = words.as_chunks_mut::<4>().0.get_mut(..shape.groups).unwrap_or(&mut []);
            let rows = [0, 1, 2, 3].map(|field| field * L + lane);
            let mut set = |row: usize, unit: i32, sum: u32| {
                if let Some(constants) = constants.get_mut(row) {
                    let offset = sum.wrapping_mul(offset).wrapping_neg();
                    *constants = RowConstants { unit, offset, panel_offset: 0 };
                }
            };
            if matrix.encoding() == ExponentEncoding::Offset4 && first + rows[3] < shape.rows {
                let of_row = matrix.exponent_bytes_of_row();
                let bytes = rows.map(|row| {
                    let row = (first + row) * of_row;
                    matrix.exponent_bytes().get(row..row + of_row).unwrap_or(&[])
                });
                let (sums, of_lane) = steps.spread(bytes, words);
                largest = largest.max(of_lane);
                for (row, sum) in rows.into_iter().zip(sums) {
                    set(row, matrix.bases().get(first + row).map_or(0, |base| i32::from(*base as i8)), sum);
                }
                continue;
            }
            for (field, row) in rows.into_iter().enumerate() {
                let distances = row_distances.get_mut(field * shape.groups..(field + 1) * shape.groups);
                let distances = distances.unwrap_or(&mut []);
                let unit = if first + row < shape.rows {
                    distances_of_row(matrix, first + row, distances)
                } else {
                    distances.fill(0);
                    0
                };
                largest = distances.iter().fold(largest, |largest, distance| largest.max(*distance));
                let sum = distances.iter().fold(0u32, |sum, distance| sum.wrapping_add(1 << (*distance & LARGEST)));
                set(row, unit, sum);
            }
            let (first, second) = row_distances.split_at(2 * shape.groups);
            let (first, second) = (first.split_at(shape.groups), second.split_at(shape.groups));
            let distances = first.0.iter().zip(first.1).zip(second.0.iter().zip(second.1));
            for (word, ((a, b), (c, d))) in words.iter_mut().zip(distances) {
                *word = [*a, *b, *c, *d];
            }
        }
        largest
    }
}

/// 128·G: keeps the sum of a group from being negative.
pub(super) const fn offset_of_group(shape: &Shape) -> i32 {
    128 * shape.group.get() as i32
}

/// Distances of a row's exponents from its smallest one, which is returned.
#[inline(always)]
fn distances_of_row(matrix: &TernaryMatrix<'_>, row: usize, out: &mut [u8]) -> i32 {
    let of_row = matrix.exponent_bytes_of_row();
    let bytes = matrix.exponent_bytes().get(row * of_row..(row + 1) * of_row).unwrap_or(&[]);
    let base = matrix.bases().get(row).map_or(0, |base| i32::from(*base as i8));
    match matrix.encoding() {
        ExponentEncoding::Int8 => {
            let smallest = bytes.iter().fold(i8::MAX, |smallest, byte| smallest.min(*byte as i8));
            for (out, byte) in out.iter_mut().zip(bytes) {
                *out = byte.wrapping_sub(smallest as u8).min(LARGEST);
            }
            i32::from(smallest)
        }
        ExponentEncoding::Offset4 => {
            let (pairs, single) = out.as_chunks_mut::<2>();
            for (out, pair) in pairs.iter_mut().zip(bytes) {
                *out = [pair & 15, pair >> 4];
            }
            if let ([out], Some(pair)) = (single, bytes.last()) {
                *out = pair & 15;
            }
            base
        }
        ExponentEncoding::Offset8 => {
            for (out, exponent) in out.iter_mut().zip(matrix.row(row).into_iter().flat_map(|row| row.exponents())) {
                *out = (exponent - base).clamp(0, i32::from(LARGEST)) as u8;
            }
            base
        }
    }
}
