//! What the assembly does, in plain Rust: for tests on any machine.

use super::records::{FIRST, LAST, Turn, WIDE};
use super::{LANES, Steps, Tile, WORDS};

/// Columns of a turn.
const TURN: usize = 16;

/// Plain Rust.
pub(crate) static PORTABLE: Steps = Steps { tile, gather, turn: Turn { columns: TURN, bytes: 1 } };

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn tile(mut record: *const u16, end: *const u16, tile: &mut Tile) -> *const u16 {
    let mut number = 0;
    loop {
        // SAFETY: there is a record, as a caller of `RunTile` promises, and the tile has the columns that it names.
        let (sums, shift, relu) = unsafe { row(&mut record, tile.columns) };
        tile.sums = sums;
        if tile.stride > 0 {
            for (lane, sum) in sums.into_iter().enumerate() {
                let output = (sum >> shift).clamp(if relu { 0 } else { i8::MIN.into() }, i8::MAX.into()) as i8;
                // SAFETY: there is room for the output of each row at each lane.
                unsafe { *tile.to.wrapping_add(lane * tile.stride + number) = output };
            }
        }
        number += 1;
        if record >= end {
            return record;
        }
    }
}

/// Sums, shift and ReLU of the row whose record begins at `record`, which then is the place behind it.
#[allow(unsafe_code, reason = "in place of assembly")]
unsafe fn row(record: &mut *const u16, columns: *const i32) -> ([i32; LANES], u16, bool) {
    let start = *record;
    let mut next = || {
        // SAFETY: a record says itself where it ends.
        let half = unsafe { **record };
        *record = record.wrapping_add(1);
        half
    };
    let [even_low, even_high, odd_low, odd_high, shift, relu] = core::array::from_fn(|_| next());
    let bias = [[even_low, even_high], [odd_low, odd_high]].map(|[low, high]| i32::from(low) | i32::from(high) << 16);
    let mut sums = [0i32; LANES];
    'chains: loop {
        let mut packed = [i32::from(next()); WORDS];
        loop {
            for sign in [1, -1] {
                let (left_out, turns) = (next(), next() >> 8);
                for _ in 0..(usize::from(turns) + 1) * TURN - usize::from(left_out) {
                    let column = columns.wrapping_byte_add(next().into());
                    for (word, packed) in packed.iter_mut().enumerate() {
                        // SAFETY: the tile has the columns that a record names.
                        *packed = packed.wrapping_add(sign * unsafe { *column.wrapping_add(word) });
                    }
                }
            }
            let then = next();
            let shift = u32::from(then & 0xFF);
            if then & WIDE == 0 {
                packed = packed.map(|word| word << shift);
                continue;
            }
            if then & FIRST != 0 {
                sums = [0; LANES];
            }
            for (sums, packed) in sums.as_chunks_mut::<2>().0.iter_mut().zip(packed) {
                sums[0] = sums[0].wrapping_add(packed & 0xFFFF) << shift;
                sums[1] = sums[1].wrapping_add(packed >> 16) << shift;
            }
            if then & LAST != 0 {
                break 'chains;
            }
            break;
        }
    }
    for sums in sums.as_chunks_mut::<2>().0 {
        *sums = [sums[0].wrapping_add(bias[0]), sums[1].wrapping_add(bias[1])];
    }
    if record.addr() - start.addr() & 3 == 2 {
        *record = record.wrapping_add(1);
    }
    (sums, shift, relu == 1)
}

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn gather(words: *mut i32, from: *const i8, step: usize, channels: usize) {
    for channel in 0..channels {
        for word in 0..WORDS {
            let lane = |lane: usize| {
                // SAFETY: there are as many elements, as a caller of `Gather` promises.
                i32::from(unsafe { *from.wrapping_add(lane * step + channel) })
            };
            // SAFETY: there are as many words.
            unsafe { *words.wrapping_add(channel * WORDS + word) = lane(2 * word) + (lane(2 * word + 1) << 16) };
        }
    }
}
