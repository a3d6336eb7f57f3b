//! Any bytes at all go through both parsers, first as they are, then with a length and checksums that match.
//!
//! No parser may panic, and what one accepts is walked through every accessor and held against what it promises. The
//! checksums are repaired here rather than switched off there: the parser under test is the one that ships.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trishift_format::{Checkpoint, Model};

#[path = "../../shared-format/tests/support/seal.rs"]
mod seal;
#[path = "../../shared-format/tests/support/walk.rs"]
mod walk;

fn parse(file: &[u8]) {
    if let Ok(model) = Model::parse(file) {
        walk::model(&model);
    }
    if let Ok(checkpoint) = Checkpoint::parse(file) {
        walk::checkpoint(&checkpoint);
    }
}

fuzz_target!(|data: &[u8]| {
    parse(data);
    // Insertions and deletions change the length too, which no mutation of eight bytes is likely to follow.
    let mut file = data.to_vec();
    seal::seal_with_length(&mut file);
    parse(&file);
});
