//! What a microphone hears: everything that could make a front end's arithmetic go wrong, from silence to clipping.

use crate::random::Random;

/// An endless recording of one sound, 16-bit samples. The seed chooses the kind, too: eight of them in turn.
#[derive(Clone, Debug)]
pub struct Sound {
    kind: u32,
    random: Random,
    time: i32,
    /// Phases of harmonics or of a tone, in units of 2^−32 of a turn, and what a sample adds.
    phase: u32,
    step: u32,
    /// Full scale is 32,767.
    amplitude: i32,
}

impl Sound {
    /// The sound of this seed.
    pub fn new(seed: u32) -> Self {
        let mut random = Random(u64::from(seed) << 8 | 0x50);
        // Loud and quiet alike: every factor of two as likely as the others.
        let amplitude = 32_767 >> random.below(15);
        // 1/128 to 1/2 of the sample rate.
        let step = (1 << 25) + ((random.below(1 << 20) as u32) << 11);
        Self { kind: seed % 8, random, time: 0, phase: 0, step, amplitude }
    }

    fn noise(&mut self, amplitude: i32) -> i32 {
        self.random.below(2 * amplitude + 1) - amplitude
    }
}

impl Iterator for Sound {
    type Item = i16;

    fn next(&mut self) -> Option<i16> {
        self.time += 1;
        self.phase = self.phase.wrapping_add(self.step);
        let amplitude = self.amplitude;
        let sample = match self.kind {
            // Noise; every third recording of it is silence or next to it.
            0 => self.noise(if self.step.is_multiple_of(3) { amplitude >> 14 } else { amplitude }),
            // A tone.
            1 => scaled(amplitude, wave(self.phase)),
            // A chirp that goes up, and around.
            2 => {
                self.step = self.step.wrapping_add(1 << 20);
                scaled(amplitude, wave(self.phase))
            }
            // A square wave at full scale.
            3 if self.phase < 1 << 31 => 32_767,
            3 => -32_768,
            // Clicks.
            4 => i32::from(self.phase < self.step >> 4) * amplitude,
            // A constant, and the least there is on top of it.
            5 => self.noise(1) - amplitude,
            // A quiet tone beside a loud one.
            6 => scaled(32_000, wave(self.phase)) + scaled(amplitude >> 6, wave(self.phase.wrapping_mul(7))),
            // A voice: harmonics of a low pitch that comes and goes, and hiss.
            _ => {
                let pitch = self.phase / 16;
                let harmonics = [3, 5, 2, 4, 1].into_iter().zip(1..);
                let voice: i32 = harmonics.map(|(gain, n)| wave(pitch.wrapping_mul(n * 16)) * gain / 16).sum();
                let loudness = wave((self.time as u32).wrapping_mul(1 << 20)).max(0);
                scaled(scaled(amplitude, loudness), voice) + self.noise(1 + amplitude / 256)
            }
        };
        Some(sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16)
    }
}

/// A part of an amplitude, in units of 2^−15.
fn scaled(amplitude: i32, part: i32) -> i32 {
    (amplitude * part) >> 15
}

/// A sine of two parabolas, from −32,768 to 32,767.
fn wave(phase: u32) -> i32 {
    // From −2^15 to 2^15 over each half of a turn.
    let place = ((phase << 1) >> 16) as i32 - 32_768;
    let half = 32_767 - ((place * place) >> 15);
    if phase < 1 << 31 { half } else { -half - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sounds_follow_from_their_seeds_and_reach_the_ends() {
        let (mut least, mut most, mut silent) = (0, 0, 0);
        for seed in 0..128 {
            assert!(Sound::new(seed).take(500).eq(Sound::new(seed).take(500)));
            for sample in Sound::new(seed).take(2400) {
                (least, most) = (sample.min(least), sample.max(most));
            }
            silent += usize::from(Sound::new(seed).take(2400).all(|sample| sample == 0));
        }
        assert_eq!((least, most), (i16::MIN, i16::MAX));
        assert!((1..20).contains(&silent), "{silent}");
    }

    #[test]
    fn waves_turn_at_their_quarters() {
        assert_eq!([0, 1 << 30, 1 << 31, 3 << 30].map(wave), [-1, 32_767, 0, -32_768]);
    }
}
