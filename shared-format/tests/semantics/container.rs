//! Header and section table.

use super::support::raw::{RawModel, RawSection, container};
use super::support::seal::{seal, seal_with_length};
use super::{accepted, refused};
use trishift_format::{Checkpoint, ParseError};

const GRAPH: u32 = 1;
const WEIGHTS: u32 = 2;

fn small() -> Vec<u8> {
    RawModel::small().file()
}

/// The sections of the small model.
fn sections() -> Vec<RawSection> {
    let model = RawModel::small();
    vec![RawSection::new(GRAPH, model.graph()), RawSection::new(WEIGHTS, model.weights)]
}

/// The small model with one byte changed behind its back, checksums repaired.
fn small_with(offset: usize, byte: u8) -> Vec<u8> {
    let mut file = small();
    assert_ne!(file[offset], byte);
    file[offset] = byte;
    seal(&mut file);
    file
}

#[test]
fn files_shorter_than_a_header() {
    for bytes in 0..64 {
        assert_eq!(refused(&small()[..bytes]), ParseError::TooShort { bytes });
    }
}

#[test]
fn another_magic_number() {
    for offset in 0..8 {
        assert_eq!(refused(&small_with(offset, 0)), ParseError::Magic);
    }
    // A transfer in text mode turns CR LF into LF.
    let mut file = small();
    file.remove(4);
    assert_eq!(refused(&file), ParseError::Magic);
}

#[test]
fn another_major_version_whatever_its_checksum() {
    for major in [1, 2, 255] {
        let mut file = small_with(8, major);
        assert_eq!(refused(&file), ParseError::Version { major, minor: 4 });
        file[60] ^= 1;
        assert_eq!(refused(&file), ParseError::Version { major, minor: 4 });
    }
}

#[test]
fn any_minor_version_is_read() {
    for minor in [0, 1, 2, 3, 5, 255] {
        accepted(&small_with(9, minor));
    }
}

#[test]
fn another_kind_of_file() {
    assert_eq!(refused(&small_with(10, 2)), ParseError::Kind { found: 2, expected: 1 });
    assert_eq!(refused(&small_with(10, 9)), ParseError::Kind { found: 9, expected: 1 });
    assert_eq!(Checkpoint::parse(&small()).unwrap_err(), ParseError::Kind { found: 1, expected: 2 });
}

#[test]
fn checksums_of_header_and_body() {
    for offset in 60..64 {
        let mut file = small();
        file[offset] ^= 0x10;
        assert_eq!(refused(&file), ParseError::HeaderChecksum);
    }
    let last = small().len() - 1;
    for offset in [64, 100, last] {
        let mut file = small();
        file[offset] ^= 0x10;
        assert_eq!(refused(&file), ParseError::BodyChecksum);
    }
}

#[test]
fn a_length_that_the_header_does_not_say() {
    let file = small();
    let expected = file.len() as u64;
    assert_eq!(refused(&file[..file.len() - 1]), ParseError::Length { found: expected - 1, expected });
    let longer = [&file[..], &[0]].concat();
    assert_eq!(refused(&longer), ParseError::Length { found: expected + 1, expected });
    // The header's length lies about a whole file.
    let huge = small_with(23, 0xFF);
    let claimed = expected | 0xFF << 56;
    assert_eq!(refused(&huge), ParseError::Length { found: expected, expected: claimed });
}

#[test]
fn reserved_bytes_of_the_header() {
    for offset in (11..12).chain(36..60) {
        assert_eq!(refused(&small_with(offset, 1)), ParseError::Reserved { offset });
    }
}

#[test]
fn a_section_table_longer_than_the_file() {
    for (offset, byte) in [(12, 200), (15, 255)] {
        assert_eq!(refused(&small_with(offset, byte)), ParseError::SectionBounds { index: 0 });
    }
    let mut header_only = small()[..64].to_vec();
    seal_with_length(&mut header_only);
    assert_eq!(refused(&header_only), ParseError::SectionBounds { index: 0 });
}

#[test]
fn sections_off_their_place() {
    let right = small();
    let graph_offset = u64::from_le_bytes(right[72..80].try_into().unwrap());
    assert_eq!(graph_offset, 128);
    for offset in [0, 64, 112, 127, 129, 192, 1 << 20, u64::MAX] {
        let mut sections = sections();
        sections[0].offset = Some(offset);
        assert_eq!(refused(&container(1, 0, &sections)), ParseError::SectionBounds { index: 0 }, "{offset}");
    }
    let mut overlapping = sections();
    overlapping[1].offset = Some(graph_offset);
    assert_eq!(refused(&container(1, 0, &overlapping)), ParseError::SectionBounds { index: 1 });
}

#[test]
fn sections_that_run_past_the_file() {
    let bytes = RawModel::small().weights.len() as u64;
    for length in [bytes + 1, 1 << 40, u64::MAX, u64::MAX - 127] {
        let mut sections = sections();
        sections[1].length = Some(length);
        assert_eq!(refused(&container(1, 0, &sections)), ParseError::SectionBounds { index: 1 }, "{length}");
    }
}

#[test]
fn padding_between_sections() {
    for offset in 112..128 {
        assert_eq!(refused(&small_with(offset, 1)), ParseError::SectionBounds { index: 0 });
    }
}

#[test]
fn more_sections_than_a_table_may_hold() {
    let unknown = |kind| RawSection { flags: 1, ..RawSection::new(kind, vec![]) };
    let with = |count: u32| {
        let mut sections = sections();
        sections.extend((0..count).map(|index| unknown(100 + index)));
        container(1, 0, &sections)
    };
    accepted(&with(62));
    assert_eq!(refused(&with(63)), ParseError::SectionBounds { index: 64 });
}

#[test]
fn unknown_optional_sections_are_skipped() {
    for (position, flags) in [(0, 1), (1, 1), (2, 1), (1, 3)] {
        let mut sections = sections();
        sections.insert(position, RawSection { flags, ..RawSection::new(77, b"from the future".to_vec()) });
        accepted(&container(1, 0, &sections));
    }
}

#[test]
fn unknown_mandatory_sections() {
    for (index, kind, flags) in [(0, 77, 0), (1, 5, 0), (2, u32::MAX, 2), (2, 0, 0)] {
        let mut sections = sections();
        sections.insert(index, RawSection { flags, ..RawSection::new(kind, vec![1, 2, 3]) });
        let error = refused(&container(1, 0, &sections));
        assert_eq!(error, ParseError::UnknownSection { index, kind });
        assert!(error.to_string().contains(&kind.to_string()));
    }
}

#[test]
fn repeated_sections() {
    let mut sections = sections();
    sections.push(sections[0].clone());
    assert_eq!(refused(&container(1, 0, &sections)), ParseError::RepeatedSection { index: 2 });
}

#[test]
fn missing_sections() {
    let [graph, weights] = sections().try_into().map_err(|_| "two sections").unwrap();
    assert_eq!(refused(&container(1, 0, &[weights])), ParseError::MissingSection { kind: GRAPH });
    assert_eq!(refused(&container(1, 0, &[graph])), ParseError::MissingSection { kind: WEIGHTS });
    assert_eq!(refused(&container(1, 0, &[])), ParseError::MissingSection { kind: GRAPH });
}

#[test]
fn bytes_that_belong_to_no_section() {
    let mut file = small();
    let offset = file.len() as u64;
    file.extend([0; 3]);
    seal_with_length(&mut file);
    assert_eq!(refused(&file), ParseError::TrailingBytes { offset });
}
