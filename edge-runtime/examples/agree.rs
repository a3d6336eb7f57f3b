//! Runs samples through every table of kernels that this machine has, or those named, and counts the integers that differ:
//! `cargo run --release -p trishift --example agree -- FOLDER [TABLE…]`
//!
//! The folder has `model.tsm`, `samples.bin` (int8) and `outputs.bin` (int32, little-endian, what another machine gave):
//! `cargo run --release -p trishift-trainer --example network-vectors -- MODEL FOLDER DATA COUNT` writes it.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use trishift::format::DataType;
use trishift::{Engine, HeapArena, Model, kernels};

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("agree: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many integers differ.
fn run() -> Result<usize, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or("which vectors? agree FOLDER [TABLE…]")?);
    let named = arguments.map(|name| kernels::select(&name)).collect::<Result<Vec<_>, _>>()?;
    let tables = if named.is_empty() { kernels::available().collect() } else { named };
    let read = |name: &str| std::fs::read(folder.join(name)).map_err(|error| format!("{name}: {error}"));
    let file = read("model.tsm")?;
    let model = Model::parse(&file)?;
    let samples: Vec<i8> = read("samples.bin")?.into_iter().map(u8::cast_signed).collect();
    let expected = read("outputs.bin")?;
    let (expected, _) = expected.as_chunks::<4>();
    let (inputs, outputs) = (model.input().len(), model.output().len());
    let count = samples.len() / inputs;
    if count == 0 || expected.len() != count * outputs {
        return Err(format!("{} outputs are not those of {count} samples", expected.len()).into());
    }
    let mut differing = 0;
    for table in tables {
        let mut arena = HeapArena::new(&model, 1)?;
        let mut engine = Engine::with_kernels(&model, arena.bytes(), 1, table)?;
        let mut of_table = 0;
        for (sample, expected) in samples.chunks_exact(inputs).zip(expected.chunks_exact(outputs)) {
            let mut found = vec![0i32; outputs];
            if model.output().data_type == DataType::I32 {
                engine.run(sample, &mut found)?;
            } else {
                let mut narrow = vec![0i8; outputs];
                engine.run(sample, &mut narrow)?;
                found = narrow.into_iter().map(i32::from).collect();
            }
            of_table +=
                found.iter().zip(expected).filter(|(found, expected)| found.to_le_bytes() != **expected).count();
        }
        println!("{}: {of_table} of {} integers differ, {count} samples", table.name, count * outputs);
        differing += of_table;
    }
    Ok(differing)
}
