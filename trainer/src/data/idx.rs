//! Images and labels in IDX, the format of MNIST and of the data sets that took its place.
//!
//! A file is four bytes (two zeros, the type of the values, the number of dimensions), one big-endian u32 a dimension,
//! then the values, last dimension fastest. Only unsigned bytes are read: images as `[count, height, width]`, labels as
//! `[count]`. Compressed files are recognised by their content.
//!
//! The header is held against the real length of the file before anything is allocated for it, and a compressed file is
//! read to at most one byte past what its header declares, so that a lying header costs an error and no memory.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::locate::FilePair;
use super::open::{Opened, open};
use super::{DataError, IdxFault, Samples, Source, Values};

/// The type code of unsigned bytes.
const UNSIGNED_BYTE: u8 = 0x08;

/// What a file is to hold, and so its number of dimensions.
#[derive(Clone, Copy)]
enum Kind {
    Images = 3,
    Labels = 1,
}

/// Reads the training pair and, where there is one, the test pair.
pub(super) fn read(train_files: &FilePair, test_files: Option<&FilePair>) -> Result<Source, DataError> {
    let train = read_pair(train_files)?;
    let largest = train.labels.iter().copied().max().unwrap_or(0);
    if largest == 0 {
        return Err(DataError::TooFewClasses { path: train_files.labels.clone(), count: 1 });
    }
    let test = test_files.map(|files| read_test(files, train_files, &train, largest)).transpose()?;
    let classes = (0..=largest).map(|label| label.to_string()).collect();
    Ok(Source { train, test, classes, sequence: false, recordings: None })
}

/// The test pair, which must hold images of the same size and no class that training lacks.
fn read_test(files: &FilePair, train_files: &FilePair, train: &Samples, largest: u16) -> Result<Samples, DataError> {
    let test = read_pair(files)?;
    if test.shape != train.shape {
        return Err(DataError::ShapesDiffer {
            train: train_files.samples.clone(),
            train_shape: train.shape,
            test: files.samples.clone(),
            test_shape: test.shape,
        });
    }
    match test.labels.iter().find(|&&label| label > largest) {
        Some(label) => Err(DataError::UnknownLabel { path: files.labels.clone(), label: label.to_string() }),
        None => Ok(test),
    }
}

fn read_pair(files: &FilePair) -> Result<Samples, DataError> {
    let (sizes, pixels) = read_bytes(&files.samples, Kind::Images)?;
    let (_, labels) = read_bytes(&files.labels, Kind::Labels)?;
    let [image_count, height, width] = match sizes[..] {
        [count, height, width] => [count, height, width],
        _ => [0; 3],
    };
    if image_count != labels.len() {
        return Err(DataError::CountMismatch {
            images: files.samples.clone(),
            image_count,
            labels: files.labels.clone(),
            label_count: labels.len(),
        });
    }
    let labels = labels.into_iter().map(u16::from).collect();
    Ok(Samples::new([height, width, 1], Values::U8(pixels), labels))
}

/// The sizes and the values of one file.
fn read_bytes(path: &Path, kind: Kind) -> Result<(Vec<usize>, Vec<u8>), DataError> {
    let fault = |fault| DataError::Idx { path: path.to_owned(), fault };
    let opened = open(path)?;
    let most = opened.most_bytes();
    let Opened { mut content, stored, compressed } = opened;
    let dimensions = read_header(path, &mut content, kind)?;
    let header = 4 + 4 * dimensions.len() as u64;

    let unholdable = || fault(IdxFault::Sizes { sizes: dimensions.clone(), stored });
    let declared = dimensions.iter().try_fold(1u64, |product, &size| product.checked_mul(size.into()));
    let expected = declared.and_then(|declared| declared.checked_add(header)).ok_or_else(unholdable)?;
    let declared = expected - header;
    let sizes = dimensions.iter().map(|&size| usize::try_from(size).map_err(|_| unholdable()));
    let sizes = sizes.collect::<Result<Vec<_>, _>>()?;

    if sizes.first() == Some(&0) {
        return Err(fault(IdxFault::NoSamples));
    }
    if let [_, height, width] = sizes[..]
        && height.min(width) == 0
    {
        return Err(fault(IdxFault::EmptyImages { height, width }));
    }

    let truncated = |found| fault(IdxFault::Truncated { expected, found });
    let trailing = || fault(IdxFault::TrailingBytes { expected });
    if compressed {
        if expected > most {
            return Err(unholdable());
        }
    } else if stored < expected {
        return Err(truncated(stored));
    } else if stored > expected {
        return Err(trailing());
    }

    let mut values = Vec::new();
    match content.take(declared.saturating_add(1)).read_to_end(&mut values) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(truncated(header + values.len() as u64)),
        Err(source) => return Err(DataError::Io { path: path.to_owned(), source }),
        Ok(_) => (),
    }
    match values.len() as u64 {
        found if found < declared => Err(truncated(header + found)),
        found if found > declared => Err(trailing()),
        _ => Ok((sizes, values)),
    }
}

/// The sizes a header declares, once its magic, type and number of dimensions are as they should be.
fn read_header(path: &Path, content: &mut dyn Read, kind: Kind) -> Result<Vec<u32>, DataError> {
    let fault = |fault| Err(DataError::Idx { path: path.to_owned(), fault });
    let magic = read_four(path, content, 0)?;
    let [zero, also_zero, code, rank] = magic;
    if (zero, also_zero) != (0, 0) {
        return fault(IdxFault::Magic { first_bytes: magic });
    }
    if code != UNSIGNED_BYTE {
        let name = match code {
            0x09 => "signed byte",
            0x0b => "16-bit integer",
            0x0c => "32-bit integer",
            0x0d => "32-bit real",
            0x0e => "64-bit real",
            _ => "unknown",
        };
        return fault(IdxFault::Type { code, name });
    }
    if rank != kind as u8 {
        let looks_like = match rank {
            1 => "labels",
            3 => "images",
            _ => "something else",
        };
        let expected = match kind {
            Kind::Images => "images",
            Kind::Labels => "labels",
        };
        return fault(IdxFault::Rank { expected, rank: kind as u8, found: rank, looks_like });
    }
    (0..rank.into()).map(|index| Ok(u32::from_be_bytes(read_four(path, content, 4 + 4 * index)?))).collect()
}

/// Reads four bytes of the header, of which `before` bytes came earlier.
fn read_four(path: &Path, content: &mut dyn Read, before: u64) -> Result<[u8; 4], DataError> {
    let mut bytes = [0; 4];
    match content.read_exact(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            let fault = IdxFault::Truncated { expected: before + 4, found: before };
            Err(DataError::Idx { path: path.to_owned(), fault })
        }
        Err(source) => Err(DataError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::super::open::gzip;
    use super::*;

    /// An IDX file of unsigned bytes.
    fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, UNSIGNED_BYTE, sizes.len() as u8];
        sizes.iter().for_each(|size| file.extend(size.to_be_bytes()));
        file.extend(values);
        file
    }

    /// Three images of 1 × 2 pixels.
    fn images() -> Vec<u8> {
        idx(&[3, 1, 2], &[10, 11, 20, 21, 30, 31])
    }

    fn pair(folder: &TempDir, name: &str, images: &[u8], labels: &[u8]) -> FilePair {
        let files = FilePair {
            samples: folder.path().join(format!("{name}-images")),
            labels: folder.path().join(format!("{name}-labels")),
        };
        std::fs::write(&files.samples, images).unwrap();
        std::fs::write(&files.labels, labels).unwrap();
        files
    }

    /// What reading one pair says.
    fn outcome(images: &[u8], labels: &[u8]) -> Result<Source, DataError> {
        let folder = tempfile::tempdir().unwrap();
        read(&pair(&folder, "train", images, labels), None)
    }

    /// What is wrong with a file of images.
    fn image_fault(images: &[u8]) -> IdxFault {
        match outcome(images, &idx(&[3], &[2, 0, 1])) {
            Err(DataError::Idx { path, fault }) if path.ends_with("train-images") => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain_and_compressed_files_read_alike() {
        let labels = idx(&[3], &[2, 0, 1]);
        let plain = outcome(&images(), &labels).unwrap();
        assert_eq!(plain.train.shape, [1, 2, 1]);
        assert_eq!(plain.train.values, Values::U8(vec![10, 11, 20, 21, 30, 31]));
        assert_eq!(plain.train.labels, [2, 0, 1]);
        assert_eq!(plain.classes, ["0", "1", "2"]);
        assert_eq!(outcome(&gzip(&images()), &gzip(&labels)).unwrap(), plain);
    }

    #[test]
    fn every_cut_is_noticed() {
        for length in 0..images().len() {
            let fault = image_fault(&images()[..length]);
            assert!(matches!(fault, IdxFault::Truncated { .. }), "{length}: {fault}");
            let fault = image_fault(&gzip(&images()[..length]));
            assert!(matches!(fault, IdxFault::Truncated { .. }), "{length}: {fault}");
        }
        let packed = gzip(&images());
        for length in 0..packed.len() {
            assert!(outcome(&packed[..length], &idx(&[3], &[2, 0, 1])).is_err(), "{length}");
        }
    }

    #[test]
    fn trailing_bytes_are_noticed() {
        let longer = [images(), vec![0]].concat();
        assert_eq!(image_fault(&longer), IdxFault::TrailingBytes { expected: 22 });
        assert_eq!(image_fault(&gzip(&longer)), IdxFault::TrailingBytes { expected: 22 });
    }

    #[test]
    fn a_damaged_archive_is_noticed() {
        let mut packed = gzip(&images());
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        assert!(matches!(outcome(&packed, &idx(&[3], &[2, 0, 1])), Err(DataError::Io { .. })));
    }

    #[test]
    fn absurd_sizes_cost_no_memory() {
        let overflowing = idx(&[u32::MAX; 3], &[]);
        assert_eq!(image_fault(&overflowing), IdxFault::Sizes { sizes: vec![u32::MAX; 3], stored: 16 });
        let large = idx(&[u32::MAX, 28, 28], &[]);
        let expected = u64::from(u32::MAX) * 784 + 16;
        assert_eq!(image_fault(&large), IdxFault::Truncated { expected, found: 16 });
        assert!(matches!(image_fault(&gzip(&large)), IdxFault::Sizes { .. }));
    }

    #[test]
    fn other_formats_are_told_apart() {
        let first_bytes = [0x89, b'P', b'N', b'G'];
        assert_eq!(image_fault(b"\x89PNG...."), IdxFault::Magic { first_bytes });
        for (code, name) in [(0x09, "signed byte"), (0x0d, "32-bit real"), (0x55, "unknown")] {
            let mut file = images();
            file[2] = code;
            assert_eq!(image_fault(&file), IdxFault::Type { code, name });
        }
    }

    #[test]
    fn labels_in_the_place_of_images_are_recognised() {
        let labels = idx(&[3], &[2, 0, 1]);
        let fault = IdxFault::Rank { expected: "images", rank: 3, found: 1, looks_like: "labels" };
        assert_eq!(image_fault(&labels), fault);
        let error = outcome(&images(), &images()).unwrap_err();
        let fault = IdxFault::Rank { expected: "labels", rank: 1, found: 3, looks_like: "images" };
        assert!(matches!(&error, DataError::Idx { fault: found, .. } if found == &fault), "{error}");
    }

    #[test]
    fn nothing_to_learn_from_is_refused() {
        assert_eq!(image_fault(&idx(&[0, 1, 2], &[])), IdxFault::NoSamples);
        assert_eq!(image_fault(&idx(&[3, 0, 2], &[])), IdxFault::EmptyImages { height: 0, width: 2 });
        assert_eq!(image_fault(&idx(&[3, 2, 0], &[])), IdxFault::EmptyImages { height: 2, width: 0 });
        let error = outcome(&images(), &idx(&[3], &[0; 3])).unwrap_err();
        assert!(matches!(error, DataError::TooFewClasses { count: 1, .. }));
    }

    #[test]
    fn counts_must_agree() {
        let error = outcome(&images(), &idx(&[2], &[0, 1])).unwrap_err();
        assert!(matches!(error, DataError::CountMismatch { image_count: 3, label_count: 2, .. }));
        let text = error.to_string();
        assert!(text.contains("train-images holds 3") && text.contains("train-labels holds 2"), "{text}");
    }

    #[test]
    fn test_files_must_fit_the_training_files() {
        let folder = tempfile::tempdir().unwrap();
        let train = pair(&folder, "train", &images(), &idx(&[3], &[0, 1, 1]));
        let source = read(&train, Some(&pair(&folder, "test", &images(), &idx(&[3], &[1, 0, 0])))).unwrap();
        assert_eq!(source.test.unwrap().labels, [1, 0, 0]);

        let taller = pair(&folder, "taller", &idx(&[1, 2, 2], &[0; 4]), &idx(&[1], &[0]));
        assert!(matches!(read(&train, Some(&taller)), Err(DataError::ShapesDiffer { test_shape: [2, 2, 1], .. })));
        let unknown = pair(&folder, "unknown", &images(), &idx(&[3], &[1, 0, 2]));
        match read(&train, Some(&unknown)) {
            Err(DataError::UnknownLabel { path, label }) => {
                assert_eq!((path, label.as_str()), (PathBuf::from(&unknown.labels), "2"));
            }
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn any_damage_gives_samples_or_an_error(
            packed: bool,
            damage in prop::collection::vec((0usize..60, any::<u8>()), 0..4),
            length in 0usize..60,
        ) {
            let mut file = if packed { gzip(&images()) } else { images() };
            for (place, value) in damage {
                file.iter_mut().skip(place).take(1).for_each(|byte| *byte = value);
            }
            file.truncate(length);
            if let Ok(source) = outcome(&file, &idx(&[3], &[2, 0, 1])) {
                prop_assert!(source.train.check().is_ok());
                prop_assert_eq!(source.train.len(), 3);
            }
        }
    }
}
