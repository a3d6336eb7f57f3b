//! From files to the int8 samples a network sees, in three steps that each can be read alone.
//!
//! 1. [`read`] turns a path into a [`Source`]: raw values exactly as the files hold them, labels as indices. [`digits`]
//!    does the same for the small data set that comes with the program.
//! 2. [`split`] divides the samples into training, validation and test parts, by a seed and nothing else.
//! 3. [`scaling`] chooses how raw values become int8, from the training part alone, and [`prepare`] applies it.
//!
//! Two promises hold for the whole module. Any file, however broken, gives a [`DataError`] that names it and says what to
//! do, never a panic, and never an allocation that its real size does not justify. And the same files, options and seed
//! give the same bytes on every machine, whatever its number of threads.

mod arrays;
pub mod audio;
pub mod augment;
mod class_folders;
mod csv;
mod dataset;
pub mod digits;
mod error;
mod faults;
mod idx;
mod labels;
mod locate;
mod open;
mod part;
mod png;
mod quantize;
mod rows;
pub mod scaling;
mod sheets;
pub mod split;
mod text;

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use audio::{AudioOptions, Recordings};
pub use augment::Augmentation;
pub use dataset::{Dataset, Prepared, prepare, prepare_watched, prepare_with};
pub use error::DataError;
pub use faults::{ArrayFault, IdxFault, ImageFault, RecordingFault, TableFault};
pub use part::Part;
pub use quantize::quantize;
pub use scaling::ScalingMode;
pub use split::{Split, SplitOptions, permutation};

/// Raw values, sample after sample, in the narrowest of two types that holds them exactly.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Pixels, text, or other values that are all whole numbers from 0 to 255.
    U8(Vec<u8>),
    /// Anything else.
    F32(Vec<f32>),
}

impl Values {
    /// Number of values: samples × features, unless samples overlap.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }

    /// True where there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a value; the first one that is no byte makes reals of all before it.
    fn push(&mut self, value: f32) {
        match self {
            Self::F32(values) => values.push(value),
            Self::U8(values) if f32::from(value as u8) == value => values.push(value as u8),
            Self::U8(values) => {
                let mut reals: Vec<f32> = values.iter().copied().map(f32::from).collect();
                reals.push(value);
                *self = Self::F32(reals);
            }
        }
    }
}

/// Labelled samples as their file holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// Height, width and channels of one sample; a row of a table is `[1, 1, columns]`.
    pub shape: [usize; 3],
    /// Values from the start of one sample to that of the next: all of a sample's, or fewer where samples overlap.
    pub stride: usize,
    /// The raw values; without overlap, row-major `[samples, height, width, channels]`.
    pub values: Values,
    /// One label a sample: an index into [`Source::classes`].
    pub labels: Vec<u16>,
}

impl Samples {
    /// Samples that do not overlap.
    pub fn new(shape: [usize; 3], values: Values, labels: Vec<u16>) -> Self {
        let mut samples = Self { shape, stride: 0, values, labels };
        samples.stride = samples.features();
        samples
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True where there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values of one sample: height × width × channels (`usize::MAX` where that overflows).
    pub fn features(&self) -> usize {
        self.shape.iter().fold(1, |product: usize, &size| product.saturating_mul(size))
    }

    /// The fields are public, so whoever indexes by them checks first that they agree.
    fn check(&self) -> Result<(), DataError> {
        let (features, stride) = (self.features(), self.stride);
        let values = match self.len() {
            0 => Some(0),
            samples => (samples - 1).checked_mul(stride).and_then(|starts| starts.checked_add(features)),
        };
        if !(1..=features).contains(&stride) || values != Some(self.values.len()) {
            let (samples, values) = (self.len(), self.values.len());
            return Err(DataError::InconsistentSamples { shape: self.shape, stride, samples, values });
        }
        Ok(())
    }
}

/// A data set as its files hold it.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The samples to train on; where `test` is absent, the samples to test on are split from them.
    pub train: Samples,
    /// The samples of the data set's own test files, of the same shape as `train`.
    pub test: Option<Samples>,
    /// Names of the classes, in the order of their labels.
    pub classes: Vec<String>,
    /// Whether the samples follow each other, each with the next one's values in it or for its label. Such samples are
    /// divided into consecutive pieces, never at random.
    pub sequence: bool,
    /// Of recordings what became of them, and what copies are made of.
    pub recordings: Option<Recordings>,
}

/// The column of a table that holds the labels.
///
/// Written `first`, `last`, or as the column's name in the header line; a column that is itself named `first` or `last`
/// can therefore be picked by its place only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum LabelColumn {
    /// The first column.
    First,
    /// The last column.
    #[default]
    Last,
    /// The column with this name in the header line.
    Name(String),
}

impl FromStr for LabelColumn {
    type Err = DataError;

    /// Fails for an empty name only: [`DataError::EmptyLabelColumn`].
    fn from_str(text: &str) -> Result<Self, DataError> {
        match text.trim() {
            "" => Err(DataError::EmptyLabelColumn),
            "first" => Ok(Self::First),
            "last" => Ok(Self::Last),
            name => Ok(Self::Name(name.to_owned())),
        }
    }
}

impl fmt::Display for LabelColumn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::First => "first",
            Self::Last => "last",
            Self::Name(name) => name,
        })
    }
}

/// What a path alone does not say about a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// Where a table's labels are; the last column unless said otherwise. Nothing but tables uses it.
    pub label: LabelColumn,
    /// Bytes of a sample of text, at least 1; [`DEFAULT_CONTEXT`] unless said otherwise. Nothing but text uses it.
    pub context: u32,
    /// What becomes of recordings. Nothing but recordings uses it.
    pub audio: AudioOptions,
}

/// Bytes of a sample of text where nobody says otherwise.
pub const DEFAULT_CONTEXT: u32 = 16;

impl Default for ReadOptions {
    fn default() -> Self {
        Self { label: LabelColumn::default(), context: DEFAULT_CONTEXT, audio: AudioOptions::default() }
    }
}

/// Reads the data set at `path`.
///
/// | `path` | read as |
/// |---|---|
/// | a folder with `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, and perhaps the `t10k-` pair | images (MNIST's format) |
/// | a folder with `data_batch_1.png` and `train_lables.json`, and perhaps `test_batch.png` and `test_lables.json` | sheets of images (CIFAR-10) |
/// | a folder with `x_train.npy` and `y_train.npy`, and perhaps `x_test.npy` and `y_test.npy`; or `x.npy` and `y.npy` | arrays |
/// | a folder with exactly one `.npz` file and no table, or such a file itself | arrays |
/// | a folder with `*.wav` files, or with a folder `recordings` of them | recordings, called by what they are of |
/// | a folder with `train.csv` and `test.csv` | a table with its own test rows |
/// | a folder with exactly one `.csv` file, or such a file itself | a table |
/// | a folder with `train/CLASS/*.wav`, and perhaps `test/CLASS/*.wav`; or with `CLASS/*.wav` | recordings |
/// | a folder with `train/CLASS/*.png`, and perhaps `test/CLASS/*.png`; or with `CLASS/*.png` | images |
/// | a folder with `train.txt` and `test.txt` | text with its own text to test on |
/// | a folder with exactly one `.txt` file, or such a file itself | text |
///
/// A folder is what the first of these lines that fits says; text beside tables or images is taken for notes. Each name
/// but an archive's and a PNG's may carry `.gz`, image files may be spelt with a dot (`train-images.idx3-ubyte`), and where
/// a file lies there both plain and with `.gz` the plain one is read. Whether content is compressed is decided by its first
/// bytes, not by its name.
///
/// PNG images are grey or RGB with 8 bits a channel, all of one size. The classes of folders are called as these are, and
/// ordered as the labels of tables. A sheet has one image in each row, `side · side` pixels of it; sheets are numbered, any
/// number of them, and the file of labels, a JSON array of numbers, may be spelt `train_labels.json`, too. Ten classes of
/// sheets are called as CIFAR-10's.
///
/// A row of a table is a sample. The first row is a header where all its features are text, or where
/// [`ReadOptions::label`] names a column; name it where columns are called by numbers. Labels may be whole numbers or
/// text, and the classes are ordered by value or alphabetically, accordingly.
///
/// Arrays of samples are `[n, …]` with one to three sizes after their number, arrays of labels `[n]` or `[n, 1]`. An archive
/// calls them as a folder does, or `train_images`, `train_labels`, `test_images` and `test_labels`, `data` and `labels`,
/// `images` and `labels`.
///
/// Text is bytes: [`ReadOptions::context`] of them are a sample, the byte that follows is its label, and a sample begins
/// at every byte.
///
/// # Errors
///
/// Anything else at `path`, and any file that is not exactly what its format asks for, gives a [`DataError`].
pub fn read(path: &Path, options: &ReadOptions) -> Result<Source, DataError> {
    match locate::locate(path)? {
        locate::Files::Images { train, test } => idx::read(&train, test.as_ref()),
        locate::Files::Sheets { train, test } => sheets::read(&train, test.as_ref()),
        locate::Files::ClassFolders { train, test } => class_folders::read(&train, test.as_deref()),
        locate::Files::Recordings(folder) => audio::read_folder(&folder, &options.audio),
        locate::Files::RecordingFolders { train, test } => audio::read_folders(&train, test.as_deref(), &options.audio),
        locate::Files::Arrays { train, test } => arrays::read_files(&train, test.as_ref()),
        locate::Files::Archive(path) => arrays::read_archive(&path),
        locate::Files::Table { train, test } => csv::read(&train, test.as_deref(), &options.label),
        locate::Files::Text { train, test } => text::read(&train, test.as_deref(), options.context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_column_survives_text() {
        for column in [LabelColumn::First, LabelColumn::Last, LabelColumn::Name("species".into())] {
            assert_eq!(column.to_string().parse::<LabelColumn>().unwrap(), column);
        }
        assert_eq!(LabelColumn::default(), LabelColumn::Last);
        assert!(matches!(" ".parse::<LabelColumn>(), Err(DataError::EmptyLabelColumn)));
    }

    #[test]
    fn samples_whose_fields_disagree_are_found() {
        let good = Samples::new([1, 1, 2], Values::U8(vec![0; 6]), vec![0; 3]);
        assert!(good.check().is_ok());
        assert_eq!((good.len(), good.features(), good.values.is_empty()), (3, 2, false));
        for shape in [[1, 1, 3], [1, 0, 2], [usize::MAX, 2, 1]] {
            let bad = Samples { shape, ..good.clone() };
            assert!(matches!(bad.check(), Err(DataError::InconsistentSamples { .. })), "{shape:?}");
        }
        let overlapping = |stride, samples| Samples { stride, labels: vec![0; samples], ..good.clone() };
        assert!(overlapping(1, 5).check().is_ok());
        for (stride, samples) in [(0, 5), (0, 1), (1, 6), (1, 0), (2, 2), (4, 2), (usize::MAX, 3)] {
            let outcome = overlapping(stride, samples).check();
            assert!(matches!(outcome, Err(DataError::InconsistentSamples { .. })), "{stride} {samples}");
        }
        assert!(Samples::new([1, 1, 2], Values::U8(vec![]), vec![]).check().is_ok());
    }

    #[test]
    fn a_folder_is_read_by_what_lies_in_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train.csv"), "1,2,a\n3,4,b\n").unwrap();
        std::fs::write(folder.path().join("test.csv"), "5,6,b\n").unwrap();
        let source = read(folder.path(), &ReadOptions::default()).unwrap();
        assert_eq!(source.test.map(|test| test.labels), Some(vec![1]));
        let alone = read(&folder.path().join("train.csv"), &ReadOptions::default()).unwrap();
        assert_eq!((alone.train, alone.test), (source.train, None));
    }
}
