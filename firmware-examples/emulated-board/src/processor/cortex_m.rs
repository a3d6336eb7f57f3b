//! Cortex-M: SysTick, which every one of them has.

use crate::{clocks, exit};
use core::sync::atomic::{AtomicU32, Ordering};
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{SCB, SYST};
use cortex_m_rt::{ExceptionFrame, exception};
use semihosting::process;

/// SysTick counts down from here: it has 24 bits.
const TOP: u32 = 0xFF_FFFF;

/// Ticks a second.
const HERTZ: u64 = {
    let hertz = clocks::systick_hertz(crate::NAME) as u64;
    assert!(hertz != 0, "the clock of this board is not in emulated-board/src/clocks.rs");
    hertz
};

/// Nanoseconds of an instruction under `-icount shift=6`. At a smaller shift, ticks would be coarser than instructions.
const NANOSECONDS_AN_INSTRUCTION: u64 = 64;

/// How often the timer has passed zero since the restart. Its handler alone writes while counting, so that Armv6-M, which cannot
/// add to memory in one step, need not.
static ROUNDS: AtomicU32 = AtomicU32::new(0);

/// SysTick. Its interrupt is enabled from a restart to the next reading alone: work that takes less than a round meets none.
pub(crate) struct Clock {
    timer: SYST,
    start: u32,
}

impl core::fmt::Debug for Clock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Clock").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Clock {
    pub(crate) fn take() -> Option<Self> {
        let mut timer = cortex_m::Peripherals::take()?.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(TOP);
        timer.enable_counter();
        Some(Self { timer, start: TOP })
    }

    // Neither this nor the reading is inlined: what they take themselves is the same wherever they are called.
    #[inline(never)]
    pub(crate) fn restart(&mut self) {
        ROUNDS.store(0, Ordering::Relaxed);
        // Clears the flag of passing zero, too. The timer goes to the top only at its next tick.
        self.timer.clear_current();
        self.timer.enable_interrupt();
        self.start = 0;
        while self.start == 0 {
            self.start = SYST::get_current();
        }
    }

    /// Instructions since the restart, those of the interrupts every ten million included; `None` where a word does not hold
    /// them.
    #[inline(never)]
    pub(crate) fn instructions(&mut self) -> Option<u32> {
        // The timer may pass zero while it is read, and its interrupt come a little after.
        let (now, rounds) = loop {
            let before = ROUNDS.load(Ordering::Relaxed);
            let now = SYST::get_current();
            if !SCB::is_pendst_pending() && ROUNDS.load(Ordering::Relaxed) == before {
                break (now, before);
            }
        };
        self.timer.disable_interrupt();
        let ticks = u64::from(rounds) * (u64::from(TOP) + 1) + u64::from(self.start) - u64::from(now);
        u32::try_from(ticks * 1_000_000_000 / (HERTZ * NANOSECONDS_AN_INSTRUCTION)).ok()
    }
}

/// The timer has passed zero.
#[exception]
fn SysTick() {
    ROUNDS.store(ROUNDS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Two instructions an iteration.
#[allow(unsafe_code, reason = "a compiler may count a loop away, or unroll it")]
pub(crate) fn spin(iterations: u32) {
    // SAFETY: the loop changes one register, which is declared, and the flags, which are clobbered unless said otherwise;
    // it touches neither memory nor stack. It ends, after 2^32 iterations at most.
    unsafe {
        core::arch::asm!("2: subs {n}, #1", "bne 2b", n = inout(reg) iterations => _, options(nomem, nostack));
    }
}

/// Fills the stack from `end` up to the stack pointer, which it returns.
#[allow(unsafe_code, reason = "only assembly knows where the stack pointer stands and uses no stack itself")]
#[inline(always)]
pub(crate) fn paint_stack(end: u32, paint: u32) -> u32 {
    let top;
    // SAFETY: the words from the stack's end to the stack pointer belong to no live variable, and an interrupt handler
    // would put its own above what is written last. Both ends are multiples of 4.
    unsafe {
        core::arch::asm!(
            "mov {top}, sp",
            "b 3f",
            "2: str {paint}, [{word}]",
            "adds {word}, #4",
            "3: cmp {word}, {top}",
            "blo 2b",
            top = out(reg) top,
            word = inout(reg) end => _,
            paint = in(reg) paint,
            options(nostack),
        );
    }
    top
}

/// Without this, a fault would end in an endless loop and look like a slow run.
#[allow(unsafe_code, reason = "cortex-m-rt has the handler declared unsafe")]
#[exception]
unsafe fn HardFault(_: &ExceptionFrame) -> ! {
    #[cfg(feature = "messages")]
    semihosting::eprintln!("hard fault");
    process::exit(exit::FAULT)
}
