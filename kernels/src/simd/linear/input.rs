//! Inputs in the order in which kernels broadcast them: tiles of a few samples, for each quad of columns a word of each
//! sample.

use super::packed::Shape;

/// Turns the bytes of a word from int8 to uint8 by adding 128.
pub(super) const OFFSET_128: u32 = 0x8080_8080;

/// Writes a tile: `samples` is [count, columns], `out` [quads, count], `count` at most 8. Every byte is combined with
/// `flip`'s by exclusive or; columns that are not there are inputs of 0.
#[inline(always)]
pub(super) fn pack_tile(shape: &Shape, samples: &[i8], count: usize, flip: u32, out: &mut [u32]) {
    match count {
        1 => pack_samples::<1>(shape, samples, flip, out),
        2 => pack_samples::<2>(shape, samples, flip, out),
        3 => pack_samples::<3>(shape, samples, flip, out),
        4 => pack_samples::<4>(shape, samples, flip, out),
        5 => pack_samples::<5>(shape, samples, flip, out),
        6 => pack_samples::<6>(shape, samples, flip, out),
        7 => pack_samples::<7>(shape, samples, flip, out),
        _ => pack_samples::<8>(shape, samples, flip, out),
    }
}

#[inline(always)]
fn pack_samples<const C: usize>(shape: &Shape, samples: &[i8], flip: u32, out: &mut [u32]) {
    let columns = shape.columns;
    let samples: [&[i8]; C] = core::array::from_fn(|c| samples.get(c * columns..(c + 1) * columns).unwrap_or(&[]));
    let out = out.as_chunks_mut::<C>().0;
    if shape.group.get().is_multiple_of(4) {
        pack_quads(samples, flip, out);
    } else {
        let mut first = 0;
        for out in out.chunks_mut(shape.group_quads) {
            let end = columns.min(first + shape.group.get());
            pack_quads(samples.map(|sample| sample.get(first..end).unwrap_or(&[])), flip, out);
            first = end;
        }
    }
}

/// Samples of equal length, ⌈length/4⌉ words of each.
#[inline(always)]
fn pack_quads<const C: usize>(samples: [&[i8]; C], flip: u32, out: &mut [[u32; C]]) {
    let word = |quad: [i8; 4]| u32::from_le_bytes(quad.map(|value| value as u8)) ^ flip;
    let whole = samples.iter().map(|sample| sample.len() / 4).min().unwrap_or(0).min(out.len());
    let (out, last) = out.split_at_mut(whole);
    let quads = samples.map(|sample| sample.as_chunks::<4>().0.get(..whole).unwrap_or(&[]));
    for (index, out) in out.iter_mut().enumerate() {
        for (out, quads) in out.iter_mut().zip(quads) {
            // Every index has one: the slices were cut to the same length.
            *out = quads.get(index).map_or(0, |quad| word(*quad));
        }
    }
    if let Some(last) = last.first_mut() {
        for (out, sample) in last.iter_mut().zip(samples) {
            let mut quad = [0; 4];
            for (to, from) in quad.iter_mut().zip(sample.get(4 * whole..).unwrap_or(&[])) {
                *to = *from;
            }
            *out = word(quad);
        }
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
