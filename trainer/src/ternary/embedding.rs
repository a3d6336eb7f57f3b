//! An embedding: rows of a ternary table, looked up by index.
//!
//! The gradient of a row is the sum of gy over the positions that looked it up. It is summed in f64 in the order of the
//! positions, so that neither threads nor a backend's taste decide the sign of a sum near 0. Its sign is the vote.

use super::votes::{VoteSource, sign};
use super::weights::Element;
use super::{Component, DEFAULT_STRENGTH, TernaryError, TernaryState};
use ndarray::{Array2, ArrayView2};
use std::ops::Range;

/// A ternary table [vocabulary, dimension].
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// The table.
    pub state: TernaryState,
    /// Correlation strength S.
    pub strength: f64,
}

impl Embedding {
    /// A table of the default strength.
    pub fn new(state: TernaryState) -> Self {
        Self { state, strength: DEFAULT_STRENGTH }
    }

    /// The rows T·2^e of these indices, [indices, dimension].
    ///
    /// # Errors
    /// [`TernaryError::Index`] names the first index outside the table.
    pub fn forward(&self, indices: &[i64]) -> Result<Array2<f32>, TernaryError> {
        let shape = self.state.shape();
        let rows = rows_of(indices, shape.rows())?;
        let mut output = Array2::zeros((indices.len(), shape.columns()));
        for (mut output, row) in output.rows_mut().into_iter().zip(rows) {
            for (column, value) in output.iter_mut().enumerate() {
                let group = row * shape.row_groups() + column / shape.group().get();
                let exponent = self.state.effective(self.state.exponents[group], self.state.corr[group], self.strength);
                *value = f32::weight(self.state.trits[row * shape.columns() + column], exponent);
            }
        }
        Ok(output)
    }

    /// The votes of gy [indices, dimension] on the table, made when asked for.
    ///
    /// # Errors
    /// [`TernaryError::Index`] and [`TernaryError::Length`].
    pub fn votes<'a>(
        &self,
        indices: &[i64],
        output_gradient: ArrayView2<'a, f32>,
    ) -> Result<EmbeddingVotes<'a>, TernaryError> {
        let shape = self.state.shape();
        TernaryError::check("rows of the output gradient", indices.len(), output_gradient.nrows())?;
        TernaryError::check("columns of the output gradient", shape.columns(), output_gradient.ncols())?;
        Ok(EmbeddingVotes::new(&rows_of(indices, shape.rows())?, shape.rows(), output_gradient))
    }

    /// One correlation update by gy [indices, dimension], whose votes count as the component says.
    ///
    /// # Errors
    /// [`TernaryError::Index`] and [`TernaryError::Length`].
    pub fn backward(
        &mut self,
        indices: &[i64],
        output_gradient: ArrayView2<'_, f32>,
        component: &Component,
    ) -> Result<(), TernaryError> {
        let votes = self.votes(indices, output_gradient)?;
        self.state.update_correlation(&votes, component.count())
    }
}

/// Sign votes on the rows of a table; rows that nobody looked up abstain.
#[derive(Clone, Debug)]
pub struct EmbeddingVotes<'a> {
    output_gradient: ArrayView2<'a, f32>,
    /// Positions, ordered by row and then by themselves.
    positions: Vec<usize>,
    /// Where every row's positions begin, and the end.
    starts: Vec<usize>,
}

impl<'a> EmbeddingVotes<'a> {
    fn new(rows: &[usize], table: usize, output_gradient: ArrayView2<'a, f32>) -> Self {
        let mut positions: Vec<usize> = (0..rows.len()).collect();
        // Stable: positions of a row stay in order.
        positions.sort_by_key(|position| rows[*position]);
        let mut starts = vec![0; table + 1];
        for row in rows {
            starts[row + 1] += 1;
        }
        for row in 0..table {
            starts[row + 1] += starts[row];
        }
        Self { output_gradient, positions, starts }
    }
}

impl VoteSource for EmbeddingVotes<'_> {
    fn shape(&self) -> Result<(usize, usize), TernaryError> {
        Ok((self.starts.len() - 1, self.output_gradient.ncols()))
    }

    fn visit(&self, rows: Range<usize>, _group: usize, visit: &mut dyn FnMut(usize, usize, &[i8])) {
        let columns = self.output_gradient.ncols();
        let (mut sums, mut votes) = (vec![0f64; columns], vec![0; columns]);
        for (index, row) in rows.enumerate() {
            sums.fill(0.0);
            for position in &self.positions[self.starts[row]..self.starts[row + 1]] {
                for (sum, gradient) in sums.iter_mut().zip(self.output_gradient.row(*position)) {
                    *sum += f64::from(*gradient);
                }
            }
            for (vote, sum) in votes.iter_mut().zip(&sums) {
                *vote = sign(*sum);
            }
            visit(index, 0, &votes);
        }
    }
}

/// The indices as rows of a table of `rows` rows.
///
/// # Errors
/// [`TernaryError::Index`].
pub(crate) fn rows_of(indices: &[i64], rows: usize) -> Result<Vec<usize>, TernaryError> {
    let row = |(position, index): (usize, &i64)| {
        let row = usize::try_from(*index).ok().filter(|row| *row < rows);
        row.ok_or(TernaryError::Index { position, index: *index, rows })
    };
    indices.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use crate::ternary::{Shape, Votes};
    use ndarray::array;
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    fn table() -> Embedding {
        let shape = Shape::new(3, 2, GroupSize::new(4).unwrap()).unwrap();
        Embedding::new(TernaryState::new(shape, vec![1, -1, 0, 1, -1, -1], vec![0, 1, -2]).unwrap())
    }

    #[test]
    fn rows_are_looked_up() {
        let rows = table().forward(&[2, 0, 1, 2]).unwrap();
        assert_eq!(rows, array![[-0.25, -0.25], [1.0, -1.0], [0.0, 2.0], [-0.25, -0.25]]);
        assert_eq!(table().forward(&[]).unwrap().dim(), (0, 2));
    }

    #[test]
    fn indices_outside_the_table_are_named() {
        for index in [3, -1, i64::MAX, i64::MIN] {
            let error = TernaryError::Index { position: 2, index, rows: 3 };
            assert_eq!(table().forward(&[0, 2, index, 77]), Err(error.clone()));
            let mut table = table();
            let gradient = Array2::ones((3, 2));
            assert_eq!(table.backward(&[0, 1, index], gradient.view(), &Component::default()), Err(error));
            assert_eq!(table, self::table());
        }
    }

    #[test]
    fn gradients_of_another_shape_are_refused() {
        let mut table = table();
        for shape in [(2, 2), (1, 3)] {
            assert!(table.backward(&[0], Array2::ones(shape).view(), &Component::default()).is_err());
        }
        assert_eq!(table, self::table());
    }

    #[test]
    fn sums_have_one_order() {
        // In f32 the 1 would be lost next to 2^30; in the order of positions nothing is.
        let large = 2f32.powi(30);
        let gradient = array![[large, 1.0], [1.0, f32::NAN], [-large, 1.0], [-1.0, -1e-45]];
        let votes = table();
        let votes = votes.votes(&[1, 1, 1, 0], gradient.view()).unwrap();
        assert_eq!(Votes::collect(&votes).unwrap().values(), [-1, -1, 1, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn updates_follow_the_definition(case in naive::case(), count in -3.0f64..3.0, seed in any::<u64>()) {
            // The case's inputs as gradients of rows, each looked up a few times.
            let mut layer = Embedding::new(case.state.clone());
            let (rows, columns) = (case.state.shape().rows(), case.state.shape().columns());
            let indices: Vec<i64> =
                (0..case.input.nrows() as u64).map(|m| ((seed >> (m % 16)) % rows as u64) as i64).collect();
            let component = Component::new("a", count).unwrap();
            layer.backward(&indices, case.input.view(), &component).unwrap();

            let mut sums = vec![0i64; rows * columns];
            for (position, index) in indices.iter().enumerate() {
                for column in 0..columns {
                    sums[*index as usize * columns + column] += case.input[[position, column]] as i64;
                }
            }
            let votes = Votes::new(rows, columns, sums.iter().map(|sum| sum.signum() as i8).collect()).unwrap();
            let mut expected = case.state.clone();
            expected.update_correlation(&votes, component.count()).unwrap();
            prop_assert_eq!(&layer.state, &expected);
        }

        #[test]
        fn rows_are_the_rows_of_the_weights(case in naive::case()) {
            let layer = Embedding::new(case.state.clone());
            let indices: Vec<i64> = (0..case.state.shape().rows() as i64).rev().collect();
            let rows = layer.forward(&indices).unwrap();
            let weights = case.state.weights::<f32>(4.0);
            for (row, index) in rows.rows().into_iter().zip(indices) {
                prop_assert_eq!(row, weights.row(index as usize));
            }
        }
    }
}
