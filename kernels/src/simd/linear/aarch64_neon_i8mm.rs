//! NEON with products of matrices of 8 bits: `smmla` in the panel kernel, two rows with two samples, eight columns at a time.
//! The row kernel is that of dot products; the order of matrices and inputs are plain NEON's.
//!
//! `smmla` is written out, for its intrinsics are not stable.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]

use super::PackedKernels;
use super::aarch64_neon::{L, add_shifted, fetch, load, neon_for, store};
use super::aarch64_neon_dotprod::rows;
use super::driver::{Leaf, Panel, Sums};
use super::packed::{Block, Shape};
use core::arch::aarch64::*;
use core::arch::asm;

/// The proof that the processor has NEON, its dot products and its products of matrices: made by [`packed_kernels`] alone.
#[derive(Clone, Copy, Debug)]
struct NeonI8mm(());

/// The largest distance in a panel.
const PANEL_WINDOW: u32 = 6;

impl Leaf<L> for NeonI8mm {
    const PANEL_SAMPLES: usize = 8;

    neon_for!(PANEL_WINDOW, unpack);

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
                1 => tile::<1, 1>(panel, inputs, shift, sums),
                2 => tile::<2, 1>(panel, inputs, shift, sums),
                3 => tile::<3, 2>(panel, inputs, shift, sums),
                4 => tile::<4, 2>(panel, inputs, shift, sums),
                5 => tile::<5, 3>(panel, inputs, shift, sums),
                6 => tile::<6, 3>(panel, inputs, shift, sums),
                7 => tile::<7, 4>(panel, inputs, shift, sums),
                _ => tile::<8, 4>(panel, inputs, shift, sums),
            }
        }
    }
}

/// Adds to each lane eight products: lanes 0 and 1 are of the first eight weights with the first and the last eight inputs,
/// lanes 2 and 3 of the last eight weights.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn multiply(mut sums: int32x4_t, weights: uint32x4_t, inputs: uint32x4_t) -> int32x4_t {
    // SAFETY: an instruction of the features above, on the registers named; no memory is touched.
    unsafe {
        asm!(
            "smmla {sums:v}.4s, {weights:v}.16b, {inputs:v}.16b",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            inputs = in(vreg) inputs,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}

/// As plain NEON's, of which every two quads are put together, row by row: [two quads, two halves, field] vectors, the first
/// half with rows 0 and 1 of a vector. A last quad without another stays as it is.
#[target_feature(enable = "neon,i8mm")]
fn unpack(piece: &Block<'_, L>, digit: u32, window: u32, panel: &mut [u32]) {
    super::aarch64_neon::unpack(piece, digit, window, panel);
    let quads = piece.vectors.len() - piece.vectors.len().div_ceil(1 + piece.group_quads);
    let panel = panel.as_chunks_mut::<L>().0.as_chunks_mut::<4>().0;
    for [first, second] in panel.get_mut(1..1 + quads).unwrap_or(&mut []).as_chunks_mut::<2>().0 {
        for (first, second) in first.iter_mut().zip(second) {
            let quads = [load(first), load(second)];
            store(first, vzip1q_u32(quads[0], quads[1]));
            store(second, vzip2q_u32(quads[0], quads[1]));
        }
    }
}

/// The panel kernel for `C` samples in `P` pairs.
#[target_feature(enable = "neon,i8mm")]
fn tile<const C: usize, const P: usize>(panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
    fetch(panel.next);
    two_fields::<C, P, 0>(panel, inputs, shift, sums);
    two_fields::<C, P, 2>(panel, inputs, shift, sums);
}

/// Two fields, from `F` on.
#[target_feature(enable = "neon,i8mm")]
fn two_fields<const C: usize, const P: usize, const F: usize>(
    panel: &Panel<'_, L>,
    inputs: &[u32],
    shift: u32,
    sums: &mut [Sums<L>],
) {
    let Some((first, weights)) = panel.words.as_chunks::<L>().0.as_chunks::<4>().0.split_first() else { return };
    let (inputs, last) = inputs.as_chunks::<C>().0.as_chunks::<2>();
    let last = last.first().zip(weights.get(2 * inputs.len()));
    // Of field, half and pair of samples.
    let mut products = [[[vdupq_n_s32(0); P]; 2]; 2];
    for ([first, second], [even, odd]) in weights.as_chunks::<2>().0.iter().zip(inputs) {
        let inputs = pairs::<C, P>(even, odd);
        for f in 0..2 {
            let halves = [load(&first[F + f]), load(&second[F + f])];
            multiply_all::<P>(&mut products[f], halves, &inputs);
        }
    }
    if let Some((input, weights)) = last {
        let inputs = pairs::<C, P>(input, &[0; C]);
        for f in 0..2 {
            let (quad, none) = (load(&weights[F + f]), vdupq_n_u32(0));
            multiply_all::<P>(&mut products[f], [vzip1q_u32(quad, none), vzip2q_u32(quad, none)], &inputs);
        }
    }
    for f in 0..2 {
        let begin = vreinterpretq_s32_u32(load(&first[F + f]));
        for (p, sums) in sums.chunks_mut(2).enumerate().take(P) {
            let [low, high] = [products[f][0][p], products[f][1][p]];
            let samples = [vuzp1q_s32(low, high), vuzp2q_s32(low, high)];
            for (sums, product) in sums.iter_mut().zip(samples) {
                add_shifted(&mut sums[F + f..], &[vaddq_s32(product, begin)], shift);
            }
        }
    }
}

/// Eight inputs of each of two samples: a pair's, for every pair. A last sample without another is alone.
#[target_feature(enable = "neon")]
#[inline]
fn pairs<const C: usize, const P: usize>(even: &[u32; C], odd: &[u32; C]) -> [uint32x4_t; P] {
    let mut pairs = [vdupq_n_u32(0); P];
    for (p, pair) in pairs.iter_mut().enumerate() {
        let two = |inputs: &[u32; C]| match inputs.as_chunks::<2>().0.get(p) {
            // SAFETY: the array is 8 bytes, and the load asks for no more than the alignment of its words.
            Some(two) => unsafe { vld1_u32(two.as_ptr()) },
            None => vcreate_u32(inputs[2 * p].into()),
        };
        let (even, odd) = (two(even), two(odd));
        *pair = vcombine_u32(vzip1_u32(even, odd), vzip2_u32(even, odd));
    }
    pairs
}

/// Two halves of a field with all pairs.
#[target_feature(enable = "neon,i8mm")]
#[inline]
fn multiply_all<const P: usize>(products: &mut [[int32x4_t; P]; 2], halves: [uint32x4_t; 2], inputs: &[uint32x4_t; P]) {
    for half in 0..2 {
        for p in 0..P {
            products[half][p] = multiply(products[half][p], halves[half], inputs[p]);
        }
    }
}

/// Multiply-adds whose operands never leave their registers.
#[target_feature(enable = "neon,i8mm")]
fn peak(rounds: u64) -> u64 {
    // SAFETY: instructions of the features above, on registers that are named as overwritten; no memory is touched.
    unsafe {
        asm!(
            "2:",
            "smmla v0.4s, v30.16b, v31.16b",
            "smmla v1.4s, v30.16b, v31.16b",
            "smmla v2.4s, v30.16b, v31.16b",
            "smmla v3.4s, v30.16b, v31.16b",
            "smmla v4.4s, v30.16b, v31.16b",
            "smmla v5.4s, v30.16b, v31.16b",
            "smmla v6.4s, v30.16b, v31.16b",
            "smmla v7.4s, v30.16b, v31.16b",
            "smmla v16.4s, v30.16b, v31.16b",
            "smmla v17.4s, v30.16b, v31.16b",
            "smmla v18.4s, v30.16b, v31.16b",
            "smmla v19.4s, v30.16b, v31.16b",
            "smmla v20.4s, v30.16b, v31.16b",
            "smmla v21.4s, v30.16b, v31.16b",
            "smmla v22.4s, v30.16b, v31.16b",
            "smmla v23.4s, v30.16b, v31.16b",
            "subs {rounds}, {rounds}, #1",
            "b.ne 2b",
            rounds = inout(reg) rounds.max(1) => _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            options(nomem, nostack)
        );
    }
    rounds.max(1) * 16 * 32 * 2
}

/// For a table of kernels that is handed out only where the processor has NEON, its dot products and its products of
/// matrices.
///
/// # Safety
/// So is the value: its functions are to be called on such a processor alone.
pub(crate) const unsafe fn packed_kernels() -> PackedKernels {
    const LEAF: NeonI8mm = NeonI8mm(());
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
