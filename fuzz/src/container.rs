//! Taking a file apart into sections and putting it together again, so that a mutation inside a section leaves the header
//! right; after `docs/format.md`, without the format's own code.

/// Bytes of the header.
const HEADER: usize = 64;
/// Bytes of an entry of the section table.
const ENTRY: usize = 24;
/// Sections begin at multiples of this many bytes.
const ALIGNMENT: usize = 64;

#[path = "../../shared-format/tests/support/seal.rs"]
mod seal;
pub(crate) use seal::{seal, seal_with_length};

/// The file with right checksums.
pub fn sealed(mut file: Vec<u8>) -> Vec<u8> {
    seal(&mut file);
    file
}

/// Kind, flags and contents of the sections of a file whose table can be followed.
fn sections(file: &[u8]) -> Option<Vec<([u8; 8], Vec<u8>)>> {
    let count = u32::from_le_bytes(file.get(12..16)?.try_into().ok()?) as usize;
    let entry = |index: usize| {
        let entry = file.get(HEADER + index * ENTRY..)?.first_chunk::<ENTRY>()?;
        let number = |at: usize| usize::try_from(u64::from_le_bytes(*entry.get(at..)?.first_chunk()?)).ok();
        let (start, length) = (number(8)?, number(16)?);
        Some((*entry.first_chunk()?, file.get(start..start.checked_add(length)?)?.to_vec()))
    };
    (0..count.min(8)).map(entry).collect()
}

/// The file with one of its sections changed by `mutate`, which is given the contents with `room` bytes behind them, and
/// says how many there are afterwards. `None` where the file has no sections, has no room for a byte, or would be longer than
/// `most` bytes.
pub fn with_mutated_section(
    file: &[u8],
    which: usize,
    most: usize,
    mutate: impl FnOnce(&mut [u8], usize) -> usize,
) -> Option<Vec<u8>> {
    let mut sections = sections(file)?;
    let room = most.checked_sub(file.len() + ALIGNMENT)?;
    let count = sections.len();
    let (_, contents) = sections.get_mut(which.checked_rem(count)?)?;
    let length = contents.len();
    contents.resize(length + room, 0);
    if contents.is_empty() {
        return None;
    }
    let length = mutate(contents, length);
    contents.truncate(length);
    let mut mutated = file.get(..HEADER)?.to_vec();
    mutated.resize(HEADER + ENTRY * count, 0);
    for (index, (kind, contents)) in sections.iter().enumerate() {
        mutated.resize(mutated.len().next_multiple_of(ALIGNMENT), 0);
        let place = [mutated.len() as u64, contents.len() as u64];
        let entry = &mut mutated[HEADER + ENTRY * index..][..ENTRY];
        entry[..8].copy_from_slice(kind);
        entry[8..16].copy_from_slice(&place[0].to_le_bytes());
        entry[16..].copy_from_slice(&place[1].to_le_bytes());
        mutated.extend(contents);
    }
    seal_with_length(&mut mutated);
    (mutated.len() <= most).then_some(mutated)
}

/// Makes one mutation of a file by `mutate` (buffer, length → length), mostly one that leaves the header right: an eighth
/// of them anything at all, a quarter anything with length and checksums repaired, the others inside a section.
pub fn mutate_file(
    buffer: &mut [u8],
    size: usize,
    most: usize,
    seed: u32,
    mutate: impl Fn(&mut [u8], usize, usize) -> usize,
) -> usize {
    let inside = |section: &mut [u8], length| mutate(section, length, section.len());
    if seed & 7 > 2
        && let Some(mutated) = with_mutated_section(&buffer[..size], (seed >> 3) as usize, most, inside)
    {
        buffer[..mutated.len()].copy_from_slice(&mutated);
        return mutated.len();
    }
    let size = mutate(buffer, size, most);
    if seed & 7 != 0 {
        seal_with_length(&mut buffer[..size]);
    }
    size
}
