//! Cores with the instructions of Armv7-M: Cortex-M3, M4, M7, M33, M55.
//!
//! One family with and without the DSP extension: a look-up needs no multiplication, and two ordinary
//! multiply-and-adds do the work of three with two 16-bit lanes. Per byte of weights a pair table takes three
//! instructions (load the code, load the sum, add it), lanes take six.
//!
//! Functions are naked because inline assembly may not have r6 and r7. They keep to the calling convention: what they
//! use beyond r0–r3 and r12 they save.
#![allow(unsafe_code, reason = "assembly")]

use super::lanes::{Lanes, TRITS};
use super::pair_table::{PairTable, Steps};
use super::{Add, BYTES, Family, Inputs, Records, Sums, add_fast, add_one_by_one};
use core::arch::naked_asm;

/// This family.
pub(crate) struct Core;

impl Family for Core {
    const NAME: &'static str = "thumbv7m";
    type Many = AssembledPairTable;
    type Few = AssembledLanes;
    const MANY: usize = 36;
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
            count => {
                let Some(add) = SHORT_SUMS.get(count) else { return };
                return add_fast::<Self>(words, records, accumulators, 1, *add);
            }
        };
        add_fast::<Self>(words, records, accumulators, 2, add);
    }
}

/// Writes the 243 sums, nine registers at a time.
#[unsafe(naked)]
unsafe extern "C" fn fill(words: &mut [i32; 256], steps: &Steps) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "add.w lr, r0, #972",                    // behind the last word
        "ldm r1, {{r1, r2, r3, r10, r11, r12}}", // first, trits, fourth, fifth
        "add r4, r3, r1",                        // the nine sums of the first two trits to r1–r9
        "add r7, r4, r3",
        "add r5, r4, r2",
        "add r6, r5, r2",
        "add r8, r7, r2",
        "add r9, r8, r2",
        "add r2, r1",
        "rsb r3, r1, r2, lsl #1",
        ".macro NINE step",
        "stm r0!, {{r1-r9}}",
        ".irp sum, r1, r2, r3, r4, r5, r6, r7, r8, r9",
        "add \\sum, \\step",
        ".endr",
        ".endm",
        "2:",
        "NINE r10",
        "NINE r10",
        "NINE r11",
        "NINE r10",
        "NINE r10",
        "NINE r11",
        "NINE r10",
        "NINE r10",
        "stm r0!, {{r1-r9}}",
        "cmp r0, lr",
        "beq 3f",
        ".irp sum, r1, r2, r3, r4, r5, r6, r7, r8, r9",
        "add \\sum, r12",
        ".endr",
        "b 2b",
        "3:",
        "pop {{r4-r11, pc}}",
        ".purgem NINE",
    )
}

/// The sum of seven bytes, or of the first seven of eight, in r9; `$record` is the record's place behind r2.
macro_rules! seven_bytes {
    ($record:literal) => {
        concat!(
            "ldrb r7, [r2, #",
            $record,
            " + 1]\n ldrb r12, [r2, #",
            $record,
            " + 2]\n",
            "ldrsh r9, [r3, r7, lsl #2]\n ldr r8, [r3, r12, lsl #2]\n",
            "ldrb r7, [r2, #",
            $record,
            " + 3]\n ldrb r12, [r2, #",
            $record,
            " + 4]\n",
            "add r9, r9, r8, asr #16\n",
            "ldrsh r7, [r4, r7, lsl #2]\n ldr r12, [r4, r12, lsl #2]\n",
            "ldrb r8, [r2, #",
            $record,
            " + 5]\n",
            "add r9, r9, r7\n add r9, r9, r12, asr #16\n",
            "ldrb r12, [r2, #",
            $record,
            " + 6]\n",
            "ldrsh r8, [r5, r8, lsl #2]\n ldr r12, [r5, r12, lsl #2]\n",
            "ldrb r7, [r2, #",
            $record,
            " + 7]\n",
            "add r9, r9, r8\n add r9, r9, r12, asr #16\n",
            "ldrsh r7, [r6, r7, lsl #2]\n add r9, r9, r7\n",
        )
    };
}

/// The eighth byte.
macro_rules! eighth_byte {
    ($record:literal) => {
        concat!("ldrb r12, [r2, #", $record, " + 8]\n ldr r12, [r6, r12, lsl #2]\n add r9, r9, r12, asr #16\n")
    };
}

/// Two records a turn: `$second` is the second one's place, `$both` the bytes of both, `$eighth` what follows seven bytes.
macro_rules! add_function {
    ($(#[$doc:meta])* $name:ident, $second:literal, $both:literal, $eighth_of_second:expr, $eighth_of_first:expr) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, records: *const u8, tables: *const i32) {
            naked_asm!(
                "push {{r4-r12, lr}}",
                "add.w r4, r3, #1024",
                "add.w r5, r3, #2048",
                "add.w r6, r3, #3072",
                "2:",
                "ldrd r10, r11, [r0]",
                seven_bytes!($second),
                $eighth_of_second,
                concat!("ldrb r7, [r2, #", $second, "]"),
                "lsl r9, r9, r7",
                "add r11, r11, r9",
                seven_bytes!("0"),
                $eighth_of_first,
                concat!("ldrb r7, [r2], #", $both),
                "lsl r9, r9, r7",
                "add r10, r10, r9",
                "strd r10, r11, [r0], #8",
                "cmp r0, r1",
                "bne 2b",
                "pop {{r4-r12, pc}}",
            )
        }
    };
}

add_function! {
    /// Records of eight bytes of trits, an even number of them and not none.
    add8, "9", "18", eighth_byte!("9"), eighth_byte!("0")
}
add_function! {
    /// The same with seven.
    add7, "8", "16", "", ""
}

/// For records of up to six bytes, by their number; none have no bytes.
static SHORT_SUMS: [Add; 7] = [add1, add1, add2, add3, add4, add5, add6];

/// An odd byte's sum from the table at `$table` to r9.
macro_rules! odd_byte {
    ($byte:literal, $table:literal) => {
        concat!("ldrb r7, [r2, #", $byte, "]\n ldrsh r7, [", $table, ", r7, lsl #2]\n add r9, r9, r7\n")
    };
}

/// An even byte's.
macro_rules! even_byte {
    ($byte:literal, $table:literal) => {
        concat!("ldrb r7, [r2, #", $byte, "]\n ldr r7, [", $table, ", r7, lsl #2]\n add r9, r9, r7, asr #16\n")
    };
}

/// A record a turn: `$bytes` are those behind the first one.
macro_rules! short_add_function {
    ($name:ident, $stride:literal, $($bytes:expr),*) => {
        /// Records of so many bytes, not none of them.
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, records: *const u8, tables: *const i32) {
            naked_asm!(
                "push {{r4-r9}}",
                "add.w r4, r3, #1024",
                "add.w r5, r3, #2048",
                "2:",
                "ldrb r9, [r2, #1]",
                "ldrsh r9, [r3, r9, lsl #2]",
                $($bytes,)*
                concat!("ldrb r7, [r2], #", $stride),
                "ldr r8, [r0]",
                "lsl r9, r9, r7",
                "add r8, r8, r9",
                "str r8, [r0], #4",
                "cmp r0, r1",
                "bne 2b",
                "pop {{r4-r9}}",
                "bx lr",
            )
        }
    };
}

short_add_function!(add1, "2", "");
short_add_function!(add2, "3", even_byte!("2", "r3"));
short_add_function!(add3, "4", even_byte!("2", "r3"), odd_byte!("3", "r4"));
short_add_function!(add4, "5", even_byte!("2", "r3"), odd_byte!("3", "r4"), even_byte!("4", "r4"));
short_add_function!(
    add5,
    "6",
    even_byte!("2", "r3"),
    odd_byte!("3", "r4"),
    even_byte!("4", "r4"),
    odd_byte!("5", "r5")
);
short_add_function!(
    add6,
    "7",
    even_byte!("2", "r3"),
    odd_byte!("3", "r4"),
    even_byte!("4", "r4"),
    odd_byte!("5", "r5"),
    even_byte!("6", "r5")
);

/// [`Lanes`].
pub(crate) struct AssembledLanes;

impl Sums for AssembledLanes {
    const WORDS: usize = Lanes::WORDS;
    const NAME: &'static str = Lanes::NAME;

    #[inline]
    fn prepare(words: &mut [i32], inputs: &Inputs, both: bool) {
        Lanes::prepare(words, inputs, both);
    }

    fn sum(words: &[i32], byte: usize, code: u8) -> i32 {
        Lanes::sum(words, byte, code)
    }

    fn add(words: &[i32], records: &Records<'_>, accumulators: &mut [i32]) {
        let add: Add = match records.count {
            BYTES => lanes8,
            7 => lanes7,
            4 => lanes4,
            2 => lanes2,
            _ => return add_one_by_one::<Self>(words, records, accumulators),
        };
        add_fast::<Self>(words, records, accumulators, 1, add);
    }
}

/// A byte's part: its inputs in `$three` and `$two`, the sums of three in r5, those of two in lr.
macro_rules! lanes_byte {
    ($byte:literal, $three:literal, $two:literal) => {
        concat!(
            "ldrb r6, [r2, #",
            $byte,
            "]\n add r7, r4, r6, lsl #3\n ldrd r6, r7, [r7]\n",
            "mla r6, r6, ",
            $three,
            ", r12\n mla lr, r7, ",
            $two,
            ", lr\n add r5, r5, r6, asr #22\n",
        )
    };
}

/// The first byte's.
macro_rules! lanes_first_byte {
    () => {
        "ldrb r6, [r2, #1]\n add r7, r4, r6, lsl #3\n ldrd r6, r7, [r7]
         mla r6, r6, r8, r12\n mla lr, r7, r9, lr\n asr r5, r6, #22"
    };
}

/// A record a turn: `$bytes` reads the bytes behind the first two, `$stride` is the record's length, `$used` that of the
/// inputs.
macro_rules! lanes_function {
    ($(#[$doc:meta])* $name:ident, $stride:literal, $used:literal, $($bytes:expr),*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, records: *const u8, inputs: *const i32) {
            naked_asm!(
                "push {{r4-r11, lr}}",
                "movw r4, #:lower16:{trits}",
                "movt r4, #:upper16:{trits}",
                "mov.w r12, #0x200000",
                "2:",
                "mov.w lr, #0x8000",
                "ldm r3!, {{r8-r11}}",
                lanes_first_byte!(),
                lanes_byte!("2", "r10", "r11"),
                $($bytes,)*
                concat!("ldrb r6, [r2], #", $stride),
                "ldr r7, [r0]",
                "add r5, r5, lr, asr #16",
                "lsl r5, r5, r6",
                "add r7, r7, r5",
                "str r7, [r0], #4",
                concat!("sub r3, r3, #", $used),
                "cmp r0, r1",
                "bne 2b",
                "pop {{r4-r11, pc}}",
                trits = sym TRITS,
            )
        }
    };
}

lanes_function! {
    /// Records of eight bytes of trits, not none of them.
    lanes8, "9", "64",
    "ldm r3!, {{r8-r11}}", lanes_byte!("3", "r8", "r9"), lanes_byte!("4", "r10", "r11"),
    "ldm r3!, {{r8-r11}}", lanes_byte!("5", "r8", "r9"), lanes_byte!("6", "r10", "r11"),
    "ldm r3!, {{r8-r11}}", lanes_byte!("7", "r8", "r9"), lanes_byte!("8", "r10", "r11")
}
lanes_function! {
    /// The same with seven.
    lanes7, "8", "56",
    "ldm r3!, {{r8-r11}}", lanes_byte!("3", "r8", "r9"), lanes_byte!("4", "r10", "r11"),
    "ldm r3!, {{r8-r11}}", lanes_byte!("5", "r8", "r9"), lanes_byte!("6", "r10", "r11"),
    "ldrd r8, r9, [r3], #8", lanes_byte!("7", "r8", "r9")
}
lanes_function! {
    /// The same with four.
    lanes4, "5", "32",
    "ldm r3!, {{r8-r11}}", lanes_byte!("3", "r8", "r9"), lanes_byte!("4", "r10", "r11")
}
lanes_function! {
    /// The same with two.
    lanes2, "3", "16", ""
}
