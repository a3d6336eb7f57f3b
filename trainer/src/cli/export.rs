//! `trishift export`: a model file from a run's checkpoint.

use super::output::{self, say, thousands};
use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use trishift_format::Layout;
use trishift_trainer::checkpoint::{self, StateReader};
use trishift_trainer::network::Network;
use trishift_trainer::run::{self, RunFolder};
use trishift_trainer::{file, rule};

/// Options of `export`.
#[derive(Args)]
pub(super) struct Arguments {
    /// The run's folder.
    run: PathBuf,
    /// The model file to make.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file if it is there.
    #[arg(long)]
    overwrite: bool,
    /// Folder or file with the samples, where they are no longer where the run found them.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Order of the weights: rows for anything, groups for microcontrollers, whose kernels take it as it is.
    #[arg(long, value_enum, default_value_t = Order::Rows)]
    layout: Order,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
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

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let out = arguments.out.display();
    anyhow::ensure!(arguments.overwrite || !arguments.out.exists(), "{out} exists; replace it with --overwrite");
    let folder = RunFolder::open(&arguments.run)?;
    let bytes = checkpoint::read(&folder.checkpoint())?;
    let reader = StateReader::new(&bytes, &folder.checkpoint())?;
    let mut config = reader.config()?;
    if arguments.data.is_some() {
        config.data.path.clone_from(&arguments.data);
    }
    let data = run::load(&config.data)?;
    reader.progress(checkpoint::fingerprint(&data))?;
    let network = Network::resolve(&config, data.train.features(), data.classes.len())?;
    let stages = network.stages.iter().enumerate();
    let mut layers: Vec<_> = stages.map(|(index, stage)| rule::create(&config, stage, index)).collect();
    reader.load(&mut layers)?;
    let exported = run::export_state(&config, &data, &network, &layers, arguments.layout.into())?;
    file::write_atomically(&arguments.out, &exported.file).with_context(|| format!("cannot write {out}"))?;
    let step = reader.step()?;
    if arguments.json {
        output::json(&json!({
            "model": arguments.out,
            "model_bytes": exported.file.len(),
            "step": step,
            "narrowed_rows": exported.narrowing.rows,
            "zeroed_trits": exported.narrowing.zeroed,
        }))?;
    } else {
        say!("{out}: {} bytes, step {}", thousands(exported.file.len() as u64), thousands(step));
        if exported.narrowing.rows > 0 {
            let narrowing = exported.narrowing;
            say!("{} rows narrowed to fit int32, {} trits set to 0", narrowing.rows, narrowing.zeroed);
        }
    }
    Ok(())
}
