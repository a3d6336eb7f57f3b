//! Packed matrices of every instruction set against the scalar definition: shapes around every edge of blocks, pieces and
//! tiles, every group size, every batch up to more than two tiles, windows up to the widest that int32 holds.
//!
//! Cases come from a generator of its own and files are made in memory: the test needs nothing of its machine, so it runs
//! under emulators too.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod random;

use core::ops::Range;
use random::{Random, Trits};
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    Bias, DataType, ExponentEncoding, GroupSize, InputScale, Layout, Linear, Model, Operator, Tensor, TensorClass,
    TernaryMatrix,
};
use trishift_kernels::linear::{LinearI8, LinearI32, linear_i8, linear_i32};
use trishift_kernels::simd::linear::{PORTABLE_PACKED, PackedI8, PackedI32, PackedKernels, PackedMatrix, Workspace};

#[derive(Clone, Copy, Debug)]
struct Case {
    rows: usize,
    columns: usize,
    group: GroupSize,
    layout: Layout,
    trits: Trits,
    /// The largest distance of exponents.
    window: usize,
    bias: bool,
}

/// The smallest exponent of every case.
const SMALLEST: i8 = -40;

impl Case {
    /// A model of one layer with int32 outputs; none where its sums do not fit int32.
    fn file(&self, random: &mut Random) -> Option<Vec<u8>> {
        let Self { rows, columns, group, layout, window, .. } = *self;
        let trits = self.trits.draw(random, rows * columns);
        // The widest distance stands in few groups, so that sums fit.
        let mut exponent = || {
            let largest = if window > 12 && random.below(8) != 0 { 12 } else { window };
            SMALLEST + random.below(largest + 1) as i8
        };
        let exponents: Vec<i8> = (0..rows * group.count(columns)).map(|_| exponent()).collect();
        let biases: Vec<i32> = (0..rows).map(|_| random.below(20_001) as i32 - 10_000).collect();
        let mut writer = ModelWriter::new("case");
        let values = MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents };
        let weights = writer.add_matrix_in(&values, layout).unwrap();
        let bias = self.bias.then(|| writer.add_bias(&biases).unwrap());
        writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias })).unwrap();
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensor = |class, data_type, exponent, len: usize| Tensor {
            data_type,
            class,
            exponent,
            shape: [1, 1, len as u32],
            offset: 0,
            first: 0,
            last: 0,
        };
        let tensors = [
            tensor(TensorClass::Input, DataType::I8, 0, columns),
            tensor(TensorClass::Output, DataType::I32, i16::from(SMALLEST), rows),
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).ok()
    }
}

/// Every packed implementation here, by name.
fn implementations() -> impl Iterator<Item = (&'static str, &'static PackedKernels)> {
    let tables = trishift_kernels::available().filter_map(|kernels| Some((kernels.name, kernels.packed.as_ref()?)));
    tables.chain(PORTABLE_PACKED.iter().map(|packed| ("plain Rust", packed)))
}

/// int8 and int32 outputs on packed weights, of these rows.
fn run(
    kernels: &PackedKernels,
    packed: &PackedMatrix,
    rows: Range<usize>,
    bias: Option<Bias<'_>>,
    scale: i32,
    input: &[i8],
    workspace: &mut Workspace,
) -> (Vec<i8>, Vec<i32>) {
    let outputs = input.len() / packed.columns() * rows.len();
    let (mut narrow, mut wide) = (vec![99; outputs], vec![99; outputs]);
    let layer = PackedI8 { matrix: packed, bias, scale, relu: scale % 2 == 0, rows: rows.clone() };
    (kernels.linear_i8)(&layer, input, workspace, &mut narrow);
    let layer = PackedI32 { matrix: packed, bias, exponent: SMALLEST.into(), rows };
    (kernels.linear_i32)(&layer, input, workspace, &mut wide);
    (narrow, wide)
}

/// The same by the definition.
fn defined(matrix: TernaryMatrix<'_>, bias: Option<Bias<'_>>, scale: i32, input: &[i8]) -> (Vec<i8>, Vec<i32>) {
    let outputs = input.len() / matrix.columns() * matrix.rows();
    let (mut narrow, mut wide) = (vec![77; outputs], vec![77; outputs]);
    linear_i8(&LinearI8 { matrix, bias, scale, relu: scale % 2 == 0 }, input, &mut narrow);
    linear_i32(&LinearI32 { matrix, bias, exponent: SMALLEST.into() }, input, &mut wide);
    (narrow, wide)
}

/// Compares all batches on all implementations; false where the format refuses the case.
fn check(case: &Case, batches: &[usize], random: &mut Random) -> bool {
    let Some(file) = case.file(random) else { return false };
    let model = Model::parse(&file).unwrap();
    let Some(Operator::Linear(op)) = model.operators().next() else { panic!("one linear layer") };
    let (matrix, bias) = (model.matrix(&op.weights), model.bias(&op));
    let packed: Vec<_> = implementations().map(|(name, kernels)| (name, kernels, (kernels.pack)(&matrix))).collect();
    let mut workspace = Workspace::new();
    for batch in batches {
        let scale = i32::from(SMALLEST) + random.below(24) as i32 - 4;
        let inputs: [Vec<i8>; 3] = [
            (0..batch * case.columns).map(|_| random.next() as i8).collect(),
            vec![-128; batch * case.columns],
            (0..batch * case.columns).map(|index| if index % 3 == 0 { -128 } else { 127 }).collect(),
        ];
        // The definition takes long; saturated inputs are for few batches.
        for input in inputs.iter().take(if *batch < 8 { 3 } else { 1 }) {
            let expected = defined(matrix, bias, scale, input);
            for (name, kernels, packed) in &packed {
                let found = run(kernels, packed, 0..packed.rows(), bias, scale, input, &mut workspace);
                assert!(found == expected, "{name}, batch {batch}, scale {scale}: {case:?}");
            }
        }
    }
    true
}

const LAYOUTS: [Layout; 2] = [Layout::Rows, Layout::Groups];

#[test]
fn every_group_size_and_batch() {
    let mut random = Random(1);
    for group in GroupSize::ALL {
        for (trits, window) in [(Trits::Random, 5), (Trits::AllOne, 6), (Trits::AllZero, 3), (Trits::Random, 12)] {
            let layout = LAYOUTS[random.below(2)];
            let case = Case { rows: 70, columns: 133, group, layout, trits, window, bias: window % 2 == 0 };
            assert!(check(&case, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], &mut random));
        }
    }
}

#[test]
fn shapes_around_every_edge() {
    let mut random = Random(2);
    for group in GroupSize::ALL {
        let g = group.get();
        // Blocks have 32 or 64 rows, pieces some 512 columns.
        for rows in [1, 31, 32, 33, 63, 64, 65] {
            for columns in [1, 3, 4, 5, g - 1, g, g + 1, 2 * g, 2 * g + 3, 510, 512, 517] {
                let layout = LAYOUTS[random.below(2)];
                let (trits, window) = (Trits::Random, random.below(10));
                let case = Case { rows, columns, group, layout, trits, window, bias: rows % 2 == 0 };
                assert!(check(&case, &[1, 5], &mut random));
            }
        }
    }
}

#[test]
fn every_window() {
    let mut random = Random(3);
    let mut widest = 0;
    for group in GroupSize::ALL {
        for window in 0..=31 {
            // Many trits at narrow windows, few at wide ones; what the bound refuses is no case.
            for (rows, columns, trits) in [(40, 300, Trits::Random), (40, 300, Trits::Sparse), (1, 4, Trits::AllOne)] {
                let layout = LAYOUTS[random.below(2)];
                let case = Case { rows, columns, group, layout, trits, window, bias: false };
                if check(&case, &[1, 2, 9, 17], &mut random) {
                    widest = widest.max(window);
                }
            }
        }
    }
    // 128·(1 + 2^23) < 2^31: no window is wider, but where groups of zeros have none.
    assert!(widest >= 23, "{widest}");
}

#[test]
fn long_rows_of_ones_with_saturated_inputs() {
    let mut random = Random(4);
    for group in GroupSize::ALL {
        for window in [0, 5] {
            let layout = Layout::Rows;
            let case = Case { rows: 3, columns: 4096, group, layout, trits: Trits::AllOne, window, bias: true };
            assert!(check(&case, &[1, 4], &mut random));
        }
    }
}

#[test]
fn large_batches_are_cut_into_slabs() {
    let mut random = Random(5);
    let group = GroupSize::new(8).unwrap();
    let (trits, layout) = (Trits::Random, Layout::Rows);
    let case = Case { rows: 5, columns: 21, group, layout, trits, window: 4, bias: true };
    assert!(check(&case, &[263, 264, 265, 600], &mut random));
}

#[test]
fn both_encodings_in_rows_are_met() {
    let mut random = Random(6);
    let group = GroupSize::new(4).unwrap();
    for (window, encoding) in [(15, ExponentEncoding::Offset4), (16, ExponentEncoding::Int8)] {
        let (trits, layout) = (Trits::Random, Layout::Rows);
        let case = Case { rows: 70, columns: 65, group, layout, trits, window, bias: false };
        let file = case.file(&mut random).unwrap();
        let model = Model::parse(&file).unwrap();
        let Some(Operator::Linear(op)) = model.operators().next() else { panic!("one linear layer") };
        assert_eq!(model.matrix(&op.weights).encoding(), encoding);
        assert!(check(&case, &[1, 7], &mut random));
    }
}

#[test]
fn matrices_of_other_instruction_sets_give_the_same() {
    let mut random = Random(7);
    let group = GroupSize::new(20).unwrap();
    let (trits, layout) = (Trits::Random, Layout::Rows);
    let case = Case { rows: 67, columns: 90, group, layout, trits, window: 7, bias: true };
    let file = case.file(&mut random).unwrap();
    let model = Model::parse(&file).unwrap();
    let Some(Operator::Linear(op)) = model.operators().next() else { panic!("one linear layer") };
    let (matrix, bias) = (model.matrix(&op.weights), model.bias(&op));
    let input: Vec<i8> = (0..5 * 90).map(|_| random.next() as i8).collect();
    let expected = defined(matrix, bias, -38, &input);
    for (packer, packing) in implementations() {
        let packed = (packing.pack)(&matrix);
        assert!(packed.bytes() >= packed.stream_bytes());
        for (name, kernels) in implementations() {
            let found = run(kernels, &packed, 0..packed.rows(), bias, -38, &input, &mut Workspace::new());
            assert!(found == expected, "{name} on a matrix of {packer}");
        }
    }
}

#[test]
fn ranges_of_rows_are_parts_of_the_whole() {
    let mut random = Random(9);
    for (rows, group, window) in [(1, 4, 3), (64, 8, 5), (200, 32, 5), (331, 20, 9), (331, 4, 12)] {
        let group = GroupSize::new(group).unwrap();
        let (trits, layout) = (Trits::Random, LAYOUTS[random.below(2)]);
        let case = Case { rows, columns: 75, group, layout, trits, window, bias: true };
        let file = case.file(&mut random).unwrap();
        let model = Model::parse(&file).unwrap();
        let Some(Operator::Linear(op)) = model.operators().next() else { panic!("one linear layer") };
        let (matrix, bias) = (model.matrix(&op.weights), model.bias(&op));
        for batch in [1, 2, 5, 9] {
            let input: Vec<i8> = (0..batch * 75).map(|_| random.next() as i8).collect();
            let (narrow, wide) = defined(matrix, bias, -38, &input);
            for (name, kernels) in implementations() {
                let (packed, mut workspace) = ((kernels.pack)(&matrix), Workspace::new());
                let shares: Vec<_> = (0..9).flat_map(|count| packed.shares(count)).collect();
                let any = (0..9).map(|_| [random.below(rows + 1), random.below(rows + 1)]);
                for rows in shares.into_iter().chain(any.map(|[a, b]| a.min(b)..a.max(b))).chain([0..rows, 1..rows]) {
                    let found = run(kernels, &packed, rows.clone(), bias, -38, &input, &mut workspace);
                    let expected_narrow: Vec<_> =
                        narrow.chunks(packed.rows()).flat_map(|sample| &sample[rows.clone()]).copied().collect();
                    let expected_wide: Vec<_> =
                        wide.chunks(packed.rows()).flat_map(|sample| &sample[rows.clone()]).copied().collect();
                    assert!(found == (expected_narrow, expected_wide), "{name}, batch {batch}, {rows:?}: {case:?}");
                }
            }
        }
    }
}

#[test]
fn shares_are_all_rows() {
    let mut random = Random(10);
    for rows in [1, 63, 64, 65, 200, 331] {
        let group = GroupSize::new(8).unwrap();
        let (trits, layout) = (Trits::AllOne, Layout::Rows);
        let case = Case { rows, columns: 8, group, layout, trits, window: 1, bias: false };
        let file = case.file(&mut random).unwrap();
        let model = Model::parse(&file).unwrap();
        let Some(Operator::Linear(op)) = model.operators().next() else { panic!("one linear layer") };
        for (_, kernels) in implementations() {
            let packed = (kernels.pack)(&model.matrix(&op.weights));
            assert_eq!(packed.shares(0).count(), 0);
            for count in 1..20 {
                let shares: Vec<_> = packed.shares(count).collect();
                assert!((1..=count).contains(&shares.len()));
                assert_eq!(shares.iter().fold(0, |end, share| if share.start == end { share.end } else { 0 }), rows);
                // Ranges that lie outside, or backwards, give nothing.
                #[allow(clippy::reversed_empty_ranges, reason = "what nobody should ask for")]
                for rows in [rows..rows + 9, 5000..9000, 1..0] {
                    let layer = PackedI32 { matrix: &packed, bias: None, exponent: SMALLEST.into(), rows };
                    let mut output = [7; 9];
                    (kernels.linear_i32)(&layer, &[1; 8], &mut Workspace::new(), &mut output);
                    assert_eq!(output, [7; 9]);
                }
            }
        }
    }
}

#[test]
fn slices_of_the_wrong_length_do_not_panic() {
    let mut random = Random(8);
    let group = GroupSize::new(6).unwrap();
    let (trits, layout) = (Trits::Random, Layout::Rows);
    let case = Case { rows: 40, columns: 50, group, layout, trits, window: 2, bias: false };
    let file = case.file(&mut random).unwrap();
    let model = Model::parse(&file).unwrap();
    let Some(Operator::Linear(op)) = model.operators().next() else { panic!("one linear layer") };
    let matrix = model.matrix(&op.weights);
    for (_, kernels) in implementations() {
        let packed = (kernels.pack)(&matrix);
        for (input, output) in [(0, 40), (49, 40), (51, 40), (100, 40), (100, 79), (400, 0), (450, 3)] {
            let layer = PackedI32 { matrix: &packed, bias: None, exponent: SMALLEST.into(), rows: 0..40 };
            (kernels.linear_i32)(&layer, &vec![1; input], &mut Workspace::new(), &mut vec![0; output]);
        }
    }
}
