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
