//! Linear layers of every table of kernels against a naive definition in 128-bit integers.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use proptest::prelude::*;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{DataType, GroupSize, Layout, Linear, Model, Operator, Tensor, TensorClass};
use trishift_kernels::linear::{LinearI8, LinearI32};
use trishift_kernels::simd::linear::{PORTABLE_PACKED, PackedI8, PackedI32, PackedKernels, Workspace};

/// One layer and a batch for it.
#[derive(Clone, Debug)]
struct Case {
    rows: usize,
    columns: usize,
    group: GroupSize,
    layout: Layout,
    trits: Vec<i8>,
    exponents: Vec<i8>,
    bias: Option<Vec<i32>>,
    scale: i16,
    relu: bool,
    input: Vec<i8>,
}

impl Case {
    fn batch(&self) -> usize {
        self.input.len() / self.columns
    }

    /// A row's exponents as a file holds them: groups of zeros carry the smallest of the others.
    fn exponents(&self, row: usize) -> Vec<i32> {
        let groups = self.group.count(self.columns);
        let of_row = self.exponents[row * groups..][..groups].iter().map(|exponent| i32::from(*exponent));
        let used: Vec<bool> =
            self.row(row).chunks(self.group.get()).map(|group| group.iter().any(|t| *t != 0)).collect();
        let smallest = of_row.clone().zip(&used).filter_map(|(exponent, used)| used.then_some(exponent)).min();
        of_row.zip(used).map(|(exponent, used)| if used { exponent } else { smallest.unwrap_or(0) }).collect()
    }

    fn smallest(&self, row: usize) -> i32 {
        self.exponents(row).into_iter().min().unwrap()
    }

    fn row(&self, row: usize) -> &[i8] {
        &self.trits[row * self.columns..][..self.columns]
    }

    /// b + Σ T·x·2^(E − unit), for a row's exponents E.
    fn naive(&self, sample: usize, row: usize, exponents: &[i32], unit: i32) -> i128 {
        let inputs = &self.input[sample * self.columns..][..self.columns];
        let mut sum = self.bias.as_ref().map_or(0, |bias| i128::from(bias[row]));
        let groups = self.row(row).chunks(self.group.get()).zip(inputs.chunks(self.group.get()));
        for ((trits, inputs), exponent) in groups.zip(exponents) {
            for (trit, x) in trits.iter().zip(inputs) {
                sum += (i128::from(*trit) * i128::from(*x)) << (exponent - unit);
            }
        }
        sum
    }

    /// int32 and int8 outputs by the naive definition.
    fn expected(&self, layer_unit: i32) -> (Vec<i128>, Vec<i8>) {
        let exponents: Vec<Vec<i32>> = (0..self.rows).map(|row| self.exponents(row)).collect();
        let outputs = (0..self.batch()).flat_map(|sample| exponents.iter().enumerate().map(move |row| (sample, row)));
        outputs
            .map(|(sample, (row, exponents))| {
                let unit = *exponents.iter().min().unwrap();
                let shift = i32::from(self.scale) - unit;
                let accumulator = self.naive(sample, row, exponents, unit);
                let shifted = match shift {
                    32.. => 0,
                    1.. => (accumulator + (1 << (shift - 1))) >> shift,
                    _ => accumulator << -shift,
                };
                let narrow = shifted.clamp(if self.relu { 0 } else { -128 }, 127) as i8;
                (self.naive(sample, row, exponents, layer_unit), narrow)
            })
            .unzip()
    }

    /// The layer as a model file, or `None` where the format refuses it (the int32 bound).
    fn file(&self, output: DataType, unit: i32) -> Option<Vec<u8>> {
        let mut writer = ModelWriter::new("case");
        let matrix = MatrixValues {
            rows: self.rows,
            columns: self.columns,
            group: self.group,
            trits: &self.trits,
            exponents: &self.exponents,
        };
        let weights = writer.add_matrix_in(&matrix, self.layout).unwrap();
        let bias = self.bias.as_ref().map(|bias| writer.add_bias(bias).unwrap());
        let relu = self.relu && output == DataType::I8;
        writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu, weights, bias })).unwrap();
        writer.input_scales(&[trishift_format::InputScale::IDENTITY]);
        let exponent = match output {
            DataType::I8 => self.scale,
            DataType::I32 => unit as i16,
        };
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
            tensor(TensorClass::Input, DataType::I8, 0, self.columns),
            tensor(TensorClass::Output, output, exponent, self.rows),
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 }).ok()
    }
}

fn linear(model: &Model<'_>) -> Linear {
    match model.operators().next() {
        Some(Operator::Linear(op)) => op,
        other => panic!("{other:?}"),
    }
}

/// Runs every table of kernels on the case and compares with the naive definition; false where the format refuses it.
fn check(case: &Case) -> bool {
    let layer_unit = (0..case.rows).map(|row| case.smallest(row)).min().unwrap();
    let (Some(narrow), Some(wide)) = (case.file(DataType::I8, 0), case.file(DataType::I32, layer_unit)) else {
        return false;
    };
    let (narrow, wide) = (Model::parse(&narrow).unwrap(), Model::parse(&wide).unwrap());
    let expected = case.expected(layer_unit);
    for kernels in trishift_kernels::available().chain([&trishift_kernels::PORTABLE]) {
        // As much as they ask for, of what they did not write.
        let mut scratch = vec![0x5A5A_5A5A; kernels.scratch.bytes(case.rows, false) / 4];
        let op = linear(&narrow);
        let layer = LinearI8 {
            matrix: narrow.matrix(&op.weights),
            bias: narrow.bias(&op),
            scale: i32::from(case.scale),
            relu: case.relu,
        };
        let mut output = vec![77i8; case.batch() * case.rows];
        (kernels.linear_i8)(&layer, &case.input, &mut scratch, &mut output);
        let op = linear(&wide);
        let layer = LinearI32 { matrix: wide.matrix(&op.weights), bias: wide.bias(&op), exponent: layer_unit };
        let mut logits = vec![77i32; case.batch() * case.rows];
        (kernels.linear_i32)(&layer, &case.input, &mut scratch, &mut logits);
        compare(&expected, &logits, &output, kernels.name);
    }
    let of_tables = trishift_kernels::available().filter_map(|kernels| Some((kernels.name, kernels.packed.as_ref()?)));
    // Long rows take plain Rust long.
    let portable = PORTABLE_PACKED.iter().map(|packed| ("portable", packed)).filter(|_| case.columns < 1000);
    for (name, packed) in of_tables.chain(portable) {
        check_packed(case, &narrow, &wide, layer_unit, &expected, packed, name);
    }
    true
}

/// The same on packed weights.
fn check_packed(
    case: &Case,
    narrow: &Model<'_>,
    wide: &Model<'_>,
    layer_unit: i32,
    expected: &(Vec<i128>, Vec<i8>),
    kernels: &PackedKernels,
    name: &str,
) {
    let mut workspace = Workspace::new();
    let op = linear(narrow);
    let matrix = (kernels.pack)(&narrow.matrix(&op.weights));
    assert_eq!((matrix.rows(), matrix.columns(), matrix.group()), (case.rows, case.columns, case.group));
    let bias = narrow.bias(&op);
    let layer = PackedI8 { matrix: &matrix, bias, scale: i32::from(case.scale), relu: case.relu, rows: 0..case.rows };
    let mut output = vec![77i8; case.batch() * case.rows];
    (kernels.linear_i8)(&layer, &case.input, &mut workspace, &mut output);
    let op = linear(wide);
    let matrix = (kernels.pack)(&wide.matrix(&op.weights));
    let layer = PackedI32 { matrix: &matrix, bias: wide.bias(&op), exponent: layer_unit, rows: 0..case.rows };
    let mut logits = vec![77i32; case.batch() * case.rows];
    (kernels.linear_i32)(&layer, &case.input, &mut workspace, &mut logits);
    compare(expected, &logits, &output, name);
}

/// Holds outputs of both kinds against the naive definition's.
fn compare(expected: &(Vec<i128>, Vec<i8>), logits: &[i32], output: &[i8], name: &str) {
    assert!(logits.iter().map(|logit| i128::from(*logit)).eq(expected.0.iter().copied()), "{name}");
    assert_eq!(output, expected.1, "{name}");
}

fn cases() -> impl Strategy<Value = Case> {
    let rows = prop_oneof![1usize..9, 9usize..40];
    let layout = prop_oneof![Just(Layout::Rows), Just(Layout::Groups)];
    let shape = (rows, 1usize..220, 0usize..GroupSize::ALL.len(), 0usize..4, layout);
    shape.prop_flat_map(|(rows, columns, group, batch, layout)| {
        let group = GroupSize::ALL[group];
        let exponents = proptest::collection::vec(-9i8..0, rows * group.count(columns));
        let trits = proptest::collection::vec(-1i8..=1, rows * columns);
        let bias = proptest::option::of(proptest::collection::vec(-90_000i32..90_000, rows));
        let input = proptest::collection::vec(any::<i8>(), batch * columns);
        (exponents, trits, bias, -6i16..6, any::<bool>(), input).prop_map(
            move |(exponents, trits, bias, scale, relu, input)| Case {
                rows,
                columns,
                group,
                layout,
                trits,
                exponents,
                bias,
                scale,
                relu,
                input,
            },
        )
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_layers_equal_the_naive_definition(case in cases()) {
        // Windows of 8 bits over at most 219 columns always fit int32.
        prop_assert!(check(&case));
    }
}

#[test]
fn saturated_inputs_and_all_plus_one_rows() {
    for group in GroupSize::ALL {
        for columns in [1, 5, group.get() - 1, group.get(), group.get() + 1, 4096] {
            for (trit, input) in [(1, 127), (1, -128), (-1, -128), (-1, 127), (0, -128)] {
                // Many rows take another kernel than few.
                for (rows, layout) in [(2, Layout::Rows), (33, Layout::Groups)] {
                    let case = Case {
                        rows,
                        columns,
                        group,
                        layout,
                        trits: vec![trit; rows * columns],
                        exponents: vec![3; rows * group.count(columns)],
                        bias: Some((0..rows as i32).map(|row| i32::from(i16::MAX) - row).collect()),
                        scale: 9,
                        relu: false,
                        input: vec![input; 3 * columns],
                    };
                    assert!(check(&case));
                }
            }
        }
    }
}

#[test]
fn a_window_at_the_int32_bound_is_exact_and_one_beyond_is_refused() {
    // Two groups of four ones: 128·4·(1 + 2^w) + 2^(r−1) ≤ 2^31 − 1 holds up to w = 21.
    let case = |window: i8| Case {
        rows: 1,
        columns: 8,
        group: GroupSize::new(4).unwrap(),
        layout: Layout::Groups,
        trits: vec![-1; 8],
        exponents: vec![-10, -10 + window],
        bias: None,
        scale: 0,
        relu: false,
        input: vec![-128; 8],
    };
    assert!(check(&case(21)));
    assert!(!check(&case(22)));
}

#[test]
fn batches_across_block_edges() {
    for batch in [1, 31, 32, 33, 64, 65] {
        let columns = 37;
        let case = Case {
            rows: 3,
            columns,
            group: GroupSize::new(16).unwrap(),
            layout: Layout::Groups,
            trits: (0..3 * columns).map(|i| (i % 3) as i8 - 1).collect(),
            exponents: (0..9).map(|i| i as i8 - 12).collect(),
            bias: None,
            scale: -2,
            relu: true,
            input: (0..batch * columns).map(|i| (i * 89 % 256) as u8 as i8).collect(),
        };
        assert!(check(&case));
    }
}
