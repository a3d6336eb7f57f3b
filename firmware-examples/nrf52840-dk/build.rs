//! Hands the linker the board's memory map, and the programs the models of `TRISHIFT_MODEL` and `TRISHIFT_KEYWORDS`, if
//! they fit.

use board_build::{Budget, BuildError, demonstrate, link, listen, memory_map};
use std::path::Path;

const BOARD: &str = "the nRF52840 DK";
/// What the program takes beside the model and its arena.
const BUDGET: Budget = Budget { flash: 96 << 10, ram: 8 << 10 };

fn main() {
    board_build::finish(configure());
}

fn configure() -> Result<(), BuildError> {
    let map = Path::new("memory.x");
    demonstrate(BOARD, memory_map(map)?, BUDGET)?;
    listen(BOARD, memory_map(map)?, BUDGET)?;
    link(map, &["link.x", "defmt.x"])
}
