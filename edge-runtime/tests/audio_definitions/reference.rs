//! Features in floating point: window, Fourier transform, triangles on the mel scale, logarithm.

use super::sine::{sin, sin_cos};
use trishift::audio::AudioConfig;

/// One frame's features in floating point.
pub(crate) struct Frame {
    /// Of each band, in octaves of power above the floor; −∞ for none.
    pub(crate) octaves: Vec<f64>,
    /// The loudest bin that takes part or not, in the same unit.
    pub(crate) loudest: f64,
}

/// All frames of a recording.
pub(crate) fn frames(samples: &[i16], config: &AudioConfig) -> Vec<Frame> {
    let (window, hop) = (usize::from(config.window), usize::from(config.hop));
    let length = window.next_power_of_two();
    let hann: Vec<f64> = (0..window).map(|n| sin((n as f64 + 0.5) / (2 * window) as f64).powi(2)).collect();
    let circle: Vec<(f64, f64)> = (0..length).map(|n| sin_cos(n as f64 / length as f64)).collect();
    let mel = |frequency: f64| 2595.0 * (1.0 + frequency / 700.0).log10();
    let (low, high) = (mel(config.low.into()), mel(config.high.into()));
    (1..=samples.len() / hop)
        .map(|frame| {
            let end = frame * hop;
            let sample = |n: usize| (end + n).checked_sub(window).map_or(0.0, |n| f64::from(samples[n]));
            let values: Vec<f64> = hann.iter().enumerate().map(|(n, weight)| weight * sample(n)).collect();
            let powers: Vec<f64> = (0..length / 2)
                .map(|k| {
                    let (mut x, mut y) = (0.0, 0.0);
                    for (n, value) in values.iter().enumerate() {
                        let (sin, cos) = circle[n * k % length];
                        (x, y) = (x + value * cos, y - value * sin);
                    }
                    // A tone's amplitude is 2·|X|/length; the floor is a tone of 2^−6, in this unit 2^−14.
                    (x * x + y * y) / (length as f64 / 2.0).powi(2) * 2f64.powi(14)
                })
                .collect();
            let mut energies = vec![0.0; config.bands.into()];
            for (k, power) in powers.iter().enumerate().skip(1) {
                let frequency = k as f64 * f64::from(config.sample_rate) / length as f64;
                let position = (mel(frequency) - low) * f64::from(config.bands + 1) / (high - low);
                if position < 0.0 || position >= f64::from(config.bands + 1) {
                    continue;
                }
                let segment = position as usize;
                if let Some(energy) = energies.get_mut(segment) {
                    *energy += position.fract() * power;
                }
                if let Some(energy) = segment.checked_sub(1).and_then(|band| energies.get_mut(band)) {
                    *energy += (1.0 - position.fract()) * power;
                }
            }
            let loudest = powers.iter().skip(1).copied().fold(0.0, f64::max).log2();
            Frame { octaves: energies.into_iter().map(f64::log2).collect(), loudest }
        })
        .collect()
}
