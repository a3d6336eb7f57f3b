//! Writes random models over all group sizes, inputs for them, and the outputs that the runtime gives on this machine:
//! what firmware is held against beside a trained model.
//!
//! `random-models FOLDER` writes into the folder
//!
//! - `random.bin`: a record for each model, all integers little-endian, every part padded to four bytes: the bytes of the
//!   model and the number of samples as u32; the model; the samples, int8, [samples, inputs]; the outputs, int32,
//!   [samples, outputs],
//! - `large.tsm`: a model that is too large for a board with 256 KiB of flash.
//!
//! Each model of `random.bin` is linear → linear → norm → ReLU → add → linear, and softmax in every other one; columns and groups are
//! ragged, exponents span narrow and wide windows, some rows are all +1, some samples one extreme throughout.

use anyhow::Context;
use std::fs;
use std::path::{Path, PathBuf};
use trishift::{Engine, HeapArena, Model};
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    Add, DataType, GroupSize, InputScale, Linear, Operator, Relu, Requantize, RmsNorm, ShiftNorm, Softmax, Tensor,
    TensorClass,
};
use trishift_trainer::plan;

/// Rows of the three linear layers: many outputs, few, and as many as a classifier has.
const ROWS: [usize; 3] = [50, 13, 10];
/// Samples of each model.
const SAMPLES: usize = 6;
/// Exponent of the input, and of the norms' outputs.
const UNIT: i16 = -5;
/// Smallest exponent of the weights.
const BASE: i8 = -9;

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).context("usage: random-models FOLDER")?);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut records = Vec::new();
    for (number, group) in GroupSize::ALL.into_iter().enumerate() {
        let mut random = Random(number as u64);
        let file = model(number, group, &mut random)?;
        let model = Model::parse(&file)?;
        let samples: Vec<i8> = (0..SAMPLES).flat_map(|_| random.sample(model.input().len())).collect();
        let mut outputs = vec![0i32; SAMPLES * model.output().len()];
        let mut arena = HeapArena::new(&model, SAMPLES)?;
        Engine::new(&model, arena.bytes(), SAMPLES)?.run(&samples, &mut outputs)?;

        records.extend((file.len() as u32).to_le_bytes());
        records.extend((SAMPLES as u32).to_le_bytes());
        append(&mut records, file);
        append(&mut records, samples.iter().map(|value| value.cast_unsigned()));
        append(&mut records, outputs.iter().flat_map(|value| value.to_le_bytes()));
    }
    write(&folder.join("random.bin"), &records)?;
    write(&folder.join("large.tsm"), &large()?)?;
    eprintln!("{} random models, {} bytes", GroupSize::ALL.len(), records.len());
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn append(records: &mut Vec<u8>, part: impl IntoIterator<Item = u8>) {
    records.extend(part);
    records.resize(records.len().next_multiple_of(4), 0);
}

/// The network of this number, as a file.
fn model(number: usize, group: GroupSize, random: &mut Random) -> anyhow::Result<Vec<u8>> {
    // Two full groups and a short one, but no more columns than the int32 bound allows at the widest window.
    let columns = (2 * group.get() + 3).min(131);
    let window = [3, 14, 7][number % 3];
    let relu = number.is_multiple_of(2);
    let mut writer = ModelWriter::new("random");
    let mut tensors = vec![tensor(DataType::I8, UNIT, columns)];
    let mut last = |data_type, exponent, len| {
        tensors.push(tensor(data_type, exponent, len));
        tensors.len() as u16 - 1
    };
    // Shifts that leave most sums inside int8, and saturate some.
    let (base, shift) = (i16::from(BASE), 8 + window as i16 / 2);
    let hidden = last(DataType::I8, UNIT + base + shift, ROWS[0]);
    let sums = last(DataType::I32, UNIT + base + shift + base, ROWS[1]);
    let normed_exponent = if number % 3 == 1 { UNIT + base + shift + base + shift } else { UNIT };
    let normed = last(DataType::I8, normed_exponent, ROWS[1]);
    let positive = last(DataType::I8, normed_exponent, ROWS[1]);
    let joined = last(DataType::I8, normed_exponent, ROWS[1]);
    let logits = last(DataType::I32, normed_exponent + base, ROWS[2]);
    let output = if relu { logits } else { last(DataType::I32, -15, ROWS[2]) };

    let linear = |input, output, rows, columns, relu, writer: &mut ModelWriter, random: &mut Random| {
        let trits = random.trits(rows, columns);
        let exponents: Vec<i8> = random.exponents(rows * group.count(columns), window);
        let weights =
            writer.add_matrix(&MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents })?;
        let bias: Vec<i32> = (0..rows).map(|_| random.between(-(1 << 16), 1 << 16) as i32).collect();
        let bias = Some(writer.add_bias(&bias)?);
        anyhow::Ok(Operator::Linear(Linear { input, output, relu, weights, bias }))
    };
    let norm = match number % 3 {
        0 => Operator::ShiftNorm(ShiftNorm { input: sums, output: normed, relu: false }),
        1 => Operator::Requantize(Requantize { input: sums, output: normed, relu: false }),
        _ => Operator::RmsNorm(RmsNorm { input: sums, output: normed, relu: false }),
    };
    let mut operators = vec![
        linear(0, hidden, ROWS[0], columns, relu, &mut writer, random)?,
        linear(hidden, sums, ROWS[1], ROWS[0], false, &mut writer, random)?,
        norm,
        Operator::Relu(Relu { input: normed, output: positive }),
        Operator::Add(Add { left: normed, right: positive, output: joined, relu: false }),
        linear(joined, logits, ROWS[2], ROWS[1], false, &mut writer, random)?,
    ];
    if output != logits {
        operators.push(Operator::Softmax(Softmax { input: logits, output }));
    }
    for operator in &operators {
        writer.push(operator)?;
    }
    writer.input_scales(&[InputScale::IDENTITY]);
    let arena_bytes = live(&mut tensors, &operators, output);
    Ok(writer.finish(&Region { tensors: &tensors, input: 0, output, arena_bytes })?)
}

/// One linear layer whose trits alone fill 256 KiB.
fn large() -> anyhow::Result<Vec<u8>> {
    let (rows, columns, group) = (1024, 1280, GroupSize::new(40)?);
    let (trits, exponents) = (vec![1; rows * columns], vec![0; rows * group.count(columns)]);
    let mut writer = ModelWriter::new("large");
    let weights = writer.add_matrix(&MatrixValues { rows, columns, group, trits: &trits, exponents: &exponents })?;
    writer.push(&Operator::Linear(Linear { input: 0, output: 1, relu: false, weights, bias: None }))?;
    writer.input_scales(&[InputScale::IDENTITY]);
    let mut input = tensor(DataType::I8, 0, columns);
    let mut output = tensor(DataType::I32, 0, rows);
    (input.class, output.class) = (TensorClass::Input, TensorClass::Output);
    Ok(writer.finish(&Region { tensors: &[input, output], input: 0, output: 1, arena_bytes: 0 })?)
}

fn tensor(data_type: DataType, exponent: i16, len: usize) -> Tensor {
    let shape = [1, 1, len as u32];
    Tensor { data_type, class: TensorClass::Arena, exponent, shape, offset: 0, first: 0, last: 0 }
}

/// Gives every tensor its class, its lifetime and its place; returns the arena's bytes.
fn live(tensors: &mut [Tensor], operators: &[Operator], output: u16) -> u64 {
    for (number, tensor) in tensors.iter_mut().enumerate() {
        let reads = |operator: &Operator| operator.inputs().iter().any(|input| usize::from(*input) == number);
        let first = operators.iter().position(|operator| usize::from(operator.output()) == number).unwrap_or(0);
        tensor.first = first as u16;
        tensor.last = operators.iter().rposition(reads).unwrap_or(first) as u16;
    }
    tensors[0].class = TensorClass::Input;
    tensors[usize::from(output)].class = TensorClass::Output;
    plan::place(tensors, operators)
}

/// Numbers that look random and follow from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number in `low..=high`.
    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + (self.next() % (high - low + 1) as u64) as i64
    }

    /// A third of the trits is 0; every seventh row is all +1, and its successor all 0.
    fn trits(&mut self, rows: usize, columns: usize) -> Vec<i8> {
        let trit = |index: usize, random: &mut Self| match index / columns % 7 {
            3 => 1,
            4 => 0,
            _ => random.between(-1, 1) as i8,
        };
        (0..rows * columns).map(|index| trit(index, self)).collect()
    }

    fn exponents(&mut self, count: usize, window: i64) -> Vec<i8> {
        (0..count).map(|_| BASE + self.between(0, window) as i8).collect()
    }

    /// Every third sample is one extreme throughout.
    fn sample(&mut self, len: usize) -> Vec<i8> {
        match self.between(0, 5) {
            0 => vec![i8::MIN; len],
            1 => vec![i8::MAX; len],
            _ => (0..len).map(|_| self.next() as i8).collect(),
        }
    }
}
