//! Files that only `Model::checked_before` lets pass: their checksums are right and their contents anything. They may give
//! wrong numbers or an error, and nothing worse.
#![cfg(all(feature = "std", feature = "all-operators"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../shared-format/tests/support/seal.rs"]
mod seal;

use trishift::format::DataType;
use trishift::kernels::{Kernels, available};
use trishift::{Engine, HeapArena, Model, RunError};

const GOLDEN: &[u8] = include_bytes!("../../shared-format/tests/golden/model-0.2.tsm");

/// Longest input or output that is run: damaged shapes may ask for anything.
const LONGEST: usize = 1 << 16;

/// The outcome of a run, `None` where it was not tried: the engine refused the model, or it is too large.
fn run(file: &[u8], kernels: &'static Kernels) -> Option<Result<(), RunError>> {
    let model = Model::checked_before(file).ok()?;
    let (inputs, outputs) = (model.input().len(), model.output().len());
    if inputs > LONGEST || outputs > LONGEST || Engine::arena_len(&model, 1)? > 1 << 20 {
        return None;
    }
    let mut arena = HeapArena::new(&model, 1).unwrap();
    let mut engine = Engine::with_kernels(&model, arena.bytes(), 1, kernels).ok()?;
    let input = vec![-128i8; inputs];
    Some(match model.output().data_type {
        DataType::I8 => engine.run(&input, &mut vec![0i8; outputs]),
        DataType::I32 => engine.run(&input, &mut vec![0i32; outputs]),
    })
}

#[test]
fn damage_behind_right_checksums_is_harmless() {
    let (mut ran, mut refused) = (0, 0);
    for kernels in available() {
        assert_eq!(run(GOLDEN, kernels), Some(Ok(())), "{}", kernels.name);
        for offset in 64..GOLDEN.len() {
            for value in [0, 1, 7, 127, 128, 243, 255] {
                let mut file = GOLDEN.to_vec();
                file[offset] = value;
                seal::seal_with_length(&mut file);
                match run(&file, kernels) {
                    Some(_) => ran += 1,
                    None => refused += 1,
                }
            }
        }
    }
    assert!(ran > 1000 && refused > 100, "{ran} ran, {refused} were refused");
}
