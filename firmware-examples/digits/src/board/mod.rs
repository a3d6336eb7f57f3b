//! What differs between processors: how instructions are counted, and what happens when the program goes wrong.
//!
//! Each processor's file gives two things to the counter here: a clock that the emulator drives by executed instructions,
//! and a loop whose instructions are known. The counter counts that loop first and refuses to go on if the clock says
//! something else, as it does under an emulator that is not asked to count.

use core::panic::PanicInfo;
use core::sync::atomic::{Ordering, compiler_fence};
use semihosting::{eprintln, process};

#[cfg(target_arch = "arm")]
mod cortex_m;
#[cfg(target_arch = "arm")]
use self::cortex_m as processor;

#[cfg(target_arch = "riscv32")]
mod riscv;
#[cfg(target_arch = "riscv32")]
use self::riscv as processor;

#[cfg(not(any(target_arch = "arm", target_arch = "riscv32")))]
compile_error!("digits is firmware for Cortex-M and RV32; firmware-examples/run-qemu builds it");

/// Counts the instructions of a piece of work.
pub(crate) struct Counter {
    clock: processor::Clock,
    /// What counting nothing counts.
    overhead: u32,
}

impl Counter {
    /// A counter that has been seen to count right.
    pub(crate) fn new() -> Result<Self, &'static str> {
        const ITERATIONS: u32 = 5000;
        const INSTRUCTIONS: u32 = 2 * ITERATIONS;
        // Setting the loop up, and rounding at both ends.
        const TOLERANCE: u32 = 4;
        let clock = processor::Clock::take().ok_or("there is no clock to count instructions with")?;
        let mut counter = Self { clock, overhead: 0 };
        (counter.overhead, ()) = counter.count(|| ())?;
        let (counted, ()) = counter.count(|| processor::spin(ITERATIONS))?;
        if counted.abs_diff(INSTRUCTIONS) > TOLERANCE {
            eprintln!("a loop of {INSTRUCTIONS} instructions was counted as {counted}");
            return Err("the emulator does not count as this program expects; run-qemu has the right -icount");
        }
        Ok(counter)
    }

    /// The instructions of `work`, and its result.
    pub(crate) fn count<T>(&mut self, work: impl FnOnce() -> T) -> Result<(u32, T), &'static str> {
        self.clock.restart();
        // Nothing that touches memory may leave the work, or enter it.
        compiler_fence(Ordering::SeqCst);
        let result = work();
        compiler_fence(Ordering::SeqCst);
        let instructions = self.clock.instructions().ok_or("the run took longer than the clock can count")?;
        Ok((instructions.saturating_sub(self.overhead), result))
    }
}

/// Ends the program. The place is printed, the message is not: its formatting would cost more flash than the model.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if let Some(place) = info.location() {
        eprintln!("panic at {}:{}", place.file(), place.line());
    }
    process::exit(101)
}
