//! Damaged files: cut off, extended, one bit flipped, with and without checksums that know of it.
//!
//! Without repair every damage must be refused. With repaired checksums the checks behind them are on their own: a
//! flipped bit is refused, or gives another file that keeps every promise ([`support::walk`] proves that it does).

mod support;

use support::seal::{seal, seal_with_length};
use support::walk;
use trishift_format::container::HEADER_BYTES;
use trishift_format::{Checkpoint, Model, ParseError};

/// A golden file and the parser of its kind, which walks whatever it accepts.
struct Subject {
    name: &'static str,
    file: &'static [u8],
    parse: fn(&[u8]) -> Result<(), ParseError>,
}

fn parse_model(file: &[u8]) -> Result<(), ParseError> {
    Model::parse(file).map(|model| walk::model(&model))
}

fn parse_checkpoint(file: &[u8]) -> Result<(), ParseError> {
    Checkpoint::parse(file).map(|checkpoint| walk::checkpoint(&checkpoint))
}

/// The files of every version, which together hold every section, operator, layout, encoding and element type.
const SUBJECTS: [Subject; 8] = [
    Subject { name: "model 0.4", file: include_bytes!("golden/model-0.4.tsm"), parse: parse_model },
    Subject { name: "model 0.3", file: include_bytes!("golden/model-0.3.tsm"), parse: parse_model },
    Subject { name: "model 0.2", file: include_bytes!("golden/model-0.2.tsm"), parse: parse_model },
    Subject { name: "model 0.1", file: include_bytes!("golden/model-0.1.tsm"), parse: parse_model },
    Subject { name: "checkpoint 0.4", file: include_bytes!("golden/checkpoint-0.4.tsc"), parse: parse_checkpoint },
    Subject { name: "checkpoint 0.3", file: include_bytes!("golden/checkpoint-0.3.tsc"), parse: parse_checkpoint },
    Subject { name: "checkpoint 0.2", file: include_bytes!("golden/checkpoint-0.2.tsc"), parse: parse_checkpoint },
    Subject { name: "checkpoint 0.1", file: include_bytes!("golden/checkpoint-0.1.tsc"), parse: parse_checkpoint },
];

#[test]
fn the_undamaged_files_are_accepted() {
    for Subject { name, file, parse } in SUBJECTS {
        assert_eq!(parse(file), Ok(()), "{name}");
        assert!(file.len() <= 2048, "{name} has {} bytes", file.len());
    }
}

/// Every copy of the file with one bit flipped.
fn flips(file: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..file.len() * 8).map(|bit| {
        let mut flipped = file.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        (bit, flipped)
    })
}

#[test]
fn every_truncation_is_refused() {
    for Subject { name, file, parse } in SUBJECTS {
        for length in 0..file.len() {
            let expected = if length < HEADER_BYTES {
                ParseError::TooShort { bytes: length }
            } else {
                ParseError::Length { found: length as u64, expected: file.len() as u64 }
            };
            assert_eq!(parse(&file[..length]), Err(expected), "{name} cut to {length} bytes");
        }
    }
}

#[test]
fn every_truncation_with_a_matching_header_is_refused() {
    for Subject { name, file, parse } in SUBJECTS {
        for length in HEADER_BYTES..file.len() {
            let mut cut = file[..length].to_vec();
            seal_with_length(&mut cut);
            let error = parse(&cut).expect_err("a section must miss bytes");
            assert!(matches!(error, ParseError::SectionBounds { .. }), "{name} cut to {length} bytes: {error}");
        }
    }
}

#[test]
fn an_empty_file_is_refused() {
    for Subject { parse, .. } in SUBJECTS {
        assert_eq!(parse(&[]), Err(ParseError::TooShort { bytes: 0 }));
    }
}

#[test]
fn appended_bytes_are_refused() {
    for Subject { file, parse, .. } in SUBJECTS {
        let expected = file.len() as u64;
        for tail in [&[0][..], &[0; 64], file] {
            let mut longer = [file, tail].concat();
            assert_eq!(parse(&longer), Err(ParseError::Length { found: longer.len() as u64, expected }));
            seal_with_length(&mut longer);
            assert_eq!(parse(&longer), Err(ParseError::TrailingBytes { offset: expected }));
        }
    }
}

#[test]
fn the_other_kind_is_refused() {
    let [model, _, _, _, checkpoint, ..] = SUBJECTS;
    assert_eq!((model.parse)(checkpoint.file), Err(ParseError::Kind { found: 2, expected: 1 }));
    assert_eq!((checkpoint.parse)(model.file), Err(ParseError::Kind { found: 1, expected: 2 }));
}

#[test]
fn every_flipped_bit_is_refused() {
    for Subject { name, file, parse } in SUBJECTS {
        let mut refused = 0;
        for (bit, flipped) in flips(file) {
            let expected = match bit / 8 {
                0..8 => ParseError::Magic,
                8 => ParseError::Version { major: flipped[8], minor: flipped[9] },
                9..HEADER_BYTES => ParseError::HeaderChecksum,
                _ => ParseError::BodyChecksum,
            };
            assert_eq!(parse(&flipped), Err(expected), "{name}: bit {} of byte {}", bit % 8, bit / 8);
            refused += 1;
        }
        println!("{name}: {refused} of {} flips refused", file.len() * 8);
    }
}

#[test]
fn every_flipped_bit_behind_repaired_checksums_is_refused_or_harmless() {
    for Subject { name, file, parse } in SUBJECTS {
        let (mut refused, mut accepted) = (0, 0);
        for (_, mut flipped) in flips(file) {
            seal(&mut flipped);
            match parse(&flipped) {
                // The flip hit a checksum itself, which the repair undid.
                Ok(()) if flipped == file => {}
                Ok(()) => accepted += 1,
                Err(_) => refused += 1,
            }
        }
        println!("{name}: {refused} flips refused, {accepted} give another valid file, 64 hit the checksums");
        assert_eq!(refused + accepted, file.len() * 8 - 64);
        // A trit, a bias or a letter of the name may well be another one; the structure may not.
        assert!(refused > 0 && accepted > 0, "{name}: {refused} refused, {accepted} accepted");
    }
}
