//! The contract of the audio front end: exact equality with a second implementation of the definition, streaming, errors.
#![cfg(all(feature = "audio", feature = "std"))]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod audio_definitions;

use audio_definitions::{definition, sounds};
use proptest::prelude::*;
use trishift::audio::{AudioConfig, AudioError, AudioFrontEnd, features};

const CONFIG: AudioConfig = AudioConfig { sample_rate: 8000, window: 256, hop: 160, bands: 32, low: 60, high: 3800 };

/// Configurations that validate, of all sizes.
fn configs() -> impl Strategy<Value = AudioConfig> {
    (8000u32..=16_000, 33u16..=1024, 10u8..=40, 0u16..1000, 0u16..4000).prop_flat_map(
        |(sample_rate, window, bands, low, below)| {
            let high = (sample_rate / 2) as u16 - below.min(2500);
            (1..=window).prop_map(move |hop| {
                let mut config = AudioConfig { sample_rate, window, hop, bands, low, high };
                // Fewer bands, until there is a bin in each; 10 fit into every window.
                while config.bands > 10 && config.validate().is_err() {
                    config.bands -= 1;
                }
                if config.validate().is_err() {
                    (config.window, config.low) = (window.max(513), 0);
                }
                config
            })
        },
    )
}

/// Loud and quiet, noise and tones and what is between.
fn recordings() -> impl Strategy<Value = Vec<i16>> {
    let length = 0usize..3000;
    prop_oneof![
        (length.clone(), 0u32..=16, any::<u32>()).prop_map(|(length, bits, seed)| sounds::noise(length, bits, seed)),
        (length.clone(), 0.0..0.5f64, 0.0..32_767.0f64).prop_map(|(length, f, a)| sounds::tone(length, f, a)),
        (length.clone(), 2usize..300).prop_map(|(length, period)| sounds::square(length, period)),
        (length.clone(), any::<i16>()).prop_map(|(length, level)| vec![level; length]),
        (length, 0.0..40_000.0f64, any::<u32>()).prop_map(|(n, a, seed)| sounds::speech(n, 8000.0, a, seed)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200)
    ))]

    #[test]
    fn equals_the_definition(config in configs(), samples in recordings()) {
        prop_assume!(config.validate().is_ok());
        prop_assume!(samples.len() / usize::from(config.hop) < 60);
        prop_assert_eq!(features(&samples, config).unwrap(), definition::features(&samples, &config));
    }

    #[test]
    fn validation_says_whether_one_can_be_made(
        sample_rate in 7000u32..17_000,
        window in 0u16..1100,
        hop in 0u16..1100,
        bands in 0u8..45,
        low: u16,
        high in 0u16..9000,
    ) {
        let config = AudioConfig { sample_rate, window, hop, bands, low: low % 9000, high };
        let mut memory = vec![u32::MAX; AudioFrontEnd::memory_len(&config)];
        prop_assert_eq!(AudioFrontEnd::new(config, &mut memory).map(|_| ()), config.validate());
    }
}

#[test]
fn extremes_equal_the_definition() {
    for (window, hop) in [(64, 64), (128, 50), (256, 160), (512, 320), (1024, 1000), (33, 7), (400, 160), (1000, 90)] {
        let config = AudioConfig { sample_rate: 16_000, window, hop, bands: 10, low: 100, high: 8000 };
        let config = if window < 200 { AudioConfig { low: 1000, ..config } } else { config };
        let length = 3 * usize::from(window.min(40 * hop));
        for recording in [
            sounds::square(length, 2),
            sounds::square(length, 4),
            sounds::square(length, usize::from(window)),
            sounds::square(length, usize::from(window) / 2 + 1),
            vec![i16::MIN; length],
            vec![1; length],
            vec![-1; length],
            vec![0; length],
        ] {
            let found = features(&recording, config).unwrap();
            assert_eq!(found, definition::features(&recording, &config), "{window} {hop}");
        }
    }
}

#[test]
fn a_stream_equals_the_whole() {
    let samples = sounds::speech(8000, 8000.0, 9000.0, 1);
    let whole = features(&samples, CONFIG).unwrap();
    assert_eq!(whole.len(), 50 * 32);
    // What the memory holds, and what lies behind it, does not matter.
    let needed = AudioFrontEnd::memory_len(&CONFIG);
    let mut memory = vec![0xA5A5_5A5A; needed + 3];
    let mut front_end = AudioFrontEnd::new(CONFIG, &mut memory).unwrap();
    assert_eq!(*front_end.config(), CONFIG);
    let mut frame = [0; 32];
    for _ in 0..2 {
        for (samples, expected) in samples.chunks(160).zip(whole.chunks(32)) {
            front_end.hop(samples, &mut frame).unwrap();
            assert_eq!(frame, expected);
        }
        front_end.reset();
    }
    assert_eq!(memory[needed..], [0xA5A5_5A5A; 3]);
    // An incomplete hop is dropped.
    assert_eq!(features(&samples[..7999], CONFIG).unwrap(), whole[..49 * 32]);
    assert_eq!(features(&samples[..159], CONFIG).unwrap(), []);
}

#[test]
fn hops_of_a_window_remember_nothing() {
    let config = AudioConfig { hop: 256, ..CONFIG };
    let samples = sounds::noise(512, 12, 3);
    let whole = features(&samples, config).unwrap();
    assert_eq!(features(&samples[256..], config).unwrap(), whole[32..]);
}

#[test]
fn memory_is_what_the_documentation_says() {
    const WORDS: usize = AudioFrontEnd::memory_len(&CONFIG);
    // 128 for the transform, 96 samples of history and 256 of the window, 120 weights and 33 counts.
    assert_eq!(WORDS, 128 + (96 + 256) / 2 + (120 + 33_usize).div_ceil(2));
    const { assert!(4 * WORDS + size_of::<AudioFrontEnd>() <= 2048) };
    let mut memory = [0; WORDS - 1];
    let error = AudioFrontEnd::new(CONFIG, &mut memory).unwrap_err();
    assert_eq!(error, AudioError::MemoryLength { found: WORDS - 1, needed: WORDS });
    assert_eq!(
        error.to_string(),
        "the memory holds 380 words, this configuration needs 381; `AudioFrontEnd::memory_len` says so"
    );
    // Even of what is no configuration it has a length.
    let wild = AudioConfig { sample_rate: 0, window: u16::MAX, hop: 0, bands: 255, low: u16::MAX, high: 0 };
    assert_eq!(AudioFrontEnd::memory_len(&wild), 32_768 + 65_535 + 128);
    assert!(AudioFrontEnd::new(wild, &mut []).is_err());
}

#[test]
fn slices_of_other_lengths_are_refused() {
    let mut memory = [0; AudioFrontEnd::memory_len(&CONFIG)];
    let mut front_end = AudioFrontEnd::new(CONFIG, &mut memory).unwrap();
    let samples = sounds::noise(160, 14, 5);
    let mut frame = [7; 32];
    for found in [0, 159] {
        let error = front_end.hop(&samples[..found], &mut frame).unwrap_err();
        assert_eq!(error, AudioError::SamplesLength { found, needed: 160 });
    }
    let error = front_end.hop(&samples, &mut frame[..31]).unwrap_err();
    assert_eq!(error, AudioError::FeaturesLength { found: 31, needed: 32 });
    // Nothing was taken.
    assert_eq!(frame, [7; 32]);
    front_end.hop(&samples, &mut frame).unwrap();
    assert_eq!(frame[..], features(&samples, CONFIG).unwrap());
}

#[test]
fn levels_are_those_of_the_documentation() {
    // A tone in the middle of a bin, at full scale, of one unit, and silence. A band has two of its bins, or three.
    let band = |samples: &[i16]| *features(samples, CONFIG).unwrap()[32 * 3..].iter().max().unwrap();
    let full = band(&sounds::tone(800, 32.0 / 256.0, 32_767.0));
    assert!((1330..=1363).contains(&full), "{full}");
    let quiet = band(&sounds::tone(800, 32.0 / 256.0, 511.0));
    assert!((full - quiet).abs_diff(12 * 32) <= 1, "{full} {quiet}");
    assert_eq!(band(&[0; 800]), 0);
    assert!(band(&sounds::noise(800, 2, 9)) > 200);
}

/// `tests/golden/audio.txt`: a configuration, samples, and the features of each frame, for other implementations to try
/// themselves on. `TRISHIFT_BLESS=1 cargo test -p trishift --test audio` writes it anew; its numbers follow from the
/// definition, so that a change of them is a change of that.
#[test]
fn the_golden_file_holds() {
    use std::fmt::Write as _;
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/audio.txt");
    if std::env::var_os("TRISHIFT_BLESS").is_some() {
        let mut samples = sounds::speech(160, 8000.0, 300.0, 2);
        samples.extend(sounds::speech(320, 8000.0, 20_000.0, 3));
        samples.extend(sounds::square(160, 23));
        samples.extend(sounds::noise(160, 1, 4));
        let mut text = String::from("# Samples, and the features of each frame: docs/audio.md\n");
        for (key, number) in CONFIG.properties() {
            let _ = writeln!(text, "{key} {number}");
        }
        let mut line = |key: &str, numbers: Vec<String>| writeln!(text, "{key} {}", numbers.join(" ")).unwrap();
        samples.chunks(160).for_each(|hop| line("samples", hop.iter().map(i16::to_string).collect()));
        let features = features(&samples, CONFIG).unwrap();
        features.chunks(32).for_each(|frame| line("features", frame.iter().map(u16::to_string).collect()));
        std::fs::write(&path, text).expect("tests/golden is writable");
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let lines = |wanted: &str| -> Vec<i32> {
        let lines = text.lines().filter_map(|line| line.split_once(' ')).filter(|(key, _)| *key == wanted);
        lines.flat_map(|(_, numbers)| numbers.split(' ').map(|number| number.parse().unwrap())).collect()
    };
    let properties = CONFIG.properties();
    assert_eq!(properties.map(|(key, _)| lines(key)), properties.map(|(_, number)| vec![number as i32]));
    let samples: Vec<i16> = lines("samples").into_iter().map(|sample| sample.try_into().unwrap()).collect();
    let found: Vec<i32> = features(&samples, CONFIG).unwrap().into_iter().map(i32::from).collect();
    assert_eq!((samples.len(), found.len()), (800, 160));
    assert_eq!(found, lines("features"));
}
