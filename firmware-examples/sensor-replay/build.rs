//! Hands the linker the memory map of `TRISHIFT_BOARD`, and the program the motion model, if it fits.

use board_build::{Budget, BuildError, ModelFile, link, memory_map, variable};
use std::path::Path;
use trishift_format::OperatorKind;

/// What the program takes beside the model and its arena.
const BUDGET: Budget = Budget { flash: 64 << 10, ram: 1 << 10 };
/// As in Cargo.toml.
const OPERATORS: [OperatorKind; 2] = [OperatorKind::Linear, OperatorKind::ShiftNorm];

fn main() {
    board_build::finish(configure());
}

fn configure() -> Result<(), BuildError> {
    let board = variable("TRISHIFT_BOARD", "a folder of firmware-examples/boards; run-qemu sets it")?;
    let map = Path::new("../boards").join(&board).join("memory.x");
    let path = Path::new("../models/motion.tsm");
    println!("cargo::rerun-if-changed={}", path.display());
    let model = ModelFile::read(path, &OPERATORS)?;
    model.expect_shape(sensor::INPUTS, sensor::CLASSES)?;
    BUDGET.check(&model, &board, memory_map(&map)?)?;
    link(&map, &["link.x"])
}
