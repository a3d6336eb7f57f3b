//! Inputs in the order in which kernels broadcast them: tiles of a few samples, for each quad of columns a word of each
//! sample.

use super::packed::Shape;

/// Turns the bytes of a word from int8 to uint8 by adding 128.
pub(super) const OFFSET_128: u32 = 0x8080_8080;

/// Writes a tile: `samples` is [C, columns], `out` [quads, C]. Every byte is combined with `flip`'s by exclusive or; columns
/// that are not there are inputs of 0.
#[inline(always)]
pub(super) fn pack_tile(shape: &Shape, samples: &[i8], count: usize, flip: u32, out: &mut [u32]) {
    let (columns, group, group_quads) = (shape.columns, shape.group.get(), shape.group_quads);
    for (index, sample) in samples.chunks_exact(columns.max(1)).take(count).enumerate() {
        let Some(out) = out.get_mut(index..) else { return };
        if group.is_multiple_of(4) {
            pack_quads(sample, count, flip, out);
        } else {
            for (group, out) in sample.chunks(group).zip(out.chunks_mut(group_quads * count)) {
                pack_quads(group, count, flip, out);
            }
        }
    }
}

#[inline(always)]
fn pack_quads(values: &[i8], stride: usize, flip: u32, out: &mut [u32]) {
    let word = |quad: [i8; 4]| u32::from_le_bytes(quad.map(|value| value as u8)) ^ flip;
    let (quads, rest) = values.as_chunks::<4>();
    let mut out = out.chunks_mut(stride);
    if stride == 1 {
        for (quad, out) in quads.iter().zip(out.by_ref()) {
            if let [out] = out {
                *out = word(*quad);
            }
        }
    } else {
        for (quad, out) in quads.iter().zip(out.by_ref()) {
            if let Some(out) = out.first_mut() {
                *out = word(*quad);
            }
        }
    }
    if let (false, Some([out, ..])) = (rest.is_empty(), out.next()) {
        let mut quad = [0; 4];
        for (to, from) in quad.iter_mut().zip(rest) {
            *to = *from;
        }
        *out = word(quad);
    }
}

/// The sum of a word's four int8.
#[inline(always)]
pub(super) fn quad_sum(word: u32) -> i32 {
    word.to_le_bytes().iter().map(|byte| i32::from(*byte as i8)).sum()
}

/// Calls `f(sums of the C samples' quads, out)` for each group of a tile: `inputs` is [quads, C], `out` [groups, size].
#[inline(always)]
pub(super) fn for_each_group<const C: usize>(
    shape: &Shape,
    inputs: &[u32],
    out: &mut [u32],
    size: usize,
    mut f: impl FnMut([i32; C], &mut [u32]),
) {
    let inputs = inputs.as_chunks::<C>().0;
    for (quads, out) in inputs.chunks(shape.group_quads).zip(out.chunks_exact_mut(size)) {
        let mut sums = [0; C];
        for words in quads {
            for (sum, word) in sums.iter_mut().zip(words) {
                *sum += quad_sum(*word);
            }
        }
        f(sums, out);
    }
}
