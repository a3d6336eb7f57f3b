//! From accumulators to int8 activations, in floats that hold integers, with the derivative for the way back.
//!
//! Values are in output steps. Rounding is ⌊y + ½⌋, saturation at ±int8, ReLU the lower clamp: what the runtime computes.
//! The gradient passes where 0 < y < 127.5 with ReLU, −128.5 < y < 127.5 without.

use super::product::resize;
use ndarray::Array2;
use rayon::prelude::*;

/// Elements that one task takes.
const CHUNK: usize = 1 << 13;

/// Shape of the nonlinearity.
#[derive(Clone, Copy, Debug)]
pub(super) struct Activation {
    /// Lower clamp at 0.
    pub(super) relu: bool,
}

impl Activation {
    /// Rounds and saturates `values` in place; `gain` receives 1 where the gradient passes, 0 elsewhere.
    pub(super) fn requantize(self, values: &mut Array2<f32>, gain: &mut Array2<f32>) {
        let (rows, batch) = values.dim();
        resize(gain, rows, batch);
        self.apply(values, gain, &vec![1.0; batch]);
    }

    /// Shift norm of every column (sample) of `values`, in place; `gain` receives the sample's power of two where the
    /// gradient passes, 0 elsewhere.
    pub(super) fn shift_norm(self, values: &mut Array2<f32>, gain: &mut Array2<f32>) {
        let (rows, batch) = values.dim();
        resize(gain, rows, batch);
        let scales: Vec<f32> = magnitudes(values).into_iter().map(|sum| norm_scale(sum, rows)).collect();
        self.apply(values, gain, &scales);
    }

    /// Multiplies each column by its scale, then rounds and saturates.
    fn apply(self, values: &mut Array2<f32>, gain: &mut Array2<f32>, scales: &[f32]) {
        let lowest = if self.relu { 0.0 } else { -128.0 };
        let pass_above = if self.relu { 0.0 } else { -128.5 };
        let batch = scales.len().max(1);
        let chunk = (CHUNK / batch).max(1) * batch;
        let (Some(values), Some(gain)) = (values.as_slice_mut(), gain.as_slice_mut()) else { return };
        values.par_chunks_mut(chunk).zip(gain.par_chunks_mut(chunk)).for_each(|(values, gain)| {
            for (values, gain) in values.chunks_mut(batch).zip(gain.chunks_mut(batch)) {
                for ((value, gain), scale) in values.iter_mut().zip(gain).zip(scales) {
                    let y = *value * scale;
                    *gain = if pass_above < y && y < 127.5 { *scale } else { 0.0 };
                    *value = floor((y + 0.5).clamp(lowest, 127.0));
                }
            }
        });
    }
}

/// ⌊value⌋ for |value| ≤ 2^22, without a library call: adding 1.5·2^23 rounds to the nearest integer, which is at most
/// one too large.
#[inline(always)]
fn floor(value: f32) -> f32 {
    const MAGIC: f32 = 12_582_912.0;
    let nearest = (value + MAGIC) - MAGIC;
    if nearest > value { nearest - 1.0 } else { nearest }
}

/// Σ|value| of every column; exact, because sums of float32 multiples of one power of two fit f64.
fn magnitudes(values: &Array2<f32>) -> Vec<f64> {
    let mut sums = vec![0.0; values.ncols()];
    for row in values.rows() {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += f64::from(value.abs());
        }
    }
    sums
}

/// The largest power of two that brings the sum of `length` magnitudes to at most 27·length; 1 for a sum of 0.
fn norm_scale(sum: f64, length: usize) -> f32 {
    if sum <= 0.0 || !sum.is_finite() {
        return 1.0;
    }
    let target = 27.0 * length as f64;
    let exponent = |value: f64| (value.to_bits() >> 52) as i32 - 1023;
    let estimate = exponent(target) - exponent(sum);
    // Products with powers of two are exact.
    let fits = sum * 2f64.powi(estimate) <= target;
    2f32.powi(if fits { estimate } else { estimate - 1 })
}

/// gradient ∘ gain, in place.
pub(super) fn apply_gain(gradient: &mut Array2<f32>, gain: &Array2<f32>) {
    if let (Some(gradient), Some(gain)) = (gradient.as_slice_mut(), gain.as_slice()) {
        for (gradient, gain) in gradient.iter_mut().zip(gain) {
            *gradient *= gain;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_round_up_and_gradients_pass_inside() {
        let mut values = ndarray::array![[0.5, -0.5, 127.4, 127.5, -129.0, 0.2, -0.2]];
        let mut gain = Array2::zeros((0, 0));
        Activation { relu: false }.requantize(&mut values, &mut gain);
        assert_eq!(values, ndarray::array![[1.0, 0.0, 127.0, 127.0, -128.0, 0.0, 0.0]]);
        assert_eq!(gain, ndarray::array![[1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]]);
        let mut values = ndarray::array![[0.0, 0.2, -3.0]];
        Activation { relu: true }.requantize(&mut values, &mut gain);
        assert_eq!((values, gain), (ndarray::array![[0.0, 0.0, 0.0]], ndarray::array![[0.0, 1.0, 0.0]]));
    }

    proptest! {
        #[test]
        fn the_norm_equals_the_runtimes(sample in proptest::collection::vec(-40_000i32..40_000, 1..60), exponent in -12i32..3) {
            let mut expected = vec![0i8; sample.len()];
            trishift_kernels::shift_norm::shift_norm(&sample, sample.len(), true, &mut expected);
            let unit = 2f32.powi(exponent);
            let mut values = Array2::from_shape_fn((sample.len(), 1), |(row, _)| sample[row] as f32 * unit);
            let mut gain = Array2::zeros((0, 0));
            Activation { relu: true }.shift_norm(&mut values, &mut gain);
            let found: Vec<i8> = values.iter().map(|value| *value as i8).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
