//! What votes do to a matrix on a card; [`crate::ternary`] has the definitions.
//!
//! Every update takes the votes as a matrix or makes them on the way ([`CardVotes`]), and leaves the same state.

use super::state::words;
use super::votes::launch_direct;
use super::{CardTernary, CardVotes, PrimitiveError, launch_each};
use crate::backend::cuda::CudaError;
use crate::backend::cuda::card::{Argument, Buffer, Card, arguments};
use crate::ternary::{FlipThreshold, Shape, TernaryError};
use trishift_kernels::cuda::DENSE;

impl CardTernary {
    /// `corr −= s·c`, `step += |c|`: one correlation update by votes that count `count` times.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the votes are about a matrix of another shape; [`CudaError`].
    pub fn update_correlation(&mut self, card: &Card, votes: CardVotes<'_>, count: i32) -> Result<(), PrimitiveError> {
        self.check_votes(&votes)?;
        let more = arguments![&self.trits, count, &self.corr];
        let names = ["dense_correlation", "direct_correlation"];
        launch(card, names, &self.shape, votes, self.shape.groups(), more)?;
        self.count(count);
        Ok(())
    }

    /// Counts votes as steps.
    pub(super) fn count(&mut self, count: i32) {
        self.step = self.step.saturating_add(i64::from(count.unsigned_abs()));
    }

    /// One exponent step; `threshold` τ is 1 or more.
    ///
    /// # Errors
    /// [`TernaryError::Threshold`], and [`TernaryError::Length`] where the votes are about a matrix of another shape;
    /// [`CudaError`].
    pub fn step_exponents(&mut self, card: &Card, votes: CardVotes<'_>, threshold: i32) -> Result<(), PrimitiveError> {
        if threshold < 1 {
            return Err(TernaryError::Threshold { threshold, smallest: 1 }.into());
        }
        self.move_exponents(card, votes, 1, threshold)
    }

    /// Adds votes that count `count` times to the accumulators of exponent steps, and leaves E.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the votes are about a matrix of another shape; [`CudaError`].
    pub fn accumulate_exponents(
        &mut self,
        card: &Card,
        votes: CardVotes<'_>,
        count: i32,
    ) -> Result<(), PrimitiveError> {
        self.move_exponents(card, votes, count, 0)
    }

    /// A threshold of 0 leaves E.
    fn move_exponents(
        &mut self,
        card: &Card,
        votes: CardVotes<'_>,
        count: i32,
        threshold: i32,
    ) -> Result<(), PrimitiveError> {
        self.check_votes(&votes)?;
        let accumulators = Argument::from(self.exponent_accumulators(card)?);
        let more = arguments![&self.trits, count, threshold, &self.exponents, accumulators];
        let names = ["dense_exponents", "direct_exponents"];
        launch(card, names, &self.shape, votes, self.shape.groups(), more)?;
        Ok(())
    }

    /// Adds votes that count `count` times to the accumulators of trit flips, and flips the trits whose accumulators
    /// then exceed the threshold.
    ///
    /// # Errors
    /// [`TernaryError::Threshold`], and [`TernaryError::Length`] where votes or thresholds do not fit the matrix;
    /// [`CudaError`].
    pub fn step_trits(
        &mut self,
        card: &Card,
        votes: CardVotes<'_>,
        count: i32,
        threshold: FlipThreshold<'_>,
    ) -> Result<(), PrimitiveError> {
        self.check_votes(&votes)?;
        let thresholds = Thresholds::upload(card, &self.shape, threshold)?;
        self.move_trits(card, Some(votes), count, &thresholds)
    }

    /// Adds votes that count `count` times to the accumulators of trit flips, and leaves T.
    ///
    /// # Errors
    /// [`TernaryError::Length`] where the votes are about a matrix of another shape; [`CudaError`].
    pub fn accumulate_trits(&mut self, card: &Card, votes: CardVotes<'_>, count: i32) -> Result<(), PrimitiveError> {
        self.check_votes(&votes)?;
        self.move_trits(card, Some(votes), count, &Thresholds::NONE)
    }

    /// Flips the trits whose accumulators exceed the threshold; no gradient is needed.
    ///
    /// # Errors
    /// [`TernaryError::Threshold`], and [`TernaryError::Length`] where the thresholds do not fit the matrix; [`CudaError`].
    pub fn apply_trits(&mut self, card: &Card, threshold: FlipThreshold<'_>) -> Result<(), PrimitiveError> {
        let thresholds = Thresholds::upload(card, &self.shape, threshold)?;
        self.move_trits(card, None, 0, &thresholds)
    }

    fn move_trits(
        &mut self,
        card: &Card,
        votes: Option<CardVotes<'_>>,
        count: i32,
        thresholds: &Thresholds,
    ) -> Result<(), PrimitiveError> {
        let accumulators = Argument::from(self.trit_accumulators(card)?);
        let Self { shape, trits, .. } = self;
        let more = arguments![count, thresholds.flat, thresholds.by_group.as_ref(), &*trits, accumulators];
        let work = shape.rows() * words(shape);
        match votes {
            Some(votes) => launch(card, ["dense_trits", "direct_trits"], shape, votes, work, more)?,
            None => launch_dense(card, "dense_trits", shape, None, work, more)?,
        }
        Ok(())
    }
}

/// Thresholds of flips as the kernels take them.
struct Thresholds {
    /// Below 0 where there are none.
    flat: i32,
    by_group: Option<Buffer<i8>>,
}

impl Thresholds {
    const NONE: Self = Self { flat: -1, by_group: None };

    fn upload(card: &Card, shape: &Shape, threshold: FlipThreshold<'_>) -> Result<Self, PrimitiveError> {
        threshold.check(shape)?;
        Ok(match threshold {
            FlipThreshold::Flat(flat) => Self { flat, by_group: None },
            FlipThreshold::PerGroup(values) => Self { flat: -1, by_group: Some(card.upload("thresholds", values)?) },
        })
    }
}

/// Launches the dense or the direct form of a kernel; `work` is what the dense one has a thread for each of, `more` are
/// the arguments after the group size.
fn launch(
    card: &Card,
    [dense, direct]: [&'static str; 2],
    shape: &Shape,
    votes: CardVotes<'_>,
    work: usize,
    more: &[Argument],
) -> Result<(), CudaError> {
    match votes {
        CardVotes::Matrix(votes) => launch_dense(card, dense, shape, Some(votes.values()), work, more),
        CardVotes::Direct { output_gradient, input } => {
            launch_direct(card, direct, shape, output_gradient, input, more)
        }
    }
}

fn launch_dense(
    card: &Card,
    name: &'static str,
    shape: &Shape,
    votes: Option<&Buffer<i8>>,
    work: usize,
    more: &[Argument],
) -> Result<(), CudaError> {
    let first = arguments![votes, shape.rows(), shape.columns(), shape.group().get()];
    launch_each(card, DENSE, name, work, &[first, more].concat())
}
