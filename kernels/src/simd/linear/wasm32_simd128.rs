//! SIMD128 of WebAssembly: vectors of 4 words, `i32x4.dot_i16x8_s`. A build either has it or not: there is nothing to ask at
//! run time.
//!
//! The bytes of a word are taken as its even and its odd ones, widened to 16 bits where they stand, so that each dot product
//! of two products lies in its word's lane. Lanes cannot be shifted by different counts: they are multiplied by powers of two.
//!
//! Panels need no offset: inputs are signed there too, so that both kernels have the same. What the driver takes off for an
//! offset of 128, the panel adds first: 128 times the sum of its weights is what it begins with.
#![allow(
    unsafe_code,
    reason = "a table of an instruction set promises that it is there, and vectors are loaded and stored"
)]

use super::PackedKernels;
use super::driver::{Leaf, Panel, Sums};
use super::finish::{self, RowFinish};
use super::input::{self, for_each_group};
use super::packed::{Block, Format, Shape};
use core::arch::wasm32::*;

const L: usize = 4;

/// The largest distance in a panel: weights of 16 bits.
const PANEL_WINDOW: u32 = 14;

/// Vectors of a quad in a panel: even and odd bytes of four fields.
const QUAD_VECTORS: usize = 8;

/// Vectors that a panel begins with, one a field.
const FIRST_VECTORS: usize = 4;

/// A leaf that exists only in builds with SIMD128.
#[derive(Clone, Copy, Debug)]
struct Simd128;

impl Leaf<L> for Simd128 {
    const FORMAT: Format = Format { lanes: L, rotated: false };
    const ROW_SAMPLES: usize = 2;
    const PANEL_SAMPLES: usize = 4;
    const PANEL_WINDOW: u32 = PANEL_WINDOW;
    const STARTS: usize = 1;

    fn panel_from(_: &Shape, digits: u32) -> usize {
        if digits == 1 { 4 } else { usize::MAX }
    }

    fn panel_words(quads: usize, _: usize) -> usize {
        (FIRST_VECTORS + quads * QUAD_VECTORS) * L
    }

    fn pack_tile(self, shape: &Shape, samples: &[i8], count: usize, _: u32, out: &mut [u32]) {
        input::pack_tile(shape, samples, count, 0, out);
    }

    fn prepare(self, shape: &Shape, inputs: &[u32], samples: usize, starts: &mut [u32]) {
        match samples {
            1 => prepare::<1>(shape, inputs, starts),
            _ => prepare::<2>(shape, inputs, starts),
        }
    }

    fn rows(self, block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
        match sums {
            [] => {}
            [_] => rows::<1>(block, inputs, starts, sums),
            _ => rows::<2>(block, inputs, starts, sums),
        }
    }

    fn unpack(self, piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
        unpack(piece, digit, panel);
    }

    fn tile(self, panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
        match sums.len() {
            0 => {}
            1 => tile::<1>(panel, inputs, shift, sums),
            2 => tile::<2>(panel, inputs, shift, sums),
            3 => tile::<3>(panel, inputs, shift, sums),
            _ => tile::<4>(panel, inputs, shift, sums),
        }
    }

    fn finish_i8(self, sums: &[u32], rows: RowFinish<'_>, relu: bool, output: &mut [i8]) {
        finish::finish_i8(sums, rows, relu, output);
    }

    fn finish_i32(self, sums: &[u32], rows: RowFinish<'_>, output: &mut [i32]) {
        finish::finish_i32(sums, rows, output);
    }
}

#[inline(always)]
fn load(words: &[u32; L]) -> v128 {
    // SAFETY: the array is 16 bytes, and the load asks for no alignment.
    unsafe { v128_load(words.as_ptr().cast()) }
}

#[inline(always)]
fn store(words: &mut [u32; L], vector: v128) {
    // SAFETY: the array is 16 bytes, and the store asks for no alignment.
    unsafe { v128_store(words.as_mut_ptr().cast(), vector) }
}

/// A sum of codes starts with less the sum of the group's inputs.
fn prepare<const C: usize>(shape: &Shape, inputs: &[u32], starts: &mut [u32]) {
    for_each_group::<C>(shape, inputs, starts, C, |sums, out| {
        for (sum, out) in sums.iter().zip(out) {
            *out = -sum as u32;
        }
    });
}

/// Four inputs for every lane: the even ones, then the odd ones.
#[inline(always)]
fn broadcast(input: u32) -> [v128; 2] {
    let inputs = u32x4_splat(input);
    [i16x8_shr(i16x8_shl(inputs, 8), 8), i16x8_shr(inputs, 8)]
}

/// The codes of a field: those of even bytes, then those of odd ones.
#[inline(always)]
fn codes(weights: v128, f: usize) -> [v128; 2] {
    let shift = 2 * f as u32;
    [shift, shift + 8].map(|shift| v128_and(u16x8_shr(weights, shift), u16x8_splat(3)))
}

/// Adds to each lane its four products.
#[inline(always)]
fn dot(sums: v128, weights: [v128; 2], inputs: [v128; 2]) -> v128 {
    let even = i32x4_add(sums, i32x4_dot_i16x8(weights[0], inputs[0]));
    i32x4_add(even, i32x4_dot_i16x8(weights[1], inputs[1]))
}

/// Byte `f` of each word, in all of its bytes.
#[inline(always)]
fn distances(counts: v128, f: usize) -> v128 {
    match f {
        0 => u8x16_shuffle::<0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12>(counts, counts),
        1 => u8x16_shuffle::<1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13>(counts, counts),
        2 => u8x16_shuffle::<2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14>(counts, counts),
        _ => u8x16_shuffle::<3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15>(counts, counts),
    }
}

/// 2^distance, for distances in all bytes of an element: `places` are the numbers of each byte's lowest bit. Every byte
/// looks itself up; what is below 0 or above 7 there gives 0.
#[inline(always)]
fn powers(distances: v128, places: u32) -> v128 {
    let bits = u8x16(1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0);
    u8x16_swizzle(bits, u8x16_sub(distances, u32x4_splat(places)))
}

/// Of elements of 32 bits and of 16.
const PLACES_32: u32 = 0x1810_0800;
const PLACES_16: u32 = 0x0800_0800;

fn rows<const C: usize>(block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
    let (inputs, starts) = (inputs.as_chunks::<C>().0, starts.as_chunks::<C>().0);
    let Some(sums) = sums.first_chunk_mut::<C>() else { return };
    let mut totals = sums.map(|sums| sums.map(|sum| load(&sum)));
    let quads = block.group_quads;
    for ((vectors, inputs), starts) in block.vectors.chunks(1 + quads).zip(inputs.chunks(quads)).zip(starts) {
        one_group::<C>(vectors, inputs, starts, &mut totals);
    }
    for (sum, total) in sums.as_flattened_mut().iter_mut().zip(totals.as_flattened()) {
        store(sum, *total);
    }
}

#[inline(always)]
fn one_group<const C: usize>(
    vectors: &[[u32; L]],
    inputs: &[[u32; C]],
    starts: &[u32; C],
    totals: &mut [[v128; 4]; C],
) {
    let Some((counts, weights)) = vectors.split_first() else { return };
    let mut sums = starts.map(|start| [u32x4_splat(start); 4]);
    for (weights, inputs) in weights.iter().zip(inputs) {
        let (weights, inputs) = (load(weights), inputs.map(broadcast));
        let fields = [0, 1, 2, 3].map(|f| codes(weights, f));
        for c in 0..C {
            for f in 0..4 {
                sums[c][f] = dot(sums[c][f], fields[f], inputs[c]);
            }
        }
    }
    let counts = load(counts);
    let powers = [0, 1, 2, 3].map(|f| powers(distances(counts, f), PLACES_32));
    for c in 0..C {
        for f in 0..4 {
            totals[c][f] = i32x4_add(totals[c][f], i32x4_mul(sums[c][f], powers[f]));
        }
    }
}

/// A panel of int16 weights: what the sums begin with, one vector a field, then [quads, field, even and odd bytes] vectors
/// of trits times 2^distance, 0 where the distance is another digit's.
fn unpack(piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
    let Some((first, panel)) = panel.as_chunks_mut::<L>().0.split_first_chunk_mut::<FIRST_VECTORS>() else { return };
    let mut panel = panel.as_chunks_mut::<QUAD_VECTORS>().0.iter_mut();
    let mut weights_sums = [u32x4_splat(0); 4];
    for vectors in piece.vectors.chunks(1 + piece.group_quads) {
        let Some((counts, weights)) = vectors.split_first() else { break };
        let counts = load(counts);
        let powers: [v128; 4] = core::array::from_fn(|f| {
            // What is below the digit's distances becomes more than 200.
            let distances = u8x16_sub(distances(counts, f), u8x16_splat((digit * (PANEL_WINDOW + 1)) as u8));
            let here = u8x16_le(distances, u8x16_splat(PANEL_WINDOW as u8));
            v128_and(powers(distances, PLACES_16), here)
        });
        for (weights, out) in weights.iter().zip(panel.by_ref()) {
            let weights = load(weights);
            for (f, out) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                for (codes, out) in codes(weights, f).into_iter().zip(out) {
                    let weights = i16x8_mul(i16x8_sub(codes, u16x8_splat(1)), powers[f]);
                    weights_sums[f] = i32x4_add(weights_sums[f], i32x4_extadd_pairwise_i16x8(weights));
                    store(out, weights);
                }
            }
        }
    }
    for (first, sum) in first.iter_mut().zip(weights_sums) {
        store(first, i32x4_shl(sum, 7));
    }
}

/// The panel kernel: two fields at a time.
fn tile<const C: usize>(panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
    let words = panel.words.as_chunks::<L>().0;
    let Some((first, weights)) = words.split_first_chunk::<FIRST_VECTORS>() else { return };
    let (weights, inputs) = (weights.as_chunks::<QUAD_VECTORS>().0, inputs.as_chunks::<C>().0);
    for pair in [0, 2] {
        let mut products = [[load(&first[pair]), load(&first[pair + 1])]; C];
        for (weights, inputs) in weights.iter().zip(inputs) {
            let inputs = inputs.map(broadcast);
            for f in 0..2 {
                let weights = [0, 1].map(|odd| load(&weights[2 * (pair + f) + odd]));
                for c in 0..C {
                    products[c][f] = dot(products[c][f], weights, inputs[c]);
                }
            }
        }
        for (sums, products) in sums.iter_mut().zip(&products) {
            for (sum, product) in sums[pair..].iter_mut().zip(products) {
                store(sum, i32x4_add(load(sum), i32x4_shl(*product, shift)));
            }
        }
    }
}

/// For a table of kernels.
///
/// # Safety
/// None is asked for: a build for SIMD128 runs only where it is. Other instruction sets ask.
pub(crate) const unsafe fn packed_kernels() -> PackedKernels {
    PackedKernels {
        pack: |matrix| super::pack(matrix, Simd128),
        linear_i8: |layer, input, workspace, output| super::linear_i8(layer, input, workspace, output, Simd128),
        linear_i32: |layer, input, workspace, output| super::linear_i32(layer, input, workspace, output, Simd128),
        #[cfg(feature = "conv2d")]
        pack_conv2d: |layer| super::pack_gathering(layer, Simd128),
        #[cfg(feature = "conv2d")]
        conv2d: |layer, input, workspace, output| super::gathering(layer, input, workspace, output, Simd128),
        read: super::read_words,
        // There is no instruction whose speed would say more than the processor's own table does.
        peak: |_| 0,
    }
}
