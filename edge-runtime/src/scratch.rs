//! Scratch of this target's kernels: how much a model needs, from the parsed model and, in a constant, from its file.
//!
//! It depends on shapes alone. The constant cannot use the parser, which checks sums and reads through a library, so
//! it walks the graph's records itself; a file that breaks a rule on the way has no answer, and one that it misreads is
//! refused by `Model::parse` before anything runs.

use trishift_format::container::{ENTRY_BYTES, HEADER_BYTES, SECTION_GRAPH};
use trishift_format::{DataType, Model, Operator, OperatorKind, Tensor};
use trishift_kernels::Scratch;
use trishift_kernels::geometry::Geometry;

/// Bytes for the operator of `model` that needs most.
pub(crate) fn of_model(model: &Model<'_>, scratch: &Scratch) -> usize {
    let of = |operator: Operator| match operator {
        Operator::Linear(op) => {
            scratch.bytes(op.weights.rows as usize, model.tensor(op.output).data_type == DataType::I32)
        }
        Operator::Conv2d(op) => {
            let geometry = Geometry::new(&op.window, &model.tensor(op.input), &model.tensor(op.output));
            scratch.conv2d(&geometry, op.weights.rows as usize, op.weights.columns as usize)
        }
        Operator::DepthwiseConv2d(op) => {
            let (input, output) = (model.tensor(op.input), model.tensor(op.output));
            let in_place = input.class == output.class && input.offset == output.offset;
            scratch.depthwise_conv2d(&Geometry::new(&op.window, &input, &output), in_place)
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
        let linear = kind == OperatorKind::Linear as usize;
        let depthwise = kind == OperatorKind::DepthwiseConv2d as usize;
        if linear || depthwise || kind == OperatorKind::Conv2d as usize {
            let Some(input) = graph.number() else { return None };
            let Some(output) = graph.number() else { return None };
            let Some(input) = record(file, tensors, input) else { return None };
            let Some(output) = record(file, tensors, output) else { return None };
            // Behind ReLU, a byte, the window, if there is one, and then the matrix: rows, columns.
            graph.at = graph.at.saturating_add(1);
            let window = graph.at;
            if !linear {
                graph.at = graph.at.saturating_add(8);
            }
            let Some(rows) = graph.number() else { return None };
            let Some(columns) = graph.number() else { return None };
            let bytes = if linear {
                // An element's type is the first field of a tensor's record, 1 for int32.
                scratch.bytes(rows, file[output] == 1)
            } else {
                let geometry = geometry(file, window, input, output);
                if depthwise {
                    // Class and offset.
                    let same =
                        file[input + 1] == file[output + 1] && u32_at(file, input + 16) == u32_at(file, output + 16);
                    scratch.depthwise_conv2d(&geometry, same)
                } else {
                    scratch.conv2d(&geometry, rows, columns)
                }
            };
            most = if bytes > most { bytes } else { most };
        }
        graph.at = next;
    }
    Some(most)
}

/// Where the record of a tensor begins.
const fn record(file: &[u8], tensors: usize, tensor: usize) -> Option<usize> {
    let record = tensors.saturating_add(tensor.saturating_mul(Tensor::RECORD_BYTES));
    if record.saturating_add(Tensor::RECORD_BYTES) <= file.len() { Some(record) } else { None }
}

/// The sizes of an operator with its window and the records of its tensors at these places. The operator's record goes on
/// behind the window.
const fn geometry(file: &[u8], window: usize, input: usize, output: usize) -> Geometry {
    Geometry {
        input: shape(file, input),
        output: shape(file, output),
        kernel: [byte(file, window), byte(file, window + 1)],
        stride: [byte(file, window + 2), byte(file, window + 3)],
        before: [byte(file, window + 4), byte(file, window + 5)],
    }
}

/// The shape of the tensor with this record.
const fn shape(file: &[u8], record: usize) -> [usize; 3] {
    [u32_at(file, record + 4) as usize, u32_at(file, record + 8) as usize, u32_at(file, record + 12) as usize]
}

/// A byte; 0 past the end.
const fn byte(file: &[u8], at: usize) -> usize {
    if at < file.len() { file[at] as usize } else { 0 }
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
        let golden = include_bytes!("../../shared-format/tests/golden/model-0.3.tsm");
        let model = Model::parse(golden).unwrap();
        // Ten rows of int8 outputs.
        assert_eq!(of_model(&model, &scratch), 1040);
        assert_eq!(of_file(golden, &scratch), Some(1040));
        assert_eq!(of_file(golden, &Scratch { few: 7000, ..scratch }), Some(7000));
        // A plane of 2 × 2 bytes for a depthwise convolution that takes its input's place.
        assert_eq!(of_file(golden, &Scratch::NONE), Some(4));
        assert_eq!(of_model(&model, &Scratch::NONE), 4);
    }

    #[test]
    fn files_that_end_early_or_hold_anything_have_an_answer_or_none() {
        let golden = include_bytes!("../../shared-format/tests/golden/model-0.3.tsm");
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
