//! Sign votes and group scores, row by row, from panels of the gradient that nobody stores.

use super::gradient::{Gradient, PANEL_ROWS, with_buffer};
use crate::network::Stage;
use rayon::prelude::*;

/// sgn(d): −1, 0 or 1.
#[inline(always)]
pub(super) fn sign(gradient: f32) -> i32 {
    i32::from(gradient > 0.0) - i32::from(gradient < 0.0)
}

/// Score of a group: Σ sgn(D)·T.
pub(super) fn score(gradient: &[f32], trits: &[i8]) -> i64 {
    gradient.iter().zip(trits).map(|(d, trit)| i64::from(sign(*d) * i32::from(*trit))).sum()
}

/// Adds `vote(d)·T` of a gradient, [rows, columns], to the scores of groups, [rows, groups].
pub(super) fn add_scores<D: Copy + Sync>(
    stage: &Stage,
    trits: &[i8],
    gradient: &[D],
    scores: &mut [i32],
    vote: impl Fn(D) -> i32 + Sync,
) {
    let (columns, groups, group) = (stage.columns, stage.groups(), stage.group.get());
    let rows = scores.par_chunks_mut(groups).zip(trits.par_chunks(columns)).zip(gradient.par_chunks(columns));
    rows.for_each(|((scores, trits), gradient)| {
        for ((score, trits), gradient) in scores.iter_mut().zip(trits.chunks(group)).zip(gradient.chunks(group)) {
            *score += trits.iter().zip(gradient).map(|(trit, d)| i32::from(*trit) * vote(*d)).sum::<i32>();
        }
    });
}

/// Adds the sign votes of a gradient to the scores of groups, [rows, groups].
pub(super) fn add_sign_scores(stage: &Stage, trits: &[i8], gradient: &Gradient<'_>, scores: &mut [i32]) {
    add_scores(stage, trits, &whole(stage, gradient), scores, sign);
}

/// A gradient whole, [rows, columns], in float32.
pub(super) fn whole(stage: &Stage, gradient: &Gradient<'_>) -> Vec<f32> {
    let mut values = vec![0.0; stage.weights()];
    values.par_chunks_mut(PANEL_ROWS * stage.columns).enumerate().for_each(|(panel, values)| {
        let first = panel * PANEL_ROWS;
        gradient.panel(first..first + values.len() / stage.columns, values);
    });
    values
}

/// Calls `f(row of per-weight state, row of per-group state, row of D)` for every row, in parallel.
pub(super) fn for_each_row<W: Send, G: Send>(
    stage: &Stage,
    gradient: &Gradient<'_>,
    per_weight: &mut [W],
    per_group: &mut [G],
    f: impl Fn(&mut [W], &mut [G], &[f32]) + Sync,
) {
    let (columns, groups) = (stage.columns, stage.groups());
    let weights = per_weight.par_chunks_mut(PANEL_ROWS * columns);
    let panels = weights.zip(per_group.par_chunks_mut(PANEL_ROWS * groups)).enumerate();
    panels.for_each(|(panel, (weights, state))| {
        let first = panel * PANEL_ROWS;
        with_buffer(weights.len(), |buffer| {
            gradient.panel(first..first + weights.len() / columns, buffer);
            let rows = weights.chunks_mut(columns).zip(state.chunks_mut(groups)).zip(buffer.chunks(columns));
            for ((weights, state), gradient) in rows {
                f(weights, state, gradient);
            }
        });
    });
}
