//! AVX-512 VNNI: vectors of 16 words, `vpdpbusd`, rotation by a count of each lane.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]

use super::PackedKernels;
use super::driver::{Leaf, Panel, Sums};
use super::input::for_each_group;
use super::int8::{self, Int8Kernels, Int8Leaf};
use super::packed::{Block, Format, RowConstants, Shape, Window};
use super::transcode::{Transcoder, offset_of_group};
use super::x86_transcode::{Avx2, Avx512Vbmi};
#[cfg(feature = "conv2d")]
use crate::simd::conv2d;
use core::arch::asm;
use core::arch::x86_64::*;

const L: usize = 16;

/// From this many quads on it pays to leave one mask away and to subtract sums instead.
const PREFIX_FROM: usize = 4;

/// The proof that the processor has AVX-512 F, BW and VNNI: made by [`packed_kernels`] and
/// [`int8_kernels`] alone.
#[derive(Clone, Copy, Debug)]
struct Avx512Vnni(());

impl Leaf<L> for Avx512Vnni {
    const FORMAT: Format = Format { lanes: L, rotated: true };
    const ROW_SAMPLES: usize = 3;
    const PANEL_SAMPLES: usize = 6;
    const PANEL_WINDOW: u32 = 6;
    const STARTS: usize = 4;

    compiled_for!("avx512f,avx512bw,avx512vl,bmi2");

    fn transcode(
        self,
        transcoder: &mut Transcoder<'_>,
        block: usize,
        vectors: &mut [[u32; L]],
        constants: &mut [RowConstants],
    ) -> Window {
        if !has!("avx512vbmi") {
            // SAFETY: `self` proves that the processor has the instructions.
            return unsafe { transcode(transcoder, block, vectors, constants) };
        }
        // SAFETY: `self` proves that the processor has all instructions but VBMI, which it was asked for.
        unsafe { transcode_vbmi(transcoder, block, vectors, constants) }
    }

    fn panel_from(shape: &Shape, digits: u32) -> usize {
        match (digits, shape.group_quads) {
            (1, _) => 4,
            // A shift of every group's sum costs less than another digit.
            (2, ..=2) => 8,
            (3, 1) => 16,
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
                2 => prepare::<2>(shape, inputs, starts),
                _ => prepare::<3>(shape, inputs, starts),
            }
        }
    }

    fn rows(self, block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            match sums {
                [] => {}
                [_] => rows::<1>(block, inputs, starts, sums),
                [_, _] => rows::<2>(block, inputs, starts, sums),
                _ => rows::<3>(block, inputs, starts, sums),
            }
        }
    }

    fn unpack(self, piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            if piece.largest <= 6 && !piece.plain {
                unpack::<false>(piece, digit, panel);
            } else {
                unpack::<true>(piece, digit, panel);
            }
        }
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

impl Int8Leaf<L> for Avx512Vnni {}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi2")]
fn transcode(
    transcoder: &mut Transcoder<'_>,
    block: usize,
    vectors: &mut [[u32; L]],
    constants: &mut [RowConstants],
) -> Window {
    transcoder.block(block, vectors, constants, Avx2(()))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi,bmi2")]
fn transcode_vbmi(
    transcoder: &mut Transcoder<'_>,
    block: usize,
    vectors: &mut [[u32; L]],
    constants: &mut [RowConstants],
) -> Window {
    transcoder.block(block, vectors, constants, Avx512Vbmi(()))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn load(words: &[u32; L]) -> __m512i {
    // SAFETY: the array is 64 bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
#[inline]
fn store(words: &mut [u32; L], vector: __m512i) {
    // SAFETY: the array is 64 bytes, and the store asks for no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) }
}

/// The sums of the four fields start with the group's offset less the sum of its inputs, as often as their masks let bits of
/// lower fields through: 1, 1 + 4, 1 + 4 + 16 and so on times, or 1, 4, 16 and 64 times.
#[target_feature(enable = "avx512f,avx512bw")]
fn prepare<const C: usize>(shape: &Shape, inputs: &[u32], starts: &mut [u32]) {
    let offset = offset_of_group(shape);
    let factors = if shape.group_quads < PREFIX_FROM { [1, 4, 16, 64] } else { [1, 5, 21, 85] };
    for_each_group::<C>(shape, inputs, starts, C * 4, |sums, out| {
        for (sum, out) in sums.iter().zip(out.as_chunks_mut::<4>().0) {
            *out = factors.map(|factor| ((offset - sum) * factor) as u32);
        }
    });
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn rows<const C: usize>(block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
    let (inputs, starts) = (inputs.as_chunks::<C>().0, starts.as_chunks::<4>().0.as_chunks::<C>().0);
    let Some(sums) = sums.first_chunk_mut::<C>() else { return };
    match (block.plain, block.group_quads) {
        (true, quads) => all_groups::<C, 0, true>(block.vectors, quads, inputs, starts, sums),
        (false, 1) => all_groups::<C, 1, false>(block.vectors, 1, inputs, starts, sums),
        (false, 2) => all_groups::<C, 2, false>(block.vectors, 2, inputs, starts, sums),
        (false, 4) => all_groups::<C, 4, false>(block.vectors, 4, inputs, starts, sums),
        (false, 8) => all_groups::<C, 8, false>(block.vectors, 8, inputs, starts, sums),
        (false, quads) => all_groups::<C, 0, false>(block.vectors, quads, inputs, starts, sums),
    }
}

/// The row kernel for groups of `Q` quads, or of any number where `Q` is 0; counts are distances where `PLAIN`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn all_groups<const C: usize, const Q: usize, const PLAIN: bool>(
    vectors: &[[u32; L]],
    quads: usize,
    inputs: &[[u32; C]],
    starts: &[[[u32; 4]; C]],
    sums: &mut [Sums<L>; C],
) {
    let quads = if Q == 0 { quads } else { Q };
    let prefix = quads >= PREFIX_FROM;
    let mut totals = [[_mm512_setzero_si512(); 4]; C];
    for c in 0..C {
        for f in 0..4 {
            totals[c][f] = load(&sums[c][f]);
        }
    }
    let (groups, full) = (vectors.chunks_exact(1 + quads), inputs.chunks_exact(quads));
    let (last, last_inputs) = (groups.remainder(), full.remainder());
    let mut starts = starts.iter();
    for ((vectors, inputs), starts) in groups.zip(full).zip(&mut starts) {
        one_group::<C, PLAIN>(vectors, inputs, starts, prefix, &mut totals);
    }
    if let (false, Some(starts)) = (last.is_empty(), starts.next()) {
        one_group::<C, PLAIN>(last, last_inputs, starts, prefix, &mut totals);
    }
    for c in 0..C {
        for f in 0..4 {
            store(&mut sums[c][f], totals[c][f]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn one_group<const C: usize, const PLAIN: bool>(
    vectors: &[[u32; L]],
    inputs: &[[u32; C]],
    starts: &[[u32; 4]; C],
    prefix: bool,
    totals: &mut [[__m512i; 4]; C],
) {
    let Some((counts, weights)) = vectors.split_first() else { return };
    let masks = if prefix { [3, 15, 63, 255u8] } else { [3, 12, 48, 192] }.map(|mask| mask as i8);
    let mut sums = [[_mm512_setzero_si512(); 4]; C];
    for c in 0..C {
        for f in 0..4 {
            sums[c][f] = _mm512_set1_epi32(starts[c][f] as i32);
        }
    }
    for (weights, inputs) in weights.iter().zip(inputs) {
        let weights = load(weights);
        for f in 0..4 {
            let field = if prefix && f == 3 { weights } else { _mm512_and_si512(weights, _mm512_set1_epi8(masks[f])) };
            for c in 0..C {
                sums[c][f] = _mm512_dpbusd_epi32(sums[c][f], field, _mm512_set1_epi32(inputs[c] as i32));
            }
        }
    }
    let counts = load(counts);
    let counts =
        [counts, _mm512_srli_epi32::<8>(counts), _mm512_srli_epi32::<16>(counts), _mm512_srli_epi32::<24>(counts)];
    for c in 0..C {
        if prefix {
            for f in [3, 2, 1] {
                sums[c][f] = _mm512_sub_epi32(sums[c][f], sums[c][f - 1]);
            }
        }
        for f in 0..4 {
            let shifted = if PLAIN {
                // A multiple of 4^f that is not negative, with the offset in it.
                let sum = _mm512_srlv_epi32(sums[c][f], _mm512_set1_epi32(2 * f as i32));
                _mm512_sllv_epi32(sum, _mm512_and_si512(counts[f], _mm512_set1_epi32(31)))
            } else {
                // Of the counts the lowest five bits matter.
                _mm512_rolv_epi32(sums[c][f], counts[f])
            };
            totals[c][f] = _mm512_add_epi32(totals[c][f], shifted);
        }
    }
}

/// A panel of int8 weights, [quads, field] vectors of quads: trits times 2^distance. `ANY` digit and counts; otherwise the
/// only digit of counts that are rotations.
#[target_feature(enable = "avx512f,avx512bw")]
fn unpack<const ANY: bool>(piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
    let mut panel = panel.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0.iter_mut();
    let masks = [3, 12, 48, 192u8].map(|mask| mask as i8);
    for vectors in piece.vectors.chunks(1 + piece.group_quads) {
        let Some((counts, weights)) = vectors.split_first() else { return };
        let packed = load(counts);
        let mut counts = [_mm512_setzero_si512(); 4];
        let mut ones = counts;
        let mut chosen = [!0; 4];
        for f in 0..4 {
            counts[f] = _mm512_srlv_epi32(packed, _mm512_set1_epi32(8 * f as i32));
            if ANY {
                let back = if piece.plain { 0 } else { 2 * f as i32 };
                let distances = _mm512_add_epi32(counts[f], _mm512_set1_epi32(back));
                let distances = _mm512_and_si512(distances, _mm512_set1_epi32(31));
                let distances = _mm512_sub_epi32(distances, _mm512_set1_epi32(7 * digit as i32));
                chosen[f] = _mm512_cmplt_epu32_mask(distances, _mm512_set1_epi32(7));
                counts[f] = _mm512_sub_epi32(distances, _mm512_set1_epi32(2 * f as i32));
            }
            // 2^distance in every byte: what a code of 1, which is trit 0, becomes.
            ones[f] = _mm512_maskz_rolv_epi32(chosen[f], _mm512_set1_epi8(1 << (2 * f)), counts[f]);
        }
        for (weights, out) in weights.iter().zip(panel.by_ref()) {
            let weights = load(weights);
            for f in 0..4 {
                let codes = _mm512_and_si512(weights, _mm512_set1_epi8(masks[f]));
                let codes = _mm512_maskz_rolv_epi32(chosen[f], codes, counts[f]);
                store(&mut out[f], _mm512_sub_epi8(codes, ones[f]));
            }
        }
    }
}

/// The panel kernel: inputs as uint8, weights as int8.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn tile<const C: usize>(panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
    for vector in panel.next {
        _mm_prefetch::<_MM_HINT_T1>(vector.as_ptr().cast());
    }
    let panel = panel.words.as_chunks::<L>().0.as_chunks::<4>().0;
    let mut products = [[_mm512_setzero_si512(); 4]; C];
    for (weights, inputs) in panel.iter().zip(inputs.as_chunks::<C>().0) {
        let weights = [load(&weights[0]), load(&weights[1]), load(&weights[2]), load(&weights[3])];
        for c in 0..C {
            let input = _mm512_set1_epi32(inputs[c] as i32);
            for f in 0..4 {
                products[c][f] = _mm512_dpbusd_epi32(products[c][f], input, weights[f]);
            }
        }
    }
    let shift = _mm_cvtsi32_si128(shift as i32);
    for (sums, products) in sums.iter_mut().zip(&products) {
        for (sum, product) in sums.iter_mut().zip(products) {
            store(sum, _mm512_add_epi32(load(sum), _mm512_sll_epi32(*product, shift)));
        }
    }
}

/// Multiply-adds whose operands never leave their registers.
#[target_feature(enable = "avx512f,avx512vnni")]
fn peak(rounds: u64) -> u64 {
    // SAFETY: instructions of the features above, on registers that are named as overwritten; no memory is touched.
    unsafe {
        asm!(
            "2:",
            "vpdpbusd zmm0, zmm30, zmm31",
            "vpdpbusd zmm1, zmm30, zmm31",
            "vpdpbusd zmm2, zmm30, zmm31",
            "vpdpbusd zmm3, zmm30, zmm31",
            "vpdpbusd zmm4, zmm30, zmm31",
            "vpdpbusd zmm5, zmm30, zmm31",
            "vpdpbusd zmm6, zmm30, zmm31",
            "vpdpbusd zmm7, zmm30, zmm31",
            "vpdpbusd zmm8, zmm30, zmm31",
            "vpdpbusd zmm9, zmm30, zmm31",
            "vpdpbusd zmm10, zmm30, zmm31",
            "vpdpbusd zmm11, zmm30, zmm31",
            "sub {rounds}, 1",
            "jnz 2b",
            rounds = inout(reg) rounds.max(1) => _,
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _, out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
            options(nomem, nostack)
        );
    }
    rounds.max(1) * 12 * 64 * 2
}

/// For a table of kernels that is handed out only where the processor has AVX-512 F, BW and VNNI.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn packed_kernels() -> PackedKernels {
    const LEAF: Avx512Vnni = Avx512Vnni(());
    PackedKernels {
        pack: |matrix| super::pack(matrix, LEAF),
        linear_i8: |layer, input, workspace, output| super::linear_i8(layer, input, workspace, output, LEAF),
        linear_i32: |layer, input, workspace, output| super::linear_i32(layer, input, workspace, output, LEAF),
        // SAFETY: as the caller promises.
        #[cfg(feature = "conv2d")]
        pack_conv2d: |layer| conv2d::pack(layer, unsafe { conv2d::x86_avx512_vnni::Avx512Vnni::new() }),
        #[cfg(feature = "conv2d")]
        conv2d: |layer, input, workspace, output| {
            // SAFETY: as the caller promises.
            conv2d::conv2d(layer, input, workspace, output, unsafe { conv2d::x86_avx512_vnni::Avx512Vnni::new() });
        },
        read: |words| LEAF.read(words),
        // SAFETY: as the caller promises.
        peak: |rounds| unsafe { peak(rounds) },
    }
}

/// For a reference that is handed out only where the processor has AVX-512 F, BW and VNNI.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn int8_kernels() -> Int8Kernels {
    const LEAF: Avx512Vnni = Avx512Vnni(());
    Int8Kernels {
        pack: int8::pack::<L>,
        multiply: |matrix, input, workspace, output| int8::multiply(matrix, input, workspace, output, LEAF),
    }
}
