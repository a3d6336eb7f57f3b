//! Ternary linear layer: y = x·Wᵀ + b with W = T·2^E, additions and shifts alone.
//!
//! A row accumulates `acc = b + Σ_g (p_g << (E_g − e))` in int32, `p_g = Σ_{k∈g} T·x`, e the unit of the accumulator:
//! the row's smallest exponent for int8 outputs, one exponent for the whole layer for int32 outputs.
//!
//! Inputs and outputs of a batch lie sample after sample: [batch, columns] and [batch, rows]. The batch is what the
//! slices hold.

use crate::requantize::requantize_one;
use trishift_format::trits::DECODE;
use trishift_format::{Bias, Row, TernaryMatrix};

/// A linear layer with int8 outputs.
#[derive(Clone, Copy, Debug)]
pub struct LinearI8<'a> {
    /// Weights [rows, columns].
    pub matrix: TernaryMatrix<'a>,
    /// One int32 per row, in the row's accumulator unit.
    pub bias: Option<Bias<'a>>,
    /// s_out − s_in; a row's requantising shift is this minus its smallest exponent.
    pub scale: i32,
    /// Lower clamp at 0.
    pub relu: bool,
}

/// A linear layer with int32 outputs in one unit.
#[derive(Clone, Copy, Debug)]
pub struct LinearI32<'a> {
    /// Weights [rows, columns].
    pub matrix: TernaryMatrix<'a>,
    /// One int32 per row, in the layer's unit.
    pub bias: Option<Bias<'a>>,
    /// The unit 2^exponent of every output, relative to the input's.
    pub exponent: i32,
}

/// Samples that one unpacking of a group serves.
const BLOCK: usize = 32;

/// Scalar definition, int8 outputs.
pub fn linear_i8(layer: &LinearI8<'_>, input: &[i8], output: &mut [i8]) {
    let LinearI8 { matrix, bias, scale, relu } = *layer;
    for_each_row(&matrix, bias, input, |row, index, block, bias, samples| {
        let unit = row.smallest_exponent();
        let accumulators = accumulate(row, unit, bias, samples, matrix.columns());
        let rows = output.chunks_exact_mut(matrix.rows().max(1)).skip(block * BLOCK);
        for (output, accumulator) in rows.zip(accumulators.iter().take(samples_in(samples, matrix.columns()))) {
            if let Some(output) = output.get_mut(index) {
                *output = requantize_one(*accumulator, scale - unit, relu);
            }
        }
    });
}

/// Scalar definition, int32 outputs.
pub fn linear_i32(layer: &LinearI32<'_>, input: &[i8], output: &mut [i32]) {
    let LinearI32 { matrix, bias, exponent } = *layer;
    for_each_row(&matrix, bias, input, |row, index, block, bias, samples| {
        let accumulators = accumulate(row, exponent, bias, samples, matrix.columns());
        let rows = output.chunks_exact_mut(matrix.rows().max(1)).skip(block * BLOCK);
        for (output, accumulator) in rows.zip(accumulators.iter().take(samples_in(samples, matrix.columns()))) {
            if let Some(output) = output.get_mut(index) {
                *output = *accumulator;
            }
        }
    });
}

/// Calls `f(row, row index, block index, bias, the block's samples)` for every row and every block of samples.
fn for_each_row<'a>(
    matrix: &TernaryMatrix<'a>,
    bias: Option<Bias<'a>>,
    input: &[i8],
    mut f: impl FnMut(&Row<'a>, usize, usize, i32, &[i8]),
) {
    let mut biases = bias.map(|bias| bias.iter());
    for (index, row) in matrix.iter().enumerate() {
        let bias = biases.as_mut().and_then(Iterator::next).unwrap_or(0);
        for (block, samples) in input.chunks(BLOCK.saturating_mul(matrix.columns()).max(1)).enumerate() {
            f(&row, index, block, bias, samples);
        }
    }
}

fn samples_in(samples: &[i8], columns: usize) -> usize {
    samples.len() / columns.max(1)
}

/// The accumulators of one row for a block of samples, in units of 2^`unit`.
fn accumulate(row: &Row<'_>, unit: i32, bias: i32, samples: &[i8], columns: usize) -> [i32; BLOCK] {
    let mut accumulators = [bias; BLOCK];
    let mut start = 0;
    for group in row.groups() {
        let mut trits = [0; trits_of_a_group()];
        for (trits, byte) in trits.chunks_exact_mut(5).zip(group.bytes) {
            trits.copy_from_slice(&DECODE[usize::from(*byte)]);
        }
        let trits = trits.get(..group.len).unwrap_or(&[]);
        // In 0..=31 by the int32 bound, but for groups of zeros, whose sum is 0 whatever the shift.
        let shift = (group.exponent - unit).clamp(0, 31);
        for (accumulator, sample) in accumulators.iter_mut().zip(samples.chunks_exact(columns.max(1))) {
            let inputs = sample.get(start..start + group.len).unwrap_or(&[]);
            // A parsed model never wraps; of one that was not, nothing is expected but that it ends.
            *accumulator = accumulator.wrapping_add(signed_sum(trits, inputs) << shift);
        }
        start += group.len;
    }
    accumulators
}

/// Room for the trits of the largest group, in whole bytes.
const fn trits_of_a_group() -> usize {
    trishift_format::GroupSize::MAX.next_multiple_of(5)
}

/// Σ T·x by additions and subtractions.
fn signed_sum(trits: &[i8], inputs: &[i8]) -> i32 {
    let signed = |(trit, input): (&i8, &i8)| match *trit {
        0 => 0,
        1 => i32::from(*input),
        _ => -i32::from(*input),
    };
    trits.iter().zip(inputs).map(signed).sum()
}
