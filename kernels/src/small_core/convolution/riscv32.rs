//! Convolutions on RV32: a column of eight windows takes ten instructions.
//!
//! The place of the column is loaded and added to the tile's, its four words are loaded and added. Where a list is shorter
//! than a turn, the code is entered further on: it is uncompressed.
#![allow(unsafe_code, reason = "assembly")]

use super::records::Turn;
use super::{Steps, Tile};
use core::arch::naked_asm;

/// This core's.
pub(in crate::small_core) static STEPS: Steps = Steps { tile, gather, turn: Turn { columns: 8, bytes: 40 } };

/// Takes columns by `$operation`, from their number on, which a0 points to; `$code` is where that of columns begins, at `$label`.
macro_rules! columns {
    ($operation:literal, $code:literal, $label:literal) => {
        concat!(
            "lhu t5, 0(a0)\n lbu t6, 2(a0)\n lbu a7, 3(a0)\n addi a0, a0, 4\n sub a0, a0, t6\n add t5, t5, ",
            $code,
            "\n jr t5\n .option push\n .option norvc\n ",
            $label,
            ":\n .irp place, 0, 2, 4, 6, 8, 10, 12, 14\n",
            "lhu a4, \\place(a0)\n add a4, a4, a6\n lw a5, 0(a4)\n lw s0, 4(a4)\n lw s1, 8(a4)\n lw t4, 12(a4)\n",
            $operation,
            " t0, t0, a5\n",
            $operation,
            " t1, t1, s0\n",
            $operation,
            " t2, t2, s1\n",
            $operation,
            " t3, t3, t4\n .endr\n .option pop\n addi a0, a0, 16\n addi a7, a7, -1\n bgez a7, ",
            $label,
            "b"
        )
    };
}

/// Adds a word's two sums to those that stand at `$place` in the tile, and the next place, and shifts them by t5.
macro_rules! widen {
    ($word:literal, $place:literal, $next:literal) => {
        concat!(
            "lw a4, ",
            $place,
            "(a2)\n lw a5, ",
            $next,
            "(a2)\n and s0, ",
            $word,
            ", s4\n srai ",
            $word,
            ", ",
            $word,
            ", 16\n add a4, a4, s0\n add a5, a5, ",
            $word,
            "\n sll a4, a4, t5\n sll a5, a5, t5\n sw a4, ",
            $place,
            "(a2)\n sw a5, ",
            $next,
            "(a2)"
        )
    };
}

/// The same where none stand there yet.
macro_rules! widen_first {
    ($word:literal, $place:literal, $next:literal) => {
        concat!(
            "and a4, ",
            $word,
            ", s4\n srai a5, ",
            $word,
            ", 16\n sll a4, a4, t5\n sll a5, a5, t5\n sw a4, ",
            $place,
            "(a2)\n sw a5, ",
            $next,
            "(a2)"
        )
    };
}

/// The output of the lane whose sum stands at `$place`: `$bias` is added, t0 the shift, a4 where it goes, a5 the distance to
/// the next one's, t2 and t3 the range.
macro_rules! output {
    ($place:literal, $bias:literal) => {
        concat!(
            "lw s0, ",
            $place,
            "(a2)\n add s0, s0, ",
            $bias,
            "\n sra s0, s0, t0\n ble s0, t3, 3f\n mv s0, t3\n 3:\n",
            "bge s0, t2, 3f\n mv s0, t2\n 3:\n sb s0, 0(a4)\n add a4, a4, a5"
        )
    };
}

/// The bias added to the sum at `$place`.
macro_rules! sum {
    ($place:literal, $bias:literal) => {
        concat!("lw s0, ", $place, "(a2)\n add s0, s0, ", $bias, "\n sw s0, ", $place, "(a2)")
    };
}

/// See [`super::RunTile`]. a0 is the list, a1 the end, a2 the tile, a3 the record, a6 the tile's columns, t0–t3 the sums of a
/// chain, s2 and s3 the code for columns, s4 the lower half of a word.
#[unsafe(naked)]
unsafe extern "C" fn tile(record: *const u16, end: *const u16, tile: &mut Tile) -> *const u16 {
    naked_asm!(
        "addi sp, sp, -32",
        "sw s0, 0(sp)",
        "sw s1, 4(sp)",
        "sw s2, 8(sp)",
        "sw s3, 12(sp)",
        "sw s4, 16(sp)",
        "la s2, 20f",
        "la s3, 30f",
        "li s4, 0xFFFF",
        "lw a6, 0(a2)",
        "9:", // a row
        "mv a3, a0",
        "addi a0, a0, 12",
        "4:", // a chain
        "lhu t0, 0(a0)",
        "addi a0, a0, 2",
        "mv t1, t0",
        "mv t2, t0",
        "mv t3, t0",
        "5:", // a segment
        columns!("add", "s2", "20"),
        columns!("sub", "s3", "30"),
        "lhu t5, 0(a0)",
        "addi a0, a0, 2",
        "slli t6, t5, 17", // negative: sums of 32 bits
        "bltz t6, 6f",
        "sll t0, t0, t5",
        "sll t1, t1, t5",
        "sll t2, t2, t5",
        "sll t3, t3, t5",
        "j 5b",
        "6:",
        "slli t6, t6, 1", // negative: the first ones
        "bltz t6, 7f",
        widen!("t0", "12", "16"),
        widen!("t1", "20", "24"),
        widen!("t2", "28", "32"),
        widen!("t3", "36", "40"),
        "j 8f",
        "7:",
        widen_first!("t0", "12", "16"),
        widen_first!("t1", "20", "24"),
        widen_first!("t2", "28", "32"),
        widen_first!("t3", "36", "40"),
        "8:",
        "slli t6, t5, 16", // negative: the last segment
        "bgez t6, 4b",
        "lw t4, 0(a3)", // biases
        "lw t5, 4(a3)",
        "lw a5, 8(a2)",
        "beqz a5, 7f",
        "lw a4, 4(a2)",   // the first lane's output
        "lhu t0, 8(a3)",  // the shift
        "lhu t1, 10(a3)", // ReLU
        "addi t6, a4, 1",
        "sw t6, 4(a2)",
        "li t3, 127",
        "addi t2, t1, -1", // −1 or 0, then −128 or 0
        "slli t2, t2, 7",
        output!("12", "t4"),
        output!("16", "t5"),
        output!("20", "t4"),
        output!("24", "t5"),
        output!("28", "t4"),
        output!("32", "t5"),
        output!("36", "t4"),
        output!("40", "t5"),
        "8:",
        "addi a0, a0, 2", // to a word's boundary
        "andi a0, a0, -4",
        "bltu a0, a1, 9b",
        "lw s0, 0(sp)",
        "lw s1, 4(sp)",
        "lw s2, 8(sp)",
        "lw s3, 12(sp)",
        "lw s4, 16(sp)",
        "addi sp, sp, 32",
        "ret",
        "7:",
        sum!("12", "t4"),
        sum!("16", "t5"),
        sum!("20", "t4"),
        sum!("24", "t5"),
        sum!("28", "t4"),
        sum!("32", "t5"),
        sum!("36", "t4"),
        sum!("40", "t5"),
        "j 8b",
    )
}

/// The next lane's element.
macro_rules! lane {
    ($to:literal) => {
        concat!("lb ", $to, ", 0(t6)\n add t6, t6, a2")
    };
}

/// Two lanes' elements as the word at `$place`.
macro_rules! word {
    ($even:literal, $odd:literal, $place:literal) => {
        concat!(
            "slli ",
            $odd,
            ", ",
            $odd,
            ", 16\n add ",
            $even,
            ", ",
            $even,
            ", ",
            $odd,
            "\n sw ",
            $even,
            ", ",
            $place,
            "(a0)"
        )
    };
}

/// See [`super::Gather`].
#[unsafe(naked)]
unsafe extern "C" fn gather(words: *mut i32, from: *const i8, step: usize, channels: usize) {
    naked_asm!(
        "2:",
        "mv t6, a1",
        lane!("t0"),
        lane!("t1"),
        lane!("t2"),
        lane!("t3"),
        lane!("t4"),
        lane!("t5"),
        lane!("a4"),
        "lb a5, 0(t6)",
        word!("t0", "t1", "0"),
        word!("t2", "t3", "4"),
        word!("t4", "t5", "8"),
        word!("a4", "a5", "12"),
        "addi a0, a0, 16",
        "addi a1, a1, 1",
        "addi a3, a3, -1",
        "bnez a3, 2b",
        "ret",
    )
}
