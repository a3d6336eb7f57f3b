//! What the assembly does, in plain Rust: for tests on any machine.

use super::records::{FIRST, LAST, Turn, WIDE};
use super::{LANES, Runs, Steps, Tiles, WORDS};

/// Columns of a turn.
const TURN: usize = 16;

/// Plain Rust.
pub(crate) static PORTABLE: Steps =
    Steps { tile, gather, gather_three: gather, copy, turn: Turn { columns: TURN, bytes: 1 } };

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn tile(records: *const u16, end: *const u16, tiles: &mut Tiles) -> *const u16 {
    let mut record = records;
    loop {
        // SAFETY: there is a record, as a caller of `RunTile` promises, and the tile has the columns that it names.
        let (sums, shift, relu) = unsafe { row(&mut record, tiles.columns) };
        tiles.sums = sums;
        if tiles.stride == 0 {
            return record;
        }
        for (lane, sum) in sums.into_iter().enumerate() {
            let output = (sum >> shift).clamp(if relu { 0 } else { i8::MIN.into() }, i8::MAX.into()) as i8;
            // SAFETY: there is room for the output of each row at each lane.
            unsafe { *tiles.to.wrapping_add(lane * tiles.stride) = output };
        }
        tiles.to = tiles.to.wrapping_add(1);
        if record >= end {
            tiles.count -= 1;
            if tiles.count == 0 {
                return record;
            }
            record = records;
            tiles.columns = tiles.columns.wrapping_byte_add(tiles.columns_step);
            tiles.to = tiles.to.wrapping_add(tiles.to_step);
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
    if (record.addr() - start.addr()) % 4 == 2 {
        *record = record.wrapping_add(1);
    }
    (sums, shift, relu == 1)
}

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn gather(runs: &Runs) {
    let mut words = runs.words;
    for run in 0..runs.count {
        for element in 0..runs.length {
            let lane = |lane: usize| {
                // SAFETY: there are as many elements, as a caller of `Gather` promises.
                i32::from(unsafe { *runs.from.wrapping_add(run * runs.row + lane * runs.step + element) })
            };
            for word in 0..WORDS {
                // SAFETY: there are as many words.
                unsafe { *words = lane(2 * word) + (lane(2 * word + 1) << 16) };
                words = words.wrapping_add(1);
            }
        }
    }
}

#[allow(unsafe_code, reason = "in place of assembly")]
unsafe extern "C" fn copy(to: *mut i8, from: *const i8, step: usize, count: usize) {
    for element in 0..count {
        // SAFETY: there are as many of both, as a caller of `CopyChannel` promises.
        unsafe { *to.wrapping_add(element) = *from.wrapping_add(element * step) };
    }
}
