//! `trishift bench`.

use super::output::{self, say};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use std::num::NonZeroUsize;
use trishift_format::GroupSize;
use trishift_trainer::bench::{self, Measurement, Shape};

/// What to measure.
#[derive(Subcommand)]
pub(super) enum Bench {
    /// Ternary matrix products on this machine's processor, one line per instruction set; rates are those of the best run.
    ///
    /// TRISHIFT_ISA names one instruction set to measure alone.
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
    /// Exponents of a row lie 0 to BITS steps above its smallest.
    #[arg(long, value_name = "BITS", default_value_t = bench::WINDOW_BITS)]
    window_bits: u32,
    /// Read the weights from memory: go round as many copies as no cache holds.
    #[arg(long)]
    from_memory: bool,
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
        window_bits: arguments.window_bits,
        from_memory: arguments.from_memory,
    };
    let (measurements, machine) = bench::cpu(&shape)?;
    for measurement in measurements {
        if arguments.json {
            output::json(&json!({
                "isa": measurement.isa,
                "batch": shape.batch,
                "gops": measurement.gops,
                "peak_gops": measurement.peak_gops,
                "weights_per_ns": measurement.weights_per_ns,
                "gops_median": measurement.gops_median,
                "int8_gops": measurement.int8_gops,
                "f32_gops": machine.f32_gops,
                "weights_gb_s": measurement.weights_gb_s,
                "read_gb_s": machine.read_gb_s,
                "memory_gb_s": machine.memory_gb_s,
                "packing_ms": measurement.packing_ms,
                "weight_bytes": measurement.weight_bytes,
                "window_bits": shape.window_bits,
                "from_memory": shape.from_memory,
                "threads": threads,
                "rows": shape.rows,
                "cols": shape.columns,
                "group": shape.group.get(),
                "runs": measurement.runs,
            }))?;
        } else {
            let Measurement { isa, gops, weights_per_ns, weights_gb_s, .. } = measurement;
            let peak = measurement.peak_gops.map_or(String::new(), |peak| {
                format!("  {:>5.1} % of {peak:.0} GOP/s on registers", 100.0 * gops / peak)
            });
            let int8 = measurement.int8_gops.map_or(String::new(), |int8| format!("  int8 {int8:.2} GOP/s"));
            say!("{isa:<12} {gops:>9.2} GOP/s  {weights_per_ns:>8.3} weights/ns  {weights_gb_s:>6.2} GB/s{peak}{int8}");
        }
    }
    if !arguments.json {
        let bench::Machine { f32_gops, read_gb_s, memory_gb_s } = machine;
        say!("{:<12} {f32_gops:>9.2} GOP/s", "float32");
        say!("reading      {read_gb_s:>9.2} GB/s from as many bytes, {memory_gb_s:.2} GB/s from memory");
    }
    Ok(())
}
