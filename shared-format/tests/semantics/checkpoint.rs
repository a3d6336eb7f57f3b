//! Checkpoints: the index and its tensors.

use super::messages::check_sentence;
use super::support::raw::{RawSection, container, prefixed, varint};
use super::support::walk;
use trishift_format::{Checkpoint, ParseError};

/// A tensor's record.
#[derive(Clone)]
struct RawState {
    name: &'static [u8],
    state_type: u8,
    rows: u64,
    columns: u64,
    offset: u64,
    tail: Vec<u8>,
}

impl RawState {
    fn new(name: &'static str, state_type: u8, shape: [u64; 2], offset: u64) -> Self {
        let [rows, columns] = shape;
        Self { name: name.as_bytes(), state_type, rows, columns, offset, tail: vec![] }
    }

    fn record(&self) -> Vec<u8> {
        let numbers = [self.rows, self.columns, self.offset].map(varint).concat();
        prefixed([prefixed(self.name), vec![self.state_type], numbers, self.tail.clone()].concat())
    }
}

const TRITS: u8 = 0;
const I8: u8 = 1;
const I64: u8 = 4;

/// Seven trits in two bytes, six gap bytes, two 64-bit integers.
fn states() -> Vec<RawState> {
    vec![RawState::new("trits", TRITS, [7, 1], 0), RawState::new("steps", I64, [1, 2], 8)]
}

fn state() -> Vec<u8> {
    let mut state = vec![242, 8];
    state.resize(24, 0);
    state
}

fn index(config: &[u8], records: &[u8]) -> Vec<u8> {
    [prefixed(config), prefixed(records)].concat()
}

fn file_of(index: Vec<u8>, state: Vec<u8>) -> Vec<u8> {
    container(2, 0, &[RawSection::new(3, index), RawSection::new(4, state)])
}

fn file(states: &[RawState], state: Vec<u8>) -> Vec<u8> {
    file_of(index(b"seed = 1", &states.iter().flat_map(RawState::record).collect::<Vec<_>>()), state)
}

#[track_caller]
fn accepted(file: &[u8]) {
    match Checkpoint::parse(file) {
        Ok(checkpoint) => walk::checkpoint(&checkpoint),
        Err(error) => panic!("a valid checkpoint was refused: {error}"),
    }
}

fn refused(file: &[u8]) -> ParseError {
    let error = Checkpoint::parse(file).map(|checkpoint| checkpoint.config().len()).expect_err("a broken rule");
    check_sentence(&error.to_string());
    error
}

/// The file whose second tensor was changed.
fn changed(change: impl FnOnce(&mut RawState)) -> Vec<u8> {
    let mut states = states();
    change(&mut states[1]);
    file(&states, state())
}

#[test]
fn the_checkpoint_that_the_tests_start_from_is_valid() {
    accepted(&file(&states(), state()));
    accepted(&file(&[], vec![]));
}

#[test]
fn missing_sections() {
    let state_alone = container(2, 0, &[RawSection::new(4, state())]);
    assert_eq!(refused(&state_alone), ParseError::MissingSection { kind: 3 });
    let index_alone = container(2, 0, &[RawSection::new(3, index(b"", b""))]);
    assert_eq!(refused(&index_alone), ParseError::MissingSection { kind: 4 });
}

#[test]
fn an_index_that_does_not_decode() {
    let malformed = ParseError::Malformed { what: "checkpoint index" };
    assert_eq!(refused(&file_of(index(&[0xFF], b""), vec![])), malformed, "a configuration that is not UTF-8");
    assert_eq!(refused(&file_of([index(b"", b""), vec![0]].concat(), vec![])), malformed, "a byte too many");
    assert_eq!(refused(&file_of(vec![0, 9, 1], vec![])), malformed, "fewer bytes than it says");
    assert_eq!(refused(&file_of(vec![], vec![])), malformed);
}

#[test]
fn tensor_records_that_do_not_decode() {
    let invalid = ParseError::StateTensor { index: 1 };
    assert_eq!(refused(&changed(|tensor| tensor.state_type = 6)), invalid);
    assert_eq!(refused(&changed(|tensor| tensor.name = b"")), invalid);
    assert_eq!(refused(&changed(|tensor| tensor.name = &[0xFF])), invalid);
    assert_eq!(refused(&changed(|tensor| tensor.tail = vec![0])), invalid);
    let mut cut = states().iter().flat_map(RawState::record).collect::<Vec<_>>();
    cut.pop();
    assert_eq!(refused(&file_of(index(b"", &cut), state())), invalid);
}

#[test]
fn tensors_outside_the_state_section() {
    let invalid = ParseError::StateTensor { index: 1 };
    for offset in [9, 24, 1 << 40, u64::MAX, u64::MAX - 15] {
        assert_eq!(refused(&changed(|tensor| tensor.offset = offset)), invalid, "{offset}");
    }
    for (rows, columns) in [(1, 3), (3, 1), (u64::MAX, 2), (1 << 32, 1 << 32), (1 << 61, 1), (1 << 63, 1)] {
        let shaped = changed(|tensor| (tensor.rows, tensor.columns) = (rows, columns));
        assert_eq!(refused(&shaped), invalid, "{rows}x{columns}");
    }
}

#[test]
fn tensors_that_share_bytes_or_go_back() {
    let invalid = ParseError::StateTensor { index: 1 };
    for offset in [0, 1] {
        let shared = changed(|tensor| (tensor.state_type, tensor.offset) = (I8, offset));
        assert_eq!(refused(&shared), invalid, "{offset}");
    }
    accepted(&changed(|tensor| (tensor.state_type, tensor.offset) = (I8, 2)));
    let swapped: Vec<_> = states().into_iter().rev().collect();
    assert_eq!(refused(&file(&swapped, state())), invalid);
}

#[test]
fn tensors_without_elements() {
    accepted(&changed(|tensor| (tensor.rows, tensor.columns) = (0, 0)));
    accepted(&changed(|tensor| (tensor.rows, tensor.columns) = (0, 1 << 31)));
    accepted(&changed(|tensor| (tensor.state_type, tensor.rows) = (TRITS, 0)));
}

#[test]
fn trit_bytes_above_242_and_padding_that_is_not_digit_0() {
    let with = |offset: usize, byte| {
        let mut state = state();
        state[offset] = byte;
        file(&states(), state)
    };
    for byte in 243..=255 {
        assert_eq!(refused(&with(0, byte)), ParseError::StateTrits { index: 0 });
    }
    // Two trits in the last byte: nine values.
    for byte in 0..9 {
        accepted(&with(1, byte));
    }
    for byte in 9..=255 {
        assert_eq!(refused(&with(1, byte)), ParseError::StateTrits { index: 0 });
    }
    // The gap between tensors belongs to none.
    accepted(&with(5, 255));
}
