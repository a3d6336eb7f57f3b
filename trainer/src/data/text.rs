//! Plain text, read as bytes: every byte is predicted from those before it.
//!
//! A sample is a window of `context` consecutive bytes and its label the byte that follows. A window begins at every byte,
//! so that samples overlap; they are kept as the text itself, one byte a sample. The encoding does not matter: a letter of
//! two bytes is two steps of the sequence.

use std::io::Read;
use std::path::Path;

use super::open::open;
use super::{DataError, Samples, Source, Values};

/// Most bytes of a text, so that an index of a sample fits in a u32.
const MOST_BYTES: u64 = u32::MAX as u64;

/// Reads the text `train` and, where there is one, the text to test on.
pub(super) fn read(train: &Path, test: Option<&Path>, context: u32) -> Result<Source, DataError> {
    Ok(Source {
        train: read_samples(train, context)?,
        test: test.map(|test| read_samples(test, context)).transpose()?,
        classes: (0..=u8::MAX).map(|byte| byte.to_string()).collect(),
        sequence: true,
        recordings: None,
    })
}

fn read_samples(path: &Path, context: u32) -> Result<Samples, DataError> {
    let refused = |source| DataError::Io { path: path.to_owned(), source };
    let mut text = Vec::new();
    open(path)?.content.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(refused)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(DataError::TextTooLong { path: path.to_owned(), most: MOST_BYTES });
    }
    let labels = match text.get(context as usize..) {
        Some(labels) if !labels.is_empty() => labels.iter().copied().map(u16::from).collect(),
        _ => return Err(DataError::TextTooShort { path: path.to_owned(), found: text.len(), context }),
    };
    // The last byte is a label only.
    text.pop();
    Ok(Samples { shape: [1, 1, context as usize], stride: 1, values: Values::U8(text), labels })
}

#[cfg(test)]
mod tests {
    use super::super::open::gzip;
    use super::*;

    fn outcome(content: &[u8], context: u32) -> Result<Source, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.txt");
        std::fs::write(&path, content).unwrap();
        read(&path, None, context)
    }

    #[test]
    fn every_byte_begins_a_sample() {
        let source = outcome(b"abcde", 2).unwrap();
        assert!(source.train.check().is_ok() && source.sequence);
        assert_eq!((source.train.shape, source.train.stride), ([1, 1, 2], 1));
        assert_eq!(source.train.values, Values::U8(b"abcd".to_vec()));
        assert_eq!(source.train.labels, b"cde".map(u16::from));
        assert_eq!((source.classes.len(), source.classes[97].as_str()), (256, "97"));
        assert_eq!(outcome(&gzip(b"abcde"), 2).unwrap(), source);
    }

    #[test]
    fn all_bytes_are_text() {
        let source = outcome(&[0xFF, 0, b'\r', b'\n', 0x80], 4).unwrap();
        assert_eq!((source.train.len(), source.train.labels), (1, vec![0x80]));
    }

    #[test]
    fn a_text_without_a_sample_is_refused() {
        for (content, context) in [(&b""[..], 1), (b"a", 1), (b"abcd", 4), (b"abcd", u32::MAX)] {
            match outcome(content, context).unwrap_err() {
                DataError::TextTooShort { found, .. } => assert_eq!(found, content.len()),
                other => panic!("{other}"),
            }
        }
        let error = outcome(b"abcd", 4).unwrap_err().to_string();
        assert!(error.contains("corpus.txt") && error.contains("4 bytes") && error.contains("needs 5"), "{error}");
        assert_eq!(outcome(b"abcde", 4).unwrap().train.len(), 1);
    }

    #[test]
    fn a_damaged_archive_is_noticed() {
        let packed = gzip(&b"to be or not to be ".repeat(100));
        assert!(matches!(outcome(&packed[..packed.len() - 1], 4), Err(DataError::Io { .. })));
    }

    #[test]
    fn a_text_to_test_on_stands_beside() {
        let folder = tempfile::tempdir().unwrap();
        let (train, test) = (folder.path().join("train.txt"), folder.path().join("test.txt"));
        std::fs::write(&train, "abcabc").unwrap();
        std::fs::write(&test, "xyz").unwrap();
        let source = read(&train, Some(&test), 2).unwrap();
        assert_eq!((source.train.len(), source.test.unwrap().labels), (4, vec![b'z'.into()]));
        std::fs::write(&test, "xy").unwrap();
        assert!(matches!(read(&train, Some(&test), 2), Err(DataError::TextTooShort { path, .. }) if path == test));
    }
}
