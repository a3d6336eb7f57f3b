//! What a run came to: the exported file's accuracy, and how far training, file and runtime agree.

use crate::backend::{Backend, MemoryUse};
use crate::config::Config;
use crate::data::{Dataset, Prepared};
use crate::evaluate::{self, Score};
use crate::export::{self, ExportError, Exported, Metadata, Narrowing};
use crate::frozen::FrozenNetwork;
use crate::network::Network;
use crate::rule::LayerState;
use crate::run::{JudgedPart, Judgement, RunError, judge};
use std::path::PathBuf;
use trishift::Model;
use trishift_format::Layout;

/// The result of a finished run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The model file.
    pub model: PathBuf,
    /// Its bytes.
    pub model_bytes: usize,
    /// Bits of the file's weight section for each weight.
    pub bits_per_weight: f64,
    /// Arena of one sample.
    pub arena_bytes: u64,
    /// How well the file answers the test samples; no samples where the data has none.
    pub score: Score,
    /// The file's accuracy on the validation samples; `None` where there are none.
    pub validation_accuracy: Option<f64>,
    /// Test samples that the training forward pass answers right: the difference is the cost of the export.
    pub correct_before_export: usize,
    /// Accuracy of the training forward pass on the training samples, or on 50,000 to 100,000 of them.
    pub train_accuracy: f64,
    /// Integers that differ between the runtime and the trainer's own integer evaluation.
    pub mismatches: usize,
    /// Test samples whose class differs between the training forward pass and the file.
    pub differing_classes: usize,
    /// Logits of the training forward pass that are not exactly the file's.
    pub differing_logits: usize,
    /// The answers one by one: to the test samples or, where there are none, to others.
    pub judgement: Judgement,
    /// What fitting exponent windows into int32 cost.
    pub narrowing: Narrowing,
    /// Bytes on the device that trained.
    pub memory: MemoryUse,
    /// Bytes of the lasting state there for each weight.
    pub state_bytes_per_weight: f64,
    /// Bytes that each worker gives to others in a step for each weight; 0 for one alone.
    pub exchanged_bytes_per_weight: f64,
    /// Seconds inside the training loop.
    pub seconds: f64,
    /// Samples a second inside the training loop.
    pub samples_per_second: f64,
}

impl Outcome {
    /// The file's accuracy on the test samples; `None` where there are none.
    pub fn accuracy(&self) -> Option<f64> {
        (self.score.samples > 0).then(|| self.score.accuracy())
    }
}

/// Facts that only the run knows.
pub(super) struct Measured {
    pub(super) model: PathBuf,
    pub(super) memory: MemoryUse,
    pub(super) seconds: f64,
    pub(super) samples_per_second: f64,
}

/// Exports the state of every layer with the metadata of a run.
///
/// # Errors
/// [`ExportError`] where the network does not fit the format.
pub fn export_state(
    config: &Config,
    data: &Prepared,
    network: &Network,
    layers: &[Box<dyn LayerState>],
    layout: Layout,
) -> Result<Exported, ExportError> {
    let mut properties = vec![
        ("trained-with", concat!("trishift ", env!("CARGO_PKG_VERSION")).to_string()),
        ("rule", config.training.rule.to_string()),
        ("epochs", config.training.epochs.map_or(String::new(), |epochs| epochs.to_string())),
        ("steps", config.training.steps.map_or(String::new(), |steps| steps.to_string())),
        ("seed", config.training.seed.to_string()),
        ("label", config.data.label.clone().unwrap_or_default()),
        ("context", config.data.context.map_or(String::new(), |context| context.to_string())),
        ("test", config.data.test.map_or(String::new(), |share| share.to_string())),
        ("validation", config.data.validation.to_string()),
        ("split-seed", config.data.split_seed.to_string()),
    ];
    if data.audio.is_some() {
        properties.extend(config.data.audio().properties());
    }
    let metadata =
        Metadata { name: &config.name, labels: &data.classes, scales: &data.scales, properties: &properties, layout };
    export::export(&FrozenNetwork::new(network, layers), &metadata)
}

/// Runs the file on the test samples and compares.
pub(super) fn of(
    exported: &Exported,
    data: &Prepared,
    network: &Network,
    backend: &mut dyn Backend,
    measured: Measured,
) -> Result<Outcome, RunError> {
    // The exporter has parsed these bytes already.
    let model = Model::parse(&exported.file)
        .map_err(|fault| ExportError::Write(trishift_format::write::WriteError::Invalid(fault)))?;
    let outputs = model.output().len();
    let weights = network.weights() as f64;
    let judgement = judge(exported, data, backend)?;
    let is_test = judgement.part == JudgedPart::Test;
    // What is told about the test samples is nothing where there are none.
    let of_test = |count: usize| if is_test { count } else { 0 };
    Ok(Outcome {
        model: measured.model,
        model_bytes: exported.file.len(),
        bits_per_weight: model.weight_bytes() as f64 * 8.0 / weights,
        arena_bytes: model.arena_bytes(),
        score: if is_test { judgement.score } else { Score::default() },
        validation_accuracy: validation_accuracy(&model, data, &judgement)?,
        correct_before_export: of_test(judgement.correct_before),
        train_accuracy: train_accuracy(backend, &data.train, outputs)?,
        mismatches: of_test(judgement.mismatches),
        differing_classes: of_test(judgement.differing_classes),
        differing_logits: of_test(judgement.differing_logits),
        judgement,
        narrowing: exported.narrowing,
        memory: measured.memory,
        state_bytes_per_weight: measured.memory.state as f64 / weights,
        exchanged_bytes_per_weight: backend.exchanged() as f64 / weights,
        seconds: measured.seconds,
        samples_per_second: measured.samples_per_second,
    })
}

/// The file's accuracy on the validation samples, where there are any.
fn validation_accuracy(model: &Model<'_>, data: &Prepared, judgement: &Judgement) -> Result<Option<f64>, RunError> {
    if data.validation.is_empty() {
        return Ok(None);
    }
    if judgement.part == JudgedPart::Validation {
        return Ok(Some(judgement.score.accuracy()));
    }
    evaluate::check(model, &data.validation, data.classes.len())?;
    let runtime = evaluate::Runtime::new(model)?;
    let mut score = Score::default();
    for range in evaluate::chunks(&data.validation) {
        let labels = data.validation.labels.get(range.clone()).unwrap_or_default();
        score.add(&runtime.logits(&data.validation.dense(range))?, labels, model.output().exponent.into());
    }
    Ok(Some(score.accuracy()))
}

/// Most training samples that a run is judged on.
const TRAIN_SAMPLES: usize = 100_000;

/// Accuracy of the training forward pass on the training samples, or on evenly spaced ones where they are very many.
fn train_accuracy(backend: &mut dyn Backend, data: &Dataset, outputs: usize) -> Result<f64, RunError> {
    let every = data.len().div_ceil(TRAIN_SAMPLES).max(1);
    let (mut samples, mut correct) = (0, 0);
    for range in evaluate::chunks(data) {
        let chosen: Vec<usize> = range.filter(|index| index.is_multiple_of(every)).collect();
        let values: Vec<i8> = chosen.iter().flat_map(|index| data.row(*index)).copied().collect();
        let labels: Vec<u16> = chosen.iter().filter_map(|index| data.labels.get(*index)).copied().collect();
        correct += evaluate::correct(&backend.logits(&values)?, outputs, &labels);
        samples += labels.len();
    }
    Ok(correct as f64 / samples.max(1) as f64)
}
