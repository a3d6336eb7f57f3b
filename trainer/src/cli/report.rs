//! `trishift report`: a run as a page.

use super::output::{self, say, tell, thousands};
use super::progress::Copies;
use super::settings;
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use trishift_trainer::file;
use trishift_trainer::report;
use trishift_trainer::run::{Outcome, Run, RunFolder};

/// Options of `report`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  trishift report runs/mnist
  trishift report runs/mnist --data elsewhere/mnist --out mnist.html

One HTML file that loads nothing: loss and accuracy, what is taken for what and the worst samples, trits and exponents \
of every layer, flips, what the export changed, the memory map, and what the network costs on microcontrollers. `train` \
leaves one in its run's folder when it ends. A run that is unfinished, or still going on, is shown as its last checkpoint \
has it; where the samples are gone, the report shows what needs none.")]
pub(super) struct Arguments {
    /// The run's folder.
    run: PathBuf,
    /// The file to write [default: report.html in the run's folder, in place of the one before].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The samples of the run, if they are not where they were.
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Replace the file that --out names.
    #[arg(long)]
    overwrite: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let folder = RunFolder::open(&arguments.run)?;
    let path = arguments.out.clone().unwrap_or_else(|| folder.report());
    let out = path.display();
    let is_free = arguments.out.is_none() || arguments.overwrite || !path.exists();
    anyhow::ensure!(is_free, "{out} exists; replace it with --overwrite");
    let copies = Copies::new(arguments.json)?;
    let data = settings::data(arguments.data.as_ref());
    let made = report::of_folder(&folder, data.as_deref(), &|made, total| copies.made(made, total));
    copies.finish();
    let (html, notes) = made?;
    write(&path, &html)?;
    if arguments.json {
        return output::json(&json!({ "report": path, "bytes": html.len(), "notes": notes }));
    }
    notes.iter().for_each(|note| tell!("{note}"));
    say!("{out}: {} bytes", thousands(html.len() as u64));
    Ok(())
}

/// Leaves the report of a run that has ended in its folder. What fails is told and no more: the run is trained and its model
/// written.
pub(super) fn leave(run: &mut Run<'_>, outcome: &Outcome) {
    let path = run.folder().report();
    let written = report::of_finished(run, outcome).map_err(anyhow::Error::new).and_then(|html| write(&path, &html));
    if let Err(error) = written {
        output::warning("the run is done, but there is no report of it", &error);
    }
}

fn write(path: &Path, html: &str) -> anyhow::Result<()> {
    file::write_atomically(path, html.as_bytes()).with_context(|| format!("cannot write the report {}", path.display()))
}
