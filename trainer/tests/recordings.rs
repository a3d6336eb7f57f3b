//! Recordings in WAV from files to an exported model, and what is made of them on the way.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use hound::{SampleFormat, WavSpec, WavWriter};
use std::path::Path;
use support::{json, output, write};
use trishift::Model;
use trishift_trainer::config::Config;
use trishift_trainer::run;

/// A small network of recordings of a fifth of a second.
const NETWORK: &str = r#"
name = "tones"
[data]
scaling = "tensor"
[data.audio]
sample-rate = 8000
window = 256
hop = 160
bands = 16
low = 100
high = 3800
frames = 10
[network]
group = 8
layers = [
    { type = "conv2d", outputs = 16, kernel = [3, 1], padding = "valid" },
    { type = "shift-batch-norm" },
    { type = "relu" },
    { type = "global-avg-pool" },
    { type = "linear" },
]
[training]
epochs = 6
batch = 8
[training.audio]
copies = 3
speed = 0.05
tempo = 0.1
tilt-db = 3
shift-ms = 20
gain-db = [-6, 6]
noise-db = [20, 40]
"#;

/// Frequencies of the tones, one a class, in hertz.
const TONES: [(&str, f64); 3] = [("low", 300.0), ("middle", 900.0), ("high", 2200.0)];

/// A tone of `seconds` with silence around it, in this format.
fn tone(frequency: f64, seconds: f64, number: usize, spec: WavSpec) -> Vec<u8> {
    let rate = f64::from(spec.sample_rate);
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    let steps = (seconds * rate) as usize;
    for step in 0..steps {
        let is_heard = (steps / 6..steps - steps / 6).contains(&step);
        let detuned = frequency * (1.0 + 0.01 * (number % 5) as f64);
        let angle = 2.0 * std::f64::consts::PI * detuned * step as f64 / rate;
        let value = if is_heard { angle.sin() * 0.3 / (1 + number % 3) as f64 } else { 0.0 };
        for _ in 0..spec.channels {
            let full = f64::from(1u32 << (spec.bits_per_sample - 1));
            match spec.sample_format {
                SampleFormat::Float => writer.write_sample(value as f32).unwrap(),
                SampleFormat::Int => writer.write_sample((value * full) as i32).unwrap(),
            }
        }
    }
    writer.finalize().unwrap();
    file.into_inner()
}

/// One of the formats that recordings come in.
fn spec(number: usize) -> WavSpec {
    let formats = [(8_000, 16, 1), (44_100, 24, 2), (16_000, 8, 1), (22_050, 32, 2), (8_000, 16, 2)];
    let (sample_rate, bits_per_sample, channels) = formats[number % formats.len()];
    let sample_format = if bits_per_sample == 32 { SampleFormat::Float } else { SampleFormat::Int };
    WavSpec { channels, sample_rate, bits_per_sample, sample_format }
}

/// A recording of a class: longer and shorter ones than the network takes.
fn recording(class: usize, number: usize) -> Vec<u8> {
    tone(TONES[class].1, 0.1 + 0.03 * (number % 7) as f64, number, spec(number))
}

/// 20 recordings of each class in one folder, called `CLASS_SPEAKER_INDEX.wav`, of two speakers.
fn write_named(folder: &Path) {
    for (class, (name, _)) in TONES.iter().enumerate() {
        for number in 0..20 {
            let speaker = ["ada", "bo"][number % 2];
            write(folder, &format!("data/recordings/{name}_{speaker}_{}.wav", number / 2), recording(class, number));
        }
    }
    write(folder, "data/readme.txt", "what was recorded where");
}

#[test]
fn folders_of_classes_train_and_the_file_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "net.toml", NETWORK);
    for (class, (name, _)) in TONES.iter().enumerate() {
        for number in 0..18 {
            let part = if number % 3 == 2 { "test" } else { "train" };
            write(path, &format!("data/{part}/{name}/{number}.wav"), recording(class, number));
        }
    }
    let trained = json(path, "train --config net.toml --data data --out run --json");
    assert!(trained["accuracy"].as_f64().unwrap() > 0.9, "{trained}");
    assert_eq!((&trained["samples"], &trained["mismatches"]), (&18.into(), &0.into()));

    let file = std::fs::read(path.join("run/model.tsm")).unwrap();
    let model = Model::parse(&file).unwrap();
    assert_eq!(model.input().shape, [10, 1, 16]);
    for (key, value) in [("audio-sample-rate", "8000"), ("audio-window", "256"), ("audio-bands", "16")] {
        assert_eq!(model.properties().get(key), Some(value), "{key}");
    }
    // The file alone says how features are made.
    let judged = json(path, "eval run/model.tsm --data data --json --confusion");
    for key in ["accuracy", "samples", "loss"] {
        assert_eq!(judged[key], trained[key], "{key}");
    }
    assert_eq!(judged["confusion"]["classes"], serde_json::json!(["high", "low", "middle"]));
    let counts = judged["confusion"]["counts"].as_array().unwrap();
    let of = |row: usize, column: usize| counts[row][column].as_u64().unwrap();
    assert_eq!((0..3).map(|class| of(class, class)).sum::<u64>(), judged["correct"].as_u64().unwrap());
    assert!((0..3).all(|row| (0..3).map(|column| of(row, column)).sum::<u64>() == 6), "{counts:?}");
    let table = output(path, "eval run/model.tsm --data data --confusion");
    assert!(table.lines().last().unwrap().starts_with("middle"), "{table}");
}

#[test]
fn names_say_what_is_tested_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "net.toml", NETWORK);
    write_named(path);
    for (condition, tested) in [("speaker=ada", 30), ("index=0-2,9", 24)] {
        let line = format!(
            "train --config net.toml --data data --test-where {condition} --validation 0.2 --overwrite --out run --json"
        );
        let trained = json(path, &line);
        assert_eq!(trained["samples"], tested, "{condition}");
        assert!(trained["accuracy"].as_f64().unwrap() > 0.9, "{trained}");
        let judged = json(path, "eval run/model.tsm --data data --json");
        assert_eq!((&judged["samples"], &judged["accuracy"]), (&tested.into(), &trained["accuracy"]));
        let validated = json(path, "eval run/model.tsm --data data/recordings --part validation --json");
        assert_eq!(validated["accuracy"], trained["validation_accuracy"]);
        // Another part to test on, or none: then a fifth of all.
        let other = json(path, "eval run/model.tsm --data data --test-where index=7 --json");
        assert_eq!(other["samples"], 6);
    }
    let command = support::trishift(path, ["eval", "run/model.tsm", "--data", "data", "--test-where", "", "--json"]);
    let bytes = { command }.assert().success().get_output().stdout.clone();
    assert!(String::from_utf8(bytes).unwrap().contains("\"samples\":12,"));
}

fn config(folder: &Path, change: impl Fn(&mut Config)) -> Config {
    let mut config = Config::from_toml(NETWORK, "").unwrap();
    config.data.path = Some(folder.join("data"));
    config.data.audio.as_mut().unwrap().test_where = Some("speaker=bo".into());
    config.data.validation = 0.2;
    change(&mut config);
    config
}

#[test]
fn copies_are_of_the_training_part_alone() {
    let folder = tempfile::tempdir().unwrap();
    write_named(folder.path());
    let plain = run::load(&config(folder.path(), |config| config.training.audio = Default::default())).unwrap();
    assert_eq!([plain.train.len(), plain.validation.len(), plain.test.len()], [24, 6, 30]);
    let seen = std::sync::Mutex::new(Vec::new());
    let changed = config(folder.path(), |_| {});
    let copied = run::load_watched(&changed, &|made, total| seen.lock().unwrap().push((made, total))).unwrap();
    assert_eq!(copied.train.len(), 24 * 4);
    assert_eq!((&copied.validation, &copied.test, &copied.scales), (&plain.validation, &plain.test, &plain.scales));
    // The recordings themselves come first, then copies of all of them, again and again.
    assert_eq!(copied.train.samples[..plain.train.samples.len()], plain.train.samples);
    assert_eq!(copied.train.labels, plain.train.labels.repeat(4));
    let rows: Vec<&[i8]> = (0..copied.train.len()).map(|index| copied.train.row(index)).collect();
    assert!((24..96).all(|index| rows[index] != rows[index % 24]), "a copy is its recording");
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (1..=72).map(|made| (made, 72)).collect::<Vec<_>>());
    // The same again for the same seed, whatever the threads did; others for another.
    assert_eq!(run::load(&changed).unwrap(), copied);
    let other = run::load(&config(folder.path(), |config| config.training.seed = 2)).unwrap();
    assert_ne!(other.train.samples, copied.train.samples);
    assert_eq!(other.validation, plain.validation);
}

#[test]
fn silence_and_the_unknown_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    write_named(folder.path());
    let data = run::load(&config(folder.path(), |config| {
        let audio = config.data.audio.as_mut().unwrap();
        audio.silence = 0.2;
        audio.unknown = vec!["low".into(), "middle".into()];
        config.data.validation = 0.0;
    }))
    .unwrap();
    assert_eq!(data.classes, ["_silence_", "_unknown_", "high"]);
    let count = |labels: &[u16], class: u16| labels.iter().filter(|label| **label == class).count();
    let [train, test] = [&data.train.labels, &data.test.labels];
    assert_eq!([0, 1, 2].map(|class| count(train, class)), [6 * 4, 20 * 4, 10 * 4]);
    assert_eq!([0, 1, 2].map(|class| count(test, class)), [6, 20, 10]);
}

#[test]
fn balanced_classes_train() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_named(path);
    let network = NETWORK.replace("batch = 8\n", "batch = 8\nclass-weights = \"balanced\"\n");
    write(path, "net.toml", &network);
    // Few of one class.
    for number in 3..10 {
        for speaker in ["ada", "bo"] {
            std::fs::remove_file(path.join(format!("data/recordings/high_{speaker}_{number}.wav"))).unwrap();
        }
    }
    let line = "train --config net.toml --data data --test-where speaker=bo --out run --json";
    let balanced = json(path, line);
    assert!(balanced["accuracy"].as_f64().unwrap() > 0.9, "{balanced}");
    write(path, "net.toml", NETWORK);
    let even = json(path, &line.replace("run", "other"));
    assert_ne!(even["loss"], balanced["loss"]);
    write(path, "net.toml", network.replace("\"balanced\"", "{ high = 3, low = 0.5 }"));
    let weighed = json(path, &line.replace("run", "third"));
    assert!(weighed["accuracy"].as_f64().unwrap() > 0.9, "{weighed}");
}

/// What a device hears: the model as it was trained and as it streams hear the same, and each tone once.
#[test]
fn tones_are_heard_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write_named(path);
    write(path, "net.toml", NETWORK.replace("frames = 10\n", "frames = 10\nsilence = 0.4\n"));
    let trained = json(path, "train --config net.toml --data data --out run --json");
    assert!(trained["accuracy"].as_f64().unwrap() > 0.9, "{trained}");
    // Half a second of quiet, then a tone of 0.4 seconds, and so on.
    let spec = WavSpec { channels: 1, sample_rate: 16_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut file, spec).unwrap();
    for class in [2, 0, 1, 0] {
        for step in 0..14_400 {
            let angle = 2.0 * std::f64::consts::PI * TONES[class].1 * f64::from(step) / 16_000.0;
            writer.write_sample(if step < 8_000 { 0 } else { (angle.sin() * 6_000.0) as i16 }).unwrap();
        }
    }
    writer.finalize().unwrap();
    write(path, "tones.wav", file.into_inner());

    let settings = "--smoothing 0.1 --threshold 0.6 --release 0.5 --pause 0.2 --json";
    let heard = json(path, &format!("listen run/model.tsm tones.wav {settings} --picture heard.svg"));
    let detections = heard["detections"].as_array().unwrap();
    let labels: Vec<&str> = detections.iter().map(|detection| detection["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["high", "low", "middle", "low"], "{heard}");
    for (number, detection) in detections.iter().enumerate() {
        let from = 0.9 * number as f64 + 0.5;
        let seconds = detection["seconds"].as_f64().unwrap();
        assert!(from < seconds && seconds < from + 0.5, "{heard}");
    }
    assert_eq!(heard["seconds"], 3.6);
    let picture = std::fs::read_to_string(path.join("heard.svg")).unwrap();
    assert!(labels.iter().all(|label| picture.contains(label)), "a detection is missing in the picture");
    json(path, "export run --stream --out stream.tsm --json");
    assert_eq!(json(path, &format!("listen stream.tsm tones.wav {settings}")), heard);
    json(path, "export run --stream=2 --out two.tsm --json");
    let coarse = json(path, &format!("listen two.tsm tones.wav {settings}"));
    assert_eq!(coarse["detections"].as_array().unwrap().len(), 4, "{coarse}");
    let table =
        output(path, "listen run/model.tsm tones.wav --smoothing 0.1 --threshold 0.6 --release 0.5 --pause 0.2");
    assert!(table.ends_with("4 detections in 3.60 seconds\n"), "{table}");

    output(path, "export --preset mnist-cnn --out image.tsm");
    for (line, part) in [
        ("listen run/model.tsm tones.wav --picture heard.svg", "heard.svg exists"),
        ("listen run/model.tsm missing.wav", "missing.wav"),
        ("listen run/model.tsm net.toml", "net.toml"),
        ("listen image.tsm tones.wav", "says nothing about sound"),
        ("listen run/model.tsm tones.wav --threshold 0", "the threshold is 0"),
        ("listen run/model.tsm tones.wav --smoothing 60", "smoothing is 60 seconds"),
    ] {
        let assert = support::trishift(path, support::words(line)).assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.contains(part) && message.lines().count() == 1, "{line}: {message}");
    }
}
