//! Divides samples into training, validation and test parts, and orders them for each epoch.
//!
//! Everything follows from a seed: the order is a Fisher–Yates shuffle of our own over the key stream of ChaCha8, so that
//! neither the number of threads nor the version of a library can move a sample from one part to another. The shuffle is
//! unbiased: a draw that would favour some positions is thrown away and drawn again.
//!
//! The samples of a sequence are not shuffled into parts, because neighbours share values: a test sample would have been
//! read almost whole in training. They are cut into consecutive pieces instead.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{DataError, Part};

/// The stream that splits draw from. Epochs count theirs from 0 and never come here.
const SPLIT_STREAM: u64 = u64::MAX;

/// How to divide a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SplitOptions {
    /// Part of the samples to test on, from 0 up to, but not including, 1; 0 where the data set has test samples of its
    /// own.
    pub test: f64,
    /// Part of the samples to validate on, in the same range; a part of all samples, not of what the test part leaves.
    pub validation: f64,
    /// Decides which samples go where; without effect on a sequence, which is cut in its own order.
    pub seed: u64,
}

/// The samples in each part; none is in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The samples to train on; never empty.
    pub train: Part,
    /// The samples to validate on; empty only where the fraction is 0.
    pub validation: Part,
    /// The samples to test on; empty only where the fraction is 0.
    pub test: Part,
}

impl Split {
    /// Divides `samples` separate samples at random; `own_test` says that the data set has test samples besides these.
    ///
    /// Every sample is in one part, and the indices of a part ascend. A part has the samples nearest to its fraction. The test part depends on its own fraction and the seed alone, so
    /// that another validation fraction does not leak test samples into training.
    ///
    /// # Errors
    ///
    /// [`DataError::Fraction`] and [`DataError::OwnTestSamples`] for the options, [`DataError::TooManySamples`] beyond
    /// `u32::MAX` samples, [`DataError::EmptyPart`] where a part that is asked for, or training, would be left with none.
    pub fn new(samples: usize, own_test: bool, options: &SplitOptions) -> Result<Self, DataError> {
        options.check(samples, own_test)?;
        let count = |part, fraction: f64| match (fraction * samples as f64).round() as usize {
            0 if fraction > 0.0 => Err(DataError::EmptyPart { part, samples }),
            count => Ok(count),
        };
        let test = count("test", options.test)?;
        let validation = count("validation", options.validation)?;
        if test.saturating_add(validation) >= samples {
            return Err(DataError::EmptyPart { part: "training", samples });
        }

        let order = permutation(samples, options.seed, SPLIT_STREAM);
        let part = |range: Range<usize>| {
            let mut indices = order[range].to_vec();
            indices.sort_unstable();
            Part::Indices(indices)
        };
        Ok(Self {
            test: part(0..test),
            validation: part(test..test + validation),
            train: part(test + validation..samples),
        })
    }

    /// Cuts a sequence, whose samples overlap, into three pieces: the beginning to train on, the end to test on.
    ///
    /// A sample takes in one step of the sequence for each of the `reach` samples after it, besides its own first: a
    /// sequence of `samples` samples has `samples + reach` steps, of which each piece has the number nearest to its
    /// fraction. Samples that would go on beyond the end of their piece are in no part.
    ///
    /// # Errors
    ///
    /// Those of [`Split::new`], with [`DataError::PieceTooShort`] for a piece that has no room for a sample.
    pub fn consecutive(
        samples: usize,
        reach: usize,
        own_test: bool,
        options: &SplitOptions,
    ) -> Result<Self, DataError> {
        options.check(samples, own_test)?;
        let steps = samples.saturating_add(reach);
        let before = |end: usize, fraction: f64| end.saturating_sub((fraction * steps as f64).round() as usize);
        let part = |part, Range { start, end }: Range<usize>| match end - start {
            found if found <= reach => Err(DataError::PieceTooShort { part, found, needed: reach.saturating_add(1) }),
            _ => Ok(Part::Range(start..end - reach)),
        };
        let test_start = before(steps, options.test);
        let validation_start = before(test_start, options.validation);
        let optional = |name, fraction: f64, piece| match fraction {
            0.0 => Ok(Part::Range(0..0)),
            _ => part(name, piece),
        };
        Ok(Self {
            test: optional("test", options.test, test_start..steps)?,
            validation: optional("validation", options.validation, validation_start..test_start)?,
            train: part("training", 0..validation_start)?,
        })
    }
}

impl SplitOptions {
    fn check(&self, samples: usize, own_test: bool) -> Result<(), DataError> {
        for (part, value) in [("test", self.test), ("validation", self.validation)] {
            if !(0.0..1.0).contains(&value) {
                return Err(DataError::Fraction { part, value });
            }
        }
        if own_test && self.test > 0.0 {
            return Err(DataError::OwnTestSamples { value: self.test });
        }
        if u32::try_from(samples).is_err() {
            return Err(DataError::TooManySamples { samples });
        }
        Ok(())
    }
}

/// A random order of the numbers below `len`, each of the `len!` orders as likely as any other.
///
/// The same three arguments give the same order everywhere and always. The generator is ChaCha8 with the seed, followed
/// by zeros, as its key (little-endian), and `stream` as its nonce; training takes the number of the epoch for a stream.
/// The shuffle goes from the last position down, and swaps position i with one drawn from 0..=i: a 32-bit word modulo
/// i + 1, words from the last, incomplete run of i + 1 values being passed over.
///
/// Orders are counted in u32: a `len` beyond `u32::MAX` is taken as `u32::MAX`. [`Split::new`], and with it
/// [`prepare`](super::prepare()), refuses data that large.
pub fn permutation(len: usize, seed: u64, stream: u64) -> Vec<u32> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(stream);

    let mut order: Vec<u32> = (0..u32::try_from(len).unwrap_or(u32::MAX)).collect();
    for last in (1..order.len()).rev() {
        // Fits, because the length does.
        let drawn = below(&mut generator, last as u32 + 1);
        order.swap(last, drawn as usize);
    }
    order
}

/// A number below `bound`, which is not 0, each as likely as any other.
fn below(generator: &mut ChaCha8Rng, bound: u32) -> u32 {
    // 2^32 modulo bound: the words left over once every value has had the same number of them.
    let left_over = bound.wrapping_neg() % bound;
    loop {
        let word = generator.next_u32();
        if word <= u32::MAX - left_over {
            return word % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(test: f64, validation: f64) -> SplitOptions {
        SplitOptions { test, validation, seed: 7 }
    }

    /// Computed by another implementation of ChaCha8 and of the shuffle; a change here moves samples between parts.
    #[test]
    fn orders_never_change() {
        assert_eq!(permutation(10, 0, 0), [6, 2, 3, 9, 1, 4, 5, 7, 0, 8]);
        assert_eq!(permutation(10, 42, 3), [3, 8, 0, 1, 7, 5, 4, 6, 9, 2]);
        let long = permutation(1000, (1 << 63) + 5, SPLIT_STREAM);
        assert_eq!(long[..8], [450, 239, 980, 557, 633, 382, 784, 848]);
    }

    #[test]
    fn small_lengths_and_other_streams() {
        assert_eq!(permutation(0, 1, 2), [0u32; 0]);
        assert_eq!(permutation(1, 1, 2), [0]);
        assert_ne!(permutation(100, 1, 2), permutation(100, 1, 3));
        assert_ne!(permutation(100, 1, 2), permutation(100, 2, 2));
    }

    #[test]
    fn every_order_of_four_is_about_as_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for stream in 0..24_000 {
            *counts.entry(permutation(4, 5, stream)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        // 1,000 expected, standard deviation 31.
        assert!(counts.values().all(|&count| (850..1150).contains(&count)), "{counts:?}");
    }

    #[test]
    fn draws_are_unbiased_where_rejection_matters() {
        // A quarter of all words is left over; without rejection the lowest third would be drawn half of the time.
        let bound = 3 << 30;
        let mut generator = ChaCha8Rng::from_seed([1; 32]);
        let low = (0..30_000).filter(|_| below(&mut generator, bound) < bound / 3).count();
        assert!((9_600..10_400).contains(&low), "{low}");
    }

    #[test]
    fn parts_have_the_sizes_asked_for() {
        let split = Split::new(1797, false, &options(0.2, 0.1)).unwrap();
        assert_eq!([split.test.len(), split.validation.len(), split.train.len()], [359, 180, 1258]);
        let without = Split::new(1797, false, &options(0.2, 0.0)).unwrap();
        assert_eq!(without.test, split.test);
        assert!(without.validation.is_empty() && !split.validation.is_empty());
        assert_eq!(Split::new(10, true, &options(0.0, 0.5)).unwrap().train.len(), 5);
    }

    #[test]
    fn impossible_splits_are_refused() {
        let error = |samples, own_test, test, validation| {
            Split::new(samples, own_test, &options(test, validation)).unwrap_err()
        };
        for value in [-0.1, 1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(error(9, false, value, 0.0), DataError::Fraction { part: "test", .. }));
            assert!(matches!(error(9, false, 0.0, value), DataError::Fraction { part: "validation", .. }));
        }
        assert!(matches!(error(9, true, 0.1, 0.0), DataError::OwnTestSamples { .. }));
        assert!(matches!(error(9, false, 0.01, 0.0), DataError::EmptyPart { part: "test", .. }));
        assert!(matches!(error(9, false, 0.0, 0.01), DataError::EmptyPart { part: "validation", .. }));
        assert!(matches!(error(9, false, 0.5, 0.5), DataError::EmptyPart { part: "training", .. }));
        assert!(matches!(error(9, false, 0.9, 0.9), DataError::EmptyPart { part: "training", .. }));
        assert!(matches!(error(0, false, 0.0, 0.0), DataError::EmptyPart { part: "training", .. }));
        #[cfg(target_pointer_width = "64")]
        assert!(matches!(error(1 << 32, false, 0.0, 0.0), DataError::TooManySamples { .. }));
    }

    #[test]
    fn a_sequence_is_cut_from_its_beginning_to_its_end() {
        let split = Split::consecutive(96, 4, false, &options(0.1, 0.2)).unwrap();
        let ranges = [split.train, split.validation, split.test];
        assert_eq!(ranges, [Part::Range(0..66), Part::Range(70..86), Part::Range(90..96)]);
        let whole = Split::consecutive(96, 4, true, &options(0.0, 0.0)).unwrap();
        assert_eq!((whole.train, whole.test.len()), (Part::Range(0..96), 0));
    }

    #[test]
    fn pieces_without_room_are_refused() {
        let error =
            |own_test, test, validation| Split::consecutive(96, 4, own_test, &options(test, validation)).unwrap_err();
        let too_short = |test, validation| match error(false, test, validation) {
            DataError::PieceTooShort { part, found, needed: 5 } => (part, found),
            other => panic!("{other}"),
        };
        assert_eq!(too_short(0.04, 0.0), ("test", 4));
        assert_eq!(too_short(0.1, 0.001), ("validation", 0));
        assert_eq!(too_short(0.5, 0.47), ("training", 3));
        assert_eq!(too_short(0.9, 0.9), ("training", 0));
        assert!(matches!(error(false, 1.0, 0.0), DataError::Fraction { part: "test", .. }));
        assert!(matches!(error(true, 0.1, 0.0), DataError::OwnTestSamples { .. }));
    }

    proptest! {
        #[test]
        fn every_sample_is_in_one_part(samples in 1usize..500, test in 0.0..0.9f64, validation in 0.0..0.9f64, seed: u64) {
            if let Ok(split) = Split::new(samples, false, &SplitOptions { test, validation, seed }) {
                let mut all = Vec::new();
                for part in [split.train, split.validation, split.test] {
                    let Part::Indices(indices) = part else { panic!("{part:?}") };
                    prop_assert!(indices.is_sorted());
                    all.extend(indices);
                }
                all.sort_unstable();
                prop_assert_eq!(all, (0..samples as u32).collect::<Vec<_>>());
            }
        }

        #[test]
        fn pieces_of_a_sequence_share_no_step(
            samples in 1usize..500,
            reach in 1usize..40,
            test in 0.0..0.9f64,
            validation in 0.0..0.9f64,
        ) {
            if let Ok(split) = Split::consecutive(samples, reach, false, &options(test, validation)) {
                let mut free = 0;
                for part in [split.train, split.validation, split.test] {
                    let Part::Range(range) = part else { panic!("{part:?}") };
                    if !range.is_empty() {
                        prop_assert_eq!(range.start, free);
                        free = range.end + reach;
                    }
                }
                prop_assert_eq!(free, samples + reach);
            }
        }
    }
}
