//! `trishift export`: a model file from a run's checkpoint, or from a preset with random weights; and from either, or from
//! another model file, one that streams, or ONNX.

use super::inspect;
use super::output::{self, say, thousands};
use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use trishift::Model;
use trishift_format::{InputScale, Layout};
use trishift_trainer::checkpoint::{self, StateReader};
use trishift_trainer::config::{AudioDataConfig, Config};
use trishift_trainer::export::{self, Exported, Metadata};
use trishift_trainer::network::Network;
use trishift_trainer::run::{self, RunFolder};
use trishift_trainer::{file, random, rule};

/// Options of `export`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  trishift export runs/mnist --out mnist.tsm
  trishift export runs/mnist --out mnist.tsm --layout groups
  trishift export --preset resnet8 --out resnet8.tsm
  trishift export --preset mobilenet-v1-025 --width 0.5 --seed 3 --out half.tsm
  trishift export runs/words --stream --out words.tsm
  trishift export model.tsm --stream=4 --out stream.tsm
  trishift export model.tsm --format onnx --out model.onnx

With --preset nothing is trained: the weights are random, and such a file is there for measuring sizes and speeds and for \
checking that machines agree, not for accuracy. The presets that need no data to say what a sample is are mnist-cnn, \
spoken-digits, resnet8-mixed, resnet8, dscnn, mobilenet-v1-025 and autoencoder; the last four are the networks of MLPerf Tiny.

An ONNX file takes raw values as float32 and gives the model's integers, bit for bit: activations are int8 with powers of two \
as scales. Models with an rms-norm, a softmax or a stream's state have no such form.")]
pub(super) struct Arguments {
    /// The run's folder; with --stream or --format onnx a model file, too.
    #[arg(required_unless_present = "preset", conflicts_with = "preset")]
    run: Option<PathBuf>,
    /// Instead of a run, a configuration inside trishift, with random weights.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// The model file to make.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What file to make: tsm for trishift's runtime, onnx for others.
    #[arg(long, value_enum, default_value_t = Format::Tsm)]
    format: Format,
    /// Replace the file if it is there.
    #[arg(long)]
    overwrite: bool,
    /// Folder or file with the samples, where they are no longer where the run found them.
    #[arg(long, value_name = "PATH", conflicts_with = "preset")]
    data: Option<PathBuf>,
    /// Order of the weights: rows for anything, groups for microcontrollers, whose kernels take it as it is [default: rows].
    #[arg(long, value_enum)]
    layout: Option<Order>,
    /// Make a model that takes the next rows of its input alone, so many a run, and keeps what it needs of those before
    /// [default: as few as its strides allow].
    #[arg(long, value_name = "ROWS", num_args = 0..=1, require_equals = true)]
    stream: Option<Option<u32>>,
    /// Seed of the random weights [default: 1].
    #[arg(long, value_name = "N", conflicts_with = "run")]
    seed: Option<u64>,
    /// Outputs of the preset's layers, but the last, are multiplied by it [default: 1].
    #[arg(long, value_name = "FACTOR", conflicts_with = "run")]
    width: Option<f64>,
    /// Columns that share one exponent, instead of the preset's.
    #[arg(long, value_name = "G", conflicts_with = "run")]
    group: Option<u32>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Tsm,
    Onnx,
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    Rows,
    Groups,
}

impl From<Order> for Layout {
    fn from(order: Order) -> Self {
        match order {
            Order::Rows => Self::Rows,
            Order::Groups => Self::Groups,
        }
    }
}

impl Arguments {
    fn layout(&self) -> Layout {
        self.layout.unwrap_or(Order::Rows).into()
    }
}

/// What a file of random weights says about them.
const RANDOM: &str = "random: for sizes, speed and exactness, not for accuracy";

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let out = arguments.out.display();
    anyhow::ensure!(arguments.overwrite || !arguments.out.exists(), "{out} exists; replace it with --overwrite");
    match (&arguments.run, &arguments.preset) {
        (_, Some(preset)) => of_preset(arguments, preset),
        (Some(file), None) if file.is_file() => of_model(arguments, file),
        (Some(run), None) => of_run(arguments, run),
        (None, None) => anyhow::bail!("nothing to export; give a run's folder or --preset NAME"),
    }
}

fn of_run(arguments: &Arguments, run: &Path) -> anyhow::Result<()> {
    let folder = RunFolder::open(run)?;
    let bytes = checkpoint::read(&folder.checkpoint())?;
    let reader = StateReader::new(&bytes, &folder.checkpoint())?;
    let mut config = reader.config()?;
    if arguments.data.is_some() {
        config.data.path.clone_from(&arguments.data);
    }
    let data = run::load(&config)?;
    reader.progress(checkpoint::fingerprint(&data))?;
    let network = Network::resolve(&config, data.train.shape, data.classes.len())?;
    let stages = network.stages.iter().enumerate();
    let mut layers: Vec<_> = stages.map(|(index, stage)| rule::create(&config, stage, index)).collect();
    reader.load(&mut layers)?;
    let exported = run::export_state(&config, &data, &network, &layers, arguments.layout())?;
    let written = write(arguments, &exported.file)?;
    let step = reader.step()?;
    if arguments.json {
        let mut result = json!({
            "model": arguments.out,
            "model_bytes": written.bytes,
            "step": step,
            "narrowed_rows": exported.narrowing.rows,
            "zeroed_trits": exported.narrowing.zeroed,
        });
        written.add_to(&mut result);
        return output::json(&result);
    }
    say!("{}: {} bytes, step {}", arguments.out.display(), thousands(written.bytes), thousands(step));
    written.say_stream()?;
    say_narrowing(&exported)
}

/// From another model file, whose weights stay as they are.
fn of_model(arguments: &Arguments, path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    anyhow::ensure!(
        arguments.stream.is_some() || arguments.format == Format::Onnx,
        "{name} is a file; give a run's folder, or a model file and --stream to make one that streams, or --format onnx"
    );
    anyhow::ensure!(
        arguments.layout.is_none() && arguments.data.is_none(),
        "{name} is a model, whose weights stay as they are; --layout and --data go with a run"
    );
    let file = std::fs::read(path).with_context(|| format!("cannot read the model {name}"))?;
    Model::parse(&file).with_context(|| format!("{name} cannot be used"))?;
    let written = write(arguments, &file)?;
    if arguments.json {
        let mut result = json!({ "model": arguments.out, "model_bytes": written.bytes });
        written.add_to(&mut result);
        return output::json(&result);
    }
    say!("{}: {} bytes", arguments.out.display(), thousands(written.bytes));
    written.say_stream()
}

fn of_preset(arguments: &Arguments, preset: &str) -> anyhow::Result<()> {
    let mut config = Config::preset(preset)?;
    config.network.width = arguments.width.unwrap_or(config.network.width);
    config.network.group = arguments.group.unwrap_or(config.network.group);
    config.validate()?;
    let network = Network::without_data(&config)?;
    let seed = arguments.seed.unwrap_or(1);
    let mut properties = vec![
        ("made-with", concat!("trishift ", env!("CARGO_PKG_VERSION")).to_string()),
        ("weights", RANDOM.to_string()),
        ("preset", preset.to_string()),
        ("width", config.network.width.to_string()),
        ("seed", seed.to_string()),
    ];
    properties.extend(config.data.audio.iter().flat_map(AudioDataConfig::properties));
    let metadata = Metadata {
        name: &config.name,
        labels: config.data.classes.as_deref().unwrap_or_default(),
        scales: &[InputScale::IDENTITY],
        properties: &properties,
        layout: arguments.layout(),
    };
    let exported = export::export(&random::network(&network, seed)?, &metadata)?;
    let written = write(arguments, &exported.file)?;
    if arguments.json {
        let mut result = json!({
            "model": arguments.out,
            "model_bytes": written.bytes,
            "weights": "random",
            "seed": seed,
            "width": config.network.width,
            "group": config.network.group,
            "macs": written.macs,
            "arena_bytes": written.arena_bytes,
            "narrowed_rows": exported.narrowing.rows,
            "zeroed_trits": exported.narrowing.zeroed,
        });
        written.add_to(&mut result);
        return output::json(&result);
    }
    say!(
        "{}: {} bytes, {} multiply-accumulates and {} bytes of arena a sample",
        arguments.out.display(),
        thousands(written.bytes),
        thousands(written.macs),
        thousands(written.arena_bytes)
    );
    written.say_stream()?;
    say!("the weights are {RANDOM}");
    say_narrowing(&exported)
}

/// What was written.
struct Written {
    bytes: u64,
    macs: u64,
    arena_bytes: u64,
    stream: Option<Stream>,
}

/// What is to be known of a model that streams.
struct Stream {
    window_rows: u32,
    rows: u32,
    persistent_bytes: u64,
}

/// Writes the model, or what streams of it.
fn write(arguments: &Arguments, model: &[u8]) -> anyhow::Result<Written> {
    let original = Model::parse(model)?;
    let streamed = arguments.stream.map(|rows| export::stream(&original, rows)).transpose()?;
    let file = streamed.as_ref().map_or(model, |streamed| &streamed.file);
    let written = Model::parse(file)?;
    let onnx = (arguments.format == Format::Onnx).then(|| export::onnx(&written)).transpose()?;
    let out = arguments.out.display();
    let file = onnx.as_deref().unwrap_or(file);
    file::write_atomically(&arguments.out, file).with_context(|| format!("cannot write {out}"))?;
    let stream = streamed.as_ref().map(|streamed| Stream {
        window_rows: streamed.window_rows,
        rows: streamed.rows,
        persistent_bytes: inspect::persistent_bytes(&written),
    });
    let (macs, arena_bytes) = (written.macs(), written.arena_bytes());
    Ok(Written { bytes: file.len() as u64, macs, arena_bytes, stream })
}

impl Written {
    fn add_to(&self, result: &mut Value) {
        let (Some(stream), Some(result)) = (&self.stream, result.as_object_mut()) else { return };
        result.insert("stream_rows".into(), stream.window_rows.into());
        result.insert("rows".into(), stream.rows.into());
        result.insert("persistent_bytes".into(), stream.persistent_bytes.into());
        result.insert("macs".into(), self.macs.into());
        result.insert("arena_bytes".into(), self.arena_bytes.into());
    }

    fn say_stream(&self) -> anyhow::Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        say!(
            "a run takes {} of {} rows: {} multiply-accumulates, {} bytes of arena, {} of which are kept from run to run",
            stream.rows,
            stream.window_rows,
            thousands(self.macs),
            thousands(self.arena_bytes),
            thousands(stream.persistent_bytes)
        );
        Ok(())
    }
}

fn say_narrowing(exported: &Exported) -> anyhow::Result<()> {
    let narrowing = exported.narrowing;
    if narrowing.rows > 0 {
        say!("{} rows narrowed to fit int32, {} trits set to 0", narrowing.rows, narrowing.zeroed);
    }
    Ok(())
}
