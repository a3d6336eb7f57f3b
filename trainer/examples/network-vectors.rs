//! Writes what the firmware `networks` is judged by: samples for a model, and the outputs that the runtime gives for them on
//! this machine.
//!
//! `network-vectors MODEL FOLDER [DATA COUNT]` writes into the folder
//!
//! - `model.tsm`: the model,
//! - `samples.bin`: int8, [samples, inputs]: random ones, one of −128 throughout, one of 127; or the first COUNT of the samples
//!   of DATA that the model was tested on,
//! - `outputs.bin`: int32, little-endian, [samples, outputs]; int8 outputs are widened. Samples run one after another, so that
//!   a model that streams finds what it kept of those before.

use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use trishift::{Engine, HeapArena, Model};
use trishift_format::{DataType, InputScale};
use trishift_trainer::config::DataConfig;
use trishift_trainer::{evaluate, run};

/// Random samples.
const RANDOM: usize = 2;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (path, folder, data) = match arguments.as_slice() {
        [path, folder] => (path, folder, None),
        [path, folder, data, count] => (path, folder, Some((data, count.to_string_lossy().parse::<usize>()?))),
        _ => bail!("usage: network-vectors MODEL FOLDER [DATA COUNT]"),
    };
    let file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let model = Model::parse(&file).with_context(|| format!("{} cannot be used", path.display()))?;
    let samples = match data {
        Some((data, count)) => tested(&model, data, count)?,
        None => random(model.input().len()),
    };
    let inputs = model.input().len();
    let mut arena = HeapArena::new(&model, 1)?;
    let mut engine = Engine::new(&model, arena.bytes(), 1)?;
    let mut outputs = Vec::new();
    for sample in samples.chunks(inputs) {
        let mut wide = vec![0i32; model.output().len()];
        if model.output().data_type == DataType::I32 {
            engine.run(sample, &mut wide)?;
        } else {
            let mut narrow = vec![0i8; wide.len()];
            engine.run(sample, &mut narrow)?;
            wide = narrow.into_iter().map(i32::from).collect();
        }
        outputs.extend(wide);
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    write("model.tsm", &file)?;
    write("samples.bin", &samples.iter().map(|value| value.cast_unsigned()).collect::<Vec<u8>>())?;
    write("outputs.bin", &outputs.iter().flat_map(|output| output.to_le_bytes()).collect::<Vec<u8>>())
}

/// Random samples, and two of one extreme throughout.
fn random(inputs: usize) -> Vec<i8> {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8 as i8
    };
    let mut samples: Vec<i8> = (0..RANDOM * inputs).map(|_| random()).collect();
    samples.extend([i8::MIN, i8::MAX].into_iter().flat_map(|value| std::iter::repeat_n(value, inputs)));
    samples
}

/// The first samples that the model was tested on, as it takes them.
fn tested(model: &Model<'_>, data: &Path, count: usize) -> anyhow::Result<Vec<i8>> {
    let config = DataConfig { path: Some(data.into()), ..DataConfig::of_model(model)? };
    let scales: Vec<InputScale> = model.input_scales().collect();
    let test = run::load_with(&config, &scales)?.test;
    anyhow::ensure!(test.len() >= count, "{} has {} test samples, not {count}", data.display(), test.len());
    evaluate::check(model, &test, model.output().len())?;
    Ok(test.dense(0..count).into_owned())
}
