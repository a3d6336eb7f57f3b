//! RV32, with or without multiplication, compressed instructions or not.
//!
//! No instruction multiplies here. There is no load from the sum of two registers, so an address takes an addition of its
//! own; in return a load has an offset, and reads either half of a word. Functions for any number of bytes hold the code of
//! eight, the last byte's first and uncompressed, and jump into it.
#![allow(unsafe_code, reason = "assembly")]

use super::split_table::{self, PLACES};
use super::{Algorithm, Family, Part, Requantize, Rows, pair_table};
use core::arch::naked_asm;

/// This family.
pub(crate) struct Core;

impl Family for Core {
    const NAME: &'static str = "riscv32";
    const MANY: Algorithm = Algorithm {
        name: "pair-table",
        words: 1024,
        pair: 256,
        prepare: fill,
        prepare_two: fill_nine,
        add: add_sums,
        add_eight: add_eight_sums,
        add_seven: add_seven_sums,
        add_two: add_sums,
        even: true,
    };
    const FEW: Algorithm = Algorithm {
        name: "split-table",
        words: 144,
        pair: 36,
        prepare: fill_split,
        prepare_two: fill_split_nine,
        add: add_split,
        add_eight: add_eight_split,
        add_seven: add_seven_split,
        add_two: add_two_split,
        even: true,
    };
    const FROM: usize = 44;
    const REQUANTIZE: Requantize = requantize;
    #[cfg(feature = "conv2d")]
    const STEPS: &'static super::convolution::Steps = &super::convolution::STEPS;
}

/// Nine words of a table, and the step to the next nine.
macro_rules! nine {
    ($place:literal, $step:literal) => {
        concat!(
            "sw t0, ",
            $place,
            "(a0)\n sw t1, ",
            $place,
            "+4(a0)\n sw t2, ",
            $place,
            "+8(a0)\n",
            "sw t3, ",
            $place,
            "+12(a0)\n sw t4, ",
            $place,
            "+16(a0)\n sw t5, ",
            $place,
            "+20(a0)\n",
            "sw t6, ",
            $place,
            "+24(a0)\n sw a2, ",
            $place,
            "+28(a0)\n sw a3, ",
            $place,
            "+32(a0)\n",
            "add t0, t0, ",
            $step,
            "\n add t1, t1, ",
            $step,
            "\n add t2, t2, ",
            $step,
            "\n",
            "add t3, t3, ",
            $step,
            "\n add t4, t4, ",
            $step,
            "\n add t5, t5, ",
            $step,
            "\n",
            "add t6, t6, ",
            $step,
            "\n add a2, a2, ",
            $step,
            "\n add a3, a3, ",
            $step,
        )
    };
}

/// The nine sums of two trits from t0 on, `$low` and `$high` the steps; all nine stay in registers.
macro_rules! nine_sums {
    ($low:literal, $high:literal) => {
        concat!(
            "add t1, t0, ",
            $low,
            "\n add t2, t1, ",
            $low,
            "\n add t3, t0, ",
            $high,
            "\n add t4, t1, ",
            $high,
            "\n add t5, t2, ",
            $high,
            "\n add t6, t3, ",
            $high,
            "\n add a6, t4, ",
            $high,
            "\n add a7, t5, ",
            $high,
        )
    };
}

/// Stores them.
macro_rules! store_nine {
    ($place:literal) => {
        concat!(
            "sw t0, ",
            $place,
            "(a0)\n sw t1, ",
            $place,
            "+4(a0)\n sw t2, ",
            $place,
            "+8(a0)\n",
            "sw t3, ",
            $place,
            "+12(a0)\n sw t4, ",
            $place,
            "+16(a0)\n sw t5, ",
            $place,
            "+20(a0)\n",
            "sw t6, ",
            $place,
            "+24(a0)\n sw a6, ",
            $place,
            "+28(a0)\n sw a7, ",
            $place,
            "+32(a0)",
        )
    };
}

/// Both bytes' inputs of one trit, `$place` behind a1 and a3, as the halves of a word.
macro_rules! pair {
    ($to:literal, $place:literal) => {
        concat!(
            "lb ",
            $to,
            ", ",
            $place,
            "(a1)\n lb t0, ",
            $place,
            "(a3)\n slli t0, t0, 16\n add ",
            $to,
            ", ",
            $to,
            ", t0"
        )
    };
}

/// The next two bytes of a2, whose inputs are at a1 and a3; where there is no second one any inputs will do, and the bias in
/// s2 goes.
macro_rules! next_two {
    () => {
        "addi a2, a2, -2\n addi a3, a1, 5\n bgez a2, 3f\n mv a3, a1\n li s2, 0\n 3:"
    };
}

/// Writes the 243 sums of each two bytes, nine registers at a time.
#[unsafe(naked)]
unsafe extern "C" fn fill(words: *mut i32, inputs: *const i8, bytes: usize) {
    naked_asm!(
        "addi sp, sp, -32",
        "sw s0, 0(sp)",
        "sw s1, 4(sp)",
        "sw s2, 8(sp)",
        "li s2, {bias}",
        "2:",
        next_two!(),
        pair!("a5", "0"),
        pair!("a4", "1"),
        pair!("a6", "2"),
        pair!("a7", "3"),
        pair!("s0", "4"),
        "sw a1, 12(sp)",
        "sw a2, 16(sp)",
        "sub t0, s2, a5",
        "sub t0, t0, a4",
        "sub t0, t0, a6",
        "sub t0, t0, a7",
        "sub t0, t0, s0",
        "slli t1, a6, 1",
        "slli t2, a7, 1",
        "sub a7, a7, t1", // the fourth trit's step, less two of the third
        "sub s0, s0, t2",
        "sub s0, s0, t1",   // the fifth's, less two of the fourth and the third
        "addi s1, a0, 972", // behind the last word
        "add t1, t0, a5",
        "add t2, t1, a5",
        "add t3, t0, a4",
        "add t4, t1, a4",
        "add t5, t2, a4",
        "add t6, t3, a4",
        "add a2, t4, a4",
        "add a3, t5, a4",
        "4:",
        nine!("0", "a6"),
        nine!("36", "a6"),
        nine!("72", "a7"),
        nine!("108", "a6"),
        nine!("144", "a6"),
        nine!("180", "a7"),
        nine!("216", "a6"),
        nine!("252", "a6"),
        nine!("288", "s0"),
        "addi a0, a0, 324",
        "bne a0, s1, 4b",
        "lw a1, 12(sp)",
        "lw a2, 16(sp)",
        "addi a0, a0, 52",
        "addi a1, a1, 10",
        "bgtz a2, 2b",
        "lw s0, 0(sp)",
        "lw s1, 4(sp)",
        "lw s2, 8(sp)",
        "addi sp, sp, 32",
        "ret",
        bias = const pair_table::BIAS,
    )
}

/// Writes the nine sums of two trits where the other three are 0.
#[unsafe(naked)]
unsafe extern "C" fn fill_nine(words: *mut i32, inputs: *const i8) {
    naked_asm!(
        "lb a4, 0(a1)",
        "lb a5, 1(a1)",
        "neg t0, a4",
        "sub t0, t0, a5",
        nine_sums!("a4", "a5"),
        store_nine!("4*117"), // 9 + 27 + 81: the code of five trits, two of them −1
        "ret",
    )
}

/// Two bytes of the record at a2: their halves of the table `$table` bytes from a3 to t0 and t1.
macro_rules! two_bytes {
    ($low:literal, $high:literal, $table:literal) => {
        concat!(
            "lbu t0, ",
            $low,
            "(a2)\n lbu t1, ",
            $high,
            "(a2)\n slli t0, t0, 2\n slli t1, t1, 2\n",
            "add t0, t0, a3\n add t1, t1, a3\n lh t0, ",
            $table,
            "(t0)\n lh t1, ",
            $table,
            "+2(t1)",
        )
    };
}

/// The sum of six bytes in t2, the first one's place `$first`.
macro_rules! six_bytes {
    ($b1:literal, $b2:literal, $b3:literal, $b4:literal, $b5:literal, $b6:literal) => {
        concat!(
            two_bytes!($b1, $b2, "-2048"),
            "\n add t2, t0, t1\n",
            two_bytes!($b3, $b4, "-1024"),
            "\n add t2, t2, t0\n add t2, t2, t1\n",
            two_bytes!($b5, $b6, "0"),
            "\n add t2, t2, t0\n add t2, t2, t1",
        )
    };
}

/// The sum's way into the accumulator at `$sum`, with the shift at `$shift`.
macro_rules! accumulate {
    ($shift:expr, $sum:literal) => {
        concat!(
            "lbu t3, ",
            $shift,
            "\n lw t4, ",
            $sum,
            "(a0)\n sll t2, t2, t3\n add t4, t4, t2\n sw t4, ",
            $sum,
            "(a0)",
        )
    };
}

/// Where parts of any kind begin: trits to a2, words to a3, shifts to a4, the strides to a5 and a6, bytes to t0.
macro_rules! load_part {
    () => {
        "lw t0, 20(a2)\n lw a6, 16(a2)\n lw a5, 12(a2)\n lw a4, 8(a2)\n lw a3, 4(a2)\n lw a2, 0(a2)"
    };
}

/// The end of such a part's row.
macro_rules! next_row {
    () => {
        "add a4, a4, a6\n add a2, a2, a5\n addi a0, a0, 4\n bne a0, a1, 2b\n ret"
    };
}

/// Byte `$byte` of any part, from the half of a word `$place` behind a3: 20 bytes of code.
macro_rules! table_byte {
    ($byte:literal, $place:literal) => {
        concat!("lbu t0, ", $byte, "(a2)\n slli t0, t0, 2\n add t0, t0, a3\n lh t0, ", $place, "(t0)\n add t2, t2, t0")
    };
}

/// Parts of any kind.
#[unsafe(naked)]
unsafe extern "C" fn add_sums(sums: *mut i32, end: *const i32, part: &Part) {
    naked_asm!(
        load_part!(),
        "li t1, 2048",
        "add a3, a3, t1",
        "slli t1, t0, 4",
        "slli t0, t0, 2",
        "add t0, t0, t1",
        "la a7, 3f",
        "sub a7, a7, t0",
        "2:",
        "li t2, 0",
        "jr a7",
        ".option push",
        ".option norvc",
        table_byte!("7", "1026"),
        table_byte!("6", "1024"),
        table_byte!("5", "2"),
        table_byte!("4", "0"),
        table_byte!("3", "-1022"),
        table_byte!("2", "-1024"),
        table_byte!("1", "-2046"),
        table_byte!("0", "-2048"),
        ".option pop",
        "3:",
        accumulate!("0(a4)", "0"),
        next_row!(),
    )
}

/// Two records a turn: `$both` is their length, the rest the second one's bytes and what follows six bytes of each.
macro_rules! two_records {
    ($(#[$doc:meta])* $name:ident, $both:literal, $second:expr, $sixes:expr, $rest:expr, $rest_of_second:expr) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, part: &Part) {
            naked_asm!(
                "lw a3, 4(a2)",
                "lw a2, 8(a2)",
                "li t0, 2048",
                "add a3, a3, t0",
                "2:",
                six_bytes!("1", "2", "3", "4", "5", "6"),
                $rest,
                accumulate!("0(a2)", "0"),
                $sixes,
                $rest_of_second,
                accumulate!($second, "4"),
                concat!("addi a2, a2, ", $both),
                "addi a0, a0, 8",
                "bne a0, a1, 2b",
                "ret",
            )
        }
    };
}

two_records! {
    /// Records of eight bytes of trits.
    add_eight_sums, "18", "9(a2)", six_bytes!("10", "11", "12", "13", "14", "15"),
    concat!(two_bytes!("7", "8", "1024"), "\n add t2, t2, t0\n add t2, t2, t1"),
    concat!(two_bytes!("16", "17", "1024"), "\n add t2, t2, t0\n add t2, t2, t1")
}
two_records! {
    /// Records of seven.
    add_seven_sums, "16", "8(a2)", six_bytes!("9", "10", "11", "12", "13", "14"),
    table_byte!("7", "1024"),
    table_byte!("15", "1024")
}

/// Moves them one trit on, by a3.
macro_rules! move_nine {
    () => {
        "add t0, t0, a3\n add t1, t1, a3\n add t2, t2, a3\n add t3, t3, a3\n add t4, t4, a3
         add t5, t5, a3\n add t6, t6, a3\n add a6, a6, a3\n add a7, a7, a3"
    };
}

/// Writes the 27 and the 9 sums of each two bytes.
#[unsafe(naked)]
unsafe extern "C" fn fill_split(words: *mut i32, inputs: *const i8, bytes: usize) {
    naked_asm!(
        "addi sp, sp, -16",
        "sw s2, 0(sp)",
        "li s2, {bias}",
        "2:",
        next_two!(),
        pair!("a4", "3"),
        pair!("a5", "4"),
        "sub t0, s2, a4",
        "sub t0, t0, a5",
        nine_sums!("a4", "a5"),
        store_nine!("108"),
        pair!("a4", "0"),
        pair!("a5", "1"),
        "lb t0, 2(a3)",
        "lb a3, 2(a1)",
        "slli t0, t0, 16",
        "add a3, a3, t0",
        "sub t0, s2, a4",
        "sub t0, t0, a5",
        "sub t0, t0, a3",
        nine_sums!("a4", "a5"),
        store_nine!("0"),
        move_nine!(),
        store_nine!("36"),
        move_nine!(),
        store_nine!("72"),
        "addi a0, a0, 144",
        "addi a1, a1, 10",
        "bgtz a2, 2b",
        "lw s2, 0(sp)",
        "addi sp, sp, 16",
        "ret",
        bias = const split_table::BIAS,
    )
}

/// Writes the nine sums of two trits where the other three are 0, and the word of those two that are not with them.
#[unsafe(naked)]
unsafe extern "C" fn fill_split_nine(words: *mut i32, inputs: *const i8) {
    naked_asm!(
        "lb a4, 0(a1)",
        "lb a5, 1(a1)",
        "sw zero, 124(a0)",
        "neg t0, a4",
        "sub t0, t0, a5",
        nine_sums!("a4", "a5"),
        store_nine!("36"),
        "ret",
    )
}

/// Looks byte `$byte` up twice, in the half of the words that begins `$half` bytes behind a3, with the places from a7 on:
/// 40 bytes of code.
macro_rules! split_byte {
    ($byte:expr, $half:literal) => {
        concat!(first_split_byte!($byte, $half, "t1"), "\n add t2, t2, t1\n add t2, t2, t0")
    };
}
macro_rules! first_split_byte {
    ($byte:expr, $half:literal, $to:literal) => {
        concat!(
            "lbu t0, ",
            $byte,
            "(a2)\n add t0, t0, a7\n lbu t1, 0(t0)\n lbu t0, 256(t0)\n",
            "add t1, t1, a3\n add t0, t0, a3\n lh ",
            $to,
            ", ",
            $half,
            "(t1)\n lh t0, ",
            $half,
            "(t0)",
        )
    };
}

/// Parts of any kind.
#[unsafe(naked)]
unsafe extern "C" fn add_split(sums: *mut i32, end: *const i32, part: &Part) {
    naked_asm!(
        load_part!(),
        "la a7, {places}",
        "slli t1, t0, 5",
        "slli t0, t0, 3",
        "add t0, t0, t1",
        "la t5, 3f",
        "sub t5, t5, t0",
        "2:",
        "li t2, 0",
        "jr t5",
        ".option push",
        ".option norvc",
        split_byte!("7", "434"),
        split_byte!("6", "432"),
        split_byte!("5", "290"),
        split_byte!("4", "288"),
        split_byte!("3", "146"),
        split_byte!("2", "144"),
        split_byte!("1", "2"),
        split_byte!("0", "0"),
        ".option pop",
        "3:",
        accumulate!("0(a4)", "0"),
        next_row!(),
        places = sym PLACES,
    )
}

/// The same for a byte of two trits: one look-up.
macro_rules! short_split_byte {
    ($byte:expr, $half:literal) => {
        concat!(
            "lbu t0, ",
            $byte,
            "(a2)\n add t0, t0, a7\n lbu t0, 0(t0)\n add t0, t0, a3\n lh t0, ",
            $half,
            "(t0)\n add t2, t2, t0"
        )
    };
}

/// A record `$record` behind a2, of which the first byte comes first.
macro_rules! split_record {
    ($record:literal, $($byte:literal $half:literal $look_up:ident)*) => {
        concat!(
            first_split_byte!(concat!("1+", $record), "0", "t2"),
            "\n add t2, t2, t0",
            $("\n", $look_up!(concat!($byte, "+", $record), $half),)*
        )
    };
}

/// Two records a turn of `$stride` bytes.
macro_rules! two_split_records {
    ($(#[$doc:meta])* $name:ident, $stride:literal, $($bytes:tt)*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, part: &Part) {
            naked_asm!(
                "lw a3, 4(a2)",
                "lw a2, 8(a2)",
                "la a7, {places}",
                "2:",
                split_record!("0", $($bytes)*),
                accumulate!("0(a2)", "0"),
                split_record!($stride, $($bytes)*),
                accumulate!(concat!($stride, "(a2)"), "4"),
                concat!("addi a2, a2, 2*", $stride),
                "addi a0, a0, 8",
                "bne a0, a1, 2b",
                "ret",
                places = sym PLACES,
            )
        }
    };
}

two_split_records! {
    /// Records of eight bytes of trits.
    add_eight_split, "9",
    "2" "2" split_byte "3" "144" split_byte "4" "146" split_byte "5" "288" split_byte "6" "290" split_byte
    "7" "432" split_byte "8" "434" split_byte
}
two_split_records! {
    /// Records of 32 columns.
    add_seven_split, "8",
    "2" "2" split_byte "3" "144" split_byte "4" "146" split_byte "5" "288" split_byte "6" "290" split_byte
    "7" "432" short_split_byte
}

/// Records of two.
#[unsafe(naked)]
unsafe extern "C" fn add_two_split(sums: *mut i32, end: *const i32, part: &Part) {
    naked_asm!(
        "lw a3, 4(a2)",
        "lw a2, 8(a2)",
        "la a7, {places}",
        "2:",
        split_record!("0", "2" "2" split_byte),
        accumulate!("0(a2)", "0"),
        "addi a2, a2, 3",
        "addi a0, a0, 4",
        "bne a0, a1, 2b",
        "ret",
        places = sym PLACES,
    )
}

/// See [`Requantize`].
#[unsafe(naked)]
unsafe extern "C" fn requantize(rows: &mut Rows, sums: *const i32, end: *const i32) -> *const i32 {
    naked_asm!(
        "lw a3, 0(a0)",
        "lw a4, 4(a0)",
        "lw a5, 8(a0)",
        "lw a6, 12(a0)",
        "li a7, 127",
        "li t2, 31",
        "addi a5, a5, -1",
        "2:",
        "lb t0, 0(a4)",
        "sub t0, a5, t0", // the shift but for its last step, which follows the rounding
        "bgeu t0, t2, 5f",
        "lw t1, 0(a1)",
        "addi a4, a4, 1",
        "addi a1, a1, 4",
        "sra t1, t1, t0",
        "addi t1, t1, 1",
        "srai t1, t1, 1",
        "ble t1, a7, 3f",
        "mv t1, a7",
        "3:",
        "bge t1, a6, 4f",
        "mv t1, a6",
        "4:",
        "sb t1, 0(a3)",
        "addi a3, a3, 1",
        "bne a1, a2, 2b",
        "5:",
        "sw a3, 0(a0)",
        "sw a4, 4(a0)",
        "mv a0, a1",
        "ret",
    )
}
