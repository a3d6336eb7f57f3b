//! The samples of a run: read where the configuration says, split by its seed, quantised.

use crate::config::{AudioDataConfig, BUILT_IN_DIGITS, Config, ConfigError, DataConfig};
use crate::data::audio::AudioAugmentation;
use crate::data::{self, DEFAULT_CONTEXT, DataError, LabelColumn, Prepared, ReadOptions, Source, SplitOptions};
use crate::run::RunError;
use std::path::Path;
use trishift_format::InputScale;

/// Share of the samples held out for testing where the data has no test samples and nobody says otherwise.
const DEFAULT_TEST_SHARE: f64 = 0.2;

/// The same of a text, whose samples are many.
const DEFAULT_TEST_SHARE_OF_TEXT: f64 = 0.1;

/// Reads, splits and quantises; input scales are chosen from the training samples. Copies of recordings join these.
///
/// # Errors
/// [`RunError::Config`] without a data path or with a share out of range, [`RunError::Data`] otherwise.
pub fn load(config: &Config) -> Result<Prepared, RunError> {
    load_watched(config, &|_, _| {})
}

/// The same; while copies of recordings are made, `progress` is called with how many there are and how many there will be,
/// from any thread.
///
/// # Errors
/// As [`load`].
pub fn load_watched(config: &Config, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Prepared, RunError> {
    let (data, training) = (&config.data, &config.training);
    training.audio.validate()?;
    let source = read(data, training.audio.of_rate(data.audio().sample_rate, training.seed))?;
    let split = split_options(data, &source);
    Ok(data::prepare_watched(source, &split, data.scaling.into(), progress)?)
}

/// The same with a model's own input scales.
///
/// # Errors
/// As [`load`].
pub fn load_with(config: &DataConfig, scales: &[InputScale]) -> Result<Prepared, RunError> {
    let source = match read(config, None) {
        // What the training data held out says nothing about data that has test samples of its own.
        Err(RunError::Data(DataError::OwnTestRecordings { .. })) => {
            let audio = AudioDataConfig { test_where: None, ..config.audio() };
            read(&DataConfig { audio: Some(audio), ..config.clone() }, None)?
        }
        source => source?,
    };
    let mut split = split_options(config, &source);
    if source.test.is_some() {
        // Nor does the share.
        split.test = 0.0;
    }
    Ok(data::prepare_with(source, &split, scales)?)
}

fn read(config: &DataConfig, augmentation: Option<AudioAugmentation>) -> Result<Source, RunError> {
    config.validate()?;
    let path = config.path.as_deref().ok_or(ConfigError::NoData)?;
    if path == Path::new(BUILT_IN_DIGITS) {
        return Ok(data::digits::read()?);
    }
    let label = config.label.as_deref().map_or(Ok(LabelColumn::default()), str::parse);
    let label = label.map_err(|error: DataError| error)?;
    let audio = config.audio().options(augmentation)?;
    Ok(data::read(path, &ReadOptions { label, context: config.context.unwrap_or(DEFAULT_CONTEXT), audio })?)
}

fn split_options(config: &DataConfig, source: &Source) -> SplitOptions {
    let default = match (source.test.is_some(), source.sequence) {
        (true, _) => 0.0,
        (false, true) => DEFAULT_TEST_SHARE_OF_TEXT,
        (false, false) => DEFAULT_TEST_SHARE,
    };
    SplitOptions { test: config.test.unwrap_or(default), validation: config.validation, seed: config.split_seed }
}
