//! Training on a card: the same beginning as on the CPU, the same end in every run, wherever the samples lie, however the
//! steps are cut and whenever it is interrupted.
//!
//! Without a card every test says so and passes.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use trishift_format::write::CheckpointWriter;
use trishift_trainer::backend::cpu::CpuBackend;
use trishift_trainer::backend::cuda::card::Card;
use trishift_trainer::backend::cuda::{CudaBackend, CudaError, Placement};
use trishift_trainer::backend::{Backend, Resolved, Steps};
use trishift_trainer::checkpoint::{self, StateReader, Totals};
use trishift_trainer::config::Config;
use trishift_trainer::data::{Prepared, permutation};
use trishift_trainer::network::Network;
use trishift_trainer::rule::RuleName;
use trishift_trainer::run::{self, Ending, Epoch, Observer, Run, RunFolder, Status};

/// The card, for one test at a time, or nothing.
fn card() -> Option<(Arc<Card>, MutexGuard<'static, ()>)> {
    static TURN: Mutex<()> = Mutex::new(());
    // Another test's failure says nothing about this one.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Some((Arc::new(card::first()?), turn))
}

/// A network with its data.
struct Case {
    config: Config,
    data: Prepared,
    network: Network,
}

impl Case {
    fn new(config: Config) -> Self {
        let data = run::load(&config).unwrap();
        let network = Network::resolve(&config, data.train.shape, data.classes.len()).unwrap();
        Self { config, data, network }
    }

    fn digits(rule: RuleName) -> Self {
        let mut config = Config::preset("digits-mlp").unwrap();
        config.training.rule = rule;
        Self::new(config)
    }

    fn on_card(&self, card: &Arc<Card>, placement: Placement) -> CudaBackend<'_> {
        CudaBackend::new(card, &self.config, &self.network, &self.data.train, placement).unwrap()
    }

    fn steps(&self, first: u64, count: u64) -> Steps {
        let per_epoch = self.data.train.len() as u64 / u64::from(self.config.training.batch);
        Steps { first, count, first_batch: first % per_epoch, total: 1000, ..Steps::default() }
    }
}

/// The bytes of a checkpoint of every layer.
fn state(backend: &mut dyn Backend) -> Vec<u8> {
    let mut writer = CheckpointWriter::new("");
    for (index, layer) in backend.layers().unwrap().iter().enumerate() {
        layer.save(&format!("layer{index}"), &mut writer).unwrap();
    }
    writer.finish().unwrap()
}

/// Trains `count` steps from the first on, `stretch` at a time, and gives state and totals.
fn trained(case: &Case, backend: &mut dyn Backend, count: u64, stretch: u64) -> (Vec<u8>, Totals) {
    backend.set_order(permutation(case.data.train.len(), 7, 0)).unwrap();
    let mut totals = Totals::default();
    let mut first = 0;
    while first < count {
        let next = stretch.min(count - first);
        backend.train(case.steps(first, next)).unwrap();
        totals.add(backend.take_totals().unwrap());
        first += next;
    }
    (state(backend), totals)
}

#[test]
fn both_backends_begin_alike() {
    let Some((card, _turn)) = card() else { return };
    for rule in RuleName::ALL {
        let case = Case::digits(rule);
        let mut cpu = CpuBackend::new(&case.config, &case.network, &case.data.train);
        let mut cuda = case.on_card(&card, Placement::Auto);
        assert!(state(&mut cpu) == state(&mut cuda), "{rule}");
        // What went to the card comes back: training no step makes the state stale.
        cuda.train(case.steps(0, 0)).unwrap();
        assert!(state(&mut cpu) == state(&mut cuda), "{rule} comes back");
        // Integers in, powers of two as weights: every sum is exact on both.
        let samples = case.data.test.dense(0..100);
        let (cpu, cuda) = (cpu.logits(&samples).unwrap(), cuda.logits(&samples).unwrap());
        assert!(cpu.len() == 1000 && cpu == cuda, "{rule}");
    }
}

#[test]
fn runs_repeat_bit_for_bit() {
    let Some((card, _turn)) = card() else { return };
    for rule in RuleName::ALL {
        let case = Case::digits(rule);
        let once = trained(&case, &mut case.on_card(&card, Placement::Card), 37, 37);
        assert_eq!(once.1.samples, 37 * 32);
        assert!(once.1.loss > 0 && once.1.loss < i64::MAX && once.1.correct > 37, "{:?}", once.1);
        assert!(once == trained(&case, &mut case.on_card(&card, Placement::Card), 37, 37), "{rule} again");
        assert!(once == trained(&case, &mut case.on_card(&card, Placement::Card), 37, 1), "{rule} step by step");
        assert!(once == trained(&case, &mut case.on_card(&card, Placement::Host), 37, 20), "{rule} streamed");
    }
}

#[test]
fn a_loaded_state_goes_on_as_if_nothing_had_happened() {
    let Some((card, _turn)) = card() else { return };
    for rule in RuleName::ALL {
        let case = Case::digits(rule);
        let (whole, _) = trained(&case, &mut case.on_card(&card, Placement::Auto), 30, 30);
        let (half, _) = trained(&case, &mut case.on_card(&card, Placement::Auto), 13, 13);
        let mut backend = case.on_card(&card, Placement::Auto);
        backend.load(&StateReader::new(&half, Path::new("half")).unwrap()).unwrap();
        backend.set_order(permutation(case.data.train.len(), 7, 0)).unwrap();
        backend.train(case.steps(13, 17)).unwrap();
        assert!(whole == state(&mut backend), "{rule}");
        // The CPU takes it as well.
        let mut cpu = CpuBackend::new(&case.config, &case.network, &case.data.train);
        cpu.load(&StateReader::new(&whole, Path::new("whole")).unwrap()).unwrap();
        assert!(whole == state(&mut cpu), "{rule} on the CPU");
    }
}

#[test]
fn both_backends_learn_alike() {
    let Some((card, _turn)) = card() else { return };
    let text = tempfile::Builder::new().suffix(".txt").tempfile().unwrap();
    let words = ["shift ", "and ", "add ", "is ", "all ", "it ", "takes, ", "said the ternary network.\n"];
    let sentence = |seed: u64| words[(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize % words.len()];
    std::fs::write(text.path(), (0..6000).map(sentence).collect::<String>()).unwrap();
    let with_bias = "name = 'biased'\n[data]\npath = 'builtin:digits'\nscaling = 'tensor'\ntest = 0.3\n[network]\ngroup = 20\n\
        layers = [{type='linear', outputs=100, bias=true}, {type='relu'}, {type='linear', outputs=60}, {type='rms-norm'}, \
        {type='relu'}, {type='linear', bias=true}]\n[training]\nepochs = 1\nbatch = 32\nloss = 'squared-error'\n";
    let mut cases = vec![("with biases, RMS norm and squared error", Config::from_toml(with_bias, "").unwrap())];
    for preset in ["digits-mlp", "text-mlp", "mnist-mlp-float"] {
        let mut config = Config::preset(preset).unwrap();
        config.data.path = Some(if preset == "text-mlp" { text.path().into() } else { "builtin:digits".into() });
        config.data.test = Some(0.3);
        config.training.batch = 64;
        if preset == "mnist-mlp-float" {
            config.training.rule = RuleName::Latent;
        }
        cases.push((preset, config));
    }
    for (name, config) in cases {
        let case = Case::new(config);
        let mut cpu = CpuBackend::new(&case.config, &case.network, &case.data.train);
        let mut cuda = case.on_card(&card, Placement::Auto);
        let (epochs, most) = (20, 30);
        let steps = most.min(case.data.train.len() as u64 / u64::from(case.config.training.batch));
        let [on_cpu, on_card] = [&mut cpu as &mut dyn Backend, &mut cuda].map(|backend| {
            let mut totals = Totals::default();
            for epoch in 0..epochs {
                backend.set_order(permutation(case.data.train.len(), 7, epoch)).unwrap();
                let total = epochs * steps;
                backend.train(Steps { first: epoch * steps, count: steps, total, epoch, ..Steps::default() }).unwrap();
                totals = backend.take_totals().unwrap();
            }
            totals.accuracy()
        });
        println!("{name}: {on_cpu:.4} of the last epoch's samples right on the CPU, {on_card:.4} on the card");
        assert!(on_cpu > 0.5 && (on_cpu - on_card).abs() < 0.03, "{name}: {on_cpu} {on_card}");
    }
}

/// Stops a run at its first chance, or never.
struct Stopping(bool);

impl Observer for Stopping {
    fn progress(&mut self, _: &Status) -> bool {
        self.0
    }

    fn epoch(&mut self, _: &Epoch) {}
}

#[test]
fn an_interrupted_run_ends_in_the_same_files() {
    let Some((card, _turn)) = card() else { return };
    let device = Resolved::Cuda { number: 0, card };
    let mut case = Case::digits(RuleName::FlipCorrelation);
    case.config.training.epochs = Some(4);
    let folder = tempfile::tempdir().unwrap();
    let files = |name: &str, interrupted: bool| {
        let folder = RunFolder::create(&folder.path().join(name), false).unwrap();
        folder.write_config(&case.config.to_toml().unwrap()).unwrap();
        if interrupted {
            let mut run = Run::new(&case.config, &case.data, &folder, &device).unwrap();
            assert_eq!(run.train(&mut Stopping(true)).unwrap(), Ending::Interrupted);
        }
        let mut run = Run::new(&case.config, &case.data, &folder, &device).unwrap();
        if interrupted {
            let bytes = checkpoint::read(&folder.checkpoint()).unwrap();
            run.restore(&StateReader::new(&bytes, &folder.checkpoint()).unwrap()).unwrap();
        }
        assert_eq!(run.train(&mut Stopping(false)).unwrap(), Ending::Finished);
        let outcome = run.finish().unwrap();
        assert_eq!((outcome.mismatches, outcome.differing_logits), (0, 0));
        assert!(outcome.accuracy().unwrap() > 0.9);
        (std::fs::read(folder.model()).unwrap(), std::fs::read(folder.checkpoint()).unwrap())
    };
    assert!(files("whole", false) == files("interrupted", true));
}

#[test]
fn augmentation_smoothing_and_warm_up_are_those_of_the_cpu() {
    let Some((card, _turn)) = card() else { return };
    let mut case = Case::digits(RuleName::FlipCorrelation);
    case.config.training.augmentation.shift = 2;
    case.config.training.label_smoothing = 0.1;
    case.config.training.warm_up = 1;
    let steps = |first, count| Steps { warm_up: 20, epoch: 3, ..case.steps(first, count) };
    let mut results = Vec::new();
    let mut cpu = CpuBackend::new(&case.config, &case.network, &case.data.train);
    let [mut once, mut again] = [Placement::Auto, Placement::Host].map(|placement| case.on_card(&card, placement));
    for backend in [&mut cpu as &mut dyn Backend, &mut once, &mut again] {
        backend.set_order(permutation(case.data.train.len(), 7, 0)).unwrap();
        backend.train(steps(0, 1)).unwrap();
        let first = backend.take_totals().unwrap();
        backend.train(steps(1, 29)).unwrap();
        results.push((first, backend.take_totals().unwrap(), state(backend)));
    }
    let [cpu, once, again] = &results[..] else { panic!() };
    assert!(once == again, "two runs on the card differ");
    // Before the first update all is exact but the logarithms of the losses.
    let (on_cpu, on_card) = (cpu.0, once.0);
    assert_eq!((on_cpu.correct, on_cpu.samples), (on_card.correct, on_card.samples));
    assert!((on_cpu.mean_loss() - on_card.mean_loss()).abs() < 1e-4, "first losses {on_cpu:?} {on_card:?}");
    let (on_cpu, on_card) = (cpu.1.mean_loss(), once.1.mean_loss());
    assert!((on_cpu - on_card).abs() < 0.05 * on_cpu, "losses {on_cpu} {on_card}");
}

#[test]
fn a_full_card_says_what_needed_how_much() {
    let Some((card, _turn)) = card() else { return };
    let error = card.zeros::<u64>("a test", 1 << 40).unwrap_err();
    assert!(matches!(error, CudaError::Memory { what: "a test", needed: 8_388_608, .. }), "{error:?}");
    assert!(error.to_string().contains("a test needs 8388608 MiB"), "{error}");
    let count = Card::count().unwrap();
    assert_eq!(Card::open(count).unwrap_err(), CudaError::Index { asked: count, count });
}
