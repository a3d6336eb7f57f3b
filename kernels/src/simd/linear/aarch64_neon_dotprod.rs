//! NEON with the dot products of Armv8.2: vectors of 4 words, `sdot`; the order of matrices, panels and inputs are plain
//! NEON's.
//!
//! `sdot` is written out, for its intrinsics are not stable.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]

use super::PackedKernels;
use super::aarch64_neon::{L, add_shifted, broadcast, distances, fetch, load, neon_for, store};
use super::driver::{Leaf, Panel, Sums};
use super::packed::{Block, Shape};
use core::arch::aarch64::*;
use core::arch::asm;

/// The proof that the processor has NEON and its dot products: made by [`packed_kernels`] alone.
#[derive(Clone, Copy, Debug)]
struct NeonDotprod(());

impl Leaf<L> for NeonDotprod {
    const PANEL_SAMPLES: usize = 6;

    neon_for!(6, super::aarch64_neon::unpack);

    fn panel_from(shape: &Shape, digits: u32) -> usize {
        match (digits, shape.group_quads) {
            (1, _) => 4,
            // A shift of every group's sum costs less than another digit.
            (2, ..=2) => 8,
            _ => usize::MAX,
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

/// Adds to each lane its four products.
#[target_feature(enable = "neon,dotprod")]
#[inline]
fn dot(mut sums: int32x4_t, weights: int8x16_t, inputs: int8x16_t) -> int32x4_t {
    // SAFETY: an instruction of the features above, on the registers named; no memory is touched.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {inputs:v}.16b",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            inputs = in(vreg) inputs,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// The row kernel.
#[target_feature(enable = "neon,dotprod")]
pub(super) fn rows<const C: usize>(block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
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
#[target_feature(enable = "neon,dotprod")]
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

#[target_feature(enable = "neon,dotprod")]
#[inline]
fn one_group<const C: usize>(
    vectors: &[[u32; L]],
    inputs: &[[u32; C]],
    starts: &[u32; C],
    totals: &mut [[uint32x4_t; 4]; C],
) {
    let Some((counts, weights)) = vectors.split_first() else { return };
    let mut sums = [[vdupq_n_s32(0); 4]; C];
    for c in 0..C {
        let start = vdupq_n_s32(starts[c] as i32);
        // Of the codes times 4^f; field 3 is shifted down, for 2·4^3 would be negative.
        sums[c] = [start, vshlq_n_s32::<2>(start), vshlq_n_s32::<4>(start), start];
    }
    for (weights, inputs) in weights.iter().zip(inputs) {
        let weights = vreinterpretq_u8_u32(load(weights));
        let masked = [3, 12, 48].map(|mask| vandq_u8(weights, vdupq_n_u8(mask)));
        let fields = [masked[0], masked[1], masked[2], vshrq_n_u8::<6>(weights)];
        for c in 0..C {
            let input = broadcast(inputs[c]);
            for f in 0..4 {
                sums[c][f] = dot(sums[c][f], vreinterpretq_s8_u8(fields[f]), input);
            }
        }
    }
    // Distances less 2·f: a negative one shifts a multiple of 4^f to the right, and nothing is lost.
    let counts = vreinterpretq_u8_u32(load(counts));
    let scales = vreinterpretq_u8_u32(vdupq_n_u32(0x0004_0200));
    let distances = distances(vreinterpretq_u32_u8(vsubq_u8(counts, scales)));
    for c in 0..C {
        for f in 0..4 {
            let shifted = vreinterpretq_u32_s32(vshlq_s32(sums[c][f], distances[f]));
            totals[c][f] = vaddq_u32(totals[c][f], shifted);
        }
    }
}

/// The panel kernel: all fields at once.
#[target_feature(enable = "neon,dotprod")]
fn tile<const C: usize>(panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
    fetch(panel.next);
    let Some((first, weights)) = panel.words.as_chunks::<L>().0.as_chunks::<4>().0.split_first() else { return };
    let mut products = [first.map(|first| vreinterpretq_s32_u32(load(&first))); C];
    for (weights, inputs) in weights.iter().zip(inputs.as_chunks::<C>().0) {
        let weights = [0, 1, 2, 3].map(|f| vreinterpretq_s8_u32(load(&weights[f])));
        for c in 0..C {
            let input = broadcast(inputs[c]);
            for f in 0..4 {
                products[c][f] = dot(products[c][f], weights[f], input);
            }
        }
    }
    for (sums, products) in sums.iter_mut().zip(&products) {
        add_shifted(sums, products, shift);
    }
}

/// Multiply-adds whose operands never leave their registers.
#[target_feature(enable = "neon,dotprod")]
fn peak(rounds: u64) -> u64 {
    // SAFETY: instructions of the features above, on registers that are named as overwritten; no memory is touched.
    unsafe {
        asm!(
            "2:",
            "sdot v0.4s, v30.16b, v31.16b",
            "sdot v1.4s, v30.16b, v31.16b",
            "sdot v2.4s, v30.16b, v31.16b",
            "sdot v3.4s, v30.16b, v31.16b",
            "sdot v4.4s, v30.16b, v31.16b",
            "sdot v5.4s, v30.16b, v31.16b",
            "sdot v6.4s, v30.16b, v31.16b",
            "sdot v7.4s, v30.16b, v31.16b",
            "sdot v16.4s, v30.16b, v31.16b",
            "sdot v17.4s, v30.16b, v31.16b",
            "sdot v18.4s, v30.16b, v31.16b",
            "sdot v19.4s, v30.16b, v31.16b",
            "sdot v20.4s, v30.16b, v31.16b",
            "sdot v21.4s, v30.16b, v31.16b",
            "sdot v22.4s, v30.16b, v31.16b",
            "sdot v23.4s, v30.16b, v31.16b",
            "subs {rounds}, {rounds}, #1",
            "b.ne 2b",
            rounds = inout(reg) rounds.max(1) => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            options(nomem, nostack)
        );
    }
    rounds.max(1) * 16 * 16 * 2
}

/// For a table of kernels that is handed out only where the processor has NEON and its dot products.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn packed_kernels() -> PackedKernels {
    const LEAF: NeonDotprod = NeonDotprod(());
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
