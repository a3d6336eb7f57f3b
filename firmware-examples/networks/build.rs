//! Hands the linker the board's memory map, and the program its network.
//!
//! Both come from the environment, as `run-networks` sets it: `TRISHIFT_BOARD` names a folder of `boards/`,
//! `TRISHIFT_NETWORK` a folder that `network-vectors` wrote.

use board_build::{BuildError, variable};
use std::path::{Path, PathBuf};

fn main() {
    board_build::finish(configure());
}

fn configure() -> Result<(), BuildError> {
    let board = variable("TRISHIFT_BOARD", "a folder of firmware-examples/boards; run-networks sets it")?;
    board_build::link(&Path::new("../boards").join(board).join("memory.x"), &["link.x"])?;
    let data = PathBuf::from(variable("TRISHIFT_NETWORK", "a folder of network-vectors; run-networks sets it")?);
    // rustc runs in another folder than this script.
    let data = data.canonicalize().map_err(|source| BuildError::File { path: data, source })?;
    for file in ["model.tsm", "samples.bin", "outputs.bin"] {
        println!("cargo::rerun-if-changed={}", data.join(file).display());
    }
    println!("cargo::rustc-env=TRISHIFT_NETWORK={}", data.display());
    Ok(())
}
