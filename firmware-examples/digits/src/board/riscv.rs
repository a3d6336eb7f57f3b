//! RISC-V: the CSR of retired instructions.

use riscv::register::minstret;
use riscv_rt::TrapFrame;
use semihosting::{eprintln, process};

/// The CSR, and where it stood.
pub(super) struct Clock {
    start: u64,
}

impl Clock {
    pub(super) fn take() -> Option<Self> {
        Some(Self { start: 0 })
    }

    pub(super) fn restart(&mut self) {
        self.start = minstret::read64();
    }

    /// Instructions since the restart. The emulator gives nanoseconds, which under `-icount shift=0` are instructions.
    pub(super) fn instructions(&mut self) -> Option<u32> {
        u32::try_from(minstret::read64().wrapping_sub(self.start)).ok()
    }
}

/// Two instructions an iteration.
#[allow(unsafe_code, reason = "a compiler may count a loop away, or unroll it")]
pub(super) fn spin(iterations: u32) {
    // SAFETY: the loop changes one register, which is declared, and touches neither memory nor stack. It ends, after 2^32
    // iterations at most.
    unsafe {
        core::arch::asm!("2: addi {n}, {n}, -1", "bnez {n}, 2b", n = inout(reg) iterations => _, options(nomem, nostack));
    }
}

/// Without this, a fault would end in an endless loop and look like a slow run.
#[allow(unsafe_code, reason = "riscv-rt finds the handler by its name alone")]
// SAFETY: the linker script gives the name to nothing else where it is defined, and calls it with this argument.
#[unsafe(export_name = "ExceptionHandler")]
fn exception(_: &TrapFrame) -> ! {
    eprintln!("exception");
    process::exit(102)
}
