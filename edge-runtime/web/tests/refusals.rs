//! Every sentence that the page can say is the one that a program prints.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod sentences;

use sentences::said;
use trishift::format::sentence::Told;
use trishift::format::{MatrixFault, OperatorKind, ParseError, PlanFault, UnknownGroupSize};
use trishift::{EngineError, RunError};
use trishift_web::Refusal;

const MOST: usize = usize::MAX;

/// Errors of each variant, with the largest numbers.
fn parse_errors() -> Vec<ParseError> {
    let (index, kind) = (MOST, u32::MAX);
    let mut errors = vec![
        ParseError::TooShort { bytes: 0 },
        ParseError::Magic,
        ParseError::Version { major: 255, minor: 0 },
        ParseError::HeaderChecksum,
        ParseError::Length { found: u64::MAX, expected: (1 << 53) + 1 },
        ParseError::BodyChecksum,
        ParseError::Reserved { offset: 11 },
        ParseError::SectionBounds { index },
        ParseError::UnknownSection { index, kind },
        ParseError::RepeatedSection { index },
        ParseError::MissingSection { kind },
        ParseError::TrailingBytes { offset: u64::MAX },
        ParseError::Malformed { what: "graph" },
        ParseError::MalformedOperator { index, offset: 7 },
        ParseError::UnknownOperator { index, code: u16::MAX },
        ParseError::Tensor { index },
        ParseError::GraphSize { tensors: 0, operators: MOST },
        ParseError::GraphTensor { tensor: u16::MAX },
        ParseError::TensorIndex { index, tensor: u16::MAX },
        ParseError::InputScales,
        ParseError::LabelCount { labels: 3, outputs: MOST },
        ParseError::StateTensor { index },
        ParseError::StateTrits { index },
    ];
    errors.extend([0, 1, 2, 255].map(|found| ParseError::Kind { found, expected: 3 - found.min(2) }));
    errors.extend(OperatorKind::ALL.map(|kind| ParseError::Operands { index, kind, what: "element types" }));
    errors.extend(matrix_faults().into_iter().map(|fault| ParseError::Matrix { index, fault }));
    errors.extend(plan_faults().into_iter().map(|fault| ParseError::Plan { tensor: index, fault }));
    errors
}

fn matrix_faults() -> Vec<MatrixFault> {
    let (row, group) = (MOST, MOST - 1);
    vec![
        MatrixFault::GroupSize(UnknownGroupSize(u32::MAX)),
        MatrixFault::Encoding(255),
        MatrixFault::Layout(255),
        MatrixFault::LayoutEncoding,
        MatrixFault::Empty,
        MatrixFault::OutsideSection,
        MatrixFault::TritByte { row },
        MatrixFault::TritPadding { row, group },
        MatrixFault::ExponentOffsets { row },
        MatrixFault::EmptyGroup { row, group },
        MatrixFault::BelowOutputUnit { row },
        MatrixFault::Int32Bound { row },
    ]
}

fn plan_faults() -> Vec<PlanFault> {
    use PlanFault::{Alignment, Class, Lifetime, OutsideArena, Overlap, Written};
    vec![Alignment, OutsideArena, Overlap { other: MOST }, Lifetime, Written, Class]
}

fn engine_errors() -> Vec<EngineError> {
    let mut errors = vec![
        EngineError::EmptyBatch,
        EngineError::TooLarge,
        EngineError::ArenaTooSmall { needed: MOST, found: 0 },
        EngineError::ArenaAlignment,
        EngineError::InputType,
        EngineError::Kernels { name: "avx2" },
    ];
    errors.extend(OperatorKind::ALL.map(|kind| EngineError::OperatorMissing { index: 1, kind }));
    errors
}

fn run_errors() -> Vec<RunError> {
    vec![
        RunError::InputLength { found: MOST, sample: 1, batch: 2 },
        RunError::OutputLength { found: MOST, needed: 0 },
        RunError::OutputType,
        RunError::RowMissing { index: 3, row: i32::MIN, rows: MOST },
        RunError::RowMissing { index: 3, row: i32::MAX, rows: MOST },
        RunError::Unreachable { index: MOST },
    ]
}

/// Fails unless the errors have every sentence of their type.
fn assert_all_numbers<E: Told>(errors: &[E], sentences: usize) {
    for number in 0..sentences {
        assert!(errors.iter().any(|error| usize::from(error.number()) == number), "sentence {number}");
    }
}

#[test]
fn the_page_says_what_a_program_prints() {
    let (parse, engine, run) = (parse_errors(), engine_errors(), run_errors());
    assert_all_numbers(&parse, ParseError::SENTENCES.len());
    assert_all_numbers(&matrix_faults(), MatrixFault::SENTENCES.len());
    assert_all_numbers(&plan_faults(), PlanFault::SENTENCES.len());
    assert_all_numbers(&engine, EngineError::SENTENCES.len());
    assert_all_numbers(&run, RunError::SENTENCES.len());
    let parse = parse.into_iter().map(Refusal::from);
    let others = engine.into_iter().map(Refusal::from).chain(run.into_iter().map(Refusal::from));
    for refusal in parse.chain(others) {
        assert_eq!(said(&refusal), refusal.to_string());
    }
}
