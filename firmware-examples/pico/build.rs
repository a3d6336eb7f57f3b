//! Hands the linker the board's memory map, and the program the model of `TRISHIFT_MODEL`, if it fits.

use board_build::{Budget, BuildError, demonstrate, link, memory_map};
use std::path::Path;

/// What the program takes beside the model and its arena.
const BUDGET: Budget = Budget { flash: 96 << 10, ram: 8 << 10 };

fn main() {
    board_build::finish(configure());
}

fn configure() -> Result<(), BuildError> {
    let map = Path::new("memory.x");
    demonstrate("the Raspberry Pi Pico", memory_map(map)?, BUDGET)?;
    link(map, &["link.x", "defmt.x"])
}
