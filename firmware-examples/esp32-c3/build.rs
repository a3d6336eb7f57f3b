//! Names the linker scripts, and hands the programs the models of `TRISHIFT_MODEL` and `TRISHIFT_KEYWORDS`, if they fit.

use board_build::{Budget, BuildError, MemoryMap, demonstrate, listen};

const BOARD: &str = "the ESP32-C3";
/// The application's partition of the usual table, and the RAM that the cache leaves; esp-hal has the memory map itself.
const MAP: MemoryMap = MemoryMap { flash: 1 << 20, ram: 320 << 10 };
/// What the program takes beside the model and its arena, with the stack.
const BUDGET: Budget = Budget { flash: 128 << 10, ram: 32 << 10 };

fn main() {
    board_build::finish(configure());
}

fn configure() -> Result<(), BuildError> {
    demonstrate(BOARD, MAP, BUDGET)?;
    listen(BOARD, MAP, BUDGET)?;
    for script in ["linkall.x", "defmt.x"] {
        println!("cargo::rustc-link-arg-bins=-T{script}");
    }
    Ok(())
}
