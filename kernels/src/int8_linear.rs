//! Linear layer with int8 weights: y = x·Wᵀ + b with W = w·2^E, one exponent a row.

use crate::requantize::requantize_one;
use crate::values::Outputs;
use trishift_format::bound::Accumulators;
use trishift_format::{Bias, Int8Matrix};

/// A linear layer with int8 weights.
#[derive(Clone, Copy, Debug)]
pub struct Int8Linear<'a> {
    /// Weights [rows, columns].
    pub matrix: Int8Matrix<'a>,
    /// One int32 per row, in the accumulators' unit.
    pub bias: Option<Bias<'a>>,
    /// The accumulators' unit; per row for int8 outputs, of the layer for int32 ones.
    pub accumulators: Accumulators,
    /// Lower clamp at 0; int8 outputs only.
    pub relu: bool,
}

/// Scalar definition; `input` is [batch, columns], `output` [batch, rows].
#[inline(always)]
pub fn int8_linear(layer: &Int8Linear<'_>, input: &[i8], mut output: Outputs<'_>) {
    let Int8Linear { matrix, bias, accumulators, relu } = layer;
    let mut biases = bias.map(|bias| bias.iter());
    for (index, row) in matrix.iter().enumerate() {
        let bias = biases.as_mut().and_then(Iterator::next).unwrap_or(0);
        for (number, sample) in input.chunks_exact(matrix.columns().max(1)).enumerate() {
            let products = row.values.iter().zip(sample);
            // A parsed model never wraps; of one that was not, nothing is expected but that it ends.
            let sum = products
                .fold(0i32, |sum, (weight, input)| sum.wrapping_add(i32::from(*weight as i8) * i32::from(*input)));
            // It wraps only where a model that nobody parsed has more rows than its output elements.
            let place = number.wrapping_mul(matrix.rows()).wrapping_add(index);
            match (&mut output, *accumulators) {
                (Outputs::I8(output), Accumulators::PerRow { scale }) => {
                    let Some(output) = output.get_mut(place) else { continue };
                    *output = requantize_one(bias.wrapping_add(sum), scale - row.exponent, *relu);
                }
                (Outputs::I32(output), Accumulators::Layer { exponent }) => {
                    let Some(output) = output.get_mut(place) else { continue };
                    // In 0..=31 by the int32 bound, but for rows of zeros.
                    *output = bias.wrapping_add(sum << (row.exponent - exponent).clamp(0, 31));
                }
                _ => {}
            }
        }
    }
}
