//! AVX-512 VNNI: vectors of 16 words, `vpdpbusd`, blocks of up to four vectors.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]
#![allow(clippy::needless_range_loop, reason = "places of registers, which loops over constants name")]

use super::direct::{Leaf, Tile};
use super::image::Image;
use super::weights::{Block, DIGIT};
use crate::Outputs;
use crate::geometry::Geometry;
use core::arch::x86_64::*;

const L: usize = 16;

/// Most vectors of a run: four fields of one window, or four windows of one field.
const MOST: usize = 4;

/// The proof that the processor has AVX-512 F, BW, VL and VNNI: made for a table of kernels that has the same need.
#[derive(Clone, Copy, Debug)]
pub(in crate::simd) struct Avx512Vnni(());

impl Avx512Vnni {
    /// # Safety
    /// The processor has AVX-512 F, BW, VL and VNNI wherever the value is used.
    pub(in crate::simd) const unsafe fn new() -> Self {
        Self(())
    }
}

impl Leaf<L> for Avx512Vnni {
    const FIELDS: usize = MOST;
    const FLIP: u8 = 128;

    /// Of 32 registers 24 are sums, 16 where rows of images are so short that runs of four would be mostly empty.
    fn tile(fields: usize, width: usize) -> [usize; 2] {
        match fields {
            1 if width.is_multiple_of(4) || width > 8 => [6, 4],
            1 => [8, 2],
            2 => [6, 2],
            3 => [8, 1],
            _ => [6, 1],
        }
    }

    fn write(self, image: &Image, geometry: &Geometry, sample: &[i8], bytes: &mut [u8]) {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
        fn compiled(image: &Image, geometry: &Geometry, sample: &[i8], bytes: &mut [u8]) {
            image.write(geometry, sample, Avx512Vnni::FLIP, bytes);
        }
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { compiled(image, geometry, sample, bytes) }
    }

    fn multiply(self, block: &Block, tile: &Tile<'_>, output: &mut Outputs<'_>) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            match (block.fields, tile.windows) {
                (1, 4) => multiply::<1, 6, 4>(block, tile, output),
                (1, _) => multiply::<1, 8, 2>(block, tile, output),
                (2, _) => multiply::<2, 6, 2>(block, tile, output),
                (3, _) => multiply::<3, 8, 1>(block, tile, output),
                _ => multiply::<4, 6, 1>(block, tile, output),
            }
        }
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(words: &[u32; L]) -> __m512i {
    // SAFETY: the array is 64 bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load_signed(words: &[i32; L]) -> __m512i {
    // SAFETY: the array is 64 bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// The outputs of a block of `F` fields and a tile of `R` runs, `P` windows each.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn multiply<const F: usize, const R: usize, const P: usize>(block: &Block, tile: &Tile<'_>, output: &mut Outputs<'_>) {
    let Some((starts, [])) = block.starts.as_chunks::<L>().0.split_first_chunk::<F>() else { return };
    if !tile.is_inside(block, R, P) {
        return;
    }
    let mut sums = [[[_mm512_setzero_si512(); F]; P]; R];
    // SAFETY: every quad of every window is inside.
    unsafe { add_products(block, tile, starts, &mut sums) };
    match output {
        Outputs::I8(output) => finish_i8(block, tile, &sums, output),
        Outputs::I32(output) => finish_i32(block, tile, &sums, output),
    }
}

/// Gives the sums of all products, and what they start with. They leave their registers at the end alone, which they would
/// not where what follows were part of the function.
///
/// # Safety
/// [`Tile::is_inside`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline(never)]
unsafe fn add_products<const F: usize, const R: usize, const P: usize>(
    block: &Block,
    tile: &Tile<'_>,
    starts: &[[u32; L]; F],
    out: &mut [[[__m512i; F]; P]; R],
) {
    let Some(runs) = tile.runs.first_chunk::<R>() else { return };
    let mut images = [tile.images.as_ptr(); R];
    for r in 0..R {
        images[r] = images[r].wrapping_add(runs[r].start);
    }
    let mut quads = block.offsets.as_slice();
    let mut words = block.words.words().as_chunks::<L>().0.as_chunks::<F>().0;
    let mut sums = [[[_mm512_setzero_si512(); F]; P]; R];
    for f in 0..F {
        let start = load(&starts[f]);
        for r in 0..R {
            for p in 0..P {
                sums[r][p][f] = start;
            }
        }
    }
    for (index, digit) in block.digits.iter().enumerate() {
        if index > 0 {
            for f in 0..F {
                let start = load(&starts[f]);
                for r in 0..R {
                    for p in 0..P {
                        // What the sums start with belongs to the lowest digit.
                        let of_digits = _mm512_slli_epi32::<DIGIT>(_mm512_sub_epi32(sums[r][p][f], start));
                        sums[r][p][f] = _mm512_add_epi32(of_digits, start);
                    }
                }
            }
        }
        let (of_digit, rest) = quads.split_at(*digit);
        let (of_digit_words, rest_words) = words.split_at(*digit);
        (quads, words) = (rest, rest_words);
        for (offset, words) in of_digit.iter().zip(of_digit_words) {
            let mut weights = [_mm512_setzero_si512(); F];
            for f in 0..F {
                weights[f] = load(&words[f]);
            }
            let mut at = *offset;
            for p in 0..P {
                for r in 0..R {
                    // SAFETY: as the caller promises.
                    let input = unsafe { images[r].add(at).cast::<i32>().read_unaligned() };
                    let input = _mm512_set1_epi32(input);
                    for f in 0..F {
                        sums[r][p][f] = _mm512_dpbusd_epi32(sums[r][p][f], input, weights[f]);
                    }
                }
                at += tile.right;
            }
        }
    }
    for r in 0..R {
        for p in 0..P {
            for f in 0..F {
                out[r][p][f] = sums[r][p][f];
            }
        }
    }
}

/// int8 outputs: `sums` is a vector for each run, window and field.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
#[inline]
fn finish_i8<const F: usize, const R: usize, const P: usize>(
    block: &Block,
    tile: &Tile<'_>,
    sums: &[[[__m512i; F]; P]; R],
    output: &mut [i8],
) {
    let Some((shifts, [])) = block.shifts.as_chunks::<L>().0.split_first_chunk::<F>() else { return };
    let one = _mm512_set1_epi32(1);
    let mut counts = [_mm512_setzero_si512(); F];
    let mut lefts = [0; F];
    for f in 0..F {
        let shift = load_signed(&shifts[f]);
        counts[f] = _mm512_sub_epi32(shift, one);
        lefts[f] = _mm512_cmplt_epi32_mask(shift, one);
    }
    let any_left = lefts.iter().any(|left| *left != 0);
    // Word 4·i + j of packed bytes are rows 4·i to 4·i + 3 of vector j.
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let lowest = _mm512_set1_epi8(if tile.relu { 0 } else { i8::MIN });
    let whole = tile.rows == F * L;
    for (run, sums) in tile.runs.iter().zip(sums) {
        // Twice the outputs, not yet rounded: a shift by one less. Shifts past 31 leave −1 or 0, which are rounded to 0.
        let mut vectors = [_mm512_setzero_si512(); MOST];
        for p in 0..P {
            for f in 0..F {
                vectors[p * F + f] = _mm512_srav_epi32(sums[p][f], counts[f]);
            }
        }
        if any_left {
            for p in 0..P {
                for f in 0..F {
                    // As in `requantize_one`; here, too, twice as much.
                    let near = _mm512_min_epi32(sums[p][f], _mm512_set1_epi32(256));
                    let near = _mm512_max_epi32(near, _mm512_set1_epi32(-256));
                    let count = _mm512_min_epi32(_mm512_sub_epi32(one, load_signed(&shifts[f])), _mm512_set1_epi32(10));
                    vectors[p * F + f] = _mm512_mask_sllv_epi32(vectors[p * F + f], lefts[f], near, count);
                }
            }
        }
        // ⌊(v + 1)/2⌋ without a carry. What saturates here is more than a byte holds, halved too.
        let half = |v: __m512i| _mm512_mulhrs_epi16(v, _mm512_set1_epi16(1 << 14));
        let first = half(_mm512_packs_epi32(vectors[0], vectors[1]));
        let second = half(_mm512_packs_epi32(vectors[2], vectors[3]));
        let bytes = _mm512_max_epi8(_mm512_packs_epi16(first, second), lowest);
        let bytes = _mm512_permutexvar_epi32(order, bytes);
        if whole && run.windows == P {
            // All rows of all windows side by side.
            if let Some(output) =
                output.get_mut((tile.first + run.window) * F * L..(tile.first + run.window + P) * F * L)
            {
                // SAFETY: as many bytes as the mask has bits.
                unsafe { _mm512_mask_storeu_epi8(output.as_mut_ptr(), !0 >> (64 - P * F * L), bytes) };
            }
            continue;
        }
        for window in 0..run.windows.min(P) {
            let first = (tile.first + run.window + window) * tile.rows + block.first;
            let Some(output) = output.get_mut(first..first + block.rows.min(F * L)) else { return };
            let mask = (!0u64 >> (64 - output.len())) << (window * F * L);
            // SAFETY: only the bytes of the mask are written, the first of which is the slice's first.
            unsafe { _mm512_mask_storeu_epi8(output.as_mut_ptr().wrapping_sub(window * F * L), mask, bytes) };
        }
    }
}

/// int32 outputs.
#[target_feature(enable = "avx512f")]
#[inline]
fn finish_i32<const F: usize, const R: usize, const P: usize>(
    block: &Block,
    tile: &Tile<'_>,
    sums: &[[[__m512i; F]; P]; R],
    output: &mut [i32],
) {
    let (shifts, biases) = (block.shifts.as_chunks::<L>().0, block.biases.as_chunks::<L>().0);
    for (run, sums) in tile.runs.iter().zip(sums) {
        for (window, sums) in sums.iter().enumerate().take(run.windows) {
            let first = (tile.first + run.window + window) * tile.rows + block.first;
            let output = output.get_mut(first..first + block.rows).unwrap_or(&mut []);
            for (((output, sum), shift), bias) in output.chunks_mut(L).zip(sums).zip(shifts).zip(biases) {
                let shifted = _mm512_add_epi32(_mm512_sllv_epi32(*sum, load_signed(shift)), load_signed(bias));
                let mask = !0 >> (L - output.len());
                // SAFETY: as many words as the mask has bits.
                unsafe { _mm512_mask_storeu_epi32(output.as_mut_ptr(), mask, shifted) };
            }
        }
    }
}
