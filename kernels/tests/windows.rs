//! Packed kernels at every width of the exponents' window, exactly: each width is a case of its own somewhere.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{DataType, GroupSize, InputScale, Layout, Linear, Model, Operator, Tensor, TensorClass};
use trishift_kernels::linear::{LinearI32, linear_i32};
use trishift_kernels::simd::linear::{PORTABLE_PACKED, PackedI32, Workspace};

/// Rows, a block of AVX-512 and some more, of few columns: a wide window must fit int32.
const ROWS: usize = 70;
const COLUMNS: usize = 20;

/// The file of a layer whose rows all have the smallest exponent 0 and the largest `window`.
fn layer(group: GroupSize, window: u32, random: &mut impl FnMut() -> u32) -> Vec<u8> {
    let groups = group.count(COLUMNS);
    let trits: Vec<i8> = (0..ROWS * COLUMNS).map(|_| if random() & 1 == 0 { 1 } else { -1 }).collect();
    let exponents: Vec<i8> = (0..ROWS)
        .flat_map(|_| {
            let mut row: Vec<i8> = (0..groups).map(|_| (random() % (window + 1)) as i8).collect();
            let both = random() as usize % groups;
            row[both] = window as i8;
            row[(both + 1) % groups] = 0;
            row
        })
        .collect();
    let mut writer = ModelWriter::new("layer");
    let matrix = MatrixValues { rows: ROWS, columns: COLUMNS, group, trits: &trits, exponents: &exponents };
    let weights = writer.add_matrix_in(&matrix, Layout::Rows).unwrap();
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None })).unwrap();
    writer.input_scales(&[InputScale::IDENTITY]);
    let tensor = |class, data_type, len: usize| {
        let shape = [1, 1, len as u32];
        Tensor { data_type, class, exponent: 0, shape, offset: 0, first: 0, last: 0 }
    };
    let input = tensor(TensorClass::Input, DataType::I8, COLUMNS);
    let output = tensor(TensorClass::Output, DataType::I32, ROWS);
    writer.finish(&Region { tensors: &[input, output], input: 0, output: 1, arena_bytes: 0 }).unwrap()
}

#[test]
fn every_width_of_the_window() {
    let mut state = 1u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let tables = trishift_kernels::available().filter_map(|kernels| Some((kernels.name, kernels.packed?)));
    let tables: Vec<_> = tables.chain(PORTABLE_PACKED.map(|packed| ("portable", packed))).collect();
    for size in [4, 8, 16] {
        let group = GroupSize::new(size).unwrap();
        // 20·128·2^19 is the last that fits int32 whatever the trits.
        for window in 0..=19 {
            let file = layer(group, window, &mut random);
            let model = Model::parse(&file).unwrap();
            let Some(Operator::Linear(op)) = model.operators().next() else { panic!("a linear layer") };
            let matrix = model.matrix(&op.weights);
            for batch in [1, 2, 7, 8, 17] {
                let input: Vec<i8> = (0..batch * COLUMNS).map(|_| random() as i8).collect();
                let mut expected = vec![0; batch * ROWS];
                linear_i32(&LinearI32 { matrix, bias: None, exponent: 0 }, &input, &mut expected);
                for (name, kernels) in &tables {
                    let packed = (kernels.pack)(&matrix);
                    let mut output = vec![0; batch * ROWS];
                    let layer = PackedI32 { matrix: &packed, bias: None, exponent: 0, rows: 0..ROWS };
                    (kernels.linear_i32)(&layer, &input, &mut Workspace::new(), &mut output);
                    assert_eq!(output, expected, "{name}, groups of {group}, window {window}, batch {batch}");
                }
            }
        }
    }
}
