//! The losses of the logits and their gradients.

use super::product::resize;
use crate::checkpoint::Totals;
use crate::config::Loss;
use crate::network::ACTIVATION_EXPONENT;
use crate::rule::power_of_two;
use ndarray::{Array2, ArrayView1, ArrayViewMut1};

/// Mean loss over the batch: sums it into totals and writes its gradient with respect to the logits' steps.
///
/// `logits` and `gradient` are [classes, batch], in output steps; one step is 2^−5.
pub(super) fn loss(kind: Loss, logits: &Array2<f32>, labels: &[u16], gradient: &mut Array2<f32>) -> Totals {
    let (classes, batch) = logits.dim();
    resize(gradient, classes, batch);
    let weight = power_of_two(ACTIVATION_EXPONENT) / batch as f32;
    let mut totals = Totals { samples: batch as u64, ..Totals::default() };
    let columns = logits.columns().into_iter().zip(gradient.columns_mut());
    for ((logits, mut gradient), label) in columns.zip(labels) {
        let label = usize::from(*label);
        let loss = match kind {
            Loss::CrossEntropy => cross_entropy(logits, label, gradient.view_mut()),
            Loss::SquaredError => squared_error(logits, label, gradient.view_mut()),
        };
        gradient.mapv_inplace(|gradient| gradient * weight);
        totals.loss = totals.loss.saturating_add((loss * Totals::LOSS_UNIT).round() as i64);
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        totals.correct += u64::from(logits.iter().position(|logit| *logit == largest) == Some(label));
    }
    totals
}

/// −ln of the softmax at the label; `gradient` receives the softmax less the one-hot label.
fn cross_entropy(logits: ArrayView1<'_, f32>, label: usize, mut gradient: ArrayViewMut1<'_, f32>) -> f64 {
    let step = power_of_two(ACTIVATION_EXPONENT);
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (gradient, logit) in gradient.iter_mut().zip(logits) {
        *gradient = ((logit - largest) * step).exp();
        sum += *gradient;
    }
    for (class, gradient) in gradient.iter_mut().enumerate() {
        *gradient = *gradient / sum - f32::from(u8::from(class == label));
    }
    let right = logits.get(label).copied().unwrap_or(0.0);
    f64::from(sum.ln() - (right - largest) * step)
}

/// ½·Σ(y − t)², t the one-hot label; `gradient` receives y − t.
fn squared_error(logits: ArrayView1<'_, f32>, label: usize, mut gradient: ArrayViewMut1<'_, f32>) -> f64 {
    let step = power_of_two(ACTIVATION_EXPONENT);
    let mut sum = 0.0;
    for (class, (gradient, logit)) in gradient.iter_mut().zip(logits).enumerate() {
        *gradient = logit * step - f32::from(u8::from(class == label));
        sum += f64::from(*gradient).powi(2);
    }
    0.5 * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_differences_of_the_loss() {
        for kind in [Loss::CrossEntropy, Loss::SquaredError] {
            check(kind);
        }
    }

    fn check(kind: Loss) {
        let logits = ndarray::array![[40.0, -3.0], [0.0, 64.0], [-70.0, 60.0]];
        let labels = [0, 2];
        let mut gradient = Array2::zeros((0, 0));
        let totals = loss(kind, &logits, &labels, &mut gradient);
        assert_eq!((totals.correct, totals.samples), (1, 2));
        let loss = |logits: &Array2<f32>| loss(kind, logits, &labels, &mut Array2::zeros((0, 0))).mean_loss();
        for ((class, sample), found) in gradient.indexed_iter() {
            let mut nudged = logits.clone();
            nudged[(class, sample)] += 0.5;
            let up = loss(&nudged);
            nudged[(class, sample)] -= 1.0;
            let expected = up - loss(&nudged);
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{kind:?} {class} {sample}: {found} {expected}");
        }
    }

    #[test]
    fn squared_errors_are_halved_sums() {
        let totals = loss(Loss::SquaredError, &ndarray::array![[32.0], [16.0]], &[1], &mut Array2::zeros((0, 0)));
        assert!((totals.mean_loss() - 0.5 * (1.0 + 0.25)).abs() < 1e-6);
    }
}
