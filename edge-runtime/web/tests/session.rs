//! What a session says of a model, and what it makes of an input, against the engine itself.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod sentences;

use sentences::said;
use serde_json::Value;
use std::path::PathBuf;
use trishift::format::DataType;
use trishift::{Engine, HeapArena, Model, OutputSlice};
use trishift_web::Session;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Models of every version of the format, of MLPs and convolutions, and one that streams.
fn files() -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for folder in ["shared-format/tests/golden", "firmware-examples/models", "edge-runtime/web/page"] {
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "tsm") {
                files.push(std::fs::read(path).unwrap());
            }
        }
    }
    assert!(files.len() >= 8, "{}", files.len());
    files
}

/// The output of a run, as bytes.
fn expected(engine: &mut Engine<'_, '_>, input: &[i8]) -> Vec<u8> {
    let output = engine.model().output();
    match output.data_type {
        DataType::I8 => {
            let mut values = vec![0i8; output.len()];
            engine.run(input, OutputSlice::I8(&mut values)).unwrap();
            values.iter().map(|value| *value as u8).collect()
        }
        DataType::I32 => {
            let mut values = vec![0i32; output.len()];
            engine.run(input, OutputSlice::I32(&mut values)).unwrap();
            values.iter().flat_map(|value| value.to_ne_bytes()).collect()
        }
    }
}

#[test]
fn a_run_leaves_what_the_engine_gives_where_the_description_says() {
    for file in files() {
        let model = Model::parse(&file).unwrap();
        let mut session = Session::open(file.clone()).unwrap();
        let description: Value = serde_json::from_slice(session.description()).unwrap();
        assert_eq!(description["name"], model.name());
        assert_eq!(description["macs"], model.macs());
        assert_eq!(description["tensors"].as_array().unwrap().len(), model.tensors().count());
        let operators = description["operators"].as_array().unwrap();
        assert_eq!(operators.len(), model.operators().count());
        let of_output = |operator: &&Value| {
            let tensor = operator["output"].as_u64().unwrap() as usize;
            description["tensors"][tensor]["class"] == "output"
        };
        let start = operators.iter().find(of_output).unwrap()["start"].as_u64().unwrap() as usize;
        let mut arena = HeapArena::new(&model, 1).unwrap();
        let mut engine = Engine::new(&model, arena.bytes(), 1).unwrap();
        // Twice and once more after a reset: models that stream remember.
        let raw: Vec<i32> = (0..model.input().len() as i32).map(|index| index * index % 251).collect();
        let input: Vec<i8> =
            raw.iter().enumerate().map(|(i, raw)| model.input_scale(i).unwrap().quantize_i32(*raw)).collect();
        for run in 0..3 {
            if run == 2 {
                engine.reset();
                session.reset();
            }
            session.raw().copy_from_slice(&raw);
            session.quantize();
            assert_eq!(session.input(), input, "{}", model.name());
            session.run().unwrap();
            let expected = expected(&mut engine, &input);
            assert_eq!(session.trace()[start..start + expected.len()], expected, "{}, run {run}", model.name());
        }
    }
}

#[test]
fn refusals_are_the_parsers_sentences() {
    for file in files() {
        for index in 0..16 {
            let mut damaged = file.clone();
            damaged[index * file.len() / 16] ^= 0x41;
            let reason = Model::parse(&damaged).unwrap_err().to_string();
            let refusal = Session::open(damaged).err().unwrap();
            assert_eq!((refusal.to_string(), said(&refusal)), (reason.clone(), reason));
        }
        let cut = &file[..file.len() / 2];
        let (refusal, reason) =
            (Session::open(cut.to_vec()).err().unwrap(), Model::parse(cut).unwrap_err().to_string());
        assert_eq!((refusal.to_string(), said(&refusal)), (reason.clone(), reason));
    }
}
