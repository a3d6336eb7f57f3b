//! All cases of a folder, one after another, and what they are called.

use super::Case;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Per system, how many cases there were and the largest deviation of floats.
pub(crate) type Report = BTreeMap<String, (usize, f64)>;

/// The folder that `TRISHIFT_CONFORMANCE` names, else `tests/conformance`.
pub(crate) fn named() -> PathBuf {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    std::env::var_os("TRISHIFT_CONFORMANCE").map_or_else(own, |folder| from_workspace(folder.into()))
}

/// A test runs in its package's folder; whoever names a folder is likely one above.
fn from_workspace(folder: PathBuf) -> PathBuf {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&folder);
    if !folder.exists() && above.exists() { above } else { folder }
}

/// Runs every case of a folder by `run`, which is told the case's system. A folder without cases fails, and so does a
/// case that holds more than has been looked at.
pub(crate) fn run_folder(folder: &Path, run: &dyn Fn(&str, &Case) -> Result<()>) -> Result<Report> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "safetensors"));
    files.sort();
    ensure!(!files.is_empty(), "there are no cases in {}", folder.display());
    let mut report = Report::new();
    let mut failures = Vec::new();
    for file in &files {
        match run_file(file, run) {
            Ok((system, deviation)) => {
                let entry = report.entry(system).or_default();
                *entry = (entry.0 + 1, entry.1.max(deviation));
            }
            Err(error) => failures.push(format!("{}: {error:#}", file.display())),
        }
    }
    ensure!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), files.len(), failures.join("\n"));
    Ok(report)
}

fn run_file(file: &Path, run: &dyn Fn(&str, &Case) -> Result<()>) -> Result<(String, f64)> {
    let name = file.file_stem().and_then(|name| name.to_str()).context("the file's name is not text")?;
    let sizes = name.match_indices("_n").find(|(at, _)| name[at + 2..].starts_with(|c: char| c.is_ascii_digit()));
    let system = sizes.map_or(name, |(at, _)| &name[..at]);
    let case = Case::read(file)?;
    run(system, &case)?;
    case.finish()?;
    Ok((system.into(), case.deviation()))
}

/// The failure of a case that is about nothing known.
pub(crate) fn unknown(system: &str) -> Result<()> {
    bail!("there is no system {system:?}")
}

/// Prints a report.
pub(crate) fn print(folder: &Path, report: &Report) {
    for (system, (cases, deviation)) in report {
        println!("{system:12} {cases:4} cases, floats within {deviation:.1e} of the largest");
    }
    println!("{:12} {:4} cases in {}", "all", report.values().map(|(cases, _)| cases).sum::<usize>(), folder.display());
}
