//! Files with a JSON object on every line, which grow while a run goes on.
//!
//! They are appended to, not written aside: a line that has no end is one that is being written, or was when the machine
//! stopped, and does not count.

use super::flips::Flips;
use super::folder::{Epoch, FolderError};
use crate::file;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// What a line holds.
pub(super) trait Record: Serialize + DeserializeOwned {
    /// Updates done when it was made.
    fn step(&self) -> u64;
}

impl Record for Epoch {
    fn step(&self) -> u64 {
        self.step
    }
}

impl Record for Flips {
    fn step(&self) -> u64 {
        self.step
    }
}

/// Adds a line.
pub(super) fn append(path: &Path, record: &impl Record) -> Result<(), FolderError> {
    let append = || -> io::Result<()> {
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        fs::OpenOptions::new().create(true).append(true).open(path)?.write_all(line.as_bytes())
    };
    append().map_err(|source| FolderError::Write { path: path.into(), source })
}

/// All records; none where there is no file.
pub(super) fn read<R: Record>(path: &Path) -> Result<Vec<R>, FolderError> {
    let text = text(path)?;
    let parse = |(index, line)| {
        serde_json::from_str(line).map_err(|_| FolderError::Record { path: path.into(), line: index + 1 })
    };
    whole_lines(&text).enumerate().map(parse).collect()
}

/// Drops the records that were made after `step`, and what is none.
pub(super) fn keep_until<R: Record>(path: &Path, step: u64) -> Result<(), FolderError> {
    let text = text(path)?;
    let is_kept = |line: &&str| serde_json::from_str::<R>(line).is_ok_and(|record| record.step() <= step);
    let kept: String = whole_lines(&text).filter(is_kept).collect();
    if kept == text {
        return Ok(());
    }
    file::write_atomically(path, kept.as_bytes()).map_err(|source| FolderError::Write { path: path.into(), source })
}

fn text(path: &Path) -> Result<String, FolderError> {
    match fs::read(path) {
        // What is no text is no record either, and is told so by its line.
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(FolderError::Read { path: path.into(), source }),
    }
}

fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flips(step: u64) -> Flips {
        Flips { since: 0, step, changed: vec![], of: vec![] }
    }

    #[test]
    fn records_are_read_as_far_as_they_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("flips.jsonl");
        assert_eq!(read::<Flips>(&path).unwrap(), []);
        keep_until::<Flips>(&path, 3).unwrap();
        assert!(!path.exists());
        append(&path, &flips(1)).unwrap();
        append(&path, &flips(2)).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole, &b"{\"since\":0,\"st"[..]].concat()).unwrap();
        assert_eq!(read::<Flips>(&path).unwrap(), [flips(1), flips(2)]);
        // The next record does not join what was broken off.
        keep_until::<Flips>(&path, 2).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
        fs::write(&path, [&whole, &b"\xFF\n"[..]].concat()).unwrap();
        let error = read::<Flips>(&path).unwrap_err().to_string();
        assert!(error.ends_with("flips.jsonl is damaged: its line 3 is no record of a run"), "{error}");
    }
}
