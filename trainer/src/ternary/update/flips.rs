//! Trit flips: a trit jumps to ±1 when enough votes agree, counted in an int8 per weight.
//!
//! - Accumulate, votes counting c times: `a = clamp8(a − v·c)`.
//! - Apply, threshold τ: where a > τ, T = 1 and a = 0; where a < −τ, T = −1 and a = 0.
//! - Step: both at once.
//!
//! τ is one number or one for each group; 0 is a threshold like any other: whatever leans, jumps. None of these counts
//! as a step of the correlation.

use super::{accumulators, clamp8};
use crate::rule::gradient::PANEL_ROWS;
use crate::ternary::votes::panel_rows;
use crate::ternary::{Shape, TernaryError, TernaryState, VoteSource};
use rayon::prelude::*;
use std::ops::Range;

/// τ: an accumulator whose magnitude exceeds it flips its trit. 0 or more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlipThreshold<'a> {
    /// The same for every weight.
    Flat(i32),
    /// One for each group, [N, R].
    PerGroup(&'a [i8]),
}

impl FlipThreshold<'_> {
    /// Checks that there are as many thresholds as `shape` needs, none below 0.
    ///
    /// # Errors
    /// [`TernaryError::Length`] and [`TernaryError::Threshold`].
    pub(crate) fn check(&self, shape: &Shape) -> Result<(), TernaryError> {
        let smallest = match self {
            Self::Flat(threshold) => *threshold,
            Self::PerGroup(thresholds) => {
                TernaryError::check("thresholds", shape.groups(), thresholds.len())?;
                thresholds.iter().copied().min().map_or(0, i32::from)
            }
        };
        if smallest < 0 {
            return Err(TernaryError::Threshold { threshold: smallest, smallest: 0 });
        }
        Ok(())
    }

    fn of(&self, group: usize) -> i32 {
        match self {
            Self::Flat(threshold) => *threshold,
            Self::PerGroup(thresholds) => i32::from(thresholds[group]),
        }
    }
}

/// The trits and accumulators of some rows.
struct Panel<'a> {
    rows: Range<usize>,
    trits: &'a mut [i8],
    accumulators: &'a mut [i8],
}

impl TernaryState {
    /// Adds votes that count `count` times to the accumulators of trit flips, and flips the trits whose accumulators
    /// then exceed the threshold.
    ///
    /// # Errors
    /// [`TernaryError::Threshold`], and [`TernaryError::Length`] where votes or thresholds do not fit the matrix.
    pub fn step_trits(
        &mut self,
        votes: &dyn VoteSource,
        count: i32,
        threshold: FlipThreshold<'_>,
    ) -> Result<(), TernaryError> {
        self.shape.check_votes(votes)?;
        threshold.check(&self.shape)?;
        self.for_each_panel(|shape, panel| {
            panel.accumulate(shape, votes, count);
            panel.apply(shape, threshold);
        });
        Ok(())
    }

    /// Adds votes that count `count` times to the accumulators of trit flips, and leaves T.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the votes are about a matrix of another shape.
    pub fn accumulate_trits(&mut self, votes: &dyn VoteSource, count: i32) -> Result<(), TernaryError> {
        self.shape.check_votes(votes)?;
        self.for_each_panel(|shape, panel| panel.accumulate(shape, votes, count));
        Ok(())
    }

    /// Flips the trits whose accumulators exceed the threshold; no gradient is needed.
    ///
    /// # Errors
    /// [`TernaryError::Threshold`], and [`TernaryError::Length`] where the thresholds do not fit the matrix.
    pub fn apply_trits(&mut self, threshold: FlipThreshold<'_>) -> Result<(), TernaryError> {
        threshold.check(&self.shape)?;
        self.for_each_panel(|shape, panel| panel.apply(shape, threshold));
        Ok(())
    }

    fn for_each_panel(&mut self, change: impl Fn(&Shape, &mut Panel<'_>) + Sync) {
        let Self { shape, trits, trit_accumulators, .. } = self;
        let columns = shape.columns();
        let accumulators = accumulators(trit_accumulators, shape.weights());
        let panels = trits.par_chunks_mut(PANEL_ROWS * columns).zip(accumulators.par_chunks_mut(PANEL_ROWS * columns));
        panels.enumerate().for_each(|(panel, (trits, accumulators))| {
            let rows = panel_rows(panel, trits.len() / columns);
            change(shape, &mut Panel { rows, trits, accumulators });
        });
    }
}

impl Panel<'_> {
    fn accumulate(&mut self, shape: &Shape, votes: &dyn VoteSource, count: i32) {
        votes.visit(self.rows.clone(), shape.group().get(), &mut |row, first, votes| {
            let accumulators = &mut self.accumulators[row * shape.columns() + first..][..votes.len()];
            for (accumulator, vote) in accumulators.iter_mut().zip(votes) {
                *accumulator = clamp8(i64::from(*accumulator) - i64::from(*vote) * i64::from(count));
            }
        });
    }

    fn apply(&mut self, shape: &Shape, threshold: FlipThreshold<'_>) {
        let (columns, size) = (shape.columns(), shape.group().get());
        let first = self.rows.start * shape.row_groups();
        let trits = self.trits.chunks_mut(columns).flat_map(|row| row.chunks_mut(size));
        let accumulators = self.accumulators.chunks_mut(columns).flat_map(|row| row.chunks_mut(size));
        for (group, (trits, accumulators)) in trits.zip(accumulators).enumerate() {
            let threshold = threshold.of(first + group);
            for (trit, accumulator) in trits.iter_mut().zip(accumulators) {
                let value = i32::from(*accumulator);
                // i32::MAX negated is in range.
                if value > threshold || value < -threshold {
                    (*trit, *accumulator) = (value.signum() as i8, 0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ternary::{Votes, naive};
    use proptest::prelude::*;
    use trishift_format::GroupSize;

    fn state() -> TernaryState {
        let shape = Shape::new(1, 6, GroupSize::new(4).unwrap()).unwrap();
        let state = TernaryState::new(shape, vec![0, 1, -1, 0, 1, 0], vec![0; 2]).unwrap();
        state.with_trit_accumulators(vec![1, -1, 0, 5, -6, -128]).unwrap()
    }

    #[test]
    fn stored_accumulators_flip_by_themselves() {
        let mut flat = state();
        flat.apply_trits(FlipThreshold::Flat(5)).unwrap();
        assert_eq!(flat.trits(), [0, 1, -1, 0, -1, -1]);
        assert_eq!(flat.trit_accumulators().unwrap(), [1, -1, 0, 5, 0, 0]);
        let mut by_group = state();
        by_group.apply_trits(FlipThreshold::PerGroup(&[0, 127])).unwrap();
        assert_eq!(by_group.trits(), [1, -1, -1, 1, 1, -1]);
        assert_eq!(by_group.trit_accumulators().unwrap(), [0, 0, 0, 0, -6, 0]);
        let mut never = state();
        never.apply_trits(FlipThreshold::Flat(i32::MAX)).unwrap();
        assert_eq!(never, state());
    }

    #[test]
    fn thresholds_that_cannot_be_used_are_refused() {
        let mut state = state();
        let error = |threshold| Err(TernaryError::Threshold { threshold, smallest: 0 });
        assert_eq!(state.apply_trits(FlipThreshold::Flat(-1)), error(-1));
        assert_eq!(state.apply_trits(FlipThreshold::PerGroup(&[3, -2])), error(-2));
        assert!(state.apply_trits(FlipThreshold::PerGroup(&[3])).is_err());
        assert_eq!(state, self::state());
    }

    proptest! {
        #[test]
        fn flips_follow_the_definition(
            case in naive::case(),
            count in -200i32..200,
            flat in 0i32..140,
            seed in proptest::option::of(0usize..100),
        ) {
            let shape = *case.state.shape();
            // Thresholds that differ from group to group.
            let by_group: Option<Vec<i8>> =
                seed.map(|seed| (0..shape.groups()).map(|group| ((group * 37 + seed) % 128) as i8).collect());
            let threshold = by_group.as_deref().map_or(FlipThreshold::Flat(flat), FlipThreshold::PerGroup);
            let dense = Votes::collect(&case.gradient()).unwrap();
            let (mut streamed, mut whole, mut apart) = (case.state.clone(), case.state.clone(), case.state.clone());
            streamed.step_trits(&case.gradient(), count, threshold).unwrap();
            whole.step_trits(&dense, count, threshold).unwrap();
            prop_assert_eq!(&streamed, &whole);
            apart.accumulate_trits(&case.gradient(), count).unwrap();
            prop_assert_eq!(apart.trits(), case.state.trits());
            let sums = apart.trit_accumulators().unwrap().to_vec();
            apart.apply_trits(threshold).unwrap();
            prop_assert_eq!(&apart, &streamed);

            for (weight, vote) in case.naive_votes().into_iter().enumerate() {
                let before = i128::from(case.state.trit_accumulators().unwrap()[weight]);
                let sum = (before - i128::from(vote) * i128::from(count)).clamp(-128, 127);
                prop_assert_eq!(i128::from(sums[weight]), sum);
                let limit = by_group.as_ref().map_or(flat, |by| by[naive::group_of(&shape, weight)].into());
                let expected = match sum {
                    sum if sum > limit.into() => (1, 0),
                    sum if sum < (-limit).into() => (-1, 0),
                    sum => (case.state.trits()[weight], sum as i8),
                };
                prop_assert_eq!((streamed.trits()[weight], streamed.trit_accumulators().unwrap()[weight]), expected);
            }
        }
    }
}
