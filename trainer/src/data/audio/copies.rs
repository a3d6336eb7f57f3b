//! Changed copies of recordings, for a network to train on besides the recordings themselves.
//!
//! Features cannot be changed as images can: what noise, another speed or another room would make of them only the samples
//! know. So copies are made of samples, before a run begins, and become training samples of their own. A copy is first
//! played faster or slower, which raises or lowers its pitch, too, as if another throat had said it; then its sound is made
//! darker or brighter, as by another microphone; then it is moved in time, mixed with noise, and made louder or softer. At last
//! its frames are taken a little farther apart or nearer together than a front end has them: it is spoken faster or slower,
//! by the same voice. Its features are lifted here and lowered there, by a curve over the bands, as another room or throat
//! would. Of them, some bands next to each other and some frames may be hidden, that is, become the
//! copy's mean feature, so that a network cannot rely on any one of them.
//!
//! What is drawn for a copy depends on the seed of the run, the number of the copy and the number of the recording, and on
//! nothing else. With `next` and `below` as `data::augment` defines them, the state of copy c, counted from 1, of recording
//! i is `next(next(next(seed) + c) + i)`; its draws have fixed places:
//!
//! | draw | gives |
//! |---|---|
//! | 0 | speed in percent: `100 + below(2·speed + 1) − speed` |
//! | 1 | samples to be later by: `below(2·shift + 1) − shift` |
//! | 2 | gain in tenths of a decibel: `least + below(most − least + 1)` |
//! | 3 | how far noise lies below the recording, in tenths of a decibel, likewise |
//! | 4 | the noise: `below(3)`; 0 is white, 1 pink, 2 blue |
//! | 5 | the state that noise is drawn from |
//! | 6 | how much louder the lowest frequencies become than the highest ones, in tenths of a decibel: `below(2·tilt + 1) − tilt` |
//! | 7 | tempo in percent: `100 + below(2·tempo + 1) − tempo`; a frame follows after ⌊hop · tempo / 100 + ½⌋ samples, at most the window |
//! | 8, 9 | bands hidden: `n = below(bands hidden at most + 1)` of them from band `below(bands − n + 1)` on |
//! | 10, 11 | frames hidden, likewise |
//! | 12 … 16 | the curve's decibels at five bands from the first to the last, in tenths: `below(2·curve + 1) − curve`; straight lines between them |

use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::augment::{below, draw, state};
use super::super::{DataError, Dataset, Part};
use super::noise::{Colour, amplitude, noise};
use super::resample::Resampler;
use super::{AudioConfig, AudioOptions, FrontEnd, clip};
use trishift_format::InputScale;

/// How copies differ from their recording. Each setting is off where it is 0 or `None`. Of two bounds the first is the
/// lower one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioAugmentation {
    /// Copies of each recording, besides itself.
    pub copies: u32,
    /// Most percent that a copy is faster and higher, or slower and lower by.
    pub speed: u32,
    /// Most percent that a copy is faster or slower by, as high as it is.
    pub tempo: u32,
    /// Most tenths of a decibel by which the lowest frequencies become louder than the highest ones, or softer.
    pub tilt: u32,
    /// Most samples that a copy is moved by.
    pub shift: u32,
    /// Least and most tenths of a decibel that a copy is louder by; softer, where below 0.
    pub gain: [i32; 2],
    /// Least and most tenths of a decibel that noise lies below the recording.
    pub noise: Option<[i32; 2]>,
    /// Most bands, and most frames, that are hidden.
    pub hidden: [u32; 2],
    /// Most tenths of a decibel by which a curve over the bands lifts and lowers features.
    pub curve: u32,
    /// Seed of what is drawn.
    pub seed: u64,
}

/// Bands at which a curve is drawn.
const KNOTS: usize = 5;

/// Units of a feature, 1/32 of an octave of power, in a tenth of a decibel: 32·log₂(10)/100.
const UNITS_PER_TENTH: f64 = 0.32 * std::f64::consts::LOG2_10;

const COLOURS: [Colour; 3] = [Colour::White, Colour::Pink, Colour::Blue];

/// What is drawn for one copy.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Draws {
    speed: u32,
    tempo: u32,
    tilt: i64,
    shift: i64,
    gain: i64,
    noise: Option<(i64, Colour, u64)>,
}

impl AudioAugmentation {
    fn draws(&self, copy: u64, index: u64) -> Draws {
        let state = state(self.seed, copy, index);
        let around =
            |number, reach: u32| below(draw(state, number), 2 * u64::from(reach) + 1) as i64 - i64::from(reach);
        let between = |number, [least, most]: [i32; 2]| {
            i64::from(least) + below(draw(state, number), u64::from(most.abs_diff(least)) + 1) as i64
        };
        let noise = self.noise.map(|levels| {
            let distance = between(3, levels);
            let colour = COLOURS[below(draw(state, 4), COLOURS.len() as u64) as usize];
            (distance, colour, draw(state, 5))
        });
        Draws {
            speed: (100 + around(0, self.speed.min(99))) as u32,
            tempo: (100 + around(7, self.tempo.min(99))) as u32,
            tilt: around(6, self.tilt),
            shift: around(1, self.shift),
            gain: between(2, self.gain),
            noise,
        }
    }

    /// The front end of a copy, whose frames are as far apart as its tempo says.
    fn front_end(&self, copy: u64, index: u64, front_end: &FrontEnd) -> FrontEnd {
        let AudioConfig { window, hop, .. } = front_end.config;
        let hop = (u32::from(hop) * self.draws(copy, index).tempo + 50) / 100;
        // At most the window, which fits.
        let hop = hop.clamp(1, window.into()) as u16;
        FrontEnd { config: AudioConfig { hop, ..front_end.config }, ..front_end.clone() }
    }

    /// What each of so many bands is lifted by, in units of a feature.
    fn lifts(&self, copy: u64, index: u64, bands: usize) -> Vec<i32> {
        let state = state(self.seed, copy, index);
        let tenths = |knot: usize| {
            let reach = i64::from(self.curve);
            below(draw(state, 12 + knot as u64), 2 * self.curve as u64 + 1) as i64 - reach
        };
        let pieces = KNOTS - 1;
        let span = (bands.max(2) - 1) as i64;
        let lift = |band: usize| {
            let place = band * pieces;
            let knot = (place / span as usize).min(pieces - 1);
            let within = place as i64 - knot as i64 * span;
            let tenths = (tenths(knot) * (span - within) + tenths(knot + 1) * within) as f64 / span as f64;
            (tenths * UNITS_PER_TENTH).round() as i32
        };
        (0..bands).map(lift).collect()
    }

    /// Lifts and lowers the bands of a copy's `features`, frame after frame of `bands` each.
    fn bend(&self, copy: u64, index: u64, features: &mut [u16], bands: usize) {
        if self.curve == 0 {
            return;
        }
        let lifts = self.lifts(copy, index, bands);
        for frame in features.chunks_exact_mut(bands) {
            for (feature, lift) in frame.iter_mut().zip(&lifts) {
                *feature = (i32::from(*feature) + lift).clamp(0, u16::MAX.into()) as u16;
            }
        }
    }

    /// The bands and the frames of a copy that are hidden, of so many.
    fn hidden(&self, copy: u64, index: u64, [bands, frames]: [usize; 2]) -> [Range<usize>; 2] {
        let state = state(self.seed, copy, index);
        let span = |number, most: u32, of: usize| {
            let hidden = below(draw(state, number), u64::from(most) + 1).min(of as u64);
            let first = below(draw(state, number + 1), of as u64 - hidden + 1);
            first as usize..(first + hidden) as usize
        };
        let [most_bands, most_frames] = self.hidden;
        [span(8, most_bands, bands), span(10, most_frames, frames)]
    }

    /// Hides bands and frames of a copy's `features`, frame after frame of `bands` each.
    fn hide(&self, copy: u64, index: u64, features: &mut [u16], bands: usize) {
        let [hidden_bands, hidden_frames] = self.hidden(copy, index, [bands, features.len() / bands]);
        let sum: u64 = features.iter().map(|feature| u64::from(*feature)).sum();
        let mean = (sum / features.len().max(1) as u64) as u16;
        for (number, frame) in features.chunks_exact_mut(bands).enumerate() {
            let within = if hidden_frames.contains(&number) { 0..bands } else { hidden_bands.clone() };
            frame[within].fill(mean);
        }
    }

    /// The copy `copy` of the recording `index`, `length` samples of it.
    fn samples(&self, copy: u64, index: u64, recording: &[i16], length: usize) -> Vec<i16> {
        let Draws { speed, tilt, shift, gain, noise: drawn, .. } = self.draws(copy, index);
        let mut changed = recording.to_vec();
        if speed != 100 {
            // With bits below the samples', so that they are rounded once.
            let fine: Vec<i32> = recording.iter().map(|sample| i32::from(*sample) << 8).collect();
            let resampled = Resampler::new(speed, 100, fine.len()).resample(&fine);
            changed = resampled.into_iter().map(super::to_i16).collect();
        }
        if tilt != 0 {
            changed = tilted(&changed, amplitude(tilt));
        }
        // Of what is spoken; silence around it says nothing about how loud noise may be.
        let loudness = clip::root_mean_square(&changed);
        let placed = clip::fit(&changed, length, shift);
        let gain = amplitude(gain);
        let added = drawn.map(|(distance, colour, state)| {
            // At least the last bit: a converter has some noise, too.
            noise(colour, (loudness * amplitude(-distance)).max(0.5), length, state)
        });
        let sample = |(place, sample): (usize, &i16)| {
            let noise = added.as_ref().and_then(|noise| noise.get(place)).copied().unwrap_or(0.0);
            // Saturates, as a converter does.
            ((f64::from(*sample) + noise) * gain).round() as i16
        };
        placed.iter().enumerate().map(sample).collect()
    }
}

/// The samples through y = (x + a·x′)/√(1 + a²), x′ the sample before, whose gain at frequency 0 is `ratio` times that at half
/// the rate; white noise stays as loud as it is.
fn tilted(samples: &[i16], ratio: f64) -> Vec<i16> {
    let a = (ratio - 1.0) / (ratio + 1.0);
    let unit = 1.0 / (1.0 + a * a).sqrt();
    let before = std::iter::once(&0).chain(samples);
    let tilted = |(x, before): (&i16, &i16)| ((f64::from(*x) + a * f64::from(*before)) * unit).round() as i16;
    samples.iter().zip(before).map(tilted).collect()
}

/// How recordings became samples, and the recordings themselves where copies are to be made of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Recordings {
    /// What became of them.
    pub options: AudioOptions,
    /// One a training sample of the source, in its order; none without copies.
    pub(super) samples: Vec<Vec<i16>>,
}

impl Recordings {
    /// Adds the copies of the recordings in `part` to `train`, which holds these recordings themselves: the first copies of
    /// all, then the second ones. `progress` is called with how many there are so far and how many there will be, from any
    /// thread.
    ///
    /// # Errors
    /// [`DataError::ScaleOfCopies`] for a scale for each feature, [`DataError::FrontEnd`] where features cannot be computed.
    pub(in super::super) fn add_copies(
        &self,
        train: &mut Dataset,
        part: &Part,
        scales: &[InputScale],
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<(), DataError> {
        let AudioOptions { front_end, augmentation, .. } = &self.options;
        let Some(augmentation) = augmentation.filter(|augmentation| augmentation.copies > 0) else { return Ok(()) };
        let [scale] = scales else { return Err(DataError::ScaleOfCopies) };
        let indices = part.indices();
        let total = indices.len().saturating_mul(augmentation.copies as usize);
        let (labels, done) = (train.labels.clone(), AtomicUsize::new(0));
        for copy in 1..=u64::from(augmentation.copies) {
            let of_copy = |index: &u32| {
                let front_end = augmentation.front_end(copy, u64::from(*index), front_end);
                let recording = self.samples.get(*index as usize).map(Vec::as_slice).unwrap_or_default();
                let samples = augmentation.samples(copy, u64::from(*index), recording, front_end.samples());
                let mut features = front_end.features(&samples)?;
                let bands = front_end.config.bands.into();
                augmentation.bend(copy, u64::from(*index), &mut features, bands);
                augmentation.hide(copy, u64::from(*index), &mut features, bands);
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
                Ok(features.iter().map(|feature| scale.quantize_i32(i32::from(*feature))).collect::<Vec<i8>>())
            };
            let made: Vec<_> = indices.par_iter().map(of_copy).collect::<Result<_, DataError>>()?;
            made.iter().for_each(|sample| train.samples.extend(sample));
            train.labels.extend(&labels);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: AudioAugmentation = AudioAugmentation {
        copies: 1,
        speed: 0,
        tempo: 0,
        tilt: 0,
        shift: 0,
        gain: [0, 0],
        noise: None,
        hidden: [0, 0],
        curve: 0,
        seed: 3,
    };

    fn tone(samples: usize) -> Vec<i16> {
        (0..samples).map(|n| ((n as f64 * 0.3).sin() * 8000.0) as i16).collect()
    }

    #[test]
    fn nothing_asked_for_is_nothing_done() {
        let tone = tone(100);
        assert_eq!(NONE.samples(1, 0, &tone, 100), tone);
        assert_eq!(NONE.samples(1, 0, &tone, 120), clip::fit(&tone, 120, 0));
    }

    #[test]
    fn each_setting_does_what_it_says() {
        let tone = tone(1000);
        let loudness = |samples: &[i16]| clip::root_mean_square(samples);
        for index in 0..20 {
            let louder = AudioAugmentation { gain: [-60, 60], ..NONE };
            let ratio = loudness(&louder.samples(1, index, &tone, 1000)) / loudness(&tone);
            let drawn = amplitude(louder.draws(1, index).gain);
            assert!((ratio - drawn).abs() < 0.001 && (0.5..2.0).contains(&ratio), "{ratio} {drawn}");

            let noisy = AudioAugmentation { noise: Some([100, 100]), ..NONE }.samples(1, index, &tone, 1000);
            let noise: Vec<i16> = noisy.iter().zip(&tone).map(|(a, b)| a - b).collect();
            let distance = loudness(&tone) / loudness(&noise);
            assert!((2.2..4.5).contains(&distance), "{distance}: 10 dB is 3.16");

            let moved = AudioAugmentation { shift: 50, ..NONE };
            let by = moved.draws(1, index).shift;
            assert!(by.abs() <= 50);
            assert_eq!(moved.samples(1, index, &tone, 1000), clip::fit(&tone, 1000, by));

            let other = AudioAugmentation { speed: 15, ..NONE };
            let speed = f64::from(other.draws(1, index).speed) / 100.0;
            let played = other.samples(1, index, &tone, 2000);
            let crossings = |samples: &[i16]| samples.windows(2).filter(|pair| (pair[0] < 0) != (pair[1] < 0)).count();
            assert!((0.85..=1.15).contains(&speed));
            // As many periods in another time.
            assert!(crossings(&played).abs_diff(crossings(&tone)) <= 3);
            let spoken = played.iter().filter(|sample| sample.abs() > 100).count() as f64;
            assert!((spoken * speed / 1000.0 - 1.0).abs() < 0.05, "{spoken} {speed}");
        }
    }

    #[test]
    fn another_tempo_is_another_hop() {
        let front_end = AudioOptions::default().front_end;
        assert_eq!(NONE.front_end(1, 0, &front_end), front_end);
        let faster = AudioAugmentation { tempo: 30, ..NONE };
        let hops: Vec<u16> = (0..200).map(|index| faster.front_end(1, index, &front_end).config.hop).collect();
        assert_eq!((hops.iter().min(), hops.iter().max()), (Some(&112), Some(&208)));
        let widest = AudioAugmentation { tempo: 99, ..NONE };
        let hops: Vec<u16> = (0..500).map(|index| widest.front_end(1, index, &front_end).config.hop).collect();
        assert_eq!((hops.iter().min(), hops.iter().max()), (Some(&2), Some(&256)));
        assert!(hops.iter().all(|hop| FrontEnd::new(AudioConfig { hop: *hop, ..front_end.config }, 50).is_ok()));
    }

    #[test]
    fn a_tilt_is_a_ratio_of_low_to_high_frequencies() {
        let low = vec![1000; 100];
        let high: Vec<i16> = (0..100).map(|n| if n % 2 == 0 { 1000 } else { -1000 }).collect();
        for ratio in [0.25, 1.0, 4.0] {
            let loudness = |samples: &[i16]| clip::root_mean_square(&tilted(samples, ratio)[1..]);
            assert!((loudness(&low) / loudness(&high) / ratio - 1.0).abs() < 0.01, "{ratio}");
        }
        let tilting = AudioAugmentation { tilt: 90, ..NONE };
        let drawn: Vec<i64> = (0..100).map(|index| tilting.draws(1, index).tilt).collect();
        assert!(drawn.iter().all(|tilt| tilt.abs() <= 90) && drawn.iter().any(|tilt| *tilt < -45));
        assert_eq!(tilting.samples(1, 0, &low, 100), tilted(&low, amplitude(drawn[0])));
    }

    #[test]
    fn a_curve_lifts_bands_alike_in_every_frame() {
        let features: Vec<u16> = (0..50 * 32).map(|element| element * 7 % 1009).collect();
        let mut bent = features.clone();
        NONE.bend(1, 0, &mut bent, 32);
        assert_eq!(bent, features);
        let curved = AudioAugmentation { curve: 60, ..NONE };
        curved.bend(1, 0, &mut bent, 32);
        let lifts = curved.lifts(1, 0, 32);
        for (element, (bent, feature)) in bent.iter().zip(&features).enumerate() {
            assert_eq!(i32::from(*bent), (i32::from(*feature) + lifts[element % 32]).max(0));
        }
        // 6 dB are two octaves of power, less a hundredth.
        let all: Vec<i32> = (0..200).flat_map(|index| curved.lifts(1, index, 32)).collect();
        assert!(all.iter().all(|lift| lift.abs() <= 64) && all.iter().any(|lift| lift.abs() > 55));
        assert!(lifts.windows(2).all(|pair| pair[0].abs_diff(pair[1]) <= 17), "{lifts:?}");
    }

    #[test]
    fn bands_and_frames_are_hidden_behind_the_mean() {
        let features: Vec<u16> = (0..50 * 32).map(|element| element * 7 % 1009).collect();
        let mut shown = features.clone();
        NONE.hide(1, 0, &mut shown, 32);
        assert_eq!(shown, features);
        let mean = (features.iter().map(|feature| u32::from(*feature)).sum::<u32>() / 1600) as u16;
        let (mut most_bands, mut most_frames) = (0, 0);
        for index in 0..300 {
            let mut hidden = features.clone();
            AudioAugmentation { hidden: [4, 7], ..NONE }.hide(1, index, &mut hidden, 32);
            let is_hidden = |frame: usize, band: usize| hidden[frame * 32 + band] == mean;
            let frames: Vec<usize> = (0..50).filter(|frame| (0..32).all(|band| is_hidden(*frame, band))).collect();
            let bands: Vec<usize> = (0..32).filter(|band| (0..50).all(|frame| is_hidden(frame, *band))).collect();
            for places in [&frames, &bands] {
                assert!(places.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{places:?}");
            }
            let elsewhere = |element: &usize| !frames.contains(&(element / 32)) && !bands.contains(&(element % 32));
            assert!((0..1600).filter(elsewhere).all(|element| hidden[element] == features[element]));
            (most_bands, most_frames) = (most_bands.max(bands.len()), most_frames.max(frames.len()));
        }
        assert_eq!((most_bands, most_frames), (4, 7));
        // Fewer than may be hidden: all of them, at most.
        let mut few = features[..64].to_vec();
        AudioAugmentation { hidden: [100, 100], ..NONE }.hide(1, 0, &mut few, 32);
    }

    /// Every setting in use.
    const ALL: AudioAugmentation = AudioAugmentation {
        copies: 9,
        speed: 15,
        tempo: 30,
        tilt: 90,
        shift: 800,
        gain: [-200, 60],
        noise: Some([50, 400]),
        hidden: [6, 9],
        curve: 60,
        seed: 1,
    };

    #[test]
    fn copies_recordings_and_seeds_differ() {
        let drawn =
            [ALL.draws(1, 0), ALL.draws(2, 0), ALL.draws(1, 1), AudioAugmentation { seed: 2, ..ALL }.draws(1, 0)];
        assert!((1..drawn.len()).all(|index| !drawn[..index].contains(&drawn[index])), "{drawn:?}");
        // One setting does not move another's draw.
        assert_eq!(AudioAugmentation { noise: None, speed: 0, ..ALL }.draws(1, 0).gain, ALL.draws(1, 0).gain);
    }

    /// Computed by another program from the definition; a change here changes what networks are trained on.
    #[test]
    fn draws_never_change() {
        let noise = Some((398, Colour::Blue, 0xF8C6_FE54_7833_560A));
        assert_eq!(ALL.draws(1, 2), Draws { speed: 106, tempo: 76, tilt: -68, shift: -767, gain: 58, noise });
        assert_eq!(ALL.lifts(1, 2, 9), [26, -7, -40, -46, -52, -38, -23, -3, 18]);
        assert_eq!(ALL.hidden(1, 2, [32, 50]), [28..31, 42..48]);
    }
}
