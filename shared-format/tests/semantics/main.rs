//! Every rule the parsers check, one test each: a file that is wrong in one way, and the error that says so.
//!
//! The files come from the independent writer in `support/raw.rs`; each test starts from a file that is accepted.

#[path = "../support/mod.rs"]
mod support;

mod checkpoint;
mod container;
mod embedding;
mod extents;
mod graph;
mod header_fields;
mod in_place;
mod int32_bound;
mod int8;
mod matrix;
mod messages;
mod metadata;
mod operands;
mod placement;
mod plan;
mod widths;
mod windows;
#[cfg(feature = "alloc")]
mod writing;

use support::raw::RawModel;
use support::walk;
use trishift_format::{Model, ParseError};

/// The error a file gives; its message must be a sentence that fits one line of a log.
fn refused(file: &[u8]) -> ParseError {
    let error = Model::parse(file).map(|model| model.name().len()).expect_err("the file breaks a rule");
    messages::check_sentence(&error.to_string());
    error
}

/// The error a model gives.
fn refusal(model: &RawModel) -> ParseError {
    refused(&model.file())
}

/// Parses a file that breaks no rule, and walks it.
#[track_caller]
fn accepted(file: &[u8]) {
    match Model::parse(file) {
        Ok(model) => walk::model(&model),
        Err(error) => panic!("a valid model was refused: {error}"),
    }
}

#[test]
fn the_models_that_the_tests_start_from_are_valid() {
    accepted(&RawModel::small().file());
    accepted(&RawModel::records().file());
    accepted(&RawModel::table().file());
    accepted(&RawModel::relus(1).file());
    accepted(&RawModel::relus(4).file());
}

#[cfg(feature = "alloc")]
#[test]
fn both_writers_make_the_same_file() {
    use trishift_format::write::{MatrixValues, ModelWriter, Region};
    use trishift_format::{GroupSize, InputScale, Layout, Linear, Operator};

    for (raw, layout) in [(RawModel::small(), Layout::Rows), (RawModel::records(), Layout::Groups)] {
        let mut writer = ModelWriter::new("raw");
        let values = MatrixValues {
            rows: 2,
            columns: 6,
            group: GroupSize::new(4).unwrap(),
            trits: &RawModel::SMALL_TRITS,
            exponents: &RawModel::SMALL_EXPONENTS,
        };
        let weights = writer.add_matrix_in(&values, layout).unwrap();
        let bias = Some(writer.add_bias(&RawModel::SMALL_BIAS).unwrap());
        writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: true, weights, bias })).unwrap();
        writer.label("no").unwrap();
        writer.label("yes").unwrap();
        writer.property("key", "value").unwrap();
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensors: Vec<_> = raw.tensors.iter().map(|tensor| tensor.tensor()).collect();
        let file = writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).unwrap();
        assert_eq!(file, raw.file());
    }
}
