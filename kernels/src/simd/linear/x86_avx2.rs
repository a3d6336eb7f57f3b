//! AVX2: vectors of 8 words, `vpmaddubsw`, sums of 16 bits within a group.
//!
//! No sum of 16 bits overflows: those of a group of at most 96 columns, in the two halves of a word, are at most
//! 5·2·24·128 = 30,720 for a nibble's two fields together. What they are while they are computed does not matter, for
//! additions wrap. Products do not saturate: a nibble is at most 10, and two times 10·128 is far below 2^15.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]

use super::PackedKernels;
use super::driver::{Leaf, Panel, Sums};
use super::int8::{self, Int8Kernels, Int8Leaf};
use super::packed::{Block, Format, Shape};
use core::arch::asm;
use core::arch::x86_64::*;

const L: usize = 8;

/// Largest power of two that multiplies the sums of a group: products of 16 bits give 32 bits.
const MULTIPLIER_BITS: u32 = 14;

/// The proof that the processor has AVX2 and BMI2: made by [`packed_kernels`] and
/// [`int8_kernels`] alone.
#[derive(Clone, Copy, Debug)]
struct Avx2(());

impl Leaf<L> for Avx2 {
    const FORMAT: Format = Format { lanes: L, rotated: false };
    const ROW_SAMPLES: usize = 2;
    const PANEL_SAMPLES: usize = 5;
    const PANEL_WINDOW: u32 = MULTIPLIER_BITS;
    const STARTS: usize = 2;

    compiled_for!("avx2,bmi2");
    transcode_for!("avx2,bmi2");

    fn panel_from(_: &Shape, digits: u32) -> usize {
        if digits == 1 { 3 } else { usize::MAX }
    }

    /// For each group its multipliers, then its quads.
    fn panel_words(quads: usize, groups: usize) -> usize {
        (quads + groups) * 4 * L
    }

    fn prepare(self, shape: &Shape, inputs: &[u32], samples: usize, starts: &mut [u32]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            match samples {
                1 => prepare::<1>(shape, inputs, starts),
                _ => prepare::<2>(shape, inputs, starts),
            }
        }
    }

    fn rows(self, block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            match sums {
                [] => {}
                [_] => rows::<1>(block, inputs, starts, sums),
                _ => rows::<2>(block, inputs, starts, sums),
            }
        }
    }

    fn unpack(self, piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe { unpack(piece, digit, panel) }
    }

    fn tile(self, panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            match sums.len() {
                0 => {}
                1 => tile::<1>(panel, inputs, shift, sums),
                2 => tile::<2>(panel, inputs, shift, sums),
                3 => tile::<3>(panel, inputs, shift, sums),
                4 => tile::<4>(panel, inputs, shift, sums),
                _ => tile::<5>(panel, inputs, shift, sums),
            }
        }
    }
}

impl Int8Leaf<L> for Avx2 {
    const SAMPLES: usize = 4;
    const OFFSET: bool = false;

    fn int8_tile(self, piece: &Panel<'_, L>, inputs: &[u32], sums: &mut [Sums<L>]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            match sums.len() {
                0 => {}
                1 => int8_tile::<1>(piece, inputs, sums),
                2 => int8_tile::<2>(piece, inputs, sums),
                3 => int8_tile::<3>(piece, inputs, sums),
                _ => int8_tile::<4>(piece, inputs, sums),
            }
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(words: &[u32; L]) -> __m256i {
    // SAFETY: the array is 32 bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(words: &mut [u32; L], vector: __m256i) {
    // SAFETY: the array is 32 bytes, and the store asks for no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}

/// The vector, of which the compiler knows no longer that it is a sum: it would take the additions of a group in another
/// order, for which there are not enough registers.
#[target_feature(enable = "avx2")]
#[inline]
fn pinned(mut vector: __m256i) -> __m256i {
    // SAFETY: there is no instruction in it.
    unsafe { asm!("/* {0} */", inout(ymm_reg) vector, options(pure, nomem, nostack, preserves_flags)) };
    vector
}

/// Sums of a nibble's lower field start with less the inputs of the group, in the halves of a word in which their products
/// are added up; those of both fields, c + 4·c', with less five times as much.
#[target_feature(enable = "avx2")]
fn prepare<const C: usize>(shape: &Shape, inputs: &[u32], starts: &mut [u32]) {
    let groups = inputs.as_chunks::<C>().0.chunks(shape.group_quads);
    for (quads, out) in groups.zip(starts.as_chunks_mut::<2>().0.as_chunks_mut::<C>().0) {
        let mut sums = [[0i16; 2]; C];
        for words in quads {
            for (sum, word) in sums.iter_mut().zip(words) {
                let [a, b, c, d] = word.to_le_bytes().map(|byte| i16::from(byte as i8));
                *sum = [sum[0] + a + b, sum[1] + c + d];
            }
        }
        for (out, [low, high]) in out.iter_mut().zip(sums) {
            // Both are at most 2·24·128 in magnitude.
            let pair = |factor: i16| u32::from((-low * factor) as u16) | u32::from((-high * factor) as u16) << 16;
            *out = [pair(1), pair(5)];
        }
    }
}

#[target_feature(enable = "avx2")]
fn rows<const C: usize>(block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
    let (inputs, starts) = (inputs.as_chunks::<C>().0, starts.as_chunks::<2>().0.as_chunks::<C>().0);
    let Some(sums) = sums.first_chunk_mut::<C>() else { return };
    match block.group_quads {
        1 => all_groups::<C, 1>(block.vectors, 1, inputs, starts, sums),
        2 => all_groups::<C, 2>(block.vectors, 2, inputs, starts, sums),
        4 => all_groups::<C, 4>(block.vectors, 4, inputs, starts, sums),
        8 => all_groups::<C, 8>(block.vectors, 8, inputs, starts, sums),
        quads => all_groups::<C, 0>(block.vectors, quads, inputs, starts, sums),
    }
}

/// The row kernel for groups of `Q` quads, or of any number where `Q` is 0.
#[target_feature(enable = "avx2")]
fn all_groups<const C: usize, const Q: usize>(
    vectors: &[[u32; L]],
    quads: usize,
    inputs: &[[u32; C]],
    starts: &[[[u32; 2]; C]],
    sums: &mut [Sums<L>; C],
) {
    let quads = if Q == 0 { quads } else { Q };
    let mut totals = [[_mm256_setzero_si256(); 4]; C];
    for c in 0..C {
        for f in 0..4 {
            totals[c][f] = load(&sums[c][f]);
        }
    }
    let (groups, full) = (vectors.chunks_exact(1 + quads), inputs.chunks_exact(quads));
    let (last, last_inputs) = (groups.remainder(), full.remainder());
    let mut starts = starts.iter();
    for ((vectors, inputs), starts) in groups.zip(full).zip(&mut starts) {
        one_group::<C>(vectors, inputs, starts, &mut totals);
    }
    if let (false, Some(starts)) = (last.is_empty(), starts.next()) {
        one_group::<C>(last, last_inputs, starts, &mut totals);
    }
    for c in 0..C {
        for f in 0..4 {
            store(&mut sums[c][f], totals[c][f]);
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn one_group<const C: usize>(
    vectors: &[[u32; L]],
    inputs: &[[u32; C]],
    starts: &[[u32; 2]; C],
    totals: &mut [[__m256i; 4]; C],
) {
    let Some((counts, weights)) = vectors.split_first() else { return };
    let mut sums = [[_mm256_setzero_si256(); 4]; C];
    for c in 0..C {
        let [low, both] = starts[c].map(|start| _mm256_set1_epi32(start as i32));
        sums[c] = [low, both, low, both];
    }
    for (weights, inputs) in weights.iter().zip(inputs) {
        let weights = load(weights);
        let nibbles = _mm256_set1_epi8(15);
        let (low, high) = (_mm256_and_si256(weights, nibbles), _mm256_srli_epi16::<4>(weights));
        let high = _mm256_and_si256(high, nibbles);
        let field = _mm256_set1_epi8(3);
        let fields = [_mm256_and_si256(low, field), low, _mm256_and_si256(high, field), high];
        for c in 0..C {
            let input = _mm256_set1_epi32(inputs[c] as i32);
            for f in 0..4 {
                sums[c][f] = pinned(_mm256_add_epi16(sums[c][f], _mm256_maddubs_epi16(fields[f], input)));
            }
        }
    }
    let counts = load(counts);
    for c in 0..C {
        for f in [1, 3] {
            // Four times the upper field's sum: exact.
            sums[c][f] = _mm256_srai_epi16::<2>(_mm256_sub_epi16(sums[c][f], sums[c][f - 1]));
        }
        for f in 0..4 {
            let sum = _mm256_madd_epi16(sums[c][f], _mm256_set1_epi16(1));
            let shifted = _mm256_sllv_epi32(sum, _mm256_shuffle_epi8(counts, byte_of_words(f)));
            totals[c][f] = _mm256_add_epi32(totals[c][f], shifted);
        }
    }
}

/// Picks byte `f` of each word, for `vpshufb`.
#[target_feature(enable = "avx2")]
#[inline]
fn byte_of_words(f: usize) -> __m256i {
    let word = |lane: i32| (0x8080_8000u32 | (4 * (lane as u32 % 4) + f as u32)) as i32;
    _mm256_setr_epi32(word(0), word(1), word(2), word(3), word(0), word(1), word(2), word(3))
}

/// For each group four vectors of multipliers 2^distance, twice in each word, 0 where the distance is another digit's; then
/// for each quad four vectors of trits.
#[target_feature(enable = "avx2")]
fn unpack(piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
    let panel = panel.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0;
    let stride = 1 + piece.group_quads;
    for (vectors, out) in piece.vectors.chunks(stride).zip(panel.chunks_mut(stride)) {
        let (Some((counts, weights)), Some((multipliers, out))) = (vectors.split_first(), out.split_first_mut()) else {
            return;
        };
        let counts = load(counts);
        for (f, multipliers) in multipliers.iter_mut().enumerate() {
            let distances = _mm256_shuffle_epi8(counts, byte_of_words(f));
            let distances = _mm256_sub_epi32(distances, _mm256_set1_epi32((digit * (MULTIPLIER_BITS + 1)) as i32));
            let beyond = _mm256_cmpgt_epi32(distances, _mm256_set1_epi32(MULTIPLIER_BITS as i32));
            // Negative counts shift everything out.
            let powers = _mm256_sllv_epi32(_mm256_set1_epi32(0x0001_0001), distances);
            store(multipliers, _mm256_andnot_si256(beyond, powers));
        }
        for (weights, out) in weights.iter().zip(out) {
            let weights = load(weights);
            let codes = [
                weights,
                _mm256_srli_epi16::<2>(weights),
                _mm256_srli_epi16::<4>(weights),
                _mm256_srli_epi16::<6>(weights),
            ];
            for f in 0..4 {
                let codes = _mm256_and_si256(codes[f], _mm256_set1_epi8(3));
                store(&mut out[f], _mm256_sub_epi8(codes, _mm256_set1_epi8(1)));
            }
        }
    }
}

/// The panel kernel: inputs as uint8, trits as int8, two fields at a time.
#[target_feature(enable = "avx2")]
fn tile<const C: usize>(panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
    for vector in panel.next {
        _mm_prefetch::<_MM_HINT_T1>(vector.as_ptr().cast());
    }
    let Some(sums) = sums.first_chunk_mut::<C>() else { return };
    match panel.group_quads {
        1 => tile_of_groups::<C, 1>(panel, inputs, shift, sums),
        2 => tile_of_groups::<C, 2>(panel, inputs, shift, sums),
        4 => tile_of_groups::<C, 4>(panel, inputs, shift, sums),
        8 => tile_of_groups::<C, 8>(panel, inputs, shift, sums),
        _ => tile_of_groups::<C, 0>(panel, inputs, shift, sums),
    }
}

#[target_feature(enable = "avx2")]
fn tile_of_groups<const C: usize, const Q: usize>(
    panel: &Panel<'_, L>,
    inputs: &[u32],
    shift: u32,
    sums: &mut [Sums<L>; C],
) {
    let quads = if Q == 0 { panel.group_quads } else { Q };
    let (words, inputs) = (panel.words.as_chunks::<L>().0.as_chunks::<4>().0, inputs.as_chunks::<C>().0);
    let shift = _mm_cvtsi32_si128(shift as i32);
    for pair in [0, 2] {
        let mut totals = [[_mm256_setzero_si256(); 2]; C];
        let full = inputs.chunks_exact(quads);
        let (last_inputs, last) = (full.remainder(), words.get(full.len() * (1 + quads)..).unwrap_or(&[]));
        for (vectors, inputs) in words.chunks_exact(1 + quads).zip(full) {
            tile_of_group::<C>(vectors, inputs, pair, &mut totals);
        }
        if !last_inputs.is_empty() {
            tile_of_group::<C>(last, last_inputs, pair, &mut totals);
        }
        for c in 0..C {
            for f in 0..2 {
                let sum = &mut sums[c][pair + f];
                store(sum, _mm256_add_epi32(load(sum), _mm256_sll_epi32(totals[c][f], shift)));
            }
        }
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn tile_of_group<const C: usize>(
    vectors: &[[[u32; L]; 4]],
    inputs: &[[u32; C]],
    pair: usize,
    totals: &mut [[__m256i; 2]; C],
) {
    let Some((multipliers, weights)) = vectors.split_first() else { return };
    let mut sums = [[_mm256_setzero_si256(); 2]; C];
    for (weights, inputs) in weights.iter().zip(inputs) {
        let weights = [load(&weights[pair]), load(&weights[pair + 1])];
        for c in 0..C {
            let input = _mm256_set1_epi32(inputs[c] as i32);
            for f in 0..2 {
                sums[c][f] = pinned(_mm256_add_epi16(sums[c][f], _mm256_maddubs_epi16(input, weights[f])));
            }
        }
    }
    for f in 0..2 {
        let multipliers = load(&multipliers[pair + f]);
        for c in 0..C {
            totals[c][f] = _mm256_add_epi32(totals[c][f], _mm256_madd_epi16(sums[c][f], multipliers));
        }
    }
}

/// Magnitudes of inputs as uint8, weights with their signs: two products are at most 2·128·127 < 2^15 in magnitude.
#[target_feature(enable = "avx2")]
fn int8_tile<const C: usize>(piece: &Panel<'_, L>, inputs: &[u32], sums: &mut [Sums<L>]) {
    for vector in piece.next {
        _mm_prefetch::<_MM_HINT_T1>(vector.as_ptr().cast());
    }
    let (piece, inputs) = (piece.words.as_chunks::<L>().0.as_chunks::<4>().0, inputs.as_chunks::<C>().0);
    for pair in [0, 2] {
        let mut products = [[_mm256_setzero_si256(); 2]; C];
        for (weights, inputs) in piece.iter().zip(inputs) {
            let weights = [load(&weights[pair]), load(&weights[pair + 1])];
            for c in 0..C {
                let input = _mm256_set1_epi32(inputs[c] as i32);
                let magnitude = _mm256_abs_epi8(input);
                for f in 0..2 {
                    let two = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(weights[f], input));
                    products[c][f] = _mm256_add_epi32(products[c][f], _mm256_madd_epi16(two, _mm256_set1_epi16(1)));
                }
            }
        }
        for (sums, products) in sums.iter_mut().zip(&products) {
            for (sum, product) in sums[pair..].iter_mut().zip(products) {
                store(sum, _mm256_add_epi32(load(sum), *product));
            }
        }
    }
}

/// Multiply-adds whose operands never leave their registers.
#[target_feature(enable = "avx2")]
fn peak(rounds: u64) -> u64 {
    // SAFETY: instructions of the features above, on registers that are named as overwritten; no memory is touched.
    unsafe {
        asm!(
            "2:",
            "vpmaddubsw ymm0, ymm14, ymm15",
            "vpmaddubsw ymm1, ymm14, ymm15",
            "vpmaddubsw ymm2, ymm14, ymm15",
            "vpmaddubsw ymm3, ymm14, ymm15",
            "vpmaddubsw ymm4, ymm14, ymm15",
            "vpmaddubsw ymm5, ymm14, ymm15",
            "vpmaddubsw ymm6, ymm14, ymm15",
            "vpmaddubsw ymm7, ymm14, ymm15",
            "vpmaddubsw ymm8, ymm14, ymm15",
            "vpmaddubsw ymm9, ymm14, ymm15",
            "vpmaddubsw ymm10, ymm14, ymm15",
            "vpmaddubsw ymm11, ymm14, ymm15",
            "sub {rounds}, 1",
            "jnz 2b",
            rounds = inout(reg) rounds.max(1) => _,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            options(nomem, nostack)
        );
    }
    rounds.max(1) * 12 * 32 * 2
}

/// For a table of kernels that is handed out only where the processor has AVX2 and BMI2.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn packed_kernels() -> PackedKernels {
    const LEAF: Avx2 = Avx2(());
    PackedKernels {
        pack: |matrix| super::pack(matrix, LEAF),
        linear_i8: |layer, input, workspace, output| super::linear_i8(layer, input, workspace, output, LEAF),
        linear_i32: |layer, input, workspace, output| super::linear_i32(layer, input, workspace, output, LEAF),
        read: |words| LEAF.read(words),
        // SAFETY: as the caller promises.
        peak: |rounds| unsafe { peak(rounds) },
    }
}

/// For a reference that is handed out only where the processor has AVX2 and BMI2.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn int8_kernels() -> Int8Kernels {
    const LEAF: Avx2 = Avx2(());
    Int8Kernels {
        pack: int8::pack::<L>,
        multiply: |matrix, input, workspace, output| int8::multiply(matrix, input, workspace, output, LEAF),
    }
}
