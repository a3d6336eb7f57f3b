//! Every field of the header and the section table at 0, 1, its largest value and next to its right one.
//!
//! Without repaired checksums each change is seen by the first of them; with repaired ones, each has an answer of its own.

use super::support::seal::seal;
use trishift_format::{Checkpoint, Model, ParseError, PlanFault};

const MODEL: &[u8] = include_bytes!("../golden/model-0.4.tsm");
const CHECKPOINT: &[u8] = include_bytes!("../golden/checkpoint-0.4.tsc");

/// A golden file, its parser, and what its header says.
struct Subject {
    file: &'static [u8],
    parse: fn(&[u8]) -> Result<(), ParseError>,
    kind: u8,
    sections: [u32; 2],
}

const SUBJECTS: [Subject; 2] = [
    Subject { file: MODEL, parse: |file| Model::parse(file).map(|_| ()), kind: 1, sections: [1, 2] },
    Subject { file: CHECKPOINT, parse: |file| Checkpoint::parse(file).map(|_| ()), kind: 2, sections: [3, 4] },
];

/// A number of `bytes` bytes, the lowest first.
#[derive(Clone, Copy)]
struct Field {
    offset: usize,
    bytes: usize,
}

impl Field {
    fn largest(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes)
    }

    fn read(self, file: &[u8]) -> u64 {
        let mut wide = [0; 8];
        wide[..self.bytes].copy_from_slice(&file[self.offset..][..self.bytes]);
        u64::from_le_bytes(wide)
    }

    /// The file with another number here and checksums that do not know of it.
    fn write(self, file: &[u8], value: u64) -> Vec<u8> {
        let mut file = file.to_vec();
        file[self.offset..][..self.bytes].copy_from_slice(&value.to_le_bytes()[..self.bytes]);
        file
    }

    /// What the field shall hold instead of its right value. Of long numbers also some that have it in their lower half:
    /// a machine that loses the upper one must not take them for right.
    fn others(self, right: u64) -> Vec<u64> {
        let largest = self.largest();
        let mut values = vec![0, 1, largest, right.wrapping_add(1) & largest, right.wrapping_sub(1) & largest];
        if self.bytes == 8 {
            values.extend([right + (1 << 32), right | 1 << 63]);
        }
        values.retain(|value| *value != right);
        values.sort_unstable();
        values.dedup();
        values
    }
}

/// Holds the answers to all other values of a field against `expected`, which is given the value.
fn check(subject: &Subject, field: Field, expected: impl Fn(u64) -> Result<(), ParseError>) {
    let right = field.read(subject.file);
    for value in field.others(right) {
        let mut changed = field.write(subject.file, value);
        // Magic number and major version come before the checksums: only they can tell what the rest means.
        let blind = match (field.offset, expected(value)) {
            (0..9, outcome) => outcome,
            (9..64, _) => Err(ParseError::HeaderChecksum),
            _ => Err(ParseError::BodyChecksum),
        };
        assert_eq!((subject.parse)(&changed), blind, "{value:#x} at {}, checksums as they were", field.offset);
        seal(&mut changed);
        assert_eq!((subject.parse)(&changed), expected(value), "{value:#x} at {}", field.offset);
    }
}

#[test]
fn magic_and_version() {
    for subject in &SUBJECTS {
        for offset in 0..8 {
            check(subject, Field { offset, bytes: 1 }, |_| Err(ParseError::Magic));
        }
        check(subject, Field { offset: 8, bytes: 1 }, |major| {
            Err(ParseError::Version { major: major as u8, minor: 4 })
        });
        // Whatever a newer minor version added, this file does not have it.
        check(subject, Field { offset: 9, bytes: 1 }, |_| Ok(()));
    }
}

#[test]
fn kind_and_reserved_bytes() {
    for subject in &SUBJECTS {
        check(subject, Field { offset: 10, bytes: 1 }, |found| {
            Err(ParseError::Kind { found: found as u8, expected: subject.kind })
        });
        for offset in (11..12).chain(36..60) {
            check(subject, Field { offset, bytes: 1 }, |_| Err(ParseError::Reserved { offset }));
        }
    }
}

#[test]
fn entries_of_the_section_table() {
    for subject in &SUBJECTS {
        check(subject, Field { offset: 12, bytes: 4 }, |entries| match entries {
            0 => Err(ParseError::TrailingBytes { offset: 64 }),
            // One entry fewer leaves bytes that are not 0 in front of the first section; one more moves it.
            _ => Err(ParseError::SectionBounds { index: 0 }),
        });
        // 24 bytes each: in 32 bits these numbers of entries come to as few bytes as the right one.
        for entries in [0x2000_0002, 0x4000_0002, 0xE000_0002] {
            let mut file = Field { offset: 12, bytes: 4 }.write(subject.file, entries);
            seal(&mut file);
            assert_eq!((subject.parse)(&file), Err(ParseError::SectionBounds { index: 0 }), "{entries:#x}");
        }
    }
}

#[test]
fn length_of_the_file() {
    for subject in &SUBJECTS {
        let found = subject.file.len() as u64;
        check(subject, Field { offset: 16, bytes: 8 }, |expected| Err(ParseError::Length { found, expected }));
    }
}

#[test]
fn arena_bytes() {
    let field = Field { offset: 24, bytes: 8 };
    let [model, checkpoint] = &SUBJECTS;
    check(model, field, |bytes| match bytes {
        84.. => Ok(()),
        // The persistent tensors are the last ones in the arena, tensor 1 the first.
        68..84 => Err(ParseError::Plan { tensor: 26, fault: PlanFault::OutsideArena }),
        64..68 => Err(ParseError::Plan { tensor: 9, fault: PlanFault::OutsideArena }),
        _ => Err(ParseError::Plan { tensor: 1, fault: PlanFault::OutsideArena }),
    });
    check(checkpoint, field, |_| Ok(()));
}

#[test]
fn checksums() {
    for subject in &SUBJECTS {
        for (offset, expected) in [(32, ParseError::BodyChecksum), (60, ParseError::HeaderChecksum)] {
            let field = Field { offset, bytes: 4 };
            for value in field.others(field.read(subject.file)) {
                let mut file = field.write(subject.file, value);
                // The header's own checksum knows of the body's.
                if offset == 32 {
                    let checksum = crc32c::crc32c(&file[..60]);
                    file[60..64].copy_from_slice(&checksum.to_le_bytes());
                }
                assert_eq!((subject.parse)(&file), Err(expected), "{value:#x}");
            }
        }
    }
}

#[test]
fn kinds_of_sections() {
    for subject in &SUBJECTS {
        let [first, second] = subject.sections;
        for (index, own, other) in [(0, first, second), (1, second, first)] {
            check(subject, Field { offset: 64 + 24 * index, bytes: 4 }, |kind| {
                let kind = kind as u32;
                Err(match kind {
                    0 | 5.. => ParseError::UnknownSection { index, kind },
                    _ if kind == other => ParseError::RepeatedSection { index: 1 },
                    // A section of the other kind of file is ignored.
                    _ => ParseError::MissingSection { kind: own },
                })
            });
        }
    }
}

#[test]
fn flags_of_sections_known_to_the_reader() {
    for subject in &SUBJECTS {
        for index in 0..2 {
            check(subject, Field { offset: 68 + 24 * index, bytes: 4 }, |_| Ok(()));
        }
    }
}

#[test]
fn offsets_of_sections() {
    for subject in &SUBJECTS {
        for index in 0..2 {
            let expected = |_| Err(ParseError::SectionBounds { index });
            check(subject, Field { offset: 72 + 24 * index, bytes: 8 }, expected);
        }
    }
}

#[test]
fn lengths_of_sections() {
    for subject in &SUBJECTS {
        let field = |index: usize| Field { offset: 80 + 24 * index, bytes: 8 };
        let start = Field { offset: 96, bytes: 8 }.read(subject.file);
        let last = field(1).read(subject.file);
        check(subject, field(1), |length| {
            Err(match length {
                _ if length < last => ParseError::TrailingBytes { offset: start + length },
                _ => ParseError::SectionBounds { index: 1 },
            })
        });
        let first = field(0).read(subject.file);
        let malformed = ["graph", "checkpoint index"][usize::from(subject.kind) - 1];
        check(subject, field(0), |length| {
            Err(match length {
                _ if length > first + 1 => ParseError::SectionBounds { index: 0 },
                // A zero of the padding behind the record.
                _ if length > first => ParseError::Malformed { what: malformed },
                // A model's record without its last byte, which is 0 too.
                _ if length + 1 == first && subject.kind == 1 => ParseError::Malformed { what: malformed },
                // Padding that is not 0, or a next section that should begin elsewhere.
                _ => ParseError::SectionBounds { index: 1 },
            })
        });
    }
}
