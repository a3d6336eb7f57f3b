//! Counts instructions, once it has been seen to count right.

use crate::processor;
use core::fmt;
use core::hint::black_box;
use core::sync::atomic::{Ordering, compiler_fence};

/// Counts the instructions of a piece of work.
#[derive(Debug)]
pub struct Counter {
    clock: processor::Clock,
    /// What counting nothing counts.
    overhead: u32,
}

/// Why nothing can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CountError {
    /// There is no clock, or somebody else has it.
    NoClock,
    /// A loop of known length was counted as something else: the emulator does not drive the clock by instructions.
    Wrong {
        /// Instructions that the loop has.
        instructions: u32,
        /// Instructions counted.
        counted: u32,
    },
    /// The work took longer than the clock can count.
    TooLong,
}

impl fmt::Display for CountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClock => f.write_str("there is no clock to count instructions with"),
            Self::Wrong { instructions, counted } => write!(
                f,
                "a loop of {instructions} instructions was counted as {counted}; run-qemu has the -icount of this board"
            ),
            Self::TooLong => f.write_str("the work took longer than the clock can count"),
        }
    }
}

impl core::error::Error for CountError {}

impl Counter {
    /// A counter that has been seen to count right.
    ///
    /// # Errors
    /// [`CountError`] where there is no clock, or one that does not follow the instructions, as on hardware.
    pub fn new() -> Result<Self, CountError> {
        const ITERATIONS: u32 = 5000;
        const INSTRUCTIONS: u32 = 2 * ITERATIONS;
        // Setting the loop up, and rounding at both ends.
        const TOLERANCE: u32 = 4;
        let clock = processor::Clock::take().ok_or(CountError::NoClock)?;
        let mut counter = Self { clock, overhead: 0 };
        (counter.overhead, ()) = counter.count(|| ())?;
        let (counted, ()) = counter.count(|| processor::spin(ITERATIONS))?;
        if counted.abs_diff(INSTRUCTIONS) > TOLERANCE {
            return Err(CountError::Wrong { instructions: INSTRUCTIONS, counted });
        }
        Ok(counter)
    }

    /// The instructions of `work`, and its result.
    ///
    /// # Errors
    /// [`CountError::TooLong`] where a word does not hold them.
    pub fn count<T>(&mut self, work: impl FnOnce() -> T) -> Result<(u32, T), CountError> {
        self.start();
        let result = work();
        Ok((self.stop()?, result))
    }

    /// Begins to count. For work that is no closure, such as what lies between two calls of a hook.
    pub fn start(&mut self) {
        self.clock.restart();
        // Nothing that touches memory may leave the work, or enter it.
        compiler_fence(Ordering::SeqCst);
    }

    /// The instructions since [`Counter::start`].
    ///
    /// # Errors
    /// [`CountError::TooLong`] where a word does not hold them.
    pub fn stop(&mut self) -> Result<u32, CountError> {
        compiler_fence(Ordering::SeqCst);
        let instructions = self.clock.instructions().ok_or(CountError::TooLong)?;
        // Computed here: a compiler may move a division into the next piece of work to be counted.
        Ok(black_box(instructions.saturating_sub(self.overhead)))
    }
}
