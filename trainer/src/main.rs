//! The command `trishift`: train, evaluate, export and inspect ternary networks.
#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
