// The front ends that are tried: the program's, and its build script's, which includes this file.

use trishift::audio::AudioConfig;

/// Recordings, by their seeds from 0 on, and samples of each.
pub(crate) const RECORDINGS: u32 = 128;
pub(crate) const SAMPLES: usize = 2400;

/// Small, wide, and one whose window is no power of two.
pub(crate) const CONFIGURATIONS: [AudioConfig; 3] = [
    AudioConfig { sample_rate: 8000, window: 256, hop: 160, bands: 32, low: 60, high: 3800 },
    AudioConfig { sample_rate: 16_000, window: 512, hop: 320, bands: 40, low: 60, high: 7800 },
    AudioConfig { sample_rate: 16_000, window: 400, hop: 160, bands: 32, low: 60, high: 7600 },
];
