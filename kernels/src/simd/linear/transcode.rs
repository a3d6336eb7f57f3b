//! From the file's five trits a byte to the packed order: once, when a model is loaded.
//!
//! A table turns a byte into five codes, a byte each. The four rows that share the bytes of a lane are decoded together,
//! each shifted into its field, so that one store writes five columns of four rows; words then go to the vectors they belong
//! to. Work is done in pieces of a few hundred columns, whose part of a block stays in the first cache.

use super::packed::{Format, RowConstants, Shape, Window};
use alloc::vec;
use alloc::vec::Vec;
use trishift_format::trits::{MAX_BYTE, PER_BYTE, ZERO_BYTE};
use trishift_format::{ExponentEncoding, Group, Layout, TernaryMatrix};

/// Largest distance of exponents: by the int32 bound those of groups with a non-zero trit stay below it.
const LARGEST: u8 = 31;

/// Columns that are decoded at a time; a whole number of groups of at most that many.
const PIECE: usize = 512;

/// Codes that a store writes: five, and three that the next store replaces.
const STORED: usize = size_of::<u64>();

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
    /// Trit bytes of four rows, where they do not lie together in the file; otherwise of one row of zeros.
    gathered: Vec<u8>,
    /// Distances of the exponents of four rows.
    distances: Vec<u8>,
    /// Codes of a piece of four rows.
    codes: Vec<u8>,
}

impl<'a> Transcoder<'a> {
    pub(super) fn new(matrix: &TernaryMatrix<'a>, shape: Shape, format: Format) -> Self {
        let row_bytes = shape.group.row_bytes(shape.columns);
        Self {
            matrix: *matrix,
            shape,
            format,
            row_bytes,
            gathered: vec![ZERO_BYTE; 4 * row_bytes],
            distances: vec![0; 4 * shape.groups],
            codes: vec![0; PIECE.max(4 * shape.group_quads) + 2 * STORED],
        }
    }

    /// Writes one block: its vectors and its rows' constants but for [`RowConstants::panel_offset`].
    #[inline(always)]
    pub(super) fn block<const L: usize>(
        &mut self,
        block: usize,
        vectors: &mut [[u32; L]],
        constants: &mut [RowConstants],
    ) -> Window {
        let mut largest = 0;
        for lane in 0..L {
            let rows: [usize; 4] = core::array::from_fn(|field| block * self.shape.block_rows + field * L + lane);
            self.trits(&rows, lane, vectors);
            largest = largest.max(self.exponents(&rows, lane, vectors, constants));
        }
        // A sum and its offset are below 256·G together.
        let bits = (256 * self.shape.group.get()).ilog2() + 1 + u32::from(largest);
        let plain = bits > 32;
        if self.format.rotated && !plain {
            self.rotate(vectors);
        }
        Window { largest, plain }
    }

    /// The trits of four rows, one of each field.
    #[inline(always)]
    fn trits<const L: usize>(&mut self, rows: &[usize; 4], lane: usize, vectors: &mut [[u32; L]]) {
        let Self { matrix, shape, row_bytes, gathered, codes, .. } = self;
        let direct = matrix.layout() == Layout::Rows && rows[3] < shape.rows;
        let fields: [&[u8]; 4] = if direct {
            rows.map(|row| matrix.trit_bytes().get(row * *row_bytes..(row + 1) * *row_bytes).unwrap_or(&[]))
        } else {
            gathered.fill(ZERO_BYTE);
            for (row, out) in rows.iter().zip(gathered.chunks_exact_mut((*row_bytes).max(1))) {
                let mut out = out.iter_mut();
                for Group { bytes, .. } in matrix.row(*row).iter().flat_map(|row| row.groups()) {
                    bytes.iter().zip(out.by_ref()).for_each(|(byte, out)| *out = *byte);
                }
            }
            let mut rows = gathered.chunks_exact((*row_bytes).max(1));
            [(); 4].map(|()| rows.next().unwrap_or(&[]))
        };
        let (group_bytes, group_quads) = (shape.group.bytes(), shape.group_quads);
        let groups = (PIECE / (4 * group_quads)).max(1);
        let piece_bytes = groups * group_bytes;
        let mut pieces = fields.map(|field| field.chunks(piece_bytes));
        for vectors in vectors.chunks_mut(groups * (1 + group_quads)) {
            let piece = [(); 4];
            let mut at = 0;
            let piece: [&[u8]; 4] = piece.map(|()| {
                at += 1;
                pieces.get_mut(at - 1).and_then(Iterator::next).unwrap_or(&[])
            });
            decode(piece, group_bytes, 4 * group_quads, codes);
            for (vectors, codes) in vectors.chunks_mut(1 + group_quads).zip(codes.chunks(4 * group_quads)) {
                let quads = vectors.get_mut(1..).unwrap_or(&mut []);
                for (vector, quad) in quads.iter_mut().zip(codes.as_chunks::<4>().0) {
                    if let Some(word) = vector.get_mut(lane) {
                        *word = u32::from_le_bytes(*quad);
                    }
                }
            }
        }
    }

    /// The exponents of four rows, one of each field, as distances; gives the largest.
    #[inline(always)]
    fn exponents<const L: usize>(
        &mut self,
        rows: &[usize; 4],
        lane: usize,
        vectors: &mut [[u32; L]],
        constants: &mut [RowConstants],
    ) -> u8 {
        let groups = self.shape.groups;
        let offset = if self.format.rotated { offset_of_group(&self.shape) as u32 } else { 0 };
        let mut largest = 0;
        for ((field, row), out) in rows.iter().enumerate().zip(self.distances.chunks_exact_mut(groups)) {
            out.fill(0);
            let unit = if *row < self.shape.rows { distances(&self.matrix, *row, out) } else { 0 };
            largest = out.iter().fold(largest, |largest, distance| largest.max(*distance));
            let sum = out.iter().fold(0u32, |sum, distance| sum.wrapping_add(1 << (*distance & LARGEST)));
            if let Some(constants) = constants.get_mut(field * L + lane) {
                *constants = RowConstants { unit, offset: sum.wrapping_mul(offset).wrapping_neg(), panel_offset: 0 };
            }
        }
        let (first, rest) = self.distances.split_at(groups);
        let (second, rest) = rest.split_at(groups);
        let (third, fourth) = rest.split_at(groups);
        let distances = first.iter().zip(second).zip(third.iter().zip(fourth));
        for (vectors, ((a, b), (c, d))) in vectors.chunks_mut(1 + self.shape.group_quads).zip(distances) {
            if let Some(word) = vectors.first_mut().and_then(|counts| counts.get_mut(lane)) {
                *word = u32::from_le_bytes([*a, *b, *c, *d]);
            }
        }
        largest
    }

    /// Turns distances into rotations.
    #[inline(always)]
    fn rotate<const L: usize>(&self, vectors: &mut [[u32; L]]) {
        for vectors in vectors.chunks_mut(1 + self.shape.group_quads) {
            for word in vectors.first_mut().into_iter().flatten() {
                // Each byte plus 32 − 2f: no carry, as distances are below 32.
                *word = word.wrapping_add(0x1A1C_1E20) & 0x1F1F_1F1F;
            }
        }
    }
}

/// 128·G: keeps the sum of a group from being negative.
pub(super) const fn offset_of_group(shape: &Shape) -> i32 {
    128 * shape.group.get() as i32
}

/// Codes of a piece of four rows, each row's in its field; every group begins at a multiple of `group_codes`.
#[inline(always)]
fn decode(rows: [&[u8]; 4], group_bytes: usize, group_codes: usize, codes: &mut [u8]) {
    let [first, second, third, fourth] = rows.map(|row| row.chunks(group_bytes));
    let groups = first.zip(second).zip(third.zip(fourth));
    for (index, ((first, second), (third, fourth))) in groups.enumerate() {
        let Some(codes) = codes.get_mut(index * group_codes..) else { return };
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
}

/// Distances of a row's exponents from its smallest one, which is returned.
#[inline(always)]
fn distances(matrix: &TernaryMatrix<'_>, row: usize, out: &mut [u8]) -> i32 {
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
