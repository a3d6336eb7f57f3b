//! Random matrices, written and read back: every group size, ragged shapes, both layouts, every encoding, any exponents.
//!
//! A matrix, of a linear operator or an embedding, comes back as it was, or is refused for the int32 bound that wide
//! arithmetic says it breaks. int8 weights likewise.
#![cfg(feature = "alloc")]

mod support;

use proptest::prelude::*;
use trishift_format::write::{CheckpointWriter, MatrixValues, ModelWriter, Region, StateValues, WriteError};
use trishift_format::{
    Checkpoint, Conv2d, DataType, Embedding, ExponentEncoding, GroupSize, InputScale, Layout, Linear, MatrixFault,
    Model, Operator, ParseError, Tensor, TensorClass, Window, trits,
};

#[derive(Clone, Debug)]
struct Case {
    rows: usize,
    columns: usize,
    group: GroupSize,
    layout: Layout,
    trits: Vec<i8>,
    exponents: Vec<i8>,
    bias: Option<Vec<i32>>,
    /// A table instead of a layer's weights; the bias is nobody's then.
    embedding: bool,
    /// s_out − s_in; s_out of an embedding.
    scale: i16,
    output: DataType,
}

fn tensor(class: TensorClass, data_type: DataType, exponent: i16, len: usize) -> Tensor {
    Tensor { data_type, class, exponent, shape: [1, 1, len as u32], offset: 0, first: 0, last: 0 }
}

/// Small biases, and any.
fn biases(rows: usize) -> impl Strategy<Value = Vec<i32>> {
    prop::collection::vec(prop_oneof![4 => -1000..1000i32, 1 => any::<i32>()], rows)
}

fn cases() -> impl Strategy<Value = Case> {
    let shape = (prop::sample::select(GroupSize::ALL.to_vec()), 1..5usize, 1..200usize);
    // Few trits leave groups and rows of zeros; windows from none to all of int8.
    let contents = (0..=20u8, any::<i8>(), prop::sample::select(vec![0u8, 3, 14, 15, 16, 17, 18, 22, 255]));
    (shape, contents).prop_flat_map(|((group, rows, columns), (density, low, window))| {
        let trit = (0..20u8, any::<bool>()).prop_map(
            move |(dice, sign)| {
                if dice < density { if sign { 1 } else { -1 } } else { 0 }
            },
        );
        let exponent = (0..=window).prop_map(move |above| (i16::from(low) + i16::from(above)).min(127) as i8);
        let vectors = (
            prop::collection::vec(trit, rows * columns),
            prop::collection::vec(exponent, rows * group.count(columns)),
            prop::option::of(biases(rows)),
        );
        let layout = prop_oneof![Just(Layout::Rows), Just(Layout::Groups)];
        let scale = prop_oneof![i16::from(low)..=i16::from(low) + 40, -300..300i16];
        let output = prop_oneof![Just(DataType::I8), Just(DataType::I32)];
        let kind = (layout, output, any::<bool>());
        (vectors, scale, kind).prop_map(move |((trits, exponents, bias), scale, (layout, output, embedding))| Case {
            rows,
            columns,
            group,
            layout,
            trits,
            exponents,
            bias,
            embedding,
            scale,
            output,
        })
    })
}

impl Case {
    /// The exponents as they must come back: a group of zeros takes the smallest of its row, a row of zeros 0.
    fn canonical(&self) -> Vec<Vec<i32>> {
        let rows = self.trits.chunks(self.columns).zip(self.exponents.chunks(self.group.count(self.columns)));
        rows.map(|(trits, exponents)| {
            let groups = trits.chunks(self.group.get()).map(|group| group.iter().any(|trit| *trit != 0));
            let used: Vec<_> =
                groups.zip(exponents).map(|(used, exponent)| used.then_some(i32::from(*exponent))).collect();
            let smallest = used.iter().flatten().min().copied().unwrap_or(0);
            used.into_iter().map(|exponent| exponent.unwrap_or(smallest)).collect()
        })
        .collect()
    }

    /// The fault that the first bad row must be refused for, by arithmetic in i128.
    fn fault(&self) -> Option<MatrixFault> {
        let mut rows = self.trits.chunks(self.columns).zip(self.canonical()).enumerate();
        if self.embedding {
            return rows.find_map(|(row, (trits, exponents))| self.table_fault(row, trits, &exponents));
        }
        let bias = |row: usize| self.bias.as_ref().map_or(0, |bias| i128::from(bias[row]).abs());
        rows.find_map(|(row, (trits, exponents))| {
            let smallest = *exponents.iter().min()?;
            let (unit, rounding) = match (self.output, i32::from(self.scale) - smallest) {
                (DataType::I32, shift) if shift > 0 => return Some(MatrixFault::BelowOutputUnit { row }),
                (DataType::I32, _) => (i32::from(self.scale), 0),
                (DataType::I8, shift @ 1..=31) => (smallest, 1i128 << (shift - 1)),
                (DataType::I8, _) => (smallest, 0),
            };
            let sum = trits.chunks(self.group.get()).zip(&exponents).map(|(group, exponent)| {
                let nonzero = group.iter().filter(|trit| **trit != 0).count() as i128;
                // Beyond 2^100 everything is too much; 2^100 times 2^15 still fits.
                (128 * nonzero) << (exponent - unit).min(100)
            });
            let required = bias(row) + rounding + sum.sum::<i128>();
            (required > i128::from(i32::MAX)).then_some(MatrixFault::Int32Bound { row })
        })
    }

    /// An int32 element of an embedding is a whole number of the output's units, and fits.
    fn table_fault(&self, row: usize, trits: &[i8], exponents: &[i32]) -> Option<MatrixFault> {
        let above = |exponent: &i32| exponent - i32::from(self.scale);
        if self.output == DataType::I8 {
            return None;
        }
        if exponents.iter().any(|exponent| above(exponent) < 0) {
            return Some(MatrixFault::BelowOutputUnit { row });
        }
        let mut groups = trits.chunks(self.group.get()).zip(exponents);
        let fits = |(group, exponent): (&[i8], &i32)| {
            group.iter().all(|trit| *trit == 0) || 1i128 << above(exponent).min(100) <= i128::from(i32::MAX)
        };
        (!groups.all(fits)).then_some(MatrixFault::Int32Bound { row })
    }

    fn write(&self) -> Result<Vec<u8>, WriteError> {
        let mut writer = ModelWriter::new("random");
        let values = MatrixValues {
            rows: self.rows,
            columns: self.columns,
            group: self.group,
            trits: &self.trits,
            exponents: &self.exponents,
        };
        let weights = writer.add_matrix_in(&values, self.layout)?;
        let bias = self.bias.as_ref().map(|bias| writer.add_bias(bias)).transpose()?;
        writer.push(&match self.embedding {
            true => Operator::Embedding(Embedding { input: 0, output: 1, weights }),
            false => Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias }),
        })?;
        writer.input_scales(&[InputScale::IDENTITY]);
        let (inputs, outputs, exponent) = match self.embedding {
            true => (3, 3 * self.columns, self.scale),
            false => (self.columns, self.rows, self.scale - 9),
        };
        let tensors = [
            tensor(TensorClass::Input, DataType::I8, -9, inputs),
            tensor(TensorClass::Output, self.output, exponent, outputs),
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 })
    }

    /// Everything that was written stands in the file.
    fn check(&self, file: &[u8]) -> Result<(), TestCaseError> {
        let model = Model::parse(file).map_err(|error| TestCaseError::fail(error.to_string()))?;
        support::walk::model(&model);
        let operator = model.operators().next();
        let Some(record) = operator.as_ref().and_then(Operator::weights) else {
            return Err(TestCaseError::fail("no operator with weights"));
        };
        let matrix = model.matrix(record);
        let canonical = self.canonical();
        prop_assert_eq!((matrix.rows(), matrix.columns(), matrix.group()), (self.rows, self.columns, self.group));
        let mut unpacked = vec![7; self.columns];
        for ((row, trits), exponents) in matrix.iter().zip(self.trits.chunks(self.columns)).zip(&canonical) {
            row.unpack(&mut unpacked);
            prop_assert_eq!(&unpacked[..], trits);
            prop_assert_eq!(&row.exponents().collect::<Vec<_>>(), exponents);
        }
        let window = |row: &Vec<i32>| row.iter().max().zip(row.iter().min()).map_or(0, |(high, low)| high - low);
        let narrow = canonical.iter().all(|row| window(row) <= 15);
        let expected = match self.layout {
            Layout::Groups => ExponentEncoding::Offset8,
            Layout::Rows if narrow => ExponentEncoding::Offset4,
            Layout::Rows => ExponentEncoding::Int8,
        };
        prop_assert_eq!((matrix.layout(), matrix.encoding()), (self.layout, expected));
        match operator {
            Some(Operator::Linear(op)) => {
                prop_assert_eq!(&model.bias(&op).map(|bias| bias.iter().collect::<Vec<_>>()), &self.bias);
            }
            _ => prop_assert!(self.embedding),
        }
        Ok(())
    }
}

/// A layer with int8 weights, or a convolution of 1 × 1.
#[derive(Clone, Debug)]
struct Int8Case {
    columns: usize,
    values: Vec<i8>,
    exponents: Vec<i8>,
    bias: Option<Vec<i32>>,
    convolution: bool,
    /// s_out − s_in.
    scale: i16,
    output: DataType,
}

fn int8_cases() -> impl Strategy<Value = Int8Case> {
    let shape = (1..5usize, 1..80usize, any::<i8>(), prop::sample::select(vec![0u8, 3, 15, 30, 255]));
    shape.prop_flat_map(|(rows, columns, low, window)| {
        let exponent = (0..=window).prop_map(move |above| (i16::from(low) + i16::from(above)).min(127) as i8);
        let values = prop_oneof![any::<i8>(), Just(0), Just(i8::MIN)];
        let vectors = (
            prop::collection::vec(values, rows * columns),
            prop::collection::vec(exponent, rows),
            prop::option::of(biases(rows)),
        );
        let scale = prop_oneof![i16::from(low) - 18..=i16::from(low) + 40, -300..300i16];
        let output = prop_oneof![Just(DataType::I8), Just(DataType::I32)];
        (vectors, any::<bool>(), scale, output).prop_map(
            move |((values, exponents, bias), convolution, scale, output)| Int8Case {
                columns,
                values,
                exponents,
                bias,
                convolution,
                scale,
                output,
            },
        )
    })
}

impl Int8Case {
    /// The fault that the first bad row must be refused for, by arithmetic in i128.
    fn fault(&self) -> Option<MatrixFault> {
        let mut rows = self.values.chunks(self.columns).zip(&self.exponents).enumerate();
        rows.find_map(|(row, (values, exponent))| {
            let (exponent, scale) = (i32::from(*exponent), i32::from(self.scale));
            let (unit, rounding) = match (self.output, scale - exponent) {
                (DataType::I32, 1..) => return Some(MatrixFault::BelowOutputUnit { row }),
                (DataType::I32, _) => (scale, 0),
                (DataType::I8, shift @ 1..=31) => (exponent, 1i128 << (shift - 1)),
                (DataType::I8, _) => (exponent, 0),
            };
            let sum: i128 = values.iter().map(|value| 128 * i128::from(*value).abs()).sum();
            let bias = self.bias.as_ref().map_or(0, |bias| i128::from(bias[row]).abs());
            let required = bias + rounding + (sum << (exponent - unit).min(90));
            (required > i128::from(i32::MAX)).then_some(MatrixFault::Int32Bound { row })
        })
    }

    fn write(&self) -> Result<Vec<u8>, WriteError> {
        let mut writer = ModelWriter::new("random");
        let weights = writer.add_int8(self.columns, &self.values, &self.exponents)?;
        let bias = self.bias.as_ref().map(|bias| writer.add_bias(bias)).transpose()?;
        let (input, output, relu, window) = (0, 1, false, Window::new([1, 1]));
        writer.push(&match self.convolution {
            true => Operator::Int8Conv2d(Conv2d { input, output, relu, window, weights, bias }),
            false => Operator::Int8Linear(Linear { input, output, relu, weights, bias }),
        })?;
        writer.input_scales(&[InputScale::IDENTITY]);
        let tensors = [
            tensor(TensorClass::Input, DataType::I8, 5, self.columns),
            tensor(TensorClass::Output, self.output, self.scale + 5, self.exponents.len()),
        ];
        writer.finish(&Region { tensors: &tensors, input: 0, output: 1, arena_bytes: 0 })
    }

    /// Everything that was written stands in the file.
    fn check(&self, file: &[u8]) -> Result<(), TestCaseError> {
        let model = Model::parse(file).map_err(|error| TestCaseError::fail(error.to_string()))?;
        support::walk::model(&model);
        let operator = model.operators().next();
        let Some((operator, record)) = operator.as_ref().and_then(|found| Some((found, found.int8_weights()?))) else {
            return Err(TestCaseError::fail("no operator with int8 weights"));
        };
        let matrix = model.int8_matrix(record);
        prop_assert_eq!((matrix.rows(), matrix.columns()), (self.exponents.len(), self.columns));
        let values = matrix.iter().flat_map(|row| row.values).map(|value| *value as i8);
        prop_assert_eq!(&values.collect::<Vec<_>>(), &self.values);
        prop_assert!(matrix.iter().map(|row| row.exponent).eq(self.exponents.iter().map(|e| i32::from(*e))));
        let bias = model.bias_at(operator.bias(), record.rows);
        prop_assert_eq!(&bias.map(|bias| bias.iter().collect::<Vec<_>>()), &self.bias);
        Ok(())
    }
}

/// Four times proptest's own number, so that `PROPTEST_CASES` holds here too.
fn cases_of_a_property() -> u32 {
    4 * ProptestConfig::default().cases
}

proptest! {
    // A failing case is printed; a fixed test for it is worth more than a file of seeds.
    #![proptest_config(ProptestConfig { cases: cases_of_a_property(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn matrices_come_back_or_break_the_int32_bound(case in cases()) {
        match (case.write(), case.fault()) {
            (Ok(file), None) => case.check(&file)?,
            (Err(WriteError::Invalid(ParseError::Matrix { index: 0, fault })), Some(expected)) => {
                prop_assert_eq!(fault, expected);
            }
            (outcome, expected) => prop_assert!(false, "{:?} where {expected:?} is expected", outcome.map(|file| file.len())),
        }
    }

    #[test]
    fn int8_weights_come_back_or_break_the_int32_bound(case in int8_cases()) {
        match (case.write(), case.fault()) {
            (Ok(file), None) => case.check(&file)?,
            (Err(WriteError::Invalid(ParseError::Matrix { index: 0, fault })), Some(expected)) => {
                prop_assert_eq!(fault, expected);
            }
            (outcome, expected) => prop_assert!(false, "{:?} where {expected:?} is expected", outcome.map(|file| file.len())),
        }
    }

    #[test]
    fn state_tensors_come_back(
        rows in 1..5usize,
        columns in 0..40usize,
        trit in prop::collection::vec(-1i8..=1, 160),
        wide in prop::collection::vec(any::<i64>(), 160),
        bits in 0..64u32,
    ) {
        let count = rows * columns;
        let values: Vec<i64> = wide[..count].iter().map(|value| value >> bits).collect();
        let mut writer = CheckpointWriter::new("seed = 1");
        writer.push("trits", rows, StateValues::Trits(&trit[..count])).unwrap();
        writer.push("values", rows, StateValues::I64(&values)).unwrap();
        let file = writer.finish().unwrap();
        let checkpoint = Checkpoint::parse(&file).unwrap();
        support::walk::checkpoint(&checkpoint);
        let tensor = checkpoint.tensor("trits").unwrap();
        let mut unpacked = vec![7; count];
        trits::unpack(tensor.bytes, &mut unpacked);
        prop_assert_eq!((tensor.rows, tensor.columns, &unpacked[..]), (rows, columns, &trit[..count]));
        let tensor = checkpoint.tensor("values").unwrap();
        // Elements are as wide as their bytes say, and sign-extend to what was written.
        let width = tensor.bytes.len().checked_div(count).unwrap_or(1);
        let extend = |bytes: &[u8]| {
            let sign = if bytes.last().is_some_and(|last| last & 128 != 0) { 0xFF } else { 0 };
            let mut wide = [sign; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            i64::from_le_bytes(wide)
        };
        prop_assert_eq!(tensor.bytes.chunks(width).map(extend).collect::<Vec<_>>(), values);
    }
}

#[test]
fn the_cases_reach_both_outcomes_and_every_encoding() {
    // Otherwise the property above could hold for want of cases.
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    // Of layers, of tables.
    let (mut offsets, mut int8, mut records, mut refused) = ([0; 2], [0; 2], [0; 2], [0; 2]);
    for _ in 0..1200 {
        let case = cases().new_tree(&mut runner).unwrap().current();
        let kind = usize::from(case.embedding);
        match case.write() {
            Err(_) => refused[kind] += 1,
            Ok(file) => {
                let model = Model::parse(&file).unwrap();
                let operator = model.operators().next().unwrap();
                match model.matrix(operator.weights().unwrap()).encoding() {
                    ExponentEncoding::Int8 => int8[kind] += 1,
                    ExponentEncoding::Offset4 => offsets[kind] += 1,
                    ExponentEncoding::Offset8 => records[kind] += 1,
                }
            }
        }
    }
    println!(
        "of 1200 cases {offsets:?} have 4-bit offsets, {int8:?} int8 exponents, {records:?} records, {refused:?} are refused"
    );
    let (mut accepted, mut refused_int8) = (0, [0; 2]);
    for _ in 0..400 {
        let case = int8_cases().new_tree(&mut runner).unwrap().current();
        match case.fault() {
            None => accepted += 1,
            Some(MatrixFault::Int32Bound { .. }) => refused_int8[0] += 1,
            Some(_) => refused_int8[1] += 1,
        }
    }
    println!("of 400 cases of int8 weights {accepted} are accepted, {refused_int8:?} refused");
    assert!(accepted > 20 && refused_int8.iter().all(|count| *count > 20), "{accepted} {refused_int8:?}");
    let more_than = |counts: [usize; 2], least| counts.iter().all(|count| *count > least);
    assert!(more_than(offsets, 20) && more_than(int8, 5), "{offsets:?} {int8:?}");
    assert!(more_than(records, 20) && more_than(refused, 20), "{records:?} {refused:?}");
}
