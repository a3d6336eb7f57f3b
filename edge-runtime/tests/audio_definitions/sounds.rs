//! Sounds: noise, tones, clicks and something like speech.

use super::sine::sin;

/// Numbers that look random and follow from a seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u32);

impl Random {
    pub(crate) fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    /// Any 16-bit number.
    pub(crate) fn sample(&mut self) -> i16 {
        (self.next() >> 8) as u16 as i16
    }
}

/// Noise of `bits` bits, 0 to 16, sign included.
pub(crate) fn noise(length: usize, bits: u32, seed: u32) -> Vec<i16> {
    let mut random = Random(seed);
    (0..length).map(|_| if bits == 0 { 0 } else { random.sample() >> (16 - bits) }).collect()
}

/// A sine of this frequency in parts of the sample rate.
pub(crate) fn tone(length: usize, frequency: f64, amplitude: f64) -> Vec<i16> {
    let sample = |n: usize| sin(n as f64 * frequency + 0.05) * amplitude;
    (0..length).map(|n| sample(n).round() as i16).collect()
}

/// Something like speech: harmonics of a gliding pitch under two gliding formants, with pauses, over a little noise.
pub(crate) fn speech(length: usize, rate: f64, amplitude: f64, seed: u32) -> Vec<i16> {
    let mut random = Random(seed);
    let mut phase = 0.0;
    (0..length)
        .map(|n| {
            let time = n as f64 / rate;
            let pitch = 120.0 + 60.0 * sin(time * 0.8);
            phase += pitch / rate;
            let formants = [500.0 + 300.0 * sin(time * 0.5), 1800.0 + 700.0 * sin(time * 0.65 + 0.25)];
            let loudness = sin(time * 1.4).max(0.0);
            let voice: f64 = (1..30)
                .map(|harmonic| {
                    let frequency = pitch * f64::from(harmonic);
                    let gain: f64 =
                        formants.iter().map(|formant| 1.0 / (1.0 + ((frequency - formant) / 100.0).powi(2))).sum();
                    gain * sin(phase * f64::from(harmonic))
                })
                .sum();
            let hiss = f64::from(random.sample()) / 32_768.0;
            ((voice * loudness * 0.3 + hiss * 0.003) * amplitude).clamp(-32_768.0, 32_767.0).round() as i16
        })
        .collect()
}

/// A full-scale square wave of this period.
pub(crate) fn square(length: usize, period: usize) -> Vec<i16> {
    (0..length).map(|n| if n % period < period / 2 { 32_767 } else { -32_768 }).collect()
}
