//! Images in PNG from files to an exported model, and what changes them on the way.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use png::ColorType;
use std::path::Path;
use support::{json, png, write};
use trishift::Model;
use trishift_format::InputScale;
use trishift_trainer::backend::Resolved;
use trishift_trainer::checkpoint::{self, StateReader};
use trishift_trainer::config::Config;
use trishift_trainer::run::{self, Ending, Epoch, Observer, Run, RunFolder, Status};

/// The layers of mnist-mlp, smaller.
const NETWORK: &str = r#"
name = "colours"
[data]
path = "sheets"
scaling = "image"
[network]
group = 8
layers = [{ type = "linear", outputs = 16 }, { type = "shift-norm" }, { type = "relu" }, { type = "linear" }]
[training]
epochs = 3
batch = 8
"#;

/// An image of 4 × 4 pixels in which the channel of its class is the brightest, and the class.
fn image(number: usize) -> ([u8; 48], usize) {
    let class = number * 7 % 3;
    let noise = |value: usize| (number * 31 + value * 17) % 50;
    let pixel = |value: usize| (if value % 3 == class { 200 } else { 40 }) + noise(value);
    (std::array::from_fn(|value| pixel(value) as u8), class)
}

/// A sheet of the images of these numbers.
fn sheet(numbers: std::ops::Range<usize>) -> Vec<u8> {
    let pixels: Vec<u8> = numbers.clone().flat_map(|number| image(number).0).collect();
    png(numbers.len() as u32, ColorType::Rgb, &pixels)
}

fn labels(numbers: std::ops::Range<usize>) -> String {
    let labels: Vec<usize> = numbers.map(|number| image(number).1).collect();
    format!("{labels:?}")
}

/// 96 images to train on in two sheets and 24 to test on.
fn write_sheets(folder: &Path) {
    write(folder, "sheets/data_batch_1.png", sheet(0..40));
    write(folder, "sheets/data_batch_2.png", sheet(40..96));
    write(folder, "sheets/train_lables.json", labels(0..96));
    write(folder, "sheets/test_batch.png", sheet(96..120));
    write(folder, "sheets/test_lables.json", labels(96..120));
}

#[test]
fn a_preset_trains_on_sheets() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_sheets(path);
    let trained = json(path, "train --preset mnist-mlp --data sheets --batch 8 --epochs 10 --out run --json");
    assert!(trained["accuracy"].as_f64().unwrap() > 0.9, "{trained}");
    assert_eq!((&trained["samples"], &trained["mismatches"]), (&24.into(), &0.into()));
    assert_eq!(trained.get("validation_accuracy"), None);
}

#[test]
fn folders_of_classes_are_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    for number in 0..96 {
        let (pixels, class) = image(number);
        write(path, &format!("classes/{class}/{number}.png"), png(4, ColorType::Rgb, &pixels));
    }
    let trained = json(path, "train --preset mnist-mlp --data classes --batch 8 --epochs 10 --out run --json");
    assert!(trained["accuracy"].as_f64().unwrap() > 0.9, "{trained}");
    // A fifth of 96.
    assert_eq!(trained["samples"], 19);
}

#[test]
fn pixels_less_128_are_what_the_model_file_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_sheets(path);
    let validated = NETWORK.replace("\"image\"", "\"image\"\nvalidation = 0.25");
    write(path, "net.toml", validated);
    let trained = json(path, "train --config net.toml --warm-up 1 --label-smoothing 0.1 --out run --json");
    let file = std::fs::read(path.join("run/model.tsm")).unwrap();
    let scales: Vec<InputScale> = Model::parse(&file).unwrap().input_scales().collect();
    assert_eq!(scales, [InputScale { zero_mantissa: 128, zero_exponent: 0, shift: 0 }]);
    let judged = json(path, "eval run/model.tsm --data sheets --json");
    for key in ["accuracy", "samples", "loss"] {
        assert_eq!(judged[key], trained[key], "{key}");
    }
    let validated = json(path, "eval run/model.tsm --data sheets --part validation --json");
    assert_eq!((&validated["samples"], &validated["accuracy"]), (&24.into(), &trained["validation_accuracy"]));
    let metrics = std::fs::read_to_string(path.join("run/metrics.jsonl")).unwrap();
    assert!(metrics.lines().all(|line| line.contains("\"validation_accuracy\":")), "{metrics}");
}

/// Stops a run at the first look, or never.
struct Stopping(bool);

impl Observer for Stopping {
    fn progress(&mut self, _: &Status) -> bool {
        self.0
    }

    fn epoch(&mut self, _: &Epoch) {}
}

/// Trains on the sheets in `folder`, stopped as often as a run lets itself be; gives the bytes of the model.
fn model(folder: &Path, network: &str, stopping: bool) -> Vec<u8> {
    let mut config = Config::from_toml(network, "").unwrap();
    config.data.path = Some(folder.join("sheets"));
    assert_eq!(Config::from_toml(&config.to_toml().unwrap(), "").unwrap(), config);
    let data = run::load(&config).unwrap();
    assert_eq!(data.train.shape, [4, 4, 3]);
    let run_folder = RunFolder::create(&folder.join("run"), true).unwrap();
    let mut stops = 0;
    loop {
        let mut run = Run::new(&config, &data, &run_folder, &Resolved::Cpu).unwrap();
        if stops > 0 {
            let bytes = checkpoint::read(&run_folder.checkpoint()).unwrap();
            run.restore(&StateReader::new(&bytes, &run_folder.checkpoint()).unwrap()).unwrap();
        }
        match run.train(&mut Stopping(stopping)).unwrap() {
            Ending::Interrupted => stops += 1,
            Ending::Finished => {
                run.finish().unwrap();
                assert!(stops > 10 || !stopping, "stopped {stops} times");
                return std::fs::read(run_folder.model()).unwrap();
            }
        }
    }
}

#[test]
fn an_interrupted_run_sees_the_same_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_sheets(path);
    let plain = model(path, NETWORK, false);
    let mut seen = vec![plain];
    for augmentation in ["crop = 2", "shift = 2", "flip = true", "cutout = 2", "shift = 1\nflip = true\ncutout = 1"] {
        let network = format!("{NETWORK}warm-up = 1\nlabel-smoothing = 0.1\n[training.augmentation]\n{augmentation}\n");
        let whole = model(path, &network, false);
        assert!(model(path, &network, true) == whole, "{augmentation}");
        assert!(!seen.contains(&whole), "{augmentation} changes nothing");
        seen.push(whole);
    }
}
