//! Writes what the firmware `keyword-replay` is judged by: sounds, and what the runtime hears in them on this machine.
//!
//! `keyword-vectors MODEL FOLDER RECORDINGS…` takes a model of recordings and WAV files, or folders of them, and writes into
//! FOLDER
//!
//! - `model.tsm`: the model, made to stream if it does not yet,
//! - `samples.bin`: int16, little-endian: the recordings in the order of their names, each behind 0.7 seconds of quiet noise, and
//!   once more noise,
//! - `expected.bin`: for each hop its features in 16 bits, after each run the scores in 32 bits and the number of the class that
//!   was detected, or −1, all little-endian.
//!
//! It says how many of the recordings were detected, if their names say what they are, as `seven_anna_0.wav` does.

use anyhow::{Context, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use trishift::audio::AudioFrontEnd;
use trishift::listener::{Heard, Listener, ListenerMemory, STREAM_ROWS};
use trishift::{HeapArena, Model};
use trishift_trainer::data::audio;
use trishift_trainer::export;
use trishift_trainer::listen;

/// Seconds of noise before each recording and at the end.
const PAUSE: f64 = 0.7;

/// A recording in the stream: its label, and the milliseconds between which it is to be detected.
struct Word {
    label: String,
    from: u64,
    to: u64,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [path, folder, recordings @ ..] = arguments.as_slice() else {
        bail!("usage: keyword-vectors MODEL FOLDER RECORDINGS…")
    };
    let mut file = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let model = Model::parse(&file).with_context(|| format!("{} cannot be used", path.display()))?;
    if model.properties().get(STREAM_ROWS).is_none() {
        file = export::stream(&model, None)?.file;
    }
    let model = Model::parse(&file)?;
    let (samples, words) = stream(recordings, listen::sample_rate(&model)?)?;
    let expected = hear(&model, &samples, &words)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    };
    write("model.tsm", &file)?;
    write("samples.bin", &samples.iter().flat_map(|sample| sample.to_le_bytes()).collect::<Vec<u8>>())?;
    write("expected.bin", &expected)
}

/// The recordings behind one another, with noise between them.
fn stream(recordings: &[PathBuf], rate: u32) -> anyhow::Result<(Vec<i16>, Vec<Word>)> {
    let mut paths = Vec::new();
    for path in recordings {
        match fs::read_dir(path) {
            Ok(entries) => {
                let found = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>()?;
                paths.extend(
                    found.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "wav")),
                );
            }
            Err(_) => paths.push(path.clone()),
        }
    }
    paths.sort();
    ensure!(!paths.is_empty(), "there is no WAV file among what was named");
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 26) as i16 - 32
    };
    let pause = (PAUSE * f64::from(rate)) as usize;
    let (mut samples, mut words) = (Vec::new(), Vec::new());
    let milliseconds = |samples: usize| samples as u64 * 1000 / u64::from(rate);
    for path in paths {
        samples.extend((0..pause).map(|_| noise()));
        let from = milliseconds(samples.len());
        samples.extend(audio::recording(&path, rate)?);
        let to = milliseconds(samples.len() + pause);
        words.push(Word { label: label(&path), from, to });
    }
    samples.extend((0..pause).map(|_| noise()));
    Ok((samples, words))
}

/// What a recording's name begins with.
fn label(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    name.split('_').next().unwrap_or_default().into()
}

/// What the listener gives, and how many words it detects.
fn hear(model: &Model<'_>, samples: &[i16], words: &[Word]) -> anyhow::Result<Vec<u8>> {
    let front_end =
        trishift::audio::AudioConfig::from_properties(model)?.context("the model says nothing about sound")?;
    let (mut front_end, mut input) = (vec![0; AudioFrontEnd::memory_len(&front_end)], vec![0; model.input().len()]);
    let mut arena = HeapArena::new(model, 1)?;
    let memory = ListenerMemory { front_end: &mut front_end, input: &mut input, arena: arena.bytes() };
    let mut listener = Box::new(Listener::<256, 256>::new(model, memory)?);
    let labels: Vec<&str> = model.labels().collect();
    let (mut expected, mut is_detected, mut others) = (Vec::new(), vec![false; words.len()], 0);
    let hop = usize::from(listener.front_end().hop);
    for samples in samples.chunks_exact(hop) {
        let heard = listener.hop(samples)?;
        expected.extend(listener.features().iter().flat_map(|feature| feature.to_le_bytes()));
        if heard == Heard::Frame {
            continue;
        }
        expected.extend(listener.scores().iter().flat_map(|score| score.to_le_bytes()));
        let class = if let Heard::Detected(detection) = heard { detection.class as i32 } else { -1 };
        expected.extend(class.to_le_bytes());
        if let Heard::Detected(detection) = heard {
            let label = labels.get(detection.class).copied().unwrap_or_default();
            let now = listener.milliseconds();
            let is_it = |(word, seen): &(&Word, &mut bool)| {
                !**seen && word.label == label && (word.from..=word.to).contains(&now)
            };
            match words.iter().zip(&mut is_detected).find(is_it) {
                Some((_, seen)) => *seen = true,
                None => others += 1,
            }
        }
    }
    let detected = is_detected.iter().filter(|seen| **seen).count();
    println!("{detected} of {} words detected on this machine, {others} other detections", words.len());
    Ok(expected)
}
