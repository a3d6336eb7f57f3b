//! Makes `trainer/src/cost/table.json`, from which costs of networks on microcontrollers are estimated.
//! `firmware-examples/run-costs` runs both parts and counts between them.
//!
//! `cost-table networks FOLDER` writes the networks of `networks/` as model files, with random weights group after group, and
//! those of presets into `FOLDER/whole`.
//!
//! `cost-table fit FOLDER COUNTS` prints the table: COUNTS has lines of `run-networks`, those of the networks in the folder,
//! which the table is fitted to, and of the presets, which it is held against.
//!
//! `cost-table check COUNTS` says how far off the checked-in table's estimates of the presets are, and fails where that is more
//! than reports say.

use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use trishift::Model;
use trishift_trainer::config::Config;
use trishift_trainer::cost::work::{self, Work};
use trishift_trainer::cost::{self, CostTable, Fitted, Target, Whole, fit};

const NETWORKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cost-table/networks");

/// Name, core, and what `Scratch` says of its kernels: bytes of tables for few rows and for many, the rows that are many.
const TARGETS: [(&str, &str, usize, usize, usize); 4] = [
    ("Cortex-M0+", "m0plus", 576, 4096, 38),
    ("Cortex-M3", "m3", 64, 4096, 36),
    ("Cortex-M4", "m4", 64, 4096, 36),
    ("RV32IMC", "rv32", 576, 4096, 44),
];

/// Operators that the table tells least well, which are named for each target.
const SHOWN: usize = 6;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["networks", folder] => write_networks(Path::new(folder)),
        ["fit", folder, counts] => print_table(Path::new(folder), Path::new(counts)),
        ["check", counts] => check_table(Path::new(counts)),
        _ => bail!("usage: cost-table networks FOLDER, cost-table fit FOLDER COUNTS, or cost-table check COUNTS"),
    }
}

fn write_networks(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut paths: Vec<PathBuf> =
        fs::read_dir(NETWORKS)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.sort();
    for path in paths {
        let config = Config::read(&path)?;
        let file = cost::file_of(&config).with_context(|| path.display().to_string())?;
        let out = folder.join(format!("{}.tsm", config.name));
        fs::write(&out, file).with_context(|| format!("cannot write {}", out.display()))?;
    }
    let whole = folder.join("whole");
    fs::create_dir_all(&whole).with_context(|| format!("cannot make {}", whole.display()))?;
    for preset in cost::WHOLE {
        let out = whole.join(format!("{preset}.tsm"));
        fs::write(&out, cost::whole_network(preset)?).with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(())
}

/// Instructions of each operator of one network on one core; those of the whole network.
#[derive(Default)]
struct Counted {
    operators: BTreeMap<usize, u64>,
    whole: u64,
    arena_bytes: u64,
}

fn print_table(folder: &Path, counts: &Path) -> anyhow::Result<()> {
    let counted = read_counts(counts)?;
    let targets = TARGETS.iter().map(|target| fit_target(target, folder, &counted)).collect::<anyhow::Result<_>>()?;
    let source = "firmware-examples/run-costs: QEMU 7.2, rustc 1.96, kernels at opt-level \"s\"".to_owned();
    println!("{}", serde_json::to_string_pretty(&CostTable { source, targets })?);
    Ok(())
}

fn fit_target(
    &(name, core, few, many, from): &(&str, &str, usize, usize, usize),
    folder: &Path,
    counted: &BTreeMap<(String, String), Counted>,
) -> anyhow::Result<Target> {
    let mut target = Target {
        name: name.into(),
        core: core.into(),
        few,
        many,
        from,
        instructions: BTreeMap::new(),
        fitted: Fitted::default(),
        networks: BTreeMap::new(),
    };
    let mut rows: Vec<(String, Work, u64)> = Vec::new();
    for ((_, network), found) in counted.iter().filter(|((on, _), _)| on == core) {
        let path = folder.join(format!("{network}.tsm"));
        if !path.exists() {
            target
                .networks
                .insert(network.clone(), Whole { counted: found.whole, estimated: 0, arena_bytes: found.arena_bytes });
            continue;
        }
        let file = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let model = Model::parse(&file).with_context(|| format!("{} cannot be used", path.display()))?;
        for (index, operator) in model.operators().enumerate() {
            let work = work::of(&model, &operator, &target.scratch());
            let work = work.with_context(|| format!("operator {index} of {network} has no work"))?;
            let instructions = found.operators.get(&index).copied();
            let instructions =
                instructions.with_context(|| format!("operator {index} of {network} was not counted"))?;
            rows.push((format!("{network} {index} {}", operator.kind().name()), work, instructions));
        }
    }
    anyhow::ensure!(!rows.is_empty(), "nothing was counted on {core}");
    let counts: Vec<(Work, u64)> = rows.iter().map(|(_, work, count)| (work.clone(), *count)).collect();
    target.instructions = fit::fit(&counts);
    target.instructions.values_mut().for_each(|value| *value = thousandths(*value));
    let mut errors: Vec<(f64, &str, u64)> = rows
        .iter()
        .map(|(what, work, count)| {
            (target.instructions_for(work).unwrap_or(0.0) / *count as f64 - 1.0, what.as_str(), *count)
        })
        .collect();
    errors.sort_by(|a, b| b.0.abs().total_cmp(&a.0.abs()));
    for (error, what, count) in errors.iter().take(SHOWN) {
        eprintln!("{core}: {what}: {count} instructions, the estimate is {:+.1} % off", error * 100.0);
    }
    for (preset, whole) in std::mem::take(&mut target.networks) {
        let estimated = estimate(&target, &preset)?.round() as u64;
        target.networks.insert(preset, Whole { estimated, ..whole });
    }
    target.fitted = Fitted {
        operators: rows.len(),
        mean: thousandths(errors.iter().map(|(error, ..)| error.abs()).sum::<f64>() / rows.len() as f64),
        largest: thousandths(errors.first().map_or(0.0, |(error, ..)| error.abs())),
    };
    Ok(target)
}

fn check_table(counts: &Path) -> anyhow::Result<()> {
    let counted = read_counts(counts)?;
    let mut far = 0;
    for target in &cost::table().targets {
        for preset in cost::WHOLE {
            let counted = counted.get(&(target.core.clone(), preset.to_owned()));
            let counted = counted.with_context(|| format!("{preset} was not counted on {}", target.core))?;
            let whole = Whole {
                counted: counted.whole,
                estimated: estimate(target, preset)?.round() as u64,
                arena_bytes: counted.arena_bytes,
            };
            println!(
                "{} {preset}: {} instructions, the estimate is {:+.1} % off",
                target.core,
                whole.counted,
                whole.off() * 100.0
            );
            far += usize::from(whole.off().abs() >= cost::TOLERANCE);
        }
    }
    anyhow::ensure!(far == 0, "{far} estimates are off by {:.0} % or more", cost::TOLERANCE * 100.0);
    Ok(())
}

/// Estimated instructions of a preset's network.
fn estimate(target: &Target, preset: &str) -> anyhow::Result<f64> {
    let file = cost::whole_network(preset)?;
    let estimate: Option<f64> = target.estimate(&Model::parse(&file)?).into_iter().sum();
    estimate.with_context(|| format!("{preset} has work that was never counted"))
}

fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// By core and network.
fn read_counts(path: &Path) -> anyhow::Result<BTreeMap<(String, String), Counted>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut found: BTreeMap<(String, String), Counted> = BTreeMap::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).with_context(|| format!("not a line of JSON: {line}"))?;
        let (Some(board), Some(kernel), Some(count)) =
            (value["board"].as_str(), value["kernel"].as_str(), value["instructions"].as_u64())
        else {
            bail!("not a line of run-networks: {line}");
        };
        let core = board.split('-').next().unwrap_or(board);
        let mut parts = kernel.split('.');
        let (network, index) = (parts.next().unwrap_or(kernel), parts.next());
        let counted = found.entry((core.into(), network.into())).or_default();
        match index {
            Some(index) => {
                counted.operators.insert(index.parse().with_context(|| format!("no operator: {kernel}"))?, count);
            }
            None => {
                counted.whole = count;
                counted.arena_bytes = value["arena_bytes"].as_u64().unwrap_or(0);
            }
        }
    }
    Ok(found)
}
