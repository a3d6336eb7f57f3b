//! What a firmware's build script does: hands the linker the board's memory map, chooses the model, and refuses a model
//! that the board or the firmware cannot take, with the numbers, before anything is linked or flashed.
//!
//! A build script is `fn main() { board_build::finish(configure()) }`, with a `configure` that calls what it needs here.
#![forbid(unsafe_code)]

mod board;
mod budget;
mod demonstration;
mod error;
mod memory_map;
mod model;
mod sound;

pub use board::{link, memory_map};
pub use budget::Budget;
pub use demonstration::demonstrate;
pub use error::BuildError;
pub use memory_map::{MapError, MemoryMap};
use model::chosen;
pub use model::{ModelFile, choose_model};
pub use sound::listen;

/// Ends the build script: an error becomes one line that cargo shows, and the build fails.
pub fn finish(result: Result<(), BuildError>) {
    if let Err(error) = result {
        println!("cargo::error={error}");
    }
}

/// The variable's value; the script runs again when it changes.
///
/// # Errors
/// [`BuildError::Variable`] where it is not set.
pub fn variable(name: &'static str, meaning: &'static str) -> Result<String, BuildError> {
    println!("cargo::rerun-if-env-changed={name}");
    std::env::var(name).map_err(|_| BuildError::Variable { name, meaning })
}
