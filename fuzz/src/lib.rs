//! What the fuzz targets do with an input, one module each, and what they stand on.
//!
//! Each target is a function of bytes that panics where a promise is broken. cargo-fuzz drives it (`fuzz_targets/`);
//! without, the same programs replay files, and `tests/` runs every file of the corpora through it as an ordinary test.

pub mod container;
#[path = "../../edge-runtime/tests/support/definitions.rs"]
mod definitions;
pub mod execute;
pub mod generate;
mod generate_images;
mod images;
pub mod interpreter;
pub mod network;
pub mod outcome;
pub mod random;
pub mod targets;
#[path = "../../shared-format/tests/support/walk.rs"]
pub mod walk;

/// The body of a target's program where cargo-fuzz does not build it: checks the files named on the command line.
pub fn replay(check: fn(&[u8])) {
    let files: Vec<_> = std::env::args_os().skip(1).collect();
    if files.is_empty() {
        eprintln!("name the files to check; to fuzz, run `cargo +nightly fuzz run TARGET` in the repository's root");
        std::process::exit(2);
    }
    for file in files {
        match std::fs::read(&file) {
            Ok(bytes) => check(&bytes),
            Err(error) => {
                eprintln!("cannot read {}: {error}", file.display());
                std::process::exit(2);
            }
        }
        println!("{}: nothing found", file.display());
    }
}
