//! The steps of transcoding with AVX2, for every x86 instruction set here.
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
            let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
            let (ab_high, cd_high) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
            let columns = [
                _mm_unpacklo_epi64(ab, cd),
                _mm_unpackhi_epi64(ab, cd),
                _mm_unpacklo_epi64(ab_high, cd_high),
                _mm_unpackhi_epi64(ab_high, cd_high),
            ];
            for (vector, column) in vectors.iter_mut().zip(columns) {
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
