//! Archives of arrays: ZIP files whose entries are arrays.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::super::open::MOST_PER_PACKED_BYTE;
use super::super::{DataError, Source};
use super::content::Content;
use super::{Pair, Place, assemble};

/// What arrays are called: samples and labels to train on, samples and labels to test on. Capitals make no difference.
const NAMES: [[Option<&str>; 4]; 5] = [
    [Some("x_train"), Some("y_train"), Some("x_test"), Some("y_test")],
    [Some("train_images"), Some("train_labels"), Some("test_images"), Some("test_labels")],
    [Some("x"), Some("y"), None, None],
    [Some("data"), Some("labels"), None, None],
    [Some("images"), Some("labels"), None, None],
];

/// Reads the archive at `path`.
pub(in super::super) fn read(path: &Path) -> Result<Source, DataError> {
    let mut archive = Archive::open(path)?;
    let names = archive.names.clone();
    let is_there = |name: &Option<&str>| name.is_some_and(|name| position(&names, name).is_some());
    let [samples, labels, test_samples, test_labels] =
        NAMES.into_iter().find(|[samples, ..]| is_there(samples)).unwrap_or(NAMES[0]);
    let train = archive.pair(samples, labels)?;
    let has_test = is_there(&test_samples) || is_there(&test_labels);
    let test = has_test.then(|| archive.pair(test_samples, test_labels)).transpose()?;
    assemble(train, test)
}

fn position(names: &[String], name: &str) -> Option<usize> {
    names.iter().position(|found| found.eq_ignore_ascii_case(name))
}

struct Archive<'a> {
    path: &'a Path,
    /// Bytes of the archive.
    bytes: u64,
    entries: ZipArchive<BufReader<File>>,
    /// Names of the arrays, in the order of the entries.
    names: Vec<String>,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let refused = |source| DataError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(refused)?;
        let bytes = file.metadata().map_err(refused)?.len();
        let entries = ZipArchive::new(BufReader::new(file))
            .map_err(|source| DataError::Archive { path: path.to_owned(), source })?;
        let name = |name: &[u8]| {
            let name = String::from_utf8_lossy(name);
            name.strip_suffix(".npy").unwrap_or(&name).to_owned()
        };
        let names = entries.file_names_raw().map(name).collect();
        Ok(Self { path, bytes, entries, names })
    }

    fn pair(&mut self, samples: Option<&str>, labels: Option<&str>) -> Result<Pair, DataError> {
        let samples = self.array(samples.unwrap_or_default(), |content| content.into_samples())?;
        let labels = self.array(labels.unwrap_or_default(), |content| content.into_labels())?;
        Pair::new(samples, labels)
    }

    fn array<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(Content<'_>) -> Result<T, DataError>,
    ) -> Result<(Place, T), DataError> {
        let path = self.path;
        let missing =
            || DataError::MissingArray { path: path.to_owned(), missing: name.to_owned(), found: self.names.clone() };
        let index = position(&self.names, name).ok_or_else(missing)?;
        let place = Place { path: path.to_owned(), array: self.names[index].clone() };
        let mut entry =
            self.entries.by_index(index).map_err(|source| DataError::Archive { path: path.to_owned(), source })?;
        // The sizes in an archive are claims; the archive's own is a fact.
        let stored = entry.compressed_size().min(self.bytes);
        let most = match entry.compression() {
            CompressionMethod::Stored => stored,
            _ => stored.saturating_mul(MOST_PER_PACKED_BYTE),
        };
        let array = read(Content { reader: &mut entry, stored, most, place: &place })?;
        Ok((place, array))
    }
}
