//! What errors say: one sentence on one line that names what was found.

use std::collections::BTreeSet;
use trishift_format::sentence::{Arguments, Sentence, Told};
use trishift_format::{
    ExponentEncoding, GroupSize, Layout, MatrixFault, OperatorKind, ParseError, PlanFault, UnknownGroupSize,
};

/// A message is a sentence fit for one line of a log or a terminal.
#[track_caller]
pub(super) fn check_sentence(message: &str) {
    assert!(message.split(' ').count() >= 3, "not a sentence: {message:?}");
    assert!(message.chars().all(|letter| !letter.is_control()), "more than a line: {message:?}");
    assert!(message.trim() == message && !message.ends_with('.') && !message.contains("  "), "{message:?}");
}

/// An error of every cause with the words that must stand in its message.
fn every_error() -> Vec<(ParseError, &'static [&'static str])> {
    let matrix = |fault| ParseError::Matrix { index: 3, fault };
    let plan = |fault| ParseError::Plan { tensor: 5, fault };
    vec![
        (ParseError::TooShort { bytes: 7 }, &["7 bytes", "cut off"]),
        (ParseError::Magic, &["not a trishift file", "magic"]),
        (ParseError::Version { major: 3, minor: 9 }, &["3.9", "version 0", "export"]),
        (ParseError::Kind { found: 2, expected: 1 }, &["is a checkpoint", "a model is expected"]),
        (ParseError::Kind { found: 1, expected: 2 }, &["is a model", "a checkpoint is expected"]),
        (ParseError::Kind { found: 99, expected: 1 }, &["unknown kind"]),
        (ParseError::HeaderChecksum, &["header", "checksum"]),
        (ParseError::Length { found: 10, expected: 12 }, &["10 bytes", "12"]),
        (ParseError::BodyChecksum, &["damaged", "checksum"]),
        (ParseError::Reserved { offset: 41 }, &["byte 41", "reserved"]),
        (ParseError::SectionBounds { index: 2 }, &["section 2"]),
        (ParseError::UnknownSection { index: 2, kind: 88 }, &["section 2", "88", "newer"]),
        (ParseError::RepeatedSection { index: 2 }, &["section 2", "repeats"]),
        (ParseError::MissingSection { kind: 2 }, &["section kind 2", "missing"]),
        (ParseError::TrailingBytes { offset: 99 }, &["offset 99", "no section"]),
        (ParseError::Malformed { what: "label list" }, &["label list", "decode"]),
        (ParseError::MalformedOperator { index: 4, offset: 77 }, &["operator 4", "offset 77"]),
        (ParseError::UnknownOperator { index: 4, code: 300 }, &["operator 4", "unknown code 300", "update"]),
        (ParseError::Tensor { index: 6 }, &["tensor 6"]),
        (ParseError::GraphSize { tensors: 0, operators: 2000 }, &["0 tensors", "2000 operators", "1024"]),
        (ParseError::GraphTensor { tensor: 8 }, &["input or output", "tensor 8"]),
        (ParseError::TensorIndex { index: 4, tensor: 8 }, &["operator 4", "tensor 8"]),
        (
            ParseError::Operands { index: 4, kind: OperatorKind::ShiftNorm, what: "shapes" },
            &["operator 4", "shift-norm", "shapes"],
        ),
        (
            ParseError::Operands { index: 4, kind: OperatorKind::Int8DepthwiseConv2d, what: "exponents" },
            &["operator 4", "int8-depthwise-conv2d", "exponents"],
        ),
        (matrix(MatrixFault::GroupSize(UnknownGroupSize(5))), &["operator 3", "group size 5", "96"]),
        (matrix(MatrixFault::Encoding(9)), &["operator 3", "encoding 9"]),
        (matrix(MatrixFault::Layout(9)), &["operator 3", "layout 9"]),
        (matrix(MatrixFault::LayoutEncoding), &["operator 3", "exponents", "layout"]),
        (matrix(MatrixFault::Empty), &["operator 3", "no rows"]),
        (matrix(MatrixFault::OutsideSection), &["operator 3", "outside"]),
        (matrix(MatrixFault::TritByte { row: 1 }), &["operator 3", "row 1", "242"]),
        (matrix(MatrixFault::TritPadding { row: 1, group: 2 }), &["row 1", "group 2", "padding"]),
        (matrix(MatrixFault::ExponentOffsets { row: 1 }), &["row 1", "offsets"]),
        (matrix(MatrixFault::EmptyGroup { row: 1, group: 2 }), &["row 1", "group 2", "zeros"]),
        (matrix(MatrixFault::BelowOutputUnit { row: 1 }), &["row 1", "output"]),
        (matrix(MatrixFault::Int32Bound { row: 1 }), &["row 1", "int32", "window", "bias"]),
        (plan(PlanFault::Alignment), &["tensor 5", "multiple of 4"]),
        (plan(PlanFault::OutsideArena), &["tensor 5", "arena"]),
        (plan(PlanFault::Overlap { other: 7 }), &["tensor 5", "tensor 7"]),
        (plan(PlanFault::Lifetime), &["tensor 5", "lifetime"]),
        (plan(PlanFault::Written), &["tensor 5", "written"]),
        (plan(PlanFault::Class), &["tensor 5", "class"]),
        (ParseError::InputScales, &["input scaling"]),
        (ParseError::LabelCount { labels: 3, outputs: 4 }, &["3 labels", "4 outputs"]),
        (ParseError::StateTensor { index: 1 }, &["state tensor 1"]),
        (ParseError::StateTrits { index: 1 }, &["state tensor 1", "trit"]),
    ]
}

#[test]
fn every_message_is_one_sentence_that_names_what_was_found() {
    for (error, words) in every_error() {
        let message = error.to_string();
        check_sentence(&message);
        for word in words {
            assert!(message.contains(word), "{word:?} is missing in {message:?}");
        }
    }
}

#[test]
fn names_of_what_a_matrix_is_stored_as() {
    let encodings = [ExponentEncoding::Int8, ExponentEncoding::Offset4, ExponentEncoding::Offset8];
    assert_eq!(encodings.map(|encoding| encoding.to_string()), ["int8", "4-bit offset", "8-bit offset"]);
    assert_eq!([Layout::Rows, Layout::Groups].map(|layout| layout.to_string()), ["rows", "groups"]);
    assert_eq!(GroupSize::ALL.map(|group| group.to_string()).join(" "), "4 6 8 16 20 32 40 64 80 96");
    let names = OperatorKind::ALL.map(|kind| kind.to_string());
    assert_eq!(
        names.join(" "),
        "linear shift-norm requantize relu add argmax rms-norm embedding softmax conv2d depthwise-conv2d int8-linear \
             int8-conv2d int8-depthwise-conv2d max-pool avg-pool concat reshape pad slide"
    );
}

#[test]
fn the_list_above_holds_every_variant() {
    let (mut errors, mut matrix_faults, mut plan_faults) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (error, _) in every_error() {
        errors.insert(error.number());
        match error {
            ParseError::Matrix { fault, .. } => _ = matrix_faults.insert(fault.number()),
            ParseError::Plan { fault, .. } => _ = plan_faults.insert(fault.number()),
            _ => {}
        }
    }
    let all = |sentences: &[Sentence]| (0..sentences.len() as u8).collect::<BTreeSet<_>>();
    assert_eq!(errors, all(ParseError::SENTENCES));
    assert_eq!(matrix_faults, all(MatrixFault::SENTENCES));
    assert_eq!(plan_faults, all(PlanFault::SENTENCES));
}

/// Puts a sentence together from its parts.
fn told(error: &dyn Told) -> String {
    struct Parts(Vec<String>);

    impl Arguments for Parts {
        fn natural(&mut self, number: u64) {
            self.0.push(number.to_string());
        }

        fn integer(&mut self, number: i32) {
            self.0.push(number.to_string());
        }

        fn text(&mut self, text: &str) {
            self.0.push(text.to_string());
        }

        fn told(&mut self, error: &dyn Told) {
            self.0.push(told(error));
        }
    }

    let sentences = match error.name() {
        "ParseError" => ParseError::SENTENCES,
        "MatrixFault" => MatrixFault::SENTENCES,
        "PlanFault" => PlanFault::SENTENCES,
        "UnknownGroupSize" => UnknownGroupSize::SENTENCES,
        name => panic!("{name}"),
    };
    let sentence = sentences[usize::from(error.number())];
    let mut parts = Parts(Vec::new());
    error.arguments(&mut parts);
    assert_eq!(parts.0.len(), sentence.arguments.len(), "{sentence:?}");
    let put = |text: String, (name, part): (&&str, &String)| text.replace(&format!("{{{name}}}"), part);
    sentence.arguments.iter().zip(&parts.0).fold(sentence.text.to_string(), put)
}

#[test]
fn parts_make_the_message() {
    for (error, _) in every_error() {
        assert_eq!(told(&error), error.to_string());
    }
}
