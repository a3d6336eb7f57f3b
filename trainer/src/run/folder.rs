//! The folder of a run: `config.toml`, `metrics.jsonl`, `checkpoint.tsc`, `flips.jsonl`,
//! `model.tsm`, `report.html`.

use super::flips::Flips;
use super::journal;
use crate::file;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

/// Why a folder cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// It is there already.
    #[error("{path} exists; continue it with --resume {path}, replace it with --overwrite, or name another --out", path = path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// It is not a run's folder.
    #[error("{path} holds no run: there is no checkpoint.tsc in it; name a folder that train --out has made", path = path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Its run has left no checkpoint.
    #[error(
        "the run in {path} was stopped before its first checkpoint; \
         begin it again with --config {path}/config.toml --out {path} --overwrite",
        path = path.display()
    )]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("cannot make the folder {path}", path = path.display())]
    Create {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file in it cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file in it cannot be written.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line of a file with a record on each is none.
    #[error("{path} is damaged: its line {line} is no record of a run", path = path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// The epoch, from 1.
    pub epoch: u64,
    /// Updates done at its end.
    pub step: u64,
    /// Mean loss of the epoch's training samples, each as it was trained on.
    pub loss: f64,
    /// Share of them answered right, each as it was trained on.
    pub train_accuracy: f64,
    /// Accuracy on the validation samples after the epoch, where there are any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub validation_accuracy: Option<f64>,
    /// Samples a second inside the training loop.
    pub samples_per_second: f64,
}

impl RunFolder {
    /// Makes a new folder. With `overwrite`, a run's files in an existing one are removed first; other files stay.
    ///
    /// # Errors
    /// [`FolderError::Exists`] where the folder is there and not empty, [`FolderError::Create`] or
    /// [`FolderError::Write`].
    pub fn create(path: &Path, overwrite: bool) -> Result<Self, FolderError> {
        let folder = Self { path: path.into() };
        let create = |source| FolderError::Create { path: path.into(), source };
        let occupied = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(create(error)),
        };
        if occupied && !overwrite {
            return Err(FolderError::Exists { path: path.into() });
        }
        fs::create_dir_all(path).map_err(create)?;
        folder.remove_leftovers();
        let files =
            [folder.checkpoint(), folder.metrics(), folder.flips(), folder.model(), folder.config(), folder.report()];
        for file in files {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::Write { path: file, source: error });
                }
                _ => {}
            }
        }
        Ok(folder)
    }

    /// A folder that another worker of the run looks after: it need not be there.
    pub fn at(path: &Path) -> Self {
        Self { path: path.into() }
    }

    /// A folder that holds a run.
    ///
    /// # Errors
    /// [`FolderError::NoRun`] where it holds none, [`FolderError::NoCheckpoint`] where it holds only the beginning of one.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let folder = Self { path: path.into() };
        match (folder.checkpoint().is_file(), folder.config().is_file()) {
            (true, _) => Ok(folder),
            (false, true) => Err(FolderError::NoCheckpoint { path: path.into() }),
            (false, false) => Err(FolderError::NoRun { path: path.into() }),
        }
    }

    /// Removes what a process left that was killed while it wrote a file. What cannot be removed does no harm.
    pub fn remove_leftovers(&self) {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(file::ASIDE_PREFIX)) {
            let _ = fs::remove_file(entry.path());
        }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration, for people; a run resumes from the copy in its checkpoint.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.toml")
    }

    /// The latest checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.tsc")
    }

    /// One JSON object for each epoch.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// One JSON object for each look at the weights that have changed.
    pub fn flips(&self) -> PathBuf {
        self.path.join("flips.jsonl")
    }

    /// The exported model.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.tsm")
    }

    /// The report about the run.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// Writes the configuration.
    ///
    /// # Errors
    /// [`FolderError::Write`].
    pub fn write_config(&self, toml: &str) -> Result<(), FolderError> {
        let path = self.config();
        file::write_atomically(&path, toml.as_bytes()).map_err(|source| FolderError::Write { path, source })
    }

    /// Appends an epoch's line.
    ///
    /// # Errors
    /// [`FolderError::Write`].
    pub fn append_metrics(&self, epoch: &Epoch) -> Result<(), FolderError> {
        journal::append(&self.metrics(), epoch)
    }

    /// Appends a line about weights that have changed.
    ///
    /// # Errors
    /// [`FolderError::Write`].
    pub fn append_flips(&self, flips: &Flips) -> Result<(), FolderError> {
        journal::append(&self.flips(), flips)
    }

    /// The epochs that have ended.
    ///
    /// # Errors
    /// [`FolderError::Read`], [`FolderError::Record`].
    pub fn read_metrics(&self) -> Result<Vec<Epoch>, FolderError> {
        journal::read(&self.metrics())
    }

    /// The records of weights that have changed.
    ///
    /// # Errors
    /// As [`read_metrics`](Self::read_metrics).
    pub fn read_flips(&self) -> Result<Vec<Flips>, FolderError> {
        journal::read(&self.flips())
    }

    /// Drops the lines about what came after `step`: a resumed run writes them again.
    ///
    /// # Errors
    /// [`FolderError::Read`] or [`FolderError::Write`].
    pub fn keep_until(&self, step: u64) -> Result<(), FolderError> {
        journal::keep_until::<Epoch>(&self.metrics(), step)?;
        journal::keep_until::<Flips>(&self.flips(), step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(step: u64) -> Epoch {
        let epoch = step / 10;
        Epoch { epoch, step, loss: 0.5, train_accuracy: 0.75, validation_accuracy: None, samples_per_second: 1.0 }
    }

    #[test]
    fn an_occupied_folder_is_refused_and_only_the_runs_files_are_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("run");
        let folder = RunFolder::create(&path, false).unwrap();
        folder.append_metrics(&epoch(10)).unwrap();
        folder.append_flips(&Flips { since: 0, step: 10, changed: vec![1], of: vec![2] }).unwrap();
        fs::write(folder.report(), "<!DOCTYPE html>").unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        fs::write(path.join(".trishift-x1y2"), "half a checkpoi").unwrap();
        let error = RunFolder::create(&path, false).unwrap_err().to_string();
        assert!(error.contains("--resume") && error.contains("--overwrite"), "{error}");
        RunFolder::create(&path, true).unwrap();
        let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }

    #[test]
    fn folders_without_a_checkpoint_say_what_to_do() {
        let parent = tempfile::tempdir().unwrap();
        let error = RunFolder::open(parent.path()).unwrap_err().to_string();
        assert!(error.contains("holds no run") && error.contains("--out"), "{error}");
        let folder = RunFolder::create(&parent.path().join("run"), false).unwrap();
        folder.write_config("").unwrap();
        let error = RunFolder::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("before its first checkpoint") && error.contains("--overwrite"), "{error}");
    }

    #[test]
    fn what_was_recorded_about_undone_steps_is_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&parent.path().join("run"), false).unwrap();
        let flips = |step| Flips { since: step - 5, step, changed: vec![1, 2], of: vec![9, 9] };
        for step in [10, 20, 30] {
            folder.append_metrics(&epoch(step)).unwrap();
            folder.append_flips(&flips(step)).unwrap();
            folder.append_flips(&flips(step + 5)).unwrap();
        }
        folder.keep_until(25).unwrap();
        assert_eq!(folder.read_metrics().unwrap(), [epoch(10), epoch(20)]);
        assert_eq!(folder.read_flips().unwrap(), [10, 15, 20, 25].map(flips));
    }
}
