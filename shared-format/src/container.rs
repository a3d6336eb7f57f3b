//! The container: a fixed header, a table of sections, sections on 64-byte boundaries, two CRC-32C checksums.
//!
//! Model and checkpoint are two kinds of file in this one container. Every byte is covered by a checksum or must be
//! what the header says, so any single flipped bit is seen.

use crate::ParseError;
use crate::checksum::crc32c;

/// First eight bytes. The non-ASCII byte and the line ends show damage by text-mode transfers.
pub const MAGIC: [u8; 8] = *b"\x89TSM\r\n\x1a\n";

/// Format version a reader must match exactly.
pub const MAJOR: u8 = 0;

/// Format version that readers of the same major accept, whatever it is.
pub const MINOR: u8 = 4;

/// Bytes of the fixed header.
pub const HEADER_BYTES: usize = 64;

/// Bytes of one entry of the section table, which follows the header.
pub const ENTRY_BYTES: usize = 24;

/// Sections start at multiples of this many bytes.
pub const SECTION_ALIGNMENT: usize = 64;

/// Flag of a section that a reader may skip.
pub const FLAG_OPTIONAL: u32 = 1;

/// Kind of file: a model for inference.
pub const KIND_MODEL: u8 = 1;

/// Kind of file: training state.
pub const KIND_CHECKPOINT: u8 = 2;

/// Section: the graph of a model.
pub const SECTION_GRAPH: u32 = 1;
/// Section: the weights of a model.
pub const SECTION_WEIGHTS: u32 = 2;
/// Section: the index of a checkpoint.
pub const SECTION_INDEX: u32 = 3;
/// Section: the tensors of a checkpoint.
pub const SECTION_STATE: u32 = 4;

/// Byte offset of the arena length in the header: a u64, so that firmware can read it in a constant.
pub const ARENA_BYTES_OFFSET: usize = 24;

pub(crate) const fn kind_name(kind: u8) -> &'static str {
    match kind {
        KIND_MODEL => "model",
        KIND_CHECKPOINT => "checkpoint",
        _ => "file of an unknown kind",
    }
}

/// A container whose checksums and section bounds have been checked.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    file: &'a [u8],
    sections: usize,
    /// Minor version that wrote the file.
    pub minor: u8,
    /// Arena bytes of one sample (models; 0 in checkpoints).
    pub arena_bytes: u64,
}

/// An entry of the section table.
#[derive(Clone, Copy)]
struct Entry {
    kind: u32,
    flags: u32,
    offset: u64,
    length: u64,
}

impl<'a> Container<'a> {
    /// Checks, in this order: length, magic, version, kind, header checksum, reserved bytes, the file's length, body
    /// checksum, and every section's place.
    ///
    /// # Errors
    /// The first [`ParseError`] met.
    pub fn parse(file: &'a [u8], kind: u8) -> Result<Self, ParseError> {
        let Some(header) = file.first_chunk::<HEADER_BYTES>() else {
            return Err(ParseError::TooShort { bytes: file.len() });
        };
        if !header.starts_with(&MAGIC) {
            return Err(ParseError::Magic);
        }
        let [major, minor, found_kind] = [header[8], header[9], header[10]];
        if major != MAJOR {
            return Err(ParseError::Version { major, minor });
        }
        if crc32c(&header[..60]) != u32_at(header, 60) {
            return Err(ParseError::HeaderChecksum);
        }
        if found_kind != kind {
            return Err(ParseError::Kind { found: found_kind, expected: kind });
        }
        if let Some(offset) = (11..12).chain(36..60).find(|offset| header.get(*offset).is_some_and(|byte| *byte != 0)) {
            return Err(ParseError::Reserved { offset });
        }
        let expected = u64_at(header, 16);
        if expected != file.len() as u64 {
            return Err(ParseError::Length { found: file.len() as u64, expected });
        }
        let body = file.get(HEADER_BYTES..).unwrap_or(&[]);
        if crc32c(body) != u32_at(header, 32) {
            return Err(ParseError::BodyChecksum);
        }
        let sections = usize::try_from(u32_at(header, 12)).unwrap_or(usize::MAX);
        let container = Self { file, sections, minor, arena_bytes: u64_at(header, ARENA_BYTES_OFFSET) };
        container.check_sections()?;
        Ok(container)
    }

    /// Sections are ascending, each at the first boundary after the one before, zero-filled between, none repeated,
    /// and the file ends with the last one.
    fn check_sections(&self) -> Result<(), ParseError> {
        let table_end = self.sections.checked_mul(ENTRY_BYTES).and_then(|bytes| bytes.checked_add(HEADER_BYTES));
        let Some(mut end) = table_end.filter(|end| *end <= self.file.len()) else {
            return Err(ParseError::SectionBounds { index: 0 });
        };
        for (index, entry) in self.entries().enumerate() {
            let out_of_bounds = ParseError::SectionBounds { index };
            let start = usize::try_from(entry.offset).map_err(|_| out_of_bounds)?;
            let length = usize::try_from(entry.length).map_err(|_| out_of_bounds)?;
            if end.checked_next_multiple_of(SECTION_ALIGNMENT) != Some(start) {
                return Err(out_of_bounds);
            }
            let padding = self.file.get(end..start).ok_or(out_of_bounds)?;
            end = start.checked_add(length).filter(|end| *end <= self.file.len()).ok_or(out_of_bounds)?;
            if padding.iter().any(|byte| *byte != 0) {
                return Err(out_of_bounds);
            }
            if self.entries().take(index).any(|earlier| earlier.kind == entry.kind) {
                return Err(ParseError::RepeatedSection { index });
            }
            let known = SECTION_GRAPH <= entry.kind && entry.kind <= SECTION_STATE;
            if !known && entry.flags & FLAG_OPTIONAL == 0 {
                return Err(ParseError::UnknownSection { index, kind: entry.kind });
            }
            // The pairwise look for repetitions above stays bounded.
            if index >= 64 {
                return Err(out_of_bounds);
            }
        }
        if end == self.file.len() { Ok(()) } else { Err(ParseError::TrailingBytes { offset: end as u64 }) }
    }

    fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let table = self.file.get(HEADER_BYTES..).unwrap_or(&[]);
        table.as_chunks::<ENTRY_BYTES>().0.iter().take(self.sections).map(|bytes| Entry {
            kind: u32_at(bytes, 0),
            flags: u32_at(bytes, 4),
            offset: u64_at(bytes, 8),
            length: u64_at(bytes, 16),
        })
    }

    /// The section of this kind.
    ///
    /// # Errors
    /// [`ParseError::MissingSection`] where there is none.
    pub fn section(&self, kind: u32) -> Result<&'a [u8], ParseError> {
        let entry = self.entries().find(|entry| entry.kind == kind).ok_or(ParseError::MissingSection { kind })?;
        let start = entry.offset as usize;
        self.file.get(start..start + entry.length as usize).ok_or(ParseError::MissingSection { kind })
    }
}

/// Little-endian u32 at an offset; 0 beyond the end, which no caller asks for. Never inlined: cores that cannot read a word
/// at any place put it together from bytes.
#[inline(never)]
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Little-endian u64, likewise.
fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from(u32_at(bytes, offset)) | u64::from(u32_at(bytes, offset + 4)) << 32
}
