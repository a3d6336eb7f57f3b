//! Packed matrices in plain Rust: what every instruction set's kernels compute, for matrices that were packed for another
//! one and for tests on any machine.

use super::driver::{Leaf, Panel, Sums};
use super::finish::{self, RowFinish};
use super::input::pack_tile;
use super::packed::{Block, Format, Shape};
use super::transcode::offset_of_group;

/// Kernels for vectors of `L` words, in the format that rotates or the one that does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable<const L: usize, const ROTATED: bool>;

/// Distance of the exponent of a field's group from its row's smallest.
const fn distance(counts: u32, field: usize, plain: bool) -> u32 {
    let count = counts >> (8 * field);
    (if plain { count } else { count + 2 * field as u32 }) & 31
}

/// The four weights of a quad: trits.
fn trits(word: u32, field: usize) -> [i32; 4] {
    word.to_le_bytes().map(|codes| i32::from((codes >> (2 * field)) & 3) - 1)
}

impl<const L: usize, const ROTATED: bool> Leaf<L> for Portable<L, ROTATED> {
    const FORMAT: Format = Format { lanes: L, rotated: ROTATED };
    const ROW_SAMPLES: usize = 3;
    const PANEL_SAMPLES: usize = 5;
    const PANEL_WINDOW: u32 = 6;
    const STARTS: usize = 1;

    fn panel_from(_: &Shape, digits: u32) -> usize {
        2 * digits as usize
    }

    fn panel_words(quads: usize, _: usize) -> usize {
        quads * 4 * L * 4
    }

    fn pack_tile(self, shape: &Shape, samples: &[i8], count: usize, flip: u32, out: &mut [u32]) {
        pack_tile(shape, samples, count, flip, out);
    }

    /// The offset of a group's sum.
    fn prepare(self, shape: &Shape, _: &[u32], _: usize, starts: &mut [u32]) {
        starts.fill(if ROTATED { offset_of_group(shape) as u32 } else { 0 });
    }

    fn rows(self, block: &Block<'_, L>, inputs: &[u32], starts: &[u32], sums: &mut [Sums<L>]) {
        let samples = sums.len();
        let inputs = inputs.chunks(block.group_quads * samples);
        let groups = block.vectors.chunks(1 + block.group_quads).zip(inputs).zip(starts.chunks_exact(samples));
        for ((vectors, inputs), starts) in groups {
            let Some((counts, weights)) = vectors.split_first() else { return };
            for (sample, (sums, start)) in sums.iter_mut().zip(starts).enumerate() {
                for (field, sums) in sums.iter_mut().enumerate() {
                    for (lane, (sum, counts)) in sums.iter_mut().zip(counts).enumerate() {
                        let mut product = *start as i32;
                        for (weights, inputs) in weights.iter().zip(inputs.chunks_exact(samples)) {
                            let input = inputs[sample].to_le_bytes().map(|byte| i32::from(byte as i8));
                            product += trits(weights[lane], field).iter().zip(input).map(|(t, x)| t * x).sum::<i32>();
                        }
                        *sum = sum.wrapping_add((product as u32) << distance(*counts, field, block.plain));
                    }
                }
            }
        }
    }

    /// A word of four int32 for each quad of a row: [quads, field, lane, 4].
    fn unpack(self, piece: &Block<'_, L>, digit: u32, panel: &mut [u32]) {
        let mut panel = panel.chunks_exact_mut(4);
        for vectors in piece.vectors.chunks(1 + piece.group_quads) {
            let Some((counts, weights)) = vectors.split_first() else { return };
            for weights in weights {
                for field in 0..4 {
                    for (word, counts) in weights.iter().zip(counts) {
                        let shift = distance(*counts, field, piece.plain).wrapping_sub(7 * digit);
                        let weight = |trit: i32| if shift < 7 { trit << shift } else { 0 };
                        let Some(out) = panel.next() else { return };
                        out.copy_from_slice(&trits(*word, field).map(|trit| weight(trit) as u32));
                    }
                }
            }
        }
    }

    fn tile(self, panel: &Panel<'_, L>, inputs: &[u32], shift: u32, sums: &mut [Sums<L>]) {
        let samples = sums.len();
        for (panel, inputs) in panel.words.chunks(4 * L * 4).zip(inputs.chunks_exact(samples)) {
            for (sums, input) in sums.iter_mut().zip(inputs) {
                let input = input.to_le_bytes();
                for (sum, weights) in sums.as_flattened_mut().iter_mut().zip(panel.chunks_exact(4)) {
                    let product = weights
                        .iter()
                        .zip(input)
                        .fold(0u32, |sum, (weight, input)| sum.wrapping_add(weight.wrapping_mul(u32::from(input))));
                    *sum = sum.wrapping_add(product << shift);
                }
            }
        }
    }

    fn finish_i8(self, sums: &[u32], rows: RowFinish<'_>, relu: bool, output: &mut [i8]) {
        finish::finish_i8(sums, rows, relu, output);
    }

    fn finish_i32(self, sums: &[u32], rows: RowFinish<'_>, output: &mut [i32]) {
        finish::finish_i32(sums, rows, output);
    }
}
