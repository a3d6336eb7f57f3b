//! AVX2: vectors of 8 words, `vpmaddubsw`, sums of 16 bits within a group.
//!
//! No sum of 16 bits overflows: those of a group of at most 96 columns, in the two halves of a word, are at most
//! 4·48·128 = 24,576 for a nibble's upper field. What they are while they are computed does not matter, for additions wrap.
//! Products do not saturate: a field is at most 8, and two times 8·128 is far below 2^15. In panels, where
//! a half has all columns of one group, sums of trits and inputs plus 128 are at most 96·255 = 24,480.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]

use super::PackedKernels;
use super::driver::{Leaf, Panel, Sums};
use super::int8::{self, Int8Kernels, Int8Leaf};
use super::packed::{Block, Format, Shape};
#[cfg(feature = "conv2d")]
use crate::simd::conv2d;
use core::arch::asm;
use core::arch::x86_64::*;

const L: usize = 8;

/// Largest power of two that multiplies the sums of a group: products of 16 bits give 32 bits.
const MULTIPLIER_BITS: u32 = 14;

/// Powers of two that are a byte, and the most quads of a row whose sum fits 32 bits four times with distances up to 7.
const POWERS: [u8; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
const NARROW_WINDOW: u8 = 7;
const NARROW_QUADS: usize = 1 << 12;

/// The upper half of each word, for `vpblendw`.
const UPPER_HALVES: i32 = 0xAA;

/// The proof that the processor has AVX2 and BMI2: made by [`packed_kernels`] and
/// [`int8_kernels`] alone.
#[derive(Clone, Copy, Debug)]
struct Avx2(());

impl Leaf<L> for Avx2 {
    const FORMAT: Format = Format { lanes: L, rotated: false };
    const ROW_SAMPLES: usize = 2;
    const PANEL_SAMPLES: usize = 4;
    const PANEL_WINDOW: u32 = MULTIPLIER_BITS;
    const STARTS: usize = 2;

    compiled_for!("avx2,bmi2");
    transcode_for!("avx2,bmi2");

    fn panel_from(_: &Shape, digits: u32) -> usize {
        if digits == 1 { 5 } else { usize::MAX }
    }

    /// For each group, or pair of groups, its multipliers, then its quads.
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

    fn order_panel_tile(self, shape: &Shape, count: usize, inputs: &mut [u32]) {
        pair_inputs(inputs, shape.group_quads * count);
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
                5 => tile::<5>(panel, inputs, shift, sums),
                _ => tile::<6>(panel, inputs, shift, sums),
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
/// are added up; those of its upper field, whose codes are four times what they are, with less four times as much.
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
            *out = [pair(1), pair(4)];
        }
    }
}

#[target_feature(enable = "avx2")]
fn rows<const C: usize>(block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
    let (inputs, starts) = (inputs.as_chunks::<C>().0, starts.as_chunks::<2>().0.as_chunks::<C>().0);
    let Some(sums) = sums.first_chunk_mut::<C>() else { return };
    // Four times a row's sum, at most 4·128·2^window for each column, fits 32 bits.
    if block.largest <= NARROW_WINDOW && inputs.len() <= NARROW_QUADS {
        rows_of::<C, true>(block, inputs, starts, sums);
    } else {
        rows_of::<C, false>(block, inputs, starts, sums);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn rows_of<const C: usize, const NARROW: bool>(
    block: &Block<'_, L>,
    inputs: &[[u32; C]],
    starts: &[[[u32; 2]; C]],
    sums: &mut [Sums<L>; C],
) {
    match block.group_quads {
        1 => all_groups::<C, 1, NARROW>(block.vectors, 1, inputs, starts, sums),
        2 => all_groups::<C, 2, NARROW>(block.vectors, 2, inputs, starts, sums),
        4 => all_groups::<C, 4, NARROW>(block.vectors, 4, inputs, starts, sums),
        8 => all_groups::<C, 8, NARROW>(block.vectors, 8, inputs, starts, sums),
        quads => all_groups::<C, 0, NARROW>(block.vectors, quads, inputs, starts, sums),
    }
}

/// The row kernel for groups of `Q` quads, or of any number where `Q` is 0.
#[target_feature(enable = "avx2")]
fn all_groups<const C: usize, const Q: usize, const NARROW: bool>(
    vectors: &[[u32; L]],
    quads: usize,
    inputs: &[[u32; C]],
    starts: &[[[u32; 2]; C]],
    sums: &mut [Sums<L>; C],
) {
    let quads = if Q == 0 { quads } else { Q };
    let mut totals = [[_mm256_setzero_si256(); 4]; C];
    let (groups, full) = (vectors.chunks_exact(1 + quads), inputs.chunks_exact(quads));
    let (last, last_inputs) = (groups.remainder(), full.remainder());
    let mut starts = starts.iter();
    for ((vectors, inputs), starts) in groups.zip(full).zip(&mut starts) {
        one_group::<C, NARROW>(vectors, inputs, starts, &mut totals);
    }
    if let (false, Some(starts)) = (last.is_empty(), starts.next()) {
        one_group::<C, NARROW>(last, last_inputs, starts, &mut totals);
    }
    for c in 0..C {
        for f in 0..4 {
            let total = if NARROW && f % 2 == 1 { _mm256_srai_epi32::<2>(totals[c][f]) } else { totals[c][f] };
            let sum = &mut sums[c][f];
            store(sum, _mm256_add_epi32(load(sum), total));
        }
    }
}

/// Adds a group's products to the totals; where `NARROW`, four times those of upper fields.
#[target_feature(enable = "avx2")]
#[inline]
fn one_group<const C: usize, const NARROW: bool>(
    vectors: &[[u32; L]],
    inputs: &[[u32; C]],
    starts: &[[u32; 2]; C],
    totals: &mut [[__m256i; 4]; C],
) {
    let Some((counts, weights)) = vectors.split_first() else { return };
    let mut sums = [[_mm256_setzero_si256(); 4]; C];
    for c in 0..C {
        for f in 0..4 {
            sums[c][f] = _mm256_set1_epi32(starts[c][f % 2] as i32);
        }
    }
    for (weights, inputs) in weights.iter().zip(inputs) {
        let low = load(weights);
        let high = _mm256_srli_epi16::<4>(low);
        let (lower, upper) = (_mm256_set1_epi8(3), _mm256_set1_epi8(12));
        let fields = [
            _mm256_and_si256(low, lower),
            _mm256_and_si256(low, upper),
            _mm256_and_si256(high, lower),
            _mm256_and_si256(high, upper),
        ];
        for c in 0..C {
            let input = _mm256_set1_epi32(inputs[c] as i32);
            for f in 0..4 {
                sums[c][f] = pinned(_mm256_add_epi16(sums[c][f], _mm256_maddubs_epi16(fields[f], input)));
            }
        }
    }
    let counts = load(counts);
    if NARROW {
        // 2^distance in every byte.
        let powers = _mm256_setr_epi64x(i64::from_le_bytes(POWERS), 0, i64::from_le_bytes(POWERS), 0);
        let powers = _mm256_shuffle_epi8(powers, counts);
        for f in 0..4 {
            let multipliers = _mm256_shuffle_epi8(powers, byte_of_halves(f));
            for c in 0..C {
                totals[c][f] = _mm256_add_epi32(totals[c][f], _mm256_madd_epi16(sums[c][f], multipliers));
            }
        }
    } else {
        for f in 0..4 {
            let distances = _mm256_shuffle_epi8(counts, byte_of_words(f));
            for c in 0..C {
                let sum = if f % 2 == 1 { _mm256_srai_epi16::<2>(sums[c][f]) } else { sums[c][f] };
                let sum = _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
                totals[c][f] = _mm256_add_epi32(totals[c][f], _mm256_sllv_epi32(sum, distances));
            }
        }
    }
}

/// Picks byte `f` of each word for both of its halves, for `vpshufb`.
#[target_feature(enable = "avx2")]
#[inline]
fn byte_of_halves(f: usize) -> __m256i {
    let word = |lane: i32| (0x8000_8000u32 | ((4 * (lane as u32 % 4) + f as u32) * 0x0001_0001)) as i32;
    _mm256_setr_epi32(word(0), word(1), word(2), word(3), word(0), word(1), word(2), word(3))
}

/// Picks byte `f` of each word, for `vpshufb`.
#[target_feature(enable = "avx2")]
#[inline]
fn byte_of_words(f: usize) -> __m256i {
    let word = |lane: i32| (0x8080_8000u32 | (4 * (lane as u32 % 4) + f as u32)) as i32;
    _mm256_setr_epi32(word(0), word(1), word(2), word(3), word(0), word(1), word(2), word(3))
}

/// Multipliers 2^distance of a group's rows, twice in each word, 0 where the distance is another digit's.
#[target_feature(enable = "avx2")]
#[inline]
fn multipliers(counts: &[u32; L], digit: u32) -> [__m256i; 4] {
    let counts = load(counts);
    let mut multipliers = [_mm256_setzero_si256(); 4];
    for (f, multipliers) in multipliers.iter_mut().enumerate() {
        let distances = _mm256_shuffle_epi8(counts, byte_of_words(f));
        let distances = _mm256_sub_epi32(distances, _mm256_set1_epi32((digit * (MULTIPLIER_BITS + 1)) as i32));
        let beyond = _mm256_cmpgt_epi32(distances, _mm256_set1_epi32(MULTIPLIER_BITS as i32));
        // Negative counts shift everything out.
        let powers = _mm256_sllv_epi32(_mm256_set1_epi32(0x0001_0001), distances);
        *multipliers = _mm256_andnot_si256(beyond, powers);
    }
    multipliers
}

/// The trits of a vector of weights, a vector for each field.
#[target_feature(enable = "avx2")]
#[inline]
fn trits(weights: __m256i, out: &mut [[u32; L]; 4]) {
    let nibbles = _mm256_set1_epi8(15);
    let low = _mm256_and_si256(weights, nibbles);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(weights), nibbles);
    // For every nibble what it has in its lower field, and in its upper one, less 1.
    let lower = _mm256_set1_epi32(0x0001_00FF);
    let upper = _mm256_setr_epi32(-1, 0, 0x0101_0101, 0, -1, 0, 0x0101_0101, 0);
    for (f, nibbles) in [low, high].into_iter().enumerate() {
        store(&mut out[2 * f], _mm256_shuffle_epi8(lower, nibbles));
        store(&mut out[2 * f + 1], _mm256_shuffle_epi8(upper, nibbles));
    }
}

/// For each pair of groups four vectors of multipliers, those of the second group in the upper halves of words, and for each
/// of its quads four vectors of trits in the order of [`pair_inputs`]; then the same for each group without a pair.
#[target_feature(enable = "avx2")]
fn unpack(piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
    let size = 1 + piece.group_quads;
    let mut panel = panel.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0.iter_mut();
    let pairs = piece.vectors.chunks_exact(2 * size);
    let rest = pairs.remainder();
    for pair in pairs {
        let (first, second) = pair.split_at(size);
        let ([a, first @ ..], [b, second @ ..], Some(out)) = (first, second, panel.next()) else { return };
        for ((out, a), b) in out.iter_mut().zip(multipliers(a, digit)).zip(multipliers(b, digit)) {
            store(out, _mm256_blend_epi16::<UPPER_HALVES>(a, b));
        }
        for ((a, b), out) in first.iter().zip(second).zip(panel.by_ref()) {
            trits(_mm256_blend_epi16::<UPPER_HALVES>(load(a), _mm256_slli_epi32::<16>(load(b))), out);
        }
        for ((a, b), out) in first.iter().zip(second).zip(panel.by_ref()) {
            trits(_mm256_blend_epi16::<UPPER_HALVES>(_mm256_srli_epi32::<16>(load(a)), load(b)), out);
        }
    }
    for vectors in rest.chunks(size) {
        let ([counts, weights @ ..], Some(out)) = (vectors, panel.next()) else { return };
        for (out, multipliers) in out.iter_mut().zip(multipliers(counts, digit)) {
            store(out, multipliers);
        }
        for (weights, out) in weights.iter().zip(panel.by_ref()) {
            trits(load(weights), out);
        }
    }
}

/// From the order of the groups' quads to words that hold two columns of each of two neighbouring groups: their sums then
/// stay apart in the halves of a word, and one `vpmaddwd` multiplies both groups' and adds them up. Groups without a
/// neighbour, or with one that is not whole, keep their order.
fn pair_inputs(inputs: &mut [u32], size: usize) {
    for pair in inputs.chunks_exact_mut(2 * size) {
        let (first, second) = pair.split_at_mut(size);
        for (a, b) in first.iter_mut().zip(second) {
            (*a, *b) = ((*a & 0xFFFF) | (*b << 16), (*a >> 16) | (*b & 0xFFFF_0000));
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
    let (words, inputs) = (panel.words.as_chunks::<L>().0.as_chunks::<4>().0, inputs.as_chunks::<C>().0);
    let quads = panel.group_quads;
    let (pairs, rest) = inputs.split_at(inputs.len() - inputs.len() % (2 * quads));
    let of_pairs = pairs.len() + pairs.len() / (2 * quads);
    let (words, rest_words) = words.split_at_checked(of_pairs).unwrap_or((&[], &[]));
    match quads {
        1 => tile_of_pairs::<C, 2, 3>(words, pairs, shift, sums),
        2 => tile_of_pairs::<C, 4, 5>(words, pairs, shift, sums),
        4 => tile_of_pairs::<C, 8, 9>(words, pairs, shift, sums),
        8 => tile_of_pairs::<C, 16, 17>(words, pairs, shift, sums),
        _ => tile_of_any(2 * quads, words, pairs, shift, sums),
    }
    if !rest.is_empty() {
        tile_of_any(quads, rest_words, rest, shift, sums);
    }
}

/// Pairs of groups that have `Q` quads together; with their multipliers they are `V` = `Q` + 1 elements.
#[target_feature(enable = "avx2")]
#[inline]
fn tile_of_pairs<const C: usize, const Q: usize, const V: usize>(
    words: &[[[u32; L]; 4]],
    inputs: &[[u32; C]],
    shift: u32,
    sums: &mut [Sums<L>; C],
) {
    for fields in [0, 2] {
        let mut totals = [[_mm256_setzero_si256(); 2]; C];
        for (vectors, inputs) in words.as_chunks::<V>().0.iter().zip(inputs.as_chunks::<Q>().0) {
            add_products::<C>(vectors, inputs, fields, &mut totals);
        }
        add_totals(&totals, fields, shift, sums);
    }
}

/// Groups or pairs of them, of any number of quads.
#[target_feature(enable = "avx2")]
#[inline(never)]
fn tile_of_any<const C: usize>(
    quads: usize,
    words: &[[[u32; L]; 4]],
    inputs: &[[u32; C]],
    shift: u32,
    sums: &mut [Sums<L>; C],
) {
    for fields in [0, 2] {
        let mut totals = [[_mm256_setzero_si256(); 2]; C];
        for (vectors, inputs) in words.chunks(1 + quads).zip(inputs.chunks(quads)) {
            add_products::<C>(vectors, inputs, fields, &mut totals);
        }
        add_totals(&totals, fields, shift, sums);
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn add_totals<const C: usize>(totals: &[[__m256i; 2]; C], fields: usize, shift: u32, sums: &mut [Sums<L>; C]) {
    let shift = _mm_cvtsi32_si128(shift as i32);
    for c in 0..C {
        for f in 0..2 {
            let sum = &mut sums[c][fields + f];
            store(sum, _mm256_add_epi32(load(sum), _mm256_sll_epi32(totals[c][f], shift)));
        }
    }
}

/// Multipliers and trits of a pair of groups, or of a group of its own: sums of 16 bits are at most 96·255.
#[target_feature(enable = "avx2")]
#[inline]
fn add_products<const C: usize>(
    vectors: &[[[u32; L]; 4]],
    inputs: &[[u32; C]],
    fields: usize,
    totals: &mut [[__m256i; 2]; C],
) {
    let ([multipliers, first, weights @ ..], [first_inputs, inputs @ ..]) = (vectors, inputs) else { return };
    let mut sums = [[_mm256_setzero_si256(); 2]; C];
    for c in 0..C {
        let input = _mm256_set1_epi32(first_inputs[c] as i32);
        for f in 0..2 {
            sums[c][f] = pinned(_mm256_maddubs_epi16(input, load(&first[fields + f])));
        }
    }
    for (weights, inputs) in weights.iter().zip(inputs) {
        let weights = [load(&weights[fields]), load(&weights[fields + 1])];
        for c in 0..C {
            let input = _mm256_set1_epi32(inputs[c] as i32);
            for f in 0..2 {
                sums[c][f] = pinned(_mm256_add_epi16(sums[c][f], _mm256_maddubs_epi16(input, weights[f])));
            }
        }
    }
    for f in 0..2 {
        let multipliers = load(&multipliers[fields + f]);
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
        // SAFETY: as the caller promises.
        #[cfg(feature = "conv2d")]
        pack_conv2d: |layer| conv2d::pack(layer, unsafe { conv2d::x86_avx2::Avx2::new() }),
        #[cfg(feature = "conv2d")]
        conv2d: |layer, input, workspace, output| {
            // SAFETY: as the caller promises.
            conv2d::conv2d(layer, input, workspace, output, unsafe { conv2d::x86_avx2::Avx2::new() });
        },
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
