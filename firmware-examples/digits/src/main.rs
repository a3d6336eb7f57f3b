//! Classifies handwritten digits and runs random models on a microcontroller, and judges itself.
//!
//! Models, samples and the outputs that the runtime gave for them on the machine that built this program are compiled in.
//! Every sample is run, every integer compared; instructions and stack of the digits are counted. The result is lines of
//! JSON on the debugger's standard output and the exit code: 0 only if all integers agree.
//!
//! What an application would copy stands in `footprint`, which has nothing beside it.
#![no_std]
#![no_main]

mod digits;
mod operators;
mod random_models;
mod report;

use core::fmt;
use emulated_board::{CountError, Counter, Stack, exit};
use firmware::Refusal;
use semihosting::{eprintln, process};
use trishift::RunError;

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    process::exit(match judge() {
        Ok(0) => exit::SUCCESS,
        Ok(_) => exit::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            match fault {
                Fault::Refused(refusal) => refusal.code().into(),
                _ => exit::FAILURE,
            }
        }
    })
}

/// Runs everything and returns the number of integers that differ.
fn judge() -> Result<usize, Fault> {
    Stack::paint();
    let mut counter = Counter::new()?;
    let mismatches = digits::judge(&mut counter)? + random_models::judge(&mut counter)?;
    let Stack { limit, high_water } = Stack::measure();
    if high_water >= limit {
        return Err(Fault::Stack);
    }
    Ok(mismatches)
}

/// What keeps the program from a verdict.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Refused(Refusal),
    Count(CountError),
    Run(RunError),
    /// The data are not what `digits-vectors` and `random-models` write.
    Data,
    /// The stack used all there is.
    Stack,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Count(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
            Self::Data => f.write_str("models, samples and expected outputs do not belong together"),
            Self::Stack => f.write_str("the stack was used to its end"),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<CountError> for Fault {
    fn from(error: CountError) -> Self {
        Self::Count(error)
    }
}

impl From<RunError> for Fault {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}
