//! Hands the linker the board's memory map, and the program its board's name and its data.
//!
//! Both come from the environment, as `run-qemu` sets it: `TRISHIFT_BOARD` names a folder of `boards/`,
//! `TRISHIFT_DIGITS` a folder that `digits-vectors` wrote. The linker's arguments are given here, not as compiler flags,
//! so that boards of one target share everything that is compiled.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    if let Err(sentence) = configure() {
        eprintln!("{sentence}");
        process::exit(1);
    }
}

fn configure() -> Result<(), String> {
    let boards = Path::new("../boards");
    let board = variable("TRISHIFT_BOARD", "a folder of firmware-examples/boards")?;
    let memory = boards.join(&board).join("memory.x");
    if !memory.is_file() {
        return Err(format!("TRISHIFT_BOARD is {board}, but there is no firmware-examples/boards/{board}/memory.x"));
    }
    // The runtimes' linker scripts include `memory.x` by that name. A copy of this package's own comes first, whatever
    // else is on the search path.
    let out = PathBuf::from(variable("OUT_DIR", "set by cargo")?);
    fs::copy(&memory, out.join("memory.x")).map_err(|error| format!("cannot copy {}: {error}", memory.display()))?;
    println!("cargo::rerun-if-changed={}", memory.display());
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    println!("cargo::rustc-env=TRISHIFT_BOARD={board}");

    let data = PathBuf::from(variable("TRISHIFT_DIGITS", "a folder written by digits-vectors")?);
    for file in ["model.tsm", "samples.bin", "logits.bin"] {
        let path = data.join(file);
        if !path.is_absolute() || !path.is_file() {
            let path = path.display();
            return Err(format!(
                "TRISHIFT_DIGITS must be the absolute path of a folder from digits-vectors: no {path}"
            ));
        }
    }
    println!("cargo::rustc-env=TRISHIFT_DIGITS={}", data.display());
    Ok(())
}

fn variable(name: &str, meaning: &str) -> Result<String, String> {
    println!("cargo::rerun-if-env-changed={name}");
    env::var(name).map_err(|_| format!("{name} is not set ({meaning}); firmware-examples/run-qemu sets it"))
}
