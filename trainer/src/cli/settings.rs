//! Settings of `train`: options and, where an option is not given, the environment variable of its name.
//!
//! The command line goes before the environment, the environment before the configuration or preset, and that before the
//! defaults. A variable is called `TRISHIFT_` and the option's name in capitals, with `_` for `-`; an empty one counts as
//! not set. The argument parser knows nothing of variables: with `--resume` it would refuse them as it refuses options,
//! while a variable that is set for all runs must not stop one that does not use it.

use anyhow::Context;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use trishift_trainer::backend::{Device, Resolved};
use trishift_trainer::config::{Config, ConfigError, ExchangeKind};
use trishift_trainer::data::LabelColumn;
use trishift_trainer::data::audio::{Condition, Pattern};
use trishift_trainer::rule::RuleName;

/// Settings that override the configuration's.
#[derive(Args, Clone)]
#[command(next_help_heading = "Settings (instead of the configuration's)")]
pub(super) struct Settings {
    /// Passes over the training samples.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    epochs: Option<u32>,
    /// Updates of the whole run, instead of --epochs.
    #[arg(long, value_name = "N", conflicts_with_all = ["resume", "epochs"])]
    steps: Option<u64>,
    /// Samples of one update.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    batch: Option<u32>,
    /// Equal parts of every batch that vote one by one: the model is then the same on any number of cards that divides them
    /// [default: 8 with --gpus or a launcher, else 1].
    #[arg(long, value_name = "S", conflicts_with = "resume")]
    shards: Option<u32>,
    /// What cards exchange in every step: votes (integers, exact) or gradient (bfloat16, for comparison) [default: votes].
    #[arg(long, value_name = "WHAT", conflicts_with = "resume")]
    exchange: Option<String>,
    /// Columns that share one exponent: 4, 6, 8, 16, 20, 32, 40, 64, 80, 96.
    #[arg(long, value_name = "G", conflicts_with = "resume")]
    group: Option<u32>,
    /// Outputs of all layers but the last are multiplied by it.
    #[arg(long, value_name = "FACTOR", conflicts_with = "resume")]
    width: Option<f64>,
    /// Update rule: flip-correlation, latent, integrating-correlation, correlation, flip, exponent, straight-through.
    #[arg(long, value_name = "RULE", conflicts_with = "resume")]
    rule: Option<String>,
    /// Seed of weights and sample order.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    seed: Option<u64>,
    /// Label column of a CSV: first, last or its name.
    #[arg(long, value_name = "COLUMN", conflicts_with = "resume")]
    label: Option<String>,
    /// Bytes of a sample of text [default: 16].
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    context: Option<u32>,
    /// What the names of recordings say [default: {label}_{speaker}_{index}].
    #[arg(long, value_name = "PATTERN", conflicts_with = "resume")]
    pattern: Option<String>,
    /// Recordings to test on, by what their names say: speaker=george or index=0-4.
    #[arg(long, value_name = "FIELD=VALUES", conflicts_with = "resume")]
    test_where: Option<String>,
    /// Share of the samples held out for testing [default: 0.2, of text 0.1].
    #[arg(long, value_name = "SHARE", conflicts_with = "resume")]
    test: Option<f64>,
    /// Share of the samples held out for choosing settings.
    #[arg(long, value_name = "SHARE", conflicts_with = "resume")]
    validation: Option<f64>,
    /// Epochs, or steps where --steps is given, before the strength of updates falls; it rises until then [default: 0].
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    warm_up: Option<u64>,
    /// Share of the target that cross-entropy spreads over all classes [default: 0].
    #[arg(long, value_name = "SHARE", conflicts_with = "resume")]
    label_smoothing: Option<f64>,
    /// Learn another network's answers beside the labels: the folder of its run, on the same data.
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    teacher: Option<PathBuf>,
    /// Peak learning rate of straight-through.
    #[arg(long, value_name = "RATE", conflicts_with = "resume")]
    learning_rate: Option<f64>,
    /// Strength S of correlation.
    #[arg(long, value_name = "S", conflicts_with = "resume")]
    correlation_strength: Option<f64>,
    /// Threshold τ of flip: votes it takes to move a trit.
    #[arg(long, value_name = "VOTES", conflicts_with = "resume")]
    flip_threshold: Option<u8>,
    /// Threshold τ of exponent: votes it takes to move an exponent.
    #[arg(long, value_name = "VOTES", conflicts_with = "resume")]
    exponent_threshold: Option<u8>,
}

impl Settings {
    /// Puts the settings, those of the environment included, into a configuration and checks it.
    ///
    /// # Errors
    /// A value that is not accepted; where a variable gave it, the variable's name comes first.
    pub(super) fn apply(&self, config: &mut Config) -> anyhow::Result<()> {
        let mut settings = self.clone();
        let taken = settings.take_variables()?;
        let blame = |setting: &str, error: anyhow::Error| match taken.contains(&setting) {
            true => error.context(cannot_be_used(setting)),
            false => error,
        };
        let rule = settings.rule.as_deref().map(str::parse::<RuleName>).transpose();
        let rule = rule.map_err(|error| blame("rule", error.into()))?;
        let exchange = settings.exchange.as_deref().map(str::parse::<ExchangeKind>).transpose();
        let exchange = exchange.map_err(|error| blame("exchange", error.into()))?;
        if let Some(label) = &settings.label {
            label.parse::<LabelColumn>().map_err(|error| blame("label", error.into()))?;
        }
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(pattern) = given(&settings.pattern) {
            pattern.parse::<Pattern>().map_err(|error| blame("pattern", error.into()))?;
        }
        if let Some(condition) = given(&settings.test_where) {
            condition.parse::<Condition>().map_err(|error| blame("test-where", error.into()))?;
        }
        settings.replace(config, rule, exchange);
        config.validate().map_err(|error| match &error {
            ConfigError::Value { setting, .. } => blame(setting, error.into()),
            _ => error.into(),
        })
    }

    /// Whether the option or its variable says how many shards there are.
    pub(super) fn names_shards(&self) -> bool {
        self.shards.is_some() || variable("shards").is_some()
    }

    /// Fills in what the command line leaves out; returns the names of the settings that variables gave.
    fn take_variables(&mut self) -> anyhow::Result<Vec<&'static str>> {
        let mut taken = Vec::new();
        // Either of the two as an option makes both variables idle.
        if self.epochs.is_none() && self.steps.is_none() {
            take("epochs", &mut self.epochs, &mut taken)?;
            take("steps", &mut self.steps, &mut taken)?;
        }
        take("batch", &mut self.batch, &mut taken)?;
        take("shards", &mut self.shards, &mut taken)?;
        take("exchange", &mut self.exchange, &mut taken)?;
        take("group", &mut self.group, &mut taken)?;
        take("width", &mut self.width, &mut taken)?;
        take("rule", &mut self.rule, &mut taken)?;
        take("seed", &mut self.seed, &mut taken)?;
        take("label", &mut self.label, &mut taken)?;
        take("context", &mut self.context, &mut taken)?;
        take("pattern", &mut self.pattern, &mut taken)?;
        take("test-where", &mut self.test_where, &mut taken)?;
        take("test", &mut self.test, &mut taken)?;
        take("validation", &mut self.validation, &mut taken)?;
        take("warm-up", &mut self.warm_up, &mut taken)?;
        take("label-smoothing", &mut self.label_smoothing, &mut taken)?;
        if self.teacher.is_none() {
            self.teacher = variable("teacher").map(PathBuf::from);
        }
        take("learning-rate", &mut self.learning_rate, &mut taken)?;
        take("correlation-strength", &mut self.correlation_strength, &mut taken)?;
        take("flip-threshold", &mut self.flip_threshold, &mut taken)?;
        take("exponent-threshold", &mut self.exponent_threshold, &mut taken)?;
        Ok(taken)
    }

    /// Replaces what is given.
    fn replace(&self, config: &mut Config, rule: Option<RuleName>, exchange: Option<ExchangeKind>) {
        let training = &mut config.training;
        if self.epochs.is_some() || self.steps.is_some() {
            (training.epochs, training.steps) = (self.epochs, self.steps);
        }
        training.batch = self.batch.unwrap_or(training.batch);
        training.shards = self.shards.unwrap_or(training.shards);
        training.exchange = exchange.unwrap_or(training.exchange);
        training.seed = self.seed.unwrap_or(training.seed);
        training.rule = rule.unwrap_or(training.rule);
        training.warm_up = self.warm_up.unwrap_or(training.warm_up);
        training.label_smoothing = self.label_smoothing.unwrap_or(training.label_smoothing);
        if self.teacher.is_some() {
            training.distillation.teacher.clone_from(&self.teacher);
        }
        training.learning_rate = self.learning_rate.unwrap_or(training.learning_rate);
        training.flip_threshold = self.flip_threshold.unwrap_or(training.flip_threshold);
        training.exponent_threshold = self.exponent_threshold.unwrap_or(training.exponent_threshold);
        training.correlation_strength = self.correlation_strength.unwrap_or(training.correlation_strength);
        config.network.group = self.group.unwrap_or(config.network.group);
        config.network.width = self.width.unwrap_or(config.network.width);
        config.data.context = self.context.or(config.data.context);
        config.data.test = self.test.or(config.data.test);
        config.data.validation = self.validation.unwrap_or(config.data.validation);
        if self.label.is_some() {
            config.data.label.clone_from(&self.label);
        }
        if self.pattern.is_some() || self.test_where.is_some() {
            let audio = config.data.audio.get_or_insert_default();
            audio.pattern = self.pattern.clone().or(audio.pattern.take());
            audio.test_where = self.test_where.clone().or(audio.test_where.take());
        }
    }
}

/// The data that an option or else `TRISHIFT_DATA` names.
pub(super) fn data(option: Option<&PathBuf>) -> Option<PathBuf> {
    option.cloned().or_else(|| variable("data").map(PathBuf::from))
}

/// The device that an option or else `TRISHIFT_DEVICE` names, opened.
///
/// # Errors
/// An unknown device, or one that is not there.
pub(super) fn device(option: Option<&str>) -> anyhow::Result<Resolved> {
    let usable = |name: &str| anyhow::Ok(name.parse::<Device>()?.resolve()?);
    match option {
        Some(name) => usable(name),
        None => match parsed::<String>("device")? {
            Some(name) => usable(&name).with_context(|| cannot_be_used("device")),
            None => usable("auto"),
        },
    }
}

/// The device that an option or else `TRISHIFT_DEVICE` names, with the name of whichever it was.
///
/// # Errors
/// A variable that is no text.
pub(super) fn device_name(option: Option<&str>) -> anyhow::Result<Option<(String, String)>> {
    Ok(match option {
        Some(device) => Some(("--device".to_owned(), device.to_owned())),
        None => parsed("device")?.map(|device| (variable_name("device"), device)),
    })
}

/// The cards that an option or else `TRISHIFT_GPUS` asks for, with the name of whichever it was.
///
/// # Errors
/// A variable that is no whole number.
pub(super) fn gpus(option: Option<u32>) -> anyhow::Result<Option<(String, u32)>> {
    Ok(match option {
        Some(gpus) => Some(("--gpus".to_owned(), gpus)),
        None => parsed("gpus")?.map(|gpus| (variable_name("gpus"), gpus)),
    })
}

/// The threads that an option or else `TRISHIFT_THREADS` asks for, with the name of whichever it was.
///
/// # Errors
/// A variable that is no whole number.
pub(super) fn threads(option: Option<usize>) -> anyhow::Result<Option<(String, usize)>> {
    Ok(match option {
        Some(threads) => Some(("--threads".to_owned(), threads)),
        None => parsed("threads")?.map(|threads| (variable_name("threads"), threads)),
    })
}

/// Takes a setting from its variable unless an option gives it, and notes that in `taken`.
fn take<T: Value>(setting: &'static str, option: &mut Option<T>, taken: &mut Vec<&'static str>) -> anyhow::Result<()> {
    if option.is_none() {
        *option = parsed(setting)?;
        if option.is_some() {
            taken.push(setting);
        }
    }
    Ok(())
}

/// What variables hold.
trait Value: FromStr {
    /// What is accepted, as the end of a sentence about a value that is not.
    const ACCEPTED: &'static str;
}

impl Value for u8 {
    const ACCEPTED: &'static str = "a whole number from 0 to 255 is needed";
}

impl Value for u32 {
    const ACCEPTED: &'static str = "a whole number from 0 to 4294967295 is needed";
}

impl Value for u64 {
    const ACCEPTED: &'static str = "a whole number from 0 to 18446744073709551615 is needed";
}

impl Value for usize {
    const ACCEPTED: &'static str = "a whole number is needed";
}

impl Value for f64 {
    const ACCEPTED: &'static str = "a number is needed";
}

impl Value for String {
    const ACCEPTED: &'static str = "text in UTF-8 is needed";
}

/// The value of a setting's variable; `None` where that is not set.
fn parsed<T: Value>(setting: &str) -> anyhow::Result<Option<T>> {
    let Some(text) = variable(setting) else { return Ok(None) };
    let value = text.to_str().and_then(|text| text.parse().ok());
    let refused = || anyhow::anyhow!("{} is {text:?}; {}", variable_name(setting), T::ACCEPTED);
    value.ok_or_else(refused).map(Some)
}

fn variable(setting: &str) -> Option<OsString> {
    std::env::var_os(variable_name(setting)).filter(|text| !text.is_empty())
}

fn variable_name(setting: &str) -> String {
    format!("TRISHIFT_{}", setting.replace('-', "_").to_ascii_uppercase())
}

fn cannot_be_used(setting: &str) -> String {
    format!("{} cannot be used", variable_name(setting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_called_after_options() {
        assert_eq!(variable_name("correlation-strength"), "TRISHIFT_CORRELATION_STRENGTH");
    }
}
