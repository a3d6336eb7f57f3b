//! The losses of the logits and their gradients.

use super::product::resize;
use crate::checkpoint::Totals;
use crate::config::Loss;
use crate::network::ACTIVATION_EXPONENT;
use crate::rule::power_of_two;
use ndarray::{Array2, ArrayView1, ArrayViewMut1};

/// Mean loss over the batch: sums it into totals and writes its gradient with respect to the logits' steps.
///
/// `logits` and `gradient` are [classes, batch], in output steps; one step is 2^−5. `smoothing` is the share of the target
/// that the cross-entropy spreads over all classes. A sample's loss and gradient are multiplied by the weight of its class;
/// without weights, and for a class that has none, by 1.
pub(super) fn loss(
    kind: Loss,
    smoothing: f32,
    weights: &[f32],
    logits: &Array2<f32>,
    labels: &[u16],
    gradient: &mut Array2<f32>,
) -> Totals {
    let (classes, batch) = logits.dim();
    resize(gradient, classes, batch);
    let unit = power_of_two(ACTIVATION_EXPONENT) / batch as f32;
    let mut totals = Totals { samples: batch as u64, ..Totals::default() };
    let columns = logits.columns().into_iter().zip(gradient.columns_mut());
    for ((logits, mut gradient), label) in columns.zip(labels) {
        let label = usize::from(*label);
        let loss = match kind {
            Loss::CrossEntropy => cross_entropy(logits, label, smoothing, gradient.view_mut()),
            Loss::SquaredError => squared_error(logits, label, gradient.view_mut()),
        };
        let weight = weights.get(label).copied().unwrap_or(1.0);
        gradient.mapv_inplace(|gradient| gradient * unit * weight);
        totals.loss = totals.loss.saturating_add((loss * f64::from(weight) * Totals::LOSS_UNIT).round() as i64);
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        totals.correct += u64::from(logits.iter().position(|logit| *logit == largest) == Some(label));
    }
    totals
}

/// −Σ t·ln of the softmax, where the target t is `smoothing` spread over all classes and the rest at the label; `gradient`
/// receives the softmax less t.
fn cross_entropy(
    logits: ArrayView1<'_, f32>,
    label: usize,
    smoothing: f32,
    mut gradient: ArrayViewMut1<'_, f32>,
) -> f64 {
    let step = power_of_two(ACTIVATION_EXPONENT);
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (gradient, logit) in gradient.iter_mut().zip(logits) {
        *gradient = ((logit - largest) * step).exp();
        sum += *gradient;
    }
    let (of_label, of_each) = (1.0 - smoothing, smoothing / logits.len() as f32);
    for (class, gradient) in gradient.iter_mut().enumerate() {
        *gradient = *gradient / sum - if class == label { of_label + of_each } else { of_each };
    }
    let right = logits.get(label).copied().unwrap_or(0.0);
    let mut target = right - largest;
    if smoothing > 0.0 {
        let all = logits.iter().map(|logit| logit - largest).sum::<f32>();
        target = of_label * target + of_each * all;
    }
    f64::from(sum.ln() - target * step)
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
        for (kind, smoothing) in
            [(Loss::CrossEntropy, 0.0), (Loss::CrossEntropy, 0.1), (Loss::CrossEntropy, 0.7), (Loss::SquaredError, 0.0)]
        {
            check(kind, smoothing, &[]);
            check(kind, smoothing, &[0.25, 1.0, 3.0]);
        }
    }

    fn check(kind: Loss, smoothing: f32, weights: &[f32]) {
        let logits = ndarray::array![[40.0, -3.0], [0.0, 64.0], [-70.0, 60.0]];
        let labels = [0, 2];
        let mut gradient = Array2::zeros((0, 0));
        let totals = loss(kind, smoothing, weights, &logits, &labels, &mut gradient);
        assert_eq!((totals.correct, totals.samples), (1, 2));
        let loss = |logits: &Array2<f32>| {
            loss(kind, smoothing, weights, logits, &labels, &mut Array2::zeros((0, 0))).mean_loss()
        };
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
    fn a_smoothed_target_is_a_mean_of_targets() {
        let logits = ndarray::array![[40.0], [0.0], [-70.0]];
        let of = |smoothing, label| {
            loss(Loss::CrossEntropy, smoothing, &[], &logits, &[label], &mut Array2::zeros((0, 0))).mean_loss()
        };
        let mean = [0, 1, 2].map(|label| of(0.0, label)).iter().sum::<f64>() / 3.0;
        assert!((of(0.3, 1) - (0.7 * of(0.0, 1) + 0.3 * mean)).abs() < 1e-5);
    }

    #[test]
    fn a_sample_counts_as_much_as_its_class_weighs() {
        let logits = ndarray::array![[40.0, -3.0], [0.0, 64.0], [-70.0, 60.0]];
        let of = |weights: &[f32], label: u16| {
            let column = logits.slice(ndarray::s![.., 0..1]).to_owned();
            loss(Loss::CrossEntropy, 0.0, weights, &column, &[label], &mut Array2::zeros((0, 0))).mean_loss()
        };
        let (weights, mut gradient, mut even) = ([0.5, 4.0], Array2::zeros((0, 0)), Array2::zeros((0, 0)));
        assert!((of(&weights, 0) - 0.5 * of(&[], 0)).abs() < 1e-5 && (of(&weights, 1) - 4.0 * of(&[], 1)).abs() < 1e-5);
        // A class without a weight weighs 1.
        assert_eq!(of(&weights, 2), of(&[], 2));
        loss(Loss::CrossEntropy, 0.0, &weights, &logits, &[1, 0], &mut gradient);
        loss(Loss::CrossEntropy, 0.0, &[], &logits, &[1, 0], &mut even);
        for ((class, sample), found) in gradient.indexed_iter() {
            assert_eq!(*found, even[(class, sample)] * [4.0, 0.5][sample], "{class} {sample}");
        }
    }

    #[test]
    fn squared_errors_are_halved_sums() {
        let totals =
            loss(Loss::SquaredError, 0.0, &[], &ndarray::array![[32.0], [16.0]], &[1], &mut Array2::zeros((0, 0)));
        assert!((totals.mean_loss() - 0.5 * (1.0 + 0.25)).abs() < 1e-6);
    }
}
