//! Judging a model by its file: the runtime's answers on a data set.

use crate::data::Dataset;
use rayon::prelude::*;
use std::num::NonZeroUsize;
use std::ops::Range;
use thiserror::Error;
use trishift::{EnginePool, Model};
use trishift_format::DataType;

/// Samples that are run at a time: logits of large data sets need not fit memory.
const CHUNK: usize = 1 << 13;

/// Why a model could not be run on a data set.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvaluateError {
    /// Another number of features.
    #[error("the model takes {expected} values a sample, the data has {found}")]
    Features {
        /// Values of the model's input.
        expected: usize,
        /// Values of a sample.
        found: usize,
    },
    /// The output is not int32 logits.
    #[error("the model's output is not int32 logits, which the trainer's models have")]
    Output,
    /// More classes in the data than outputs.
    #[error("the data has {classes} classes, the model {outputs} outputs")]
    Classes {
        /// Classes of the data.
        classes: usize,
        /// Outputs of the model.
        outputs: usize,
    },
    /// Nothing to run.
    #[error("there are no samples to run the model on")]
    NoSamples,
    /// The runtime refused.
    #[error("the runtime refused the model: {0}")]
    Runtime(String),
}

/// Ranges that cover the samples of a data set, a few thousand at a time.
pub fn chunks(data: &Dataset) -> impl Iterator<Item = Range<usize>> + use<> {
    let len = data.len();
    (0..len).step_by(CHUNK).map(move |start| start..(start + CHUNK).min(len))
}

/// Whether the model can be judged on this data.
///
/// # Errors
/// [`EvaluateError`] where model and data do not fit.
pub fn check(model: &Model<'_>, data: &Dataset, classes: usize) -> Result<(), EvaluateError> {
    let (input, output) = (model.input(), model.output());
    if data.is_empty() {
        return Err(EvaluateError::NoSamples);
    }
    if input.len() != data.features() {
        return Err(EvaluateError::Features { expected: input.len(), found: data.features() });
    }
    if output.data_type != DataType::I32 {
        return Err(EvaluateError::Output);
    }
    if classes > output.len() {
        return Err(EvaluateError::Classes { classes, outputs: output.len() });
    }
    Ok(())
}

/// The runtime with a model, on all cores.
#[derive(Debug)]
pub struct Runtime<'model> {
    pool: EnginePool<'model>,
}

impl<'model> Runtime<'model> {
    /// With the kernels that `TRISHIFT_ISA` names, or the best ones of this machine.
    ///
    /// # Errors
    /// [`EvaluateError::Runtime`].
    pub fn new(model: &Model<'model>) -> Result<Self, EvaluateError> {
        let threads = NonZeroUsize::new(rayon::current_num_threads()).unwrap_or(NonZeroUsize::MIN);
        let kernels = trishift::kernels::from_environment().map_err(|error| refused(&error))?;
        Ok(Self { pool: EnginePool::with_kernels(model, kernels, threads).map_err(|error| refused(&error))? })
    }

    /// The kernels' name.
    pub fn kernels(&self) -> &'static str {
        self.pool.packed().kernels().name
    }

    /// Logits of samples [samples, inputs], [samples, outputs].
    ///
    /// # Errors
    /// [`EvaluateError::Runtime`].
    pub fn logits(&self, samples: &[i8]) -> Result<Vec<i32>, EvaluateError> {
        let model = self.pool.packed().model();
        let mut logits = vec![0i32; samples.len() / model.input().len().max(1) * model.output().len()];
        self.pool.run(samples, &mut logits).map_err(|error| refused(&error))?;
        Ok(logits)
    }
}

fn refused(error: &dyn std::fmt::Display) -> EvaluateError {
    EvaluateError::Runtime(error.to_string())
}

/// How well logits answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Samples.
    pub samples: usize,
    /// Samples whose largest logit (the first of equals) is their label's.
    pub correct: usize,
    /// Sum over the samples of −ln of the softmax at the label.
    pub loss: f64,
}

impl Score {
    /// Counts samples with these logits, [samples, outputs], in units of 2^exponent.
    pub fn add<T: Copy + PartialOrd + Into<f64> + Sync>(&mut self, logits: &[T], labels: &[u16], exponent: i32) {
        self.add_judged(logits, labels, &losses(logits, labels, exponent));
    }

    /// The same where the samples' [`losses`] are known.
    pub fn add_judged<T: Copy + PartialOrd>(&mut self, logits: &[T], labels: &[u16], losses: &[f64]) {
        self.samples += labels.len();
        self.correct += correct(logits, logits.len() / labels.len().max(1), labels);
        self.loss += losses.iter().sum::<f64>();
    }

    /// Share of right answers; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples.max(1) as f64
    }

    /// Mean loss in nats; 0 without samples.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.samples.max(1) as f64
    }

    /// Mean loss in bits: for text, bits per byte.
    pub fn bits(&self) -> f64 {
        self.mean_loss() / std::f64::consts::LN_2
    }
}

/// Which classes are taken for which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    outputs: usize,
    /// Row after row: samples of the row's class that are taken for the column's.
    counts: Vec<u64>,
}

impl Confusion {
    /// Nothing yet, of a model with so many outputs.
    pub fn new(outputs: usize) -> Self {
        Self { outputs, counts: vec![0; outputs.saturating_mul(outputs)] }
    }

    /// Counts samples with these logits, [samples, outputs].
    pub fn add<T: Copy + PartialOrd>(&mut self, logits: &[T], labels: &[u16]) {
        for (row, label) in logits.chunks_exact(self.outputs.max(1)).zip(labels) {
            let place = usize::from(*label) * self.outputs + trishift::argmax(row);
            self.counts.get_mut(place).into_iter().for_each(|count| *count += 1);
        }
    }

    /// A row for each class: how many of its samples are taken for each class.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks_exact(self.outputs.max(1))
    }
}

/// Every sample's −ln of the softmax at its label, in f64; logits are [samples, outputs], in units of 2^exponent.
pub fn losses<T: Copy + Into<f64> + Sync>(logits: &[T], labels: &[u16], exponent: i32) -> Vec<f64> {
    let outputs = logits.len() / labels.len().max(1);
    let rows = logits.par_chunks(outputs.max(1)).zip(labels);
    rows.map(|(logits, label)| cross_entropy(logits, usize::from(*label), exponent)).collect()
}

/// −ln of the softmax at the label, in f64.
fn cross_entropy<T: Copy + Into<f64>>(logits: &[T], label: usize, exponent: i32) -> f64 {
    let unit = 2f64.powi(exponent);
    let value = |logit: &T| (*logit).into() * unit;
    let largest = logits.iter().map(value).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|logit| (value(logit) - largest).exp()).sum();
    sum.ln() + largest - logits.get(label).map_or(largest, value)
}

/// Samples whose largest logit (the first of equals) is their label's.
pub fn correct<T: Copy + PartialOrd>(logits: &[T], outputs: usize, labels: &[u16]) -> usize {
    let rows = logits.chunks_exact(outputs.max(1)).zip(labels);
    rows.filter(|(row, label)| trishift::argmax(row) == usize::from(**label)).count()
}

/// Samples whose class differs between two sets of logits.
pub fn differing_classes<A: Copy + PartialOrd, B: Copy + PartialOrd>(a: &[A], b: &[B], outputs: usize) -> usize {
    let outputs = outputs.max(1);
    let rows = a.chunks_exact(outputs).zip(b.chunks_exact(outputs));
    rows.filter(|(a, b)| trishift::argmax(a) != trishift::argmax(b)).count()
}

/// Integers that differ between the runtime's logits and the trainer's own.
pub fn mismatches(engine: &[i32], reference: &[i64]) -> usize {
    let differing = engine.iter().zip(reference).filter(|(a, b)| i64::from(**a) != **b).count();
    differing + engine.len().abs_diff(reference.len())
}

/// Logits of the training forward pass that are not exactly the file's: float32 sums round where an accumulator
/// outgrows 24 bits. `steps` are in output steps, the file's in units of 2^`unit` of one.
pub fn rounded_logits(engine: &[i32], steps: &[f32], unit: i32) -> usize {
    let scale = 2f64.powi(-unit);
    engine.iter().zip(steps).filter(|(a, b)| f64::from(**a) != f64::from(**b) * scale).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_count_answers_and_bits() {
        let mut score = Score::default();
        score.add(&[3i32, 3, -5, 0, 1, 2], &[0, 1], -1);
        score.add(&[0i32, 0, 0], &[2], 7);
        assert_eq!((score.samples, score.correct), (3, 1));
        let loss = |right: f64, logits: [f64; 3]| logits.map(f64::exp).iter().sum::<f64>().ln() - right;
        let expected = loss(1.5, [1.5, 1.5, -2.5]) + loss(0.5, [0.0, 0.5, 1.0]) + 3f64.ln();
        assert!((score.loss - expected).abs() < 1e-12);
        assert!((score.bits() * 3.0 * 2f64.ln() - expected).abs() < 1e-12);
        // Logits as wide as int32 neither overflow nor vanish.
        let mut wide = Score::default();
        wide.add(&[i32::MAX, i32::MIN], &[1], 0);
        assert_eq!(wide.mean_loss(), 4_294_967_295.0);
    }

    #[test]
    fn confusion_counts_answers_by_class() {
        let mut confusion = Confusion::new(3);
        confusion.add(&[3i32, 3, -5, 0, 1, 2, 5, 0, 0], &[0, 1, 1]);
        confusion.add(&[0i32, 0, 7], &[2]);
        assert_eq!(confusion.rows().collect::<Vec<_>>(), [[1, 0, 0], [1, 0, 1], [0, 0, 1]]);
    }

    #[test]
    fn chunks_cover_every_sample_once() {
        let data = Dataset { shape: [1, 1, 2], stride: 1, samples: vec![0; 20_001], labels: vec![0; 20_000] };
        let chunks: Vec<_> = chunks(&data).collect();
        assert_eq!(chunks.first().map(|range| range.start), Some(0));
        assert_eq!(chunks.iter().map(|range| range.len()).sum::<usize>(), 20_000);
        assert!(chunks.windows(2).all(|pair| pair[0].end == pair[1].start));
    }
}
