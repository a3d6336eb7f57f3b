//! How much stack a piece of work takes: the free stack is painted before it, and searched for its lowest trace after it.
//!
//! The board's memory map puts the stack below all other memory, between `_stack_end` and `_stack_start`, so that one that
//! grows past its end is a fault. What is measured here says how far from that a program stays.

use crate::processor;
use core::sync::atomic::{Ordering, compiler_fence};

/// What a free word holds. No program is likely to leave it as the last word of its trace.
const PAINT: u32 = 0x5AFE_57AC;

#[allow(unsafe_code, reason = "the memory map's symbols have no other declaration")]
// SAFETY: the memory map of every board defines both as addresses; nothing here reads a value through them but `deepest`.
unsafe extern "C" {
    static _stack_start: u32;
    static _stack_end: u32;
}

/// The stack that the board has, and how much of it was used, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Bytes there are.
    pub limit: u32,
    /// Bytes used at the deepest point since it was painted, from the start of the program's stack on.
    pub high_water: u32,
}

/// The bytes of stack that `work` takes, its callers' not included, and its result.
#[inline(never)]
pub fn stack_of<T>(work: impl FnOnce() -> T) -> (u32, T) {
    let (_, end) = bounds();
    let top = processor::paint_stack(end, PAINT);
    // In a frame of its own: inlined here, its variables would lie above the painted part.
    let result = apart(work);
    (top.wrapping_sub(deepest()), result)
}

#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    compiler_fence(Ordering::SeqCst);
    let result = work();
    compiler_fence(Ordering::SeqCst);
    result
}

impl Stack {
    /// Paints all that is free, for [`Stack::measure`] to be about what follows.
    #[inline(never)]
    pub fn paint() {
        let (_, end) = bounds();
        processor::paint_stack(end, PAINT);
    }

    /// How deep the stack has been since it was painted.
    pub fn measure() -> Self {
        let (start, end) = bounds();
        Self { limit: start.wrapping_sub(end), high_water: start.wrapping_sub(deepest()) }
    }
}

/// Where the stack starts, and where it ends, further down.
fn bounds() -> (u32, u32) {
    (address(&raw const _stack_start), address(&raw const _stack_end))
}

fn address(symbol: *const u32) -> u32 {
    symbol.addr() as u32
}

/// The address of the lowest word that is not as it was painted.
#[allow(unsafe_code, reason = "no reference may exist to memory that the compiler holds to be free")]
fn deepest() -> u32 {
    let (start, _) = bounds();
    let mut word = &raw const _stack_end;
    // SAFETY: every word between the two symbols is memory of the stack, aligned because both are, and readable whatever
    // it holds.
    while address(word) < start && unsafe { word.read_volatile() } == PAINT {
        word = word.wrapping_add(1);
    }
    address(word)
}
