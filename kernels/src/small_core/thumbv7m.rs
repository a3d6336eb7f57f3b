//! Cores with the instructions of Armv7-M: Cortex-M3, M4, M7, M33, M55.
//!
//! One family with and without the DSP extension: a look-up needs no multiplication, and two ordinary
//! multiply-and-adds do the work of three with two 16-bit lanes. Per byte of weights a pair table takes three
//! instructions (load the code, load the sum, add it), lanes take six.
//!
//! Functions are naked because inline assembly may not have r6 and r7. They keep to the calling convention: what they
//! use beyond r0–r3 and r12 they save. Those for any number of bytes hold the code of eight, the last byte's first, and
//! jump into it.
#![allow(unsafe_code, reason = "assembly")]

use super::lanes::{ROUND_THREE, ROUND_TWO, TRITS};
use super::pair_table::BIAS;
use super::{Algorithm, Family, Part, Requantize, Rows};
use core::arch::naked_asm;

/// This family.
pub(crate) struct Core;

impl Family for Core {
    const NAME: &'static str = "thumbv7m";
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
        name: "lanes",
        words: 16,
        pair: 4,
        prepare: widen,
        prepare_two: widen_two,
        add: add_products,
        add_eight: add_eight_products,
        add_seven: add_seven_products,
        add_two: add_two_products,
        even: true,
    };
    const FROM: usize = 36;
    const REQUANTIZE: Requantize = requantize;
    #[cfg(feature = "conv2d")]
    const STEPS: &'static super::convolution::Steps = &super::convolution::STEPS;
}

/// Writes the 243 sums of each two bytes, nine registers at a time.
#[unsafe(naked)]
unsafe extern "C" fn fill(words: *mut i32, inputs: *const i8, bytes: usize) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "2:",
        "subs r2, r2, #2",
        "itete pl",
        "addpl r3, r1, #5", // the second byte's inputs; where there is none, any
        "movmi r3, r1",
        "ldrpl r9, ={bias}",
        "movmi r9, #0",
        ".macro PAIR to, place",
        "ldrsb \\to, [r1, #\\place]",
        "ldrsb r10, [r3, #\\place]",
        "add \\to, \\to, r10, lsl #16",
        "sub r9, r9, \\to",
        ".endm",
        "PAIR r4, 0",
        "PAIR r5, 1",
        "PAIR r6, 2",
        "PAIR r7, 3",
        "PAIR r8, 4",
        "adds r1, r1, #10",
        "push {{r1, r2}}",
        "mov r10, r6",                 // the step of the third trit,
        "sub r11, r7, r6, lsl #1",     // into the fourth,
        "sub r12, r8, r7, lsl #1",     // into the fifth
        "sub r12, r12, r6, lsl #1",
        "mov r1, r9",                  // the nine sums of the first two trits to r1–r9
        "add r2, r1, r4",
        "add r3, r2, r4",
        "add r4, r1, r5",
        "add r6, r3, r5",
        "add r7, r4, r5",
        "add r8, r2, r5, lsl #1",
        "add r9, r6, r5",
        "add r5, r2, r5",
        "add lr, r0, #972", // behind the last word
        ".macro MOVE step",
        ".irp sum, r1, r2, r3, r4, r5, r6, r7, r8, r9",
        "add \\sum, \\step",
        ".endr",
        ".endm",
        ".macro NINE step",
        "stm r0!, {{r1-r9}}",
        "MOVE \\step",
        ".endm",
        "3:",
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
        "beq 4f",
        "MOVE r12",
        "b 3b",
        "4:",
        "pop {{r1, r2}}",
        "adds r0, r0, #52",
        "cmp r2, #0",
        "bgt 2b",
        "pop {{r4-r11, pc}}",
        ".ltorg",
        ".purgem NINE",
        ".purgem MOVE",
        ".purgem PAIR",
        bias = const BIAS,
    )
}

/// Writes the nine sums of two trits where the other three are 0.
#[unsafe(naked)]
unsafe extern "C" fn fill_nine(words: *mut i32, inputs: *const i8) {
    naked_asm!(
        "ldrsb r2, [r1]",
        "ldrsb r3, [r1, #1]",
        "add r0, r0, #4 * 117", // 9 + 27 + 81: the code of five trits, two of them −1
        "rsb r1, r2, #0",
        "sub r1, r1, r3",
        "mov r12, #3",
        "2:",
        "str r1, [r0], #4",
        "add r1, r2",
        "str r1, [r0], #4",
        "add r1, r2",
        "str r1, [r0], #4",
        "sub r1, r1, r2, lsl #1",
        "add r1, r3",
        "subs r12, r12, #1",
        "bne 2b",
        "bx lr",
    )
}

/// Adds an odd byte's sum, `$byte` behind the pointer, from the table at `$table` to r9; then an even byte's.
macro_rules! odd_byte {
    ($byte:literal, $table:literal) => {
        concat!("ldrb r7, [r2, #", $byte, "]\n ldrsh r7, [", $table, ", r7, lsl #2]\n add.w r9, r9, r7\n")
    };
}
macro_rules! even_byte {
    ($byte:literal, $table:literal) => {
        concat!("ldrb r7, [r2, #", $byte, "]\n ldr.w r7, [", $table, ", r7, lsl #2]\n add.w r9, r9, r7, asr #16\n")
    };
}

/// Parts of any kind.
#[unsafe(naked)]
unsafe extern "C" fn add_sums(sums: *mut i32, end: *const i32, part: &Part) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldm.w r2, {{r2, r3, r10, r11, r12, lr}}",
        "add.w r4, r3, #1024",
        "add.w r5, r3, #2048",
        "add.w r6, r3, #3072",
        "adr.w r7, 3f",
        "add.w lr, lr, lr, lsl #2", // ten bytes of code for each
        "sub.w lr, r7, lr, lsl #1",
        "2:",
        "mov.w r9, #0",
        "mov pc, lr",
        even_byte!("7", "r6"),
        odd_byte!("6", "r6"),
        even_byte!("5", "r5"),
        odd_byte!("4", "r5"),
        even_byte!("3", "r4"),
        odd_byte!("2", "r4"),
        even_byte!("1", "r3"),
        odd_byte!("0", "r3"),
        "3:",
        "ldrb.w r7, [r10]",
        "ldr r8, [r0]",
        "lsl r9, r9, r7",
        "add r8, r9",
        "str r8, [r0], #4",
        "add r2, r11",
        "add r10, r12",
        "cmp r0, r1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
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

/// Two records a turn: `$second` is the second one's place, `$both` the bytes of both, then what follows seven bytes.
macro_rules! two_records {
    ($(#[$doc:meta])* $name:ident, $second:literal, $both:literal, $eighth_of_second:expr, $eighth_of_first:expr) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, part: &Part) {
            naked_asm!(
                "push {{r4-r11, lr}}",
                "ldrd r3, r2, [r2, #4]", // words, shifts
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
                "pop {{r4-r11, pc}}",
            )
        }
    };
}

two_records! {
    /// Records of eight bytes of trits.
    add_eight_sums, "9", "18", eighth_byte!("9"), eighth_byte!("0")
}
two_records! {
    /// Records of seven.
    add_seven_sums, "8", "16", "", ""
}

/// Brings each byte's inputs into two words.
#[unsafe(naked)]
unsafe extern "C" fn widen(words: *mut i32, inputs: *const i8, bytes: usize) {
    naked_asm!(
        "push {{r4-r7}}",
        "2:",
        "ldrsb r4, [r1, #1]",
        "ldrsb r5, [r1, #2]",
        "ldrsb r6, [r1, #3]",
        "ldrsb r7, [r1, #4]",
        "ldrsb r3, [r1], #5",
        "add r6, r6, r7, lsl #16",
        "add r3, r3, r4, lsl #11",
        "add r3, r3, r5, lsl #22",
        "strd r3, r6, [r0], #8",
        "subs r2, r2, #1",
        "bne 2b",
        "pop {{r4-r7}}",
        "bx lr",
    )
}

/// The same for two trits.
#[unsafe(naked)]
unsafe extern "C" fn widen_two(words: *mut i32, inputs: *const i8) {
    naked_asm!(
        "ldrsb r2, [r1]",
        "ldrsb r3, [r1, #1]",
        "add r2, r2, r3, lsl #11",
        "movs r3, #0",
        "strd r2, r3, [r0]",
        "bx lr",
    )
}

/// Adds what the byte at `$byte` and its inputs in r8 and r9 make: the sum of three products to `$three`, that of two to
/// the upper half of `$two`.
macro_rules! products {
    ($byte:expr, $three:literal, $two:literal) => {
        concat!(products!($byte, $two), "add.w ", $three, ", ", $three, ", r6, asr #22\n")
    };
    ($byte:expr, $two:literal) => {
        products!($byte, $two, $two, "r8", "r9")
    };
    ($byte:expr, $two:literal, $before:literal, $three_inputs:literal, $two_inputs:literal) => {
        concat!(
            "ldrb r6, ",
            $byte,
            "\n add.w r7, r4, r6, lsl #3\n ldrd r6, r7, [r7]\n mla r6, r6, ",
            $three_inputs,
            ", r12\n mla ",
            $two,
            ", r7, ",
            $two_inputs,
            ", ",
            $before,
            "\n",
        )
    };
}

/// The same for byte `$byte` of any part, with its inputs from r3: 26 bytes of code.
macro_rules! loaded_products {
    ($byte:literal) => {
        concat!("ldrd r8, r9, [r3, #8 * ", $byte, "]\n", products!(concat!("[r2, #", $byte, "]"), "r5", "lr"))
    };
}

/// Parts of any kind.
#[unsafe(naked)]
unsafe extern "C" fn add_products(sums: *mut i32, end: *const i32, part: &Part) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldrd r6, r7, [r2, #16]", // the shifts' stride, bytes
        "ldm.w r2, {{r2, r3, r10, r11}}",
        "movw r4, #:lower16:{trits}",
        "movt r4, #:upper16:{trits}",
        "mov.w r12, #{round_three}",
        "adr.w r5, 3f",
        "add.w r8, r7, r7, lsl #1", // 26 bytes of code for each
        "add.w r7, r7, r8, lsl #2",
        "sub.w r7, r5, r7, lsl #1",
        "adds r7, r7, #1", // as Thumb code
        "push {{r6, r7}}",
        "2:",
        "mov.w lr, #{round_two}",
        "movs r5, #0",
        "ldr pc, [sp, #4]",
        loaded_products!("7"),
        loaded_products!("6"),
        loaded_products!("5"),
        loaded_products!("4"),
        loaded_products!("3"),
        loaded_products!("2"),
        loaded_products!("1"),
        loaded_products!("0"),
        "3:",
        "ldr r8, [sp]",
        "ldrb.w r6, [r10]",
        "ldr r7, [r0]",
        "add.w r5, r5, lr, asr #16",
        "lsls r5, r6",
        "adds r7, r7, r5",
        "str r7, [r0], #4",
        "add r2, r11",
        "add r10, r8",
        "cmp r0, r1",
        "bne 2b",
        "pop {{r6, r7}}",
        "pop {{r4-r11, pc}}",
        trits = sym TRITS,
        round_three = const ROUND_THREE,
        round_two = const ROUND_TWO,
    )
}

/// Byte `$byte` of two records, the second of them `$stride` bytes behind the first.
macro_rules! products_of_two {
    ($byte:literal, $stride:literal) => {
        concat!(
            "ldrd r8, r9, [r3, #8 * ",
            $byte,
            "]\n",
            products!(concat!("[r2, #1 + ", $byte, "]"), "r5", "lr"),
            products!(concat!("[r2, #1 + ", $byte, " + ", $stride, "]"), "r10", "r11"),
        )
    };
}

/// Two records a turn of `$stride` bytes; the first byte of trits comes first, then the `$byte`s.
macro_rules! two_records_of_products {
    ($(#[$doc:meta])* $name:ident, $stride:literal, $($byte:literal)*) => {
        $(#[$doc])*
        #[unsafe(naked)]
        unsafe extern "C" fn $name(sums: *mut i32, end: *const i32, part: &Part) {
            naked_asm!(
                "push {{r4-r11, lr}}",
                "ldrd r3, r2, [r2, #4]", // words, shifts
                "movw r4, #:lower16:{trits}",
                "movt r4, #:upper16:{trits}",
                "mov.w r12, #{round_three}",
                "push {{r1}}",
                "mov.w r1, #{round_two}",
                "2:",
                "ldrd r8, r9, [r3]",
                products!("[r2, #1]", "lr", "r1", "r8", "r9"),
                "asr r5, r6, #22",
                products!(concat!("[r2, #1 + ", $stride, "]"), "r11", "r1", "r8", "r9"),
                "asr r10, r6, #22",
                $(products_of_two!($byte, $stride),)*
                "add r10, r10, r11, asr #16",
                concat!("ldrb r11, [r2, #", $stride, "]"),
                "add r5, r5, lr, asr #16",
                concat!("ldrb r6, [r2], #2 * ", $stride),
                "lsl r10, r10, r11",
                "ldrd r8, r9, [r0]",
                "lsls r5, r6",
                "add r9, r10",
                "add r8, r5",
                "strd r8, r9, [r0], #8",
                "ldr r6, [sp]",
                "cmp r0, r6",
                "bne 2b",
                "add sp, #4",
                "pop {{r4-r11, pc}}",
                trits = sym TRITS,
                round_three = const ROUND_THREE,
                round_two = const ROUND_TWO,
            )
        }
    };
}

two_records_of_products! {
    /// Records of eight bytes of trits.
    add_eight_products, "9", "1" "2" "3" "4" "5" "6" "7"
}
two_records_of_products! {
    /// Records of seven.
    add_seven_products, "8", "1" "2" "3" "4" "5" "6"
}

/// Records of two, whose inputs stay in registers.
#[unsafe(naked)]
unsafe extern "C" fn add_two_products(sums: *mut i32, end: *const i32, part: &Part) {
    naked_asm!(
        "push {{r4-r11, lr}}",
        "ldrd r3, r2, [r2, #4]", // words, shifts
        "movw r4, #:lower16:{trits}",
        "movt r4, #:upper16:{trits}",
        "mov.w r12, #{round_three}",
        "ldm r3, {{r8-r11}}",
        "mov.w r3, #{round_two}",
        "2:",
        products!("[r2, #1]", "lr", "r3", "r8", "r9"),
        "asrs r5, r6, #22",
        products!("[r2, #2]", "lr", "lr", "r10", "r11"),
        "add.w r5, r5, r6, asr #22",
        "ldrb r6, [r2], #3",
        "ldr r7, [r0]",
        "add.w r5, r5, lr, asr #16",
        "lsls r5, r6",
        "add r7, r5",
        "str r7, [r0], #4",
        "cmp r0, r1",
        "bne 2b",
        "pop {{r4-r11, pc}}",
        trits = sym TRITS,
        round_three = const ROUND_THREE,
        round_two = const ROUND_TWO,
    )
}

/// See [`Requantize`].
#[unsafe(naked)]
unsafe extern "C" fn requantize(rows: &mut Rows, sums: *const i32, end: *const i32) -> *const i32 {
    naked_asm!(
        "push {{r4-r7}}",
        "ldm r0, {{r3, r4, r5, r6}}",
        "subs r5, #1",
        "2:",
        "ldrsb r7, [r4]",
        "subs r7, r5, r7", // the shift but for its last step, which follows the rounding
        "cmp r7, #31",
        "bhs 3f",
        "ldr r12, [r1], #4",
        "adds r4, #1",
        "asr r12, r12, r7",
        "add r12, r12, #1",
        "ssat r12, #8, r12, asr #1",
        "cmp r12, r6",
        "it lt",
        "movlt r12, r6",
        "strb r12, [r3], #1",
        "cmp r1, r2",
        "bne 2b",
        "3:",
        "strd r3, r4, [r0]",
        "mov r0, r1",
        "pop {{r4-r7}}",
        "bx lr",
    )
}
