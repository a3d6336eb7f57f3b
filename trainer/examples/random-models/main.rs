//! Writes random models over all group sizes, inputs for them, and the outputs that the runtime gives on this machine:
//! what firmware is held against beside a trained model.
//!
//! `random-models FOLDER` writes into the folder
//!
//! - `random.bin`: a record for each model, all integers little-endian, every part padded to four bytes: the bytes of the
//!   model and the number of samples as u32; the model; the samples, int8, [samples, inputs]; the outputs, int32,
//!   [samples, outputs],
//! - `images.bin`: the same of convolutional models,
//! - `large.tsm`: a model that is too large for a board with 256 KiB of flash.
//!
//! Columns, channels and groups are ragged, exponents span narrow and wide windows, some rows are all +1, some samples one
//! extreme throughout.

mod graph;
mod images;
mod random;
mod vectors;

use anyhow::Context;
use graph::tensor;
use random::Random;
use std::fs;
use std::path::{Path, PathBuf};
use trishift::{Engine, HeapArena, Model};
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{DataType, GroupSize, InputScale, Linear, Operator, TensorClass};

/// Samples of each model.
const SAMPLES: usize = 6;

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("usage: random-models FOLDER")?);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    write(&folder.join("random.bin"), &records(vectors::model)?)?;
    write(&folder.join("images.bin"), &records(images::model)?)?;
    write(&folder.join("large.tsm"), &large()?)?;
    Ok(())
}

/// The records of a model for each group size.
fn records(model: fn(usize, GroupSize, &mut Random) -> anyhow::Result<Vec<u8>>) -> anyhow::Result<Vec<u8>> {
    let mut records = Vec::new();
    for (number, group) in GroupSize::ALL.into_iter().enumerate() {
        let mut random = Random(number as u64);
        let file = model(number, group, &mut random)?;
        let model = Model::parse(&file)?;
        let samples: Vec<i8> = (0..SAMPLES).flat_map(|_| random.bytes(model.input().len())).collect();
        let mut outputs = vec![0i32; SAMPLES * model.output().len()];
        let mut arena = HeapArena::new(&model, SAMPLES)?;
        Engine::new(&model, arena.bytes(), SAMPLES)?.run(&samples, &mut outputs)?;

        records.extend((file.len() as u32).to_le_bytes());
        records.extend((SAMPLES as u32).to_le_bytes());
        append(&mut records, file);
        append(&mut records, samples.iter().map(|value| value.cast_unsigned()));
        append(&mut records, outputs.iter().flat_map(|value| value.to_le_bytes()));
    }
    eprintln!("{} random models, {} bytes", GroupSize::ALL.len(), records.len());
    Ok(records)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn append(records: &mut Vec<u8>, part: impl IntoIterator<Item = u8>) {
    records.extend(part);
    records.resize(records.len().next_multiple_of(4), 0);
}

/// One linear layer whose trits alone fill 256 KiB.
fn large() -> anyhow::Result<Vec<u8>> {
    let (rows, columns, group) = (1024, 1280, GroupSize::new(40)?);
    let (trits, exponents) = (vec![1; rows * columns], vec![0; rows * group.count(columns)]);
    let mut writer = ModelWriter::new("large");
    let weights = writer.add_matrix(&MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents })?;
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None }))?;
    writer.input_scales(&[InputScale::IDENTITY]);
    let mut input = tensor(DataType::I8, 0, columns);
    let mut output = tensor(DataType::I32, 0, rows);
    (input.class, output.class) = (TensorClass::Input, TensorClass::Output);
    Ok(writer.finish(&Region { tensors: &[input, output], input: 0, output: 1, arena_bytes: 0 })?)
}
