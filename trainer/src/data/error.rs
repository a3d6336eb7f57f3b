//! Everything that can be wrong with a data set, one variant a cause.
//!
//! Each message is one sentence that names the file where there is one, says what was found there, and what to do about
//! it. Causes from the operating system are kept as the error's source and are not repeated in the message.

use std::path::PathBuf;

use super::ScalingMode;
use super::faults::{ArrayFault, IdxFault, ImageFault, RecordingFault, TableFault, listing};

/// Why a data set could not be read, split or quantised.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    // Files.
    /// The operating system, or the decompressor, refused.
    #[error("cannot read {path}; check that it exists, may be read and is intact")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was refused.
        source: std::io::Error,
    },
    /// A folder without a data set.
    #[error(
        "no data set in the folder {path}; put train-images-idx3-ubyte and train-labels-idx1-ubyte there (each plain or \
         .gz), or x_train.npy and y_train.npy, or train.csv and test.csv, or exactly one .npz, .csv or .txt file, or a \
         folder of .png images or .wav recordings for each class, or .wav recordings; there is {}",
        listing(.found)
    )]
    NotRecognised {
        /// The folder.
        path: PathBuf,
        /// Names of the files in it, sorted, then those of the folders, each with a slash.
        found: Vec<String>,
    },
    /// A single file whose name says nothing about what it holds.
    #[error(
        "{path} is no data set by its name; give a .csv or .txt file (plain or .gz), an .npz file, or the folder that holds \
         images, recordings or .npy files"
    )]
    UnknownKind {
        /// The file.
        path: PathBuf,
    },
    /// Some of the files of samples and labels are there, others are not.
    #[error("the folder {path} lacks {missing}; add it")]
    MissingFile {
        /// The folder.
        path: PathBuf,
        /// Name of the absent file.
        missing: &'static str,
    },

    // Image and label files (IDX).
    /// Something is wrong inside a file of images or labels.
    #[error("{path} {fault}")]
    Idx {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: IdxFault,
    },
    /// Images and labels that do not belong together.
    #[error(
        "{images} holds {image_count} images but {labels} holds {label_count} labels; give files that belong together"
    )]
    CountMismatch {
        /// The file of images.
        images: PathBuf,
        /// The number of images.
        image_count: usize,
        /// The file of labels.
        labels: PathBuf,
        /// The number of labels.
        label_count: usize,
    },
    /// Test images of another size than training images.
    #[error("{test} holds images of {test_shape:?} but {train} of {train_shape:?}; give files that belong together")]
    ShapesDiffer {
        /// The file of training images.
        train: PathBuf,
        /// Height, width and channels there.
        train_shape: [usize; 3],
        /// The file of test images.
        test: PathBuf,
        /// Height, width and channels there.
        test_shape: [usize; 3],
    },

    // Images in PNG.
    /// No PNG, or not readable.
    #[error("cannot read {path} as a PNG image; check that it is whole and intact")]
    Png {
        /// The file.
        path: PathBuf,
        /// What the decoder refused.
        source: png::DecodingError,
    },
    /// An image that cannot be a sample.
    #[error("{path} {fault}")]
    Image {
        /// The file, or the folder of the class.
        path: PathBuf,
        /// What is wrong.
        fault: ImageFault,
    },
    /// No array of numbers.
    #[error("cannot read {path} as a JSON array of class numbers, such as [6,9,0]; check that it is intact")]
    LabelList {
        /// The file.
        path: PathBuf,
        /// What the reader refused.
        source: serde_json::Error,
    },

    // Recordings in WAV.
    /// No WAV, or not readable.
    #[error("cannot read {path} as a WAV recording; check that it is whole and intact")]
    Wav {
        /// The file.
        path: PathBuf,
        /// What the decoder refused.
        source: hound::Error,
    },
    /// A recording that cannot be a sample.
    #[error("{path} {fault}")]
    Recording {
        /// The file, or the folder of the class.
        path: PathBuf,
        /// What is wrong.
        fault: RecordingFault,
    },
    /// A pattern that takes no name apart.
    #[error(
        "the pattern of names is {text:?}; give fields with text between them, such as {{label}}_{{speaker}}_{{index}}"
    )]
    Pattern {
        /// The pattern given.
        text: String,
    },
    /// A field that is asked for and not there.
    #[error("the pattern {pattern} has no field {{{field}}}; give one that says where in a name it stands")]
    PatternWithout {
        /// The pattern.
        pattern: String,
        /// Name of the field.
        field: String,
    },
    /// A name that does not fit the pattern.
    #[error("the name of {path} does not fit the pattern {pattern}; rename it, remove it, or give another --pattern")]
    Name {
        /// The file.
        path: PathBuf,
        /// The pattern.
        pattern: String,
    },
    /// A condition that is none.
    #[error("the condition is {text:?}; give a field and its values, such as speaker=george or index=0-4")]
    Condition {
        /// The condition given.
        text: String,
    },
    /// A condition that leaves a part empty.
    #[error("{condition} holds for {part} in {path}; give one that some of them meet")]
    ConditionMeets {
        /// The folder.
        path: PathBuf,
        /// The condition.
        condition: String,
        /// "no recording" or "all recordings".
        part: &'static str,
    },
    /// Test recordings named twice.
    #[error("the folders of recordings have a part test of their own; leave test-where out instead of {condition}")]
    OwnTestRecordings {
        /// The condition given.
        condition: String,
    },
    /// Features that cannot be computed.
    #[error("the audio front end cannot be used")]
    FrontEnd {
        /// What is wrong with its configuration.
        source: super::audio::AudioError,
    },

    // Arrays (NPY and NPZ).
    /// Something is wrong inside an array.
    #[error("{path}: array {array} {fault}")]
    Array {
        /// The file.
        path: PathBuf,
        /// The array's name.
        array: String,
        /// What is wrong.
        fault: ArrayFault,
    },
    /// Not an archive, or not readable.
    #[error("cannot read {path} as an archive of arrays; check that it is intact and made by numpy.savez")]
    Archive {
        /// The file.
        path: PathBuf,
        /// What the reader refused.
        source: zip::result::ZipError,
    },
    /// An archive without an array that it should have.
    #[error(
        "{path} has no array {missing}; give it x_train and y_train, with x_test and y_test if you have them, or x and y; \
         there is {}", listing(.found)
    )]
    MissingArray {
        /// The file.
        path: PathBuf,
        /// Name of the array.
        missing: String,
        /// Names of the arrays in it.
        found: Vec<String>,
    },

    // Tables (CSV).
    /// Not text, or not readable.
    #[error("cannot read {path} as comma-separated text; check that it is intact and in UTF-8")]
    Csv {
        /// The file.
        path: PathBuf,
        /// What the reader refused.
        source: csv::Error,
    },
    /// Something is wrong inside a table.
    #[error("{path} {fault}")]
    Table {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: TableFault,
    },
    /// An empty name for the label column.
    #[error("the name of the label column is empty; give first, last or a name from the header line")]
    EmptyLabelColumn,
    /// Test rows with another number of columns than training rows.
    #[error("{test} has {test_count} columns but {train} has {train_count}; give files with the same columns")]
    ColumnCountsDiffer {
        /// The training file.
        train: PathBuf,
        /// Columns there.
        train_count: usize,
        /// The test file.
        test: PathBuf,
        /// Columns there.
        test_count: usize,
    },
    /// Test columns with other names than training columns.
    #[error(
        "column {column} is {test_name:?} in {test} but {train_name:?} in {train}; give files with the same columns"
    )]
    ColumnNamesDiffer {
        /// The first column that differs, counted from 1.
        column: usize,
        /// The training file.
        train: PathBuf,
        /// The column's name there, empty where that file has no header line.
        train_name: String,
        /// The test file.
        test: PathBuf,
        /// The column's name there, empty where that file has no header line.
        test_name: String,
    },

    // Labels.
    /// Nothing to tell apart.
    #[error("{path} holds {count} class(es) of labels; give one with at least 2")]
    TooFewClasses {
        /// The file.
        path: PathBuf,
        /// Classes in it.
        count: usize,
    },
    /// More classes than labels can count; the wrong column, most often.
    #[error("{path} holds {count} classes of labels, more than 65535; check which column holds the labels")]
    TooManyClasses {
        /// The file.
        path: PathBuf,
        /// Classes in it.
        count: usize,
    },
    /// A test label that training does not know.
    #[error(
        "{path} holds the label {label:?}, which the training samples do not have; remove its samples or train on some"
    )]
    UnknownLabel {
        /// The test file.
        path: PathBuf,
        /// The label.
        label: String,
    },

    // Text.
    /// A text without a sample.
    #[error(
        "{path} has {found} bytes of text, but one sample of context {context} needs {}, the byte that follows it \
         included; give a longer text or a shorter context", u64::from(*context) + 1
    )]
    TextTooShort {
        /// The file.
        path: PathBuf,
        /// Bytes in it.
        found: usize,
        /// Bytes of a sample.
        context: u32,
    },
    /// A text with more samples than an index counts.
    #[error("{path} has more than {most} bytes of text; give a part of it")]
    TextTooLong {
        /// The file.
        path: PathBuf,
        /// Most bytes that are read.
        most: u64,
    },

    // Splitting.
    /// A fraction that is none.
    #[error("the {part} fraction is {value}; give one from 0 up to, but not including, 1")]
    Fraction {
        /// "test" or "validation".
        part: &'static str,
        /// The value given.
        value: f64,
    },
    /// Test samples asked for twice.
    #[error("the data set has test samples of its own; leave the test fraction at 0 instead of {value}")]
    OwnTestSamples {
        /// The fraction given.
        value: f64,
    },
    /// A part without a sample.
    #[error("the {part} part of {samples} samples would be empty; change the fractions or give more samples")]
    EmptyPart {
        /// "training", "validation" or "test".
        part: &'static str,
        /// The samples to split.
        samples: usize,
    },
    /// A piece of a sequence without room for a sample.
    #[error(
        "the {part} part of the text would have {found} bytes, but one sample with the byte that follows needs \
         {needed}; give a longer text, a shorter context or other fractions"
    )]
    PieceTooShort {
        /// "training", "validation" or "test".
        part: &'static str,
        /// Steps of the piece: bytes of text.
        found: usize,
        /// Steps of a sample, its label included.
        needed: usize,
    },
    /// More samples than an index counts.
    #[error("the data set has {samples} samples; give at most 4294967295")]
    TooManySamples {
        /// The samples there are.
        samples: usize,
    },

    // Scaling.
    /// An unknown scaling mode.
    #[error("the scaling mode is {text:?}; give tensor, from-zero, feature, image or index")]
    UnknownScalingMode {
        /// The text given.
        text: String,
    },
    /// Input scaling for another number of features.
    #[error(
        "the model has {found} input scaling records but a sample has {features} features; give data of the model's shape"
    )]
    ScaleCount {
        /// The records given.
        found: usize,
        /// Features of a sample; 1 record or this many would do.
        features: usize,
    },
    /// An input scaling record with a field out of its range.
    #[error("input scaling record {index} is out of range; export the model again")]
    InvalidScale {
        /// The record, counted from 0.
        index: usize,
    },
    /// A value that no input scaling record reaches, or none at all.
    #[error("feature {feature} of sample {sample} is {value}; keep values finite and within ±2^100")]
    ValueOutOfRange {
        /// The sample, counted from 0.
        sample: usize,
        /// The feature, counted from 0.
        feature: usize,
        /// The value.
        value: f32,
    },
    /// A scale for each feature where samples overlap.
    #[error("the samples overlap, so that all features have one input scale; set scaling to index or tensor")]
    SharedValues,
    /// A scale for each feature where copies of recordings are trained on.
    #[error("copies of recordings need one input scale for all features; set scaling to tensor")]
    ScaleOfCopies,
    /// A value that is no byte, where bytes are taken as they are.
    #[error("feature {feature} of sample {sample} is {value}; scaling = \"{mode}\" takes whole numbers from 0 to 255")]
    NotAByte {
        /// The scaling that takes nothing else.
        mode: ScalingMode,
        /// The sample, counted from 0.
        sample: usize,
        /// The feature, counted from 0.
        feature: usize,
        /// The value.
        value: f32,
    },
    /// Samples whose fields do not belong together.
    #[error(
        "{values} values do not make {samples} samples of shape {shape:?}, one each {stride} values; give height × width × \
         channels values a sample"
    )]
    InconsistentSamples {
        /// Height, width and channels.
        shape: [usize; 3],
        /// Values from the start of one sample to that of the next.
        stride: usize,
        /// Number of labels.
        samples: usize,
        /// Number of values.
        values: usize,
    },
    /// Test samples of another shape than the training samples.
    #[error("the test samples have shape {test:?} but the training samples {train:?}; give both the same")]
    TestShape {
        /// Shape of the training samples.
        train: [usize; 3],
        /// Shape of the test samples.
        test: [usize; 3],
    },
    /// A label without a class.
    #[error("the label of sample {sample} is {label} but there are {classes} classes; give every label a class name")]
    LabelOutOfRange {
        /// The sample, counted from 0.
        sample: usize,
        /// Its label.
        label: u16,
        /// The number of classes.
        classes: usize,
    },
    /// An index past the last sample.
    #[error("there is no sample {index} among {samples}; give indices below that")]
    IndexOutOfRange {
        /// The index.
        index: usize,
        /// The number of samples.
        samples: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_sentence_with_the_path() {
        let fault = IdxFault::Rank { expected: "images", rank: 3, found: 1, looks_like: "labels" };
        let error = DataError::Idx { path: "data/train-images-idx3-ubyte".into(), fault };
        assert_eq!(
            error.to_string(),
            "data/train-images-idx3-ubyte has 1 dimension(s), as labels would; put a file of images there, which has 3"
        );
        let error = DataError::NotRecognised { path: "data".into(), found: vec!["notes.md".into()] };
        assert_eq!(
            error.to_string(),
            "no data set in the folder data; put train-images-idx3-ubyte and train-labels-idx1-ubyte there (each plain or \
             .gz), or x_train.npy and y_train.npy, or train.csv and test.csv, or exactly one .npz, .csv or .txt file, or a \
             folder of .png images or .wav recordings for each class, or .wav recordings; there is notes.md"
        );
    }
}
