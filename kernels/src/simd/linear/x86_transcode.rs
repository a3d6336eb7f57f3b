//! The steps of transcoding with AVX2, for every x86 instruction set here, and with AVX-512 VBMI, whose permutations of bytes
//! are tables for a whole byte of trits.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]

use super::transcode::{LookUp, Steps};
use core::arch::x86_64::*;

/// Bytes of a vector: so many of a row are decoded at a time.
const BYTES: usize = 32;

/// The proof that the processor has AVX2: made by the leaves of instruction sets that include it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(pub(super) ());

impl<const L: usize> Steps<L> for Avx2 {
    #[inline(always)]
    fn decode(self, rows: [&[u8]; 4], codes: &mut [u8]) {
        let length = rows[0].len();
        if length < BYTES {
            return Steps::<L>::decode(LookUp, rows, codes);
        }
        let mut at = 0;
        while at < length {
            // The last vector overlaps the one before.
            at = at.min(length - BYTES);
            let vectors = rows.map(|row| row.get(at..).and_then(|row| row.first_chunk()));
            let out = codes.get_mut(5 * at..).and_then(|codes| codes.first_chunk_mut());
            if let ([Some(a), Some(b), Some(c), Some(d)], Some(out)) = (vectors, out) {
                // SAFETY: `self` proves that the processor has the instructions.
                unsafe { decode(&[*a, *b, *c, *d], out) };
            }
            at += BYTES;
        }
    }

    #[inline(always)]
    fn interleave(self, codes: &[u8], stride: usize, vectors: &mut [[u32; L]]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { interleave(codes, stride, vectors) }
    }

    #[inline(always)]
    fn interleave_groups(self, codes: &[u8], stride: usize, group: usize, quads: usize, vectors: &mut [[u32; L]]) {
        if !holds_groups(codes, stride, group, quads, vectors) {
            return LookUp.interleave_groups(codes, stride, group, quads, vectors);
        }
        // SAFETY: `self` proves that the processor has the instructions, and the codes are all there.
        unsafe { interleave_groups(codes, stride, group, quads, vectors) }
    }

    #[inline(always)]
    fn spread(self, rows: [&[u8]; 4], words: &mut [[u8; 4]]) -> ([u32; 4], u8) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { spread(rows, words) }
    }

    #[inline(always)]
    fn fetch(self, bytes: &[u8]) {
        fetch(bytes);
    }
}

/// Asks for bytes.
fn fetch(bytes: &[u8]) {
    for line in bytes.chunks(64) {
        // SAFETY: it may be any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

/// Sixteen bytes of each row at a time; gives what is left to whole numbers of them.
#[target_feature(enable = "avx2")]
#[inline]
fn spread(rows: [&[u8]; 4], words: &mut [[u8; 4]]) -> ([u32; 4], u8) {
    let length = rows.iter().map(|row| row.len()).min().unwrap_or(0).min(words.len() / 2) / 16 * 16;
    let (words, last_words) = words.split_at_mut(2 * length);
    let (sums, mut largest) = Steps::<8>::spread(LookUp, rows.map(|row| row.get(length..).unwrap_or(&[])), last_words);
    let mut sums = sums.map(u64::from);
    let nibbles = _mm256_set1_epi8(15);
    // 2^distance, its lower byte and its upper one.
    let (low, high) = (i64::from_le_bytes([1, 2, 4, 8, 16, 32, 64, 128]), 0);
    let (lower, upper) = (_mm256_setr_epi64x(low, high, low, high), _mm256_setr_epi64x(high, low, high, low));
    let mut all = _mm256_setzero_si256();
    let mut totals = [_mm256_setzero_si256(); 4];
    for (index, out) in words.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let mut distances = [_mm256_setzero_si256(); 4];
        for (row, distances) in rows.iter().zip(&mut distances) {
            let Some(bytes) = row.as_chunks::<16>().0.get(index) else { continue };
            // SAFETY: the array is 16 bytes, and the load asks for no alignment.
            let pairs = unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) };
            // Each byte to the lower and, shifted, to the upper half of 16 bits.
            let wide = _mm256_cvtepu8_epi16(pairs);
            *distances = _mm256_and_si256(_mm256_or_si256(wide, _mm256_slli_epi16::<4>(wide)), nibbles);
        }
        for (total, distances) in totals.iter_mut().zip(distances) {
            all = _mm256_max_epu8(all, distances);
            let zero = _mm256_setzero_si256();
            let lower = _mm256_sad_epu8(_mm256_shuffle_epi8(lower, distances), zero);
            let upper = _mm256_sad_epu8(_mm256_shuffle_epi8(upper, distances), zero);
            *total = _mm256_add_epi64(*total, _mm256_add_epi64(lower, _mm256_slli_epi64::<8>(upper)));
        }
        let [a, b, c, d] = distances;
        let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
        let (ab_high, cd_high) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
        // Four words of each half.
        let fours = [
            _mm256_unpacklo_epi16(ab, cd),
            _mm256_unpackhi_epi16(ab, cd),
            _mm256_unpacklo_epi16(ab_high, cd_high),
            _mm256_unpackhi_epi16(ab_high, cd_high),
        ];
        let ordered = [
            _mm256_permute2x128_si256::<0x20>(fours[0], fours[1]),
            _mm256_permute2x128_si256::<0x20>(fours[2], fours[3]),
            _mm256_permute2x128_si256::<0x31>(fours[0], fours[1]),
            _mm256_permute2x128_si256::<0x31>(fours[2], fours[3]),
        ];
        for (out, ordered) in out.as_chunks_mut::<8>().0.iter_mut().zip(ordered) {
            // SAFETY: the array is 32 bytes, and the store asks for no alignment.
            unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), ordered) };
        }
    }
    for (sum, total) in sums.iter_mut().zip(totals) {
        let mut parts = [0u64; 4];
        // SAFETY: the array is 32 bytes, and the store asks for no alignment.
        unsafe { _mm256_storeu_si256(parts.as_mut_ptr().cast(), total) };
        *sum += parts.iter().sum::<u64>();
    }
    let mut bytes = [0u8; BYTES];
    // SAFETY: the array is 32 bytes, and the store asks for no alignment.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), all) };
    largest = bytes.iter().fold(largest, |largest, byte| largest.max(*byte));
    (sums.map(|sum| sum as u32), largest)
}

/// Where the digits of a byte go: `PLACES[digit][part]` picks, for the 16 codes of each part, the byte whose digit it is.
static PLACES: [[[u8; 16]; 5]; 5] = {
    let mut places = [[[0x80; 16]; 5]; 5];
    let mut code = 0;
    while code < 80 {
        places[code % 5][code / 16][code % 16] = (code / 5) as u8;
        code += 1;
    }
    places
};

// Not inlined: with AVX-512's masks the compiler would make it slower.
#[target_feature(enable = "avx2")]
#[inline(never)]
fn decode(rows: &[[u8; BYTES]; 4], codes: &mut [u8; 5 * BYTES]) {
    // Signed bytes compare: everything is 128 less.
    let less = |value: u8| _mm256_set1_epi8((value ^ 128) as i8);
    let mut digits = [_mm256_setzero_si256(); 5];
    for row in [3, 2, 1, 0] {
        // SAFETY: the array is 32 bytes, and the load asks for no alignment.
        let bytes = unsafe { _mm256_loadu_si256(rows[row].as_ptr().cast()) };
        let mut rest = _mm256_xor_si256(bytes, _mm256_set1_epi8(-128));
        for (digit, power) in [(4, 81), (3, 27), (2, 9), (1, 3)] {
            let one = _mm256_cmpgt_epi8(rest, less(power - 1));
            let two = _mm256_cmpgt_epi8(rest, less(2 * power - 1));
            let power = _mm256_set1_epi8(power as i8);
            rest = _mm256_sub_epi8(rest, _mm256_and_si256(one, power));
            rest = _mm256_sub_epi8(rest, _mm256_and_si256(two, power));
            let above = _mm256_slli_epi16::<2>(digits[digit]);
            digits[digit] = _mm256_sub_epi8(above, _mm256_add_epi8(one, two));
        }
        let rest = _mm256_xor_si256(rest, _mm256_set1_epi8(-128));
        digits[0] = _mm256_add_epi8(_mm256_slli_epi16::<2>(digits[0]), rest);
    }
    #[allow(clippy::needless_range_loop, reason = "a part of every digit's places")]
    for part in 0..5 {
        let mut mixed = _mm256_setzero_si256();
        for (digits, places) in digits.iter().zip(&PLACES) {
            // SAFETY: the array is 16 bytes, and the load asks for no alignment.
            let places = unsafe { _mm_loadu_si128(places[part].as_ptr().cast()) };
            let placed = _mm256_shuffle_epi8(*digits, _mm256_broadcastsi128_si256(places));
            mixed = _mm256_or_si256(mixed, placed);
        }
        let (low, high) = (16 * part, 16 * part + 80);
        // SAFETY: both end inside the array, at 160 at most, and the stores ask for no alignment.
        unsafe {
            _mm_storeu_si128(codes.as_mut_ptr().add(low).cast(), _mm256_castsi256_si128(mixed));
            _mm_storeu_si128(codes.as_mut_ptr().add(high).cast(), _mm256_extracti128_si256::<1>(mixed));
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn interleave<const L: usize>(codes: &[u8], stride: usize, vectors: &mut [[u32; L]]) {
    let (fours, rest) = vectors.as_chunks_mut::<4>();
    let count = fours.len();
    for lane in (0..L).step_by(4) {
        // Four quads of each of four lanes.
        let quads = |lane: usize| {
            codes.get(lane * stride..).and_then(|codes| codes.as_chunks::<16>().0.get(..count)).unwrap_or(&[])
        };
        let (first, second) = (quads(lane).iter().zip(quads(lane + 1)), quads(lane + 2).iter().zip(quads(lane + 3)));
        for (vectors, ((a, b), (c, d))) in fours.iter_mut().zip(first.zip(second)) {
            // SAFETY: the arrays are 16 bytes, and the loads ask for no alignment.
            let [a, b, c, d] = [a, b, c, d].map(|quads| unsafe { _mm_loadu_si128(quads.as_ptr().cast()) });
            for (vector, column) in vectors.iter_mut().zip(columns([a, b, c, d])) {
                if let Some(out) = vector.get_mut(lane..).and_then(|words| words.first_chunk_mut::<4>()) {
                    // SAFETY: the array is 16 bytes, and the store asks for no alignment.
                    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), column) };
                }
            }
        }
    }
    if !rest.is_empty() {
        LookUp.interleave(codes.get(16 * count..).unwrap_or(&[]), stride, rest);
    }
}

/// Four quads of a lane each, from which four lanes of four vectors become.
#[target_feature(enable = "avx2")]
#[inline]
fn columns([a, b, c, d]: [__m128i; 4]) -> [__m128i; 4] {
    let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
    let (ab_high, cd_high) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
    [
        _mm_unpacklo_epi64(ab, cd),
        _mm_unpackhi_epi64(ab, cd),
        _mm_unpacklo_epi64(ab_high, cd_high),
        _mm_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// True where every lane has all codes of all groups, and those that make the last quads of each group up to four.
fn holds_groups<const L: usize>(codes: &[u8], stride: usize, group: usize, quads: usize, vectors: &[[u32; L]]) -> bool {
    let groups = vectors.len().div_ceil(1 + quads);
    codes.len() >= (L - 1) * stride + groups.saturating_sub(1) * group + 4 * quads.next_multiple_of(4)
}

/// # Safety
/// [`holds_groups`] must be true of the arguments.
#[target_feature(enable = "avx2")]
unsafe fn interleave_groups<const L: usize>(
    codes: &[u8],
    stride: usize,
    group: usize,
    quads: usize,
    vectors: &mut [[u32; L]],
) {
    for (index, vectors) in vectors.chunks_mut(1 + quads).enumerate() {
        for (four, vectors) in vectors.get_mut(1..).unwrap_or(&mut []).chunks_mut(4).enumerate() {
            for lane in (0..L).step_by(4) {
                let quads = [0, 1, 2, 3].map(|next| {
                    let at = (lane + next) * stride + index * group + 16 * four;
                    // SAFETY: the caller promises that these 16 codes are there; the load asks for no alignment.
                    unsafe { _mm_loadu_si128(codes.as_ptr().add(at).cast()) }
                });
                for (vector, column) in vectors.iter_mut().zip(columns(quads)) {
                    if let Some(out) = vector.get_mut(lane..).and_then(|words| words.first_chunk_mut::<4>()) {
                        // SAFETY: the array is 16 bytes, and the store asks for no alignment.
                        unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), column) };
                    }
                }
            }
        }
    }
}

/// Bytes of a row that AVX-512 decodes at a time.
const WIDE_BYTES: usize = 64;

/// The proof that the processor has AVX-512 F, BW and VBMI: made by the leaf that asks for them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512Vbmi(pub(super) ());

impl Steps<16> for Avx512Vbmi {
    #[inline(always)]
    fn decode(self, rows: [&[u8]; 4], codes: &mut [u8]) {
        if rows[0].len() < WIDE_BYTES {
            return Steps::<16>::decode(Avx2(()), rows, codes);
        }
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { decode_wide(rows, codes) }
    }

    #[inline(always)]
    fn interleave(self, codes: &[u8], stride: usize, vectors: &mut [[u32; 16]]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { interleave_wide(codes, stride, vectors) }
    }

    #[inline(always)]
    fn interleave_groups(self, codes: &[u8], stride: usize, group: usize, quads: usize, vectors: &mut [[u32; 16]]) {
        if !holds_groups(codes, stride, group, quads, vectors) {
            return LookUp.interleave_groups(codes, stride, group, quads, vectors);
        }
        // SAFETY: `self` proves that the processor has the instructions, and the codes are all there.
        unsafe { interleave_groups_wide(codes, stride, group, quads, vectors) }
    }

    #[inline(always)]
    fn spread(self, rows: [&[u8]; 4], words: &mut [[u8; 4]]) -> ([u32; 4], u8) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { spread(rows, words) }
    }

    #[inline(always)]
    fn fetch(self, bytes: &[u8]) {
        fetch(bytes);
    }
}

/// The four digits of every number below 81, two bits each.
static LOW_DIGITS: [[u8; 64]; 2] = {
    let mut table = [[0; 64]; 2];
    let mut number = 0;
    while number < 81 {
        let (mut digits, mut i) = (number, 0);
        while i < 4 {
            table[number / 64][number % 64] |= ((digits % 3) as u8) << (2 * i);
            digits /= 3;
            i += 1;
        }
        number += 1;
    }
    table
};

/// For the 64 codes of each fifth, the byte whose digit it is, and 64 where the digit's number is odd; then the codes that
/// are digits 2 and 3, and those that are digits 4, as masks.
static SPREAD: ([[u8; 64]; 5], [[u64; 2]; 5]) = {
    let (mut places, mut masks) = ([[0; 64]; 5], [[0; 2]; 5]);
    let mut code = 0;
    while code < 320 {
        let (digit, part, at) = (code % 5, code / 64, code % 64);
        places[part][at] = (code / 5) as u8 | ((digit as u8) & 1) << 6;
        masks[part][0] |= ((digit / 2 == 1) as u64) << at;
        masks[part][1] |= ((digit == 4) as u64) << at;
        code += 1;
    }
    (places, masks)
};

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn load_wide(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the array is 64 bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Bits of `a` where `mask` has ones, those of `b` elsewhere.
#[target_feature(enable = "avx512f")]
#[inline]
fn select(mask: i8, a: __m512i, b: __m512i) -> __m512i {
    _mm512_ternarylogic_epi32::<0xCA>(_mm512_set1_epi8(mask), a, b)
}

/// Rows are equally long, of 64 bytes at least.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn decode_wide(rows: [&[u8]; 4], codes: &mut [u8]) {
    let tables = [load_wide(&LOW_DIGITS[0]), load_wide(&LOW_DIGITS[1])];
    let power = _mm512_set1_epi8(81);
    let places = [0, 1, 2, 3, 4].map(|part| load_wide(&SPREAD.0[part]));
    let (length, mut at) = (rows[0].len(), 0);
    while at < length {
        // The last vector overlaps the one before.
        at = at.min(length - WIDE_BYTES);
        let bytes = rows.map(|row| row.get(at..).and_then(|row| row.first_chunk::<WIDE_BYTES>()));
        let out = codes.get_mut(5 * at..).and_then(|codes| codes.first_chunk_mut::<{ 5 * WIDE_BYTES }>());
        let ([Some(a), Some(b), Some(c), Some(d)], Some(out)) = (bytes, out) else { return };
        // What 81 can be taken from once is less then, else it wraps round to more.
        let less = |number: __m512i| _mm512_min_epu8(number, _mm512_sub_epi8(number, power));
        let [a, b, c, d] = [a, b, c, d].map(|bytes| {
            let bytes = load_wide(bytes);
            let rest = less(less(bytes));
            // 0, 81 or 162: the highest digit stands in bits 0 and 1, 4 and 5, 6 and 7.
            let highest = _mm512_sub_epi8(bytes, rest);
            (_mm512_permutex2var_epi8(tables[0], rest, tables[1]), highest)
        });
        let highest = select(0x0F, select(0x03, a.1, _mm512_slli_epi16::<2>(b.1)), select(0x3F, c.1, d.1));
        let (a, b, c, d) = (a.0, b.0, c.0, d.0);
        // From four digits of a row in a byte to four rows of a digit: halves of bytes, then halves of those.
        let halves = |a: __m512i, b: __m512i| {
            [select(0x0F, a, _mm512_slli_epi16::<4>(b)), select(0x0F, _mm512_srli_epi16::<4>(a), b)]
        };
        let ([a, c], [b, d]) = (halves(a, c), halves(b, d));
        let quarters = |a: __m512i, b: __m512i| {
            [select(0x33, a, _mm512_slli_epi16::<2>(b)), select(0x33, _mm512_srli_epi16::<2>(a), b)]
        };
        let ([a, b], [c, d]) = (quarters(a, b), quarters(c, d));
        for (part, out) in out.as_chunks_mut::<64>().0.iter_mut().enumerate() {
            let [upper, last] = SPREAD.1[part];
            let mixed = _mm512_permutex2var_epi8(a, places[part], b);
            let mixed = _mm512_mask_mov_epi8(mixed, upper, _mm512_permutex2var_epi8(c, places[part], d));
            let mixed = _mm512_mask_permutexvar_epi8(mixed, last, places[part], highest);
            // SAFETY: the array is 64 bytes, and the store asks for no alignment.
            unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), mixed) };
        }
        at += WIDE_BYTES;
    }
}

/// As [`columns`] in each quarter.
#[target_feature(enable = "avx512f")]
#[inline]
fn columns_wide([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
    let (ab_high, cd_high) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
    [
        _mm512_unpacklo_epi64(ab, cd),
        _mm512_unpackhi_epi64(ab, cd),
        _mm512_unpacklo_epi64(ab_high, cd_high),
        _mm512_unpackhi_epi64(ab_high, cd_high),
    ]
}

/// # Safety
/// [`holds_groups`] must be true of the arguments.
#[target_feature(enable = "avx512f")]
unsafe fn interleave_groups_wide(codes: &[u8], stride: usize, group: usize, quads: usize, vectors: &mut [[u32; 16]]) {
    for (index, vectors) in vectors.chunks_mut(1 + quads).enumerate() {
        for (four, vectors) in vectors.get_mut(1..).unwrap_or(&mut []).chunks_mut(4).enumerate() {
            let at = index * group + 16 * four;
            // SAFETY: the caller promises that these 16 codes are there; the load asks for no alignment.
            let load = |lane: usize| unsafe { _mm_loadu_si128(codes.as_ptr().add(lane * stride + at).cast()) };
            let mut quads = [_mm512_setzero_si512(); 4];
            for (lane, quads) in quads.iter_mut().enumerate() {
                // Lanes that are four apart lie side by side.
                let all = _mm512_castsi128_si512(load(lane));
                let all = _mm512_inserti32x4::<1>(all, load(lane + 4));
                let all = _mm512_inserti32x4::<2>(all, load(lane + 8));
                *quads = _mm512_inserti32x4::<3>(all, load(lane + 12));
            }
            for (vector, column) in vectors.iter_mut().zip(columns_wide(quads)) {
                // SAFETY: the array is 64 bytes, and the store asks for no alignment.
                unsafe { _mm512_storeu_si512(vector.as_mut_ptr().cast(), column) };
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
#[inline]
fn interleave_wide(codes: &[u8], stride: usize, vectors: &mut [[u32; 16]]) {
    let (fours, rest) = vectors.as_chunks_mut::<4>();
    let count = fours.len();
    let empty: &[[u8; 16]] = &[];
    let mut lanes = [empty; 16];
    for (lane, quads) in lanes.iter_mut().enumerate() {
        let codes = codes.get(lane * stride..).unwrap_or(&[]);
        *quads = codes.as_chunks::<16>().0.get(..count).unwrap_or(empty);
    }
    if lanes.iter().any(|lane| lane.len() < count) {
        return;
    }
    for (index, vectors) in fours.iter_mut().enumerate() {
        // Four quads of each lane; lanes that are four apart lie side by side.
        let quads = |lane: usize| {
            // SAFETY: every lane has `count` elements, of 16 bytes each, and the load asks for no alignment.
            unsafe { _mm_loadu_si128(lanes[lane].as_ptr().add(index).cast()) }
        };
        let four = |lane: usize| {
            let all = _mm512_castsi128_si512(quads(lane));
            let all = _mm512_inserti32x4::<1>(all, quads(lane + 4));
            let all = _mm512_inserti32x4::<2>(all, quads(lane + 8));
            _mm512_inserti32x4::<3>(all, quads(lane + 12))
        };
        for (vector, column) in vectors.iter_mut().zip(columns_wide([four(0), four(1), four(2), four(3)])) {
            // SAFETY: the array is 64 bytes, and the store asks for no alignment.
            unsafe { _mm512_storeu_si512(vector.as_mut_ptr().cast(), column) };
        }
    }
    if !rest.is_empty() {
        LookUp.interleave(codes.get(16 * count..).unwrap_or(&[]), stride, rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    /// Compares the steps that have a version for vectors with those of plain Rust, at lengths around every width.
    fn check<const L: usize>(steps: impl Steps<L>) {
        let bytes: Vec<u8> = (0..10_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for groups in [1, 2, 31, 32, 33, 63, 64, 65, 128, 131] {
            let length = usize::div_ceil(groups, 2);
            let rows = [0, 1, 2, 3].map(|row| &bytes[row * 300..row * 300 + length]);
            // Of an odd number, the upper half of the last byte is not there.
            let (mut found, mut expected) = (vec![[0; 4]; groups], vec![[0; 4]; groups]);
            let sums = steps.spread(rows, &mut found);
            assert_eq!(sums, Steps::<L>::spread(LookUp, rows, &mut expected), "{groups} groups");
            assert_eq!(found, expected, "{groups} groups");
        }
        for quads in [1, 2, 3, 4, 5, 8, 10, 24] {
            for groups in 1..6 {
                for vectors in [groups * (1 + quads), groups * (1 + quads) - quads.min(2) + 1] {
                    let (group, stride) = (4 * quads + 5, 6 * (4 * quads + 5) + 16);
                    let (mut found, mut expected) = (vec![[7; L]; vectors], vec![[7; L]; vectors]);
                    let codes = &bytes[..L * stride];
                    steps.interleave_groups(codes, stride, group, quads, &mut found);
                    LookUp.interleave_groups(codes, stride, group, quads, &mut expected);
                    assert_eq!(found, expected, "{groups} groups of {quads} quads");
                }
            }
        }
    }

    #[test]
    fn steps_equal_plain_rust() {
        if has!("avx2") {
            check::<8>(Avx2(()));
            check::<16>(Avx2(()));
        }
        if has!("avx512f", "avx512bw", "avx512vbmi") {
            check::<16>(Avx512Vbmi(()));
        }
    }
}
