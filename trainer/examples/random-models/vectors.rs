//! Models of vectors: linear → linear → norm → ReLU → add → linear, and softmax in every other one.

use crate::graph::{BASE, UNIT, live, tensor};
use crate::random::Random;
use trishift_format::write::{MatrixValues, ModelWriter, Region};
use trishift_format::{
    Add, DataType, GroupSize, InputScale, Linear, Operator, Relu, Requantize, RmsNorm, ShiftNorm, Softmax,
};

/// Rows of the three linear layers: many outputs, few, and as many as a classifier has.
const ROWS: [usize; 3] = [50, 13, 10];

/// The network of this number, as a file.
pub(crate) fn model(number: usize, group: GroupSize, random: &mut Random) -> anyhow::Result<Vec<u8>> {
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
