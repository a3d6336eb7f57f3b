//! `trishift bench model`: a whole model file on every instruction set this machine can run, against what the instruction
//! set's multiply-add alone reaches.
//!
//! As [`super::cpu`] does, everything is measured in turns, round after round, and rates are those of the best run.

use super::cpu::{ROUNDS, TURN, peak_gops};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use thiserror::Error;
use trishift::kernels::Kernels;
use trishift::{BatchError, EnginePool, Model};
use trishift_format::DataType;

/// What one instruction set reached at one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Name of the instruction set.
    pub isa: &'static str,
    /// Samples of a run.
    pub batch: usize,
    /// Best.
    pub samples_per_second: f64,
    /// The same of the median time.
    pub samples_per_second_median: f64,
    /// 10⁹ operations a second, 2 for each product of the model's matrices; best.
    pub gops: f64,
    /// 10⁹ operations a second of the multiply-add on one thread's registers; none for plain Rust.
    pub peak_gops: Option<f64>,
    /// `gops` over the peak of all threads.
    pub ratio: Option<f64>,
    /// Runs timed.
    pub runs: usize,
}

/// Why nothing was measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BenchError {
    /// Zero, or more than memory holds.
    #[error("a batch of {batch} cannot be measured; give 1 to {most} samples")]
    Batch {
        /// Samples.
        batch: usize,
        /// Most of this model's.
        most: usize,
    },
    /// The model does not run on an instruction set.
    #[error("on {isa}: {source}")]
    Run {
        /// The instruction set.
        isa: &'static str,
        /// What its engines say.
        source: BatchError,
    },
}

/// Most elements of all inputs together, and of all outputs.
const MOST_ELEMENTS: usize = 1 << 28;

/// Measures a model on instruction sets at batches; every pair of them, batch after batch.
///
/// # Errors
/// [`BenchError`] for batches that cannot be measured and models that do not run.
pub fn measure(
    model: &Model<'_>,
    sets: &[&'static Kernels],
    batches: &[usize],
    threads: NonZeroUsize,
) -> Result<Vec<Measurement>, BenchError> {
    let (input, output) = (model.input().len(), model.output().len());
    let most = MOST_ELEMENTS / input.max(output).max(1);
    if let Some(batch) = batches.iter().copied().find(|batch| *batch == 0 || *batch > most) {
        return Err(BenchError::Batch { batch, most });
    }
    let largest = batches.iter().copied().max().unwrap_or(0);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let inputs: Vec<i8> = (0..largest * input).map(|_| random.next_u32() as i8).collect();
    let mut contestants = Vec::new();
    for kernels in sets {
        let refused = |source| BenchError::Run { isa: kernels.name, source };
        let pool = EnginePool::with_kernels(model, kernels, threads).map_err(refused)?;
        let times = vec![Vec::new(); batches.len()];
        contestants.push(Contestant { kernels, pool, peak_gops: 0.0, times, outputs: Outputs::new(model, largest) });
    }
    for _ in 0..ROUNDS {
        for contestant in &mut contestants {
            contestant.peak_gops = contestant.peak_gops.max(peak_gops(contestant.kernels));
            for (index, batch) in batches.iter().enumerate() {
                contestant.turn(index, &inputs[..batch * input], batch * output)?;
            }
        }
    }
    let of_batch = |(index, batch): (usize, &usize)| {
        let measure = |contestant: &Contestant<'_>| contestant.measurement(model, index, *batch, threads);
        contestants.iter().map(measure).collect::<Vec<_>>()
    };
    Ok(batches.iter().enumerate().flat_map(of_batch).collect())
}

/// One instruction set and what was measured of it.
struct Contestant<'model> {
    kernels: &'static Kernels,
    pool: EnginePool<'model>,
    peak_gops: f64,
    /// Of each batch.
    times: Vec<Vec<Duration>>,
    outputs: Outputs,
}

/// Memory for outputs.
enum Outputs {
    I8(Vec<i8>),
    I32(Vec<i32>),
}

impl Outputs {
    fn new(model: &Model<'_>, samples: usize) -> Self {
        let length = samples * model.output().len();
        match model.output().data_type {
            DataType::I8 => Self::I8(vec![0; length]),
            DataType::I32 => Self::I32(vec![0; length]),
        }
    }
}

impl Contestant<'_> {
    /// Runs of a batch for a while.
    fn turn(&mut self, index: usize, input: &[i8], outputs: usize) -> Result<(), BenchError> {
        let times = &mut self.times[index];
        // What takes so long that it is not disturbed need not be done again.
        if times.first().is_some_and(|time| *time > ROUNDS as u32 * TURN) {
            return Ok(());
        }
        let started = Instant::now();
        while times.is_empty() || started.elapsed() < TURN {
            let run = Instant::now();
            let done = match &mut self.outputs {
                Outputs::I8(memory) => self.pool.run(black_box(input), black_box(&mut memory[..outputs])),
                Outputs::I32(memory) => self.pool.run(black_box(input), black_box(&mut memory[..outputs])),
            };
            times.push(run.elapsed());
            done.map_err(|source| BenchError::Run { isa: self.kernels.name, source })?;
        }
        Ok(())
    }

    fn measurement(&self, model: &Model<'_>, index: usize, batch: usize, threads: NonZeroUsize) -> Measurement {
        let mut times = self.times[index].clone();
        times.sort_unstable();
        let rate = |time: Option<&Duration>| batch as f64 / time.copied().unwrap_or(Duration::MAX).as_secs_f64();
        let samples_per_second = rate(times.first());
        let gops = 2.0 * model.macs() as f64 * samples_per_second / 1e9;
        let peak_gops = (self.peak_gops > 0.0).then_some(self.peak_gops);
        Measurement {
            isa: self.kernels.name,
            batch,
            samples_per_second,
            samples_per_second_median: rate(times.get(times.len() / 2)),
            gops,
            peak_gops,
            ratio: peak_gops.map(|peak| gops / peak / threads.get() as f64),
            runs: times.len(),
        }
    }
}
