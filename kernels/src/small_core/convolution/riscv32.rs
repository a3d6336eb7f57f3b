//! Convolutions on RV32: a column of eight windows takes ten instructions.
//!
//! The place of the column is loaded and added to the tile's, its four words are loaded and added. Where a list is shorter
//! than a turn, the code is entered further on: it is uncompressed.
#![allow(unsafe_code, reason = "assembly")]

use super::records::Turn;
use super::{Runs, Steps, Tiles};
use core::arch::naked_asm;

/// This core's.
pub(in crate::small_core) static STEPS: Steps =
    Steps { tile, gather, gather_three, copy, turn: Turn { columns: 8, bytes: 40 } };

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

/// See [`super::RunTile`]. a0 is the list, a1 the end, a2 the tiles, a3 the record, a6 a tile's columns, t0–t3 the sums of a
/// chain, s2 and s3 the code for columns, s4 the lower half of a word.
#[unsafe(naked)]
unsafe extern "C" fn tile(record: *const u16, end: *const u16, tiles: &mut Tiles) -> *const u16 {
    naked_asm!(
        "addi sp, sp, -32",
        "sw s0, 0(sp)",
        "sw s1, 4(sp)",
        "sw s2, 8(sp)",
        "sw s3, 12(sp)",
        "sw s4, 16(sp)",
        "sw a0, 20(sp)",
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
        "lw t0, 44(a2)",
        "addi t0, t0, -1",
        "beqz t0, 6f",
        "sw t0, 44(a2)",
        "lw t1, 48(a2)",
        "lw t2, 52(a2)",
        "lw t3, 4(a2)",
        "add a6, a6, t1",
        "add t3, t3, t2",
        "sw t3, 4(a2)",
        "lw a0, 20(sp)",
        "j 9b",
        "6:",
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
unsafe extern "C" fn gather(runs: &Runs) {
    naked_asm!(
        "addi sp, sp, -16",
        "sw s0, 0(sp)",
        "sw s1, 4(sp)",
        "lw a6, 12(a0)",
        "lw s0, 16(a0)",
        "lw s1, 20(a0)",
        "sub s1, s1, a6", // from the end of a run to the next one
        "lw a1, 4(a0)",
        "lw a2, 8(a0)",
        "lw a0, 0(a0)",
        "3:",
        "mv a3, a6",
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
        "add a1, a1, s1",
        "addi s0, s0, -1",
        "bnez s0, 3b",
        "lw s0, 0(sp)",
        "lw s1, 4(sp)",
        "addi sp, sp, 16",
        "ret",
    )
}

/// Two neighbours as the word at `$place`; the higher one's element stays.
macro_rules! neighbours {
    ($low:literal, $high:literal, $place:literal) => {
        concat!("slli a4, ", $high, ", 16\n add ", $low, ", ", $low, ", a4\n sw ", $low, ", ", $place, "(a0)")
    };
    ($low:literal, $high:literal, $place:literal, $again:literal) => {
        concat!(neighbours!($low, $high, $place), "\n sw ", $low, ", ", $again, "(a0)")
    };
}

/// See [`super::Gather`]: nine words, of which three stand twice.
#[unsafe(naked)]
unsafe extern "C" fn gather_three(runs: &Runs) {
    naked_asm!(
        "lw a2, 16(a0)",
        "lw a3, 20(a0)",
        "lw a1, 4(a0)",
        "lw a0, 0(a0)",
        "2:",
        "lb t0, 0(a1)",
        "lb t1, 1(a1)",
        "lb t2, 2(a1)",
        "lb t3, 3(a1)",
        "lb t4, 4(a1)",
        "lb t5, 5(a1)",
        "lb t6, 6(a1)",
        "lb a5, 7(a1)",
        "lb a6, 8(a1)",
        "lb a7, 9(a1)",
        neighbours!("t0", "t1", "0"),
        neighbours!("t1", "t2", "16"),
        neighbours!("t2", "t3", "4", "32"),
        neighbours!("t3", "t4", "20"),
        neighbours!("t4", "t5", "8", "36"),
        neighbours!("t5", "t6", "24"),
        neighbours!("t6", "a5", "12", "40"),
        neighbours!("a5", "a6", "28"),
        neighbours!("a6", "a7", "44"),
        "addi a0, a0, 48",
        "add a1, a1, a3",
        "addi a2, a2, -1",
        "bnez a2, 2b",
        "ret",
    )
}

/// See [`super::CopyChannel`].
#[unsafe(naked)]
unsafe extern "C" fn copy(to: *mut i8, from: *const i8, step: usize, count: usize) {
    naked_asm!(
        "li t1, 4",
        "bltu a3, t1, 3f",
        "2:",
        ".irp place, 0, 1, 2, 3",
        "lb t0, 0(a1)",
        "add a1, a1, a2",
        "sb t0, \\place(a0)",
        ".endr",
        "addi a0, a0, 4",
        "addi a3, a3, -4",
        "bgeu a3, t1, 2b",
        "3:",
        "beqz a3, 5f",
        "4:",
        "lb t0, 0(a1)",
        "add a1, a1, a2",
        "sb t0, 0(a0)",
        "addi a0, a0, 1",
        "addi a3, a3, -1",
        "bnez a3, 4b",
        "5:",
        "ret",
    )
}
