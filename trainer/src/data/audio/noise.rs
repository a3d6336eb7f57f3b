//! Noise, drawn from a state: white, pink as most rooms have it, or blue as some microphones have it.
//!
//! Sums of integers from SplitMix64, so that every machine hears the same. Pink noise is Voss's: [`OCTAVES`] generators of
//! which each next one draws half as often, so that every octave holds as much power as the others. Blue noise is the
//! steps of white noise from sample to sample.

use super::super::augment::draw;

/// Generators of pink noise: from half of the rate down to 1/4096 of it.
const OCTAVES: u32 = 12;

/// The kinds of noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    /// As much power in every hertz.
    White,
    /// As much power in every octave.
    Pink,
    /// More power the higher the frequency: 6 dB an octave, up to a quarter of the rate.
    Blue,
}

/// `length` samples of noise whose root mean square is about `level`.
pub(super) fn noise(colour: Colour, level: f64, length: usize, state: u64) -> Vec<f64> {
    if colour == Colour::Blue {
        // One sample more, and a step has a root mean square √2 times that of a sample.
        let white = noise(Colour::White, level * 0.5f64.sqrt(), length.saturating_add(1), state);
        return white.windows(2).map(|pair| pair[1] - pair[0]).collect();
    }
    let generators = if colour == Colour::Pink { OCTAVES } else { 1 };
    // A number spread evenly over ±2^31 has a root mean square of 2^31/√3, a sum of n of them √n times that.
    let unit = level * (3.0 / f64::from(generators)).sqrt() / f64::from(1u32 << 31);
    let mut held = [0i64; OCTAVES as usize];
    let sample = |number: u64| {
        for (generator, value) in held.iter_mut().enumerate().take(generators as usize) {
            if number.is_multiple_of(1 << generator) {
                let word = draw(state, number * u64::from(OCTAVES) + generator as u64);
                *value = i64::from((word >> 32) as u32 as i32);
            }
        }
        held.iter().sum::<i64>() as f64 * unit
    };
    (0..length as u64).map(sample).collect()
}

/// A ratio of amplitudes given in tenths of a decibel.
pub(super) fn amplitude(tenths: i64) -> f64 {
    // To 2^-24: whatever a library makes of the power's last bits, the ratio is the same.
    let unit = f64::from(1 << 24);
    (10f64.powf(tenths as f64 / 200.0) * unit).round() / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_mean_square(samples: &[f64]) -> f64 {
        (samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len() as f64).sqrt()
    }

    #[test]
    fn noise_is_as_loud_as_asked() {
        for colour in [Colour::White, Colour::Pink, Colour::Blue] {
            let loudness = root_mean_square(&noise(colour, 1000.0, 1 << 16, 5));
            assert!((900.0..1100.0).contains(&loudness), "{colour:?}: {loudness}");
            assert_eq!(noise(colour, 0.0, 3, 5), [0.0; 3]);
        }
    }

    #[test]
    fn pink_noise_changes_more_slowly_and_blue_noise_faster() {
        let steps = |colour| {
            let samples = noise(colour, 1000.0, 1 << 14, 9);
            let steps: Vec<f64> = samples.windows(2).map(|pair| pair[1] - pair[0]).collect();
            root_mean_square(&steps)
        };
        let [white, pink, blue] = [Colour::White, Colour::Pink, Colour::Blue].map(steps);
        assert!(pink < 0.6 * white, "{pink} {white}");
        // √3 and √2 times the level.
        assert!((blue / white - 1.5f64.sqrt()).abs() < 0.05, "{blue} {white}");
    }

    #[test]
    fn states_differ_and_stay() {
        assert_ne!(noise(Colour::White, 9.0, 8, 1), noise(Colour::White, 9.0, 8, 2));
        assert_eq!(noise(Colour::Pink, 9.0, 8, 1), noise(Colour::Pink, 9.0, 8, 1));
    }

    #[test]
    fn decibels_are_ratios_of_amplitudes() {
        assert_eq!([amplitude(0), amplitude(200), amplitude(-400)].map(|ratio| (ratio * 1e6).round()), [1e6, 1e7, 1e4]);
    }
}
