//! Cores with the instructions of Armv6-M: Cortex-M0, M0+, M1; and M23, which adds little to them.
//!
//! No instruction multiplies here. Whole words of a table are added up, all first bytes' in one register and all second
//! bytes' in another: only at the end is one half taken of each. Eight registers are within every instruction's reach, the
//! others serve to keep things.
#![allow(unsafe_code, reason = "assembly")]

use super::pair_table::{PairTable, Steps};
use super::split_table::{self, PLACES, SplitTable};
use super::{Add, BYTES, Family, Inputs, Records, Sums, add_fast, add_one_by_one};
use core::arch::naked_asm;

/// This family.
pub(crate) struct Core;

impl Family for Core {
    const NAME: &'static str = "thumbv6m";
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
            // SAFETY: the function writes the first 243 words of the 256 and reads the six of `Steps`, laid out as in C.
            unsafe { fill(words, &Steps::new(inputs, both)) }
        }
    }

    fn sum(words: &[i32], byte: usize, code: u8) -> i32 {
        PairTable::sum(words, byte, code)
    }

    fn add(words: &[i32], records: &Records<'_>, accumulators: &mut [i32]) {
        let add: Add = match records.count {
            BYTES => add8,
            7 => add7,
            5 => add5,
            4 => add4,
            2 => add2,
            _ => return add_one_by_one::<Self>(words, records, accumulators),
        };
        add_fast::<Self>(words, records, accumulators, 1, add);
    }
}

/// Writes the 243 sums, three registers at a time.
#[unsafe(naked)]
unsafe extern "C" fn fill(words: &mut [i32; 256], steps: &Steps) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r4, r8",
        "mov r5, r9",
        "mov r6, r10",
        "mov r7, r11",
        "push {{r4-r7}}",
        "ldm r1!, {{r2-r7}}", // first, trits, fourth, fifth
        "mov r8, r5",
        "mov r9, r6",
        "mov r10, r7",
        "mov r7, r4",
        "mov r1, r2",
        "adds r2, r1, r3",
        "adds r3, r2, r3",
        "ldr r4, =972", // behind the last word
        "adds r4, r4, r0",
        "mov r12, r4",
        ".macro NINE step",
        "adds r4, r1, r7",
        "adds r5, r2, r7",
        "adds r6, r3, r7",
        "stm r0!, {{r1-r6}}",
        "adds r4, r4, r7",
        "adds r5, r5, r7",
        "adds r6, r6, r7",
        "stm r0!, {{r4-r6}}",
        "add r1, \\step",
        "add r2, \\step",
        "add r3, \\step",
        ".endm",
        "2:",
        "NINE r8",
        "NINE r8",
        "NINE r9",
        "NINE r8",
        "NINE r8",
        "NINE r9",
        "NINE r8",
        "NINE r8",
        "NINE r10",
        "cmp r0, r12",
        "bne 2b",
        "pop {{r4-r7}}",
        "mov r8, r4",
        "mov r9, r5",
        "mov r10, r6",
        "mov r11, r7",
        "pop {{r4-r7, pc}}",
        ".purgem NINE",
        ".ltorg",
    )
}

/// Looks byte `$byte` up in the table at `$table` and adds the word to `$sum`.
macro_rules! table_byte {
    ($byte:literal, $table:literal, $sum:literal) => {
        concat!(
            "ldrb r3, [r0, #",
            $byte,
            "]\n lsls r3, r3, #2\n ldr r3, [",
            $table,
            ", r3]\n adds ",
            $sum,
            ", ",
            $sum,
            ", r3"
        )
    };
}

/// The same for the first byte of a sum.
macro_rules! first_table_byte {
    ($byte:literal, $table:literal, $sum:literal) => {
        concat!(
            "ldrb ",
            $sum,
            ", [r0, #",
            $byte,
            "]\n lsls ",
            $sum,
            ", ",
            $sum,
            ", #2\n ldr ",
            $sum,
            ", [",
            $table,
            ", ",
            $sum,
            "]"
        )
    };
}

/// The end of a record: half of each sum, the shift, the accumulator at r8.
macro_rules! finish_record {
    ($stride:literal) => {
        concat!(
            "sxth r1, r1\n asrs r2, r2, #16\n adds r1, r1, r2\n ldrb r3, [r0]\n lsls r1, r3\n",
            "mov r3, r8\n ldr r2, [r3]\n adds r2, r2, r1\n stm r3!, {{r2}}\n mov r8, r3\n adds r0, #",
            $stride,
        )
    };
}

macro_rules! add_function {
    ($(#[$doc:meta])* $name:ident, $stride:literal, $($bytes:expr),*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, records: *const u8, tables: *const i32) {
            naked_asm!(
                "push {{r4-r7, lr}}",
                "mov r4, r8",
                "mov r5, r9",
                "push {{r4, r5}}",
                "mov r8, r0",
                "mov r9, r1",
                "mov r0, r2",
                "mov r4, r3",
                "movs r3, #1",
                "lsls r3, r3, #10",
                "adds r5, r4, r3",
                "adds r6, r5, r3",
                "adds r7, r6, r3",
                "2:",
                first_table_byte!("1", "r4", "r1"),
                first_table_byte!("2", "r4", "r2"),
                $($bytes,)*
                finish_record!($stride),
                "cmp r3, r9",
                "bne 2b",
                "pop {{r4, r5}}",
                "mov r8, r4",
                "mov r9, r5",
                "pop {{r4-r7, pc}}",
            )
        }
    };
}

add_function! {
    /// Records of eight bytes of trits, not none of them.
    add8, "9",
    table_byte!("3", "r5", "r1"), table_byte!("4", "r5", "r2"),
    table_byte!("5", "r6", "r1"), table_byte!("6", "r6", "r2"),
    table_byte!("7", "r7", "r1"), table_byte!("8", "r7", "r2")
}
add_function! {
    /// The same with seven.
    add7, "8",
    table_byte!("3", "r5", "r1"), table_byte!("4", "r5", "r2"),
    table_byte!("5", "r6", "r1"), table_byte!("6", "r6", "r2"),
    table_byte!("7", "r7", "r1")
}
add_function! {
    /// The same with five.
    add5, "6", table_byte!("3", "r5", "r1"), table_byte!("4", "r5", "r2"), table_byte!("5", "r6", "r1")
}
add_function! {
    /// The same with four.
    add4, "5", table_byte!("3", "r5", "r1"), table_byte!("4", "r5", "r2")
}
add_function! {
    /// The same with two.
    add2, "3", ""
}

/// [`SplitTable`].
pub(crate) struct AssembledSplitTable;

impl Sums for AssembledSplitTable {
    const WORDS: usize = SplitTable::WORDS;
    const NAME: &'static str = SplitTable::NAME;

    fn prepare(words: &mut [i32], inputs: &Inputs, both: bool) {
        if let Some(words) = words.first_chunk_mut() {
            // SAFETY: the function writes these 36 words and reads the seven of `Steps`, laid out as in C.
            unsafe { fill_split(words, &split_table::Steps::new(inputs, both)) }
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

/// Stores the nine sums whose first three are in r1–r3 and whose step is in r7.
macro_rules! store_nine {
    () => {
        "adds r4, r1, r7\n adds r5, r2, r7\n adds r6, r3, r7\n stm r0!, {{r1-r6}}
         adds r4, r4, r7\n adds r5, r5, r7\n adds r6, r6, r7\n stm r0!, {{r4-r6}}"
    };
}

/// Writes the 27 and the 9 sums.
#[unsafe(naked)]
unsafe extern "C" fn fill_split(words: &mut [i32; 36], steps: &split_table::Steps) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "ldm r1!, {{r2, r3, r7}}",
        "ldm r1!, {{r4}}",
        "mov r12, r4",
        "mov lr, r1",
        "mov r1, r2",
        "adds r2, r1, r3",
        "adds r3, r2, r3",
        store_nine!(),
        "add r1, r12\n add r2, r12\n add r3, r12",
        store_nine!(),
        "add r1, r12\n add r2, r12\n add r3, r12",
        store_nine!(),
        "mov r1, lr",
        "ldm r1!, {{r2, r3, r7}}",
        "mov r1, r2",
        "adds r2, r1, r3",
        "adds r3, r2, r3",
        store_nine!(),
        "pop {{r4-r7, pc}}",
    )
}

/// Looks byte `$byte` up twice in the table at r7 and adds the words to `$sum`; r5 and r6 have the places.
macro_rules! split_byte {
    ($byte:literal, $sum:literal) => {
        concat!(
            "ldrb r3, [r0, #",
            $byte,
            "]\n ldrb r4, [r5, r3]\n ldrb r3, [r6, r3]\n",
            "ldr r4, [r7, r4]\n adds ",
            $sum,
            ", ",
            $sum,
            ", r4\n ldr r3, [r7, r3]\n adds ",
            $sum,
            ", ",
            $sum,
            ", r3",
        )
    };
}

/// The same for the first byte of a sum.
macro_rules! first_split_byte {
    ($byte:literal, $sum:literal) => {
        concat!(
            "ldrb r3, [r0, #",
            $byte,
            "]\n ldrb r4, [r5, r3]\n ldrb r3, [r6, r3]\n",
            "ldr ",
            $sum,
            ", [r7, r4]\n ldr r3, [r7, r3]\n adds ",
            $sum,
            ", ",
            $sum,
            ", r3",
        )
    };
}

macro_rules! split_function {
    ($(#[$doc:meta])* $name:ident, $stride:literal, $($bytes:expr),*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, records: *const u8, tables: *const i32) {
            naked_asm!(
                "push {{r4-r7, lr}}",
                "mov r4, r8",
                "mov r5, r9",
                "mov r6, r10",
                "push {{r4-r6}}",
                "mov r8, r0",
                "mov r9, r1",
                "mov r10, r3",
                "mov r0, r2",
                "ldr r5, =({places})",
                "movs r6, #255",
                "adds r6, #1",
                "adds r6, r6, r5",
                "2:",
                "mov r7, r10",
                first_split_byte!("1", "r1"),
                first_split_byte!("2", "r2"),
                $($bytes,)*
                finish_record!($stride),
                "cmp r3, r9",
                "bne 2b",
                "pop {{r4-r6}}",
                "mov r8, r4",
                "mov r9, r5",
                "mov r10, r6",
                "pop {{r4-r7, pc}}",
                ".ltorg",
                places = sym PLACES,
            )
        }
    };
}

split_function! {
    /// Records of eight bytes of trits, not none of them.
    split8, "9",
    "adds r7, #144", split_byte!("3", "r1"), split_byte!("4", "r2"),
    "adds r7, #144", split_byte!("5", "r1"), split_byte!("6", "r2"),
    "adds r7, #144", split_byte!("7", "r1"), split_byte!("8", "r2")
}
split_function! {
    /// The same with seven.
    split7, "8",
    "adds r7, #144", split_byte!("3", "r1"), split_byte!("4", "r2"),
    "adds r7, #144", split_byte!("5", "r1"), split_byte!("6", "r2"),
    "adds r7, #144", split_byte!("7", "r1")
}
split_function! {
    /// The same with four.
    split4, "5", "adds r7, #144", split_byte!("3", "r1"), split_byte!("4", "r2")
}
split_function! {
    /// The same with two.
    split2, "3", ""
}
