//! How well a model listens: recordings of words, one behind the other with noise between them, as one stream.
//!
//! `listening-study MODEL FOLDER CONDITION [NOISE]` takes a model of recordings, a folder of recordings called
//! `LABEL_SPEAKER_INDEX.wav`, and which of them to say, such as `index=0-4`. NOISE is the root mean square of the white noise
//! between them, 20 where it is left out. The order of the words, the pauses of 0.6 to 1.6 seconds and the noise are
//! the same on every machine. A minute of noise alone follows.
//!
//! First, each of the recordings by itself: the model's scores of the window that it makes, and those of the model made to
//! stream after as many rows; how many integers differ is in the first line of JSON.
//!
//! A word is detected where its class is, once, between its beginning and 0.9 seconds after its end. Every other detection
//! is a false one. Prints one more line of JSON for each pair of smoothing and threshold.

use anyhow::{Context, bail};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use serde_json::json;
use std::path::{Path, PathBuf};
use trishift::audio::AudioConfig;
use trishift::{Engine, HeapArena, Model};
use trishift_trainer::data::audio::{self, Condition, LABEL, Pattern};
use trishift_trainer::export;
use trishift_trainer::listen::{self, Event, Heard, Settings};

/// Smoothing in seconds, and threshold.
const SETTINGS: [(f64, f64); 4] = [(0.2, 0.7), (0.3, 0.8), (0.4, 0.8), (0.4, 0.9)];

/// Seconds after a word's end in which it may be detected.
const PATIENCE: f64 = 0.9;

/// A recording, in samples of the model's rate.
struct Recording {
    label: String,
    samples: Vec<i16>,
}

/// A word in the stream, in seconds.
struct Word {
    start: f64,
    end: f64,
    label: String,
}

/// Samples, the words among them, and seconds without any.
struct Stream {
    samples: Vec<i16>,
    words: Vec<Word>,
    quiet: f64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, folder, condition, level) = match arguments.as_slice() {
        [model, folder, condition] => (model, folder, condition, 20.0),
        [model, folder, condition, noise] => (model, folder, condition, noise.parse().context("NOISE is no number")?),
        _ => bail!("usage: listening-study MODEL FOLDER CONDITION [NOISE]"),
    };
    let file = std::fs::read(model).with_context(|| format!("cannot read {model}"))?;
    let model = Model::parse(&file)?;
    let rate = listen::sample_rate(&model)?;
    let recordings = recordings(Path::new(folder), &condition.parse()?, rate)?;
    let (differing, integers) = compare(&model, &recordings)?;
    println!("{}", json!({ "recordings": recordings.len(), "scores": integers, "differing": differing }));
    let stream = stream(&recordings, rate, level);
    for (smoothing, threshold) in SETTINGS {
        let settings = Settings { smoothing, threshold, ..Settings::default() };
        let heard = listen::listen(&model, &stream.samples, &settings)?;
        let (detected, in_words, in_noise) = judge(&stream, &heard);
        let line = json!({
            "smoothing": smoothing,
            "threshold": threshold,
            "noise": level,
            "words": stream.words.len(),
            "detected": detected,
            "false_at_words": in_words,
            "false_in_noise": in_noise,
            "minutes_without_words": stream.quiet / 60.0,
        });
        println!("{line}");
    }
    Ok(())
}

/// The recordings that the condition holds for, in an order that is the same everywhere.
fn recordings(folder: &Path, condition: &Condition, rate: u32) -> anyhow::Result<Vec<Recording>> {
    let pattern: Pattern = audio::DEFAULT_PATTERN.parse()?;
    let mut chosen = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let Some(fields) = pattern.fields(&name) else { continue };
        if fields.get(condition.field()).is_some_and(|value| condition.holds(value)) {
            let label = fields.get(LABEL).copied().unwrap_or_default().to_owned();
            chosen.push((label, path));
        }
    }
    anyhow::ensure!(!chosen.is_empty(), "{condition} holds for no recording in {}", folder.display());
    chosen.sort();
    let read = |(label, path): (String, PathBuf)| Ok(Recording { label, samples: audio::recording(&path, rate)? });
    chosen.into_iter().map(read).collect()
}

/// Scores of the streaming model that are not the model's own, and how many there are in all: of each recording as the window
/// that begins with it.
fn compare(model: &Model<'_>, recordings: &[Recording]) -> anyhow::Result<(usize, usize)> {
    let config = AudioConfig::from_properties(model)?.context("the model says nothing about sound")?;
    let bands = usize::from(config.bands);
    let streamed = export::stream(model, None)?.file;
    let streamed = Model::parse(&streamed)?;
    let frames = model.input().len() / bands;
    let (mut whole_arena, mut stream_arena) = (HeapArena::new(model, 1)?, HeapArena::new(&streamed, 1)?);
    let mut whole = Engine::new(model, whole_arena.bytes(), 1)?;
    let mut stream = Engine::new(&streamed, stream_arena.bytes(), 1)?;
    let classes = model.output().len();
    let (mut scores, mut found) = (vec![0i32; classes], vec![0i32; classes]);
    let mut differing = 0;
    for Recording { samples, .. } in recordings {
        let mut samples = samples.clone();
        samples.resize(frames * usize::from(config.hop), 0);
        let features = trishift::audio::features(&samples, config)?;
        let mut input = vec![0i8; model.input().len()];
        for (number, (frame, row)) in features.chunks(bands).zip(input.chunks_mut(bands)).enumerate() {
            trishift::audio::quantize(model, number, frame, row)?;
        }
        whole.run(&input, &mut scores)?;
        stream.reset();
        for rows in input.chunks_exact(streamed.input().len()) {
            stream.run(rows, &mut found)?;
        }
        differing += scores.iter().zip(&found).filter(|(score, found)| score != found).count();
    }
    Ok((differing, recordings.len() * classes))
}

/// The recordings one behind the other, shuffled, with noise between them.
fn stream(recordings: &[Recording], rate: u32, level: f64) -> Stream {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut order: Vec<&Recording> = recordings.iter().collect();
    for last in (1..order.len()).rev() {
        let other = random.next_u64() % (last as u64 + 1);
        order.swap(last, other as usize);
    }
    let mut stream = Stream { samples: Vec::new(), words: Vec::new(), quiet: 0.0 };
    pause(&mut stream, &mut random, 2.0, rate, level);
    for Recording { label, samples } in order {
        let seconds = 0.6 + f64::from(random.next_u32() % 1000) / 1000.0;
        let start = stream.samples.len() as f64 / f64::from(rate);
        stream.samples.extend(samples);
        let end = stream.samples.len() as f64 / f64::from(rate);
        stream.words.push(Word { start, end, label: label.clone() });
        pause(&mut stream, &mut random, seconds, rate, level);
    }
    pause(&mut stream, &mut random, 60.0, rate, level);
    stream
}

/// Adds seconds of noise.
fn pause(stream: &mut Stream, random: &mut ChaCha8Rng, seconds: f64, rate: u32, level: f64) {
    let samples = (0..(seconds * f64::from(rate)) as usize).map(|_| {
        let noise: f64 = StandardNormal.sample(random);
        (noise * level).round() as i16
    });
    stream.samples.extend(samples);
    stream.quiet += seconds;
}

/// Words detected, and false detections at words and away from them.
fn judge(stream: &Stream, heard: &Heard) -> (usize, usize, usize) {
    let at = |word: &Word, event: &Event| (word.start..=word.end + PATIENCE).contains(&event.seconds);
    let mut is_used = vec![false; heard.events.len()];
    for word in &stream.words {
        let is_it = |event: &Event| heard.labels.get(event.class) == Some(&word.label) && at(word, event);
        let mut events = heard.events.iter().zip(&mut is_used);
        if let Some((_, used)) = events.find(|(event, used)| !**used && is_it(event)) {
            *used = true;
        }
    }
    let detected = is_used.iter().filter(|used| **used).count();
    let others = || heard.events.iter().zip(&is_used).filter(|(_, used)| !**used).map(|(event, _)| event);
    let at_words = others().filter(|event| stream.words.iter().any(|word| at(word, event))).count();
    (detected, at_words, others().count() - at_words)
}
