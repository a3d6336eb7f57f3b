//! The direct way in plain Rust: what every instruction set's kernels compute, for tests on any machine.

use super::direct::{Leaf, Tile};
use super::image::Image;
use super::weights::Block;
use crate::Outputs;
use crate::geometry::Geometry;
use crate::requantize::saturate;
use crate::simd::linear::{RowFinish, finish_i8, finish_i32};

/// Kernels for vectors of `L` words and images of int8, or of uint8, which is 128 more.
#[derive(Clone, Copy, Debug)]
pub(in crate::simd) struct Portable<const L: usize, const UNSIGNED: bool>;

impl<const L: usize, const UNSIGNED: bool> Leaf<L> for Portable<L, UNSIGNED> {
    const FIELDS: usize = 3;
    const FLIP: u8 = if UNSIGNED { 128 } else { 0 };

    fn tile(fields: usize, _: usize) -> [usize; 2] {
        [3, 4 - fields]
    }

    fn write(self, image: &Image, geometry: &Geometry, sample: &[i8], bytes: &mut [u8]) {
        image.write(geometry, sample, Self::FLIP, bytes);
    }

    fn multiply(self, block: &Block, tile: &Tile<'_>, output: &mut Outputs<'_>) {
        let words_of_quad = block.fields * L;
        for run in tile.runs {
            for window in 0..run.windows {
                let image = tile.images.get(run.start + window * tile.right..).unwrap_or(&[]);
                let mut sums = [0u32; 64];
                let mut quads = block.offsets.iter().zip(block.words.words().chunks_exact(words_of_quad));
                for digit in &block.digits {
                    sums.iter_mut().for_each(|sum| *sum <<= 7);
                    for (offset, words) in quads.by_ref().take(*digit) {
                        let input = image.get(*offset..*offset + 4).unwrap_or(&[]);
                        for (sum, word) in sums.iter_mut().zip(words) {
                            for (weight, input) in word.to_le_bytes().into_iter().zip(input) {
                                let input = if UNSIGNED { i32::from(*input) } else { i32::from(*input as i8) };
                                *sum = sum.wrapping_add((i32::from(weight as i8) * input) as u32);
                            }
                        }
                    }
                }
                for (sum, start) in sums.iter_mut().zip(&block.starts) {
                    *sum = sum.wrapping_add(*start);
                }
                finish(block, tile, tile.first + run.window + window, &sums, output);
            }
        }
    }
}

/// The outputs of one window from the sums of a block.
#[inline(always)]
pub(super) fn finish(block: &Block, tile: &Tile<'_>, window: usize, sums: &[u32], output: &mut Outputs<'_>) {
    let first = window * tile.rows + block.first;
    let rows = RowFinish { bias: &block.biases, shift: &block.shifts };
    match output {
        Outputs::I8(output) => {
            let output = output.get_mut(first..first + block.rows).unwrap_or(&mut []);
            if block.rights.is_empty() {
                finish_i8(sums, rows, tile.relu, output);
            } else {
                round_all(sums, &block.rights, tile.relu, output);
            }
        }
        Outputs::I32(output) => {
            let output = output.get_mut(first..first + block.rows).unwrap_or(&mut []);
            finish_i32(sums, rows, output);
        }
    }
}

/// int8 outputs of sums that are all shifted to the right, by one more than `rights`.
#[inline(always)]
fn round_all(sums: &[u32], rights: &[i32], relu: bool, output: &mut [i8]) {
    for ((output, sum), right) in output.iter_mut().zip(sums).zip(rights) {
        // ⌊(v + 1)/2⌋ without a carry.
        let doubled = (*sum as i32) >> right;
        *output = saturate(doubled - (doubled >> 1), relu);
    }
}
