//! Embeddings: rows of a table for indices, and gradients back to the rows.
//!
//! A batch's positions are numbered sample after sample: position p of sample m is m·positions + p.

use super::product::resize;
use crate::network::ACTIVATION_EXPONENT;
use crate::rule::power_of_two;
use ndarray::Array2;

/// Inputs are int8; index 0 is −128.
const FIRST_INDEX: f32 = -128.0;

/// The row that each position looks up; `input` is [batch, positions].
pub(super) fn indices(input: &Array2<f32>) -> Vec<usize> {
    input.iter().map(|value| (value - FIRST_INDEX) as usize).collect()
}

/// Writes the rows of `table`, [rows, dimension], to `output`, [positions × dimension, batch], in output steps.
pub(super) fn rows(table: &Array2<f32>, indices: &[usize], batch: usize, output: &mut Array2<f32>) {
    let (positions, dimension) = (indices.len() / batch.max(1), table.ncols());
    resize(output, positions * dimension, batch);
    let steps = power_of_two(-ACTIVATION_EXPONENT);
    for (number, index) in indices.iter().enumerate() {
        let (sample, position) = (number / positions, number % positions);
        if *index >= table.nrows() {
            continue;
        }
        for (column, weight) in table.row(*index).iter().enumerate() {
            output[(position * dimension + column, sample)] = weight * steps;
        }
    }
}

/// Rearranges the gradient with respect to what [`rows`] wrote to [batch × positions, dimension], for the table's
/// weights.
pub(super) fn gradient(of_outputs: &Array2<f32>, dimension: usize, of_positions: &mut Array2<f32>) {
    let (values, batch) = of_outputs.dim();
    let positions = values / dimension.max(1);
    resize(of_positions, batch * positions, dimension);
    let steps = power_of_two(-ACTIVATION_EXPONENT);
    for (value, row) in of_outputs.rows().into_iter().enumerate() {
        let (position, column) = (value / dimension, value % dimension);
        for (sample, gradient) in row.iter().enumerate() {
            of_positions[(sample * positions + position, column)] = gradient * steps;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn each_position_gives_a_row_and_takes_its_gradient() {
        let table = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let indices = indices(&array![[-128.0, -126.0], [-127.0, -128.0]]);
        assert_eq!(indices, [0, 2, 1, 0]);
        let mut output = Array2::zeros((0, 0));
        rows(&table, &indices, 2, &mut output);
        assert_eq!(output, 32f32 * array![[1f32, 3.0], [2.0, 4.0], [5.0, 1.0], [6.0, 2.0]]);
        let mut of_positions = Array2::zeros((0, 0));
        gradient(&output, 2, &mut of_positions);
        assert_eq!(of_positions, 1024f32 * array![[1f32, 2.0], [5.0, 6.0], [3.0, 4.0], [1.0, 2.0]]);
    }
}
