//! Checkpoints: the state of a run at the end of a step, enough to go on bit-exactly.
//!
//! A checkpoint holds the configuration, the progress (five integers), a fingerprint of the data, and the named tensors
//! of every layer. Nothing in it is a floating-point number, except under the straight-through baseline.

use crate::config::{Config, ConfigError};
use crate::data::Prepared;
use crate::file;
use crate::parallel::{Exchange, ExchangeError, Integers};
use crate::rule::LayerState;
use std::path::{Path, PathBuf};
use thiserror::Error;
use trishift_format::checkpoint::{StateTensor, StateType};
use trishift_format::write::{CheckpointWriter, StateValues, WriteError};
use trishift_format::{Checkpoint, ParseError, trits};

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Updates done.
    pub step: u64,
    /// Sums over the epoch so far.
    pub totals: Totals,
}

/// Sums over samples seen in training; integers, so that an interrupted epoch goes on exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sum of losses in units of 2^−20 nat.
    pub loss: i64,
    /// Samples whose largest logit was the right one.
    pub correct: u64,
    /// Samples.
    pub samples: u64,
}

impl Totals {
    /// Units of [`Totals::loss`] in one nat.
    pub const LOSS_UNIT: f64 = (1 << 20) as f64;

    /// Mean loss in nats; 0 without samples.
    pub fn mean_loss(&self) -> f64 {
        self.loss as f64 / Self::LOSS_UNIT / self.samples.max(1) as f64
    }

    /// Share of right answers; 0 without samples.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.samples.max(1) as f64
    }

    /// The sums over the samples of all workers. A loss at its limit, which stands for one that is not finite, stays there.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub fn over(self, exchange: &dyn Exchange) -> Result<Self, ExchangeError> {
        let [loss, diverged] = if self.loss == i64::MAX { [0, 1] } else { [self.loss, 0] };
        let mut sums = [loss, diverged, self.correct as i64, self.samples as i64];
        exchange.sum(Integers::I64(&mut sums))?;
        let [loss, diverged, correct, samples] = sums;
        let loss = if diverged > 0 { i64::MAX } else { loss };
        Ok(Self { loss, correct: correct as u64, samples: samples as u64 })
    }

    /// Adds another sum.
    pub fn add(&mut self, other: Self) {
        self.loss = self.loss.saturating_add(other.loss);
        self.correct += other.correct;
        self.samples += other.samples;
    }
}

/// Why a checkpoint could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("cannot read the checkpoint {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the checkpoint {path}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no valid checkpoint.
    #[error("{path} cannot be used: {fault}", path = path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: ParseError,
    },
    /// The configuration inside is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state does not fit the format.
    #[error(transparent)]
    Encode(#[from] WriteError),
    /// A tensor is missing, or has another type or length.
    #[error("the checkpoint's tensor {name} is missing or does not fit the network")]
    Tensor {
        /// Its name.
        name: String,
    },
    /// Other data than the run began with.
    #[error("the data (or the teacher) is not what this run began with; give the same --data, or start a new run")]
    OtherData,
}

/// A number that is the same for the same samples, labels and scales in the same split.
pub fn fingerprint(data: &Prepared) -> i64 {
    let mut hash = EMPTY_HASH;
    let mut mix = |value: u64| hash = mixed(hash, value);
    for part in [&data.train, &data.validation, &data.test] {
        mix(part.len() as u64);
        let (words, rest) = part.samples.as_chunks::<8>();
        words.iter().for_each(|word| mix(u64::from_le_bytes(word.map(|value| value as u8))));
        rest.iter().for_each(|value| mix(*value as u64));
        part.labels.iter().for_each(|label| mix(u64::from(*label)));
    }
    data.scales.iter().flat_map(|scale| scale.to_bytes()).for_each(|byte| mix(u64::from(byte)));
    hash as i64
}

/// FNV-1a over 64-bit words, before the first: a guard against mistakes, not against malice.
const EMPTY_HASH: u64 = 0xCBF2_9CE4_8422_2325;

fn mixed(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x0100_0000_01B3)
}

/// A number that is the same for the same values.
pub(crate) fn hash(values: impl Iterator<Item = u64>) -> i64 {
    values.fold(EMPTY_HASH, mixed) as i64
}

/// The bytes of a checkpoint.
///
/// # Errors
/// [`CheckpointError::Encode`] or [`CheckpointError::Config`].
pub fn encode(
    config: &Config,
    progress: &Progress,
    fingerprint: i64,
    layers: &[Box<dyn LayerState>],
) -> Result<Vec<u8>, CheckpointError> {
    let mut writer = CheckpointWriter::new(&config.to_toml()?);
    let Progress { step, totals } = *progress;
    let progress = [step as i64, totals.loss, totals.correct as i64, totals.samples as i64, fingerprint];
    writer.push("progress", 1, StateValues::I64(&progress))?;
    for (index, layer) in layers.iter().enumerate() {
        layer.save(&format!("layer{index}"), &mut writer)?;
    }
    Ok(writer.finish()?)
}

/// Writes a checkpoint, aside and then renamed.
///
/// # Errors
/// [`CheckpointError::Write`]; the checkpoint before stays then.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    file::write_atomically(path, bytes).map_err(|source| CheckpointError::Write { path: path.into(), source })
}

/// A checkpoint's bytes.
///
/// # Errors
/// [`CheckpointError::Read`].
pub fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    std::fs::read(path).map_err(|source| CheckpointError::Read { path: path.into(), source })
}

/// Reads typed tensors from a parsed checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct StateReader<'a> {
    checkpoint: Checkpoint<'a>,
}

impl<'a> StateReader<'a> {
    /// Parses the bytes of the checkpoint at `path`.
    ///
    /// # Errors
    /// [`CheckpointError::Parse`].
    pub fn new(bytes: &'a [u8], path: &Path) -> Result<Self, CheckpointError> {
        let parse = |fault| CheckpointError::Parse { path: path.into(), fault };
        Ok(Self { checkpoint: Checkpoint::parse(bytes).map_err(parse)? })
    }

    /// The configuration of the run.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
    pub fn config(&self) -> Result<Config, CheckpointError> {
        let config = Config::from_toml(self.checkpoint.config(), "the checkpoint's configuration")?;
        config.validate()?;
        Ok(config)
    }

    /// The progress, once the data's fingerprint matches.
    ///
    /// # Errors
    /// [`CheckpointError::OtherData`], [`CheckpointError::Tensor`].
    pub fn progress(&self, fingerprint: i64) -> Result<Progress, CheckpointError> {
        match self.i64s("progress", 5)?[..] {
            [.., found] if found != fingerprint => Err(CheckpointError::OtherData),
            [step, loss, correct, samples, _] => Ok(Progress {
                step: step as u64,
                totals: Totals { loss, correct: correct as u64, samples: samples as u64 },
            }),
            _ => Err(CheckpointError::Tensor { name: "progress".into() }),
        }
    }

    /// Updates done, whatever the data.
    ///
    /// # Errors
    /// [`CheckpointError::Tensor`].
    pub fn step(&self) -> Result<u64, CheckpointError> {
        Ok(self.i64s("progress", 5)?.first().copied().unwrap_or(0) as u64)
    }

    /// Takes every layer's state.
    ///
    /// # Errors
    /// [`CheckpointError::Tensor`].
    pub fn load(&self, layers: &mut [Box<dyn LayerState>]) -> Result<(), CheckpointError> {
        for (index, layer) in layers.iter_mut().enumerate() {
            layer.load(&format!("layer{index}"), self)?;
        }
        Ok(())
    }

    /// `count` trits.
    ///
    /// # Errors
    /// [`CheckpointError::Tensor`].
    pub fn trits(&self, name: &str, count: usize) -> Result<Vec<i8>, CheckpointError> {
        let tensor = self.tensor(name, count)?;
        if tensor.state_type != StateType::Trits {
            return Err(CheckpointError::Tensor { name: name.into() });
        }
        let mut values = vec![0; count];
        trits::unpack(tensor.bytes, &mut values);
        Ok(values)
    }

    /// `count` 8-bit integers.
    ///
    /// # Errors
    /// [`CheckpointError::Tensor`].
    pub fn i8s(&self, name: &str, count: usize) -> Result<Vec<i8>, CheckpointError> {
        self.integers(name, count)
    }

    /// `count` integers that fit 16 bits.
    ///
    /// # Errors
    /// [`CheckpointError::Tensor`].
    pub fn i16s(&self, name: &str, count: usize) -> Result<Vec<i16>, CheckpointError> {
        self.integers(name, count)
    }

    /// `count` integers that fit 32 bits.
    ///
    /// # Errors
    /// [`CheckpointError::Tensor`].
    pub fn i32s(&self, name: &str, count: usize) -> Result<Vec<i32>, CheckpointError> {
        self.integers(name, count)
    }

    /// `count` integers of any width.
    ///
    /// # Errors
    /// [`CheckpointError::Tensor`].
    pub fn i64s(&self, name: &str, count: usize) -> Result<Vec<i64>, CheckpointError> {
        self.integers(name, count)
    }

    /// `count` floating-point numbers (straight-through baseline only).
    ///
    /// # Errors
    /// [`CheckpointError::Tensor`].
    pub fn f32s(&self, name: &str, count: usize) -> Result<Vec<f32>, CheckpointError> {
        let tensor = self.tensor(name, count)?;
        if tensor.state_type != StateType::F32 {
            return Err(CheckpointError::Tensor { name: name.into() });
        }
        Ok(tensor.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    /// Integers of whatever width the file holds, in a type that holds them all.
    fn integers<T: TryFrom<i64>>(&self, name: &str, count: usize) -> Result<Vec<T>, CheckpointError> {
        let tensor = self.tensor(name, count)?;
        let bytes = tensor.bytes;
        let values: Option<Vec<T>> = match tensor.state_type {
            StateType::I8 => bytes.iter().map(|byte| T::try_from(i64::from(*byte as i8)).ok()).collect(),
            StateType::I16 => narrow(bytes.as_chunks::<2>().0.iter().map(|b| i64::from(i16::from_le_bytes(*b)))),
            StateType::I32 => narrow(bytes.as_chunks::<4>().0.iter().map(|b| i64::from(i32::from_le_bytes(*b)))),
            StateType::I64 => narrow(bytes.as_chunks::<8>().0.iter().map(|b| i64::from_le_bytes(*b))),
            StateType::Trits | StateType::F32 => None,
        };
        values.ok_or_else(|| CheckpointError::Tensor { name: name.into() })
    }

    fn tensor(&self, name: &str, count: usize) -> Result<StateTensor<'a>, CheckpointError> {
        let fits = |tensor: &StateTensor<'_>| tensor.rows.checked_mul(tensor.columns) == Some(count);
        let missing = || CheckpointError::Tensor { name: name.into() };
        self.checkpoint.tensor(name).filter(fits).ok_or_else(missing)
    }
}

fn narrow<T: TryFrom<i64>>(values: impl Iterator<Item = i64>) -> Option<Vec<T>> {
    values.map(|value| T::try_from(value).ok()).collect()
}
