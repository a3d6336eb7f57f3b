//! Hands the linker the board's memory map, and the program what the host computes: the features of every recording, and the
//! rows that a model's input scaling makes of them.
//!
//! `TRISHIFT_BOARD` names a folder of `boards/`; `run-audio` sets it.

use board_build::variable;
use recordings::Sound;
use std::path::{Path, PathBuf};
use std::{env, fs};
use trishift::audio::{self, AudioConfig};
use trishift_format::write::{ModelWriter, Region};
use trishift_format::{ArgMax, DataType, InputScale, Model, Operator, Tensor, TensorClass};

#[path = "src/configurations.rs"]
mod configurations;
use configurations::{CONFIGURATIONS, RECORDINGS, SAMPLES};

fn main() {
    if let Err(sentence) = configure() {
        println!("cargo::error={sentence}");
    }
}

fn configure() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/configurations.rs");
    let board = variable("TRISHIFT_BOARD", "a folder of firmware-examples/boards; run-audio sets it");
    let board = board.map_err(|error| error.to_string())?;
    let memory = Path::new("../boards").join(board).join("memory.x");
    board_build::link(&memory, &["link.x"]).map_err(|error| error.to_string())?;
    let out = PathBuf::from(env::var("OUT_DIR").map_err(|_| "OUT_DIR is not set; cargo sets it")?);
    let write = |name: String, bytes: &[u8]| {
        fs::write(out.join(&name), bytes).map_err(|error| format!("cannot write {name}: {error}"))
    };
    for (number, config) in CONFIGURATIONS.into_iter().enumerate() {
        let file = model(&config)?;
        let model = Model::parse(&file).map_err(|error| format!("the model is refused: {error}"))?;
        let (mut features, mut rows) = (Vec::new(), Vec::new());
        for seed in 0..RECORDINGS {
            let samples: Vec<i16> = Sound::new(seed).take(SAMPLES).collect();
            let refused = |error| format!("configuration {number}: {error}");
            for frame in audio::features(&samples, config).map_err(refused)?.chunks(config.bands.into()) {
                let mut row = vec![0; frame.len()];
                audio::quantize(&model, 0, frame, &mut row).map_err(refused)?;
                features.extend(frame.iter().flat_map(|feature| feature.to_le_bytes()));
                rows.extend(row.iter().map(|value| *value as u8));
            }
        }
        write(format!("features-{number}.bin"), &features)?;
        write(format!("rows-{number}.bin"), &rows)?;
        write(format!("model-{number}.tsm"), &file)?;
    }
    Ok(())
}

/// A model of one frame: its properties say the configuration, its input scaling makes int8 of features.
fn model(config: &AudioConfig) -> Result<Vec<u8>, String> {
    let mut writer = ModelWriter::new("loudest band");
    let refused = |error| format!("a model of {config:?}: {error}");
    writer.push(&Operator::ArgMax(ArgMax { input: 0, output: 1 })).map_err(refused)?;
    writer.input_scales(&[InputScale { zero_mantissa: 1377, zero_exponent: -1, shift: -3 }]);
    for (key, number) in config.properties() {
        writer.property(key, &number.to_string()).map_err(refused)?;
    }
    let tensor = |data_type, class, length| Tensor {
        data_type,
        class,
        exponent: 0,
        shape: [1, 1, length],
        offset: 0,
        first: 0,
        last: 0,
    };
    let tensors =
        [tensor(DataType::I8, TensorClass::Input, config.bands.into()), tensor(DataType::I32, TensorClass::Output, 1)];
    writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).map_err(refused)
}
