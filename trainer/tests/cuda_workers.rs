//! Shards and workers on cards: shards vote the same wherever samples lie and however steps are cut, and two cards train what
//! one does, bit for bit.
//!
//! Without a card, or with one where two are needed, a test says so and passes.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;
mod shards;

use shards::{Case, rules};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trishift_format::write::CheckpointWriter;
use trishift_trainer::backend::cuda::card::Card;
use trishift_trainer::backend::cuda::{CudaBackend, Nccl, Placement, nccl};
use trishift_trainer::backend::{Backend, Steps};
use trishift_trainer::checkpoint::Totals;
use trishift_trainer::config::ExchangeKind;
use trishift_trainer::data::permutation;
use trishift_trainer::parallel::{Link, Share, Worker};
use trishift_trainer::rule::RuleName;

/// Samples of an update.
const BATCH: u32 = 64;

/// Convolutions, int8 weights, norms of batches, a depthwise convolution and biases.
const IMAGES: &str = "{ type = 'conv2d', outputs = 12, kernel = 3, stride = 2, weights = 'int8' }, \
    { type = 'shift-batch-norm' }, { type = 'relu' }, \
    { type = 'residual', layers = [{ type = 'conv2d', outputs = 12, kernel = 3 }, { type = 'shift-batch-norm' }] }, \
    { type = 'relu' }, { type = 'depthwise-conv2d', kernel = 3 }, { type = 'shift-batch-norm' }, { type = 'relu' }, \
    { type = 'conv2d', outputs = 20, kernel = 1, bias = true }, { type = 'relu' }, { type = 'linear', bias = true }";

/// Layers one after another.
const ROWS: &str = "{ type = 'linear', outputs = 48 }, { type = 'shift-norm' }, { type = 'relu' }, \
    { type = 'linear', outputs = 40 }, { type = 'rms-norm' }, { type = 'relu' }, { type = 'linear', bias = true }";

impl Case {
    /// State and totals of one worker after some updates, `stretch` at a time, and the bytes that it gave in each.
    fn trained(
        &self,
        card: &Arc<Card>,
        worker: &Worker,
        placement: Placement,
        stretch: u64,
    ) -> (Vec<u8>, Totals, usize) {
        const UPDATES: u64 = 37;
        let share = Share::new(worker, &self.config.training, self.data.train.len()).unwrap();
        let (config, network, data) = (&self.config, &self.network, &self.data.train);
        let mut backend =
            CudaBackend::with_share(card, config, network, data, placement, None, (worker, share)).unwrap();
        let per_epoch = data.len() as u64 / u64::from(config.training.batch);
        let mut totals = Totals::default();
        let mut first = 0;
        while first < UPDATES {
            let (epoch, first_batch) = (first / per_epoch, first % per_epoch);
            let count = stretch.min(UPDATES - first).min(per_epoch - first_batch);
            backend.set_order(permutation(data.len(), 7, epoch)).unwrap();
            backend.train(Steps { first, count, first_batch, total: UPDATES, epoch, ..Steps::default() }).unwrap();
            totals.add(backend.take_totals().unwrap());
            first += count;
        }
        let mut writer = CheckpointWriter::new("");
        for (index, layer) in backend.layers().unwrap().iter().enumerate() {
            layer.save(&format!("layer{index}"), &mut writer).unwrap();
        }
        (writer.finish().unwrap(), totals, backend.exchanged())
    }

    /// The same of every one of two workers, each with a card.
    fn on_two_cards(&self) -> Vec<(Vec<u8>, Totals, usize)> {
        let id = nccl::new_id().unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2)
                .map(|rank| {
                    scope.spawn(move || {
                        let card = Arc::new(Card::open(rank as u32).unwrap());
                        let link = Link::Cards(Arc::new(Nccl::join(&card, rank, 2, id).unwrap()));
                        self.trained(&card, &Worker { rank, world: 2, link }, Placement::Auto, 16)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }
}

/// The first card, for one test at a time, or nothing.
fn card() -> Option<(Arc<Card>, MutexGuard<'static, ()>)> {
    static TURN: Mutex<()> = Mutex::new(());
    // Another test's failure says nothing about this one.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Some((Arc::new(card::first()?), turn))
}

#[test]
fn shards_repeat_bit_for_bit() {
    let Some((card, _turn)) = card() else { return };
    for layers in [ROWS, IMAGES] {
        for rule in rules() {
            let case = Case::new(layers, rule, BATCH, 8);
            let alone = Worker::alone();
            let once = case.trained(&card, &alone, Placement::Card, 37);
            assert_eq!((once.1.samples, once.2), (37 * 64, 0), "{rule}");
            assert!(once.1.loss > 0 && once.1.loss < i64::MAX, "{rule}: {:?}", once.1);
            assert!(once == case.trained(&card, &alone, Placement::Host, 5), "{rule}, {layers}");
            assert!(
                once.0 != Case::new(layers, rule, BATCH, 1).trained(&card, &alone, Placement::Card, 37).0,
                "{rule}"
            );
        }
    }
}

/// Whether there are two cards; says so if not.
fn has_two_cards() -> bool {
    let count = Card::count().unwrap_or(0);
    if count < 2 {
        println!("skipped: {count} cards, 2 are needed");
    }
    count >= 2
}

#[test]
fn two_cards_train_what_one_does() {
    if !has_two_cards() {
        return;
    }
    let Some((card, _turn)) = card() else { return };
    for layers in [ROWS, IMAGES] {
        for rule in rules() {
            let case = Case::new(layers, rule, BATCH, 8);
            let alone = case.trained(&card, &Worker::alone(), Placement::Auto, 16);
            let together = case.on_two_cards();
            for (rank, found) in together.iter().enumerate() {
                assert!(found.0 == alone.0, "{rule}, rank {rank}, {layers}");
                assert!(found.1 == alone.1 && found.2 > 0, "{rule}, rank {rank}: {:?}, {:?}", found.1, alone.1);
            }
        }
    }
}

/// Gradients are floats: what two cards learn is the same on both, and nearly what one does.
#[test]
fn two_cards_exchange_gradients() {
    if !has_two_cards() {
        return;
    }
    let Some((card, _turn)) = card() else { return };
    for layers in [ROWS, IMAGES] {
        for rule in RuleName::ALL {
            let mut case = Case::new(layers, rule, BATCH, 1);
            case.config.training.exchange = ExchangeKind::Gradient;
            let alone = case.trained(&card, &Worker::alone(), Placement::Auto, 16);
            let together = case.on_two_cards();
            assert!(together[0] == together[1], "{rule}, {layers}");
            let losses = [alone.1, together[0].1].map(|totals| totals.mean_loss());
            assert!((losses[0] - losses[1]).abs() < 0.1 + 0.1 * losses[0], "{rule}: {losses:?}, {layers}");
        }
    }
}
