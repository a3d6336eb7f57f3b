//! Trains every update rule at three group sizes with three seeds on MNIST and prints the table of `docs/rules.md`.
//!
//! `rules-study MNIST [FOLDER]` takes the folder with MNIST's four IDX files. Every cell is three runs of `trishift train`
//! with the options that the table names; their folders are made in FOLDER, and a run that is finished there is not
//! trained again. Progress goes to standard error, the table to standard output.

use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use trishift_trainer::backend::Resolved;
use trishift_trainer::checkpoint::{self, StateReader};
use trishift_trainer::config::Config;
use trishift_trainer::data::Prepared;
use trishift_trainer::rule::RuleName;
use trishift_trainer::run::{self, Epoch, Observer, Outcome, Run, RunFolder, Status};

/// The rules, each with the preset it is measured on and its passes over the data.
const ROWS: [(RuleName, &str, u32); 10] = [
    (RuleName::FlipCorrelation, "mnist-mlp", 10),
    (RuleName::Latent, "mnist-mlp", 10),
    (RuleName::StraightThrough, "mnist-mlp", 10),
    (RuleName::FlipCorrelation, "mnist-mlp-float", 10),
    (RuleName::Latent, "mnist-mlp-float", 10),
    (RuleName::StraightThrough, "mnist-mlp-float", 10),
    (RuleName::IntegratingCorrelation, "mnist-mlp-float", 5),
    (RuleName::Flip, "mnist-mlp-float", 5),
    (RuleName::Exponent, "mnist-mlp-float", 5),
    (RuleName::Correlation, "mnist-mlp-float", 5),
];

const GROUPS: [u32; 3] = [4, 8, 32];

const SEEDS: [u64; 3] = [1, 2, 3];

/// What one run came to.
struct Measured {
    accuracy: f64,
    before_export: f64,
    state_bits: f64,
    samples_per_second: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (mnist, folder) = match arguments.as_slice() {
        [mnist] => (mnist.as_path(), Path::new("runs/rules")),
        [mnist, folder] => (mnist.as_path(), folder.as_path()),
        _ => bail!("usage: rules-study MNIST [FOLDER]"),
    };
    println!(
        "| rule | preset | epochs | G | exported, mean | each seed | before export | state, bits a weight | samples/s |"
    );
    println!("|---|---|---:|---:|---:|---|---:|---:|---:|");
    for (rule, preset, epochs) in ROWS {
        for group in GROUPS {
            let mut config = Config::preset(preset)?;
            config.data.path = Some(mnist.into());
            config.training.rule = rule;
            config.training.epochs = Some(epochs);
            config.network.group = group;
            let data = run::load(&config)?;
            let seeds = SEEDS.map(|seed| {
                config.training.seed = seed;
                measure(&config, &data, &folder.join(format!("{preset}-{rule}-g{group}-s{seed}")))
            });
            let runs = seeds.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
            print_row(&format!("`{rule}` | `{preset}` | {epochs} | {group}"), &runs);
        }
    }
    Ok(())
}

/// One run, from its beginning, or as its folder has it.
fn measure(config: &Config, data: &Prepared, path: &Path) -> anyhow::Result<Measured> {
    let folder = match RunFolder::open(path) {
        Ok(folder) => folder,
        Err(_) => {
            let folder = RunFolder::create(path, true)?;
            folder.write_config(&config.to_toml()?)?;
            folder
        }
    };
    let mut run = Run::new(config, data, &folder, &Resolved::Cpu)?;
    if folder.checkpoint().exists() {
        let bytes = checkpoint::read(&folder.checkpoint())?;
        let reader = StateReader::new(&bytes, &folder.checkpoint())?;
        anyhow::ensure!(reader.config()? == *config, "{} holds another run", path.display());
        run.restore(&reader)?;
    }
    run.train(&mut Quiet)?;
    let outcome = run.finish()?;
    report(path, &outcome)?;
    let lines = std::fs::read_to_string(folder.metrics())?;
    let last = lines.lines().last().context("a finished run has metrics")?;
    let epoch: Epoch = serde_json::from_str(last)?;
    let samples = outcome.score.samples as f64;
    Ok(Measured {
        accuracy: outcome.score.accuracy(),
        before_export: outcome.correct_before_export as f64 / samples,
        state_bits: std::fs::metadata(folder.checkpoint())?.len() as f64 * 8.0 / run.network().weights() as f64,
        samples_per_second: epoch.samples_per_second,
    })
}

fn report(path: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    let accuracy = outcome.accuracy().context("MNIST has test samples")?;
    anyhow::ensure!(outcome.mismatches == 0, "{}: runtime and trainer disagree", path.display());
    eprintln!("{}: {:.2} %", path.display(), 100.0 * accuracy);
    Ok(())
}

fn print_row(first_columns: &str, runs: &[Measured]) {
    let mean = |value: fn(&Measured) -> f64| runs.iter().map(value).sum::<f64>() / runs.len() as f64;
    let each: Vec<String> = runs.iter().map(|run| format!("{:.2}", 100.0 * run.accuracy)).collect();
    println!(
        "| {first_columns} | {:.2} | {} | {:.2} | {:.1} | {:.0},000 |",
        100.0 * mean(|run| run.accuracy),
        each.join(" "),
        100.0 * mean(|run| run.before_export),
        mean(|run| run.state_bits),
        mean(|run| run.samples_per_second) / 1000.0,
    );
}

/// Watches nothing.
struct Quiet;

impl Observer for Quiet {
    fn progress(&mut self, _: &Status) -> bool {
        false
    }

    fn epoch(&mut self, _: &Epoch) {}
}
