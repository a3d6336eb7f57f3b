//! Where a report takes what it shows from: a run that has just ended, or the folder of any run, as far as it has come.

use super::{PlotError, Report, html};
use crate::backend::Backend;
use crate::backend::cpu::CpuBackend;
use crate::checkpoint::{self, CheckpointError, StateReader};
use crate::config::Config;
use crate::data::Prepared;
use crate::export::Exported;
use crate::network::Network;
use crate::run::{self, FolderError, Judgement, Outcome, Run, RunError, RunFolder};
use std::path::{Path, PathBuf};
use thiserror::Error;
use trishift::Model;
use trishift_format::{Layout, ParseError};

/// Why there is no report.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A picture.
    #[error(transparent)]
    Plot(#[from] PlotError),
    /// The run's model file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The run's model file is damaged.
    #[error("{path} cannot be used: {fault}", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: ParseError,
    },
}

impl From<FolderError> for ReportError {
    fn from(error: FolderError) -> Self {
        Self::Run(error.into())
    }
}

impl From<CheckpointError> for ReportError {
    fn from(error: CheckpointError) -> Self {
        Self::Run(error.into())
    }
}

/// The report about a run that has ended, from what it knows already.
///
/// # Errors
/// [`ReportError`].
pub fn of_finished(run: &mut Run<'_>, outcome: &Outcome) -> Result<String, ReportError> {
    let records = run.export(Layout::Groups)?.file.len();
    let folder = run.folder();
    let (epochs, flips) = (folder.read_metrics()?, folder.read_flips()?);
    let file = read(&outcome.model)?;
    let report = Report {
        config: run.config(),
        epochs: &epochs,
        flips: &flips,
        step: run.step(),
        total_steps: Some(run.total_steps()),
        data: Some(run.data()),
        model: Some(parse(&file, &outcome.model)?),
        records: Some(records),
        judgement: Some(&outcome.judgement),
        narrowing: Some(outcome.narrowing),
        notes: &[],
    };
    Ok(html(&report)?)
}

/// The report about the run in a folder as its checkpoint has it, with samples from `data` or from where it was trained. Where its
/// samples are gone, the report says so and shows what needs none; the second value is what it says. While copies of recordings are
/// made, `progress` is called as by [`run::load_watched`].
///
/// # Errors
/// [`ReportError`] where something in the folder is damaged, and where `data` was given and is not the run's.
pub fn of_folder(
    folder: &RunFolder,
    data: Option<&Path>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(String, Vec<String>), ReportError> {
    let path = folder.checkpoint();
    let bytes = checkpoint::read(&path)?;
    let reader = StateReader::new(&bytes, &path)?;
    let mut config = reader.config()?;
    let (epochs, flips, step) = (folder.read_metrics()?, folder.read_flips()?, reader.step()?);
    // What came after the checkpoint is not in it.
    let epochs: Vec<_> = epochs.into_iter().filter(|epoch| epoch.step <= step).collect();
    let flips: Vec<_> = flips.into_iter().filter(|flips| flips.step <= step).collect();
    let file = if folder.model().exists() { Some(read(&folder.model())?) } else { None };
    // Damage is told before minutes are spent on samples.
    let left = file.as_deref().map(|file| parse(file, &folder.model())).transpose()?;
    if let Some(path) = data {
        config.data.path = Some(path.into());
    }
    let mut notes = Vec::new();
    let judged = match judge(&config, &reader, progress) {
        Ok(judged) => Some(judged),
        // Whoever names the samples wants to know what is wrong with them.
        Err(error) if data.is_some() || !is_about_data(&error) => return Err(error.into()),
        Err(error) => {
            notes.push(format!("The run's samples cannot be read: {}. Name them with --data.", sentence(&error)));
            None
        }
    };
    let total_steps = judged.as_ref().map(|judged| run::total_steps(&config, judged.data.train.len()));
    if total_steps.is_some_and(|total| step < total) {
        notes.push("The run is unfinished: the network is shown as its last checkpoint has it.".into());
    }
    let exported = judged.as_ref().map(|judged| parse(&judged.exported.file, &folder.model())).transpose()?;
    if let (Some(judged), Some(file)) = (&judged, &file)
        && judged.exported.file != *file
    {
        notes.push(
            "model.tsm in the run's folder is not what its checkpoint gives: it was written by another version or before the run went \
             on. The network is shown as the checkpoint has it."
                .into(),
        );
    }
    if judged.is_none() && left.is_none() {
        notes.push("There is no model.tsm yet either, so nothing can be said about the network.".into());
    }
    let report = Report {
        config: &config,
        epochs: &epochs,
        flips: &flips,
        step,
        total_steps,
        data: judged.as_ref().map(|judged| &judged.data),
        model: exported.or(left),
        records: judged.as_ref().map(|judged| judged.records),
        judgement: judged.as_ref().map(|judged| &judged.judgement),
        narrowing: judged.as_ref().map(|judged| judged.exported.narrowing),
        notes: &notes,
    };
    Ok((html(&report)?, notes))
}

/// A run's state with its samples.
struct Judged {
    data: Prepared,
    exported: Exported,
    records: usize,
    judgement: Judgement,
}

/// Exports the checkpoint's state and judges it, on the processor.
fn judge(
    config: &Config,
    reader: &StateReader<'_>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Judged, RunError> {
    let data = run::load_watched(config, progress)?;
    reader.progress(checkpoint::fingerprint(&data))?;
    let network = Network::resolve(config, data.train.shape, data.classes.len())?;
    network.check_trainable()?;
    let mut backend = CpuBackend::new(config, &network, &data.train);
    backend.load(reader)?;
    let exported = run::export_state(config, &data, &network, backend.layers()?, Layout::Rows)?;
    let records = run::export_state(config, &data, &network, backend.layers()?, Layout::Groups)?.file.len();
    let judgement = run::judge(&exported, &data, &mut backend)?;
    drop(backend);
    Ok(Judged { data, exported, records, judgement })
}

/// Whether it is the samples that are missing or others.
fn is_about_data(error: &RunError) -> bool {
    matches!(error, RunError::Data(_) | RunError::Checkpoint(CheckpointError::OtherData))
}

/// An error and its causes.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text += &format!(": {more}");
        }
        cause = error.source();
    }
    text
}

fn read(path: &Path) -> Result<Vec<u8>, ReportError> {
    std::fs::read(path).map_err(|source| ReportError::Read { path: path.into(), source })
}

fn parse<'a>(file: &'a [u8], path: &Path) -> Result<Model<'a>, ReportError> {
    Model::parse(file).map_err(|fault| ReportError::Model { path: path.into(), fault })
}
