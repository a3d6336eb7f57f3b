//! From accumulators to activations, in floats, with the derivative for the way back.
//!
//! Values are in output steps, feature after feature: [features, batch]. int8 activations are floats that hold integers:
//! rounding is ⌊y + ½⌋, saturation at ±int8, ReLU the lower clamp: what the runtime computes. Their gradient passes where
//! 0 < y < 127.5 with ReLU, −128.5 < y < 127.5 without. Float activations are not rounded and know no saturation.

use super::product::resize;
use crate::config::Activations;
use crate::network::{ACTIVATION_EXPONENT, StageOutput};
use crate::rule::power_of_two;
use ndarray::Array2;
use rayon::prelude::*;

/// Elements that one task takes.
const CHUNK: usize = 1 << 13;

/// Evaluates an expression with the nonlinearity of these activations: once for each kind, so that loops know theirs.
macro_rules! nonlinear {
    ($activations:expr, $relu:expr, |$function:ident| $body:expr) => {
        match $activations {
            $crate::config::Activations::Int8 => {
                let $function = $crate::backend::cpu::activation::Rounding::new($relu);
                $body
            }
            $crate::config::Activations::Float => {
                let $function = $crate::backend::cpu::activation::Continuous { relu: $relu };
                $body
            }
        }
    };
}
pub(super) use nonlinear;

/// What makes one stage's activations, and what its backward pass needs of the forward pass.
#[derive(Debug, Default)]
pub(super) struct Activation {
    /// Derivative of each output with respect to its scaled accumulator, [features, batch].
    gain: Array2<f32>,
    /// RMS norm: the outputs before rounding and ReLU, [features, batch].
    normalized: Array2<f32>,
    /// RMS norm: what each sample was multiplied by.
    scales: Vec<f32>,
}

impl Activation {
    /// Bytes kept for the backward pass.
    pub(super) fn bytes(&self) -> usize {
        (self.gain.len() + self.normalized.len() + self.scales.len()) * size_of::<f32>()
    }

    /// Turns the accumulators `values` into activations, in place.
    pub(super) fn forward(&mut self, output: StageOutput, activations: Activations, values: &mut Array2<f32>) {
        let (rows, batch) = values.dim();
        let apply = |gain: &mut Array2<f32>, values: &mut Array2<f32>, scales: &[f32], relu| {
            resize(gain, rows, batch);
            nonlinear!(activations, relu, |function| scale_and(function, values, gain, scales))
        };
        match output {
            StageOutput::Logits => {}
            StageOutput::Requantized { relu } => apply(&mut self.gain, values, &vec![1.0; batch], relu),
            StageOutput::ShiftNorm { relu } => {
                let scales: Vec<f32> = magnitudes(values).into_iter().map(|sum| shift_scale(sum, rows)).collect();
                apply(&mut self.gain, values, &scales, relu);
            }
            StageOutput::RmsNorm { relu } => {
                self.scales = squares(values).into_iter().map(|sum| rms_scale(sum, rows)).collect();
                multiply_columns(values, &self.scales);
                resize(&mut self.normalized, rows, batch);
                self.normalized.assign(values);
                apply(&mut self.gain, values, &vec![1.0; batch], relu);
            }
        }
    }

    /// Turns the gradient with respect to the activations into the one with respect to the accumulators, in place.
    pub(super) fn backward(&self, output: StageOutput, gradient: &mut Array2<f32>) {
        if output == StageOutput::Logits {
            return;
        }
        if let (Some(gradient), Some(gain)) = (gradient.as_slice_mut(), self.gain.as_slice()) {
            for (gradient, gain) in gradient.iter_mut().zip(gain) {
                *gradient *= gain;
            }
        }
        if matches!(output, StageOutput::RmsNorm { .. }) {
            self.project(gradient);
        }
    }

    /// (g − x̂·mean(x̂·g))·scale for every sample, x̂ the normalised values with a mean square of 1.
    fn project(&self, gradient: &mut Array2<f32>) {
        let (rows, batch) = gradient.dim();
        let mut products = vec![0f64; batch];
        for (gradient, normalized) in gradient.rows().into_iter().zip(self.normalized.rows()) {
            for ((product, gradient), y) in products.iter_mut().zip(gradient).zip(normalized) {
                *product += f64::from(*gradient) * f64::from(*y);
            }
        }
        let squared_target = f64::from(rms_target()).powi(2) * rows as f64;
        let means: Vec<f32> = products.iter().map(|product| (product / squared_target) as f32).collect();
        for (gradient, normalized) in gradient.rows_mut().into_iter().zip(self.normalized.rows()) {
            let samples = gradient.into_iter().zip(normalized).zip(&means).zip(&self.scales);
            for (((gradient, y), mean), scale) in samples {
                *gradient = (*gradient - y * mean) * scale;
            }
        }
    }
}

/// What becomes of a scaled accumulator: the activation, and whether the gradient passes.
pub(super) trait Nonlinearity: Copy + Sync {
    fn apply(self, y: f32) -> (f32, bool);
}

/// int8: rounded and saturated.
#[derive(Clone, Copy)]
pub(super) struct Rounding {
    lowest: f32,
    pass_above: f32,
}

impl Rounding {
    pub(super) fn new(relu: bool) -> Self {
        if relu { Self { lowest: 0.0, pass_above: 0.0 } } else { Self { lowest: -128.0, pass_above: -128.5 } }
    }
}

impl Nonlinearity for Rounding {
    #[inline(always)]
    fn apply(self, y: f32) -> (f32, bool) {
        (floor((y + 0.5).clamp(self.lowest, 127.0)), self.pass_above < y && y < 127.5)
    }
}

/// Float: as it is.
#[derive(Clone, Copy)]
pub(super) struct Continuous {
    pub(super) relu: bool,
}

impl Nonlinearity for Continuous {
    #[inline(always)]
    fn apply(self, y: f32) -> (f32, bool) {
        let passes = !self.relu || y > 0.0;
        (if passes { y } else { 0.0 }, passes)
    }
}

/// Multiplies each column by its scale and applies the nonlinearity, in place; `gain` receives the scale where the
/// gradient passes, 0 elsewhere.
fn scale_and(function: impl Nonlinearity, values: &mut Array2<f32>, gain: &mut Array2<f32>, scales: &[f32]) {
    let batch = scales.len().max(1);
    let chunk = (CHUNK / batch).max(1) * batch;
    let (Some(values), Some(gain)) = (values.as_slice_mut(), gain.as_slice_mut()) else { return };
    values.par_chunks_mut(chunk).zip(gain.par_chunks_mut(chunk)).for_each(|(values, gain)| {
        for (values, gain) in values.chunks_mut(batch).zip(gain.chunks_mut(batch)) {
            for ((value, gain), scale) in values.iter_mut().zip(gain).zip(scales) {
                let (activation, passes) = function.apply(*value * scale);
                *gain = if passes { *scale } else { 0.0 };
                *value = activation;
            }
        }
    });
}

fn multiply_columns(values: &mut Array2<f32>, scales: &[f32]) {
    for row in values.rows_mut() {
        row.into_iter().zip(scales).for_each(|(value, scale)| *value *= scale);
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
    sum_columns(values, |value| value.abs())
}

/// Σ value² of every column.
fn squares(values: &Array2<f32>) -> Vec<f64> {
    sum_columns(values, |value| value * value)
}

fn sum_columns(values: &Array2<f32>, term: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut sums = vec![0.0; values.ncols()];
    for row in values.rows() {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += term(f64::from(*value));
        }
    }
    sums
}

/// Root mean square of an RMS norm's outputs, in output steps: 1.
fn rms_target() -> f32 {
    power_of_two(-ACTIVATION_EXPONENT)
}

/// What brings `length` values with this sum of squares to the target root mean square; 0 for a sum of 0.
fn rms_scale(sum: f64, length: usize) -> f32 {
    if sum > 0.0 { (f64::from(rms_target()) * (length as f64 / sum).sqrt()) as f32 } else { 0.0 }
}

/// The largest power of two that brings the sum of `length` magnitudes to at most 27·length; 1 for a sum of 0.
fn shift_scale(sum: f64, length: usize) -> f32 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INT8: Activations = Activations::Int8;

    fn column(values: Vec<f32>) -> Array2<f32> {
        Array2::from_shape_vec((values.len(), 1), values).unwrap()
    }

    #[test]
    fn halves_round_up_and_gradients_pass_inside() {
        let mut activation = Activation::default();
        let mut values = ndarray::array![[0.5, -0.5, 127.4, 127.5, -129.0, 0.2, -0.2]];
        activation.forward(StageOutput::Requantized { relu: false }, INT8, &mut values);
        assert_eq!(values, ndarray::array![[1.0, 0.0, 127.0, 127.0, -128.0, 0.0, 0.0]]);
        assert_eq!(activation.gain, ndarray::array![[1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]]);
        let mut values = ndarray::array![[0.0, 0.2, -3.0]];
        activation.forward(StageOutput::Requantized { relu: true }, INT8, &mut values);
        assert_eq!((&values, &activation.gain), (&ndarray::array![[0.0; 3]], &ndarray::array![[0.0, 1.0, 0.0]]));
        let mut values = ndarray::array![[0.25, 900.0, -3.0]];
        activation.forward(StageOutput::Requantized { relu: true }, Activations::Float, &mut values);
        assert_eq!(values, ndarray::array![[0.25, 900.0, 0.0]]);
        assert_eq!(activation.gain, ndarray::array![[1.0, 1.0, 0.0]]);
    }

    proptest! {
        #[test]
        fn the_shift_norm_equals_the_runtimes(
            sample in proptest::collection::vec(-40_000i32..40_000, 1..60),
            exponent in -12i32..3,
        ) {
            let mut expected = vec![0i8; sample.len()];
            trishift_kernels::shift_norm::shift_norm(&sample, sample.len(), true, &mut expected);
            let unit = 2f32.powi(exponent);
            let mut values = column(sample.iter().map(|value| *value as f32 * unit).collect());
            Activation::default().forward(StageOutput::ShiftNorm { relu: true }, INT8, &mut values);
            let found: Vec<i8> = values.iter().map(|value| *value as i8).collect();
            prop_assert_eq!(found, expected);
        }

        /// The gradient of an RMS norm is its derivative: against differences of Σ g·y in f64.
        #[test]
        fn rms_gradients_are_derivatives(
            samples in proptest::collection::vec((-9.0f32..9.0, -1.0f32..1.0), 2..20),
            relu: bool,
        ) {
            let output = StageOutput::RmsNorm { relu };
            let (x, g): (Vec<f32>, Vec<f32>) = samples.into_iter().unzip();
            prop_assume!(x.iter().map(|x| x * x).sum::<f32>() > 1.0 && x.iter().all(|x| x.abs() > 1e-2));
            let loss = |x: &[f64]| {
                let rms = (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64).sqrt();
                let y = x.iter().map(|x| 32.0 * x / rms).map(|y| if relu { y.max(0.0) } else { y });
                y.zip(&g).map(|(y, g)| y * f64::from(*g)).sum::<f64>()
            };
            let mut activation = Activation::default();
            activation.forward(output, Activations::Float, &mut column(x.clone()));
            let mut gradient = column(g.clone());
            activation.backward(output, &mut gradient);
            let x: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
            for (index, found) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut x = x.clone();
                    x[index] += by;
                    loss(&x)
                };
                let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                prop_assert!((f64::from(*found) - expected).abs() <= 1e-3 * (1.0 + expected.abs()), "{} {}", found, expected);
            }
        }
    }

    #[test]
    fn a_sample_of_zeros_has_no_rms_and_gives_zeros() {
        let mut values = ndarray::array![[0.0, 3.0], [0.0, -4.0]];
        let mut activation = Activation::default();
        activation.forward(StageOutput::RmsNorm { relu: false }, INT8, &mut values);
        // 3/√12.5 and −4/√12.5 in steps of 1/32.
        assert_eq!(values, ndarray::array![[0.0, 27.0], [0.0, -36.0]]);
        let mut gradient = Array2::ones((2, 2));
        activation.backward(StageOutput::RmsNorm { relu: false }, &mut gradient);
        assert_eq!(gradient.column(0), ndarray::aview1(&[0.0, 0.0]));
    }
}
