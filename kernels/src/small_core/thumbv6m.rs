//! Cores with the instructions of Armv6-M: Cortex-M0, M0+, M1; and M23, which adds little to them.
//!
//! No instruction multiplies here. Whole words of a table are added up, all first bytes' in one register and all second
//! bytes' in another: only at the end is one half taken of each. Eight registers are within every instruction's reach, the
//! others serve to keep things. Functions for any number of bytes hold the code of eight, the last byte's first, and jump
//! into it.
#![allow(unsafe_code, reason = "assembly")]

use super::split_table::{self, PLACES};
use super::{Algorithm, Family, Part, Requantize, Rows, pair_table};
use core::arch::naked_asm;

/// This family.
pub(crate) struct Core;

impl Family for Core {
    const NAME: &'static str = "thumbv6m";
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
        even: false,
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
        even: false,
    };
    const FROM: usize = 38;
    const REQUANTIZE: Requantize = requantize;
    #[cfg(feature = "conv2d")]
    const STEPS: &'static super::convolution::Steps = &super::convolution::STEPS;
}

/// Saves all registers that calls must leave alone; the end of a function.
macro_rules! begin {
    () => {
        "push {{r4-r7, lr}}\n mov r4, r8\n mov r5, r9\n mov r6, r10\n mov r7, r11\n push {{r4-r7}}"
    };
}
macro_rules! end {
    () => {
        "pop {{r4-r7}}\n mov r8, r4\n mov r9, r5\n mov r10, r6\n mov r11, r7\n pop {{r4-r7, pc}}"
    };
}

/// Brings the inputs of two bytes together, trit by trit as the halves of a word, to r3, r2, r4, r5, r6. The first byte's
/// are at r1, which ends 4 behind them, the second's r7 further on. Uses r0 and r7.
macro_rules! pairs {
    () => {
        "movs r6, #0
         ldrsb r3, [r1, r6]\n ldrsb r2, [r1, r7]\n lsls r2, r2, #16\n adds r3, r3, r2\n adds r1, r1, #1
         ldrsb r2, [r1, r6]\n ldrsb r4, [r1, r7]\n lsls r4, r4, #16\n adds r2, r2, r4\n adds r1, r1, #1
         ldrsb r4, [r1, r6]\n ldrsb r5, [r1, r7]\n lsls r5, r5, #16\n adds r4, r4, r5\n adds r1, r1, #1
         ldrsb r5, [r1, r6]\n ldrsb r0, [r1, r7]\n lsls r0, r0, #16\n adds r5, r5, r0\n adds r1, r1, #1
         ldrsb r6, [r1, r6]\n ldrsb r7, [r1, r7]\n lsls r7, r7, #16\n adds r6, r6, r7"
    };
}

/// Stores the nine sums whose first three are in r1–r3 and whose step is in r7.
macro_rules! store_nine {
    () => {
        "adds r4, r1, r7\n adds r5, r2, r7\n adds r6, r3, r7\n stm r0!, {{r1-r6}}
         adds r4, r4, r7\n adds r5, r5, r7\n adds r6, r6, r7\n stm r0!, {{r4-r6}}"
    };
}

/// Moves the first three sums on.
macro_rules! step {
    ($step:literal) => {
        concat!("add r1, ", $step, "\n add r2, ", $step, "\n add r3, ", $step)
    };
}

/// Writes the 243 sums of each two bytes, three registers at a time.
#[unsafe(naked)]
unsafe extern "C" fn fill(words: *mut i32, inputs: *const i8, bytes: usize) {
    naked_asm!(
        begin!(),
        "ldr r4, ={bias}",
        "mov r11, r4",
        "2:",
        "movs r7, #5",
        "subs r2, r2, #2",
        "bpl 3f",
        "movs r7, #0", // where there is no second byte, any inputs will do
        "mov r11, r7",
        "3:",
        "push {{r2}}",
        "mov r12, r0",
        pairs!(),
        "adds r1, r1, #6",
        "push {{r1}}",
        "mov r1, r11",
        "subs r1, r1, r3",
        "subs r1, r1, r2",
        "subs r1, r1, r4",
        "subs r1, r1, r5",
        "subs r1, r1, r6",
        "mov r8, r4",     // the step of the third trit,
        "adds r4, r4, r4",
        "subs r6, r6, r5",
        "subs r6, r6, r5",
        "subs r6, r6, r4",
        "mov r10, r6",    // into the fifth,
        "subs r5, r5, r4",
        "mov r9, r5",     // into the fourth
        "mov r7, r2",
        "adds r2, r1, r3",
        "adds r3, r2, r3",
        "mov r0, r12",
        "ldr r4, =972",
        "add r12, r4", // behind the last word
        ".macro NINE to",
        store_nine!(),
        "add r1, \\to",
        "add r2, \\to",
        "add r3, \\to",
        ".endm",
        "4:",
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
        "bne 4b",
        "adds r0, r0, #52",
        "pop {{r1, r2}}",
        "cmp r2, #0",
        "ble 5f",
        "b 2b",
        "5:",
        end!(),
        ".purgem NINE",
        ".ltorg",
        bias = const pair_table::BIAS,
    )
}

/// Writes the nine sums of two trits where the other three are 0.
#[unsafe(naked)]
unsafe extern "C" fn fill_nine(words: *mut i32, inputs: *const i8) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "movs r4, #0",
        "ldrsb r3, [r1, r4]",
        "movs r5, #1",
        "ldrsb r7, [r1, r5]",
        "movs r5, #117", // 9 + 27 + 81: the code of five trits, two of them −1
        "lsls r5, r5, #2",
        "adds r0, r0, r5",
        "subs r1, r4, r3",
        "subs r1, r1, r7",
        "adds r2, r1, r3",
        "adds r3, r2, r3",
        store_nine!(),
        "pop {{r4-r7, pc}}",
    )
}

/// Looks byte `$byte` up in the table at `$table` and adds the word to `$sum`: 8 bytes of code.
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

/// The four tables to r4–r7.
macro_rules! tables {
    () => {
        "movs r3, #1\n lsls r3, r3, #10\n adds r5, r4, r3\n adds r6, r5, r3\n adds r7, r6, r3"
    };
}

/// Half of each sum, to r1; then its way, shifted by r3, into the accumulator at r8.
macro_rules! halves {
    () => {
        "sxth r1, r1\n asrs r2, r2, #16\n adds r1, r1, r2"
    };
}
macro_rules! accumulate {
    () => {
        "lsls r1, r3\n mov r3, r8\n ldr r2, [r3]\n adds r2, r2, r1\n stm r3!, {{r2}}\n mov r8, r3"
    };
}

/// Where parts of any kind begin: the part's trits to r0, its words to r4, its shifts to r11, their stride to r12, that of
/// the trits to r10, and its bytes to r3.
macro_rules! load_part {
    () => {
        "mov r8, r0\n mov r9, r1\n ldm r2!, {{r0, r4, r5, r6, r7}}\n ldr r3, [r2]
         mov r11, r5\n mov r10, r6\n mov r12, r7"
    };
}

/// Parts of any kind.
#[unsafe(naked)]
unsafe extern "C" fn add_sums(sums: *mut i32, end: *const i32, part: &Part) {
    naked_asm!(
        begin!(),
        load_part!(),
        "lsls r3, r3, #3",
        "adr r5, 3f",
        "subs r5, r5, r3",
        "mov lr, r5",
        tables!(),
        ".p2align 2",
        "2:",
        "movs r1, #0",
        "movs r2, #0",
        "mov pc, lr",
        "nop", // so that the address below is a multiple of four
        table_byte!("7", "r7", "r2"),
        table_byte!("6", "r7", "r1"),
        table_byte!("5", "r6", "r2"),
        table_byte!("4", "r6", "r1"),
        table_byte!("3", "r5", "r2"),
        table_byte!("2", "r5", "r1"),
        table_byte!("1", "r4", "r2"),
        table_byte!("0", "r4", "r1"),
        "3:",
        halves!(),
        "mov r3, r11",
        "ldrb r3, [r3]",
        accumulate!(),
        "add r11, r12",
        "add r0, r10",
        "cmp r3, r9",
        "bne 2b",
        end!(),
    )
}

macro_rules! add_function {
    ($(#[$doc:meta])* $name:ident, $stride:literal, $($bytes:expr),*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, part: &Part) {
            naked_asm!(
                "push {{r4-r7, lr}}",
                "mov r4, r8",
                "mov r5, r9",
                "push {{r4, r5}}",
                "mov r8, r0",
                "mov r9, r1",
                "ldr r4, [r2, #4]",
                "ldr r0, [r2, #8]",
                tables!(),
                "2:",
                first_table_byte!("1", "r4", "r1"),
                first_table_byte!("2", "r4", "r2"),
                $($bytes,)*
                halves!(),
                "ldrb r3, [r0]",
                accumulate!(),
                concat!("adds r0, #", $stride),
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
    /// Records of eight bytes of trits.
    add_eight_sums, "9",
    table_byte!("3", "r5", "r1"), table_byte!("4", "r5", "r2"),
    table_byte!("5", "r6", "r1"), table_byte!("6", "r6", "r2"),
    table_byte!("7", "r7", "r1"), table_byte!("8", "r7", "r2")
}
add_function! {
    /// Records of seven.
    add_seven_sums, "8",
    table_byte!("3", "r5", "r1"), table_byte!("4", "r5", "r2"),
    table_byte!("5", "r6", "r1"), table_byte!("6", "r6", "r2"),
    table_byte!("7", "r7", "r1")
}

/// Writes the 27 and the 9 sums of each two bytes.
#[unsafe(naked)]
unsafe extern "C" fn fill_split(words: *mut i32, inputs: *const i8, bytes: usize) {
    naked_asm!(
        begin!(),
        "mov r8, r2",
        "ldr r4, ={bias}",
        "mov r9, r4",
        "2:",
        "movs r7, #5",
        "mov r4, r8",
        "subs r4, r4, #2",
        "mov r8, r4",
        "bpl 3f",
        "movs r7, #0", // where there is no second byte, any inputs will do
        "mov r9, r7",
        "3:",
        "mov r12, r0",
        pairs!(),
        "adds r1, r1, #6",
        "mov r10, r1",
        "mov r0, r12",
        "mov r12, r4",
        "mov r11, r5",
        "mov lr, r6",
        "mov r1, r9",
        "subs r1, r1, r3",
        "subs r1, r1, r2",
        "subs r1, r1, r4",
        "mov r7, r2",
        "adds r2, r1, r3",
        "adds r3, r2, r3",
        store_nine!(),
        step!("r12"),
        store_nine!(),
        step!("r12"),
        store_nine!(),
        "mov r1, r9",
        "mov r3, r11",
        "mov r7, lr",
        "subs r1, r1, r3",
        "subs r1, r1, r7",
        "adds r2, r1, r3",
        "adds r3, r2, r3",
        store_nine!(),
        "mov r1, r10",
        "mov r4, r8",
        "cmp r4, #0",
        "bgt 2b",
        end!(),
        ".ltorg",
        bias = const split_table::BIAS,
    )
}

/// Writes the nine sums of two trits where the other three are 0, and the word of those two that are not with them.
#[unsafe(naked)]
unsafe extern "C" fn fill_split_nine(words: *mut i32, inputs: *const i8) {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "movs r4, #0",
        "ldrsb r3, [r1, r4]",
        "movs r5, #1",
        "ldrsb r7, [r1, r5]",
        "str r4, [r0, #124]",
        "adds r0, r0, #36",
        "subs r1, r4, r3",
        "subs r1, r1, r7",
        "adds r2, r1, r3",
        "adds r3, r2, r3",
        store_nine!(),
        "pop {{r4-r7, pc}}",
    )
}

/// Looks byte `$byte` up twice in the table at r7 and adds the words to `$sum`: 14 bytes of code. r5 and r6 have the
/// places.
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

/// The places of the two words to r5 and r6.
macro_rules! places {
    () => {
        "ldr r5, =({places})\n movs r6, #255\n adds r6, #1\n adds r6, r6, r5"
    };
}

/// Parts of any kind.
#[unsafe(naked)]
unsafe extern "C" fn add_split(sums: *mut i32, end: *const i32, part: &Part) {
    naked_asm!(
        begin!(),
        load_part!(),
        "adr r5, 3f",
        "lsls r1, r3, #4",
        "lsls r2, r3, #1",
        "subs r1, r1, r2", // 14 bytes of code for each byte,
        "subs r3, r3, #1",
        "lsrs r3, r3, #1",
        "lsls r2, r3, #1",
        "adds r1, r1, r2", // 2 for each byte between two tables,
        "subs r5, r5, r1",
        "mov lr, r5",
        "lsls r2, r3, #4", // and 144 of tables, the last of which come first
        "adds r4, r4, r2",
        "lsls r2, r3, #7",
        "adds r4, r4, r2",
        "push {{r4}}",
        places!(),
        ".p2align 2",
        "2:",
        "ldr r7, [sp]",
        "movs r1, #0",
        "movs r2, #0",
        "mov pc, lr",
        "nop", // so that the address below is a multiple of four
        split_byte!("7", "r2"),
        split_byte!("6", "r1"),
        "subs r7, #144",
        split_byte!("5", "r2"),
        split_byte!("4", "r1"),
        "subs r7, #144",
        split_byte!("3", "r2"),
        split_byte!("2", "r1"),
        "subs r7, #144",
        split_byte!("1", "r2"),
        split_byte!("0", "r1"),
        "3:",
        halves!(),
        "mov r3, r11",
        "ldrb r3, [r3]",
        accumulate!(),
        "add r11, r12",
        "add r0, r10",
        "cmp r3, r9",
        "bne 2b",
        "add sp, #4",
        end!(),
        ".ltorg",
        places = sym PLACES,
    )
}

/// The same for a byte of two trits: one look-up.
macro_rules! short_split_byte {
    ($byte:literal, $sum:literal) => {
        concat!("ldrb r3, [r0, #", $byte, "]\n ldrb r3, [r5, r3]\n ldr r3, [r7, r3]\n adds ", $sum, ", ", $sum, ", r3",)
    };
}

macro_rules! split_function {
    ($(#[$doc:meta])* $name:ident, $stride:literal, $($bytes:expr),*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, part: &Part) {
            naked_asm!(
                "push {{r4-r7, lr}}",
                "mov r4, r8",
                "mov r5, r9",
                "mov r6, r10",
                "push {{r4-r6}}",
                "mov r8, r0",
                "mov r9, r1",
                "ldr r4, [r2, #4]",
                "mov r10, r4",
                "ldr r0, [r2, #8]",
                places!(),
                "2:",
                "mov r7, r10",
                first_split_byte!("1", "r1"),
                first_split_byte!("2", "r2"),
                $($bytes,)*
                halves!(),
                "ldrb r3, [r0]",
                accumulate!(),
                concat!("adds r0, #", $stride),
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
    /// Records of eight bytes of trits.
    add_eight_split, "9",
    "adds r7, #144", split_byte!("3", "r1"), split_byte!("4", "r2"),
    "adds r7, #144", split_byte!("5", "r1"), split_byte!("6", "r2"),
    "adds r7, #144", split_byte!("7", "r1"), split_byte!("8", "r2")
}
split_function! {
    /// Records of 32 columns.
    add_seven_split, "8",
    "adds r7, #144", split_byte!("3", "r1"), split_byte!("4", "r2"),
    "adds r7, #144", split_byte!("5", "r1"), split_byte!("6", "r2"),
    "adds r7, #144", short_split_byte!("7", "r1")
}
split_function! {
    /// Records of two.
    add_two_split, "3", ""
}

/// See [`Requantize`].
#[unsafe(naked)]
unsafe extern "C" fn requantize(rows: &mut Rows, sums: *const i32, end: *const i32) -> *const i32 {
    naked_asm!(
        "push {{r4-r7, lr}}",
        "mov r12, r0",
        "ldm r0!, {{r3, r4, r5, r6}}",
        "subs r5, #1",
        "2:",
        "movs r7, #0",
        "ldrsb r7, [r4, r7]",
        "subs r7, r5, r7", // the shift but for its last step, which follows the rounding
        "cmp r7, #31",
        "bhs 5f",
        "ldm r1!, {{r0}}",
        "adds r4, #1",
        "asrs r0, r7",
        "adds r0, #1",
        "asrs r0, r0, #1",
        "cmp r0, #127",
        "ble 3f",
        "movs r0, #127",
        "3:",
        "cmp r0, r6",
        "bge 4f",
        "mov r0, r6",
        "4:",
        "strb r0, [r3]",
        "adds r3, #1",
        "cmp r1, r2",
        "bne 2b",
        "5:",
        "mov r0, r12",
        "stm r0!, {{r3, r4}}",
        "mov r0, r1",
        "pop {{r4-r7, pc}}",
    )
}
