//! Files that only `Model::checked_before` lets pass: their checksums are right and their contents anything. They may give
//! wrong numbers or an error, and nothing worse.
#![cfg(all(feature = "std", feature = "all-operators"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "../../shared-format/tests/support/seal.rs"]
mod seal;
#[allow(dead_code, reason = "other tests use the rest of it")]
mod support;

use support::generate::images;
use trishift::format::DataType;
use trishift::kernels::{Kernels, available};
use trishift::{Engine, HeapArena, Model, RunError, arena_len_of_file};

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

/// Calls `f` for the golden file and for one with the operators of images, and for each with every byte changed and the
/// checksums set right.
fn for_each_damage(mut f: impl FnMut(&[u8])) {
    for original in [GOLDEN.to_vec(), images(true).file()] {
        for offset in 64..original.len() {
            for value in [0, 1, 7, 127, 128, 243, 255] {
                let mut file = original.clone();
                file[offset] = value;
                seal::seal_with_length(&mut file);
                f(&file);
            }
        }
    }
}

#[test]
fn damage_behind_right_checksums_is_harmless() {
    for kernels in available() {
        assert_eq!(run(GOLDEN, kernels), Some(Ok(())), "{}", kernels.name);
        assert_eq!(run(&images(true).file(), kernels), Some(Ok(())), "{}", kernels.name);
        let (mut ran, mut refused) = (0, 0);
        for_each_damage(|file| match run(file, kernels) {
            Some(_) => ran += 1,
            None => refused += 1,
        });
        assert!(ran > 1000 && refused > 100, "{ran} ran, {refused} were refused");
    }
}

#[test]
fn the_constant_is_the_arena_of_every_valid_file() {
    let mut valid = 0;
    for_each_damage(|file| {
        // Whatever it is, there is an answer or none.
        for batch in [1, 1000, usize::MAX] {
            let found = arena_len_of_file(file, batch);
            if let Ok(model) = Model::parse(file) {
                assert_eq!(found, Engine::arena_len(&model, batch));
                valid += 1;
            }
        }
    });
    assert!(valid > 1000, "{valid}");
    let file = images(true).file();
    for length in 0..file.len() {
        arena_len_of_file(&file[..length], 1);
    }
}
