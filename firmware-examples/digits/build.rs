//! Hands the linker the board's memory map, and the program its data.
//!
//! Both come from the environment, as `run-qemu` sets it: `TRISHIFT_BOARD` names a folder of `boards/`,
//! `TRISHIFT_DIGITS` a folder that `digits-vectors` and `random-models` wrote.

use board_build::{BuildError, variable};
use std::path::{Path, PathBuf};

fn main() {
    board_build::finish(configure());
}

fn configure() -> Result<(), BuildError> {
    let board = variable("TRISHIFT_BOARD", "a folder of firmware-examples/boards; run-qemu sets it")?;
    board_build::link(&Path::new("../boards").join(board).join("memory.x"), &["link.x"])?;

    let data = PathBuf::from(variable("TRISHIFT_DIGITS", "a folder with model, samples and logits; run-qemu sets it")?);
    // rustc runs in another folder than this script.
    let data = data.canonicalize().map_err(|source| BuildError::File { path: data, source })?;
    for file in ["model.tsm", "samples.bin", "logits.bin", "random.bin", "images.bin"] {
        println!("cargo::rerun-if-changed={}", data.join(file).display());
    }
    println!("cargo::rustc-env=TRISHIFT_DIGITS={}", data.display());
    Ok(())
}
