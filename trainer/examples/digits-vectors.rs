//! Writes what the firmware `digits` is judged by: the built-in test samples, and the logits that the runtime gives for
//! them on this machine.
//!
//! `digits-vectors MODEL FOLDER` reads a model of the preset digits-mlp and writes into the folder
//!
//! - `model.tsm`: the model,
//! - `samples.bin`: int8, [samples, inputs],
//! - `logits.bin`: int32, little-endian, [samples, outputs],
//! - `examples.bin`: the first sample that the model takes for each digit, as `samples.bin` has it.
//!
//! The samples are those that were held out in training, quantised as the model says.

use anyhow::{Context, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use trishift::{Engine, HeapArena, Model, argmax};
use trishift_trainer::config::Config;
use trishift_trainer::run;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [file, folder] = arguments.as_slice() else {
        anyhow::bail!("usage: digits-vectors MODEL FOLDER");
    };
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let model = Model::parse(&bytes).with_context(|| format!("{} cannot be used", file.display()))?;

    let scales: Vec<_> = model.input_scales().collect();
    let data = run::load_with(&Config::preset("digits-mlp")?.data, &scales)?.test;
    ensure!(
        model.input().len() == data.features(),
        "the model takes {} values, a digit has {}",
        model.input().len(),
        data.features()
    );

    let mut arena = HeapArena::new(&model, 1)?;
    let mut engine = Engine::new(&model, arena.bytes(), 1)?;
    let mut logits = vec![0i32; model.output().len()];
    let mut expected = Vec::with_capacity(data.len() * logits.len() * size_of::<i32>());
    let mut examples = vec![None; logits.len()];
    for sample in data.samples.chunks_exact(data.features()) {
        engine.run(sample, &mut logits)?;
        if let Some(example) = examples.get_mut(argmax(&logits)) {
            example.get_or_insert(sample);
        }
        expected.extend(logits.iter().flat_map(|logit| logit.to_le_bytes()));
    }

    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let samples: Vec<u8> = data.samples.iter().map(|value| value.cast_unsigned()).collect();
    write(folder, "model.tsm", &bytes)?;
    write(folder, "samples.bin", &samples)?;
    write(folder, "logits.bin", &expected)?;
    let examples: Vec<u8> = examples.into_iter().flatten().flatten().map(|value| value.cast_unsigned()).collect();
    write(folder, "examples.bin", &examples)?;
    eprintln!("{} samples of {} values, {} logits each", data.len(), data.features(), logits.len());
    Ok(())
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
