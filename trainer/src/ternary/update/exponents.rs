//! Exponent stepping: exponents move one up or down when enough votes agree, counted in an int8 per group.
//!
//! - Step, threshold τ: `d = −sgn(s)`, `a = clamp8(a + d)`; where a ≥ τ, E moves up and a −= τ; where a ≤ −τ, E moves
//!   down and a += τ. At most one move an update, decided by the accumulator alone: also where s is 0, also where
//!   |a| ≥ 2τ. E stays within int8, and an E that is at its end still costs τ.
//! - Accumulate: `a = clamp8(a + d·c)`, and E stays.
//!
//! Neither counts as a step of the correlation.

use super::{accumulators, clamp8};
use crate::rule::gradient::PANEL_ROWS;
use crate::ternary::votes::{panel_rows, visit_scores};
use crate::ternary::{TernaryError, TernaryState, VoteSource};
use rayon::prelude::*;

impl TernaryState {
    /// One exponent step; `threshold` τ is 1 or more.
    ///
    /// # Errors
    /// [`TernaryError::Threshold`], and [`TernaryError::Length`] where the votes are about a matrix of another shape.
    pub fn step_exponents(&mut self, votes: &dyn VoteSource, threshold: i32) -> Result<(), TernaryError> {
        if threshold < 1 {
            return Err(TernaryError::Threshold { threshold, smallest: 1 });
        }
        self.for_each_exponent(votes, |exponent, accumulator, direction| {
            let moved = i32::from(clamp8(i64::from(*accumulator) + direction));
            let step = i32::from(moved >= threshold) - i32::from(moved <= -threshold);
            *exponent = exponent.saturating_add(step as i8);
            // Within int8: nearer to 0 than `moved`, or no farther.
            *accumulator = (moved - step * threshold) as i8;
        })
    }

    /// Adds votes that count `count` times to the accumulators of exponent steps, and leaves E.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the votes are about a matrix of another shape.
    pub fn accumulate_exponents(&mut self, votes: &dyn VoteSource, count: i32) -> Result<(), TernaryError> {
        self.for_each_exponent(votes, |_, accumulator, direction| {
            *accumulator = clamp8(i64::from(*accumulator) + direction * i64::from(count));
        })
    }

    /// Calls `change(E, a, d)` for every group.
    fn for_each_exponent(
        &mut self,
        votes: &dyn VoteSource,
        change: impl Fn(&mut i8, &mut i8, i64) + Sync,
    ) -> Result<(), TernaryError> {
        self.shape.check_votes(votes)?;
        let Self { shape, trits, exponents, exponent_accumulators, .. } = self;
        let groups = shape.row_groups();
        let accumulators = accumulators(exponent_accumulators, shape.groups());
        let panels =
            exponents.par_chunks_mut(PANEL_ROWS * groups).zip(accumulators.par_chunks_mut(PANEL_ROWS * groups));
        let panels = panels.zip(trits.par_chunks(PANEL_ROWS * shape.columns()));
        panels.enumerate().for_each(|(panel, ((exponents, accumulators), trits))| {
            let rows = panel_rows(panel, exponents.len() / groups);
            visit_scores(votes, shape, rows, trits, &mut |group, score| {
                change(&mut exponents[group], &mut accumulators[group], -i64::from(score.signum()));
            });
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ternary::{Shape, Votes, naive};
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    #[test]
    fn accumulators_alone_decide() {
        let shape = Shape::new(5, 1, GroupSize::new(4).unwrap()).unwrap();
        let state = TernaryState::new(shape, vec![1, 1, 1, 1, 0], vec![0, 127, -128, 0, 0]).unwrap();
        let mut state = state.with_exponent_accumulators(vec![9, 9, -9, -128, -4]).unwrap();
        // Scores 0, −1, 1, 1, 0: one move where two would fit, τ taken at the ends too.
        let votes = Votes::new(5, 1, vec![0, -1, 1, 1, 1]).unwrap();
        state.step_exponents(&votes, 4).unwrap();
        assert_eq!(state.exponents(), [1, 127, -128, -1, -1]);
        assert_eq!(state.exponent_accumulators().unwrap(), [5, 6, -6, -124, 0]);
        assert_eq!(state.step(), 0);
    }

    #[test]
    fn thresholds_begin_at_one_and_need_no_end() {
        let shape = Shape::new(1, 1, GroupSize::new(4).unwrap()).unwrap();
        let mut state = TernaryState::ones(shape);
        let votes = Votes::new(1, 1, vec![1]).unwrap();
        for threshold in [0, -3] {
            let error = TernaryError::Threshold { threshold, smallest: 1 };
            assert_eq!(state.step_exponents(&votes, threshold), Err(error));
        }
        assert_eq!(state, TernaryState::ones(shape));
        for _ in 0..200 {
            state.step_exponents(&votes, i32::MAX).unwrap();
        }
        assert_eq!((state.exponents(), state.exponent_accumulators()), ([0].as_slice(), Some([-128].as_slice())));
    }

    proptest! {
        #[test]
        fn steps_follow_the_definition(case in naive::case(), threshold in 1i32..140, count in -9i32..9) {
            let dense = Votes::collect(&case.gradient()).unwrap();
            let (mut streamed, mut whole) = (case.state.clone(), case.state.clone());
            streamed.step_exponents(&case.gradient(), threshold).unwrap();
            whole.step_exponents(&dense, threshold).unwrap();
            prop_assert_eq!(&streamed, &whole);
            let (mut sums, mut whole_sums) = (case.state.clone(), case.state.clone());
            sums.accumulate_exponents(&case.gradient(), count).unwrap();
            whole_sums.accumulate_exponents(&dense, count).unwrap();
            prop_assert_eq!(&sums, &whole_sums);

            let clamp8 = |value: i128| value.clamp(-128, 127);
            for (group, score) in case.naive_scores().into_iter().enumerate() {
                let exponent = i128::from(case.state.exponents()[group]);
                let accumulator = i128::from(case.state.exponent_accumulators().unwrap()[group]);
                let direction = -i128::from(score.signum());
                let mut moved = (exponent, clamp8(accumulator + direction));
                if moved.1 >= threshold.into() {
                    moved = (clamp8(exponent + 1), moved.1 - i128::from(threshold));
                } else if moved.1 <= (-threshold).into() {
                    moved = (clamp8(exponent - 1), moved.1 + i128::from(threshold));
                }
                let found = (streamed.exponents()[group], streamed.exponent_accumulators().unwrap()[group]);
                prop_assert_eq!((i128::from(found.0), i128::from(found.1)), moved);
                let sum = clamp8(accumulator + direction * i128::from(count));
                prop_assert_eq!(i128::from(sums.exponent_accumulators().unwrap()[group]), sum);
            }
            prop_assert_eq!(sums.exponents(), case.state.exponents());
        }

        #[test]
        fn absent_accumulators_are_zeros(case in naive::case()) {
            let shape = *case.state.shape();
            let fresh = TernaryState::new(shape, case.state.trits().to_vec(), case.state.exponents().to_vec()).unwrap();
            let mut absent = fresh.clone();
            let mut zeros = fresh.with_exponent_accumulators(vec![0; shape.groups()]).unwrap();
            absent.step_exponents(&case.gradient(), 1).unwrap();
            zeros.step_exponents(&case.gradient(), 1).unwrap();
            prop_assert_eq!(absent, zeros);
        }
    }
}
