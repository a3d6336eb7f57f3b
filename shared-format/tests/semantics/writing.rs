//! What the writers refuse, each with the numbers found and needed.

use super::messages::check_sentence;
use trishift_format::write::{CheckpointWriter, MatrixValues, ModelWriter, Region, StateValues, WriteError};
use trishift_format::{GroupSize, Layout, ParseError};

fn count(what: &'static str, found: usize, expected: usize) -> WriteError {
    let error = WriteError::Count { what, found, expected };
    let message = error.to_string();
    check_sentence(&message);
    assert!([what, &found.to_string(), &expected.to_string()].iter().all(|word| message.contains(*word)), "{message}");
    error
}

#[test]
fn matrices_of_other_numbers_of_values() {
    let group = GroupSize::new(4).unwrap();
    for layout in [Layout::Rows, Layout::Groups] {
        // Two rows of six: twelve trits, two groups each.
        let add = |rows, columns, trits: usize, exponents: usize| {
            let values =
                MatrixValues { rows, columns, group, trits: &[1; 20][..trits], exponents: &[0; 20][..exponents] };
            ModelWriter::new("").add_matrix_in(&values, layout)
        };
        assert!(add(2, 6, 12, 4).is_ok());
        for found in [0, 1, 11, 13, 20] {
            assert_eq!(add(2, 6, found, 4), Err(count("trits", found, 12)));
        }
        for found in [0, 3, 5, 12] {
            assert_eq!(add(2, 6, 12, found), Err(count("exponents", found, 4)));
        }
        assert_eq!(add(usize::MAX, 2, 0, 0), Err(WriteError::TooLarge));
        assert_eq!(add(usize::MAX / 4, 5, 0, 0), Err(WriteError::TooLarge));
    }
    check_sentence(&WriteError::TooLarge.to_string());
    check_sentence(&WriteError::Encoding.to_string());
}

#[test]
fn state_that_is_no_whole_number_of_rows() {
    let push = |rows, count| CheckpointWriter::new("").push("t", rows, StateValues::I8(&[0; 12][..count]));
    for (rows, values) in [(1, 0), (1, 12), (3, 12), (12, 12), (4, 0), (0, 0)] {
        assert_eq!(push(rows, values), Ok(()), "{values} in {rows} rows");
    }
    for (rows, values, expected) in [(5, 12, 10), (3, 11, 9), (12, 11, 0), (7, 12, 7), (0, 1, 0)] {
        assert_eq!(push(rows, values), Err(count("state values", values, expected)), "{values} in {rows} rows");
    }
}

#[test]
fn files_that_would_break_a_rule() {
    let region = Region { tensors: &[], input: 0, output: 0, arena_bytes: 0 };
    let error = ModelWriter::new("").finish(&region).unwrap_err();
    assert_eq!(error, WriteError::Invalid(ParseError::GraphSize { tensors: 0, operators: 0 }));
    check_sentence(&error.to_string());
    let mut nameless = CheckpointWriter::new("");
    nameless.push("", 1, StateValues::I8(&[1])).unwrap();
    assert_eq!(nameless.finish(), Err(WriteError::Invalid(ParseError::StateTensor { index: 0 })));
}
