//! Plain int8 products, int8 weights by int8 inputs to int32, with the multiply-add of an instruction set: what ternary
//! products are compared with. No model uses them.
//!
//! Weights lie in blocks of four vectors of rows, for each quad of columns a word of each row; blocks are cut into pieces
//! that stay in the first cache while tiles of samples go by.

#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86 has such kernels"))]

use super::aligned::Aligned;
use super::driver::{Leaf, PIECE_QUADS, Panel, Sums, Tiles};
use super::input::OFFSET_128;
use super::packed::Shape;
use super::workspace::Workspace;
use alloc::vec;
use alloc::vec::Vec;
use trishift_format::GroupSize;

/// A matrix of int8, none of them −128, in the order of one instruction set.
#[derive(Debug)]
pub struct Int8Matrix {
    shape: Shape,
    lanes: usize,
    words: Aligned,
    /// What takes the inputs' offset off the sums of each row.
    offsets: Vec<u32>,
}

impl Int8Matrix {
    /// Bytes of weights that a product of one sample reads.
    pub const fn stream_bytes(&self) -> usize {
        self.shape.blocks * self.shape.quads * 4 * self.lanes * size_of::<u32>()
    }
}

/// Plain int8 products of an instruction set.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Int8Kernels {
    /// From weights [rows, columns]; −128 is taken for −127.
    pub pack: fn(rows: usize, columns: usize, weights: &[i8]) -> Int8Matrix,
    /// From inputs [batch, columns] to outputs [batch, rows], modulo 2^32; nothing for a matrix of another instruction set.
    pub multiply: fn(&Int8Matrix, input: &[i8], &mut Workspace, output: &mut [i32]),
}

/// The kernels of one instruction set. A value of the type is the proof that the processor has the instructions.
pub(super) trait Int8Leaf<const L: usize>: Leaf<L> {
    /// Most samples of a call of [`Int8Leaf::int8_tile`]; at most 8.
    const SAMPLES: usize = Self::PANEL_SAMPLES;
    /// Inputs are uint8: 128 more than they are.
    const OFFSET: bool = true;
    /// Adds the products of a piece in groups of one quad, [quads, field] vectors of quads, with a tile of samples, [quads, samples], to `sums`.
    ///
    /// A panel of the packed kernels is such a piece where all their weights have one digit.
    fn int8_tile(self, piece: &Panel<'_, L>, inputs: &[u32], sums: &mut [Sums<L>]) {
        self.tile(piece, inputs, 0, sums);
    }
}

pub(super) fn pack<const L: usize>(rows: usize, columns: usize, weights: &[i8]) -> Int8Matrix {
    // Without groups; the smallest that there are have whole quads.
    let shape = Shape::new(rows, columns, GroupSize::ALL[0], L);
    let mut words = Aligned::default();
    let mut offsets = vec![0u32; shape.blocks * shape.block_rows];
    let all = words.at_least(shape.blocks * shape.quads * shape.block_rows);
    let weights = weights.chunks_exact(columns.max(1)).take(rows);
    for (row, (weights, offset)) in weights.zip(&mut offsets).enumerate() {
        let (block, row) = (row / shape.block_rows, row % shape.block_rows);
        let block = all.get_mut(block * shape.quads * shape.block_rows..).unwrap_or(&mut []);
        for (words, quad) in block.chunks_exact_mut(shape.block_rows).zip(weights.chunks(4)) {
            let mut bytes = [0; 4];
            for (byte, weight) in bytes.iter_mut().zip(quad) {
                let weight = (*weight).max(-127);
                *byte = weight as u8;
                *offset = offset.wrapping_sub((128 * i32::from(weight)) as u32);
            }
            if let Some(word) = words.get_mut(row) {
                *word = u32::from_le_bytes(bytes);
            }
        }
    }
    Int8Matrix { shape, lanes: L, words, offsets }
}

pub(super) fn multiply<const L: usize, F: Int8Leaf<L>>(
    matrix: &Int8Matrix,
    input: &[i8],
    workspace: &mut Workspace,
    output: &mut [i32],
    leaf: F,
) {
    let shape = &matrix.shape;
    let samples = input.len() / shape.columns.max(1);
    if matrix.lanes != L || samples == 0 {
        return;
    }
    let Workspace { unsigned, sums, .. } = workspace;
    let tiles = Tiles::new(samples, F::SAMPLES);
    let inputs = unsigned.at_least(shape.quads * samples);
    for tile in tiles.iter() {
        let (from, to) = (input.get(tile.of(shape.columns)), inputs.get_mut(tile.of(shape.quads)));
        if let (Some(from), Some(to)) = (from, to) {
            leaf.pack_tile(shape, from, tile.samples, if F::OFFSET { OFFSET_128 } else { 0 }, to);
        }
    }
    let inputs = &*inputs;
    let sums = sums.at_least(samples * shape.block_rows).as_chunks_mut::<L>().0.as_chunks_mut::<4>().0;
    let blocks = matrix.words.words().chunks_exact((shape.quads * shape.block_rows).max(1));
    for (index, (block, offsets)) in blocks.zip(matrix.offsets.chunks_exact(shape.block_rows)).enumerate() {
        let mut start = [[0; L]; 4];
        if F::OFFSET {
            start.as_flattened_mut().copy_from_slice(offsets);
        }
        sums.fill(start);
        for (number, piece) in block.chunks(PIECE_QUADS * shape.block_rows).enumerate() {
            let (first, quads) = (number * PIECE_QUADS, piece.len() / shape.block_rows);
            let next = (index * shape.quads + first + quads) * 4;
            let next = matrix.words.words().as_chunks::<L>().0.get(next..).unwrap_or(&[]);
            let mut next = next.chunks((4 * PIECE_QUADS).div_ceil(tiles.count));
            for tile in tiles.iter() {
                let inputs = inputs.get(tile.of(shape.quads)).unwrap_or(&[]);
                let inputs = inputs.get(first * tile.samples..(first + quads) * tile.samples).unwrap_or(&[]);
                if let Some(sums) = sums.get_mut(tile.of(1)) {
                    let panel = Panel { words: piece, group_quads: 1, next: next.next().unwrap_or(&[]) };
                    leaf.int8_tile(&panel, inputs, sums);
                }
            }
        }
        for (output, sums) in output.chunks_exact_mut(shape.rows).zip(&*sums) {
            let output = output.get_mut(index * shape.block_rows..).unwrap_or(&mut []);
            for (output, sum) in output.iter_mut().zip(sums.as_flattened()) {
                *output = *sum as i32;
            }
        }
    }
}
