//! Lengths and offsets near 2^32 and 2^64: none wraps, on machines of 64 bits and of 32.
//!
//! Each number here is such that a product or a sum, cut off at 32 or at 64 bits, would come to what a right file has.

use super::support::raw::{RawLinear, RawModel, RawSection, RawTensor, container, operator, prefixed, varint};
use super::{accepted, refusal, refused};
use trishift_format::{Checkpoint, MatrixFault, ParseError, PlanFault};

const OUTSIDE: ParseError = ParseError::Matrix { index: 0, fault: MatrixFault::OutsideSection };

#[test]
fn places_of_sections() {
    let model = RawModel::small();
    let sections = [RawSection::new(1, model.graph()), RawSection::new(2, model.weights.clone())];
    let bytes = [sections[0].contents.len() as u64, model.weights.len() as u64];
    let starts = [128, (128 + bytes[0]).next_multiple_of(64)];
    for index in 0..2 {
        for beyond in [1 << 32, 1 << 33, 1 << 63, u64::MAX << 32] {
            let expected = ParseError::SectionBounds { index };
            let mut moved = sections.clone();
            moved[index].offset = Some(starts[index] | beyond);
            assert_eq!(refused(&container(1, 0, &moved)), expected, "offset + {beyond:#x}");
            let mut longer = sections.clone();
            longer[index].length = Some(bytes[index] | beyond);
            assert_eq!(refused(&container(1, 0, &longer)), expected, "length + {beyond:#x}");
            // Offset and length together come to the right end again.
            let mut around = sections.clone();
            around[index].offset = Some(starts[index].wrapping_add(beyond));
            around[index].length = Some(bytes[index].wrapping_sub(beyond));
            assert_eq!(refused(&container(1, 0, &around)), expected, "both by {beyond:#x}");
        }
    }
}

#[test]
fn lengths_of_lists() {
    // The name's length is the first byte of the graph.
    let model = RawModel { name: vec![], ..RawModel::small() };
    let rest = &model.graph()[1..];
    // 2^32 does not fit a u32; what does is longer than the section, and 2^32 − 1 would end in front of it.
    for length in [rest.len() as u64 + 1, (1 << 31) - 1, 1 << 31, u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 32]
    {
        let graph = [&varint(length), rest].concat();
        let file = container(1, 0, &[RawSection::new(1, graph), RawSection::new(2, model.weights.clone())]);
        assert_eq!(refused(&file), ParseError::Malformed { what: "graph" }, "{length}");
    }
    let offset = 0;
    for length in [1 << 31, u64::from(u32::MAX), 1 << 32] {
        let mut model = RawModel::relus(1);
        model.operator_tail = [varint(length), operator(4, &[0, 1])].concat();
        model.operators.clear();
        assert_eq!(refusal(&model), ParseError::MalformedOperator { index: 0, offset }, "{length}");
    }
}

#[test]
fn numbers_of_elements() {
    // Each product is 4 in 32 bits, and the tensors are the input of a chain over four elements.
    for shape in [[3, 0xAAAA_AAAC, 1], [0xAAAA_AAAC, 1, 3], [1, 0xCCCC_CCD0, 5], [1 << 31, 2, 4], [(1 << 30) + 1, 4, 1]]
    {
        let mut model = RawModel::relus(2);
        model.tensors[0].shape = shape;
        assert_eq!(refusal(&model), ParseError::Tensor { index: 0 }, "{shape:?}");
    }
    // The elements fit, their bytes are 2^32 + 4.
    let mut wide = RawModel::relus(2);
    wide.tensors[0] = RawTensor { data_type: RawTensor::I32, shape: [1, 1, (1 << 30) + 1], ..wide.tensors[0] };
    assert_eq!(refusal(&wide), ParseError::Tensor { index: 0 });
}

#[test]
fn places_in_the_arena() {
    // The last four bytes that a u32 can name, and four more behind them.
    let at_the_end = |arena_bytes, len| {
        let mut model = RawModel::relus(2);
        for tensor in &mut model.tensors {
            tensor.shape = [1, 1, len];
        }
        model.tensors[1].offset = u32::MAX - 3;
        RawModel { arena_bytes, ..model }
    };
    let outside = ParseError::Plan { tensor: 1, fault: PlanFault::OutsideArena };
    let end = 1u64 << 32;
    accepted(&at_the_end(end, 4).file());
    for (arena_bytes, len) in [(end - 1, 4), (end, 5), (end, 8), (0, 4), (4, 8), (end + 3, 8)] {
        assert_eq!(refusal(&at_the_end(arena_bytes, len)), outside, "{len} bytes in {arena_bytes}");
    }
    for arena_bytes in [end + 4, end << 1, u64::MAX] {
        accepted(&at_the_end(arena_bytes, 8).file());
    }
    // A tensor at offset 0 shares no byte with one that runs past 2^32, unless it is as long.
    let beside = |len| {
        let mut model = RawModel { arena_bytes: u64::MAX, ..RawModel::relus(3) };
        for tensor in &mut model.tensors {
            tensor.shape = [1, 1, len];
        }
        model.tensors[1].offset = u32::MAX - 3;
        model.tensors[2].offset = 0;
        model
    };
    accepted(&beside(8).file());
    accepted(&beside(u32::MAX - 3).file());
    let shared = ParseError::Plan { tensor: 2, fault: PlanFault::Overlap { other: 1 } };
    assert_eq!(refusal(&beside(u32::MAX - 2)), shared);
}

/// Two rows of 40 columns in groups of 20, eight trit bytes a row, as a table; every byte of its weights is 0.
fn table(encoding: u8, layout: u8) -> RawLinear {
    let linear = RawLinear { rows: 2, columns: 40, group: 20, encoding, layout, ..RawModel::SMALL };
    RawLinear { trits: 0, exponents: 20, ..linear }
}

fn table_model(record: &RawLinear) -> RawModel {
    let tensors = vec![RawTensor::i8(RawTensor::INPUT, 3, 0, 0), RawTensor::i8(RawTensor::OUTPUT, 120, 0, 0)];
    RawModel { weights: vec![0; 24], ..RawModel::graph_of(tensors, vec![record.embedding()], 0) }
}

#[test]
fn rows_of_a_matrix() {
    for (encoding, layout) in [(0, 0), (1, 0), (2, 1)] {
        let right = table(encoding, layout);
        accepted(&table_model(&right).file());
        // Rows times 8, 10, 4 or 2 bytes, cut off at 32 bits, are those of the two rows that there are.
        for rows in [2 + (1 << 29), 2 + (1 << 30), 2 + (1 << 31), 0x3333_3335, 0x6666_6668, u32::MAX, u32::MAX / 8 + 1]
        {
            let many = RawLinear { rows, ..right };
            assert_eq!(refusal(&table_model(&many)), OUTSIDE, "{rows:#x} rows, encoding {encoding}");
        }
        for offset in [u32::MAX, u32::MAX - 7, u32::MAX - 15, u32::MAX - 19, u32::MAX - 23, 1 << 31] {
            assert_eq!(refusal(&table_model(&RawLinear { trits: offset, ..right })), OUTSIDE, "{offset:#x}");
            assert_eq!(refusal(&table_model(&RawLinear { exponents: offset, ..right })), OUTSIDE, "{offset:#x}");
        }
    }
}

#[test]
fn columns_of_a_matrix() {
    // One element of the input names a row as long as the output: both can be as large as a tensor.
    for (columns, encoding, layout) in [(u32::MAX, 0, 0), (u32::MAX, 1, 0), (u32::MAX, 2, 1), (1 << 31, 0, 0)] {
        for group in [4, 6, 20, 96] {
            let record = RawLinear { columns, group, rows: 1, ..table(encoding, layout) };
            let mut model = table_model(&record);
            model.tensors[0].shape = [1, 1, 1];
            model.tensors[1].shape = [1, 1, columns];
            assert_eq!(refusal(&model), OUTSIDE, "{columns} columns, groups of {group}");
        }
    }
    // 65537 times 65537 elements are 131073 more than 2^32.
    let mut model = table_model(&RawLinear { columns: 65_537, ..table(0, 0) });
    model.tensors[0].shape = [1, 1, 65_537];
    model.tensors[1].shape = [1, 1, 131_073];
    let kind = trishift_format::OperatorKind::Embedding;
    assert_eq!(refusal(&model), ParseError::Operands { index: 0, kind, what: "shapes" });
}

#[test]
fn biases_of_a_layer() {
    // 8 + 4·2 bytes end the section, and so do 2^32 more.
    for (bias, expected) in
        [(8, None), (9, Some(OUTSIDE)), (u32::MAX - 3, Some(OUTSIDE)), (u32::MAX - 7, Some(OUTSIDE))]
    {
        let model = RawModel::small_with(RawLinear { bias: Some(bias), ..RawModel::SMALL });
        assert_eq!(trishift_format::Model::parse(&model.file()).err(), expected, "{bias:#x}");
    }
}

/// One tensor of this type, shape and offset over a state section of 16 zeros.
fn checkpoint(state_type: u8, [rows, columns, offset]: [u64; 3]) -> Result<(), ParseError> {
    let record = [prefixed("t"), vec![state_type], [rows, columns, offset].map(varint).concat()].concat();
    let index = [prefixed(""), prefixed(prefixed(record))].concat();
    Checkpoint::parse(&container(2, 0, &[RawSection::new(3, index), RawSection::new(4, vec![0; 16])])).map(|_| ())
}

#[test]
fn tensors_of_a_checkpoint() {
    let widths = [(1, 1u64), (2, 2), (3, 4), (4, 8), (5, 4)];
    let refuse = Err(ParseError::StateTensor { index: 0 });
    for (state_type, width) in widths {
        let right = 16 / width;
        assert_eq!(checkpoint(state_type, [1, right, 0]), Ok(()));
        for (rows, columns) in [
            // Bytes that are 16 once more in 32 bits, and in 64.
            (1, right + (1 << 32) / width),
            (right + (1 << 32) / width, 1),
            (2, right / 2 + (1 << 63) / width),
            // Elements that are.
            (1 << 32, 1 << 32),
            ((1 << 32) + 1, right),
            (u64::MAX, right.wrapping_neg()),
        ] {
            assert_eq!(checkpoint(state_type, [rows, columns, 0]), refuse, "{rows} x {columns} of {width} bytes");
        }
        for offset in [1 << 32, 1 << 63, u64::MAX, u64::MAX - 15, u64::MAX << 32] {
            assert_eq!(checkpoint(state_type, [1, right, offset]), refuse, "{offset:#x}");
        }
    }
    // 80 trits in 16 bytes, digits 0.
    assert_eq!(checkpoint(0, [8, 10, 0]), Ok(()));
    for (rows, columns) in [(8, 10 + (5 << 32)), (1, 80 + (5 << 32)), (1, u64::MAX), (1 << 63, 2), (1, (5 << 60) + 80)]
    {
        assert_eq!(checkpoint(0, [rows, columns, 0]), refuse, "{rows} x {columns} trits");
    }
}

#[test]
fn a_checkpoints_shapes_are_numbers_of_the_machine() {
    // No elements, but a number of columns that a machine of 32 bits cannot hold.
    let empty = checkpoint(1, [0, 1 << 32, 0]);
    assert_eq!(empty.is_ok(), usize::BITS > 32);
    assert_eq!(checkpoint(1, [0, u64::from(u32::MAX), 0]), Ok(()));
}
