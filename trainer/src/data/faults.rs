//! What can be wrong inside one file, in the words that follow its path in a [`DataError`](super::DataError).

use std::path::PathBuf;

/// Why a file of images or labels cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdxFault {
    /// The first two bytes are not zero.
    #[error("is not in IDX format, its first bytes are {first_bytes:02x?}; fetch the original file")]
    Magic {
        /// The first four bytes.
        first_bytes: [u8; 4],
    },
    /// Values of another type than unsigned bytes.
    #[error("holds {name} values (IDX type 0x{code:02x}); convert it to unsigned bytes (IDX type 0x08)")]
    Type {
        /// The type's code in the file.
        code: u8,
        /// What the code stands for.
        name: &'static str,
    },
    /// Another number of dimensions than asked for; labels where images should be, most often.
    #[error("has {found} dimension(s), as {looks_like} would; put a file of {expected} there, which has {rank}")]
    Rank {
        /// What should be in the file: "images" or "labels".
        expected: &'static str,
        /// The number of dimensions those have.
        rank: u8,
        /// The number of dimensions the file has.
        found: u8,
        /// What files with that number of dimensions hold.
        looks_like: &'static str,
    },
    /// Sizes that no file of this length can hold.
    #[error("declares the sizes {sizes:?}, more than its {stored} bytes can hold; fetch the file again")]
    Sizes {
        /// The sizes it declares.
        sizes: Vec<u32>,
        /// Its length on disk, in bytes.
        stored: u64,
    },
    /// Fewer bytes than the header declares.
    #[error("is cut short: {found} of {expected} bytes; fetch the file again")]
    Truncated {
        /// Bytes it should hold once decompressed, header included.
        expected: u64,
        /// Bytes it does hold.
        found: u64,
    },
    /// More bytes than the header declares.
    #[error("goes on after the {expected} bytes that its header declares; fetch the file again")]
    TrailingBytes {
        /// Bytes it should hold once decompressed, header included.
        expected: u64,
    },
    /// A file of no samples.
    #[error("holds no samples; give a file with at least one")]
    NoSamples,
    /// Images without pixels.
    #[error("holds images of {height} × {width} pixels; give a file of images that have pixels")]
    EmptyImages {
        /// Declared height.
        height: usize,
        /// Declared width.
        width: usize,
    },
}

/// Why a PNG, or a folder of them, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFault {
    /// A channel for opacity, or a colour that is none.
    #[error("has transparent pixels or an alpha channel; lay it on a background and save it as grey or RGB")]
    Alpha,
    /// Sixteen bits a channel.
    #[error("has 16 bits a channel; save it with 8")]
    Deep,
    /// A size that no file of this length can hold.
    #[error("declares {width} × {height} pixels, more than its {stored} bytes can hold; fetch the file again")]
    Sizes {
        /// Declared width.
        width: u32,
        /// Declared height.
        height: u32,
        /// Its length on disk, in bytes.
        stored: u64,
    },
    /// Another size or number of channels than the first image.
    #[error(
        "holds {} × {} pixels of {} channel(s) but {first} {} × {} of {}; make all images alike",
        .found[0], .found[1], .found[2], .expected[0], .expected[1], .expected[2]
    )]
    OtherShape {
        /// Height, width and channels of an image here.
        found: [usize; 3],
        /// Height, width and channels of the first.
        expected: [usize; 3],
        /// The file of the first image.
        first: PathBuf,
    },
    /// A sheet whose rows are no square images.
    #[error("has rows of {width} pixels, which make no square image; give a sheet with an image in each row")]
    NotSquare {
        /// Pixels of a row.
        width: usize,
    },
    /// A class without a sample.
    #[error("holds no .png image; put images of its class there, or remove it")]
    NoImages,
    /// A folder without classes.
    #[error("holds no folder of .png images; put one there for each class")]
    NoClasses,
}

/// Why a recording, or a folder of them, cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingFault {
    /// Samples that are no plain numbers.
    #[error(
        "holds packed samples or ones of an unusual width; save it as PCM with 8, 16, 24 or 32 bits or as 32-bit float"
    )]
    Encoding,
    /// Surround sound.
    #[error("has {found} channels; mix it down to one or two")]
    Channels {
        /// Channels of the file.
        found: u16,
    },
    /// A rate that no recording has.
    #[error("has {found} samples a second; 1,000 to 192,000 are accepted")]
    Rate {
        /// Samples a second.
        found: u32,
    },
    /// An infinity or not-a-number.
    #[error("holds the sample {value}; put finite numbers there")]
    NotFinite {
        /// The sample.
        value: f32,
    },
    /// Not a sample.
    #[error("holds no samples; record it again, or remove it")]
    Empty,
    /// A class without a recording.
    #[error("holds no .wav file; put recordings of its class there, or remove it")]
    NoRecordings,
    /// A folder without classes.
    #[error("holds no folder of .wav files; put one there for each class")]
    NoClasses,
}

/// Why a table cannot be used. Lines and columns are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableFault {
    /// A file without a row.
    #[error("is empty; give a table with one row a sample")]
    Empty,
    /// A header line and nothing else.
    #[error("holds a header line but no rows; add one row a sample")]
    HeaderOnly,
    /// No column but the labels'.
    #[error("has one column only; separate the features and the label by commas")]
    OneColumn,
    /// A first row that is neither names nor numbers.
    #[error(
        "mixes numbers with text in its first row ({text:?} in column {column}); name the label column if that row is a \
         header, or put a number there if it is not"
    )]
    MixedFirstRow {
        /// The first column with text.
        column: usize,
        /// The text.
        text: String,
    },
    /// No column has the label column's name.
    #[error("has no column named {name:?}; name one of {}", listing(.columns))]
    NoSuchColumn {
        /// The name asked for.
        name: String,
        /// The names in the header line.
        columns: Vec<String>,
    },
    /// Several columns have the label column's name.
    #[error("has more than one column named {name:?}; give the label column a name of its own")]
    RepeatedColumn {
        /// The name asked for.
        name: String,
    },
    /// A row with more or fewer fields than the first.
    #[error("has {found} field(s) in line {line} where its first row has {expected}; make them equal")]
    RaggedRow {
        /// The line.
        line: u64,
        /// Fields in the first row.
        expected: usize,
        /// Fields in this line.
        found: usize,
    },
    /// Text where a feature should be.
    #[error("has {text:?} in line {line}, column {column}; put a number there")]
    NotANumber {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The text.
        text: String,
    },
    /// An infinity, not-a-number, or a number beyond f32.
    #[error("has {text:?} in line {line}, column {column}; put a finite number within ±3.4e38 there")]
    NotFinite {
        /// The line.
        line: u64,
        /// The column.
        column: usize,
        /// The text.
        text: String,
    },
    /// A row without a label.
    #[error("has no label in line {line}; give it one or take the line out")]
    EmptyLabel {
        /// The line.
        line: u64,
    },
}

/// Why an array cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayFault {
    /// Other first bytes than an array's.
    #[error("is not in NPY format; save it with numpy.save or numpy.savez")]
    Magic,
    /// A version of the format that does not exist yet.
    #[error("has version {major}.{minor} of the NPY format; save it with numpy.save, which makes version 1.0 to 3.0")]
    Version {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// A header that is cut short or no dictionary of the three entries.
    #[error("has a header that cannot be read; save it again")]
    Header,
    /// Values that are no plain numbers.
    #[error("holds values of type {description:?}; make it integers, float16, float32, float64 or bool")]
    Type {
        /// NumPy's description of the type.
        description: String,
    },
    /// Values in the order of columns.
    #[error("is in Fortran order; save numpy.ascontiguousarray of it")]
    FortranOrder,
    /// Samples of no shape, or of more sizes than height, width and channels.
    #[error(
        "has the shape {shape:?}; give samples the shape [n, k], [n, height, width] or [n, height, width, channels]"
    )]
    SampleShape {
        /// The shape.
        shape: Vec<u64>,
    },
    /// Labels that are no list.
    #[error("has the shape {shape:?}; give labels the shape [n], one for each sample")]
    LabelShape {
        /// The shape.
        shape: Vec<u64>,
    },
    /// A row of zeros and a one for each sample.
    #[error("holds {classes} values for each sample, as one-hot labels do; save numpy.argmax(labels, axis=1) instead")]
    OneHot {
        /// Values for each sample.
        classes: u64,
    },
    /// An array of nothing.
    #[error("has the shape {shape:?} and so no values; give one with at least one sample")]
    NoValues {
        /// The shape.
        shape: Vec<u64>,
    },
    /// A shape that no file of this length can hold.
    #[error("declares the shape {shape:?}, more than its {stored} bytes can hold; save it again")]
    Sizes {
        /// The shape.
        shape: Vec<u64>,
        /// Its length on disk, in bytes.
        stored: u64,
    },
    /// Fewer bytes than the header declares.
    #[error("is cut short: {found} of {expected} bytes; save it again")]
    Truncated {
        /// Bytes it should hold once decompressed, header included.
        expected: u64,
        /// Bytes it does hold.
        found: u64,
    },
    /// More bytes than the header declares.
    #[error("goes on after the {expected} bytes that its header declares; save it again")]
    TrailingBytes {
        /// Bytes it should hold once decompressed, header included.
        expected: u64,
    },
    /// An infinity, not-a-number, or a number beyond f32.
    #[error("holds {value} in sample {sample}; put finite numbers within ±3.4e38 there")]
    NotFinite {
        /// The sample, counted from 0.
        sample: u64,
        /// The value.
        value: f64,
    },
    /// A label that is no whole number.
    #[error("holds the label {value} for sample {sample}; number the classes with whole numbers")]
    NotWhole {
        /// The sample, counted from 0.
        sample: u64,
        /// The label.
        value: f64,
    },
    /// Labels that do not belong to the samples.
    #[error("holds {found} labels but array {samples} {expected} samples; give arrays that belong together")]
    Count {
        /// Labels.
        found: usize,
        /// Samples.
        expected: usize,
        /// Name of the array of samples.
        samples: String,
    },
    /// Test samples of another shape than training samples.
    #[error("holds samples of {found:?} where those to train on have {expected:?}; give arrays that belong together")]
    OtherShape {
        /// Height, width and channels here.
        found: [usize; 3],
        /// Height, width and channels of the training samples.
        expected: [usize; 3],
    },
}

/// A few names in one line; the whole of a large folder would drown the sentence.
pub(super) fn listing(names: &[String]) -> String {
    const SHOWN: usize = 12;
    match names.len() {
        0 => "nothing".to_owned(),
        count if count <= SHOWN => names.join(", "),
        count => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_stay_short() {
        assert_eq!(listing(&[]), "nothing");
        assert_eq!(listing(&["a".into(), "b".into()]), "a, b");
        let many: Vec<String> = (0..14).map(|number| number.to_string()).collect();
        assert_eq!(listing(&many), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more");
    }
}
