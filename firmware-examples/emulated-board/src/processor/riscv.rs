//! RISC-V: the CSR of retired instructions.

use crate::exit;
use riscv::register::minstret;
use riscv_rt::TrapFrame;
use semihosting::process;

/// The CSR, and where it stood.
#[derive(Debug)]
pub(crate) struct Clock {
    start: u64,
}

impl Clock {
    pub(crate) fn take() -> Option<Self> {
        Some(Self { start: 0 })
    }

    pub(crate) fn restart(&mut self) {
        self.start = minstret::read64();
    }

    /// Instructions since the restart. The emulator gives nanoseconds, which under `-icount shift=0` are instructions.
    pub(crate) fn instructions(&mut self) -> Option<u32> {
        u32::try_from(minstret::read64().wrapping_sub(self.start)).ok()
    }
}

/// Two instructions an iteration.
#[allow(unsafe_code, reason = "a compiler may count a loop away, or unroll it")]
pub(crate) fn spin(iterations: u32) {
    // SAFETY: the loop changes one register, which is declared, and touches neither memory nor stack. It ends, after 2^32
    // iterations at most.
    unsafe {
        core::arch::asm!("2: addi {n}, {n}, -1", "bnez {n}, 2b", n = inout(reg) iterations => _, options(nomem, nostack));
    }
}

/// Fills the stack from `end` up to the stack pointer, which it returns.
#[allow(unsafe_code, reason = "only assembly knows where the stack pointer stands and uses no stack itself")]
#[inline(always)]
pub(crate) fn paint_stack(end: u32, paint: u32) -> u32 {
    let top;
    // SAFETY: the words from the stack's end to the stack pointer belong to no live variable, and a trap handler would put
    // its own above what is written last. Both ends are multiples of 4.
    unsafe {
        core::arch::asm!(
            "mv {top}, sp",
            "j 3f",
            "2: sw {paint}, 0({word})",
            "addi {word}, {word}, 4",
            "3: bltu {word}, {top}, 2b",
            top = out(reg) top,
            word = inout(reg) end => _,
            paint = in(reg) paint,
            options(nostack),
        );
    }
    top
}

/// Without this, a fault would end in an endless loop and look like a slow run.
#[allow(unsafe_code, reason = "riscv-rt finds the handler by its name alone")]
// SAFETY: the linker script gives the name to nothing else where it is defined, and calls it with this argument.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &TrapFrame) -> ! {
    #[cfg(feature = "messages")]
    semihosting::eprintln!("exception");
    process::exit(exit::FAULT)
}
