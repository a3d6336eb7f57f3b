//! What emulated boards have in common, and what differs between them: a counter of instructions, a measure of the stack,
//! the end of a program that goes wrong.
//!
//! Each processor's file gives two things to the counter: a clock that the emulator drives by executed instructions, and
//! a loop whose instructions are known. A program that ends early says why by its exit code, in [`exit`].
#![no_std]

mod clocks;
mod counter;
pub mod exit;
mod processor;
mod stack;

pub use counter::{CountError, Counter};
pub use stack::{Stack, stack_of};

/// The board's name: a folder of `boards/`.
pub const NAME: &str = env!("TRISHIFT_BOARD");

/// Ends the program. The place is printed, the message is not: its formatting would cost more flash than a model.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "messages")]
    if let Some(place) = _info.location() {
        semihosting::eprintln!("panic at {}:{}", place.file(), place.line());
    }
    semihosting::process::exit(exit::PANIC)
}
