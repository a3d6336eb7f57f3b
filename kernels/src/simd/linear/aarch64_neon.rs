//! NEON: vectors of 4 words, `smlal`, sums of 16 bits within a group. Another file's multiply-adds share what is here.
//!
//! No sum of 16 bits overflows. Row kernel: codes are at most 2 and a group has at most 24 quads, so a sum, one for each
//! byte of a word, is at most 2·128·24 = 6,144 in magnitude, and two of them together at most 12,288. Panel kernel:
//! weights are at most 2^5, and the sums of [`STEP`] quads, two of them together, at most 2·3·128·32 = 24,576.
//!
//! Panels need no offset: inputs are signed there too, so that both kernels have the same. What the driver takes off for an
//! offset of 128, the panel adds first: 128 times the sum of its weights is what it begins with.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]

use super::PackedKernels;
use super::driver::{Leaf, Panel, Sums};
use super::finish::{self, RowFinish};
use super::input::for_each_group;
use super::packed::{Block, Format, Shape};
use core::arch::aarch64::*;
use core::arch::asm;

pub(super) const L: usize = 4;

/// The order of matrices, whatever multiplies.
pub(super) const FORMAT: Format = Format { lanes: L, rotated: false };

/// Quads whose products are added up in 16 bits.
const STEP: usize = 3;

/// The largest distance in a panel.
const PANEL_WINDOW: u32 = 5;

/// The proof that the processor has NEON: made by [`packed_kernels`] alone.
#[derive(Clone, Copy, Debug)]
struct Neon(());

/// Those functions of a leaf that do not depend on what multiplies, but for how its panels are made: `self` proves that the
/// processor has NEON, and what the function for that needs.
macro_rules! neon_for {
    ($window:expr, $unpack:path) => {
        const FORMAT: super::packed::Format = super::aarch64_neon::FORMAT;
        const ROW_SAMPLES: usize = 2;
        const PANEL_WINDOW: u32 = $window;
        const STARTS: usize = 1;

        fn panel_words(quads: usize, _: usize) -> usize {
            super::aarch64_neon::panel_words(quads)
        }

        fn pack_tile(self, shape: &super::packed::Shape, samples: &[i8], count: usize, _: u32, out: &mut [u32]) {
            super::input::pack_tile(shape, samples, count, 0, out);
        }

        fn prepare(self, shape: &super::packed::Shape, inputs: &[u32], samples: usize, starts: &mut [u32]) {
            super::aarch64_neon::prepare(shape, inputs, samples, starts);
        }

        fn unpack(self, piece: &super::packed::Block<'_, L>, digit: u32, panel: &mut [u32]) {
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { $unpack(piece, digit, $window, panel) }
        }

        fn finish_i8(self, sums: &[u32], rows: super::finish::RowFinish<'_>, relu: bool, output: &mut [i8]) {
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { super::aarch64_neon::finish_i8(sums, rows, relu, output) }
        }

        fn finish_i32(self, sums: &[u32], rows: super::finish::RowFinish<'_>, output: &mut [i32]) {
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { super::aarch64_neon::finish_i32(sums, rows, output) }
        }
    };
}
pub(super) use neon_for;

impl Leaf<L> for Neon {
    const PANEL_SAMPLES: usize = 4;

    neon_for!(PANEL_WINDOW, unpack);

    fn panel_from(_: &Shape, digits: u32) -> usize {
        if digits == 1 { 4 } else { usize::MAX }
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

    fn tile(self, panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
        // SAFETY: `self` proves that the processor has the instructions.
        unsafe {
            match sums.len() {
                0 => {}
                1 => tile::<1>(panel, inputs, shift, sums),
                2 => tile::<2>(panel, inputs, shift, sums),
                3 => tile::<3>(panel, inputs, shift, sums),
                _ => tile::<4>(panel, inputs, shift, sums),
            }
        }
    }
}

#[target_feature(enable = "neon")]
#[inline]
pub(super) fn load(words: &[u32; L]) -> uint32x4_t {
    // SAFETY: the array is 16 bytes, and the load asks for no more than the alignment of its words.
    unsafe { vld1q_u32(words.as_ptr()) }
}

#[target_feature(enable = "neon")]
#[inline]
pub(super) fn store(words: &mut [u32; L], vector: uint32x4_t) {
    // SAFETY: the array is 16 bytes, and the store asks for no more than the alignment of its words.
    unsafe { vst1q_u32(words.as_mut_ptr(), vector) }
}

/// Asks for vectors that will be read before long.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn fetch(vectors: &[[u32; L]]) {
    // A cache line is at least 64 bytes.
    for vector in vectors.iter().step_by(64 / size_of::<[u32; L]>()) {
        // SAFETY: a hint changes nothing and cannot fault.
        unsafe {
            asm!("prfm pldl2keep, [{0}]", in(reg) vector.as_ptr(), options(nostack, readonly, preserves_flags));
        }
    }
}

/// As [`finish::finish_i8`].
#[target_feature(enable = "neon")]
pub(super) fn finish_i8(sums: &[u32], rows: RowFinish<'_>, relu: bool, output: &mut [i8]) {
    finish::finish_i8(sums, rows, relu, output);
}

/// As [`finish::finish_i32`].
#[target_feature(enable = "neon")]
pub(super) fn finish_i32(sums: &[u32], rows: RowFinish<'_>, output: &mut [i32]) {
    finish::finish_i32(sums, rows, output);
}

/// A sum of codes starts with less the sum of the group's inputs.
pub(super) fn prepare(shape: &Shape, inputs: &[u32], samples: usize, starts: &mut [u32]) {
    match samples {
        1 => starts_of::<1>(shape, inputs, starts),
        _ => starts_of::<2>(shape, inputs, starts),
    }
}

fn starts_of<const C: usize>(shape: &Shape, inputs: &[u32], starts: &mut [u32]) {
    for_each_group::<C>(shape, inputs, starts, C, |sums, out| {
        for (sum, out) in sums.iter().zip(out) {
            *out = -sum as u32;
        }
    });
}

/// Four inputs for every lane.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn broadcast(input: u32) -> int8x16_t {
    vreinterpretq_s8_u32(vdupq_n_u32(input))
}

/// The distances of a group's exponents where shifts look for them, in the lowest byte of every lane: one vector a field.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn distances(counts: uint32x4_t) -> [int32x4_t; 4] {
    let counts = [counts, vshrq_n_u32::<8>(counts), vshrq_n_u32::<16>(counts), vshrq_n_u32::<24>(counts)];
    counts.map(|counts| vreinterpretq_s32_u32(counts))
}

#[target_feature(enable = "neon")]
fn rows<const C: usize>(block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
    let (inputs, starts) = (inputs.as_chunks::<C>().0, starts.as_chunks::<C>().0);
    let Some(sums) = sums.first_chunk_mut::<C>() else { return };
    match block.group_quads {
        1 => all_groups::<C, 1>(block.vectors, 1, inputs, starts, sums),
        2 => all_groups::<C, 2>(block.vectors, 2, inputs, starts, sums),
        8 => all_groups::<C, 8>(block.vectors, 8, inputs, starts, sums),
        quads => all_groups::<C, 0>(block.vectors, quads, inputs, starts, sums),
    }
}

/// The row kernel for groups of `Q` quads, or of any number where `Q` is 0.
#[target_feature(enable = "neon")]
fn all_groups<const C: usize, const Q: usize>(
    vectors: &[[u32; L]],
    quads: usize,
    inputs: &[[u32; C]],
    starts: &[[u32; C]],
    sums: &mut [Sums<L>; C],
) {
    let quads = if Q == 0 { quads } else { Q };
    let mut totals = sums.map(|sums| sums.map(|sum| load(&sum)));
    let groups = vectors.chunks(1 + quads).zip(inputs.chunks(quads)).zip(starts);
    for ((vectors, inputs), starts) in groups {
        one_group::<C>(vectors, inputs, starts, &mut totals);
    }
    for (sum, total) in sums.as_flattened_mut().iter_mut().zip(totals.as_flattened()) {
        store(sum, *total);
    }
}

#[target_feature(enable = "neon")]
#[inline]
fn one_group<const C: usize>(
    vectors: &[[u32; L]],
    inputs: &[[u32; C]],
    starts: &[u32; C],
    totals: &mut [[uint32x4_t; 4]; C],
) {
    let Some((counts, weights)) = vectors.split_first() else { return };
    // Of the first two rows of a vector, and of the other two.
    let mut sums = [[[vdupq_n_s16(0); 2]; 4]; C];
    for (weights, inputs) in weights.iter().zip(inputs) {
        let weights = vreinterpretq_u8_u32(load(weights));
        let field = vdupq_n_u8(3);
        let fields = [
            vandq_u8(weights, field),
            vandq_u8(vshrq_n_u8::<2>(weights), field),
            vandq_u8(vshrq_n_u8::<4>(weights), field),
            vshrq_n_u8::<6>(weights),
        ]
        .map(|codes| vreinterpretq_s8_u8(codes));
        for c in 0..C {
            let input = broadcast(inputs[c]);
            for f in 0..4 {
                sums[c][f] = multiply_add(sums[c][f], fields[f], input);
            }
        }
    }
    let distances = distances(load(counts));
    for c in 0..C {
        let start = vdupq_n_s32(starts[c] as i32);
        for f in 0..4 {
            let sum = vpadalq_s16(start, vpaddq_s16(sums[c][f][0], sums[c][f][1]));
            let shifted = vreinterpretq_u32_s32(vshlq_s32(sum, distances[f]));
            totals[c][f] = vaddq_u32(totals[c][f], shifted);
        }
    }
}

/// Adds 16 products to 16 sums.
#[target_feature(enable = "neon")]
#[inline]
fn multiply_add([low, high]: [int16x8_t; 2], weights: int8x16_t, input: int8x16_t) -> [int16x8_t; 2] {
    [vmlal_s8(low, vget_low_s8(weights), vget_low_s8(input)), vmlal_high_s8(high, weights, input)]
}

/// Words of a panel of so many quads: what it begins with, and its weights.
pub(super) const fn panel_words(quads: usize) -> usize {
    (1 + quads) * 4 * L
}

/// A panel of int8 weights, [1 + quads, field] vectors: what the sums begin with, then for each quad trits times 2^distance,
/// 0 where the distance is another digit's.
#[target_feature(enable = "neon")]
pub(super) fn unpack(piece: &Block<'_, L>, digit: u32, window: u32, panel: &mut [u32]) {
    let panel = panel.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0;
    let Some((first, panel)) = panel.split_first_mut() else { return };
    let (mut panel, mut weights_sums) = (panel.iter_mut(), [vdupq_n_s32(0); 4]);
    for vectors in piece.vectors.chunks(1 + piece.group_quads) {
        let Some((counts, weights)) = vectors.split_first() else { break };
        let counts = vreinterpretq_u8_u32(load(counts));
        // Byte f of every word.
        let bytes = vcombine_u8(vcreate_u8(0x0404_0404_0000_0000), vcreate_u8(0x0C0C_0C0C_0808_0808));
        let powers: [int8x16_t; 4] = core::array::from_fn(|f| {
            let distances = vqtbl1q_u8(counts, vaddq_u8(bytes, vdupq_n_u8(f as u8)));
            // What is below the digit's distances becomes more than 200.
            let distances = vsubq_u8(distances, vdupq_n_u8((digit * (window + 1)) as u8));
            let here = vcleq_u8(distances, vdupq_n_u8(window as u8));
            let powers = vshlq_u8(vdupq_n_u8(1), vreinterpretq_s8_u8(distances));
            vreinterpretq_s8_u8(vandq_u8(powers, here))
        });
        for (weights, out) in weights.iter().zip(panel.by_ref()) {
            let weights = vreinterpretq_u8_u32(load(weights));
            let codes = [weights, vshrq_n_u8::<2>(weights), vshrq_n_u8::<4>(weights), vshrq_n_u8::<6>(weights)];
            for f in 0..4 {
                let codes = vreinterpretq_s8_u8(vandq_u8(codes[f], vdupq_n_u8(3)));
                let weights = vmulq_s8(vsubq_s8(codes, vdupq_n_s8(1)), powers[f]);
                weights_sums[f] = vpadalq_s16(weights_sums[f], vpaddlq_s8(weights));
                store(&mut out[f], vreinterpretq_u32_s8(weights));
            }
        }
    }
    for (first, sum) in first.iter_mut().zip(weights_sums) {
        store(first, vreinterpretq_u32_s32(vshlq_n_s32::<7>(sum)));
    }
}

/// Adds what a panel gave, times 2^`shift`, to the sums of a sample.
#[target_feature(enable = "neon")]
#[inline]
pub(super) fn add_shifted(sums: &mut [[u32; L]], products: &[int32x4_t], shift: u32) {
    let shift = vdupq_n_s32(shift as i32);
    for (sum, product) in sums.iter_mut().zip(products) {
        store(sum, vaddq_u32(load(sum), vshlq_u32(vreinterpretq_u32_s32(*product), shift)));
    }
}

/// The panel kernel: two fields at a time.
#[target_feature(enable = "neon")]
fn tile<const C: usize>(panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
    fetch(panel.next);
    let Some((first, weights)) = panel.words.as_chunks::<L>().0.as_chunks::<4>().0.split_first() else { return };
    let (steps, last) = inputs.as_chunks::<C>().0.as_chunks::<STEP>();
    for pair in [0, 2] {
        let begin = [0, 1].map(|f| vreinterpretq_s32_u32(load(&first[pair + f])));
        let mut products = [begin; C];
        for (weights, inputs) in weights.as_chunks::<STEP>().0.iter().zip(steps) {
            step::<C>(weights, inputs, pair, &mut products);
        }
        step::<C>(weights.get(steps.len() * STEP..).unwrap_or(&[]), last, pair, &mut products);
        for (sums, products) in sums.iter_mut().zip(&products) {
            add_shifted(&mut sums[pair..], products, shift);
        }
    }
}

/// At most [`STEP`] quads of the panel kernel.
#[target_feature(enable = "neon")]
#[inline]
fn step<const C: usize>(
    weights: &[[[u32; L]; 4]],
    inputs: &[[u32; C]],
    pair: usize,
    products: &mut [[int32x4_t; 2]; C],
) {
    for f in 0..2 {
        let mut sums = [[vdupq_n_s16(0); 2]; C];
        for (weights, inputs) in weights.iter().zip(inputs) {
            let weights = vreinterpretq_s8_u32(load(&weights[pair + f]));
            for c in 0..C {
                sums[c] = multiply_add(sums[c], weights, broadcast(inputs[c]));
            }
        }
        for c in 0..C {
            products[c][f] = vpadalq_s16(products[c][f], vpaddq_s16(sums[c][0], sums[c][1]));
        }
    }
}

/// Multiply-adds whose operands never leave their registers.
#[target_feature(enable = "neon")]
fn peak(rounds: u64) -> u64 {
    // SAFETY: instructions of the feature above, on registers that are named as overwritten; no memory is touched.
    unsafe {
        asm!(
            "2:",
            "smlal v0.8h, v30.8b, v31.8b",
            "smlal v1.8h, v30.8b, v31.8b",
            "smlal v2.8h, v30.8b, v31.8b",
            "smlal v3.8h, v30.8b, v31.8b",
            "smlal v4.8h, v30.8b, v31.8b",
            "smlal v5.8h, v30.8b, v31.8b",
            "smlal v6.8h, v30.8b, v31.8b",
            "smlal v7.8h, v30.8b, v31.8b",
            "smlal v16.8h, v30.8b, v31.8b",
            "smlal v17.8h, v30.8b, v31.8b",
            "smlal v18.8h, v30.8b, v31.8b",
            "smlal v19.8h, v30.8b, v31.8b",
            "subs {rounds}, {rounds}, #1",
            "b.ne 2b",
            rounds = inout(reg) rounds.max(1) => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            options(nomem, nostack)
        );
    }
    rounds.max(1) * 12 * 8 * 2
}

/// For a table of kernels that is handed out only where the processor has NEON.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn packed_kernels() -> PackedKernels {
    const LEAF: Neon = Neon(());
    PackedKernels {
        pack: |matrix| super::pack(matrix, LEAF),
        linear_i8: |layer, input, workspace, output| super::linear_i8(layer, input, workspace, output, LEAF),
        linear_i32: |layer, input, workspace, output| super::linear_i32(layer, input, workspace, output, LEAF),
        #[cfg(feature = "conv2d")]
        pack_conv2d: |layer| super::pack_gathering(layer, LEAF),
        #[cfg(feature = "conv2d")]
        conv2d: |layer, input, workspace, output| super::gathering(layer, input, workspace, output, LEAF),
        read: |words| LEAF.read(words),
        // SAFETY: as the caller promises.
        peak: |rounds| unsafe { peak(rounds) },
    }
}
