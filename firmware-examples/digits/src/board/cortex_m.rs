//! Cortex-M: SysTick, which every one of them has.

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::{ExceptionFrame, exception};
use semihosting::{eprintln, process};

/// SysTick counts down from here: it has 24 bits.
const TOP: u32 = 0xFF_FFFF;

/// Nanoseconds between two ticks: the emulated MPS2 boards run at 25 MHz.
const NANOSECONDS_A_TICK: u64 = 40;

/// Nanoseconds of an instruction under `-icount shift=6`. At a smaller shift, ticks would be coarser than instructions.
const NANOSECONDS_AN_INSTRUCTION: u64 = 64;

/// SysTick, without its interrupt.
pub(super) struct Clock {
    timer: SYST,
    start: u32,
}

impl Clock {
    pub(super) fn take() -> Option<Self> {
        let mut timer = cortex_m::Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(TOP);
        timer.enable_counter();
        Some(Self { timer, start: TOP })
    }

    pub(super) fn restart(&mut self) {
        // Clears the flag of passing zero, too. The timer goes to the top only at its next tick.
        self.timer.clear_current();
        self.start = 0;
        while self.start == 0 {
            self.start = SYST::get_current();
        }
    }

    /// Instructions since the restart; `None` where the timer has passed zero: ten million are too many for it.
    pub(super) fn instructions(&mut self) -> Option<u32> {
        let ticks = u64::from(self.start.wrapping_sub(SYST::get_current()) & TOP);
        if self.timer.has_wrapped() {
            return None;
        }
        u32::try_from(ticks * NANOSECONDS_A_TICK / NANOSECONDS_AN_INSTRUCTION).ok()
    }
}

/// Two instructions an iteration.
#[allow(unsafe_code, reason = "a compiler may count a loop away, or unroll it")]
pub(super) fn spin(iterations: u32) {
    // SAFETY: the loop changes one register, which is declared, and the flags, which are clobbered unless said otherwise;
    // it touches neither memory nor stack. It ends, after 2^32 iterations at most.
    unsafe {
        core::arch::asm!("2: subs {n}, #1", "bne 2b", n = inout(reg) iterations => _, options(nomem, nostack));
    }
}

/// Without this, a fault would end in an endless loop and look like a slow run.
#[allow(unsafe_code, reason = "cortex-m-rt has the handler declared unsafe")]
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    eprintln!("hard fault");
    process::exit(102)
}
