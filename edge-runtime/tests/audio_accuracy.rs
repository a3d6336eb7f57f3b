//! How near the features of the audio front end are to floating point: what `docs/audio.md` promises, and no more.
#![cfg(all(feature = "audio", feature = "std"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod audio_definitions;

use audio_definitions::{reference, sine, sounds};
use trishift::audio::{AudioConfig, features};

/// Largest errors in octaves of bands whose energy is so many decibels below the frame's loudest bin: 0 to 10, …
const PROMISED: [f64; 6] = [1.0 / 16.0, 1.0 / 16.0, 1.0 / 16.0, 1.0 / 16.0, 1.0 / 4.0, 1.0 / 2.0];

const CONFIGS: [AudioConfig; 5] = [
    AudioConfig { sample_rate: 8000, window: 256, hop: 160, bands: 32, low: 60, high: 3800 },
    AudioConfig { sample_rate: 16_000, window: 512, hop: 320, bands: 40, low: 60, high: 7800 },
    AudioConfig { sample_rate: 16_000, window: 400, hop: 160, bands: 32, low: 60, high: 7800 },
    AudioConfig { sample_rate: 11_025, window: 1024, hop: 512, bands: 40, low: 0, high: 5512 },
    AudioConfig { sample_rate: 8000, window: 64, hop: 64, bands: 10, low: 200, high: 3800 },
];

/// The largest errors over all frames of a recording, and how many bands were compared.
fn errors(samples: &[i16], config: AudioConfig) -> ([f64; 6], usize) {
    let found = features(samples, config).unwrap();
    let (mut worst, mut compared) = ([0.0f64; 6], 0);
    for (frame, found) in reference::frames(samples, &config).iter().zip(found.chunks(config.bands.into())) {
        for (exact, found) in frame.octaves.iter().zip(found) {
            // Everything below the floor is the floor.
            let exact = exact.max(0.0);
            let below = (frame.loudest - exact).max(0.0) * 10.0 * 2f64.log10();
            if let Some(worst) = worst.get_mut((below / 10.0) as usize) {
                *worst = worst.max((f64::from(*found) / 32.0 - exact).abs());
                compared += 1;
            }
        }
    }
    (worst, compared)
}

/// Holds recordings against floating point under every configuration; returns the largest errors.
fn hold(recordings: impl Fn(f64) -> Vec<Vec<i16>>) -> [f64; 6] {
    let mut all = [0.0f64; 6];
    for config in CONFIGS {
        let recordings = recordings(f64::from(config.sample_rate));
        let mut compared = 0;
        for (number, samples) in recordings.iter().enumerate() {
            let (worst, bands) = errors(samples, config);
            for (band, (worst, promised)) in worst.into_iter().zip(PROMISED).enumerate() {
                assert!(worst <= promised, "{config:?}, recording {number}, {band}0 dB: {worst}");
            }
            all = [0, 1, 2, 3, 4, 5].map(|i: usize| all[i].max(worst[i]));
            compared += bands;
        }
        // Every recording has frames, and most of them bands that are loud enough.
        assert!(compared > 5 * recordings.len(), "{compared}");
    }
    all
}

#[test]
fn noise() {
    hold(|_| (1..=16).map(|bits| sounds::noise(3000, bits, bits)).collect());
}

#[test]
fn tones() {
    let worst = hold(|_| {
        let frequencies = [0.011, 0.05, 0.1, 0.125, 0.2345, 0.31, 0.44];
        let tones = frequencies.map(|f| [32_767.0, 3000.0, 100.0, 5.0, 1.0].map(|a| sounds::tone(3000, f, a)));
        tones.into_iter().flatten().collect()
    });
    // A promise that nothing comes near would be none.
    assert!(worst[0] > 1.0 / 70.0 && worst[5] > PROMISED[5] / 2.0, "{worst:?}");
}

#[test]
fn speech() {
    let worst = hold(|rate| [100.0, 1000.0, 10_000.0, 40_000.0].map(|a| sounds::speech(8000, rate, a, 7)).into());
    assert!(worst[4] > PROMISED[4] / 2.0, "{worst:?}");
}

#[test]
fn square_waves_and_clicks() {
    hold(|_| {
        let mut recordings = [2, 3, 8, 50, 211].map(|period| sounds::square(3000, period)).to_vec();
        recordings.push((0..3000).map(|n| if n % 333 == 0 { 30_000 } else { 0 }).collect());
        recordings.push((0..3000).map(|n| if n % 47 == 0 { 1 } else { 0 }).collect());
        recordings
    });
}

#[test]
fn constants_and_chirps() {
    hold(|_| {
        // From 0 to half the sample rate.
        let chirp = |n: u32| sine::sin(f64::from(n).powi(2) / 12_000.0) * 20_000.0;
        let mut recordings = vec![(0..3000).map(|n| chirp(n).round() as i16).collect()];
        recordings.extend([1, -1, 1000, i16::MIN].map(|level| vec![level; 3000]));
        recordings
    });
}
