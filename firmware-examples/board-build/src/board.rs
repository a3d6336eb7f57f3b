//! The board's memory map on its way to the linker.

use crate::{BuildError, MemoryMap, variable};
use std::fs;
use std::path::{Path, PathBuf};

/// Reads the memory map, and has the script run again when it changes.
///
/// # Errors
/// [`BuildError`] where the file cannot be read or names no flash and RAM.
pub fn memory_map(path: &Path) -> Result<MemoryMap, BuildError> {
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).map_err(BuildError::file(path))?;
    MemoryMap::parse(&text).map_err(|fault| BuildError::MemoryMap { path: path.into(), fault })
}

/// Hands the memory map to the linker, and each of the linker scripts: `link.x` of cortex-m-rt and riscv-rt, `defmt.x`.
///
/// The arguments are given from here, not as compiler flags, so that boards of one target share what is compiled.
///
/// # Errors
/// [`BuildError`] where the map cannot be copied.
pub fn link(map: &Path, scripts: &[&str]) -> Result<(), BuildError> {
    // The runtimes' linker scripts include `memory.x` by that name. A copy of this package's own comes first, whatever
    // else is on the search path.
    let out = PathBuf::from(variable("OUT_DIR", "cargo sets it for build scripts")?);
    fs::copy(map, out.join("memory.x")).map_err(BuildError::file(map))?;
    println!("cargo::rustc-link-search={}", out.display());
    for script in scripts {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
    Ok(())
}
