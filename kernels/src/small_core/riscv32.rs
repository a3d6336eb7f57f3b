//! RV32, with or without multiplication, compressed instructions or not.
//!
//! No instruction multiplies here. There is no load from the sum of two registers, so an address takes an addition of its
//! own; in return a load has an offset, and reads either half of a word.
#![allow(unsafe_code, reason = "assembly")]

use super::pair_table::{BIAS, PairTable};
use super::split_table::{PLACES, SplitTable, bias};
use super::{Add, BYTES, Family, Inputs, Records, Sums, add_fast, add_one_by_one};
use core::arch::naked_asm;

/// This family.
pub(crate) struct Core;

impl Family for Core {
    const NAME: &'static str = "riscv32";
    type Many = AssembledPairTable;
    type Few = AssembledSplitTable;
    const MANY: usize = 28;
}

/// [`PairTable`].
pub(crate) struct AssembledPairTable;

impl Sums for AssembledPairTable {
    const WORDS: usize = PairTable::WORDS;
    const NAME: &'static str = PairTable::NAME;

    fn prepare(words: &mut [i32], inputs: &Inputs, both: bool) {
        if let Some(words) = words.first_chunk_mut() {
            // SAFETY: the function writes the first 243 words of the 256 and reads these ten inputs.
            unsafe { fill(words, inputs, if both { BIAS } else { 0 }) }
        }
    }

    fn sum(words: &[i32], byte: usize, code: u8) -> i32 {
        PairTable::sum(words, byte, code)
    }

    fn add(words: &[i32], records: &Records<'_>, accumulators: &mut [i32]) {
        let add: Add = match records.count {
            BYTES => add8,
            7 => add7,
            5 => return add_fast::<Self>(words, records, accumulators, 1, add5),
            4 => return add_fast::<Self>(words, records, accumulators, 1, add4),
            2 => return add_fast::<Self>(words, records, accumulators, 1, add2),
            _ => return add_one_by_one::<Self>(words, records, accumulators),
        };
        add_fast::<Self>(words, records, accumulators, 2, add);
    }
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

/// Both bytes' inputs of one trit as the halves of a word.
macro_rules! pair {
    ($to:literal, $low:literal, $high:literal) => {
        concat!(
            "lb ",
            $to,
            ", ",
            $low,
            "(a1)\n lb t0, ",
            $high,
            "(a1)\n slli t0, t0, 16\n add ",
            $to,
            ", ",
            $to,
            ", t0"
        )
    };
}

/// Writes the 243 sums, nine registers at a time.
#[unsafe(naked)]
unsafe extern "C" fn fill(words: &mut [i32; 256], inputs: &Inputs, bias: i32) {
    naked_asm!(
        "addi sp, sp, -16",
        "sw s0, 0(sp)",
        "sw s1, 4(sp)",
        pair!("a5", "0", "5"),
        pair!("a4", "1", "6"),
        pair!("a6", "2", "7"),
        pair!("a7", "3", "8"),
        pair!("s0", "4", "9"),
        "sub t0, a2, a5",
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
        "2:",
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
        "bne a0, s1, 2b",
        "lw s0, 0(sp)",
        "lw s1, 4(sp)",
        "addi sp, sp, 16",
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

/// The sum's way into the accumulator at `$sum`.
macro_rules! finish_record {
    ($shift:literal, $sum:literal) => {
        concat!(
            "lbu t3, ",
            $shift,
            "(a2)\n lw t4, ",
            $sum,
            "(a0)\n sll t2, t2, t3\n add t4, t4, t2\n sw t4, ",
            $sum,
            "(a0)",
        )
    };
}

/// Records of eight bytes of trits, an even number of them and not none.
#[unsafe(naked)]
unsafe extern "C" fn add8(sums: *mut i32, end: *const i32, records: *const u8, tables: *const i32) {
    naked_asm!(
        "li t0, 2048",
        "add a3, a3, t0",
        "2:",
        six_bytes!("1", "2", "3", "4", "5", "6"),
        two_bytes!("7", "8", "1024"),
        "add t2, t2, t0",
        "add t2, t2, t1",
        finish_record!("0", "0"),
        six_bytes!("10", "11", "12", "13", "14", "15"),
        two_bytes!("16", "17", "1024"),
        "add t2, t2, t0",
        "add t2, t2, t1",
        finish_record!("9", "4"),
        "addi a2, a2, 18",
        "addi a0, a0, 8",
        "bne a0, a1, 2b",
        "ret",
    )
}

/// The same with seven.
#[unsafe(naked)]
unsafe extern "C" fn add7(sums: *mut i32, end: *const i32, records: *const u8, tables: *const i32) {
    naked_asm!(
        "li t0, 2048",
        "add a3, a3, t0",
        "2:",
        six_bytes!("1", "2", "3", "4", "5", "6"),
        "lbu t0, 7(a2)",
        "slli t0, t0, 2",
        "add t0, t0, a3",
        "lh t0, 1024(t0)",
        "add t2, t2, t0",
        finish_record!("0", "0"),
        six_bytes!("9", "10", "11", "12", "13", "14"),
        "lbu t0, 15(a2)",
        "slli t0, t0, 2",
        "add t0, t0, a3",
        "lh t0, 1024(t0)",
        "add t2, t2, t0",
        finish_record!("8", "4"),
        "addi a2, a2, 16",
        "addi a0, a0, 8",
        "bne a0, a1, 2b",
        "ret",
    )
}

/// A record a turn: `$bytes` are those behind the first two.
macro_rules! short_add_function {
    ($name:ident, $stride:literal, $($bytes:expr),*) => {
        /// Records of so many bytes, not none of them.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, records: *const u8, tables: *const i32) {
            naked_asm!(
                "li t0, 2048",
                "add a3, a3, t0",
                "2:",
                two_bytes!("1", "2", "-2048"),
                "add t2, t0, t1",
                $($bytes,)*
                finish_record!("0", "0"),
                concat!("addi a2, a2, ", $stride),
                "addi a0, a0, 4",
                "bne a0, a1, 2b",
                "ret",
            )
        }
    };
}

short_add_function!(add2, "3", "");
short_add_function!(add4, "5", two_bytes!("3", "4", "-1024"), "add t2, t2, t0", "add t2, t2, t1");
short_add_function!(
    add5,
    "6",
    two_bytes!("3", "4", "-1024"),
    "add t2, t2, t0",
    "add t2, t2, t1",
    "lbu t0, 5(a2)",
    "slli t0, t0, 2",
    "add t0, t0, a3",
    "lh t0, 0(t0)",
    "add t2, t2, t0"
);

/// [`SplitTable`].
pub(crate) struct AssembledSplitTable;

impl Sums for AssembledSplitTable {
    const WORDS: usize = SplitTable::WORDS;
    const NAME: &'static str = SplitTable::NAME;

    fn prepare(words: &mut [i32], inputs: &Inputs, both: bool) {
        if let Some(words) = words.first_chunk_mut() {
            // SAFETY: the function writes these 36 words and reads these ten inputs.
            unsafe { fill_split(words, inputs, bias(3, both), bias(2, both)) }
        }
    }

    fn sum(words: &[i32], byte: usize, code: u8) -> i32 {
        SplitTable::sum(words, byte, code)
    }

    fn add(words: &[i32], records: &Records<'_>, accumulators: &mut [i32]) {
        let add: Add = match records.count {
            BYTES => split8,
            7 => split7,
            4 => split4,
            2 => split2,
            _ => return add_one_by_one::<Self>(words, records, accumulators),
        };
        add_fast::<Self>(words, records, accumulators, 1, add);
    }
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

/// Moves them one trit on, by a1.
macro_rules! move_nine {
    () => {
        "add t0, t0, a1\n add t1, t1, a1\n add t2, t2, a1\n add t3, t3, a1\n add t4, t4, a1
         add t5, t5, a1\n add t6, t6, a1\n add a6, a6, a1\n add a7, a7, a1"
    };
}

/// Writes the 27 and the 9 sums.
#[unsafe(naked)]
unsafe extern "C" fn fill_split(words: &mut [i32; 36], inputs: &Inputs, bias_of_three: i32, bias_of_two: i32) {
    naked_asm!(
        pair!("a4", "3", "8"),
        pair!("a5", "4", "9"),
        "sub t0, a3, a4",
        "sub t0, t0, a5",
        nine_sums!("a4", "a5"),
        store_nine!("108"),
        pair!("a4", "0", "5"),
        pair!("a5", "1", "6"),
        pair!("a3", "2", "7"),
        "mv a1, a3",
        "sub t0, a2, a4",
        "sub t0, t0, a5",
        "sub t0, t0, a1",
        nine_sums!("a4", "a5"),
        store_nine!("0"),
        move_nine!(),
        store_nine!("36"),
        move_nine!(),
        store_nine!("72"),
        "ret",
    )
}

/// Looks byte `$byte` up twice, in the half of the words that begins `$half` bytes behind a3.
macro_rules! split_byte {
    ($byte:literal, $half:literal) => {
        concat!(
            "lbu t0, ",
            $byte,
            "(a2)\n add t0, t0, a4\n lbu t1, 0(t0)\n lbu t0, 256(t0)\n",
            "add t1, t1, a3\n add t0, t0, a3\n lh t1, ",
            $half,
            "(t1)\n lh t0, ",
            $half,
            "(t0)\n",
            "add t2, t2, t1\n add t2, t2, t0",
        )
    };
}

macro_rules! split_function {
    ($(#[$doc:meta])* $name:ident, $stride:literal, $($bytes:expr),*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, records: *const u8, tables: *const i32) {
            naked_asm!(
                "la a4, {places}",
                "2:",
                "lbu t0, 1(a2)",
                "add t0, t0, a4",
                "lbu t1, 0(t0)",
                "lbu t0, 256(t0)",
                "add t1, t1, a3",
                "add t0, t0, a3",
                "lh t1, 0(t1)",
                "lh t0, 0(t0)",
                "add t2, t1, t0",
                split_byte!("2", "2"),
                $($bytes,)*
                "lbu t3, 0(a2)",
                "lw t4, 0(a0)",
                "sll t2, t2, t3",
                "add t4, t4, t2",
                "sw t4, 0(a0)",
                concat!("addi a2, a2, ", $stride),
                "addi a0, a0, 4",
                "bne a0, a1, 2b",
                "ret",
                places = sym PLACES,
            )
        }
    };
}

split_function! {
    /// Records of eight bytes of trits, not none of them.
    split8, "9",
    split_byte!("3", "144"), split_byte!("4", "146"), split_byte!("5", "288"), split_byte!("6", "290"),
    split_byte!("7", "432"), split_byte!("8", "434")
}
split_function! {
    /// The same with seven.
    split7, "8",
    split_byte!("3", "144"), split_byte!("4", "146"), split_byte!("5", "288"), split_byte!("6", "290"),
    split_byte!("7", "432")
}
split_function! {
    /// The same with four.
    split4, "5", split_byte!("3", "144"), split_byte!("4", "146")
}
split_function! {
    /// The same with two.
    split2, "3", ""
}
