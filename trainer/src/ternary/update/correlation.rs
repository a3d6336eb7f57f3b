//! The correlation update: `corr −= s·c`, `step += |c|`, with s = Σ v·T over a group.
//!
//! Both stop at the ends of int64.

use crate::rule::gradient::PANEL_ROWS;
use crate::ternary::votes::{panel_rows, visit_scores};
use crate::ternary::{TernaryError, TernaryState, VoteSource};
use rayon::prelude::*;

impl TernaryState {
    /// One correlation update by votes that count `count` times.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the votes are about a matrix of another shape.
    pub fn update_correlation(&mut self, votes: &dyn VoteSource, count: i32) -> Result<(), TernaryError> {
        self.shape.check_votes(votes)?;
        let Self { shape, trits, corr, .. } = self;
        let groups = shape.row_groups();
        let panels = corr.par_chunks_mut(PANEL_ROWS * groups).zip(trits.par_chunks(PANEL_ROWS * shape.columns()));
        panels.enumerate().for_each(|(panel, (corr, trits))| {
            let rows = panel_rows(panel, corr.len() / groups);
            visit_scores(votes, shape, rows, trits, &mut |group, score| {
                // |s·c| < 2^14·2^31.
                corr[group] = corr[group].saturating_sub(i64::from(score) * i64::from(count));
            });
        });
        self.step = self.step.saturating_add(i64::from(count.unsigned_abs()));
        Ok(())
    }

    /// The score s = Σ v·T of every group, [N, R].
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the votes are about a matrix of another shape.
    pub fn scores(&self, votes: &dyn VoteSource) -> Result<Vec<i32>, TernaryError> {
        self.shape.check_votes(votes)?;
        let groups = self.shape.row_groups();
        let mut scores = vec![0; self.shape.groups()];
        let trits = self.trits.par_chunks(PANEL_ROWS * self.shape.columns());
        scores.par_chunks_mut(PANEL_ROWS * groups).zip(trits).enumerate().for_each(|(panel, (scores, trits))| {
            let rows = panel_rows(panel, scores.len() / groups);
            visit_scores(votes, &self.shape, rows, trits, &mut |group, score| scores[group] = score);
        });
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ternary::{Shape, Votes, naive};
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    #[test]
    fn counters_stop_at_the_ends_of_int64() {
        let shape = Shape::new(2, 2, GroupSize::new(4).unwrap()).unwrap();
        let state = TernaryState::new(shape, vec![1, 1, -1, -1], vec![0, 0]).unwrap();
        let mut state = state.with_correlation(vec![i64::MIN + 1, i64::MAX - 1], i64::MAX - 1).unwrap();
        let votes = Votes::new(2, 2, vec![1; 4]).unwrap();
        state.update_correlation(&votes, i32::MAX).unwrap();
        assert_eq!((state.corr(), state.step()), ([i64::MIN, i64::MAX].as_slice(), i64::MAX));
        state.update_correlation(&votes, i32::MIN).unwrap();
        assert_eq!(state.corr()[0], i64::MIN + (2 << 31));
        assert_eq!(state.step(), i64::MAX);
    }

    #[test]
    fn votes_on_another_shape_change_nothing() {
        let mut state = TernaryState::ones(Shape::new(2, 3, GroupSize::new(4).unwrap()).unwrap());
        let before = state.clone();
        for (rows, columns) in [(3, 2), (1, 3), (2, 2)] {
            let votes = Votes::new(rows, columns, vec![1; rows * columns]).unwrap();
            assert!(matches!(state.update_correlation(&votes, 1), Err(TernaryError::Length { .. })));
        }
        assert_eq!(state, before);
    }

    proptest! {
        #[test]
        fn updates_follow_the_definition(case in naive::case(), count in -5i32..=5) {
            let mut streamed = case.state.clone();
            streamed.update_correlation(&case.gradient(), count).unwrap();
            let mut dense = case.state.clone();
            dense.update_correlation(&Votes::collect(&case.gradient()).unwrap(), count).unwrap();
            prop_assert_eq!(&dense, &streamed);

            let limit = |value: i128| value.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
            let scores = case.naive_scores();
            let corr = case.state.corr().iter().zip(&scores);
            let corr: Vec<i64> =
                corr.map(|(corr, s)| limit(i128::from(*corr) - i128::from(*s) * i128::from(count))).collect();
            let step = limit(i128::from(case.state.step()) + i128::from(count).abs());
            prop_assert_eq!(streamed.scores(&case.gradient()).unwrap(), scores.iter().map(|s| *s as i32).collect::<Vec<_>>());
            prop_assert_eq!(streamed, case.state.with_correlation(corr, step).unwrap());
        }
    }
}
