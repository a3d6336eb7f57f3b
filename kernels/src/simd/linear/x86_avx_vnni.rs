//! AVX-VNNI: vectors of 8 words, `vpdpbusd` without AVX-512; the order of matrices is AVX2's.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]

use super::PackedKernels;
use super::driver::{Leaf, Panel, Sums};
use super::input::for_each_group;
use super::int8::{self, Int8Kernels, Int8Leaf};
use super::packed::{Block, Format, Shape};
#[cfg(feature = "conv2d")]
use crate::simd::conv2d;
use core::arch::asm;
use core::arch::x86_64::*;

const L: usize = 8;

/// The proof that the processor has AVX2, AVX-VNNI and BMI2: made by [`packed_kernels`] and
/// [`int8_kernels`] alone.
#[derive(Clone, Copy, Debug)]
struct AvxVnni(());

impl Leaf<L> for AvxVnni {
    const FORMAT: Format = Format { lanes: L, rotated: false };
    const ROW_SAMPLES: usize = 2;
    const PANEL_SAMPLES: usize = 6;
    const PANEL_WINDOW: u32 = 6;
    const STARTS: usize = 4;

    compiled_for!("avx2,bmi2");
    transcode_for!("avx2,bmi2");

    fn panel_from(shape: &Shape, digits: u32) -> usize {
        match (digits, shape.group_quads) {
            (1, _) => 4,
            // A shift of every group's sum costs less than another digit.
            (2, ..=2) => 8,
            _ => usize::MAX,
        }
    }

    fn panel_words(quads: usize, _: usize) -> usize {
        quads * 4 * L
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
                5 => tile::<5>(panel, inputs, shift, sums),
                _ => tile::<6>(panel, inputs, shift, sums),
            }
        }
    }
}

impl Int8Leaf<L> for AvxVnni {}

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

/// The sum of field f starts with less 4^f times the sum of the group's inputs.
#[target_feature(enable = "avx2")]
fn prepare<const C: usize>(shape: &Shape, inputs: &[u32], starts: &mut [u32]) {
    for_each_group::<C>(shape, inputs, starts, C * 4, |sums, out| {
        for (sum, out) in sums.iter().zip(out.as_chunks_mut::<4>().0) {
            *out = [1, 4, 16, 64].map(|factor| (-sum * factor) as u32);
        }
    });
}

#[target_feature(enable = "avx2,avxvnni")]
fn rows<const C: usize>(block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
    let (inputs, starts) = (inputs.as_chunks::<C>().0, starts.as_chunks::<4>().0.as_chunks::<C>().0);
    let Some(sums) = sums.first_chunk_mut::<C>() else { return };
    match block.group_quads {
        1 => all_groups::<C, 1>(block.vectors, 1, inputs, starts, sums),
        2 => all_groups::<C, 2>(block.vectors, 2, inputs, starts, sums),
        8 => all_groups::<C, 8>(block.vectors, 8, inputs, starts, sums),
        quads => all_groups::<C, 0>(block.vectors, quads, inputs, starts, sums),
    }
}

/// The row kernel for groups of `Q` quads, or of any number where `Q` is 0.
#[target_feature(enable = "avx2,avxvnni")]
fn all_groups<const C: usize, const Q: usize>(
    vectors: &[[u32; L]],
    quads: usize,
    inputs: &[[u32; C]],
    starts: &[[[u32; 4]; C]],
    sums: &mut [Sums<L>; C],
) {
    let quads = if Q == 0 { quads } else { Q };
    let mut totals = [[_mm256_setzero_si256(); 4]; C];
    for c in 0..C {
        for f in 0..4 {
            totals[c][f] = load(&sums[c][f]);
        }
    }
    let groups = vectors.chunks(1 + quads).zip(inputs.chunks(quads)).zip(starts);
    for ((vectors, inputs), starts) in groups {
        one_group::<C>(vectors, inputs, starts, &mut totals);
    }
    for c in 0..C {
        for f in 0..4 {
            store(&mut sums[c][f], totals[c][f]);
        }
    }
}

#[target_feature(enable = "avx2,avxvnni")]
#[inline]
fn one_group<const C: usize>(
    vectors: &[[u32; L]],
    inputs: &[[u32; C]],
    starts: &[[u32; 4]; C],
    totals: &mut [[__m256i; 4]; C],
) {
    let Some((counts, weights)) = vectors.split_first() else { return };
    let masks = [3, 12, 48, 192u8].map(|mask| mask as i8);
    let mut sums = [[_mm256_setzero_si256(); 4]; C];
    for c in 0..C {
        for f in 0..4 {
            sums[c][f] = _mm256_set1_epi32(starts[c][f] as i32);
        }
    }
    for (weights, inputs) in weights.iter().zip(inputs) {
        let weights = load(weights);
        for f in 0..4 {
            let field = _mm256_and_si256(weights, _mm256_set1_epi8(masks[f]));
            for c in 0..C {
                sums[c][f] = _mm256_dpbusd_avx_epi32(sums[c][f], field, _mm256_set1_epi32(inputs[c] as i32));
            }
        }
    }
    let counts = load(counts);
    for c in 0..C {
        for f in 0..4 {
            // A multiple of 4^f: nothing is lost.
            let sum = _mm256_sra_epi32(sums[c][f], _mm_cvtsi32_si128(2 * f as i32));
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

/// A panel of int8 weights, [quads, field] vectors of quads: trits times 2^distance, 0 where the distance is another digit's.
#[target_feature(enable = "avx2")]
fn unpack(piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
    let mut panel = panel.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0.iter_mut();
    for vectors in piece.vectors.chunks(1 + piece.group_quads) {
        let Some((counts, weights)) = vectors.split_first() else { return };
        let counts = load(counts);
        let mut distances = [_mm256_setzero_si256(); 4];
        let mut ones = distances;
        for f in 0..4 {
            let distance = _mm256_shuffle_epi8(counts, byte_of_words(f));
            let distance = _mm256_sub_epi32(distance, _mm256_set1_epi32(7 * digit as i32));
            // Negative counts shift everything out; those of higher digits are made so.
            distances[f] = _mm256_or_si256(distance, _mm256_cmpgt_epi32(distance, _mm256_set1_epi32(6)));
            ones[f] = _mm256_sllv_epi32(_mm256_set1_epi8(1), distances[f]);
        }
        for (weights, out) in weights.iter().zip(panel.by_ref()) {
            let weights = load(weights);
            for f in 0..4 {
                let codes = _mm256_srl_epi16(weights, _mm_cvtsi32_si128(2 * f as i32));
                let codes = _mm256_and_si256(codes, _mm256_set1_epi8(3));
                store(&mut out[f], _mm256_sub_epi8(_mm256_sllv_epi32(codes, distances[f]), ones[f]));
            }
        }
    }
}

/// The panel kernel: inputs as uint8, weights as int8, two fields at a time.
#[target_feature(enable = "avx2,avxvnni")]
fn tile<const C: usize>(panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
    for vector in panel.next {
        _mm_prefetch::<_MM_HINT_T1>(vector.as_ptr().cast());
    }
    let panel = panel.words.as_chunks::<L>().0.as_chunks::<4>().0;
    let shift = _mm_cvtsi32_si128(shift as i32);
    for pair in [0, 2] {
        let mut products = [[_mm256_setzero_si256(); 2]; C];
        for (weights, inputs) in panel.iter().zip(inputs.as_chunks::<C>().0) {
            let weights = [load(&weights[pair]), load(&weights[pair + 1])];
            for c in 0..C {
                let input = _mm256_set1_epi32(inputs[c] as i32);
                for f in 0..2 {
                    products[c][f] = _mm256_dpbusd_avx_epi32(products[c][f], input, weights[f]);
                }
            }
        }
        for (sums, products) in sums.iter_mut().zip(&products) {
            for (sum, product) in sums[pair..].iter_mut().zip(products) {
                store(sum, _mm256_add_epi32(load(sum), _mm256_sll_epi32(*product, shift)));
            }
        }
    }
}

/// Multiply-adds whose operands never leave their registers.
#[target_feature(enable = "avx2,avxvnni")]
fn peak(rounds: u64) -> u64 {
    // SAFETY: instructions of the features above, on registers that are named as overwritten; no memory is touched.
    unsafe {
        asm!(
            "2:",
            "{{vex}} vpdpbusd ymm0, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm1, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm2, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm3, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm4, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm5, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm6, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm7, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm8, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm9, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm10, ymm14, ymm15",
            "{{vex}} vpdpbusd ymm11, ymm14, ymm15",
            "sub {rounds}, 1",
            "jnz 2b",
            rounds = inout(reg) rounds.max(1) => _,
            out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _, out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _, out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
            options(nomem, nostack)
        );
    }
    rounds.max(1) * 12 * 32 * 2
}

/// For a table of kernels that is handed out only where the processor has AVX2, AVX-VNNI and BMI2.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn packed_kernels() -> PackedKernels {
    const LEAF: AvxVnni = AvxVnni(());
    PackedKernels {
        pack: |matrix| super::pack(matrix, LEAF),
        linear_i8: |layer, input, workspace, output| super::linear_i8(layer, input, workspace, output, LEAF),
        linear_i32: |layer, input, workspace, output| super::linear_i32(layer, input, workspace, output, LEAF),
        // SAFETY: as the caller promises.
        #[cfg(feature = "conv2d")]
        pack_conv2d: |layer| conv2d::pack(layer, unsafe { conv2d::x86_avx_vnni::AvxVnni::new() }),
        #[cfg(feature = "conv2d")]
        conv2d: |layer, input, workspace, output| {
            // SAFETY: as the caller promises.
            conv2d::conv2d(layer, input, workspace, output, unsafe { conv2d::x86_avx_vnni::AvxVnni::new() });
        },
        read: |words| LEAF.read(words),
        // SAFETY: as the caller promises.
        peak: |rounds| unsafe { peak(rounds) },
    }
}

/// For a reference that is handed out only where the processor has AVX2, AVX-VNNI and BMI2.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn int8_kernels() -> Int8Kernels {
    const LEAF: AvxVnni = AvxVnni(());
    Int8Kernels {
        pack: int8::pack::<L>,
        multiply: |matrix, input, workspace, output| int8::multiply(matrix, input, workspace, output, LEAF),
    }
}
