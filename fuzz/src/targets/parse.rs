//! Any bytes at all: the parser never panics, and what it accepts runs.

use crate::{execute, outcome};
use trishift::{Engine, arena_len_of_file};
use trishift_format::Model;

/// Parses the bytes as they are, and runs what is accepted.
pub fn check(file: &[u8]) {
    // What firmware asks of a header in a constant must not depend on the rest.
    let arena_len = arena_len_of_file(file, 1);
    if let Ok(model) = Model::parse(file) {
        assert_eq!(arena_len, Engine::arena_len(&model, 1));
        execute::run(&model);
    }
}

/// What becomes of the bytes.
pub fn outcome(file: &[u8]) -> String {
    outcome::of(Model::parse(file))
}
