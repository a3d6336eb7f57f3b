//! Checksums made right again after an edit, so that the checks behind them can be reached.
//!
//! The tests and the fuzz target edit bytes and then seal them: the parser under test is the one that ships, without
//! a switch that turns its checksums off.

const HEADER_BYTES: usize = 64;

/// Writes both checksums of a file at least as long as its header; a shorter one is left alone.
pub(crate) fn seal(file: &mut [u8]) {
    let Some((header, body)) = file.split_at_mut_checked(HEADER_BYTES) else { return };
    header[32..36].copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    let checksum = crc32c::crc32c(&header[..60]);
    header[60..].copy_from_slice(&checksum.to_le_bytes());
}

/// Writes the file's length, then both checksums.
pub(crate) fn seal_with_length(file: &mut [u8]) {
    let length = file.len() as u64;
    if let Some(field) = file.get_mut(16..24) {
        field.copy_from_slice(&length.to_le_bytes());
    }
    seal(file);
}
