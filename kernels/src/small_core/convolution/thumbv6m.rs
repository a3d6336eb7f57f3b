//! Convolutions with the instructions of Armv6-M: a column of eight windows takes eight.
//!
//! The place of the column is loaded and added to the tile's, its four words are loaded two at a time and added. Where a list
//! is shorter than a turn, the code is entered further on.
#![allow(unsafe_code, reason = "assembly")]

use super::records::Turn;
use super::{Runs, Steps, Tiles};
use core::arch::naked_asm;

/// This core's.
pub(in crate::small_core) static STEPS: Steps =
    Steps { tile, gather, gather_three, copy, turn: Turn { columns: 16, bytes: 16 } };

/// Takes columns by `$operation`, from their number on, which r0 points to.
macro_rules! columns {
    ($operation:literal) => {
        concat!(
            "ldrh r1, [r0]\n ldrb r2, [r0, #2]\n ldrb r3, [r0, #3]\n adds r0, #4\n subs r0, r0, r2\n mov r10, r3\n",
            "add pc, r1\n nop\n 2:\n .irp place, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30\n",
            "ldrh r1, [r0, #\\place]\n add r1, r8\n ldm r1!, {{r2, r3}}\n",
            $operation,
            " r4, r4, r2\n",
            $operation,
            " r5, r5, r3\n ldm r1!, {{r2, r3}}\n",
            $operation,
            " r6, r6, r2\n",
            $operation,
            " r7, r7, r3\n .endr\n adds r0, #32\n mov r1, r10\n subs r1, r1, #1\n mov r10, r1\n bmi 3f\n b 2b\n 3:"
        )
    };
}

/// Adds a word's two sums to those that r0 points to, and shifts them by r1.
macro_rules! widen {
    ($word:literal) => {
        concat!(
            "ldr r2, [r0]\n uxth r3, ",
            $word,
            "\n adds r2, r2, r3\n lsls r2, r1\n ldr r3, [r0, #4]\n asrs ",
            $word,
            ", ",
            $word,
            ", #16\n adds r3, r3, ",
            $word,
            "\n lsls r3, r1\n stm r0!, {{r2, r3}}"
        )
    };
}

/// The same where none stand there yet.
macro_rules! widen_first {
    ($word:literal) => {
        concat!("uxth r2, ", $word, "\n lsls r2, r1\n asrs r3, ", $word, ", #16\n lsls r3, r1\n stm r0!, {{r2, r3}}")
    };
}

/// The output of the lane whose sum r4 points to: `$bias` is added, r1 the shift, r0 where it goes, r10 the distance to the
/// next one's.
macro_rules! output {
    ($bias:literal) => {
        concat!(
            "ldm r4!, {{r2}}\n adds r2, r2, ",
            $bias,
            "\n asrs r2, r1\n sxtb r3, r2\n cmp r3, r2\n beq 3f\n asrs r2, r2, #31\n movs r3, #127\n eors r2, r3\n 3:\n",
            "strb r2, [r0]\n add r0, r10"
        )
    };
    ($bias:literal, "relu") => {
        concat!(
            "ldm r4!, {{r2}}\n adds r2, r2, ",
            $bias,
            "\n asrs r2, r1\n asrs r3, r2, #31\n bics r2, r3\n cmp r2, #127\n ble 3f\n movs r2, #127\n 3:\n",
            "strb r2, [r0]\n add r0, r10"
        )
    };
}

/// See [`super::RunTile`]. r0 is the list, r8 a tile's columns, r9 the tiles, r4–r7 the sums of a chain, r11 the record.
#[unsafe(naked)]
unsafe extern "C" fn tile(record: *const u16, end: *const u16, tiles: &mut Tiles) -> *const u16 {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r0, r1, r4-r7}}",
        "mov r9, r2",
        "9:", // a row
        "mov r1, r9",
        "ldr r1, [r1]",
        "mov r8, r1",
        "mov r11, r0",
        "adds r0, #12",
        "4:", // a chain
        "ldrh r4, [r0]",
        "adds r0, #2",
        "mov r5, r4",
        "mov r6, r4",
        "mov r7, r4",
        "5:", // a segment
        columns!("adds"),
        columns!("subs"),
        "ldrh r1, [r0]",
        "adds r0, #2",
        "lsls r2, r1, #17", // N: sums of 32 bits
        "bmi 6f",
        "lsls r4, r1",
        "lsls r5, r1",
        "lsls r6, r1",
        "lsls r7, r1",
        "b 5b",
        "6:",
        "mov r12, r0",
        "mov r0, r9",
        "adds r0, #12",
        "lsls r2, r2, #1", // N: the first ones
        "bmi 7f",
        widen!("r4"),
        widen!("r5"),
        widen!("r6"),
        widen!("r7"),
        "b 8f",
        "7:",
        widen_first!("r4"),
        widen_first!("r5"),
        widen_first!("r6"),
        widen_first!("r7"),
        "8:",
        "lsls r2, r1, #17", // C: the last segment
        "mov r4, r0",
        "mov r0, r12",
        "bcs 3f",
        "b 4b",
        "3:",
        "subs r4, #32", // the sums
        "mov r5, r11",
        "ldr r6, [r5]",
        "ldr r7, [r5, #4]",
        "ldrh r1, [r5, #8]",  // the shift
        "ldrh r5, [r5, #10]", // ReLU
        "mov r3, r9",
        "ldr r2, [r3, #8]", // from a lane's output to the next one's
        "cmp r2, #0",
        "bne 3f",
        "b 7f",
        "3:",
        "mov r10, r2",
        "ldr r0, [r3, #4]", // the first lane's output
        "adds r2, r0, #1",
        "str r2, [r3, #4]",
        "cmp r5, #0",
        "bne 6f",
        ".rept 4",
        output!("r6"),
        output!("r7"),
        ".endr",
        "b 8f",
        "6:",
        ".rept 4",
        output!("r6", "relu"),
        output!("r7", "relu"),
        ".endr",
        "b 8f",
        "7:",
        ".rept 4",
        "ldr r2, [r4]",
        "ldr r3, [r4, #4]",
        "adds r2, r2, r6",
        "adds r3, r3, r7",
        "stm r4!, {{r2, r3}}",
        ".endr",
        "8:",
        "mov r0, r12",
        "adds r0, #2", // to a word's boundary
        "lsrs r0, r0, #2",
        "lsls r0, r0, #2",
        "ldr r1, [sp, #4]",
        "cmp r0, r1",
        "bhs 7f",
        "b 9b",
        "7:",
        "mov r5, r9",
        "ldr r1, [r5, #44]",
        "subs r1, r1, #1",
        "beq 6f",
        "str r1, [r5, #44]",
        "ldr r1, [r5, #48]",
        "ldr r2, [r5, #52]",
        "ldr r3, [r5]",
        "ldr r4, [r5, #4]",
        "adds r3, r3, r1",
        "adds r4, r4, r2",
        "stm r5!, {{r3, r4}}",
        "ldr r0, [sp]",
        "b 9b",
        "6:",
        "pop {{r1, r2, r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
    )
}

/// Two lanes' elements as a word.
macro_rules! word {
    ($word:literal) => {
        concat!(
            "ldrsb ",
            $word,
            ", [r1, r2]\n adds r1, r1, r2\n ldrsb r3, [r1, r2]\n adds r1, r1, r2\n lsls r3, r3, #16\n adds ",
            $word,
            ", ",
            $word,
            ", r3"
        )
    };
}

/// See [`super::Gather`].
#[unsafe(naked)]
unsafe extern "C" fn gather(runs: &Runs) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "ldr r3, [r0, #12]",
        "mov lr, r3",
        "ldr r4, [r0, #16]",
        "ldr r5, [r0, #20]",
        "subs r5, r5, r3", // from the end of a run to the next one
        "push {{r3, r4, r5}}",
        "ldm r0!, {{r4, r5, r6}}",
        "mov r0, r4",
        "mov r2, r6",
        "subs r1, r5, r6", // a step before the first lane
        "2:",
        "mov r12, r1",
        word!("r4"),
        word!("r5"),
        word!("r6"),
        word!("r7"),
        "stm r0!, {{r4-r7}}",
        "mov r1, r12",
        "adds r1, #1",
        "mov r3, lr",
        "subs r3, #1",
        "mov lr, r3",
        "bne 2b",
        "ldr r3, [sp]",
        "mov lr, r3",
        "ldr r4, [sp, #8]",
        "adds r1, r1, r4",
        "ldr r4, [sp, #4]",
        "subs r4, #1",
        "str r4, [sp, #4]",
        "bne 2b",
        "add sp, #12",
        "pop {{r4-r7, pc}}",
    )
}

/// The elements `$low` and `$high` behind r1 as a word.
macro_rules! neighbours {
    ($word:literal, $low:literal, $high:literal) => {
        concat!(
            "movs r2, #",
            $low,
            "\n ldrsb ",
            $word,
            ", [r1, r2]\n movs r2, #",
            $high,
            "\n ldrsb r2, [r1, r2]\n lsls r2, r2, #16\n adds ",
            $word,
            ", ",
            $word,
            ", r2"
        )
    };
}

/// See [`super::Gather`]: nine words, of which three stand twice.
#[unsafe(naked)]
unsafe extern "C" fn gather_three(runs: &Runs) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "ldr r3, [r0, #16]",
        "ldr r2, [r0, #20]",
        "mov r12, r2",
        "ldr r1, [r0, #4]",
        "ldr r0, [r0]",
        "2:",
        neighbours!("r4", "0", "1"),
        neighbours!("r5", "2", "3"),
        neighbours!("r6", "4", "5"),
        neighbours!("r7", "6", "7"),
        "stm r0!, {{r4-r7}}",
        neighbours!("r4", "8", "9"),
        "str r5, [r0, #16]",
        "str r6, [r0, #20]",
        "str r7, [r0, #24]",
        "str r4, [r0, #28]",
        neighbours!("r4", "1", "2"),
        neighbours!("r5", "3", "4"),
        neighbours!("r6", "5", "6"),
        neighbours!("r7", "7", "8"),
        "stm r0!, {{r4-r7}}",
        "adds r0, #16",
        "add r1, r12",
        "subs r3, #1",
        "bne 2b",
        "pop {{r4-r7, pc}}",
    )
}

/// See [`super::CopyChannel`].
#[unsafe(naked)]
unsafe extern "C" fn copy(to: *mut i8, from: *const i8, step: usize, count: usize) {
    naked_asm!(
        "push {{r4, lr}}",
        "subs r3, #4",
        "blt 3f",
        "2:",
        ".irp place, 0, 1, 2, 3",
        "ldrb r4, [r1]",
        "adds r1, r1, r2",
        "strb r4, [r0, #\\place]",
        ".endr",
        "adds r0, #4",
        "subs r3, #4",
        "bge 2b",
        "3:",
        "adds r3, #4",
        "beq 5f",
        "4:",
        "ldrb r4, [r1]",
        "adds r1, r1, r2",
        "strb r4, [r0]",
        "adds r0, #1",
        "subs r3, #1",
        "bne 4b",
        "5:",
        "pop {{r4, pc}}",
    )
}
