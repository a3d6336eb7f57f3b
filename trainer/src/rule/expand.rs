//! From trits and scales to the floats of a forward pass.

use crate::network::Stage;

/// Writes W = T·scale for as many rows as `weights` holds, from `first_row` on. `trits` is [rows, columns]; `scale` gives
/// the scale of a group by its number in [rows, groups].
pub(super) fn expand(stage: &Stage, first_row: usize, trits: &[i8], weights: &mut [f32], scale: impl Fn(usize) -> f32) {
    let (columns, groups, group) = (stage.columns, stage.groups(), stage.group.get());
    let rows = weights.chunks_mut(columns).zip(trits.chunks(columns).skip(first_row));
    for (row, (weights, trits)) in (first_row..).zip(rows) {
        for (index, (weights, trits)) in (row * groups..).zip(weights.chunks_mut(group).zip(trits.chunks(group))) {
            let scale = scale(index);
            for (weight, trit) in weights.iter_mut().zip(trits) {
                *weight = f32::from(*trit) * scale;
            }
        }
    }
}
