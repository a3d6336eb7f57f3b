//! Chooses how raw values become int8.
//!
//! An [`InputScale`] maps a raw value v to `sat8(⌊(v − zero)·2^shift + ½⌋)`. Which zero and shift suit a data set is a
//! question to its training samples alone: had the test samples a say, the test would flatter the network. Sums are taken
//! in f64 in the order of the indices and powers of two are read from bits, so the choice is the same on every machine.
//!
//! A zero has 12 significant bits, enough for most data, and up to 24 where 12 would move it by more than half a
//! quantisation step: a pressure around 101,325 that varies by 3 needs them.

use std::fmt;
use std::str::FromStr;

use trishift_format::InputScale;

use super::{DataError, Part, Samples, Values};

/// The largest distance from zero, after scaling, that rounds to an int8 on either side.
const FULL_SCALE: f64 = 127.49;

/// Where the standard deviation of a feature comes to lie in int8: three of them fit, outliers saturate.
const DEVIATION_TARGET: f64 = 40.0;

/// Significant bits of a zero: these first, more only where they are needed.
const ZERO_BITS: std::ops::RangeInclusive<i32> = 12..=24;

/// Raw values beyond this cannot be scaled to int8 by the exponents that a record holds.
const LARGEST_VALUE: f32 = f32::from_bits((100 + 127) << 23);

/// Whether features share an input scale, and what it is for. Written `tensor`, `from-zero`, `feature`, `image` or
/// `index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScalingMode {
    /// One scale for all features, such that no training value saturates; for pixels and other values of one kind.
    ///
    /// Zero is the mean of all values, a whole number for byte values; shift is the largest for which
    /// `max|v − zero|·2^shift ≤ 127.49`.
    Tensor,
    /// One scale for all features that keeps zero, for values whose zero means nothing there, such as ink on paper.
    ///
    /// Shift is the largest for which `max|v|·2^shift < 128`.
    FromZero,
    /// A scale for each feature, for tables whose columns have units of their own.
    ///
    /// Zero is the feature's mean, shift the whole number nearest to `log2(40 / standard deviation)`. A feature that
    /// never changes has shift 0.
    Feature,
    /// The scale v − 128 for all features, for pixels from 0 to 255: each value has an int8 of its own, whatever the others
    /// are.
    Image,
    /// The scale v − 128 for all features: values are no quantities but numbers, from 0 to 255, of an embedding's rows.
    Index,
}

/// The scale of [`ScalingMode::Image`] and [`ScalingMode::Index`].
const BYTE: InputScale = InputScale { zero_mantissa: 128, zero_exponent: 0, shift: 0 };

impl FromStr for ScalingMode {
    type Err = DataError;

    /// Fails with [`DataError::UnknownScalingMode`] alone.
    fn from_str(text: &str) -> Result<Self, DataError> {
        match text {
            "tensor" => Ok(Self::Tensor),
            "feature" => Ok(Self::Feature),
            "from-zero" => Ok(Self::FromZero),
            "image" => Ok(Self::Image),
            "index" => Ok(Self::Index),
            _ => Err(DataError::UnknownScalingMode { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for ScalingMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tensor => "tensor",
            Self::Feature => "feature",
            Self::FromZero => "from-zero",
            Self::Image => "image",
            Self::Index => "index",
        })
    }
}

/// Chooses input scales from the samples of `part`: one record, or one a feature.
///
/// # Errors
///
/// [`DataError::EmptyPart`] without samples, [`DataError::IndexOutOfRange`], [`DataError::InconsistentSamples`],
/// [`DataError::ValueOutOfRange`] for a value that is not finite or is beyond ±2^100, [`DataError::SharedValues`] for a
/// scale for each feature where one value is several features, and [`DataError::NotAByte`] for a value that is no byte
/// where bytes are taken as they are.
pub fn choose(samples: &Samples, part: &Part, mode: ScalingMode) -> Result<Vec<InputScale>, DataError> {
    part.check(samples, LARGEST_VALUE)?;
    if part.is_empty() {
        return Err(DataError::EmptyPart { part: "training", samples: samples.len() });
    }
    match mode {
        ScalingMode::Tensor => Ok(vec![choose_shared(samples, part)]),
        ScalingMode::FromZero => Ok(vec![choose_from_zero(samples, part)]),
        ScalingMode::Feature if part.stride(samples) != samples.features() => Err(DataError::SharedValues),
        ScalingMode::Feature => Ok(choose_each(samples, part)),
        ScalingMode::Image | ScalingMode::Index => check_bytes(samples, part, mode).map(|()| vec![BYTE]),
    }
}

/// Refuses values that are no bytes. [`choose`] sees the training part only; the others hold values of their own.
pub(super) fn check_bytes(samples: &Samples, part: &Part, mode: ScalingMode) -> Result<(), DataError> {
    part.check(samples, LARGEST_VALUE)?;
    if let Values::F32(values) = &samples.values
        && let Some((sample, feature, value)) = part.find(samples, values, |value| f32::from(value as u8) != value)
    {
        return Err(DataError::NotAByte { mode, sample, feature, value });
    }
    Ok(())
}

/// Calls `visitor` with the feature and the value of each value of `part`, in its order; a value that samples share is one
/// value.
fn visit(samples: &Samples, part: &Part, mut visitor: impl FnMut(usize, f64)) {
    let features = samples.features();
    for (_, run) in part.runs(samples) {
        let feature = (0..features).cycle();
        match &samples.values {
            Values::U8(values) => feature.zip(&values[run]).for_each(|(f, &value)| visitor(f, value.into())),
            Values::F32(values) => feature.zip(&values[run]).for_each(|(f, &value)| visitor(f, value.into())),
        }
    }
}

/// The scale of [`ScalingMode::Tensor`].
fn choose_shared(samples: &Samples, part: &Part) -> InputScale {
    let (mut count, mut sum, mut smallest, mut largest) = (0usize, 0.0, f64::INFINITY, f64::NEG_INFINITY);
    visit(samples, part, |_, value| {
        count += 1;
        sum += value;
        smallest = value.min(smallest);
        largest = value.max(largest);
    });
    let mean = sum / count as f64;
    let shift = |zero: f64| match (largest - zero).max(zero - smallest) {
        0.0 => 0,
        distance => limited(floor_log2(FULL_SCALE / distance)),
    };
    match samples.values {
        Values::U8(_) => {
            let zero = mean.round();
            InputScale { zero_mantissa: zero as i32, zero_exponent: 0, shift: shift(zero) }
        }
        Values::F32(_) => with_zero_near(mean, shift),
    }
}

/// The scale of [`ScalingMode::FromZero`].
fn choose_from_zero(samples: &Samples, part: &Part) -> InputScale {
    let mut largest = 0f64;
    visit(samples, part, |_, value| largest = largest.max(value.abs()));
    // The next power of two above the largest value becomes 128.
    let shift = if largest == 0.0 { 0 } else { limited(6 - floor_log2(largest)) };
    InputScale { zero_mantissa: 0, zero_exponent: 0, shift }
}

/// The scales of [`ScalingMode::Feature`].
fn choose_each(samples: &Samples, part: &Part) -> Vec<InputScale> {
    /// What is known of one feature.
    #[derive(Clone, Copy)]
    struct Feature {
        mean: f64,
        variance: f64,
        smallest: f64,
        largest: f64,
    }
    let unknown = Feature { mean: 0.0, variance: 0.0, smallest: f64::INFINITY, largest: f64::NEG_INFINITY };
    let mut known = vec![unknown; samples.features()];
    let count = part.len() as f64;
    visit(samples, part, |feature, value| {
        let feature = &mut known[feature];
        feature.mean += value;
        feature.smallest = value.min(feature.smallest);
        feature.largest = value.max(feature.largest);
    });
    known.iter_mut().for_each(|feature| feature.mean /= count);
    // A second pass, because the difference of a mean of squares and a squared mean loses what it is after.
    visit(samples, part, |feature, value| {
        let feature = &mut known[feature];
        feature.variance += (value - feature.mean) * (value - feature.mean) / count;
    });

    let scale = |feature: &Feature| {
        let shift = if feature.smallest == feature.largest {
            0
        } else {
            // The nearest whole number to log2(t/σ) is ⌊(log2(t²/σ²) + 1)/2⌋, of which ⌊log2⌋ is all that matters.
            let squared = floor_log2(DEVIATION_TARGET * DEVIATION_TARGET / feature.variance);
            limited((squared + 1).div_euclid(2))
        };
        with_zero_near(feature.mean, |_| shift)
    };
    known.iter().map(scale).collect()
}

/// A scale with a short zero near `mean`, and the shift that `shift` finds for that zero.
fn with_zero_near(mean: f64, shift: impl Fn(f64) -> i8) -> InputScale {
    let mut scale = InputScale::IDENTITY;
    for bits in ZERO_BITS {
        let (zero_mantissa, zero_exponent) = dyadic(mean, bits);
        let zero = f64::from(zero_mantissa) * power_of_two(zero_exponent.into());
        scale = InputScale { zero_mantissa, zero_exponent, shift: shift(zero) };
        if (zero - mean).abs() * power_of_two(scale.shift.into()) <= 0.5 {
            break;
        }
    }
    scale
}

/// The nearest `mantissa·2^exponent` to `value` with at most `bits` significant bits, in lowest terms.
fn dyadic(value: f64, bits: i32) -> (i32, i8) {
    let exponent = limited(floor_log2(value.abs()) + 1 - bits);
    let mantissa = (value * power_of_two(-i32::from(exponent))).round() as i32;
    match mantissa.trailing_zeros() {
        32 => (0, 0),
        zeros => (mantissa >> zeros, exponent.saturating_add(zeros as i8)),
    }
}

/// An exponent within what a record holds.
fn limited(exponent: i32) -> i8 {
    let limit = InputScale::EXPONENT_LIMIT;
    exponent.clamp(-i32::from(limit), limit.into()) as i8
}

/// ⌊log2 value⌋ of a positive value, read from its bits; far below any limit here for 0 and subnormal values.
fn floor_log2(value: f64) -> i32 {
    (value.to_bits() >> 52) as i32 - 1023
}

/// 2^exponent, exact for −1022..=1023.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{digits, quantize};
    use super::*;

    fn bytes(features: usize, values: &[u8]) -> Samples {
        let labels = vec![0; values.len() / features];
        Samples::new([1, 1, features], Values::U8(values.to_vec()), labels)
    }

    fn reals(features: usize, values: &[f32]) -> Samples {
        let labels = vec![0; values.len() / features];
        Samples::new([1, 1, features], Values::F32(values.to_vec()), labels)
    }

    fn all(samples: &Samples) -> Part {
        Part::Range(0..samples.len())
    }

    fn chosen(samples: &Samples, mode: ScalingMode) -> Vec<InputScale> {
        choose(samples, &all(samples), mode).unwrap()
    }

    fn scale(zero_mantissa: i32, zero_exponent: i8, shift: i8) -> InputScale {
        InputScale { zero_mantissa, zero_exponent, shift }
    }

    #[test]
    fn a_mode_survives_text() {
        for mode in [ScalingMode::Tensor, ScalingMode::Feature, ScalingMode::Image, ScalingMode::Index] {
            assert_eq!(mode.to_string().parse::<ScalingMode>().unwrap(), mode);
        }
        assert!(matches!("pixel".parse::<ScalingMode>(), Err(DataError::UnknownScalingMode { .. })));
    }

    #[test]
    fn the_digits_have_zero_5_and_shift_3() {
        let samples = digits::read().unwrap().train;
        assert_eq!(chosen(&samples, ScalingMode::Tensor), [scale(5, 0, 3)]);
    }

    #[test]
    fn a_shared_scale_just_fits() {
        // Mean 51; the farthest value is 204 away, and 204/2 ≤ 127.49 < 204.
        assert_eq!(chosen(&bytes(1, &[0, 0, 0, 0, 255]), ScalingMode::Tensor), [scale(51, 0, -1)]);
        // Mean 1.5 rounds up to 2; distance 2, and 2·2^5 = 64.
        assert_eq!(chosen(&bytes(2, &[0, 3]), ScalingMode::Tensor), [scale(2, 0, 5)]);
        // Reals keep a fractional zero: 1.5, distance 1.5, 1.5·2^6 = 96.
        assert_eq!(chosen(&reals(2, &[0.0, 3.0]), ScalingMode::Tensor), [scale(3, -1, 6)]);
        assert_eq!(chosen(&bytes(2, &[7, 7]), ScalingMode::Tensor), [scale(7, 0, 0)]);
    }

    #[test]
    fn each_feature_has_its_own_scale() {
        // Columns: mean 2, deviation 1, log2(40) = 5.3; mean −1/4, deviation 1/4, log2(160) = 7.3; constant 9.
        let samples = reals(3, &[1.0, 0.0, 9.0, 3.0, -0.5, 9.0]);
        assert_eq!(chosen(&samples, ScalingMode::Feature), [scale(1, 1, 5), scale(-1, -2, 7), scale(9, 0, 0)]);
        // Bytes keep a fractional zero here: mean 1/2, deviation 1/2, log2(80) = 6.3.
        assert_eq!(chosen(&bytes(1, &[0, 1]), ScalingMode::Feature), [scale(1, -1, 6)]);
    }

    #[test]
    fn a_zero_gets_the_bits_it_needs() {
        // A third: 2730.67 in 12 bits.
        let thirds = reals(1, &[1.0, 0.0, 0.0]);
        assert_eq!(chosen(&thirds, ScalingMode::Tensor), [scale(2731, -13, 7)]);
        // Far from 0 and narrow: with 12 bits both values would saturate.
        let offset = reals(1, &[101_324.0, 101_326.0]);
        for mode in [ScalingMode::Tensor, ScalingMode::Feature] {
            let scales = chosen(&offset, mode);
            let quantized = quantize(&offset, &all(&offset), &scales).unwrap();
            assert!(quantized[0] < -20 && quantized[1] > 20 && quantized[1] < 127, "{mode}: {scales:?} {quantized:?}");
        }
    }

    #[test]
    fn bytes_are_moved_by_128() {
        let whole = reals(2, &[0.0, 255.0, 128.0, 7.0]);
        for mode in [ScalingMode::Image, ScalingMode::Index] {
            assert_eq!(chosen(&whole, mode), [scale(128, 0, 0)]);
            let scales = chosen(&bytes(4, &[0, 255, 128, 7]), mode);
            assert_eq!(quantize(&whole, &all(&whole), &scales).unwrap(), [-128, 127, 0, -121]);
            for value in [-1.0, 256.0, 0.5] {
                let samples = reals(2, &[0.0, 0.0, 1.0, value]);
                let error = choose(&samples, &all(&samples), mode).unwrap_err();
                assert!(matches!(error, DataError::NotAByte { sample: 1, feature: 1, .. }), "{error}");
                assert!(error.to_string().contains(&format!("scaling = \"{mode}\"")), "{error}");
            }
        }
    }

    #[test]
    fn values_that_samples_share_count_once() {
        // Mean 3 of 0, 2, 2, 8; the middle values are in two samples each.
        let samples = Samples { stride: 1, labels: vec![0; 3], ..bytes(2, &[0, 2, 2, 8]) };
        assert_eq!(chosen(&samples, ScalingMode::Tensor), [scale(3, 0, 4)]);
        let error = choose(&samples, &all(&samples), ScalingMode::Feature).unwrap_err();
        assert!(matches!(error, DataError::SharedValues), "{error}");
    }

    #[test]
    fn only_the_chosen_samples_count() {
        let samples = reals(1, &[0.0, f32::INFINITY, 2.0, 4096.0]);
        assert_eq!(choose(&samples, &Part::Indices(vec![0, 2]), ScalingMode::Tensor).unwrap(), [scale(1, 0, 6)]);
    }

    #[test]
    fn values_beyond_reach_are_refused() {
        for value in [f32::NAN, f32::NEG_INFINITY, -2e30] {
            let samples = reals(2, &[0.0, 0.0, 1.0, value]);
            let error = choose(&samples, &all(&samples), ScalingMode::Tensor).unwrap_err();
            assert!(matches!(error, DataError::ValueOutOfRange { sample: 1, feature: 1, .. }), "{error}");
        }
        for extreme in [LARGEST_VALUE, f32::MIN_POSITIVE, 1e-45] {
            for mode in [ScalingMode::Tensor, ScalingMode::Feature] {
                for values in [[extreme, -extreme], [extreme, extreme], [0.0, extreme]] {
                    assert!(chosen(&reals(1, &values), mode)[0].is_valid(), "{values:?}");
                }
            }
        }
    }

    #[test]
    fn samples_to_choose_from_must_be_there() {
        let samples = bytes(1, &[1, 2]);
        for mode in [ScalingMode::Tensor, ScalingMode::Feature] {
            assert!(matches!(choose(&samples, &Part::Range(1..1), mode), Err(DataError::EmptyPart { .. })));
            let outcome = choose(&samples, &Part::Indices(vec![2]), mode);
            assert!(matches!(outcome, Err(DataError::IndexOutOfRange { index: 2, samples: 2 })));
        }
    }

    proptest! {
        #[test]
        fn a_shared_scale_never_saturates_and_is_the_finest(values in prop::collection::vec(-1e6f32..1e6, 2..50)) {
            let samples = reals(1, &values);
            let [scale] = chosen(&samples, ScalingMode::Tensor)[..] else { panic!("one scale") };
            let zero = f64::from(scale.zero_mantissa) * power_of_two(scale.zero_exponent.into());
            let distance = values.iter().map(|&value| (f64::from(value) - zero).abs()).fold(0.0, f64::max);
            if distance > 0.0 {
                prop_assert!(distance * power_of_two(scale.shift.into()) <= FULL_SCALE);
                prop_assert!(distance * power_of_two(i32::from(scale.shift) + 1) > FULL_SCALE);
            }
        }

        #[test]
        fn a_features_shift_is_the_nearest(values in prop::collection::vec(-1e6f32..1e6, 2..50)) {
            prop_assume!(values.iter().any(|value| value != &values[0]));
            let samples = reals(1, &values);
            let scale = chosen(&samples, ScalingMode::Feature)[0];
            let count = values.len() as f64;
            let mean = values.iter().copied().map(f64::from).sum::<f64>() / count;
            let variance = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>() / count;
            prop_assert!(((DEVIATION_TARGET / variance.sqrt()).log2() - f64::from(scale.shift)).abs() <= 0.5 + 1e-9);
        }
    }
}
