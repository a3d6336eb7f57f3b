//! Hands the linker the memory map of `TRISHIFT_BOARD`, and the program its model, the one of `TRISHIFT_MODEL`, if it fits.

use board_build::{Budget, BuildError, choose_model, link, memory_map, variable};
use std::path::Path;
use trishift_format::OperatorKind;

/// What the program takes beside the model and its arena.
const BUDGET: Budget = Budget { flash: 64 << 10, ram: 6 << 10 };
/// As in Cargo.toml.
const OPERATORS: [OperatorKind; 5] =
    [OperatorKind::AvgPool, OperatorKind::Conv2d, OperatorKind::Linear, OperatorKind::Reshape, OperatorKind::Slide];

fn main() {
    board_build::finish(configure());
}

fn configure() -> Result<(), BuildError> {
    let board = variable("TRISHIFT_BOARD", "a folder of firmware-examples/boards; run-keyword sets it")?;
    let map = Path::new("../boards").join(&board).join("memory.x");
    let model = choose_model(Path::new("../models/spoken.tsm"), &OPERATORS)?;
    model.write_sound()?;
    BUDGET.check(&model, &board, memory_map(&map)?)?;
    link(&map, &["link.x"])
}
