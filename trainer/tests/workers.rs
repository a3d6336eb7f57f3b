//! Shards and workers: whoever does the shards of a batch, and however many do, the network is the same, bit for bit.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod shards;

use shards::{Case, rules};
use std::path::Path;
use std::sync::Arc;
use trishift_format::write::CheckpointWriter;
use trishift_trainer::backend::cpu::CpuBackend;
use trishift_trainer::backend::{Backend, Resolved, Steps};
use trishift_trainer::checkpoint::{self, StateReader, Totals};
use trishift_trainer::data::permutation;
use trishift_trainer::parallel::{Alone, InProcess, Link, Share, Worker};
use trishift_trainer::rule::RuleName;
use trishift_trainer::run::{Ending, Epoch, Observer, Run, RunFolder, Status};

/// Samples of an update.
const BATCH: u32 = 32;

/// Convolutions, int8 weights, norms of batches, a depthwise convolution and biases.
const IMAGES: &str = "{ type = 'conv2d', outputs = 12, kernel = 3, stride = 2, weights = 'int8' }, \
    { type = 'shift-batch-norm' }, { type = 'relu' }, { type = 'depthwise-conv2d', kernel = 3 }, \
    { type = 'shift-batch-norm' }, { type = 'relu' }, { type = 'conv2d', outputs = 20, kernel = 1 }, \
    { type = 'shift-batch-norm' }, { type = 'relu' }, { type = 'linear', bias = true }";

/// Layers one after another.
const ROWS: &str = "{ type = 'linear', outputs = 48 }, { type = 'shift-norm' }, { type = 'relu' }, \
    { type = 'linear', outputs = 40 }, { type = 'rms-norm' }, { type = 'relu' }, { type = 'linear', bias = true }";

/// Shards of every batch here.
const SHARDS: u32 = 8;

impl Case {
    /// State and totals of every one of `world` workers after some updates.
    fn trained(&self, world: usize, count: u64) -> Vec<(Vec<u8>, Totals)> {
        on_workers(world, |worker| {
            let share = Share::new(&worker, &self.config.training, self.data.train.len()).unwrap();
            let mut backend = CpuBackend::new(&self.config, &self.network, &self.data.train).with_share(&worker, share);
            backend.set_order(permutation(self.data.train.len(), 7, 0)).unwrap();
            for (first, count) in [(0, count / 3), (count / 3, count - count / 3)] {
                backend.train(Steps { first, count, first_batch: first, total: count, ..Steps::default() }).unwrap();
            }
            let totals = backend.take_totals().unwrap();
            let mut writer = CheckpointWriter::new("");
            for (index, layer) in backend.layers().unwrap().iter().enumerate() {
                layer.save(&format!("layer{index}"), &mut writer).unwrap();
            }
            (writer.finish().unwrap(), totals)
        })
    }
}

/// What workers, threads each, make.
fn on_workers<T: Send>(world: usize, work: impl Fn(Worker) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let workers = InProcess::new(world, &Alone).into_iter().enumerate();
        let threads: Vec<_> = workers
            .map(|(rank, exchange)| {
                let worker = Worker { rank, world, link: Link::Host(Arc::new(exchange)) };
                let work = &work;
                scope.spawn(move || work(worker))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn any_number_of_workers_trains_the_same_network() {
    for layers in [ROWS, IMAGES] {
        for rule in rules() {
            let case = Case::new(layers, rule, BATCH, SHARDS);
            let alone = case.trained(1, 30);
            assert_eq!(alone[0].1.samples, 30 * 32);
            for world in [2, 4, 8] {
                let together = case.trained(world, 30);
                assert!(together.iter().all(|found| found == &alone[0]), "{rule}, {world} workers, {layers}");
            }
            // Shards say something else than a whole batch.
            assert!(Case::new(layers, rule, BATCH, 1).trained(1, 30)[0].0 != alone[0].0, "{rule}");
        }
    }
}

/// Stops a run after some updates.
struct Until(u64);

impl Observer for Until {
    fn progress(&mut self, status: &Status) -> bool {
        status.step >= self.0
    }

    fn epoch(&mut self, _: &Epoch) {}
}

/// Trains with so many workers until the first one stops or the end, from the beginning or a checkpoint.
fn run_with(case: &Case, folder: &Path, world: usize, until: u64) {
    on_workers(world, |worker| {
        let leads = worker.leads();
        let resumed = checkpoint::read(&folder.join("checkpoint.tsc")).ok();
        let folder = if resumed.is_some() { RunFolder::open(folder).unwrap() } else { RunFolder::at(folder) };
        let mut run = Run::with_worker(&case.config, &case.data, &folder, &Resolved::Cpu, worker).unwrap();
        if let Some(bytes) = &resumed {
            run.restore(&StateReader::new(bytes, Path::new("checkpoint")).unwrap()).unwrap();
        }
        // One worker's wish is everyone's.
        let until = if leads { u64::MAX } else { until };
        let ending = run.train(&mut Until(until)).unwrap();
        if ending == Ending::Finished && leads {
            run.finish().unwrap();
        }
    });
}

#[test]
fn a_run_goes_on_with_any_number_of_workers() {
    let case = Case::new(IMAGES, RuleName::FlipCorrelation, BATCH, SHARDS);
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [whole, parts] = folders.each_ref().map(|folder| folder.path());
    run_with(&case, whole, 1, u64::MAX);
    run_with(&case, parts, 4, 20);
    assert!(!parts.join("model.tsm").exists(), "the run stopped");
    run_with(&case, parts, 2, 50);
    run_with(&case, parts, 8, u64::MAX);
    for file in ["model.tsm", "checkpoint.tsc"] {
        let read = |folder: &Path| std::fs::read(folder.join(file)).unwrap();
        assert!(read(whole) == read(parts), "{file}");
    }
}
