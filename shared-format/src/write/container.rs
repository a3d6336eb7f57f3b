//! Header, section table and checksums around sections.

use crate::checksum::crc32c;
use crate::container::{ENTRY_BYTES, HEADER_BYTES, MAGIC, MAJOR, MINOR, SECTION_ALIGNMENT};
use alloc::vec;
use alloc::vec::Vec;

/// The file of these sections (kind, contents), in this order.
pub(super) fn assemble(kind: u8, arena_bytes: u64, sections: &[(u32, &[u8])]) -> Vec<u8> {
    let mut file = vec![0; HEADER_BYTES + sections.len() * ENTRY_BYTES];
    for (index, (section_kind, contents)) in sections.iter().enumerate() {
        file.resize(file.len().next_multiple_of(SECTION_ALIGNMENT), 0);
        let offset = file.len() as u64;
        file.extend_from_slice(contents);
        let entry = &mut file[HEADER_BYTES + index * ENTRY_BYTES..][..ENTRY_BYTES];
        entry[..4].copy_from_slice(&section_kind.to_le_bytes());
        entry[8..16].copy_from_slice(&offset.to_le_bytes());
        entry[16..24].copy_from_slice(&(contents.len() as u64).to_le_bytes());
    }
    let length = file.len() as u64;
    let body = crc32c(&file[HEADER_BYTES..]);
    let header = &mut file[..HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8] = MAJOR;
    header[9] = MINOR;
    header[10] = kind;
    header[12..16].copy_from_slice(&(sections.len() as u32).to_le_bytes());
    header[16..24].copy_from_slice(&length.to_le_bytes());
    header[24..32].copy_from_slice(&arena_bytes.to_le_bytes());
    header[32..36].copy_from_slice(&body.to_le_bytes());
    let checksum = crc32c(&header[..60]);
    header[60..].copy_from_slice(&checksum.to_le_bytes());
    file
}
