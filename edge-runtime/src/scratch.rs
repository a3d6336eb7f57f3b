//! Scratch of this target's kernels: how much a model needs, from the parsed model and, in a constant, from its file.
//!
//! It depends on shapes alone. The constant cannot use the parser, which checks sums and reads through a library, so
//! it walks the graph's records itself; a file that breaks a rule on the way has no answer, and one that it misreads is
//! refused by `Model::parse` before anything runs.

use trishift_format::container::{ENTRY_BYTES, HEADER_BYTES, SECTION_GRAPH};
use trishift_format::{DataType, Model, Operator, OperatorKind, Tensor, TensorClass, Window};
use trishift_kernels::Scratch;
use trishift_kernels::geometry::Geometry;

/// Bytes for the operator of `model` that needs most, on this build's kernels.
pub(crate) fn of_this_build(model: &Model<'_>) -> usize {
    of_model(model, &trishift_kernels::SCRATCH)
}

/// The same on other ones. Inlined, so that the compiler leaves out what a build without scratch need not count.
#[inline(always)]
pub(crate) fn of_model(model: &Model<'_>, scratch: &Scratch) -> usize {
    let mut most = 0;
    for operator in model.operators() {
        most = most.max(of_operator(model, &operator, scratch));
    }
    most
}

#[inline(always)]
fn of_operator(model: &Model<'_>, operator: &Operator, scratch: &Scratch) -> usize {
    match operator {
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
        Operator::Int8Conv2d(op) => {
            let geometry = Geometry::new(&op.window, &model.tensor(op.input), &model.tensor(op.output));
            scratch.int8_conv2d(&geometry, op.weights.rows as usize, op.weights.columns as usize)
        }
        Operator::Int8DepthwiseConv2d(op) => {
            let geometry = Geometry::new(&op.window, &model.tensor(op.input), &model.tensor(op.output));
            scratch.int8_depthwise_conv2d(&geometry)
        }
        _ => 0,
    }
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
        let int8 = kind == OperatorKind::Int8Conv2d as usize;
        let int8_depthwise = kind == OperatorKind::Int8DepthwiseConv2d as usize;
        if linear || depthwise || int8 || int8_depthwise || kind == OperatorKind::Conv2d as usize {
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
                } else if int8 {
                    scratch.int8_conv2d(&geometry, rows, columns)
                } else if int8_depthwise {
                    scratch.int8_depthwise_conv2d(&geometry)
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
    let window = Window {
        kernel: [byte(file, window), byte(file, window + 1)],
        stride: [byte(file, window + 2), byte(file, window + 3)],
        padding: [byte(file, window + 4), byte(file, window + 5), byte(file, window + 6), byte(file, window + 7)],
    };
    Geometry::new(&window, &tensor(file, input), &tensor(file, output))
}

/// The tensor with this record, as far as its sizes go.
const fn tensor(file: &[u8], record: usize) -> Tensor {
    Tensor {
        data_type: DataType::I8,
        class: TensorClass::Arena,
        exponent: 0,
        shape: [u32_at(file, record + 4), u32_at(file, record + 8), u32_at(file, record + 12)],
        offset: 0,
        first: 0,
        last: 0,
    }
}

/// A byte; 0 past the end.
const fn byte(file: &[u8], at: usize) -> u8 {
    if at < file.len() { file[at] } else { 0 }
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
    use std::vec;
    use std::vec::Vec;
    use trishift_format::write::{MatrixValues, ModelWriter, Region};
    use trishift_format::{Conv2d, GroupSize, InputScale, Linear};

    const GOLDEN: &[u8] = include_bytes!("../../shared-format/tests/golden/model-0.2.tsm");
    const SCRATCH: Scratch = Scratch { few: 100, many: 1000, from: 5, row: 4, tiles: false };

    /// An image of 70 × 33 pixels through a depthwise layer, a convolution, a depthwise layer that may work in place, and a
    /// linear layer. A long name: numbers of one byte and of two.
    fn images(in_place: bool) -> Vec<u8> {
        let mut writer = ModelWriter::new(&"long ".repeat(40));
        let window = Window { kernel: [3, 3], stride: [1, 1], padding: [1; 4] };
        let group = GroupSize::ALL[0];
        let mut matrix = |rows: usize, columns: usize| {
            let (trits, exponents) = (vec![1; rows * columns], vec![0; rows * group.count(columns)]);
            writer
                .add_matrix(&MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents })
                .expect("shapes agree")
        };
        let (relu, bias) = (false, None);
        let first = Conv2d { input: 0, output: 1, relu, window, weights: matrix(2, 9), bias };
        let second = Conv2d { input: 1, output: 2, weights: matrix(3, 18), ..first };
        let third = Conv2d { input: 2, output: 3, weights: matrix(3, 9), ..first };
        let last = Linear { input: 3, output: 4, relu, weights: matrix(1, 70 * 33 * 3), bias };
        let operators = [
            Operator::DepthwiseConv2d(first),
            Operator::Conv2d(second),
            Operator::DepthwiseConv2d(third),
            Operator::Linear(last),
        ];
        operators.iter().for_each(|operator| writer.push(operator).expect("operators encode"));
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensor = |class, channels, offset, [first, last]: [u16; 2]| {
            let (data_type, exponent, shape) = (DataType::I8, 0, [70, 33, channels]);
            Tensor { data_type, class, exponent, shape, offset, first, last }
        };
        let tensors = [
            tensor(TensorClass::Input, 2, 0, [0, 0]),
            tensor(TensorClass::Arena, 2, 6932, [0, 1]),
            tensor(TensorClass::Arena, 3, 0, [1, 2]),
            tensor(TensorClass::Arena, 3, if in_place { 0 } else { 6932 }, [2, 3]),
            Tensor { shape: [1, 1, 1], ..tensor(TensorClass::Output, 1, 0, [3, 3]) },
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 4, arena_bytes: 2 * 6932 }).expect("a valid model")
    }

    #[test]
    fn the_constant_is_what_the_parsed_model_needs() {
        let model = Model::parse(GOLDEN).unwrap();
        // Ten rows of int8 outputs.
        assert_eq!(of_model(&model, &SCRATCH), 1040);
        assert_eq!(of_file(GOLDEN, &SCRATCH), Some(1040));
        assert_eq!(of_file(GOLDEN, &Scratch { few: 7000, ..SCRATCH }), Some(7000));
        assert_eq!(of_file(GOLDEN, &Scratch::NONE), Some(0));
    }

    #[test]
    fn a_plane_of_the_image_where_a_depthwise_layer_works_in_place() {
        let depthwise = |file: &[u8]| {
            let model = Model::parse(file).unwrap();
            for scratch in [Scratch::NONE, SCRATCH, trishift_kernels::PORTABLE.scratch] {
                assert_eq!(of_file(file, &scratch), Some(of_model(&model, &scratch)));
            }
            of_model(&model, &Scratch::NONE)
        };
        let plane = (70usize * 33).next_multiple_of(4);
        assert_eq!(depthwise(&images(true)) - depthwise(&images(false)), plane);
    }

    #[test]
    fn files_that_end_early_or_hold_anything_have_an_answer_or_none() {
        for original in [GOLDEN.to_vec(), images(true)] {
            for scratch in [SCRATCH, trishift_kernels::PORTABLE.scratch] {
                for length in 0..original.len() {
                    of_file(&original[..length], &scratch);
                }
                for offset in HEADER_BYTES..original.len().min(2000) {
                    for value in [0, 127, 128, 255] {
                        let mut damaged = original.clone();
                        damaged[offset] = value;
                        of_file(&damaged, &scratch);
                    }
                }
            }
        }
    }

    /// Every length, number and size as large as its field holds: sums and products saturate, on machines of 32 bits too.
    #[test]
    fn numbers_of_any_size_have_an_answer_or_none() {
        let original = images(true);
        for offset in HEADER_BYTES..original.len().min(1000) {
            for bytes in [[0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0xFF, 0xFF, 0xFF, 0xFF, 0x7F], [0xFF; 5], [0, 0, 0, 0x80, 0]]
            {
                let mut damaged = original.clone();
                damaged[offset..offset + 5].copy_from_slice(&bytes);
                of_file(&damaged, &SCRATCH);
                // One shape's number, where a shape lies there.
                let mut damaged = original.clone();
                damaged[offset..offset + 4].copy_from_slice(&bytes[..4]);
                of_file(&damaged, &SCRATCH);
            }
        }
    }
}
