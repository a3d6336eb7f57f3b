//! `trishift train`.

use super::Ending;
use super::output::{self, percent, say, tell, thousands};
use super::progress::Progress;
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use trishift_trainer::backend::Device;
use trishift_trainer::checkpoint::{self, StateReader};
use trishift_trainer::config::Config;
use trishift_trainer::run::{self, Outcome, Run, RunFolder};

/// Options of `train`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  trishift train --preset digits-mlp --out runs/digits
  trishift train --preset mnist-mlp --data mnist/ --epochs 10 --out runs/mnist
  trishift train --config network.toml --data table.csv --label species --out runs/table
  trishift train --resume runs/mnist

The data is a folder with MNIST's four IDX files (raw or .gz), a .csv file, or a folder with train.csv and test.csv;
or text: a .txt file, or a folder with train.txt and test.txt.
Ctrl-C leaves a checkpoint; --resume goes on from it and ends in the same bytes.")]
pub(super) struct Arguments {
    /// A configuration inside trishift: digits-mlp, mnist-mlp.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    preset: Option<String>,
    /// A configuration of your own (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Continue an interrupted run: a folder made by --out.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["preset", "config", "out", "overwrite"])]
    resume: Option<PathBuf>,
    /// Folder of the run: configuration, metrics, checkpoint, model [default: runs/NAME].
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Replace the run in the --out folder.
    #[arg(long)]
    overwrite: bool,
    /// Folder or file with the samples.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// auto, cpu or cuda.
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    device: String,
    /// Print the result as one JSON object, the last line on standard output.
    #[arg(long)]
    json: bool,
    /// No progress.
    #[arg(long)]
    quiet: bool,
    // Last: its heading would go on over what follows.
    #[command(flatten)]
    settings: Settings,
}

/// Settings that override the configuration's.
#[derive(Args)]
#[command(next_help_heading = "Settings (instead of the configuration's)")]
struct Settings {
    /// Passes over the training samples.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    epochs: Option<u32>,
    /// Samples of one update.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    batch: Option<u32>,
    /// Columns that share one exponent: 4, 6, 8, 16, 20, 32, 40, 64, 80, 96.
    #[arg(long, value_name = "G", conflicts_with = "resume")]
    group: Option<u32>,
    /// Update rule: flip-correlation, latent, integrating-correlation, correlation, flip, exponent, straight-through.
    #[arg(long, value_name = "RULE", conflicts_with = "resume")]
    rule: Option<String>,
    /// Seed of weights and sample order.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    seed: Option<u64>,
    /// Label column of a CSV: first, last or its name.
    #[arg(long, value_name = "COLUMN", conflicts_with = "resume")]
    label: Option<String>,
    /// Bytes of a sample of text.
    #[arg(long, value_name = "N", conflicts_with = "resume")]
    context: Option<u32>,
    /// Share of the samples held out for testing.
    #[arg(long, value_name = "SHARE", conflicts_with = "resume")]
    test: Option<f64>,
    /// Share of the samples held out for choosing settings.
    #[arg(long, value_name = "SHARE", conflicts_with = "resume")]
    validation: Option<f64>,
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
    fn apply(&self, config: &mut Config) -> anyhow::Result<()> {
        let training = &mut config.training;
        if self.epochs.is_some() {
            (training.epochs, training.steps) = (self.epochs, None);
        }
        training.batch = self.batch.unwrap_or(training.batch);
        training.seed = self.seed.unwrap_or(training.seed);
        training.learning_rate = self.learning_rate.unwrap_or(training.learning_rate);
        training.flip_threshold = self.flip_threshold.unwrap_or(training.flip_threshold);
        training.exponent_threshold = self.exponent_threshold.unwrap_or(training.exponent_threshold);
        training.correlation_strength = self.correlation_strength.unwrap_or(training.correlation_strength);
        if let Some(rule) = &self.rule {
            training.rule = rule.parse()?;
        }
        config.network.group = self.group.unwrap_or(config.network.group);
        config.data.context = self.context.or(config.data.context);
        config.data.test = self.test.or(config.data.test);
        config.data.validation = self.validation.unwrap_or(config.data.validation);
        if self.label.is_some() {
            config.data.label.clone_from(&self.label);
        }
        Ok(())
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let device: Device = arguments.device.parse()?;
    device.resolve()?;
    match &arguments.resume {
        Some(folder) => resume(arguments, folder),
        None => start(arguments),
    }
}

fn start(arguments: &Arguments) -> anyhow::Result<Ending> {
    let mut config = match (&arguments.preset, &arguments.config) {
        (Some(name), _) => Config::preset(name)?,
        (None, Some(path)) => Config::read(path)?,
        (None, None) => anyhow::bail!("nothing to train; give --preset NAME, --config FILE or --resume RUN"),
    };
    arguments.settings.apply(&mut config)?;
    if arguments.data.is_some() {
        config.data.path.clone_from(&arguments.data);
    }
    config.validate()?;
    let path = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.name));
    // The folder is made only once the data has been read; but a run that cannot begin for its folder says so at once.
    anyhow::ensure!(arguments.overwrite || !is_occupied(&path), run::FolderError::Exists { path: path.clone() });
    let data = run::load(&config.data)?;
    trishift_trainer::network::Network::resolve(&config, data.train.features(), data.classes.len())?;
    let folder = RunFolder::create(&path, arguments.overwrite)?;
    folder.write_config(&config.to_toml()?)?;
    let run = Run::new(&config, &data, &folder)?;
    finish(run, &folder, arguments)
}

fn is_occupied(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    }
}

fn resume(arguments: &Arguments, folder: &Path) -> anyhow::Result<Ending> {
    let folder = RunFolder::open(folder)?;
    let bytes = checkpoint::read(&folder.checkpoint())?;
    let reader = StateReader::new(&bytes, &folder.checkpoint())?;
    let mut config = reader.config()?;
    if arguments.data.is_some() {
        config.data.path.clone_from(&arguments.data);
    }
    let data = run::load(&config.data)?;
    let mut run = Run::new(&config, &data, &folder)?;
    run.restore(&reader)?;
    finish(run, &folder, arguments)
}

fn finish(mut run: Run<'_>, folder: &RunFolder, arguments: &Arguments) -> anyhow::Result<Ending> {
    let Some(outcome) = train_to_end(&mut run, folder, arguments.quiet)? else { return Ok(Ending::Interrupted) };
    if arguments.json {
        output::json(&to_json(&outcome))?;
    } else {
        print(&outcome)?;
    }
    Ok(Ending::Done)
}

/// Trains with a progress bar; `None` where Ctrl-C came first.
pub(super) fn train_to_end(run: &mut Run<'_>, folder: &RunFolder, quiet: bool) -> anyhow::Result<Option<Outcome>> {
    let mut progress = Progress::new(quiet)?;
    let ending = run.train(&mut progress);
    progress.finish();
    match ending? {
        run::Ending::Finished => Ok(Some(run.finish().context("the run is trained, but its model could not be made")?)),
        run::Ending::Interrupted => {
            tell!("interrupted; go on with: trishift train --resume {}", folder.path().display());
            Ok(None)
        }
    }
}

fn to_json(outcome: &Outcome) -> serde_json::Value {
    json!({
        "accuracy": outcome.accuracy(),
        "train_accuracy": outcome.train_accuracy,
        "model": outcome.model,
        "seconds": outcome.seconds,
        "samples_per_second": outcome.samples_per_second,
        "samples": outcome.score.samples,
        "loss": outcome.score.mean_loss(),
        "bits": outcome.score.bits(),
        "mismatches": outcome.mismatches,
        "model_bytes": outcome.model_bytes,
        "bits_per_weight": outcome.bits_per_weight,
        "arena_bytes": outcome.arena_bytes,
        "correct_before_export": outcome.correct_before_export,
        "correct_after_export": outcome.score.correct,
        "differing_classes": outcome.differing_classes,
        "differing_logits": outcome.differing_logits,
        "narrowed_rows": outcome.narrowing.rows,
        "zeroed_trits": outcome.narrowing.zeroed,
        "state_bytes_per_weight": outcome.state_bytes_per_weight,
        "device": "cpu",
    })
}

/// The result for people.
pub(super) fn print(outcome: &Outcome) -> anyhow::Result<()> {
    let samples = thousands(outcome.score.samples as u64);
    match outcome.accuracy() {
        Some(accuracy) => {
            say!("accuracy          {}  ({} of {samples} test samples)", percent(accuracy), outcome.score.correct);
        }
        None => say!("accuracy          not measured: the data has no test samples; hold some out with --test 0.2"),
    }
    if outcome.score.samples > 0 {
        let score = outcome.score;
        say!("loss              {:.4} nats, {:.4} bits a sample", score.mean_loss(), score.bits());
    }
    say!("on training data  {}", percent(outcome.train_accuracy));
    if outcome.score.samples > 0 {
        say!(
            "export            {} correct before, {} after; {} of {samples} classes changed",
            outcome.correct_before_export,
            outcome.score.correct,
            outcome.differing_classes,
        );
        if outcome.narrowing.rows > 0 {
            say!(
                "                  {} rows narrowed to fit int32, {} trits set to 0",
                outcome.narrowing.rows,
                outcome.narrowing.zeroed
            );
        }
        say!("mismatches        {}  (integers, runtime against trainer)", outcome.mismatches);
    }
    say!(
        "model             {}  ({} bytes, {:.2} bits a weight)",
        outcome.model.display(),
        thousands(outcome.model_bytes as u64),
        outcome.bits_per_weight
    );
    say!("arena             {} bytes", thousands(outcome.arena_bytes));
    say!("training          {:.1} s, {} samples/s", outcome.seconds, thousands(outcome.samples_per_second as u64));
    Ok(())
}
