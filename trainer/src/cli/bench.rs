//! `trishift bench`.

use super::output::{self, say};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use std::num::NonZeroUsize;
use trishift_format::GroupSize;
use trishift_trainer::bench::{self, Shape};

/// What to measure.
#[derive(Subcommand)]
pub(super) enum Bench {
    /// Ternary matrix products on this machine's processor, one line per instruction set.
    Cpu(Cpu),
}

/// Options of `bench cpu`.
#[derive(Args)]
pub(super) struct Cpu {
    /// Rows (outputs) of the weights.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    rows: u32,
    /// Columns (inputs) of the weights.
    #[arg(long, value_name = "K", default_value_t = 4096)]
    cols: u32,
    /// Columns that share one exponent.
    #[arg(long, value_name = "G", default_value_t = 32)]
    group: u32,
    /// Samples.
    #[arg(long, value_name = "B", default_value_t = 1)]
    batch: u32,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(bench: &Bench, threads: Option<usize>) -> anyhow::Result<()> {
    let Bench::Cpu(arguments) = bench;
    let threads = threads.and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
    let shape = Shape {
        rows: arguments.rows,
        columns: arguments.cols,
        group: GroupSize::new(arguments.group).context("--group")?,
        batch: arguments.batch,
        threads,
    };
    for measurement in bench::cpu(&shape)? {
        if arguments.json {
            output::json(&json!({
                "isa": measurement.isa,
                "batch": shape.batch,
                "gops": measurement.gops,
                "weights_per_ns": measurement.weights_per_ns,
                "threads": threads,
                "rows": shape.rows,
                "cols": shape.columns,
                "group": shape.group.get(),
                "runs": measurement.runs,
            }))?;
        } else {
            let weights = measurement.weights_per_ns;
            say!("{:<12} {:>9.2} GOP/s  {weights:>7.3} weights/ns", measurement.isa, measurement.gops);
        }
    }
    Ok(())
}
