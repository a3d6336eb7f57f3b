//! Sheets of images, as packages of CIFAR-10 for the browser have them.
//!
//! A sheet is one PNG of which every row is an image, unrolled: 1,024 pixels are 32 rows of 32. Its labels stand apart, as
//! a JSON array of numbers. Sheets to train on are numbered, and follow each other in the order of their numbers; all of
//! them share one array of labels.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::png::{self, Image};
use super::{DataError, ImageFault, Samples, Source, Values};

/// What CIFAR-10 calls its classes.
const CIFAR_10: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Sheets and the file of their labels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sheets {
    pub(super) sheets: Vec<PathBuf>,
    pub(super) labels: PathBuf,
}

/// The sheets among the files `names` of `folder`, if there are any: those to train on, and perhaps those to test on.
pub(super) fn find(folder: &Path, names: &[String]) -> Result<Option<(Sheets, Option<Sheets>)>, DataError> {
    let number = |name: &str| name.strip_prefix("data_batch_")?.strip_suffix(".png")?.parse::<u32>().ok();
    let mut train: Vec<(u32, &String)> = names.iter().filter_map(|name| Some((number(name)?, name))).collect();
    train.sort_unstable();
    let test: Vec<&String> = names.iter().filter(|name| *name == "test_batch.png").collect();
    if train.is_empty() && test.is_empty() {
        return Ok(None);
    }
    let missing = |missing| DataError::MissingFile { path: folder.to_owned(), missing };
    // The first spelling is the package's own.
    let labels = |spellings: [&'static str; 2]| match spellings.iter().find(|name| names.iter().any(|n| n == *name)) {
        Some(name) => Ok(folder.join(name)),
        None => Err(missing(spellings[1])),
    };
    let sheets = |names: Vec<&String>, spellings| {
        Ok(Sheets { sheets: names.into_iter().map(|name| folder.join(name)).collect(), labels: labels(spellings)? })
    };
    if train.is_empty() {
        return Err(missing("data_batch_1.png"));
    }
    let train = sheets(train.into_iter().map(|(_, name)| name).collect(), ["train_lables.json", "train_labels.json"])?;
    let has_test = !test.is_empty();
    let test = has_test.then(|| sheets(test, ["test_lables.json", "test_labels.json"])).transpose()?;
    Ok(Some((train, test)))
}

/// Reads the sheets to train on and, where there are any, those to test on.
pub(super) fn read(train_files: &Sheets, test_files: Option<&Sheets>) -> Result<Source, DataError> {
    let paths: Vec<&PathBuf> = train_files.sheets.iter().chain(test_files.iter().flat_map(|t| &t.sheets)).collect();
    let mut decoded = paths.par_iter().map(|path| png::decode(path)).collect::<Vec<_>>().into_iter();

    let first = train_files.sheets.first().cloned().unwrap_or_default();
    let mut shape = None;
    let mut samples = |files: &Sheets| {
        let mut pixels = Vec::new();
        for (path, image) in files.sheets.iter().zip(&mut decoded) {
            append(path, image?, &first, &mut shape, &mut pixels)?;
        }
        let labels = read_labels(&files.labels)?;
        let shape = shape.unwrap_or([1; 3]);
        let image_count = pixels.len() / shape.iter().product::<usize>();
        if image_count != labels.len() {
            let images = match &files.sheets[..] {
                [only] => only.clone(),
                _ => first.with_file_name("data_batch_*.png"),
            };
            let (labels, label_count) = (files.labels.clone(), labels.len());
            return Err(DataError::CountMismatch { images, image_count, labels, label_count });
        }
        Ok(Samples::new(shape, Values::U8(pixels), labels))
    };
    let train = samples(train_files)?;
    let test = test_files.map(samples).transpose()?;

    let largest = train.labels.iter().copied().max().unwrap_or(0);
    let refused = |count| match count {
        1 => DataError::TooFewClasses { path: train_files.labels.clone(), count },
        _ => DataError::TooManyClasses { path: train_files.labels.clone(), count },
    };
    if [0, u16::MAX].contains(&largest) {
        return Err(refused(usize::from(largest) + 1));
    }
    if let (Some(test), Some(files)) = (&test, test_files)
        && let Some(label) = test.labels.iter().find(|&&label| label > largest)
    {
        return Err(DataError::UnknownLabel { path: files.labels.clone(), label: label.to_string() });
    }
    let classes = match usize::from(largest) + 1 {
        10 => CIFAR_10.map(String::from).to_vec(),
        count => (0..count).map(|label| label.to_string()).collect(),
    };
    Ok(Source { train, test, classes, sequence: false, recordings: None })
}

/// Adds the images of a sheet to `pixels`; the first sheet sets the shape of an image.
fn append(
    path: &Path,
    Image { shape: [_, width, channels], pixels: mut sheet }: Image,
    first: &Path,
    shape: &mut Option<[usize; 3]>,
    pixels: &mut Vec<u8>,
) -> Result<(), DataError> {
    let fault = |fault| DataError::Image { path: path.to_owned(), fault };
    let side = width.isqrt();
    if side * side != width {
        return Err(fault(ImageFault::NotSquare { width }));
    }
    let found = [side, side, channels];
    let expected = *shape.get_or_insert(found);
    if found != expected {
        return Err(fault(ImageFault::OtherShape { found, expected, first: first.to_owned() }));
    }
    pixels.append(&mut sheet);
    Ok(())
}

/// The labels of a JSON array.
fn read_labels(path: &Path) -> Result<Vec<u16>, DataError> {
    let file = File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    serde_json::from_reader(BufReader::new(file))
        .map_err(|source| DataError::LabelList { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use ::png::{BitDepth, ColorType};

    use super::*;

    /// A sheet of `count` images of 2 × 2 pixels whose first value is `first`.
    fn sheet(first: u8, count: u8) -> Vec<u8> {
        let pixels: Vec<u8> = (0..count * 12).map(|value| first + value).collect();
        png::encode(4, count.into(), ColorType::Rgb, BitDepth::Eight, &pixels)
    }

    /// What a folder of these files says.
    fn outcome(files: &[(&str, &[u8])]) -> Result<Source, DataError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let names: Vec<String> = files.iter().map(|(name, _)| (*name).to_owned()).collect();
        let (train, test) = find(folder.path(), &names)?.expect("sheets");
        read(&train, test.as_ref())
    }

    #[test]
    fn rows_are_images_and_sheets_follow_their_numbers() {
        let source = outcome(&[
            ("data_batch_10.png", &sheet(100, 1)),
            ("data_batch_2.png", &sheet(0, 2)),
            ("test_batch.png", &sheet(50, 1)),
            ("test_lables.json", b"[9]"),
            ("train_lables.json", b"[9, 0, 1]\n"),
        ])
        .unwrap();
        assert!(source.train.check().is_ok());
        assert_eq!((source.train.shape, &source.train.labels[..]), ([2, 2, 3], &[9, 0, 1][..]));
        assert_eq!(source.train.values, Values::U8((0..24).chain(100..112).collect()));
        let test = source.test.unwrap();
        assert_eq!((test.values, test.labels), (Values::U8((50..62).collect()), vec![9]));
        assert_eq!((source.classes.len(), source.classes[9].as_str()), (10, "truck"));
    }

    #[test]
    fn labels_may_be_spelt_right_and_greys_be_sheets() {
        let grey = png::encode(9, 2, ColorType::Grayscale, BitDepth::Eight, &[3; 18]);
        let source = outcome(&[("data_batch_1.png", &grey), ("train_labels.json", b"[0,2]")]).unwrap();
        assert_eq!((source.train.shape, source.test), ([3, 3, 1], None));
        assert_eq!(source.classes, ["0", "1", "2"]);
    }

    #[test]
    fn what_does_not_belong_together_is_named() {
        let (one, two) = (&sheet(0, 2)[..], &sheet(50, 1)[..]);
        let labels = &b"[0,1,1]"[..];
        let with = |labels: &[u8]| {
            outcome(&[("data_batch_1.png", one), ("data_batch_2.png", two), ("train_lables.json", labels)])
        };
        assert!(with(labels).is_ok());
        let error = with(b"[0,1]").unwrap_err();
        assert!(error.to_string().contains("data_batch_*.png holds 3 images"), "{error}");
        for list in ["[0,1,-1]", "[0,1,0.5]", "[0,1,65536]", "[0,1", "{}", "[0,1,1] 2", "", "[0,1,null]"] {
            assert!(matches!(with(list.as_bytes()), Err(DataError::LabelList { .. })), "{list}");
        }
        assert!(matches!(with(b"[0,0,0]"), Err(DataError::TooFewClasses { count: 1, .. })));
        assert!(matches!(with(b"[0,0,65535]"), Err(DataError::TooManyClasses { count: 65_536, .. })));

        let grey = png::encode(4, 1, ColorType::Grayscale, BitDepth::Eight, &[0; 4]);
        let other = outcome(&[("data_batch_1.png", one), ("data_batch_2.png", &grey), ("train_lables.json", labels)]);
        let Err(DataError::Image { path, fault: ImageFault::OtherShape { found, expected, .. } }) = other else {
            panic!("{other:?}")
        };
        assert!(path.ends_with("data_batch_2.png"));
        assert_eq!((found, expected), ([2, 2, 1], [2, 2, 3]));
        let flat = png::encode(5, 1, ColorType::Grayscale, BitDepth::Eight, &[0; 5]);
        let error = outcome(&[("data_batch_1.png", &flat), ("train_lables.json", b"[1]")]).unwrap_err();
        assert!(matches!(error, DataError::Image { fault: ImageFault::NotSquare { width: 5 }, .. }));

        let test = [("data_batch_1.png", one), ("train_lables.json", &b"[0,1]"[..]), ("test_batch.png", two)];
        let unknown = outcome(&[&test[..], &[("test_labels.json", b"[2]")]].concat());
        assert!(matches!(unknown, Err(DataError::UnknownLabel { label, .. }) if label == "2"));
        for (files, absent) in
            [(&test[..], "test_labels.json"), (&test[..1], "train_labels.json"), (&test[2..], "data_batch_1.png")]
        {
            match outcome(files) {
                Err(DataError::MissingFile { missing, .. }) => assert_eq!(missing, absent),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn other_names_are_no_sheets() {
        for name in ["data_batch_.png", "data_batch_1.jpg", "data_batch_one.png", "batch_1.png", "test_batch.png.gz"] {
            assert_eq!(find(Path::new("folder"), &[name.to_owned()]).unwrap(), None, "{name}");
        }
    }
}
