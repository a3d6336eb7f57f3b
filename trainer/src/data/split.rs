//! Divides samples into training, validation and test parts, and orders them for each epoch.
//!
//! Everything follows from a seed: the order is a Fisher–Yates shuffle of our own over the key stream of ChaCha8, so that
//! neither the number of threads nor the version of a library can move a sample from one part to another. The shuffle is
//! unbiased: a draw that would favour some positions is thrown away and drawn again.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::DataError;

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
    /// Decides which samples go where.
    pub seed: u64,
}

/// Indices of the samples in each part; every sample is in exactly one, and each list ascends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The samples to train on; never empty.
    pub train: Vec<u32>,
    /// The samples to validate on; empty only where the fraction is 0.
    pub validation: Vec<u32>,
    /// The samples to test on; empty only where the fraction is 0.
    pub test: Vec<u32>,
}

impl Split {
    /// Divides `samples` samples; `own_test` says that the data set has test samples besides these.
    ///
    /// A part has the samples nearest to its fraction. The test part depends on its own fraction and the seed alone, so
    /// that another validation fraction does not leak test samples into training.
    ///
    /// # Errors
    ///
    /// [`DataError::Fraction`] and [`DataError::OwnTestSamples`] for the options, [`DataError::TooManySamples`] beyond
    /// `u32::MAX` samples, [`DataError::EmptyPart`] where a part that is asked for, or training, would be left with none.
    pub fn new(samples: usize, own_test: bool, options: &SplitOptions) -> Result<Self, DataError> {
        for (part, value) in [("test", options.test), ("validation", options.validation)] {
            if !(0.0..1.0).contains(&value) {
                return Err(DataError::Fraction { part, value });
            }
        }
        if own_test && options.test > 0.0 {
            return Err(DataError::OwnTestSamples { value: options.test });
        }
        if u32::try_from(samples).is_err() {
            return Err(DataError::TooManySamples { samples });
        }

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
        let part = |range: std::ops::Range<usize>| {
            let mut indices = order[range].to_vec();
            indices.sort_unstable();
            indices
        };
        Ok(Self {
            test: part(0..test),
            validation: part(test..test + validation),
            train: part(test + validation..samples),
        })
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
        assert!(without.validation.is_empty());
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

    proptest! {
        #[test]
        fn every_sample_is_in_one_part(samples in 1usize..500, test in 0.0..0.9f64, validation in 0.0..0.9f64, seed: u64) {
            if let Ok(split) = Split::new(samples, false, &SplitOptions { test, validation, seed }) {
                for part in [&split.train, &split.validation, &split.test] {
                    prop_assert!(part.is_sorted());
                }
                let mut all = [split.train, split.validation, split.test].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..samples as u32).collect::<Vec<_>>());
            }
        }
    }
}
