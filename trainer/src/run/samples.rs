//! The samples of a run: read where the configuration says, split by its seed, quantised.

use crate::config::{BUILT_IN_DIGITS, ConfigError, DataConfig};
use crate::data::{self, DEFAULT_CONTEXT, DataError, LabelColumn, Prepared, ReadOptions, Source, SplitOptions};
use crate::run::RunError;
use std::path::Path;
use trishift_format::InputScale;

/// Share of the samples held out for testing where the data has no test samples and nobody says otherwise.
const DEFAULT_TEST_SHARE: f64 = 0.2;

/// The same of a text, whose samples are many.
const DEFAULT_TEST_SHARE_OF_TEXT: f64 = 0.1;

/// Reads, splits and quantises; input scales are chosen from the training samples.
///
/// # Errors
/// [`RunError::Config`] without a data path or with a share out of range, [`RunError::Data`] otherwise.
pub fn load(config: &DataConfig) -> Result<Prepared, RunError> {
    let source = read(config)?;
    let split = split_options(config, &source);
    Ok(data::prepare(source, &split, config.scaling.into())?)
}

/// The same with a model's own input scales.
///
/// # Errors
/// As [`load`].
pub fn load_with(config: &DataConfig, scales: &[InputScale]) -> Result<Prepared, RunError> {
    let source = read(config)?;
    let mut split = split_options(config, &source);
    if source.test.is_some() {
        // What the training data held out says nothing about data that has test samples of its own.
        split.test = 0.0;
    }
    Ok(data::prepare_with(source, &split, scales)?)
}

fn read(config: &DataConfig) -> Result<Source, RunError> {
    config.validate()?;
    let path = config.path.as_deref().ok_or(ConfigError::NoData)?;
    if path == Path::new(BUILT_IN_DIGITS) {
        return Ok(data::digits::read()?);
    }
    let label = config.label.as_deref().map_or(Ok(LabelColumn::default()), str::parse);
    let label = label.map_err(|error: DataError| error)?;
    Ok(data::read(path, &ReadOptions { label, context: config.context.unwrap_or(DEFAULT_CONTEXT) })?)
}

fn split_options(config: &DataConfig, source: &Source) -> SplitOptions {
    let default = match (source.test.is_some(), source.sequence) {
        (true, _) => 0.0,
        (false, true) => DEFAULT_TEST_SHARE_OF_TEXT,
        (false, false) => DEFAULT_TEST_SHARE,
    };
    SplitOptions { test: config.test.unwrap_or(default), validation: config.validation, seed: config.split_seed }
}
