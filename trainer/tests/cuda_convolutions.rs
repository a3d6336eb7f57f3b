//! Training convolutional networks on a card: the same beginning as on the CPU, the same forward pass, nearly the same
//! gradients, the same end in every run, and the exported file gives what training saw.
//!
//! Without a card every test says so and passes.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod card;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use trishift::Model;
use trishift_format::Layout;
use trishift_format::write::CheckpointWriter;
use trishift_trainer::backend::cpu::CpuBackend;
use trishift_trainer::backend::cuda::card::Card;
use trishift_trainer::backend::cuda::{CudaBackend, Placement};
use trishift_trainer::backend::{Backend, Resolved, Steps};
use trishift_trainer::checkpoint::{self, StateReader, Totals};
use trishift_trainer::config::Config;
use trishift_trainer::data::{Dataset, Prepared, permutation};
use trishift_trainer::evaluate::{self, Runtime};
use trishift_trainer::network::{Network, Stage};
use trishift_trainer::rule::RuleName;
use trishift_trainer::run::{self, Ending, Epoch, Observer, Run, RunFolder, Status};
use trishift_trainer::teacher::Teacher;

/// Every kind of layer, on images of 8 × 8 with one channel.
const EVERY_LAYER: &str = "
    {type='conv2d', outputs=8, kernel=3, weights='int8'}, {type='shift-batch-norm'}, {type='relu'},
    {type='residual', layers=[{type='conv2d', outputs=8, kernel=3}, {type='shift-batch-norm'}, {type='relu'},
        {type='depthwise-conv2d', kernel=3}, {type='shift-batch-norm'}]}, {type='relu'},
    {type='residual', layers=[{type='conv2d', outputs=20, kernel=1}, {type='shift-batch-norm'}, {type='relu'},
        {type='conv2d', outputs=20, kernel=3, stride=2, bias=true}],
        shortcut=[{type='conv2d', outputs=20, kernel=1, stride=2, bias=true, weights='int8'}]},
    {type='concat', layers=[{type='conv2d', outputs=5, kernel=[1, 3]}, {type='shift-batch-norm'}]}, {type='relu'},
    {type='pad', padding=[1, 0, 1, 2]}, {type='max-pool', kernel=2}, {type='avg-pool', kernel=2, stride=1},
    {type='conv2d', outputs=12, kernel=[2, 1]}, {type='shift-norm'}, {type='relu'},
    {type='flatten'}, {type='linear', outputs=30}, {type='shift-batch-norm'}, {type='relu'},
    {type='linear', outputs=24, bias=true}, {type='relu'}, {type='linear', weights='int8', bias=true}";

/// A small residual network that learns.
const RESIDUAL: &str = "
    {type='conv2d', outputs=16, kernel=3}, {type='shift-batch-norm'}, {type='relu'},
    {type='residual', layers=[{type='conv2d', outputs=16, kernel=3}, {type='shift-batch-norm'}, {type='relu'},
        {type='conv2d', outputs=16, kernel=3}, {type='shift-batch-norm'}]}, {type='relu'},
    {type='conv2d', outputs=32, kernel=3, stride=2}, {type='shift-batch-norm'}, {type='relu'},
    {type='global-avg-pool', extra-bits=2}, {type='linear'}";

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

    /// The built-in digits.
    fn digits(layers: &str, rule: RuleName) -> Self {
        let text = format!(
            "name = 'images'\n[data]\npath = 'builtin:digits'\nscaling = 'tensor'\ntest = 0.3\n\
             [network]\ngroup = 8\nlayers = [{layers}]\n[training]\nrule = '{rule}'\nepochs = 4\nbatch = 48\n"
        );
        Self::new(Config::from_toml(&text, "images").unwrap())
    }

    fn on_card(&self, card: &Arc<Card>, placement: Placement) -> CudaBackend<'_> {
        CudaBackend::new(card, &self.config, &self.network, &self.data.train, placement).unwrap()
    }

    fn on_cpu(&self) -> CpuBackend<'_> {
        CpuBackend::new(&self.config, &self.network, &self.data.train)
    }

    /// Updates of a run of 60, all in the first epoch's order.
    fn steps(&self, first: u64, count: u64) -> Steps {
        let per_epoch = self.data.train.len() as u64 / u64::from(self.config.training.batch);
        Steps { first, count, first_batch: first % per_epoch, total: 60, ..Steps::default() }
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

fn load(backend: &mut dyn Backend, state: &[u8]) {
    backend.load(&StateReader::new(state, Path::new("state")).unwrap()).unwrap();
}

/// Trains up to `count` steps, `stretch` at a time without passing an epoch's end, and gives state and totals.
fn trained(case: &Case, backend: &mut dyn Backend, count: u64, stretch: u64) -> (Vec<u8>, Totals) {
    backend.set_order(permutation(case.data.train.len(), 7, 0)).unwrap();
    let per_epoch = case.data.train.len() as u64 / u64::from(case.config.training.batch);
    let mut totals = Totals::default();
    let mut first = 0;
    while first < count {
        let next = stretch.min(count - first).min(per_epoch - first % per_epoch);
        backend.train(case.steps(first, next)).unwrap();
        totals.add(backend.take_totals().unwrap());
        first += next;
    }
    (state(backend), totals)
}

/// Logits of the test samples.
fn logits(case: &Case, backend: &mut dyn Backend) -> Vec<f32> {
    backend.logits(&case.data.test.dense(0..case.data.test.len())).unwrap()
}

/// How many of the exported file's logits differ from these.
fn differing_from_the_file(case: &Case, backend: &mut dyn Backend) -> usize {
    let exported =
        run::export_state(&case.config, &case.data, &case.network, backend.layers().unwrap(), Layout::Rows).unwrap();
    let model = Model::parse(&exported.file).unwrap();
    let samples = case.data.test.dense(0..case.data.test.len());
    let file = Runtime::new(&model).unwrap().logits(&samples).unwrap();
    let unit = exported.network.layers.last().unwrap().layer_unit();
    let found = backend.logits(&samples).unwrap();
    assert_eq!(file.len(), found.len());
    evaluate::rounded_logits(&file, &found, unit)
}

#[test]
fn both_backends_begin_alike_and_agree_before_the_first_vote() {
    let Some((card, _turn)) = card() else { return };
    for layers in [RESIDUAL, EVERY_LAYER] {
        let case = Case::digits(layers, RuleName::FlipCorrelation);
        let (mut cpu, mut cuda) = (case.on_cpu(), case.on_card(&card, Placement::Auto));
        assert!(state(&mut cpu) == state(&mut cuda), "the initial states differ");
        cuda.train(case.steps(1, 0)).unwrap();
        assert!(state(&mut cpu) == state(&mut cuda), "what went to the card does not come back");
        let (on_cpu, on_card) = (logits(&case, &mut cpu), logits(&case, &mut cuda));
        let differing = on_cpu.iter().zip(&on_card).filter(|(cpu, card)| cpu != card).count();
        assert_eq!(differing, 0, "of {} first logits", on_cpu.len());

        // The first step: norms are calibrated, the forward pass is exact, gradients are rounded to bfloat16 on the card.
        let results = [&mut cpu as &mut dyn Backend, &mut cuda].map(|backend| trained(&case, backend, 1, 1));
        let [(of_cpu, cpu_totals), (of_card, card_totals)] = &results;
        assert_eq!((cpu_totals.correct, cpu_totals.samples), (card_totals.correct, card_totals.samples));
        let (cpu_loss, card_loss) = (cpu_totals.mean_loss(), card_totals.mean_loss());
        assert!((cpu_loss - card_loss).abs() < 1e-4, "loss {cpu_loss} on the CPU, {card_loss} on the card");
        let [of_cpu, of_card] = [of_cpu, of_card].map(|bytes| StateReader::new(bytes, Path::new("state")).unwrap());
        for (index, stage) in case.network.stages.iter().enumerate() {
            let Stage { rows, batch_norm, .. } = *stage;
            if batch_norm {
                let name = |part: &str| format!("layer{index}.norm_{part}");
                let [cpu, card] = [&of_cpu, &of_card].map(|state| {
                    let shifts = state.i8s(&name("shift"), rows).unwrap();
                    let means = state.i32s(&name("mean"), rows).unwrap();
                    (shifts, means, state.i64s(&name("variance"), rows).unwrap())
                });
                assert_eq!(cpu, card, "norm of layer {index} after the first step");
            }
            // Votes of the first step: accumulators begin at 0.
            let votes = |state: &StateReader<'_>| -> Option<Vec<f64>> {
                let values = state.i8s(&format!("layer{index}.flips"), stage.weights()).ok()?;
                Some(values.into_iter().map(f64::from).collect())
            };
            let (Some(cpu), Some(card)) = (votes(&of_cpu), votes(&of_card)) else { continue };
            let size: f64 = cpu.iter().map(|vote| vote.abs()).sum();
            let distance: f64 = cpu.iter().zip(&card).map(|(cpu, card)| (cpu - card).abs()).sum();
            println!("layer {index}: votes {size}, of which {distance} differ");
            assert!(size > 0.0 && distance < 0.2 * size, "layer {index}: votes {size}, of which {distance} differ");
        }
    }
}

#[test]
fn one_state_gives_the_same_logits_everywhere() {
    let Some((card, _turn)) = card() else { return };
    for (layers, rule) in [
        (EVERY_LAYER, RuleName::FlipCorrelation),
        (RESIDUAL, RuleName::FlipCorrelation),
        (RESIDUAL, RuleName::Latent),
        (RESIDUAL, RuleName::IntegratingCorrelation),
        (EVERY_LAYER, RuleName::StraightThrough),
    ] {
        let case = Case::digits(layers, rule);
        for (by, count) in [("the CPU", 5), ("the card", 5), ("the card", 60)] {
            let (mut cpu, mut cuda) = (case.on_cpu(), case.on_card(&card, Placement::Auto));
            if by == "the CPU" {
                let (state, _) = trained(&case, &mut cpu, count, count);
                load(&mut cuda, &state);
            } else {
                let (state, _) = trained(&case, &mut cuda, count, 16);
                load(&mut cpu, &state);
            }
            let (on_cpu, on_card) = (logits(&case, &mut cpu), logits(&case, &mut cuda));
            let differing = on_cpu.iter().zip(&on_card).filter(|(cpu, card)| cpu != card).count();
            let len = on_cpu.len();
            assert_eq!(differing, 0, "{rule}: of {len} logits of both backends, after {count} steps on {by}");
            let differing = differing_from_the_file(&case, &mut cuda);
            assert_eq!(differing, 0, "{rule}: of {len} logits of card and file, after {count} steps on {by}");
        }
    }
}

#[test]
fn runs_repeat_bit_for_bit() {
    let Some((card, _turn)) = card() else { return };
    for augmented in [false, true] {
        let mut case = Case::digits(EVERY_LAYER, RuleName::FlipCorrelation);
        if augmented {
            case.config.training.augmentation.crop = 2;
            case.config.training.augmentation.flip = true;
            case.config.training.augmentation.cutout = 3;
        }
        let once = trained(&case, &mut case.on_card(&card, Placement::Card), 60, 60);
        assert!(once.1.loss > 0 && once.1.loss < i64::MAX, "{:?}", once.1);
        let what = if augmented { "augmented" } else { "plain" };
        assert!(once == trained(&case, &mut case.on_card(&card, Placement::Card), 60, 60), "{what} again");
        assert!(once == trained(&case, &mut case.on_card(&card, Placement::Card), 60, 1), "{what} step by step");
        // The host changes streamed samples, kernels those on the card.
        assert!(once == trained(&case, &mut case.on_card(&card, Placement::Host), 60, 20), "{what} streamed");
    }
}

#[test]
fn a_loaded_state_goes_on_as_if_nothing_had_happened() {
    let Some((card, _turn)) = card() else { return };
    let case = Case::digits(EVERY_LAYER, RuleName::FlipCorrelation);
    let (whole, _) = trained(&case, &mut case.on_card(&card, Placement::Auto), 20, 20);
    let (half, _) = trained(&case, &mut case.on_card(&card, Placement::Auto), 9, 9);
    let mut backend = case.on_card(&card, Placement::Auto);
    load(&mut backend, &half);
    backend.set_order(permutation(case.data.train.len(), 7, 0)).unwrap();
    backend.train(case.steps(9, 11)).unwrap();
    assert!(whole == state(&mut backend), "resumed after 9 steps");
    // The CPU takes it as well.
    let mut cpu = case.on_cpu();
    load(&mut cpu, &whole);
    assert!(whole == state(&mut cpu), "on the CPU");
}

#[test]
fn both_backends_learn_alike() {
    let Some((card, _turn)) = card() else { return };
    for (name, layers) in [("residual", RESIDUAL), ("every layer", EVERY_LAYER)] {
        let case = Case::digits(layers, RuleName::FlipCorrelation);
        let per_epoch = case.data.train.len() as u64 / u64::from(case.config.training.batch);
        let (mut cpu, mut cuda) = (case.on_cpu(), case.on_card(&card, Placement::Auto));
        let epochs = 10;
        let [on_cpu, on_card] = [&mut cpu as &mut dyn Backend, &mut cuda].map(|backend| {
            let mut totals = Totals::default();
            for epoch in 0..epochs {
                backend.set_order(permutation(case.data.train.len(), 7, epoch)).unwrap();
                let (first, total) = (epoch * per_epoch, epochs * per_epoch);
                backend.train(Steps { first, count: per_epoch, total, epoch, ..Steps::default() }).unwrap();
                totals = backend.take_totals().unwrap();
            }
            totals.accuracy()
        });
        println!("{name}: {on_cpu:.4} of the last epoch's samples right on the CPU, {on_card:.4} on the card");
        assert!(on_cpu > 0.6 && (on_cpu - on_card).abs() < 0.06, "{name}: {on_cpu} {on_card}");
    }
}

/// A teacher beside the network that learns: the same loss and nearly the same votes as on the CPU, and runs that repeat,
/// wherever the samples lie.
#[test]
fn both_backends_are_taught_alike() {
    let Some((card, _turn)) = card() else { return };
    let folder = tempfile::tempdir().unwrap();
    let train = |case: &Case, name: &str| {
        let folder = RunFolder::create(&folder.path().join(name), false).unwrap();
        let mut run = Run::new(&case.config, &case.data, &folder, &Resolved::Cpu).unwrap();
        assert_eq!(run.train(&mut Stopping(false)).unwrap(), Ending::Finished);
        folder.path().to_path_buf()
    };
    let of_images = train(&Case::digits(RESIDUAL, RuleName::FlipCorrelation), "images");
    let perceptron = "{type='linear', outputs=64}, {type='shift-norm'}, {type='relu'}, {type='linear'}";
    let of_rows = train(&Case::digits(perceptron, RuleName::FlipCorrelation), "rows");
    for (layers, teacher) in [(EVERY_LAYER, &of_images), (EVERY_LAYER, &of_rows), (perceptron, &of_images)] {
        let mut case = Case::digits(layers, RuleName::FlipCorrelation);
        case.config.training.distillation.teacher = Some(teacher.clone());
        let teacher = Teacher::open(&case.config.training.distillation, &case.data).unwrap().unwrap();
        let taught = |placement| {
            let (network, data) = (&case.network, &case.data.train);
            CudaBackend::with_teacher(&card, &case.config, network, data, placement, Some(&teacher)).unwrap()
        };
        let mut cpu = case.on_cpu().with_teacher(&teacher).unwrap();
        let (_, on_cpu) = trained(&case, &mut cpu, 1, 1);
        let (_, on_card) = trained(&case, &mut taught(Placement::Auto), 1, 1);
        assert_eq!((on_cpu.correct, on_cpu.samples), (on_card.correct, on_card.samples));
        let (of_cpu, of_card) = (on_cpu.mean_loss(), on_card.mean_loss());
        let (_, alone) = trained(&case, &mut case.on_card(&card, Placement::Auto), 1, 1);
        println!("loss {of_cpu} on the CPU, {of_card} on the card, {} without a teacher", alone.mean_loss());
        assert!((of_cpu - of_card).abs() < 1e-3, "loss {of_cpu} on the CPU, {of_card} on the card");
        assert!((alone.mean_loss() - of_card).abs() > 0.1);
        let once = trained(&case, &mut taught(Placement::Card), 60, 60);
        assert!(once == trained(&case, &mut taught(Placement::Card), 60, 7), "again");
        assert!(once == trained(&case, &mut taught(Placement::Host), 60, 20), "streamed");
        let (_, of_cpu) = trained(&case, &mut case.on_cpu().with_teacher(&teacher).unwrap(), 60, 60);
        let (of_cpu, of_card) = (of_cpu.mean_loss(), once.1.mean_loss());
        assert!(
            (of_cpu - of_card).abs() < 0.2 * of_cpu,
            "loss over 60 steps: {of_cpu} on the CPU, {of_card} on the card"
        );
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
    let case = Case::digits(RESIDUAL, RuleName::FlipCorrelation);
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
        println!("{name}: accuracy {:?}", outcome.accuracy());
        assert_eq!((outcome.mismatches, outcome.differing_logits), (0, 0));
        assert!(outcome.accuracy().unwrap() > 0.5);
        (std::fs::read(folder.model()).unwrap(), std::fs::read(folder.checkpoint()).unwrap())
    };
    assert!(files("whole", false) == files("interrupted", true));
}

#[test]
fn what_a_card_lacks_is_refused_in_a_sentence() {
    let Some((card, _turn)) = card() else { return };
    let mut case = Case::digits(RESIDUAL, RuleName::StraightThrough);
    drop(case.on_card(&card, Placement::Auto));
    case.network.activations = trishift_trainer::config::Activations::Float;
    let backend = CudaBackend::new(&card, &case.config, &case.network, &case.data.train, Placement::Auto);
    let error = backend.err().unwrap().to_string();
    assert!(error.contains("float activations") && error.contains("--device cpu"), "{error}");
}

/// Not a check of anything but that all numbers are finite: prints how fast the presets train on random samples.
#[test]
#[ignore = "measures"]
fn presets_train_this_fast() {
    let Some((card, _turn)) = card() else { return };
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for (preset, batch) in [("resnet8", 256), ("resnet8", 1024), ("dscnn", 256), ("mobilenet-v1-025", 256)] {
        let mut config = Config::preset(preset).unwrap();
        config.training.batch = batch;
        let network = Network::without_data(&config).unwrap();
        let (shape, count) = (network.input_shape(), 32 * batch as usize);
        let samples = (0..count * network.inputs()).map(|_| random.next_u32() as i8).collect();
        let labels = (0..count).map(|_| (random.next_u32() as usize % network.outputs()) as u16).collect();
        let data = Dataset { shape, stride: network.inputs(), samples, labels };
        let mut backend = CudaBackend::new(&card, &config, &network, &data, Placement::Auto).unwrap();
        backend.set_order((0..count as u32).collect()).unwrap();
        let train = |backend: &mut CudaBackend<'_>, round: u64| {
            let steps = Steps { first: 32 * round, count: 32, total: 1 << 20, ..Steps::default() };
            backend.train(steps).unwrap();
        };
        (0..2).for_each(|round| train(&mut backend, round));
        backend.take_totals().unwrap();
        let (started, rounds) = (Instant::now(), 10);
        (2..2 + rounds).for_each(|round| train(&mut backend, round));
        let totals = backend.take_totals().unwrap();
        let rate = totals.samples as f64 / started.elapsed().as_secs_f64();
        let step = 1e3 * f64::from(batch) / rate;
        println!("{preset}, batch {batch}: {rate:.0} samples/s, {step:.3} ms a step, loss {:.3}", totals.mean_loss());
        println!("{:?}", backend.memory());
        assert!(totals.loss > 0 && totals.loss < i64::MAX, "{totals:?}");
    }
}
