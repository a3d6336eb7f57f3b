//! Convolutions with the instructions of Armv7-M: a column of eight windows takes seven.
//!
//! The place of the column is loaded and added to the tile's, its four words are loaded by one instruction, and added by
//! four. Where a list is shorter than a turn, the code is entered further on.
#![allow(unsafe_code, reason = "assembly")]

use super::records::Turn;
use super::{Runs, Steps, Tiles};
use core::arch::naked_asm;

/// This core's.
pub(in crate::small_core) static STEPS: Steps =
    Steps { tile, gather, gather_three, copy, turn: Turn { columns: 16, bytes: 16 } };

/// Takes columns by `$operation`, from their number on, which r8 points to.
macro_rules! columns {
    ($operation:literal) => {
        concat!(
            "ldrh r0, [r8], #3\n ldrb r11, [r8], #1\n add pc, r0\n nop\n 2:\n .rept 16\n",
            "ldrh r0, [r8], #2\n add r0, r9\n ldm r0, {{r0, r1, r2, r3}}\n",
            $operation,
            " r4, r4, r0\n",
            $operation,
            " r5, r5, r1\n",
            $operation,
            " r6, r6, r2\n",
            $operation,
            " r7, r7, r3\n .endr\n subs r11, r11, #1\n bpl 2b"
        )
    };
}

/// Adds a word's two sums to those that stand at `$place` in the tile, and shifts them by r0.
macro_rules! widen {
    ($word:literal, $place:literal) => {
        concat!(
            "ldrd r1, r2, [r10, #",
            $place,
            "]\n uxth r3, ",
            $word,
            "\n add r1, r3\n add.w r2, r2, ",
            $word,
            ", asr #16\n lsls r1, r0\n lsls r2, r0\n strd r1, r2, [r10, #",
            $place,
            "]"
        )
    };
}

/// The same where none stand there yet.
macro_rules! widen_first {
    ($word:literal, $place:literal) => {
        concat!(
            "uxth r1, ",
            $word,
            "\n asrs r2, ",
            $word,
            ", #16\n lsls r1, r0\n lsls r2, r0\n strd r1, r2, [r10, #",
            $place,
            "]"
        )
    };
}

/// See [`super::RunTile`]. r8 is the list, r9 a tile's columns, r10 the tiles, r4–r7 the sums of a chain, lr the record.
#[unsafe(naked)]
unsafe extern "C" fn tile(record: *const u16, end: *const u16, tiles: &mut Tiles) -> *const u16 {
    naked_asm!(
        "push {{r0, r1, r4-r11, lr}}",
        "mov r8, r0",
        "mov r10, r2",
        "3:", // a row
        "ldr.w r9, [r10]",
        "mov lr, r8",
        "add.w r8, r8, #12",
        "4:", // a chain
        "ldrh r4, [r8], #2",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        "5:", // a segment
        columns!("adds"),
        columns!("subs"),
        "ldrh r0, [r8], #2",
        "lsls r1, r0, #17", // C: the last segment, N: sums of 32 bits
        "bcs.w 8f",
        "bmi 6f",
        "lsls r4, r0",
        "lsls r5, r0",
        "lsls r6, r0",
        "lsls r7, r0",
        "b.w 5b",
        "6:",
        "lsls r1, r1, #1", // N: the first ones
        "bmi 7f",
        widen!("r4", "12"),
        widen!("r5", "20"),
        widen!("r6", "28"),
        widen!("r7", "36"),
        "b.w 4b",
        "7:",
        widen_first!("r4", "12"),
        widen_first!("r5", "20"),
        widen_first!("r6", "28"),
        widen_first!("r7", "36"),
        "b.w 4b",
        "8:", // even lanes to r0–r3, odd ones to r4–r7
        "ldrd r11, r12, [lr]",
        "lsls r1, r1, #1",
        "uxth r0, r4",
        "uxth r1, r5",
        "uxth r2, r6",
        "uxth r3, r7",
        "add r0, r11",
        "add r1, r11",
        "add r2, r11",
        "add r3, r11",
        "add.w r4, r12, r4, asr #16",
        "add.w r5, r12, r5, asr #16",
        "add.w r6, r12, r6, asr #16",
        "add.w r7, r12, r7, asr #16",
        "bmi 9f",
        "ldrd r11, r12, [r10, #12]",
        "add r0, r11",
        "add r4, r12",
        "ldrd r11, r12, [r10, #20]",
        "add r1, r11",
        "add r5, r12",
        "ldrd r11, r12, [r10, #28]",
        "add r2, r11",
        "add r6, r12",
        "ldrd r11, r12, [r10, #36]",
        "add r3, r11",
        "add r7, r12",
        "9:",
        "ldrd r12, r9, [r10, #4]", // the first lane's output, the distance to the next one's
        "cmp r9, #0",
        "beq 7f",
        "ldrh.w r11, [lr, #8]", // the shift
        "ldrh.w lr, [lr, #10]", // ReLU
        "asr.w r0, r0, r11",
        "asr.w r1, r1, r11",
        "asr.w r2, r2, r11",
        "asr.w r3, r3, r11",
        "asr.w r4, r4, r11",
        "asr.w r5, r5, r11",
        "asr.w r6, r6, r11",
        "asr.w r7, r7, r11",
        "cmp.w lr, #0",
        "bne 5f",
        ".irp sum, r0, r1, r2, r3, r4, r5, r6, r7",
        "ssat \\sum, #8, \\sum",
        ".endr",
        "b 6f",
        "5:",
        ".irp sum, r0, r1, r2, r3, r4, r5, r6, r7",
        "usat \\sum, #7, \\sum",
        ".endr",
        "6:",
        "strb.w r0, [r12]",
        "strb.w r4, [r12, r9]",
        "strb.w r1, [r12, r9, lsl #1]",
        "strb.w r2, [r12, r9, lsl #2]",
        "add.w lr, r9, r9, lsl #1",
        "add.w r0, r12, lr", // three lanes on
        "strb.w r5, [r0]",
        "strb.w r6, [r0, r9, lsl #1]",
        "strb.w r7, [r0, r9, lsl #2]",
        "strb.w r3, [r0, lr]",
        "add.w r12, r12, #1",
        "str.w r12, [r10, #4]",
        "8:",
        "add.w r8, r8, #2", // to a word's boundary
        "bic.w r8, r8, #3",
        "ldr r0, [sp, #4]",
        "cmp r8, r0",
        "blo.w 3b",
        "ldr.w r3, [r10, #44]",
        "subs r3, r3, #1",
        "beq 6f",
        "str.w r3, [r10, #44]",
        "ldrd r0, r1, [r10]",
        "ldrd r2, r3, [r10, #48]",
        "add r0, r2",
        "add r1, r3",
        "strd r0, r1, [r10]",
        "ldr.w r8, [sp]",
        "b.w 3b",
        "6:",
        "mov r0, r8",
        "add sp, #8",
        "pop {{r4-r11, pc}}",
        "7:",
        "strd r0, r4, [r10, #12]",
        "strd r1, r5, [r10, #20]",
        "strd r2, r6, [r10, #28]",
        "strd r3, r7, [r10, #36]",
        "b 8b",
    )
}

/// See [`super::Gather`].
#[unsafe(naked)]
unsafe extern "C" fn gather(runs: &Runs) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldr r7, [r0, #12]",
        "ldrd r5, r6, [r0, #16]",
        "subs r6, r6, r7", // from the end of a run to the next one
        "push {{r5, r6, r7}}",
        "ldm.w r0, {{r0, r1, r2, r3}}",
        "add.w r4, r2, r2, lsl #1",
        "2:",
        "ldrsb.w r5, [r1]",
        "ldrsb r6, [r1, r2]",
        "ldrsb.w r7, [r1, r2, lsl #1]",
        "ldrsb.w r8, [r1, r4]",
        "add.w r12, r1, r2, lsl #2",
        "ldrsb.w r9, [r12]",
        "ldrsb.w r10, [r12, r2]",
        "ldrsb.w r11, [r12, r2, lsl #1]",
        "ldrsb.w lr, [r12, r4]",
        "add.w r5, r5, r6, lsl #16",
        "add.w r6, r7, r8, lsl #16",
        "add.w r7, r9, r10, lsl #16",
        "add.w r8, r11, lr, lsl #16",
        "stm r0!, {{r5-r8}}",
        "adds r1, r1, #1",
        "subs r3, r3, #1",
        "bne 2b",
        "ldm.w sp, {{r5, r6, r7}}",
        "subs r5, r5, #1",
        "str r5, [sp]",
        "add r1, r6",
        "mov r3, r7",
        "bne 2b",
        "add sp, #12",
        "pop {{r4-r11, pc}}",
    )
}

/// See [`super::Gather`]: ten elements are loaded for twelve words, of which three stand twice.
#[unsafe(naked)]
unsafe extern "C" fn gather_three(runs: &Runs) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldrd r2, r3, [r0, #16]",
        "ldrd r0, r1, [r0]",
        "2:",
        "ldrsb.w r4, [r1]",
        "ldrsb.w r5, [r1, #1]",
        "ldrsb.w r6, [r1, #2]",
        "ldrsb.w r7, [r1, #3]",
        "ldrsb.w r8, [r1, #4]",
        "ldrsb.w r9, [r1, #5]",
        "ldrsb.w r10, [r1, #6]",
        "ldrsb.w r11, [r1, #7]",
        "ldrsb.w r12, [r1, #8]",
        "ldrsb.w lr, [r1, #9]",
        "add.w r4, r4, r5, lsl #16",
        "add.w r5, r5, r6, lsl #16",
        "add.w r6, r6, r7, lsl #16",
        "add.w r7, r7, r8, lsl #16",
        "add.w r8, r8, r9, lsl #16",
        "add.w r9, r9, r10, lsl #16",
        "add.w r10, r10, r11, lsl #16",
        "add.w r11, r11, r12, lsl #16",
        "add.w r12, r12, lr, lsl #16",
        "stm.w r0!, {{r4, r6, r8, r10}}",
        "stm.w r0!, {{r5, r7, r9, r11}}",
        "stm.w r0!, {{r6, r8, r10, r12}}",
        "add r1, r3",
        "subs r2, r2, #1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
    )
}

/// See [`super::CopyChannel`].
#[unsafe(naked)]
unsafe extern "C" fn copy(to: *mut i8, from: *const i8, step: usize, count: usize) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "add.w r7, r2, r2, lsl #1",
        "subs r3, r3, #4",
        "blt 3f",
        "2:",
        "ldrb.w r12, [r1]",
        "ldrb r4, [r1, r2]",
        "ldrb.w r5, [r1, r2, lsl #1]",
        "ldrb r6, [r1, r7]",
        "add.w r1, r1, r2, lsl #2",
        "strb.w r12, [r0]",
        "strb r4, [r0, #1]",
        "strb r5, [r0, #2]",
        "strb r6, [r0, #3]",
        "adds r0, r0, #4",
        "subs r3, r3, #4",
        "bge 2b",
        "3:",
        "adds r3, r3, #4",
        "beq 5f",
        "4:",
        "ldrb r4, [r1]",
        "add r1, r2",
        "strb r4, [r0], #1",
        "subs r3, r3, #1",
        "bne 4b",
        "5:",
        "pop {{r4-r7, pc}}",
    )
}
