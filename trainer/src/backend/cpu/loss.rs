//! The losses of the logits and their gradients.

use super::product::resize;
use crate::checkpoint::Totals;
use crate::config::Loss;
use crate::network::ACTIVATION_EXPONENT;
use crate::rule::power_of_two;
use ndarray::{Array2, ArrayView1, ArrayViewMut1};

/// What the logits are compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) loss: Loss,
    /// Share of the target that the cross-entropy spreads over all classes.
    pub(super) smoothing: f32,
    /// How much a sample's loss and gradient count, by class; a class that has no weight weighs 1.
    pub(super) class_weights: Vec<f32>,
}

/// How much another network's answers count; see [`crate::config::DistillationConfig`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    pub(super) share: f32,
    pub(super) temperature: f32,
}

/// Mean loss over the batch: sums it into totals and writes its gradient with respect to the logits' steps.
///
/// `logits`, `gradient` and a teacher's logits are [classes, batch], in output steps; one step is 2^−5.
pub(super) fn loss(
    target: &Target,
    taught: Option<(Answers, &Array2<f32>)>,
    logits: &Array2<f32>,
    labels: &[u16],
    gradient: &mut Array2<f32>,
) -> Totals {
    let (classes, batch) = logits.dim();
    resize(gradient, classes, batch);
    let unit = power_of_two(ACTIVATION_EXPONENT) / batch as f32;
    let mut totals = Totals { samples: batch as u64, ..Totals::default() };
    let columns = logits.columns().into_iter().zip(gradient.columns_mut());
    for (sample, ((logits, mut gradient), label)) in columns.zip(labels).enumerate() {
        let label = usize::from(*label);
        let mut loss = match target.loss {
            Loss::CrossEntropy => cross_entropy(logits, label, target.smoothing, gradient.view_mut()),
            Loss::SquaredError => squared_error(logits, label, gradient.view_mut()),
        };
        if let Some((answers, teacher)) = taught {
            let of_teacher = distill(answers, logits, teacher.column(sample), gradient.view_mut());
            loss = f64::from(1.0 - answers.share) * loss + f64::from(answers.share) * of_teacher;
        }
        let weight = target.class_weights.get(label).copied().unwrap_or(1.0);
        gradient.mapv_inplace(|gradient| gradient * unit * weight);
        totals.loss = totals.loss.saturating_add((loss * f64::from(weight) * Totals::LOSS_UNIT).round() as i64);
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        totals.correct += u64::from(logits.iter().position(|logit| *logit == largest) == Some(label));
    }
    totals
}

/// τ² times the cross-entropy of the network's softmax at temperature τ against the teacher's; `gradient` keeps the share
/// that the teacher leaves of what it holds, and receives the rest from here.
fn distill(
    Answers { share, temperature }: Answers,
    logits: ArrayView1<'_, f32>,
    teacher: ArrayView1<'_, f32>,
    mut gradient: ArrayViewMut1<'_, f32>,
) -> f64 {
    let step = power_of_two(ACTIVATION_EXPONENT) / temperature;
    let largest = |logits: ArrayView1<'_, f32>| logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (own, taught) = (largest(logits), largest(teacher));
    let sum = |logits: ArrayView1<'_, f32>, largest: f32| {
        logits.iter().map(|logit| ((logit - largest) * step).exp()).sum::<f32>()
    };
    let (own_sum, taught_sum) = (sum(logits, own), sum(teacher, taught));
    let mut mean = 0.0;
    for ((gradient, logit), teacher) in gradient.iter_mut().zip(logits).zip(teacher) {
        let expected = ((teacher - taught) * step).exp() / taught_sum;
        let answered = ((logit - own) * step).exp() / own_sum;
        *gradient = (1.0 - share) * *gradient + share * temperature * (answered - expected);
        mean += expected * (logit - own);
    }
    f64::from(temperature * temperature * (own_sum.ln() - mean * step))
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
            check(kind, smoothing, &[], None);
            check(kind, smoothing, &[0.25, 1.0, 3.0], None);
        }
        for (share, temperature) in [(0.9, 4.0), (0.3, 1.0), (1.0, 0.5)] {
            let answers = Answers { share, temperature };
            check(Loss::CrossEntropy, 0.0, &[], Some(answers));
            check(Loss::CrossEntropy, 0.1, &[0.25, 1.0, 3.0], Some(answers));
        }
    }

    fn target(loss: Loss, smoothing: f32, weights: &[f32]) -> Target {
        Target { loss, smoothing, class_weights: weights.to_vec() }
    }

    fn check(kind: Loss, smoothing: f32, weights: &[f32], answers: Option<Answers>) {
        let target = target(kind, smoothing, weights);
        let teacher = ndarray::array![[9.0, -33.0], [30.0, 21.0], [-7.0, 90.0]];
        let taught = answers.map(|answers| (answers, &teacher));
        // A teacher's part is multiplied by the temperature.
        let limit = if taught.is_some() { 2e-5 } else { 1e-5 };
        let logits = ndarray::array![[40.0, -3.0], [0.0, 64.0], [-70.0, 60.0]];
        let labels = [0, 2];
        let mut gradient = Array2::zeros((0, 0));
        let totals = loss(&target, taught, &logits, &labels, &mut gradient);
        assert_eq!((totals.correct, totals.samples), (1, 2));
        let loss =
            |logits: &Array2<f32>| loss(&target, taught, logits, &labels, &mut Array2::zeros((0, 0))).mean_loss();
        for ((class, sample), found) in gradient.indexed_iter() {
            let mut nudged = logits.clone();
            nudged[(class, sample)] += 0.5;
            let up = loss(&nudged);
            nudged[(class, sample)] -= 1.0;
            let expected = up - loss(&nudged);
            assert!((f64::from(*found) - expected).abs() < limit, "{kind:?} {class} {sample}: {found} {expected}");
        }
    }

    #[test]
    fn a_teacher_that_is_sure_says_what_the_label_says() {
        let (logits, teacher) = (ndarray::array![[40.0], [0.0], [-70.0]], ndarray::array![[-1e4], [0.0], [-1e4]]);
        let of = |taught| {
            let mut gradient = Array2::zeros((0, 0));
            (loss(&target(Loss::CrossEntropy, 0.0, &[]), taught, &logits, &[1], &mut gradient), gradient)
        };
        let ((own, gradient), (taught, from_teacher)) =
            (of(None), of(Some((Answers { share: 1.0, temperature: 1.0 }, &teacher))));
        assert!((own.mean_loss() - taught.mean_loss()).abs() < 1e-5);
        assert!(gradient.iter().zip(&from_teacher).all(|(own, taught)| (own - taught).abs() < 1e-7));
    }

    #[test]
    fn a_smoothed_target_is_a_mean_of_targets() {
        let logits = ndarray::array![[40.0], [0.0], [-70.0]];
        let of = |smoothing, label| {
            loss(&target(Loss::CrossEntropy, smoothing, &[]), None, &logits, &[label], &mut Array2::zeros((0, 0)))
                .mean_loss()
        };
        let mean = [0, 1, 2].map(|label| of(0.0, label)).iter().sum::<f64>() / 3.0;
        assert!((of(0.3, 1) - (0.7 * of(0.0, 1) + 0.3 * mean)).abs() < 1e-5);
    }

    #[test]
    fn a_sample_counts_as_much_as_its_class_weighs() {
        let logits = ndarray::array![[40.0, -3.0], [0.0, 64.0], [-70.0, 60.0]];
        let of = |weights: &[f32], label: u16| {
            let column = logits.slice(ndarray::s![.., 0..1]).to_owned();
            loss(&target(Loss::CrossEntropy, 0.0, weights), None, &column, &[label], &mut Array2::zeros((0, 0)))
                .mean_loss()
        };
        let (weights, mut gradient, mut even) = ([0.5, 4.0], Array2::zeros((0, 0)), Array2::zeros((0, 0)));
        assert!((of(&weights, 0) - 0.5 * of(&[], 0)).abs() < 1e-5 && (of(&weights, 1) - 4.0 * of(&[], 1)).abs() < 1e-5);
        // A class without a weight weighs 1.
        assert_eq!(of(&weights, 2), of(&[], 2));
        loss(&target(Loss::CrossEntropy, 0.0, &weights), None, &logits, &[1, 0], &mut gradient);
        loss(&target(Loss::CrossEntropy, 0.0, &[]), None, &logits, &[1, 0], &mut even);
        for ((class, sample), found) in gradient.indexed_iter() {
            assert_eq!(*found, even[(class, sample)] * [4.0, 0.5][sample], "{class} {sample}");
        }
    }

    #[test]
    fn squared_errors_are_halved_sums() {
        let (target, logits) = (target(Loss::SquaredError, 0.0, &[]), ndarray::array![[32.0], [16.0]]);
        let totals = loss(&target, None, &logits, &[1], &mut Array2::zeros((0, 0)));
        assert!((totals.mean_loss() - 0.5 * (1.0 + 0.25)).abs() < 1e-6);
    }
}
