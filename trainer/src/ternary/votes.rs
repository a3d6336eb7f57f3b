//! Votes: what a batch says about every weight, as small integers.
//!
//! The weight gradient of a layer is `D[n, k] = Σ_m gy[m, n]·x[m, k]`; a vote is its sign, or its magnitude in units of
//! a scale, rounded and clipped. A [`VoteSource`] hands out votes in stretches of a row and need not hold them all:
//! [`Votes`] is the matrix, a [`Gradient`] makes sign votes of a panel when asked, [`MagnitudeVotes`] the others. What a
//! source hands out does not depend on how it is asked, so an update by the matrix and an update on the way agree.

use super::{Shape, TernaryError};
use crate::rule::gradient::{Gradient, PANEL_ROWS, from_bfloat16, to_bfloat16, with_buffer};
use rayon::prelude::*;
use std::ops::Range;

/// Columns of a panel of D, about: a thread that streams needs this many times [`PANEL_ROWS`] floats, and as much again
/// within the product, whatever the layer's size.
const PANEL_COLUMNS: usize = 256;

/// Where votes come from.
pub trait VoteSource: Sync {
    /// Rows and columns of the matrix that the votes are about.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the parts of the source do not fit together.
    fn shape(&self) -> Result<(usize, usize), TernaryError>;

    /// Calls `visit(row, first_column, votes)` with votes on columns from `first_column` on of a row; rows count from
    /// the first one asked for. Every weight of `rows` comes once, and stretches begin at multiples of `group`.
    ///
    /// `rows` lie within the matrix and `group` is 1 or more: callers see to it.
    fn visit(&self, rows: Range<usize>, group: usize, visit: &mut dyn FnMut(usize, usize, &[i8]));
}

/// Votes on every weight, [rows, columns].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Votes {
    rows: usize,
    columns: usize,
    values: Vec<i8>,
}

impl Votes {
    /// These votes, row by row.
    ///
    /// # Errors
    /// [`TernaryError::Length`].
    pub fn new(rows: usize, columns: usize, values: Vec<i8>) -> Result<Self, TernaryError> {
        TernaryError::check("votes", rows.saturating_mul(columns), values.len())?;
        Ok(Self { rows, columns, values })
    }

    /// The votes of any source, all at once.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the source's parts do not fit together.
    pub fn collect(source: &dyn VoteSource) -> Result<Self, TernaryError> {
        let (rows, columns) = source.shape()?;
        let mut values = vec![0; rows * columns];
        // A matrix without columns has no panels of which a row could be taken.
        let panels = values.par_chunks_mut((PANEL_ROWS * columns).max(1)).enumerate();
        panels.for_each(|(panel, values)| {
            source.visit(panel_rows(panel, values.len() / columns), 1, &mut |row, first, votes| {
                values[row * columns + first..][..votes.len()].copy_from_slice(votes);
            });
        });
        Ok(Self { rows, columns, values })
    }

    /// The votes, row by row.
    pub fn values(&self) -> &[i8] {
        &self.values
    }
}

impl VoteSource for Votes {
    fn shape(&self) -> Result<(usize, usize), TernaryError> {
        Ok((self.rows, self.columns))
    }

    fn visit(&self, rows: Range<usize>, _group: usize, visit: &mut dyn FnMut(usize, usize, &[i8])) {
        let votes = &self.values[rows.start * self.columns..rows.end * self.columns];
        for (row, votes) in votes.chunks(self.columns.max(1)).enumerate() {
            visit(row, 0, votes);
        }
    }
}

/// Sign votes: v = sgn(D). A D that is not a number abstains.
impl VoteSource for Gradient<'_> {
    fn shape(&self) -> Result<(usize, usize), TernaryError> {
        if let Self::Product { output, input } = self {
            TernaryError::check("samples of the inputs", output.ncols(), input.nrows())?;
        }
        Ok((self.rows(), self.columns()))
    }

    fn visit(&self, rows: Range<usize>, group: usize, visit: &mut dyn FnMut(usize, usize, &[i8])) {
        visit_gradient(self, rows, group, sign::<f32>, visit);
    }
}

/// Magnitude votes: v = clip(round(bf16(D)·factor), ±127), halves to even.
#[derive(Clone, Copy, Debug)]
pub struct MagnitudeVotes<'a> {
    /// The parts of D.
    pub gradient: Gradient<'a>,
    /// Votes of a gradient of 1.
    pub factor: f32,
}

impl VoteSource for MagnitudeVotes<'_> {
    fn shape(&self) -> Result<(usize, usize), TernaryError> {
        VoteSource::shape(&self.gradient)
    }

    fn visit(&self, rows: Range<usize>, group: usize, visit: &mut dyn FnMut(usize, usize, &[i8])) {
        visit_gradient(&self.gradient, rows, group, |d| magnitude(d, self.factor), visit);
    }
}

/// sgn(d); 0 for what is not a number.
pub fn sign<T: PartialOrd + Default>(d: T) -> i8 {
    i8::from(d > T::default()) - i8::from(d < T::default())
}

/// clip(round(bf16(d)·factor), ±127), halves to even; 0 for what is not a number.
pub fn magnitude(d: f32, factor: f32) -> i8 {
    if d.is_nan() {
        return 0;
    }
    (from_bfloat16(to_bfloat16(d)) * factor).round_ties_even().clamp(-127.0, 127.0) as i8
}

/// Rows of panel number `panel`, which has `count` of them.
pub(super) fn panel_rows(panel: usize, count: usize) -> Range<usize> {
    panel * PANEL_ROWS..panel * PANEL_ROWS + count
}

/// Calls `visit(group, score)` with the score s = Σ v·T of every group of `rows`, T being `trits` of these rows alone;
/// groups count from the first one of the rows.
pub(super) fn visit_scores(
    source: &dyn VoteSource,
    shape: &Shape,
    rows: Range<usize>,
    trits: &[i8],
    visit: &mut dyn FnMut(usize, i32),
) {
    let (columns, group) = (shape.columns(), shape.group().get());
    source.visit(rows, group, &mut |row, first, votes| {
        let trits = &trits[row * columns + first..][..votes.len()];
        let first_group = row * shape.row_groups() + first / group;
        for (index, (votes, trits)) in votes.chunks(group).zip(trits.chunks(group)).enumerate() {
            let products = votes.iter().zip(trits).map(|(vote, trit)| i32::from(*vote) * i32::from(*trit));
            visit(first_group + index, products.sum());
        }
    });
}

/// Makes D of `rows` a few columns at a time and votes of that.
fn visit_gradient(
    gradient: &Gradient<'_>,
    rows: Range<usize>,
    group: usize,
    vote: impl Fn(f32) -> i8,
    visit: &mut dyn FnMut(usize, usize, &[i8]),
) {
    // Whole groups; group sizes are at most 96.
    let width = (PANEL_COLUMNS / group * group).max(group).min(gradient.columns());
    let mut votes = vec![0; width];
    for first in (0..gradient.columns()).step_by(width.max(1)) {
        let columns = first..(first + width).min(gradient.columns());
        let width = columns.len();
        let part = gradient.of_columns(columns);
        with_buffer(rows.len() * width, |panel| {
            part.panel(rows.clone(), panel);
            for (row, values) in panel.chunks(width).enumerate() {
                for (vote_on, value) in votes.iter_mut().zip(values) {
                    *vote_on = vote(*value);
                }
                visit(row, first, &votes[..width]);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::naive;
    use super::*;
    use ndarray::Array2;
    use proptest::prelude::*;

    #[test]
    fn single_votes_follow_the_definition() {
        assert_eq!([2.0, 1e-45, 0.0, -0.0, -1e-45, f32::NAN].map(sign), [1, 1, 0, 0, -1, 0]);
        assert_eq!([f32::INFINITY, f32::NEG_INFINITY].map(sign), [1, -1]);
        let votes = [0.5, 1.5, 2.5, -2.5, 126.8, 500.0, -500.0, f32::INFINITY, f32::NAN].map(|d| magnitude(d, 1.0));
        assert_eq!(votes, [0, 2, 2, -2, 127, 127, -127, 127, 0]);
        assert_eq!(magnitude(0.3, 10.0), 3);
        // bfloat16 has 8 bits: 1.501953125 is 1.5 first, and then a half.
        assert_eq!(magnitude(1.501_953_1, 3.0), 4);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let (output, input) = (Array2::zeros((3, 2)), Array2::zeros((4, 5)));
        let gradient = Gradient::Product { output: output.view(), input: input.view() };
        let expected = TernaryError::Length { what: "samples of the inputs", expected: 2, found: 4 };
        assert_eq!(Votes::collect(&gradient), Err(expected));
        assert!(Votes::new(2, 2, vec![0; 3]).is_err());
    }

    #[test]
    fn nobody_votes_without_samples() {
        let (output, input) = (Array2::zeros((3, 0)), Array2::zeros((0, 300)));
        let votes = Votes::collect(&Gradient::Product { output: output.view(), input: input.view() }).unwrap();
        assert_eq!(votes, Votes::new(3, 300, vec![0; 900]).unwrap());
    }

    proptest! {
        #[test]
        fn sign_votes_are_signs_of_sums(case in naive::case()) {
            let votes = Votes::collect(&case.gradient()).unwrap();
            prop_assert_eq!(votes.values(), case.naive_votes());
        }

        #[test]
        fn magnitude_votes_are_rounded_and_clipped(case in naive::case(), factor in 0.01f32..60.0) {
            let votes = Votes::collect(&MagnitudeVotes { gradient: case.gradient(), factor }).unwrap();
            // Sums of the case are integers below 2^8, which bfloat16 holds.
            let expected = case.naive_sums().into_iter().map(|d| {
                (f64::from(d as f32 * factor)).round_ties_even().clamp(-127.0, 127.0) as i8
            });
            prop_assert_eq!(votes.values(), expected.collect::<Vec<_>>());
        }

        /// However a source is asked, it says the same, and every weight comes once.
        #[test]
        fn stretches_cover_every_weight(case in naive::case(), first in 0.0f64..1.0) {
            let (rows, columns) = (case.state.shape().rows(), case.state.shape().columns());
            let group = case.state.shape().group().get();
            let first = (first * rows as f64) as usize;
            let whole = case.naive_votes();
            let mut seen = vec![0; (rows - first) * columns];
            let mut count = 0;
            case.gradient().visit(first..rows, group, &mut |row, column, votes| {
                assert_eq!(column % group, 0);
                count += votes.len();
                seen[row * columns + column..][..votes.len()].copy_from_slice(votes);
            });
            prop_assert_eq!(count, seen.len());
            prop_assert_eq!(&seen, &whole[first * columns..]);
        }
    }
}
