//! The folder of a run: `config.toml`, `metrics.jsonl`, `checkpoint.tsc`, `model.tsm`.

use crate::file;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
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
        for file in [folder.checkpoint(), folder.metrics(), folder.model(), folder.config()] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::Write { path: file, source: error });
                }
                _ => {}
            }
        }
        Ok(folder)
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

    /// The exported model.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.tsm")
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
        let path = self.metrics();
        let append = || -> io::Result<()> {
            let mut line = serde_json::to_string(epoch)?;
            line.push('\n');
            fs::OpenOptions::new().create(true).append(true).open(&path)?.write_all(line.as_bytes())
        };
        append().map_err(|source| FolderError::Write { path: path.clone(), source })
    }

    /// Drops the lines of epochs that ended after `step`: a resumed run writes them again.
    ///
    /// # Errors
    /// [`FolderError::Read`] or [`FolderError::Write`].
    pub fn keep_metrics_until(&self, step: u64) -> Result<(), FolderError> {
        let path = self.metrics();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(FolderError::Read { path, source }),
        };
        let done = |line: &&str| serde_json::from_str::<Epoch>(line).is_ok_and(|epoch| epoch.step <= step);
        let kept: String = text.lines().filter(done).flat_map(|line| [line, "\n"]).collect();
        file::write_atomically(&path, kept.as_bytes()).map_err(|source| FolderError::Write { path, source })
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
    fn metrics_of_undone_epochs_are_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&parent.path().join("run"), false).unwrap();
        for step in [10, 20, 30] {
            folder.append_metrics(&epoch(step)).unwrap();
        }
        folder.keep_metrics_until(25).unwrap();
        let lines = fs::read_to_string(folder.metrics()).unwrap();
        let steps: Vec<u64> = lines.lines().map(|line| serde_json::from_str::<Epoch>(line).unwrap().step).collect();
        assert_eq!(steps, [10, 20]);
    }
}
