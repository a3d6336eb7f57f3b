//! Scratch of this target's kernels: how much a model needs, from the parsed model and, in a constant, from its file.
//!
//! It depends on shapes alone. The constant cannot use the parser, which checks sums and reads through a library, so
//! it walks the graph's records itself; a file that breaks a rule on the way has no answer, and one that it misreads is
//! refused by `Model::parse` before anything runs.

use trishift_format::container::{ENTRY_BYTES, HEADER_BYTES, SECTION_GRAPH};
use trishift_format::{DataType, Model, Operator, OperatorKind, Tensor};
use trishift_kernels::Scratch;

/// Bytes for the operator of `model` that needs most.
pub(crate) fn of_model(model: &Model<'_>, scratch: &Scratch) -> usize {
    let of = |operator: Operator| match operator {
        Operator::Linear(op) => {
            scratch.bytes(op.weights.rows as usize, model.tensor(op.output).data_type == DataType::I32)
        }
        _ => 0,
    };
    model.operators().map(of).max().unwrap_or(0)
}

/// The same from the file; `None` for one that cannot be walked.
pub(crate) const fn of_file(file: &[u8], scratch: &Scratch) -> Option<usize> {
    let Some(mut graph) = graph(file) else { return None };
    // Name, numbers of input and output, tensors; then the operators, each with its length in front.
    let Some(name) = graph.number() else { return None };
    graph.at = graph.at.saturating_add(name);
    graph.number();
    graph.number();
    let Some(tensor_bytes) = graph.number() else { return None };
    let tensors = graph.at;
    graph.at = graph.at.saturating_add(tensor_bytes);
    let Some(operator_bytes) = graph.number() else { return None };
    let end = graph.at.saturating_add(operator_bytes);
    let mut most = 0;
    while graph.at < end {
        let Some(length) = graph.number() else { return None };
        let next = graph.at.saturating_add(length);
        let Some(kind) = graph.number() else { return None };
        if kind == OperatorKind::Linear as usize {
            graph.number();
            let Some(output) = graph.number() else { return None };
            // Behind ReLU, a byte, the matrix begins with its rows.
            graph.at += 1;
            let Some(rows) = graph.number() else { return None };
            // An element's type is the first field of a tensor's record, 1 for int32.
            let record = tensors.saturating_add(output.saturating_mul(Tensor::RECORD_BYTES));
            if record >= file.len() {
                return None;
            }
            let bytes = scratch.bytes(rows, file[record] == 1);
            most = if bytes > most { bytes } else { most };
        }
        graph.at = next;
    }
    Some(most)
}

/// A place in the file.
struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The varint here.
    const fn number(&mut self) -> Option<usize> {
        let (mut value, mut shift) = (0, 0);
        while self.at < self.file.len() && shift < 35 {
            let byte = self.file[self.at];
            self.at += 1;
            value |= ((byte & 127) as u64) << shift;
            shift += 7;
            if byte < 128 {
                // A length beyond the file would lead the cursor nowhere.
                return if value <= u32::MAX as u64 { Some(value as usize) } else { None };
            }
        }
        None
    }
}

/// The beginning of the graph section.
const fn graph(file: &[u8]) -> Option<Cursor<'_>> {
    let mut entry = HEADER_BYTES;
    while entry + ENTRY_BYTES <= file.len() {
        if u32_at(file, entry) == SECTION_GRAPH {
            // Offsets are 64 bits wide, but no file that fits in memory needs the upper half.
            return Some(Cursor { file, at: u32_at(file, entry + 8) as usize });
        }
        entry += ENTRY_BYTES;
    }
    None
}

const fn u32_at(file: &[u8], at: usize) -> u32 {
    file[at] as u32 | (file[at + 1] as u32) << 8 | (file[at + 2] as u32) << 16 | (file[at + 3] as u32) << 24
}

#[cfg(all(test, feature = "linear"))]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_constant_is_what_the_parsed_model_needs() {
        let scratch = Scratch { few: 100, many: 1000, from: 5, row: 4 };
        let golden = include_bytes!("../../shared-format/tests/golden/model-0.2.tsm");
        let model = Model::parse(golden).unwrap();
        // Ten rows of int8 outputs.
        assert_eq!(of_model(&model, &scratch), 1040);
        assert_eq!(of_file(golden, &scratch), Some(1040));
        assert_eq!(of_file(golden, &Scratch { few: 7000, ..scratch }), Some(7000));
        assert_eq!(of_file(golden, &Scratch::NONE), Some(0));
    }

    #[test]
    fn files_that_end_early_or_hold_anything_have_an_answer_or_none() {
        let golden = include_bytes!("../../shared-format/tests/golden/model-0.2.tsm");
        let scratch = trishift_kernels::PORTABLE.scratch;
        for length in 0..golden.len() {
            of_file(&golden[..length], &scratch);
        }
        for offset in HEADER_BYTES..golden.len() {
            for value in [0, 127, 128, 255] {
                let mut damaged: Vec<u8> = golden.to_vec();
                damaged[offset] = value;
                of_file(&damaged, &scratch);
            }
        }
    }
}
