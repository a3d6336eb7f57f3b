//! `trishift bench`.

use super::output::{self, say};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::json;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use trishift::Model;
use trishift::kernels::{self, Kernels};
use trishift_format::GroupSize;
use trishift_trainer::bench::cpu::{self, Measurement, Shape};
#[cfg(feature = "cuda")]
use trishift_trainer::bench::gpu;
use trishift_trainer::bench::model;
#[cfg(feature = "cuda")]
use trishift_trainer::config::ForwardProduct;
#[cfg(feature = "cuda")]
use trishift_trainer::rule::RuleName;

/// What to measure.
#[derive(Subcommand)]
pub(super) enum Bench {
    /// Ternary matrix products on this machine's processor, one line per instruction set; rates are those of the best run.
    ///
    /// TRISHIFT_ISA names one instruction set to measure alone.
    Cpu(Cpu),
    /// A model file on this machine's processor: samples a second, one line per instruction set and batch; rates are those of
    /// the best run.
    ///
    /// gops counts two operations for each product of the model's matrices, peak_gops is what the instruction set's
    /// multiply-add reaches on registers alone, and ratio is the one over the other (over all threads). Inputs are random.
    /// The scalar definitions are measured only where --isa scalar asks for them, or where there is nothing else.
    #[command(after_help = "Example: trishift bench model runs/mnist/model.tsm --batch 1 --batch 64 --json")]
    Model(ModelArguments),
    /// One training step of a ternary layer on a CUDA card, beside cuBLASLt's three bfloat16 products of the same shapes.
    #[cfg(feature = "cuda")]
    Gpu(Gpu),
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
    #[arg(long, value_name = "BITS", default_value_t = cpu::WINDOW_BITS)]
    window_bits: u32,
    /// Read the weights from memory: go round as many copies as no cache holds.
    #[arg(long)]
    from_memory: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Options of `bench model`.
#[derive(Args)]
pub(super) struct ModelArguments {
    /// The model file.
    file: PathBuf,
    /// Samples of a run; several times for several batches [default: 1].
    #[arg(long = "batch", value_name = "B")]
    batches: Vec<usize>,
    /// An instruction set to measure alone, as `isa` names it; several times for several [default: TRISHIFT_ISA, or all].
    #[arg(long = "isa", value_name = "NAME")]
    sets: Vec<String>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Options of `bench gpu`.
#[cfg(feature = "cuda")]
#[derive(Args)]
pub(super) struct Gpu {
    /// Samples.
    #[arg(long, value_name = "M", default_value_t = 4096)]
    batch: u32,
    /// Rows (outputs) of the weights.
    #[arg(long, value_name = "N", default_value_t = 4096)]
    rows: u32,
    /// Columns (inputs) of the weights.
    #[arg(long, value_name = "K", default_value_t = 4096)]
    cols: u32,
    /// Columns that share one exponent.
    #[arg(long, value_name = "G", default_value_t = 32)]
    group: u32,
    /// The update rule.
    #[arg(long, value_name = "RULE", default_value_t = RuleName::FlipCorrelation)]
    rule: RuleName,
    /// How the outputs are made: dense, from weights in bfloat16, or trits, on int8 tensor cores (Hopper).
    #[arg(long, value_name = "PRODUCT", default_value = "dense")]
    forward: ForwardProduct,
    /// cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value = "cuda")]
    device: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(bench: &Bench, threads: Option<usize>) -> anyhow::Result<()> {
    match bench {
        Bench::Cpu(arguments) => run_cpu(arguments, threads),
        Bench::Model(arguments) => run_model(arguments, threads),
        #[cfg(feature = "cuda")]
        Bench::Gpu(arguments) => run_gpu(arguments),
    }
}

#[cfg(feature = "cuda")]
fn run_gpu(arguments: &Gpu) -> anyhow::Result<()> {
    use trishift_trainer::backend::{Device, Resolved};
    let Resolved::Cuda { card, .. } = arguments.device.parse::<Device>()?.resolve()? else {
        anyhow::bail!("bench gpu needs a CUDA card; give --device cuda or cuda:N");
    };
    let Gpu { batch, rows, cols: columns, rule, forward, .. } = *arguments;
    let group = GroupSize::new(arguments.group).context("--group")?;
    let shape = gpu::Shape { batch, rows, columns, group, rule, forward };
    let measured = gpu::measure(&card, &shape)?;
    let ratio = measured.step_ms / measured.cublas_bf16_ms;
    if arguments.json {
        return output::json(&json!({
            "step_ms": measured.step_ms,
            "cublas_bf16_ms": measured.cublas_bf16_ms,
            "ratio": ratio,
            "expand_ms": measured.expand_ms,
            "forward_ms": measured.forward_ms,
            "input_gradient_ms": measured.input_gradient_ms,
            "weight_gradient_ms": measured.weight_gradient_ms,
            "update_ms": measured.update_ms,
            "copy_gb_s": measured.copy_gb_s,
            "state_bytes_per_weight": measured.state_bytes_per_weight,
            "scratch_bytes_per_weight": measured.scratch_bytes_per_weight,
            "batch": batch,
            "rows": rows,
            "cols": columns,
            "group": arguments.group,
            "rule": rule,
            "forward": forward,
            "card": card.name(),
            "runs": measured.runs,
        }));
    }
    say!("{}, batch {batch}, {rows} × {columns}, group {}, rule {rule}", card.name(), arguments.group);
    say!("step                {:>9.4} ms", measured.step_ms);
    for (part, time) in [
        ("weights", measured.expand_ms),
        ("forward", measured.forward_ms),
        ("input gradient", measured.input_gradient_ms),
        ("weight gradient", measured.weight_gradient_ms),
        ("votes and update", measured.update_ms),
    ] {
        say!("  {part:<17} {time:>9.4} ms alone");
    }
    say!(
        "bfloat16 products   {:>9.4} ms by cuBLASLt; the step takes {ratio:.3} times as long",
        measured.cublas_bf16_ms
    );
    say!("copying             {:>9.1} GB/s read and written", measured.copy_gb_s);
    say!("state               {:>9.3} bytes a weight", measured.state_bytes_per_weight);
    Ok(())
}

fn run_model(arguments: &ModelArguments, threads: Option<usize>) -> anyhow::Result<()> {
    let path = arguments.file.display();
    let file = std::fs::read(&arguments.file).with_context(|| format!("cannot read the model {path}"))?;
    let model = Model::parse(&file).with_context(|| format!("{path} cannot be used"))?;
    let threads = threads.and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
    let batches = if arguments.batches.is_empty() { &[1] } else { arguments.batches.as_slice() };
    for measured in model::measure(&model, &instruction_sets(&arguments.sets)?, batches, threads)? {
        if arguments.json {
            output::json(&json!({
                "isa": measured.isa,
                "batch": measured.batch,
                "samples_per_second": measured.samples_per_second,
                "gops": measured.gops,
                "peak_gops": measured.peak_gops,
                "ratio": measured.ratio,
                "samples_per_second_median": measured.samples_per_second_median,
                "threads": threads,
                "runs": measured.runs,
            }))?;
        } else {
            let model::Measurement { isa, batch, samples_per_second, gops, .. } = measured;
            let peak = measured.peak_gops.zip(measured.ratio).map_or(String::new(), |(peak, ratio)| {
                format!("  {:>5.1} % of {peak:.0} GOP/s on registers", 100.0 * ratio)
            });
            say!("{isa:<12} batch {batch:<5} {samples_per_second:>12.1} samples/s  {gops:>9.2} GOP/s{peak}");
        }
    }
    Ok(())
}

/// Those of these names; without any the one that `TRISHIFT_ISA` names, or all that are not the definitions.
fn instruction_sets(names: &[String]) -> anyhow::Result<Vec<&'static Kernels>> {
    if !names.is_empty() {
        return names.iter().map(|name| kernels::select(name).context("--isa")).collect();
    }
    if std::env::var_os(kernels::VARIABLE).is_some_and(|name| !name.is_empty()) {
        return Ok(vec![kernels::from_environment()?]);
    }
    let vectors: Vec<_> = kernels::available().filter(|kernels| kernels.packed.is_some()).collect();
    Ok(if vectors.is_empty() { vec![kernels::best()] } else { vectors })
}

fn run_cpu(arguments: &Cpu, threads: Option<usize>) -> anyhow::Result<()> {
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
    let (measurements, machine) = cpu::measure(&shape)?;
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
        let cpu::Machine { f32_gops, read_gb_s, memory_gb_s } = machine;
        say!("{:<12} {f32_gops:>9.2} GOP/s", "float32");
        say!("reading      {read_gb_s:>9.2} GB/s from as many bytes, {memory_gb_s:.2} GB/s from memory");
    }
    Ok(())
}
