//! The whole application on recordings of speech: what it detects, what the light does, and what happens when the microphone
//! fails.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use core::convert::Infallible;
use embedded_hal::digital::{self, OutputPin};
use embedded_io::{ErrorKind, ErrorType, Read};
use firmware::Refusal;
use keyword::{Found, SpotError, Spotter, SpotterMemory};
use std::path::{Path, PathBuf};
use trishift::audio::{AudioConfig, AudioFrontEnd};
use trishift::listener::ListenerMemory;
use trishift::{Arena, Model};

const RATE: u32 = 8000;
/// Samples of the pause behind a recording.
const PAUSE: usize = 16_000;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new("../models").join(name)).expect("the models are checked in")
}

fn clips() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("../clips").expect("the clips are checked in").map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "wav")).collect();
    paths.sort();
    paths
}

/// A recording behind half a second of quiet noise, with a pause behind it.
fn sound(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, RATE, 16), "{}", path.display());
    let mut state = 1u32;
    let mut noise = |length| -> Vec<i16> {
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 26) as i16 - 32
        })
        .take(length)
        .collect()
    };
    let mut samples = noise(4000);
    samples.extend(reader.samples::<i16>().map(Result::unwrap));
    samples.extend(noise(PAUSE));
    samples
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A microphone that says what it has been given, and fails once at a place.
struct Microphone {
    bytes: Vec<u8>,
    at: usize,
    fails_at: Option<usize>,
}

impl ErrorType for Microphone {
    type Error = ErrorKind;
}

impl Read for Microphone {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        if self.fails_at.is_some_and(|place| self.at >= place) {
            self.fails_at = None;
            return Err(ErrorKind::Other);
        }
        // An odd number of bytes, as a serial line may have.
        let length = into.len().min(33).min(self.bytes.len() - self.at);
        into[..length].copy_from_slice(&self.bytes[self.at..][..length]);
        self.at += length;
        Ok(length)
    }
}

/// A light that remembers what it was told.
#[derive(Default)]
struct Light(Vec<bool>);

impl digital::ErrorType for Light {
    type Error = Infallible;
}

impl OutputPin for Light {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.push(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.push(true);
        Ok(())
    }
}

/// What the application found in a sound.
#[derive(Debug, Default, PartialEq, Eq)]
struct Session {
    /// Classes, and when.
    classes: Vec<(usize, u64)>,
    /// What the light was told.
    light: Vec<bool>,
    /// Hops that the microphone lost.
    failures: usize,
}

fn listen(file: &[u8], samples: &[i16], fails_at: Option<usize>) -> Result<Session, Refusal> {
    let model = Model::parse(file).unwrap();
    let front_end = AudioConfig::from_properties(&model).unwrap();
    let words = front_end.map_or(0, |front_end| AudioFrontEnd::memory_len(&front_end));
    let hop = front_end.map_or(0, |front_end| front_end.hop.into());
    let (mut words, mut input, mut hop) = (vec![0; words], vec![0; model.input().len()], vec![0; hop]);
    let mut arena = Box::new(Arena::<20_000>::new());
    let listener = ListenerMemory { front_end: &mut words, input: &mut input, arena: arena.bytes() };
    let memory = SpotterMemory { samples: &mut hop, listener };
    let microphone = Microphone { bytes: bytes(samples), at: 0, fails_at };
    let mut spotter = Spotter::<_, _, 10, 16>::new(file, memory, microphone, Light::default())?;
    let mut session = Session::default();
    loop {
        match spotter.step() {
            Ok(Found::Frame | Found::Nothing) => {}
            Ok(Found::Class { class, milliseconds, .. }) => session.classes.push((class, milliseconds)),
            Err(SpotError::Microphone(ErrorKind::Other)) => session.failures += 1,
            Err(error) => {
                assert_eq!(error, SpotError::Silent);
                session.light = spotter.light().0.clone();
                return Ok(session);
            }
        }
    }
}

#[test]
fn words_are_detected_once_and_shown() {
    let file = file("spoken.tsm");
    let labels: Vec<String> = Model::parse(&file).unwrap().labels().map(String::from).collect();
    let (mut detected, mut others) = (0, 0);
    for path in clips() {
        let Session { classes, light, failures } = listen(&file, &sound(&path), None).unwrap();
        assert_eq!(failures, 0);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let right = classes.iter().filter(|(class, _)| name.starts_with(&format!("{}_", labels[*class]))).count();
        detected += right.min(1);
        others += classes.len() - right.min(1);
        // On and off in turns; the pause behind each word is long enough for it to go.
        assert!(light.iter().enumerate().all(|(number, on)| *on == (number % 2 == 0)), "{name}: {light:?}");
        assert!(light.len().is_multiple_of(2) && light.len() / 2 <= classes.len(), "{name}: {light:?}");
        assert_eq!(light.is_empty(), classes.is_empty(), "{name}");
    }
    assert_eq!(clips().len(), 20);
    assert!(detected >= 19 && others <= 1, "{detected} of 20 detected, {others} other detections");
}

#[test]
fn a_microphone_that_fails_loses_a_hop_and_no_more() {
    let file = file("spoken.tsm");
    let samples: Vec<i16> = clips().iter().take(3).flat_map(|path| sound(path)).collect();
    let whole = listen(&file, &samples, None).unwrap();
    // Bytes that came before the failure are gone with it: here, those of one hop.
    let interrupted = listen(&file, &samples, Some(640)).unwrap();
    let classes = |session: &Session| session.classes.iter().map(|(class, _)| *class).collect::<Vec<_>>();
    assert_eq!((whole.failures, interrupted.failures), (0, 1));
    assert!(!whole.classes.is_empty());
    assert_eq!(classes(&interrupted), classes(&whole));
}

#[test]
fn models_that_cannot_listen_are_refused() {
    assert_eq!(listen(&file("digits.tsm"), &[0; 8000], None), Err(Refusal::Sound));
    let mut damaged = file("spoken.tsm");
    let refused = |file: &[u8]| {
        let (mut words, mut input, mut hop, mut arena) = ([0; 600], [0; 64], [0; 160], [0; 0]);
        let listener = ListenerMemory { front_end: &mut words, input: &mut input, arena: &mut arena };
        let memory = SpotterMemory { samples: &mut hop, listener };
        let microphone: &[u8] = &[];
        Spotter::<_, _, 10, 16>::new(file, memory, microphone, Light::default()).map(drop).unwrap_err()
    };
    // No arena.
    assert_eq!(refused(&damaged), Refusal::Engine);
    damaged[9000] ^= 1;
    assert_eq!(refused(&damaged), Refusal::Body);
}
