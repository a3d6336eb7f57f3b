//! Convolutional networks train, export and run with the same integers, whatever layers they are of and whatever rule
//! moves them; and a run is the same bytes however often it is done, interrupted or divided among threads.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use serde_json::Value;
use std::path::Path;
use support::{json, trishift, words, write};
use trishift_format::Model;
use trishift_trainer::backend::Resolved;
use trishift_trainer::checkpoint::StateReader;
use trishift_trainer::config::Config;
use trishift_trainer::rule::RuleName;
use trishift_trainer::run::{self, Ending, Epoch, Observer, Run, RunFolder, Status};

/// Each layer that there is, in one network or the other.
const PARTS: &str = "{ type = 'conv2d', outputs = 12, kernel = 3, weights = 'int8' }, { type = 'shift-batch-norm' }, \
    { type = 'relu' }, \
    { type = 'residual', layers = [{ type = 'conv2d', outputs = 12, kernel = 3 }, { type = 'shift-batch-norm' }, \
      { type = 'relu' }, { type = 'conv2d', outputs = 12, kernel = 3 }, { type = 'shift-batch-norm' }] }, \
    { type = 'relu' }, \
    { type = 'concat', layers = [{ type = 'conv2d', outputs = 8, kernel = 3, stride = 2 }, \
      { type = 'shift-batch-norm' }], shortcut = [{ type = 'max-pool', kernel = 2 }] }, { type = 'relu' }, \
    { type = 'depthwise-conv2d', kernel = 3 }, { type = 'shift-batch-norm' }, { type = 'relu' }, \
    { type = 'pad', padding = [0, 0, 1, 0] }, { type = 'depthwise-conv2d', kernel = 2, padding = 'valid', weights = 'int8' }, \
    { type = 'shift-batch-norm' }, { type = 'avg-pool', kernel = [1, 3], stride = 1 }, { type = 'flatten' }, \
    { type = 'relu' }, { type = 'linear', outputs = 32 }, { type = 'shift-norm' }, { type = 'relu' }, \
    { type = 'linear', weights = 'int8', bias = true }";

/// Without norms but those of samples, and a sum that is not clamped at 0.
const BARE: &str = "{ type = 'max-pool', kernel = 2, stride = 1 }, \
    { type = 'conv2d', outputs = 16, kernel = 3 }, { type = 'shift-norm' }, { type = 'relu' }, \
    { type = 'residual', layers = [{ type = 'conv2d', outputs = 16, kernel = 1, bias = true }] }, \
    { type = 'conv2d', outputs = 16, kernel = 3, stride = 2, bias = true }, { type = 'relu' }, \
    { type = 'linear', bias = true }";

/// A small one, quick to train.
const SMALL: &str = "{ type = 'conv2d', outputs = 12, kernel = 3, stride = 2 }, { type = 'shift-batch-norm' }, \
    { type = 'relu' }, { type = 'depthwise-conv2d', kernel = 3 }, { type = 'shift-batch-norm' }, { type = 'relu' }, \
    { type = 'conv2d', outputs = 24, kernel = 1 }, { type = 'shift-batch-norm' }, { type = 'relu' }, \
    { type = 'linear', bias = true }";

fn config(layers: &str, training: &str) -> String {
    format!(
        "name = 'layers'\n[data]\npath = 'builtin:digits'\nscaling = 'tensor'\ntest = 0.3\n\
         [network]\ngroup = 8\nlayers = [{layers}]\n[training]\nbatch = 32\n{training}\n"
    )
}

fn train(layers: &str, training: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "net.toml", config(layers, training));
    json(folder.path(), "train --config net.toml --out run --json --quiet")
}

#[track_caller]
fn assert_exact(trained: &Value, accuracy: f64) {
    assert_eq!((&trained["mismatches"], &trained["differing_logits"]), (&0.into(), &0.into()), "{trained}");
    assert_eq!(trained["zeroed_trits"], 0, "{trained}");
    assert!(trained["accuracy"].as_f64().unwrap() >= accuracy, "{trained}");
}

#[test]
fn every_kind_of_layer_is_trained_as_it_runs() {
    assert_exact(&train(PARTS, "epochs = 12"), 0.95);
    assert_exact(&train(BARE, "epochs = 12"), 0.9);
}

/// The last layer's weights are the larger in the file for it, so that logits mean what they meant to the loss.
#[test]
fn finer_means_are_trained_as_they_run() {
    let folder = tempfile::tempdir().unwrap();
    for (index, last) in
        ["{ type = 'linear', bias = true }", "{ type = 'linear', weights = 'int8' }"].iter().enumerate()
    {
        let layers = SMALL.replace("{ type = 'linear', bias = true }", "{ type = 'global-avg-pool', extra-bits = 2 }");
        write(folder.path(), "net.toml", config(&format!("{layers}, {last}"), "epochs = 12"));
        let trained = json(folder.path(), &format!("train --config net.toml --out run{index} --json --quiet"));
        assert_exact(&trained, 0.6);
        let file = std::fs::read(folder.path().join(format!("run{index}/model.tsm"))).unwrap();
        let model = Model::parse(&file).unwrap();
        let before = model.operators().nth(model.operators().count() - 2).unwrap();
        assert_eq!(model.tensor(before.output()).exponent, -7, "the means");
        // Of an epoch that is not saturated: the file's loss is near that of training.
        let judged =
            json(folder.path(), &format!("eval run{index}/model.tsm --data builtin:digits --part train --json"));
        let line = std::fs::read_to_string(folder.path().join(format!("run{index}/metrics.jsonl"))).unwrap();
        let last: Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
        let [found, expected] = [&judged["loss"], &last["loss"]].map(|loss| loss.as_f64().unwrap());
        assert!((found / expected - 1.0).abs() < 0.25, "{found} {expected}");
    }
}

#[test]
fn every_rule_trains_convolutions() {
    for rule in RuleName::ALL {
        let trained = train(SMALL, &format!("epochs = 12\nrule = '{rule}'"));
        assert_eq!(trained["mismatches"], 0, "{rule}: {trained}");
        let least = match rule {
            RuleName::FlipCorrelation | RuleName::Latent | RuleName::StraightThrough => 0.9,
            _ => 0.25,
        };
        assert!(trained["accuracy"].as_f64().unwrap() >= least, "{rule}: {trained}");
        match rule {
            // The one rule whose exponents are rounded by the export.
            RuleName::Correlation => {}
            // Its exponents diverge, so that float32 no longer holds every bit of the sums.
            RuleName::Exponent => assert_eq!(trained["differing_classes"], 0, "{trained}"),
            _ => assert_eq!(trained["differing_logits"], 0, "{rule}: {trained}"),
        }
    }
}

#[test]
fn residual_presets_train() {
    let folder = tempfile::tempdir().unwrap();
    let pixels: Vec<u8> = (0..40 * 32 * 32 * 3u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let labels: Vec<u8> = (0..40u8).map(|i| i % 10).collect();
    write(folder.path(), "data/train-images-idx3-ubyte", support::idx(&[40, 32, 96], &pixels));
    write(folder.path(), "data/train-labels-idx1-ubyte", support::idx(&[40], &labels));
    let line = "train --preset resnet8 --width 0.25 --steps 8 --batch 8 --data data --json --quiet --out run";
    let trained = json(folder.path(), line);
    assert_exact(&trained, 0.0);
}

/// What a run leaves behind.
fn files(run: &Path) -> [Vec<u8>; 2] {
    ["model.tsm", "checkpoint.tsc"].map(|name| std::fs::read(run.join(name)).unwrap())
}

#[test]
fn threads_do_not_change_a_run() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "net.toml", config(PARTS, "steps = 60"));
    let [one, many] = ["1", "5"].map(|threads| {
        let line = format!("train --config net.toml --quiet --out run{threads}");
        trishift(folder.path(), words(&line)).env("RAYON_NUM_THREADS", threads).assert().success();
        files(&folder.path().join(format!("run{threads}")))
    });
    assert!(one == many);
}

/// Stops at the first look after this step.
struct StopAt(u64);

impl Observer for StopAt {
    fn progress(&mut self, status: &Status) -> bool {
        status.step >= self.0
    }

    fn epoch(&mut self, _: &Epoch) {}
}

#[test]
fn interrupted_runs_end_in_the_same_bytes() {
    let config = Config::from_toml(&config(PARTS, "steps = 80\nseed = 5"), "test").unwrap();
    let data = run::load(&config).unwrap();
    let place = tempfile::tempdir().unwrap();
    let whole = RunFolder::create(&place.path().join("whole"), false).unwrap();
    let mut run = Run::new(&config, &data, &whole, &Resolved::Cpu).unwrap();
    assert_eq!(run.train(&mut StopAt(u64::MAX)).unwrap(), Ending::Finished);
    run.finish().unwrap();
    let parts = RunFolder::create(&place.path().join("parts"), false).unwrap();
    // While statistics are the batch's, while shifts are frozen, while they are the running ones.
    for (number, stop) in [9, 57, 66, u64::MAX].into_iter().enumerate() {
        let mut run = Run::new(&config, &data, &parts, &Resolved::Cpu).unwrap();
        if number > 0 {
            let bytes = std::fs::read(parts.checkpoint()).unwrap();
            run.restore(&StateReader::new(&bytes, &parts.checkpoint()).unwrap()).unwrap();
        }
        let ending = run.train(&mut StopAt(stop)).unwrap();
        assert_eq!(ending == Ending::Finished, stop == u64::MAX);
        if ending == Ending::Finished {
            run.finish().unwrap();
        }
    }
    assert!(files(whole.path()) == files(parts.path()));
}
