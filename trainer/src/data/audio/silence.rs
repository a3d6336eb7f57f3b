//! Recordings of nothing: what a device hears most of the time.
//!
//! In turn they are the quietest stretches of what was recorded, white noise, pink noise, and zeros, as a muted microphone
//! gives them. How loud noise is, from 24 to 80 dB below full scale, and which recording a stretch is of is drawn
//! from the number of the silence; those to train on and those to test on draw apart, each from recordings of its own part.

use super::super::augment::{below, draw, state};
use super::clip;
use super::noise::{Colour, amplitude, noise};

/// Softest and loudest noise, in tenths of a decibel below full scale.
const LEVELS: [u64; 2] = [240, 800];

/// Stretches that are kept of recordings, at most.
const MOST_STRETCHES: usize = 256;

/// Quiet stretches of recordings, and what else is silent.
pub(super) struct Quiet {
    length: usize,
    stretches: Vec<Vec<i16>>,
    heard: u64,
}

impl Quiet {
    /// Silences of this many samples.
    pub(super) fn new(length: usize) -> Self {
        Self { length, stretches: Vec::new(), heard: 0 }
    }

    /// Keeps the quietest eighth of the window's length out of a recording that is at least as long as that.
    pub(super) fn hear(&mut self, recording: &[i16]) {
        let length = (self.length / 8).max(1);
        if recording.len() < length {
            return;
        }
        let start = clip::quietest(recording, length);
        let stretch = recording.get(start..start + length).unwrap_or_default().to_vec();
        // The first ones, then ever fewer of the others, so that all recordings have a chance.
        match self.stretches.len() < MOST_STRETCHES {
            true => self.stretches.push(stretch),
            false => {
                let place = below(draw(state(0, 0, self.heard), 0), self.heard + 1) as usize;
                self.stretches.get_mut(place).into_iter().for_each(|kept| kept.clone_from(&stretch));
            }
        }
        self.heard += 1;
    }

    /// The silence of this number in a part, "training" or "test".
    pub(super) fn silence(&self, part: &str, index: u64) -> Vec<i16> {
        let state = state(u64::from(part == "test"), 1, index);
        let [softest, loudest] = LEVELS;
        let level = f64::from(1 << 15) * amplitude(-((softest + below(draw(state, 0), loudest - softest + 1)) as i64));
        let noisy = |colour| {
            let noise = noise(colour, level, self.length, draw(state, 1));
            noise.into_iter().map(|sample| sample.round() as i16).collect()
        };
        match index % 4 {
            0 => match below(draw(state, 2), self.stretches.len() as u64) as usize {
                // There and back again, so that the stretch has no seams.
                chosen if chosen < self.stretches.len() => {
                    let stretch = &self.stretches[chosen];
                    let there_and_back = stretch.iter().chain(stretch.iter().rev());
                    there_and_back.cycle().take(self.length).copied().collect()
                }
                _ => noisy(Colour::White),
            },
            1 => noisy(Colour::White),
            2 => noisy(Colour::Pink),
            _ => vec![0; self.length],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silences_are_of_four_kinds() {
        let mut quiet = Quiet::new(800);
        let recording: Vec<i16> = (0..1000).map(|n| if (400..500).contains(&n) { n % 3 } else { 9000 }).collect();
        quiet.hear(&recording);
        quiet.hear(&[1, 2, 3]);
        let stretch = quiet.silence("training", 0);
        assert_eq!((stretch.len(), stretch.iter().max()), (800, Some(&2)));
        let noises = [1, 2].map(|index| quiet.silence("training", index));
        assert!(noises.iter().all(|noise| noise.len() == 800 && noise.iter().any(|sample| *sample != 0)));
        assert_eq!(quiet.silence("training", 3), [0; 800]);
        assert_ne!(noises, [1, 2].map(|index| quiet.silence("test", index)));
    }

    #[test]
    fn without_recordings_there_is_noise() {
        assert_eq!(Quiet::new(8).silence("test", 0).len(), 8);
        let mut quiet = Quiet::new(16);
        (0..2000).for_each(|number| quiet.hear(&[number; 4]));
        assert_eq!(quiet.stretches.len(), MOST_STRETCHES);
        assert!(quiet.stretches.iter().any(|stretch| stretch[0] > 1000));
    }
}
