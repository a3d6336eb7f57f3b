//! Arrays as NumPy saves them: two files in a folder (NPY), or two entries of an archive (NPZ).
//!
//! One array holds the samples, `[n, …]` with one to three sizes after their number, the other a whole number for each:
//! its label. Classes are ordered by value. Arrays whose values are all whole numbers from 0 to 255 become
//! [`Values::U8`], any others [`Values::F32`].
//!
//! Headers are read by our own parser, because what an array's header says decides how much is read: it is held against
//! the real length of the file, and nothing is allocated for values before they are there.

mod archive;
mod content;
mod element;
mod header;

use std::path::{Path, PathBuf};

use super::labels::Classes;
use super::locate::FilePair;
use super::open::open;
use super::{ArrayFault, DataError, Samples, Source, Values};

pub(super) use archive::read as read_archive;

use content::Content;

/// Where an array lies, for messages.
#[derive(Clone, Debug)]
struct Place {
    path: PathBuf,
    array: String,
}

impl Place {
    fn fault(&self, fault: ArrayFault) -> DataError {
        DataError::Array { path: self.path.clone(), array: self.array.clone(), fault }
    }
}

/// An array of samples and an array of labels, which have no classes yet.
struct Pair {
    samples: Place,
    shape: [usize; 3],
    values: Values,
    labels: Place,
    numbers: Vec<i64>,
}

/// Reads the arrays of a folder.
pub(super) fn read_files(train: &FilePair, test: Option<&FilePair>) -> Result<Source, DataError> {
    let pair = |files: &FilePair| {
        let samples = read_file(&files.samples, |content| content.into_samples())?;
        let labels = read_file(&files.labels, |content| content.into_labels())?;
        Pair::new(samples, labels)
    };
    assemble(pair(train)?, test.map(pair).transpose()?)
}

fn read_file<T>(path: &Path, read: impl FnOnce(Content<'_>) -> Result<T, DataError>) -> Result<(Place, T), DataError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let array = name.split('.').next().unwrap_or_default().to_owned();
    let place = Place { path: path.to_owned(), array };
    let mut opened = open(path)?;
    let most = opened.most_bytes();
    let content = Content { reader: &mut opened.content, stored: opened.stored, most, place: &place };
    let array = read(content)?;
    Ok((place, array))
}

impl Pair {
    /// Puts samples and labels together; there must be as many of the one as of the other.
    fn new(
        (samples, (shape, values)): (Place, ([usize; 3], Values)),
        (labels, numbers): (Place, Vec<i64>),
    ) -> Result<Self, DataError> {
        let expected = values.len() / shape.iter().product::<usize>().max(1);
        match numbers.len() {
            found if found == expected => Ok(Self { samples, shape, values, labels, numbers }),
            found => Err(labels.fault(ArrayFault::Count { found, expected, samples: samples.array })),
        }
    }

    /// Numbers the labels; one that `classes` lacks is an error.
    fn into_samples(self, classes: &Classes) -> Result<Samples, DataError> {
        let unknown = |label: i64| DataError::UnknownLabel { path: self.labels.path.clone(), label: label.to_string() };
        let number = |&label: &i64| classes.find_number(label).ok_or_else(|| unknown(label));
        let labels = self.numbers.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        Ok(Samples::new(self.shape, self.values, labels))
    }
}

fn assemble(train: Pair, test: Option<Pair>) -> Result<Source, DataError> {
    let classes = Classes::among_numbers(&train.numbers, &train.labels.path)?;
    if let Some(test) = &test
        && test.shape != train.shape
    {
        let fault = ArrayFault::OtherShape { found: test.shape, expected: train.shape };
        return Err(test.samples.fault(fault));
    }
    Ok(Source {
        train: train.into_samples(&classes)?,
        test: test.map(|test| test.into_samples(&classes)).transpose()?,
        classes: classes.names(),
        sequence: false,
        recordings: None,
    })
}

#[cfg(test)]
mod tests;
