//! A run: from a configuration to a folder with metrics, checkpoints and the exported model; interrupted at any step and
//! resumed, it ends in the same bytes.

mod error;
mod flips;
mod folder;
mod journal;
mod judgement;
mod outcome;
mod samples;

pub use error::RunError;
pub use flips::Flips;
pub use folder::{Epoch, FolderError, RunFolder};
pub use judgement::{JudgedPart, JudgedSample, Judgement, judge};
pub use outcome::{Outcome, export_state};
pub use samples::{load, load_watched, load_with};

use crate::backend::cpu::CpuBackend;
use crate::backend::{Backend, BackendError, Resolved, Steps};
use crate::checkpoint::{self, Progress, StateReader, Totals};
use crate::config::{Config, ExchangeKind, TrainingConfig};
use crate::data::{Prepared, permutation};
use crate::evaluate;
use crate::export::Exported;
use crate::network::{Network, NetworkError};
use crate::parallel::{Integers, Share, ShareError, Worker};
use crate::teacher::Teacher;
use std::time::{Duration, Instant};
use trishift_format::Layout;

/// Longest stretch of training between two looks at the clock.
const STRETCH: Duration = Duration::from_millis(50);

/// Time between two checkpoints.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// What a run tells whoever watches it.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Updates done.
    pub step: u64,
    /// Updates of the whole run.
    pub total_steps: u64,
    /// The epoch, from 1.
    pub epoch: u64,
    /// Sums over the epoch so far.
    pub totals: Totals,
    /// Samples a second since the run began or was resumed.
    pub samples_per_second: f64,
}

/// Watches a run and may stop it.
pub trait Observer {
    /// Called a few times a second. Returning true stops the run after a checkpoint.
    fn progress(&mut self, status: &Status) -> bool;
    /// Called after every epoch.
    fn epoch(&mut self, epoch: &Epoch);
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// All steps are done.
    Finished,
    /// The observer stopped it; the checkpoint is written.
    Interrupted,
}

/// Whether the device trains this network.
///
/// # Errors
/// [`NetworkError`] says what it does not.
pub fn check_trainable(network: &Network, device: &Resolved) -> Result<(), NetworkError> {
    network.check_trainable()?;
    match device {
        Resolved::Cpu => Ok(()),
        #[cfg(feature = "cuda")]
        Resolved::Cuda { .. } => network.check_trainable_on_card(),
    }
}

/// A network in training, tied to its data and its folder.
pub struct Run<'a> {
    config: &'a Config,
    data: &'a Prepared,
    network: Network,
    backend: Box<dyn Backend + 'a>,
    folder: &'a RunFolder,
    fingerprint: i64,
    progress: Progress,
    worker: Worker,
    /// From the first step of this process on.
    flips: Option<flips::Watch>,
    /// Training time of this process, without evaluation and files.
    training: Duration,
    trained: u64,
}

impl<'a> Run<'a> {
    /// A fresh run.
    ///
    /// # Errors
    /// [`RunError`] where configuration and data make no network.
    pub fn new(
        config: &'a Config,
        data: &'a Prepared,
        folder: &'a RunFolder,
        device: &Resolved,
    ) -> Result<Self, RunError> {
        Self::with_worker(config, data, folder, device, Worker::alone())
    }

    /// The same as one of several workers, all of which do the same at the same time. The first one alone writes to the folder.
    ///
    /// # Errors
    /// [`RunError`] as [`Run::new`], or where a step cannot be divided among the workers.
    pub fn with_worker(
        config: &'a Config,
        data: &'a Prepared,
        folder: &'a RunFolder,
        device: &Resolved,
        worker: Worker,
    ) -> Result<Self, RunError> {
        config.validate()?;
        let share = Share::new(&worker, &config.training, data.train.len())?;
        let network = Network::resolve(config, data.train.shape, data.classes.len())?;
        check_trainable(&network, device)?;
        for part in [&data.train, &data.validation, &data.test] {
            network.check_indices(&part.samples)?;
        }
        check(config, data, device)?;
        let class_weights = config.training.class_weights.resolve(&data.classes, &data.train.labels)?;
        let mut fingerprint = checkpoint::fingerprint(data);
        let teacher = teacher(config, data, device)?;
        if let Some(teacher) = &teacher {
            fingerprint = checkpoint::hash([fingerprint, teacher.fingerprint()].into_iter().map(|part| part as u64));
        }
        let backend: Box<dyn Backend> = match device {
            Resolved::Cpu => {
                if share.world > 1 && share.kind == ExchangeKind::Gradient {
                    return Err(ShareError::GradientsOnCpu.into());
                }
                let backend = CpuBackend::new(config, &network, &data.train).with_share(&worker, share);
                let backend = backend.with_class_weights(class_weights.unwrap_or_default());
                Box::new(match &teacher {
                    Some(teacher) => backend.with_teacher(teacher)?,
                    None => backend,
                })
            }
            #[cfg(feature = "cuda")]
            Resolved::Cuda { card, .. } => {
                use crate::backend::cuda::{CudaBackend, Placement};
                let teacher = teacher.as_ref();
                let (placement, shared) = (Placement::Auto, (&worker, share));
                Box::new(CudaBackend::with_share(card, config, &network, &data.train, placement, teacher, shared)?)
            }
        };
        Ok(Self {
            config,
            data,
            network,
            backend,
            folder,
            fingerprint,
            progress: Progress::default(),
            worker,
            flips: None,
            training: Duration::ZERO,
            trained: 0,
        })
    }

    /// Goes on from a checkpoint of the same run.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`] where data or network are others.
    pub fn restore(&mut self, reader: &StateReader<'_>) -> Result<(), RunError> {
        self.progress = reader.progress(self.fingerprint)?;
        self.backend.load(reader)?;
        tracing::info!(step = self.progress.step, "resumed");
        if self.worker.leads() {
            self.folder.remove_leftovers();
            self.folder.keep_until(self.progress.step)?;
        }
        Ok(())
    }

    /// The network in training.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What it is trained by.
    pub fn config(&self) -> &'a Config {
        self.config
    }

    /// What it is trained on.
    pub fn data(&self) -> &'a Prepared {
        self.data
    }

    /// Where it leaves what it makes.
    pub fn folder(&self) -> &'a RunFolder {
        self.folder
    }

    /// Updates done.
    pub fn step(&self) -> u64 {
        self.progress.step
    }

    /// Updates of one epoch.
    fn steps_per_epoch(&self) -> u64 {
        steps_per_epoch(self.config, self.data.train.len())
    }

    /// Updates before λ falls.
    fn warm_up(&self) -> u64 {
        let TrainingConfig { steps, warm_up, .. } = self.config.training;
        if steps.is_some() { warm_up } else { warm_up.saturating_mul(self.steps_per_epoch()) }
    }

    /// Updates of the whole run.
    pub fn total_steps(&self) -> u64 {
        total_steps(self.config, self.data.train.len())
    }

    /// Samples a second inside the training loop.
    pub fn samples_per_second(&self) -> f64 {
        self.trained as f64 / self.training.as_secs_f64().max(1e-9)
    }

    /// Trains to the end, or until the observer stops it. Leaves a checkpoint either way.
    ///
    /// # Errors
    /// [`RunError`] where a file cannot be written or the loss is not finite.
    pub fn train(&mut self, observer: &mut dyn Observer) -> Result<Ending, RunError> {
        let (per_epoch, total) = (self.steps_per_epoch(), self.total_steps());
        if self.progress.step == 0 {
            // From here on there is always something to resume.
            self.save()?;
        }
        if self.flips.is_none() && self.worker.leads() {
            self.flips = Some(flips::Watch::new(self.progress.step, self.backend.layers()?));
        }
        let mut saved = Instant::now();
        let mut stretch = 1;
        while self.progress.step < total {
            let (epoch, batch) = (self.progress.step / per_epoch, self.progress.step % per_epoch);
            self.backend.set_order(permutation(self.data.train.len(), self.config.training.seed, epoch))?;
            let mut batch = batch;
            // The last epoch may be cut short by `steps`.
            let end = per_epoch.min(batch + total - self.progress.step);
            while batch < end {
                let count = stretch.min(end - batch);
                let started = Instant::now();
                self.backend.train(Steps {
                    first: self.progress.step,
                    count,
                    first_batch: batch,
                    total,
                    warm_up: self.warm_up(),
                    epoch,
                })?;
                let totals = self.backend.take_totals()?;
                let elapsed = started.elapsed();
                self.training += elapsed;
                self.trained += totals.samples;
                stretch = next_stretch(count, elapsed);
                batch += count;
                self.progress.step += count;
                self.progress.totals.add(totals);
                // Losses that are not numbers leave the sum at its limit or at 0.
                if totals.loss == 0 || totals.loss == i64::MAX {
                    self.check_finite()?;
                }
                let stop = observer.progress(&self.status(epoch));
                let stop = self.agree(stop, &mut stretch)? && self.progress.step < total;
                if stop && batch < end {
                    self.save()?;
                    return Ok(Ending::Interrupted);
                }
                if saved.elapsed() > CHECKPOINT_INTERVAL && batch < end {
                    self.save()?;
                    saved = Instant::now();
                }
                if batch == end {
                    let record = self.finish_epoch(epoch)?;
                    observer.epoch(&record);
                    if stop || saved.elapsed() > CHECKPOINT_INTERVAL {
                        self.save()?;
                        saved = Instant::now();
                    }
                    if stop {
                        return Ok(Ending::Interrupted);
                    }
                }
            }
        }
        self.save()?;
        Ok(Ending::Finished)
    }

    /// Whether any worker wants to stop; all take the first one's stretch.
    fn agree(&self, stop: bool, stretch: &mut u64) -> Result<bool, BackendError> {
        let of_first = if self.worker.leads() { *stretch as i64 } else { 0 };
        let mut words = [i64::from(stop), of_first];
        self.worker.link.exchange().sum(Integers::I64(&mut words))?;
        *stretch = words[1] as u64;
        Ok(words[0] > 0)
    }

    fn status(&self, epoch: u64) -> Status {
        Status {
            step: self.progress.step,
            total_steps: self.total_steps(),
            epoch: epoch + 1,
            totals: self.progress.totals,
            samples_per_second: self.samples_per_second(),
        }
    }

    fn check_finite(&mut self) -> Result<(), RunError> {
        let sample = self.data.train.row(0);
        let finite = self.backend.logits(sample)?.iter().all(|logit| logit.is_finite());
        if finite { Ok(()) } else { Err(RunError::Diverged { step: self.progress.step }) }
    }

    /// Writes the epoch's line of metrics and starts the next epoch's sums.
    fn finish_epoch(&mut self, epoch: u64) -> Result<Epoch, RunError> {
        let totals = std::mem::take(&mut self.progress.totals);
        let leads = self.worker.leads();
        let validation_accuracy = match self.data.validation.len() {
            samples if samples == 0 || !leads => None,
            samples => {
                let validation = &self.data.validation;
                let mut correct = 0;
                for range in evaluate::chunks(validation) {
                    let logits = self.backend.logits(&validation.dense(range.clone()))?;
                    correct += evaluate::correct(&logits, self.network.outputs(), &validation.labels[range]);
                }
                Some(correct as f64 / samples as f64)
            }
        };
        tracing::debug!(epoch = epoch + 1, "epoch done");
        let record = Epoch {
            epoch: epoch + 1,
            step: self.progress.step,
            loss: totals.mean_loss(),
            train_accuracy: totals.accuracy(),
            validation_accuracy,
            samples_per_second: self.samples_per_second(),
        };
        if leads {
            self.folder.append_metrics(&record)?;
        }
        if self.flips.as_ref().is_some_and(|watch| watch.is_due(self.training)) {
            self.look_at_flips()?;
        }
        Ok(record)
    }

    /// Records which weights are not what they were at the last look.
    fn look_at_flips(&mut self) -> Result<(), RunError> {
        let started = Instant::now();
        let layers = self.backend.layers()?;
        match &mut self.flips {
            Some(watch) => Ok(watch.record(self.progress.step, layers, self.folder, started)?),
            None => Ok(()),
        }
    }

    /// Writes a checkpoint. Flips first: records of what comes after a checkpoint are dropped when the run is resumed, one that
    /// is missing would be missing for ever.
    fn save(&mut self) -> Result<(), RunError> {
        if !self.worker.leads() {
            return Ok(());
        }
        let started = Instant::now();
        let layers = self.backend.layers()?;
        if let Some(watch) = &mut self.flips {
            watch.record(self.progress.step, layers, self.folder, started)?;
        }
        let bytes = checkpoint::encode(self.config, &self.progress, self.fingerprint, layers)?;
        checkpoint::write(&self.folder.checkpoint(), &bytes)?;
        tracing::debug!(step = self.progress.step, bytes = bytes.len(), "checkpoint written");
        Ok(())
    }

    /// Exports the trained network, writes the model into the folder and judges the file.
    ///
    /// # Errors
    /// [`RunError`] where the network does not fit the format or a file cannot be written.
    pub fn finish(&mut self) -> Result<Outcome, RunError> {
        let exported = self.export(Layout::Rows)?;
        let path = self.folder.model();
        crate::file::write_atomically(&path, &exported.file)
            .map_err(|source| FolderError::Write { path: path.clone(), source })?;
        let measured = outcome::Measured {
            model: path,
            memory: self.backend.memory(),
            seconds: self.training.as_secs_f64(),
            samples_per_second: self.samples_per_second(),
        };
        outcome::of(&exported, self.data, &self.network, self.backend.as_mut(), measured)
    }

    /// The network as it is now, as a model file.
    ///
    /// # Errors
    /// [`RunError`] where the network does not fit the format.
    pub fn export(&mut self, layout: Layout) -> Result<Exported, RunError> {
        Ok(export_state(self.config, self.data, &self.network, self.backend.layers()?, layout)?)
    }
}

/// Updates of one epoch of so many samples: whole batches; what is left over comes in another epoch's order.
fn steps_per_epoch(config: &Config, samples: usize) -> u64 {
    (samples as u64 / u64::from(config.training.batch)).max(1)
}

/// Updates of a whole run on so many training samples.
pub fn total_steps(config: &Config, samples: usize) -> u64 {
    let TrainingConfig { steps, epochs, .. } = config.training;
    steps.unwrap_or(steps_per_epoch(config, samples) * u64::from(epochs.unwrap_or(1)))
}

/// Whether the samples can be changed and weighed as the configuration says, on this device, and whether there is a teacher
/// where it names one.
///
/// # Errors
/// [`RunError::Config`] names the setting, [`RunError::ClassWeightsOnCard`] what a card does not do; [`RunError::Teacher`].
pub fn check(config: &Config, data: &Prepared, device: &Resolved) -> Result<(), RunError> {
    let weights = config.training.class_weights.resolve(&data.classes, &data.train.labels)?;
    if weights.is_some() && !matches!(device, Resolved::Cpu) {
        return Err(RunError::ClassWeightsOnCard);
    }
    config.training.augmentation.check(data.train.shape)?;
    teacher(config, data, device)?;
    Ok(())
}

/// The network whose answers are to be learned, if any.
fn teacher(config: &Config, data: &Prepared, device: &Resolved) -> Result<Option<Teacher>, RunError> {
    let distillation = &config.training.distillation;
    let teacher = Teacher::open(distillation, data).map_err(Box::new)?;
    if let Some(teacher) = &teacher {
        check_trainable(&teacher.network, device)?;
    }
    Ok(teacher)
}

/// Steps of the next stretch, so that it takes about [`STRETCH`].
fn next_stretch(count: u64, elapsed: Duration) -> u64 {
    let per_step = elapsed.as_secs_f64() / count as f64;
    let fitting = STRETCH.as_secs_f64() / per_step.max(1e-9);
    (fitting as u64).clamp(1, 2 * count)
}
