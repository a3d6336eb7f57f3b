//! Hands the linker the memory map of `TRISHIFT_BOARD`, and the program the model of `TRISHIFT_MODEL`, if it fits.

use board_build::{Budget, BuildError, choose_model, link, memory_map, variable};
use std::path::Path;
use trishift_format::OperatorKind;

/// What the program takes beside the model and its arena.
const BUDGET: Budget = Budget { flash: 24 << 10, ram: 256 };
/// As in Cargo.toml.
const OPERATORS: [OperatorKind; 2] = [OperatorKind::Linear, OperatorKind::ShiftNorm];

fn main() {
    board_build::finish(configure());
}

fn configure() -> Result<(), BuildError> {
    let board = variable("TRISHIFT_BOARD", "a folder of firmware-examples/boards; run-qemu sets it")?;
    let map = Path::new("../boards").join(&board).join("memory.x");
    let model = choose_model(Path::new("../models/digits.tsm"), &OPERATORS)?;
    BUDGET.check(&model, &board, memory_map(&map)?)?;
    model.write_shape()?;
    // Calls stay visible in the program, for `examine` to see which function could panic. They are not loaded.
    println!("cargo::rustc-link-arg-bins=--emit-relocs");
    link(&map, &["link.x"])
}
