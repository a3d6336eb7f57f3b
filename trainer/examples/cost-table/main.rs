//! Makes `trainer/src/cost/table.json`, from which costs of networks on microcontrollers are estimated.
//! `firmware-examples/run-costs` runs both parts and counts between them.
//!
//! `cost-table networks FOLDER` writes the networks of `networks/`, with random weights group after group, as model files.
//!
//! `cost-table fit FOLDER COUNTS` prints the table: COUNTS has lines of `run-networks`, those of the networks in the folder,
//! which the table is fitted to, and of others, which it is held against.

use anyhow::{Context, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use trishift::Model;
use trishift_format::{InputScale, Layout};
use trishift_trainer::config::Config;
use trishift_trainer::cost::work::{self, Work};
use trishift_trainer::cost::{CostTable, Fitted, Target, fit};
use trishift_trainer::export::{self, Metadata};
use trishift_trainer::network::Network;
use trishift_trainer::random;

const NETWORKS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/cost-table/networks");

/// Name, core, and what `Scratch` says of its kernels: bytes of tables for few rows and for many, the rows that are many.
const TARGETS: [(&str, &str, usize, usize, usize); 4] = [
    ("Cortex-M0+", "m0plus", 576, 4096, 38),
    ("Cortex-M3", "m3", 64, 4096, 36),
    ("Cortex-M4", "m4", 64, 4096, 36),
    ("RV32IMC", "rv32", 576, 4096, 44),
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["networks", folder] => write_networks(Path::new(folder)),
        ["fit", folder, counts] => print_table(Path::new(folder), Path::new(counts)),
        _ => bail!("usage: cost-table networks FOLDER, or cost-table fit FOLDER COUNTS"),
    }
}

fn write_networks(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut paths: Vec<PathBuf> =
        fs::read_dir(NETWORKS)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.sort();
    for path in paths {
        let config = Config::read(&path)?;
        let network = Network::without_data(&config).with_context(|| format!("{}", path.display()))?;
        let metadata = Metadata {
            name: &config.name,
            labels: config.data.classes.as_deref().unwrap_or_default(),
            scales: &[InputScale::IDENTITY],
            properties: &[],
            layout: Layout::Groups,
        };
        let exported = export::export(&random::network(&network, 1)?, &metadata)?;
        let out = folder.join(format!("{}.tsm", config.name));
        fs::write(&out, exported.file).with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(())
}

/// Instructions of each operator of one network on one core; those of the whole network.
#[derive(Default)]
struct Counted {
    operators: BTreeMap<usize, u64>,
    whole: u64,
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
    let mut rows: Vec<(Work, u64)> = Vec::new();
    for ((_, network), found) in counted.iter().filter(|((on, _), _)| on == core) {
        let path = folder.join(format!("{network}.tsm"));
        if !path.exists() {
            target.networks.insert(network.clone(), found.whole);
            continue;
        }
        let file = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let model = Model::parse(&file).with_context(|| format!("{} cannot be used", path.display()))?;
        for (index, operator) in model.operators().enumerate() {
            let work = work::of(&model, &operator, &target.scratch());
            let work = work.with_context(|| format!("operator {index} of {network} has no work"))?;
            let instructions = found.operators.get(&index).copied();
            rows.push((work, instructions.with_context(|| format!("operator {index} of {network} was not counted"))?));
        }
    }
    anyhow::ensure!(!rows.is_empty(), "nothing was counted on {core}");
    target.instructions = fit::fit(&rows);
    let errors: Vec<f64> = rows
        .iter()
        .map(|(work, count)| {
            let estimate: f64 =
                work.iter().map(|(what, amount)| target.instructions.get(what).unwrap_or(&0.0) * amount).sum();
            (estimate / *count as f64 - 1.0).abs()
        })
        .collect();
    target.fitted = Fitted {
        operators: rows.len(),
        mean: thousandths(errors.iter().sum::<f64>() / rows.len() as f64),
        largest: thousandths(errors.iter().copied().fold(0.0, f64::max)),
    };
    target.instructions.values_mut().for_each(|value| *value = thousandths(*value));
    Ok(target)
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
            None => counted.whole = count,
        }
    }
    Ok(found)
}
