//! `trishift train`.

use super::Ending;
use super::output::{self, percent, say, tell, thousands};
use super::progress::{Copies, Progress};
use super::report;
use super::settings::{self, Settings};
use super::together::{self, Part};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use trishift_trainer::backend::Resolved;
use trishift_trainer::checkpoint::{self, StateReader};
use trishift_trainer::config::{Config, ExchangeKind};
use trishift_trainer::data::Prepared;
use trishift_trainer::network::Network;
use trishift_trainer::parallel::{Group, Share, Worker};
use trishift_trainer::run::{self, Epoch, Observer, Outcome, Run, RunFolder, Status};

/// Shards of a batch on cards that are counted, unless somebody says how many.
const SHARDS: u32 = 8;

/// Options of `train`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  trishift train --preset digits-mlp --out runs/digits
  trishift train --preset mnist-mlp --data mnist/ --epochs 10 --out runs/mnist
  trishift train --config network.toml --data table.csv --label species --out runs/table
  trishift train --preset text-mlp --data book.txt --out runs/book
  trishift train --preset spoken-digits --data recordings/ --test-where index=0-4 --out runs/spoken
  trishift train --resume runs/mnist

The data is images: a folder with MNIST's four IDX files (raw or .gz), with a folder of PNG images for each class
(train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png), or with CIFAR-10's sheets (data_batch_1.png and train_lables.json);
recordings: a folder of .wav files whose names say what they are of (--pattern), or with a folder of them for each class;
a table: a .csv file, or a folder with train.csv and test.csv;
arrays: an .npz file, or a folder with x_train.npy and y_train.npy (and x_test.npy and y_test.npy);
or text: a .txt file, or a folder with train.txt and test.txt.

Every setting, --data, --device, --gpus and --threads may also be given by a variable of the environment: TRISHIFT_ and the \
name in capitals, such as TRISHIFT_GROUP=8 or TRISHIFT_CORRELATION_STRENGTH=2; an empty one counts as not set. \
The command line goes before the environment, the environment before the configuration or preset, and that before \
the defaults. With --resume the settings are the checkpoint's: of the variables, only TRISHIFT_DATA, TRISHIFT_DEVICE, \
TRISHIFT_GPUS and TRISHIFT_THREADS count.

--device auto, the default, takes the first CUDA card where there is one, else the CPU. Kernels are compiled for the card in \
the first run and kept in ~/.cache/trishift, or where TRISHIFT_CACHE says.

Ctrl-C leaves a checkpoint; --resume goes on from it and ends in the same bytes.")]
pub(super) struct Arguments {
    /// A configuration inside trishift: digits-mlp, mnist-mlp, mnist-mlp-float, text-mlp, mnist-cnn, resnet8, resnet8-mixed, dscnn,
    /// mobilenet-v1-025, spoken-digits.
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    preset: Option<String>,
    /// A configuration of your own (TOML).
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Continue an interrupted run: a folder made by --out.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["preset", "config", "out", "overwrite"])]
    resume: Option<PathBuf>,
    /// Folder of the run: configuration, metrics, flips, checkpoint, model, report [default: runs/NAME].
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Replace the run in the --out folder.
    #[arg(long)]
    overwrite: bool,
    /// Folder or file with the samples.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// auto, cpu, cuda or cuda:N [default: auto].
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Cards of this machine to train on, one process each; see docs/parallel.md.
    #[arg(long, value_name = "N")]
    gpus: Option<u32>,
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

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let alone = |device, has_shards| {
        let (device, worker) = (settings::device(device)?, Worker::alone());
        Rank { device, worker, group: None, has_shards }.train(arguments)
    };
    match together::part(arguments.gpus, arguments.device.as_deref())? {
        Part::Alone => alone(arguments.device.as_deref(), false),
        Part::OneCard => alone(Some("cuda"), true),
        Part::Launched(ending) => Ok(ending),
        Part::Rank(group) => together::finish(group, |group| {
            let (device, worker) = together::worker(group)?;
            Rank { device, worker, group: Some(group), has_shards: true }.train(arguments)
        }),
    }
}

/// How one process trains.
struct Rank<'a> {
    device: Resolved,
    worker: Worker,
    /// The other processes, which it tells that it moves on; none where it trains alone.
    group: Option<&'a Group>,
    /// Whether batches are cut into shards where nobody says how many.
    has_shards: bool,
}

impl Rank<'_> {
    /// Whether it shows nothing: the first of several shows the run.
    fn is_quiet(&self, arguments: &Arguments) -> bool {
        arguments.quiet || !self.worker.leads()
    }

    fn train(self, arguments: &Arguments) -> anyhow::Result<Ending> {
        match &arguments.resume {
            Some(folder) => resume(arguments, folder, &self),
            None => start(arguments, &self),
        }
    }
}

fn start(arguments: &Arguments, rank: &Rank<'_>) -> anyhow::Result<Ending> {
    let device = &rank.device;
    let mut config = match (&arguments.preset, &arguments.config) {
        (Some(name), _) => Config::preset(name)?,
        (None, Some(path)) => Config::read(path)?,
        (None, None) => anyhow::bail!("nothing to train; give --preset NAME, --config FILE or --resume RUN"),
    };
    arguments.settings.apply(&mut config)?;
    if rank.has_shards && !arguments.settings.names_shards() && config.training.exchange == ExchangeKind::Votes {
        config.training.shards = config.training.shards.max(SHARDS);
    }
    config.data.path = settings::data(arguments.data.as_ref()).or(config.data.path);
    // What cannot be trained needs no data to say so.
    if let Ok(network) = Network::without_data(&config) {
        run::check_trainable(&network, device)?;
    }
    let path = arguments.out.clone().unwrap_or_else(|| Path::new("runs").join(&config.name));
    // The folder is made only once the data has been read; but a run that cannot begin for its folder says so at once.
    let leads = rank.worker.leads();
    let may_begin = arguments.overwrite || !leads || !is_occupied(&path);
    anyhow::ensure!(may_begin, run::FolderError::Exists { path: path.clone() });
    let data = load(&config, rank.is_quiet(arguments))?;
    run::check_trainable(&Network::resolve(&config, data.train.shape, data.classes.len())?, device)?;
    run::check(&config, &data, device)?;
    Share::new(&rank.worker, &config.training, data.train.len())?;
    let folder = if leads { RunFolder::create(&path, arguments.overwrite)? } else { RunFolder::at(&path) };
    if leads {
        folder.write_config(&config.to_toml()?)?;
    }
    let run = Run::with_worker(&config, &data, &folder, device, rank.worker.clone())?;
    finish(run, &folder, arguments, rank)
}

fn is_occupied(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    }
}

fn resume(arguments: &Arguments, folder: &Path, rank: &Rank<'_>) -> anyhow::Result<Ending> {
    let folder = RunFolder::open(folder)?;
    let bytes = checkpoint::read(&folder.checkpoint())?;
    let reader = StateReader::new(&bytes, &folder.checkpoint())?;
    let mut config = reader.config()?;
    config.data.path = settings::data(arguments.data.as_ref()).or(config.data.path);
    let data = load(&config, rank.is_quiet(arguments))?;
    let mut run = Run::with_worker(&config, &data, &folder, &rank.device, rank.worker.clone())?;
    run.restore(&reader)?;
    finish(run, &folder, arguments, rank)
}

/// The samples of a run, with a bar while copies of recordings are made.
fn load(config: &Config, quiet: bool) -> anyhow::Result<Prepared> {
    let copies = Copies::new(quiet)?;
    let data = run::load_watched(config, &|made, total| copies.made(made, total));
    copies.finish();
    Ok(data?)
}

fn finish(mut run: Run<'_>, folder: &RunFolder, arguments: &Arguments, rank: &Rank<'_>) -> anyhow::Result<Ending> {
    if !rank.worker.leads() {
        return Ok(match train(&mut run, true, rank.group)? {
            run::Ending::Finished => Ending::Done,
            run::Ending::Interrupted => Ending::Interrupted,
        });
    }
    let ending = train(&mut run, arguments.quiet, rank.group)?;
    let Some(outcome) = conclude(&mut run, folder, ending)? else { return Ok(Ending::Interrupted) };
    if arguments.json {
        output::json(&to_json(&outcome, &rank.device))?;
    } else {
        print(&outcome)?;
    }
    Ok(Ending::Done)
}

/// Trains with a progress bar; `None` where Ctrl-C came first.
pub(super) fn train_to_end(run: &mut Run<'_>, folder: &RunFolder, quiet: bool) -> anyhow::Result<Option<Outcome>> {
    let ending = train(run, quiet, None)?;
    conclude(run, folder, ending)
}

/// Trains with a progress bar, and tells the other processes of the run that it goes on.
fn train(run: &mut Run<'_>, quiet: bool, group: Option<&Group>) -> anyhow::Result<run::Ending> {
    let mut progress = Progress::new(run, quiet)?;
    let ending = run.train(&mut Told { progress: &mut progress, group });
    progress.finish();
    Ok(ending?)
}

/// Shows a run and tells others of it.
struct Told<'a> {
    progress: &'a mut Progress,
    group: Option<&'a Group>,
}

impl Observer for Told<'_> {
    fn progress(&mut self, status: &Status) -> bool {
        self.group.into_iter().for_each(Group::tick);
        self.progress.progress(status)
    }

    fn epoch(&mut self, epoch: &Epoch) {
        self.progress.epoch(epoch);
    }
}

/// What a trained run came to; `None` where it is not trained to its end.
fn conclude(run: &mut Run<'_>, folder: &RunFolder, ending: run::Ending) -> anyhow::Result<Option<Outcome>> {
    match ending {
        run::Ending::Finished => {
            let outcome = run.finish().context("the run is trained, but its model could not be made")?;
            report::leave(run, &outcome);
            Ok(Some(outcome))
        }
        run::Ending::Interrupted => {
            tell!("interrupted; go on with: trishift train --resume {}", folder.path().display());
            Ok(None)
        }
    }
}

fn to_json(outcome: &Outcome, device: &Resolved) -> serde_json::Value {
    let mut result = json!({
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
        "exchanged_bytes_per_weight": outcome.exchanged_bytes_per_weight,
        "device_state_bytes": outcome.memory.state,
        "device_scratch_bytes": outcome.memory.scratch,
        "device_activation_bytes": outcome.memory.activations,
        "device": device.to_string(),
    });
    if let Some(accuracy) = outcome.validation_accuracy {
        result["validation_accuracy"] = accuracy.into();
    }
    result
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
    if let Some(accuracy) = outcome.validation_accuracy {
        say!("on validation     {}", percent(accuracy));
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
