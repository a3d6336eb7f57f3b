//! The exported file's answers to samples that it was not trained on, held against the training forward pass and against the
//! trainer's own integers: what is right, what is taken for what, which samples it is most wrong about, what the export
//! changed.

use crate::backend::Backend;
use crate::data::{Dataset, Prepared};
use crate::evaluate::{self, Confusion, Score};
use crate::export::{ExportError, Exported};
use crate::frozen::FrozenLayer;
use crate::reference;
use crate::run::RunError;
use trishift::Model;

/// Samples that are kept as the worst ones.
const WORST: usize = 12;

/// Most samples of training that stand in for others.
const MOST_OF_TRAINING: usize = 1 << 13;

/// Which samples were judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JudgedPart {
    /// The test samples.
    Test,
    /// There are no test samples: those of validation.
    Validation,
    /// Nor these: the first ones of training, at most 8,192.
    Training,
}

impl JudgedPart {
    /// What there is of a data set.
    pub fn of(data: &Prepared) -> Self {
        match (data.test.is_empty(), data.validation.is_empty()) {
            (false, _) => Self::Test,
            (true, false) => Self::Validation,
            (true, true) => Self::Training,
        }
    }

    /// Its samples.
    pub fn samples(self, data: &Prepared) -> &Dataset {
        match self {
            Self::Test => &data.test,
            Self::Validation => &data.validation,
            Self::Training => &data.train,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Which samples.
    pub part: JudgedPart,
    /// How well the file answers.
    pub score: Score,
    /// Samples that the training forward pass answers right.
    pub correct_before: usize,
    /// Samples whose class differs between the two.
    pub differing_classes: usize,
    /// Logits of one sample.
    pub outputs: usize,
    /// Logits of the training forward pass that are not exactly the file's.
    pub differing_logits: usize,
    /// The largest distance of two such, in steps of the file's integers.
    pub largest_difference: f64,
    /// Integers that differ between the runtime and the trainer's own integer evaluation.
    pub mismatches: usize,
    /// Exponent of the file's logits: they are in steps of 2 to the power of it.
    pub exponent: i32,
    /// Which classes the file takes for which.
    pub confusion: Confusion,
    /// The samples with the largest losses, the worst one first.
    pub worst: Vec<JudgedSample>,
}

/// The answer to one sample.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedSample {
    /// Its number in its part.
    pub index: usize,
    /// The class that it is of.
    pub label: u16,
    /// The class that the file takes it for.
    pub answer: usize,
    /// −ln of the softmax at the label.
    pub loss: f64,
    /// Logits of the training forward pass, in steps of the file's integers.
    pub before: Vec<f64>,
    /// The file's logits.
    pub after: Vec<i32>,
}

/// Runs an exported network on what its data holds for judging.
///
/// # Errors
/// [`RunError`] where file and data do not go together or the backend fails.
pub fn judge(exported: &Exported, data: &Prepared, backend: &mut dyn Backend) -> Result<Judgement, RunError> {
    // The exporter has parsed these bytes already.
    let model = Model::parse(&exported.file)
        .map_err(|fault| ExportError::Write(trishift_format::write::WriteError::Invalid(fault)))?;
    let part = JudgedPart::of(data);
    let samples = part.samples(data);
    evaluate::check(&model, samples, data.classes.len())?;
    let limit = if part == JudgedPart::Training { MOST_OF_TRAINING } else { usize::MAX };
    let runtime = evaluate::Runtime::new(&model)?;
    let (outputs, exponent) = (model.output().len(), i32::from(model.output().exponent));
    let unit = exported.network.layers.last().map_or(0, FrozenLayer::layer_unit);
    let mut found = Judgement {
        part,
        score: Score::default(),
        correct_before: 0,
        differing_classes: 0,
        outputs,
        differing_logits: 0,
        largest_difference: 0.0,
        mismatches: 0,
        exponent,
        confusion: Confusion::new(outputs),
        worst: Vec::new(),
    };
    for range in evaluate::chunks(samples).take_while(|range| range.start < limit) {
        let values = samples.dense(range.clone());
        let labels = samples.labels.get(range.clone()).unwrap_or_default();
        let after = runtime.logits(&values)?;
        let before = backend.logits(&values)?;
        let losses = evaluate::losses(&after, labels, exponent);
        found.score.add_judged(&after, labels, &losses);
        found.confusion.add(&after, labels);
        found.correct_before += evaluate::correct(&before, outputs, labels);
        found.mismatches += evaluate::mismatches(&after, &reference::logits(&exported.network, &values));
        found.differing_classes += evaluate::differing_classes(&after, &before, outputs);
        found.differing_logits += evaluate::rounded_logits(&after, &before, unit);
        let before = in_steps(&before, unit);
        let differences = after.iter().zip(&before).map(|(after, before)| (f64::from(*after) - before).abs());
        found.largest_difference = differences.fold(found.largest_difference, f64::max);
        let mut worst: Vec<usize> = (0..labels.len()).collect();
        let loss = |index: usize| losses.get(index).copied().unwrap_or(0.0);
        worst.sort_by(|a, b| loss(*b).total_cmp(&loss(*a)));
        worst.truncate(WORST);
        found.keep(worst.into_iter().map(|index| {
            let of_sample = index * outputs..(index + 1) * outputs;
            let logits = after.get(of_sample.clone()).unwrap_or_default();
            JudgedSample {
                index: range.start + index,
                label: labels.get(index).copied().unwrap_or(0),
                answer: trishift::argmax(logits),
                loss: loss(index),
                before: before.get(of_sample).unwrap_or_default().to_vec(),
                after: logits.to_vec(),
            }
        }));
    }
    Ok(found)
}

impl Judgement {
    /// Samples that were judged.
    pub fn samples(&self) -> usize {
        self.score.samples
    }

    /// Logits that were compared.
    pub fn logits(&self) -> usize {
        self.score.samples * self.outputs
    }

    /// Keeps the worst ones of these and of those before.
    fn keep(&mut self, samples: impl Iterator<Item = JudgedSample>) {
        self.worst.extend(samples);
        self.worst.sort_by(|a, b| b.loss.total_cmp(&a.loss));
        self.worst.truncate(WORST);
    }
}

/// The training forward pass's logits, which are in output steps, in steps of the file's integers.
fn in_steps(logits: &[f32], unit: i32) -> Vec<f64> {
    let scale = 2f64.powi(-unit);
    logits.iter().map(|logit| f64::from(*logit) * scale).collect()
}
