//! From the scores of run after run to detections: shares are averaged over the latest runs, and what has been detected is
//! not detected again until it has gone.
//!
//! For models that look at a sliding window, of sound or of movement, and see every event many times. Integers alone; the
//! memory is the detector's own.

use heapless::Deque;
use thiserror::Error;
use trishift_format::{DataType, Model};
use trishift_kernels::Values;
use trishift_kernels::softmax::{Exponents, softmax_i32};

/// Shares are counted in units of 2 to this power.
const SHARE_EXPONENT: i32 = -15;

/// How scores become detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DetectorConfig {
    /// Runs whose shares are averaged, at least 1: a few tenths of a second.
    pub smoothing: u16,
    /// A class is detected where its mean share reaches this, in units of 2^−15; 32,768 is certainty.
    pub threshold: u16,
    /// It may be detected again once its mean share has fallen below this.
    pub release: u16,
    /// Runs after a detection without another one.
    pub pause: u16,
}

impl DetectorConfig {
    /// Settings for a model that runs every so many milliseconds: means over 400 of them, detection at a share of 0.8,
    /// release below 0.4, a pause of 300.
    pub const fn every(milliseconds: u32) -> Self {
        Self { smoothing: runs(400, milliseconds), threshold: 26_214, release: 13_107, pause: runs(300, milliseconds) }
    }
}

/// How many runs, one at least, are so many milliseconds.
const fn runs(milliseconds: u32, every: u32) -> u16 {
    match (milliseconds + every / 2).checked_div(every) {
        None | Some(0) => 1,
        // At most 400.
        Some(runs) => runs as u16,
    }
}

/// A class that has appeared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Detection {
    /// Its number: that of its label.
    pub class: usize,
    /// Its mean share, in units of 2^−15.
    pub share: u16,
    /// Number of the run, from 0.
    pub run: u64,
}

/// Why scores make no detections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DetectorError {
    /// Another number of classes.
    #[error("{found} scores were given; this detector has {expected} classes")]
    Scores {
        /// Scores given.
        found: usize,
        /// Classes of the detector.
        expected: usize,
    },
    /// No classes, or more than there is room for.
    #[error("the model has {found} classes; this detector takes 1 to {most}")]
    Classes {
        /// Classes.
        found: usize,
        /// Classes there is room for.
        most: usize,
    },
    /// Outputs that are no scores.
    #[error("a detector takes int32 scores, but the model gives int8 values")]
    Output,
    /// More runs than there is room for.
    #[error("smoothing is {found} runs; this detector averages 1 to {most}")]
    Smoothing {
        /// Runs asked for.
        found: u16,
        /// Runs there is room for.
        most: usize,
    },
    /// What is detected would never be released, or anything would be detected.
    #[error("the threshold must be above 0 and the release at most the threshold; they are {threshold} and {release}")]
    Threshold {
        /// The threshold.
        threshold: u16,
        /// The release.
        release: u16,
    },
}

/// Detects up to `CLASSES` classes over means of up to `RUNS` runs.
#[derive(Clone, Debug)]
pub struct Detector<const CLASSES: usize, const RUNS: usize> {
    config: DetectorConfig,
    classes: usize,
    background: [bool; CLASSES],
    exponent: i32,
    /// Shares of the latest runs.
    latest: Deque<[u16; CLASSES], RUNS>,
    /// Their sums.
    sums: [u32; CLASSES],
    /// The class that was detected and has not gone yet.
    held: Option<usize>,
    /// Runs left without detections.
    pausing: u16,
    runs: u64,
}

impl<const CLASSES: usize, const RUNS: usize> Detector<CLASSES, RUNS> {
    /// A detector of scores in units of 2^`exponent`, one for each element of `background`, which says of what classes
    /// nothing is detected.
    ///
    /// # Errors
    /// [`DetectorError`] where a setting makes no sense or there is no room for the classes.
    pub fn new(config: DetectorConfig, exponent: i32, background: &[bool]) -> Result<Self, DetectorError> {
        let DetectorConfig { smoothing, threshold, release, .. } = config;
        if smoothing == 0 || usize::from(smoothing) > RUNS {
            return Err(DetectorError::Smoothing { found: smoothing, most: RUNS });
        }
        if threshold == 0 || release > threshold {
            return Err(DetectorError::Threshold { threshold, release });
        }
        let mut detector = Self {
            config,
            classes: background.len(),
            background: [false; CLASSES],
            exponent,
            latest: Deque::new(),
            sums: [0; CLASSES],
            held: None,
            pausing: 0,
            runs: 0,
        };
        match detector.background.get_mut(..background.len()) {
            Some(own @ [_, ..]) => own.copy_from_slice(background),
            _ => return Err(DetectorError::Classes { found: background.len(), most: CLASSES }),
        }
        Ok(detector)
    }

    /// A detector of a model's scores. Its background are the classes whose labels begin with an underscore, such as
    /// `_silence_`.
    ///
    /// # Errors
    /// As [`Detector::new`], and where the model's output is not int32 scores.
    pub fn of_model(model: &Model<'_>, config: DetectorConfig) -> Result<Self, DetectorError> {
        let output = model.output();
        if output.data_type != DataType::I32 {
            return Err(DetectorError::Output);
        }
        let mut background = [false; CLASSES];
        for (is_background, label) in background.iter_mut().zip(model.labels()) {
            *is_background = label.starts_with('_');
        }
        let found = output.len();
        let background = background.get(..found).ok_or(DetectorError::Classes { found, most: CLASSES })?;
        Self::new(config, output.exponent.into(), background)
    }

    /// Takes the scores of the next run; `Some` where a class has appeared.
    ///
    /// # Errors
    /// [`DetectorError::Scores`] for another number of scores; nothing has changed then.
    pub fn observe(&mut self, scores: &[i32]) -> Result<Option<Detection>, DetectorError> {
        let mut shares = [0; CLASSES];
        let of_classes = shares.get_mut(..self.classes).filter(|shares| shares.len() == scores.len());
        let error = DetectorError::Scores { found: scores.len(), expected: self.classes };
        let exponents = Exponents { input: self.exponent, output: SHARE_EXPONENT };
        softmax_i32(Values::I32(scores), self.classes, exponents, of_classes.ok_or(error)?);
        // 0 to 2^15.
        self.remember(shares.map(|share| share as u16));
        let run = self.runs;
        self.runs += 1;
        if self.held.is_some_and(|class| self.share(class) < self.config.release) {
            self.held = None;
        }
        if self.pausing > 0 {
            self.pausing -= 1;
            return Ok(None);
        }
        let likeliest = (0..self.classes).rev().max_by_key(|class| self.share(*class));
        let Some(class) = likeliest.filter(|class| !self.is_background(*class)) else { return Ok(None) };
        let share = self.share(class);
        if share < self.config.threshold || self.held == Some(class) || !self.is_warm() {
            return Ok(None);
        }
        self.held = Some(class);
        self.pausing = self.config.pause;
        Ok(Some(Detection { class, share, run }))
    }

    /// The mean share of a class over the latest runs, in units of 2^−15; 0 for a class that there is not.
    pub fn share(&self, class: usize) -> u16 {
        let sum = self.sums.get(class).copied().unwrap_or(0);
        // Runs that have not been yet count as runs without it.
        (sum / u32::from(self.config.smoothing)) as u16
    }

    /// The class that was detected and has not gone yet.
    pub const fn held(&self) -> Option<usize> {
        self.held
    }

    /// How many classes there are.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// Runs observed.
    pub const fn runs(&self) -> u64 {
        self.runs
    }

    /// Forgets all runs.
    pub fn reset(&mut self) {
        self.latest.clear();
        (self.sums, self.held, self.pausing, self.runs) = ([0; CLASSES], None, 0, 0);
    }

    /// Puts a run's shares in the place of the oldest ones.
    fn remember(&mut self, shares: [u16; CLASSES]) {
        if self.is_warm() {
            let oldest = self.latest.pop_front().unwrap_or([0; CLASSES]);
            self.sums.iter_mut().zip(oldest).for_each(|(sum, share)| *sum -= u32::from(share));
        }
        self.sums.iter_mut().zip(shares).for_each(|(sum, share)| *sum += u32::from(share));
        // There is room: no more than `smoothing` are kept, and that is at most RUNS.
        let _ = self.latest.push_back(shares);
    }

    /// Whether there were as many runs as are averaged.
    fn is_warm(&self) -> bool {
        self.latest.len() >= usize::from(self.config.smoothing)
    }

    fn is_background(&self, class: usize) -> bool {
        self.background.get(class).copied().unwrap_or(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const CONFIG: DetectorConfig = DetectorConfig { smoothing: 3, threshold: 20_000, release: 10_000, pause: 2 };

    /// Scores of certainty for one class of three.
    fn sure(class: usize) -> [i32; 3] {
        core::array::from_fn(|index| if index == class { 20 } else { 0 })
    }

    fn detections(config: DetectorConfig, background: [bool; 3], classes: &[usize]) -> Vec<(u64, usize)> {
        let mut detector = Detector::<5, 4>::new(config, 0, &background).unwrap();
        let found = classes.iter().filter_map(|class| detector.observe(&sure(*class)).unwrap());
        found.map(|found| (found.run, found.class)).collect()
    }

    #[test]
    fn an_event_is_detected_once_and_again_after_it_has_gone() {
        let classes = [0, 0, 0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 2, 2, 2];
        // The mean of three runs reaches two thirds with the second, and falls below one third with three others.
        let found = detections(CONFIG, [true, false, false], &classes);
        assert_eq!(found, [(4, 1), (16, 1), (19, 2)]);
    }

    #[test]
    fn a_pause_keeps_others_out_and_background_is_never_detected() {
        let classes = [1, 1, 1, 2, 2, 2, 2, 2];
        let long = DetectorConfig { pause: 4, ..CONFIG };
        assert_eq!(detections(CONFIG, [true, false, false], &classes), [(2, 1), (5, 2)]);
        assert_eq!(detections(long, [true, false, false], &classes), [(2, 1), (7, 2)]);
        assert_eq!(detections(CONFIG, [false, true, true], &classes), []);
    }

    #[test]
    fn what_is_held_is_let_go() {
        let mut detector = Detector::<5, 4>::new(CONFIG, 0, &[true, false, false]).unwrap();
        let held = [1, 1, 1, 0, 0, 0].map(|class| {
            detector.observe(&sure(class)).unwrap();
            detector.held()
        });
        assert_eq!(held, [None, None, Some(1), Some(1), Some(1), None]);
    }

    #[test]
    fn settings_follow_the_time_of_a_run() {
        let runs = |milliseconds| {
            let DetectorConfig { smoothing, pause, .. } = DetectorConfig::every(milliseconds);
            (smoothing, pause)
        };
        assert_eq!(
            [1, 40, 60, 999, 5000, 0, u32::MAX].map(runs),
            [(400, 300), (10, 8), (7, 5), (1, 1), (1, 1), (1, 1), (1, 1)]
        );
    }

    #[test]
    fn one_odd_run_is_no_event() {
        assert_eq!(detections(CONFIG, [true, false, false], &[0, 0, 0, 1, 0, 0, 2, 0, 0]), []);
        let quick = DetectorConfig { smoothing: 1, ..CONFIG };
        assert_eq!(detections(quick, [true, false, false], &[0, 1, 0, 0, 1, 1]), [(1, 1), (4, 1)]);
    }

    #[test]
    fn shares_are_means_of_softmaxes() {
        let mut detector = Detector::<3, 4>::new(CONFIG, -1, &[false; 3]).unwrap();
        for scores in [[0, 0, 0], [4, 0, 0], [4, 0, 0], [2, 0, -2], [i32::MAX, i32::MIN, 0]] {
            detector.observe(&scores).unwrap();
        }
        let softmax = |x: [f64; 3]| x.map(|value| (value / 2.0).exp() / x.iter().map(|x| (x / 2.0).exp()).sum::<f64>());
        let latest = [softmax([4.0, 0.0, 0.0]), softmax([2.0, 0.0, -2.0]), [1.0, 0.0, 0.0]];
        for class in 0..3 {
            let mean = latest.iter().map(|shares| shares[class]).sum::<f64>() / 3.0;
            assert!((f64::from(detector.share(class)) / 32768.0 - mean).abs() < 1e-4, "{class}");
        }
        assert_eq!((detector.runs(), detector.share(3)), (5, 0));
        detector.reset();
        assert_eq!((detector.runs(), detector.share(0)), (0, 0));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        let new = |config| Detector::<3, 4>::new(config, 0, &[false; 3]).unwrap_err();
        let smoothing = |found| DetectorError::Smoothing { found, most: 4 };
        assert_eq!(new(DetectorConfig { smoothing: 0, ..CONFIG }), smoothing(0));
        assert_eq!(new(DetectorConfig { smoothing: 5, ..CONFIG }), smoothing(5));
        let (threshold, release) = (0, 0);
        assert_eq!(
            new(DetectorConfig { threshold, release, ..CONFIG }),
            DetectorError::Threshold { threshold, release }
        );
        assert!(matches!(new(DetectorConfig { release: 20_001, ..CONFIG }), DetectorError::Threshold { .. }));
        let mut detector = Detector::<3, 4>::new(CONFIG, 0, &[false; 3]).unwrap();
        assert_eq!(detector.observe(&[1, 2]), Err(DetectorError::Scores { found: 2, expected: 3 }));
        assert_eq!(detector.runs(), 0);
        for found in [0, 4] {
            let error = Detector::<3, 4>::new(CONFIG, 0, &[false; 4][..found]).unwrap_err();
            assert_eq!(error, DetectorError::Classes { found, most: 3 });
        }
    }
}
