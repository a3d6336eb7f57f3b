//! `trishift quickstart`: the whole path on the built-in digits.

use super::output::{self, say, tell, thousands};
use super::{Ending, settings, train};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;
use trishift_trainer::config::Config;
use trishift_trainer::run::{self, Run, RunFolder};

/// Options of `quickstart`.
#[derive(Args)]
pub(super) struct Arguments {
    /// auto, cpu, cuda or cuda:N [default: auto].
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Folder of the run [default: the first free one of runs/quickstart, runs/quickstart-2, …].
    #[arg(long, value_name = "RUN")]
    out: Option<PathBuf>,
    /// Print the result as one JSON object, the last line on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let device = settings::device(arguments.device.as_deref())?;
    let config = Config::preset("digits-mlp")?;
    let path = arguments.out.clone().unwrap_or_else(free_folder);
    let data = run::load(&config)?;
    let folder = RunFolder::create(&path, false)?;
    folder.write_config(&config.to_toml()?)?;
    tell!(
        "training on {} handwritten digits of 8×8 pixels, {} more are held out",
        thousands(data.train.len() as u64),
        thousands(data.test.len() as u64)
    );
    let mut run = Run::new(&config, &data, &folder, &device)?;
    let Some(outcome) = train::train_to_end(&mut run, &folder, arguments.json)? else {
        return Ok(Ending::Interrupted);
    };
    let seconds = started.elapsed().as_secs_f64();
    if arguments.json {
        output::json(&json!({
            "accuracy": outcome.accuracy(),
            "samples": outcome.score.samples,
            "mismatches": outcome.mismatches,
            "model_bytes": outcome.model_bytes,
            "seconds": seconds,
            "device": device.to_string(),
            "bits_per_weight": outcome.bits_per_weight,
            "arena_bytes": outcome.arena_bytes,
            "model": outcome.model,
        }))?;
        return Ok(Ending::Done);
    }
    train::print(&outcome)?;
    let model = outcome.model.display();
    say!("\nNext:");
    say!("  trishift inspect {model}");
    say!("  trishift eval {model} --data builtin:digits");
    say!("  trishift train --preset mnist-mlp --data FOLDER-WITH-MNIST --out runs/mnist");
    say!("  trishift train --preset digits-mlp --data YOUR.csv --out runs/mine");
    say!("(from a checkout: cargo run --release -p trishift-trainer -- in place of trishift)");
    Ok(Ending::Done)
}

/// The first folder of the sequence that is not there yet.
fn free_folder() -> PathBuf {
    let first = Path::new("runs").join("quickstart");
    let numbered = (2u32..).map(|number| Path::new("runs").join(format!("quickstart-{number}")));
    std::iter::once(first.clone()).chain(numbered).find(|path| !path.exists()).unwrap_or(first)
}
