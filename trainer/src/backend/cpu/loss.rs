//! Softmax cross-entropy of the logits, and its gradient.

use super::product::resize;
use crate::checkpoint::Totals;
use crate::network::ACTIVATION_EXPONENT;
use crate::rule::power_of_two;
use ndarray::Array2;

/// Mean loss over the batch: sums it into totals and writes its gradient with respect to the logits' steps.
///
/// `logits` and `gradient` are [classes, batch], in output steps; one step is 2^−5.
pub(super) fn cross_entropy(logits: &Array2<f32>, labels: &[u16], gradient: &mut Array2<f32>) -> Totals {
    let (classes, batch) = logits.dim();
    resize(gradient, classes, batch);
    let step = power_of_two(ACTIVATION_EXPONENT);
    let weight = step / batch as f32;
    let mut totals = Totals { samples: batch as u64, ..Totals::default() };
    let columns = logits.columns().into_iter().zip(gradient.columns_mut());
    for ((logits, mut gradient), label) in columns.zip(labels) {
        let label = usize::from(*label);
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for (gradient, logit) in gradient.iter_mut().zip(logits) {
            *gradient = ((logit - largest) * step).exp();
            sum += *gradient;
        }
        let right = logits.get(label).copied().unwrap_or(0.0);
        let loss = f64::from(sum.ln() - (right - largest) * step);
        totals.loss = totals.loss.saturating_add((loss * Totals::LOSS_UNIT).round() as i64);
        let first_largest = logits.iter().position(|logit| *logit == largest);
        totals.correct += u64::from(first_largest == Some(label));
        for (class, gradient) in gradient.iter_mut().enumerate() {
            *gradient = (*gradient / sum - f32::from(u8::from(class == label))) * weight;
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_differences_of_the_loss() {
        let logits = ndarray::array![[40.0, -3.0], [0.0, 64.0], [-70.0, 60.0]];
        let labels = [0, 2];
        let mut gradient = Array2::zeros((0, 0));
        let totals = cross_entropy(&logits, &labels, &mut gradient);
        assert_eq!((totals.correct, totals.samples), (1, 2));
        let loss = |logits: &Array2<f32>| cross_entropy(logits, &labels, &mut Array2::zeros((0, 0))).mean_loss();
        for ((class, sample), found) in gradient.indexed_iter() {
            let mut nudged = logits.clone();
            nudged[(class, sample)] += 0.5;
            let up = loss(&nudged);
            nudged[(class, sample)] -= 1.0;
            let expected = up - loss(&nudged);
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{class} {sample}: {found} {expected}");
        }
    }
}
