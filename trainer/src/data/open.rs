//! Opens a data file, decompressing it where its content is gzip.
//!
//! The content decides, because names lie: browsers and archivers drop `.gz`, or keep it on a file they unpacked. The
//! reader is a stream, so nothing is allocated for bytes that are not there.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::DataError;

/// The first two bytes of every gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The most bytes that one byte of packed content, gzip or ZIP, can stand for: 258 bytes in 2 bits.
pub(super) const MOST_PER_PACKED_BYTE: u64 = 1032;

/// An open data file.
pub(super) struct Opened {
    /// The content, decompressed.
    pub(super) content: Box<dyn Read>,
    /// Bytes on disk.
    pub(super) stored: u64,
    /// Whether the bytes on disk are compressed.
    pub(super) compressed: bool,
}

impl Opened {
    /// The most bytes of content that the bytes on disk can stand for.
    pub(super) fn most_bytes(&self) -> u64 {
        if self.compressed { self.stored.saturating_mul(MOST_PER_PACKED_BYTE) } else { self.stored }
    }
}

/// Opens `path`; fails with [`DataError::Io`] alone.
pub(super) fn open(path: &Path) -> Result<Opened, DataError> {
    let refused = |source| DataError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(refused)?;
    let stored = file.metadata().map_err(refused)?.len();
    let mut file = BufReader::with_capacity(1 << 16, file);
    let compressed = file.fill_buf().map_err(refused)?.starts_with(&GZIP_MAGIC);
    let content: Box<dyn Read> = if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Opened { content, stored, compressed })
}

#[cfg(test)]
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::read::GzEncoder::new(bytes, flate2::Compression::default());
    let mut compressed = Vec::new();
    encoder.read_to_end(&mut compressed).unwrap();
    compressed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_not_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plain.gz");
        for (bytes, compressed) in [(b"text".to_vec(), false), (gzip(b"text"), true), (vec![0x1f], false)] {
            std::fs::write(&path, &bytes).unwrap();
            let mut opened = open(&path).unwrap();
            assert_eq!((opened.compressed, opened.stored), (compressed, bytes.len() as u64));
            let mut content = Vec::new();
            opened.content.read_to_end(&mut content).unwrap();
            assert_eq!(content, if compressed { b"text".to_vec() } else { bytes });
        }
    }

    #[test]
    fn files_packed_in_pieces_are_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pieces");
        std::fs::write(&path, [gzip(b"one "), gzip(b"two")].concat()).unwrap();
        let mut content = String::new();
        open(&path).unwrap().content.read_to_string(&mut content).unwrap();
        assert_eq!(content, "one two");
    }

    #[test]
    fn an_absent_file_is_named() {
        let error = open(Path::new("no/such/file")).err().unwrap();
        assert!(error.to_string().contains("no/such/file"), "{error}");
    }
}
