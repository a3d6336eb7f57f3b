//! Matrix products by panels of rows, in parallel.

use crate::network::Stage;
use crate::rule::LayerState;
use crate::rule::gradient::PANEL_ROWS;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, Axis, Slice};
use rayon::prelude::*;

/// Writes the layer's weights of the forward pass to `weights`, [rows, columns].
pub(super) fn expand_weights(layer: &dyn LayerState, stage: &Stage, weights: &mut Array2<f32>) {
    resize(weights, stage.rows, stage.columns);
    let Some(weights) = weights.as_slice_mut() else { return };
    weights.par_chunks_mut(PANEL_ROWS * stage.columns).enumerate().for_each(|(panel, weights)| {
        layer.weights(panel * PANEL_ROWS, weights);
    });
}

/// `result = left·right` with left [rows, inner] and right [inner, batch].
pub(super) fn multiply_panels(left: &Array2<f32>, right: ArrayView2<'_, f32>, result: &mut Array2<f32>) {
    resize(result, left.nrows(), right.ncols());
    multiply(left.view(), right, result);
}

/// `result = leftᵀ·right` with left [inner, rows] and right [inner, batch].
pub(super) fn multiply_transposed(left: &Array2<f32>, right: &Array2<f32>, result: &mut Array2<f32>) {
    resize(result, left.ncols(), right.ncols());
    multiply(left.t(), right.view(), result);
}

fn multiply(left: ArrayView2<'_, f32>, right: ArrayView2<'_, f32>, result: &mut Array2<f32>) {
    let batch = right.ncols();
    let Some(result) = result.as_slice_mut() else { return };
    result.par_chunks_mut(PANEL_ROWS * batch.max(1)).enumerate().for_each(|(panel, result)| {
        let first = panel * PANEL_ROWS;
        let rows = result.len() / batch.max(1);
        // The chunk is rows × batch by construction.
        if let Ok(mut result) = ArrayViewMut2::from_shape((rows, batch), result) {
            general_mat_mul(1.0, &left.slice_axis(Axis(0), Slice::from(first..first + rows)), &right, 0.0, &mut result);
        }
    });
}

/// Gives a matrix this shape; its contents are then anything.
pub(super) fn resize(matrix: &mut Array2<f32>, rows: usize, columns: usize) {
    if matrix.dim() != (rows, columns) {
        *matrix = Array2::zeros((rows, columns));
    }
}
