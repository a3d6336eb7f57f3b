//! Applies input scales: raw values in, int8 out.
//!
//! Which scales is the question of [`scaling`](super::scaling); a finished model brings its own. The arithmetic is
//! [`InputScale`]'s, the same that runs beside the network on a microcontroller.

use trishift_format::InputScale;

use super::{DataError, Part, Samples, Values};

/// Quantises the samples of `part` with one scale or one a feature.
///
/// The values lie as the part has them: row-major `[samples, features]` for indices, and for a range with the stride of
/// `samples`, so that values which samples share are there once.
///
/// # Errors
///
/// [`DataError::ScaleCount`], [`DataError::SharedValues`] and [`DataError::InvalidScale`] for the scales,
/// [`DataError::IndexOutOfRange`], [`DataError::InconsistentSamples`], and [`DataError::ValueOutOfRange`] for a value that
/// is not finite.
pub fn quantize(samples: &Samples, part: &Part, scales: &[InputScale]) -> Result<Vec<i8>, DataError> {
    part.check(samples, f32::MAX)?;
    let features = samples.features();
    if scales.len() != 1 && scales.len() != features {
        return Err(DataError::ScaleCount { found: scales.len(), features });
    }
    if scales.len() != 1 && part.stride(samples) != features {
        return Err(DataError::SharedValues);
    }
    if let Some(index) = scales.iter().position(|scale| !scale.is_valid()) {
        return Err(DataError::InvalidScale { index });
    }

    let mut quantized = Vec::new();
    match &samples.values {
        Values::U8(values) => {
            // A byte has 256 values, so that one table a scale answers for all samples.
            let tables: Vec<[i8; 256]> = scales.iter().map(table).collect();
            for (_, run) in part.runs(samples) {
                let run = values[run].iter().zip(tables.iter().cycle());
                quantized.extend(run.map(|(&value, table)| table[usize::from(value)]));
            }
        }
        Values::F32(values) => {
            for (_, run) in part.runs(samples) {
                let run = values[run].iter().zip(scales.iter().cycle());
                quantized.extend(run.map(|(&value, scale)| scale.quantize_f32(value)));
            }
        }
    }
    Ok(quantized)
}

/// What each byte value becomes.
fn table(scale: &InputScale) -> [i8; 256] {
    let mut table = [0; 256];
    for (entry, value) in table.iter_mut().zip(0..) {
        *entry = scale.quantize_i32(value);
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(features: usize, values: Values) -> Samples {
        let labels = vec![0; values.len() / features];
        Samples::new([1, 1, features], values, labels)
    }

    fn quantize(samples: &Samples, indices: &[u32], scales: &[InputScale]) -> Result<Vec<i8>, DataError> {
        super::quantize(samples, &Part::Indices(indices.to_vec()), scales)
    }

    fn scale(zero_mantissa: i32, zero_exponent: i8, shift: i8) -> InputScale {
        InputScale { zero_mantissa, zero_exponent, shift }
    }

    #[test]
    fn rows_come_in_the_order_of_the_indices() {
        let samples = samples(2, Values::U8(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(quantize(&samples, &[2, 0, 2], &[InputScale::IDENTITY]).unwrap(), [5, 6, 1, 2, 5, 6]);
        assert!(quantize(&samples, &[], &[InputScale::IDENTITY]).unwrap().is_empty());
    }

    #[test]
    fn each_feature_may_have_its_own_scale() {
        let scales = [InputScale::IDENTITY, scale(1, 0, 1), scale(0, 0, 7)];
        for values in [Values::U8(vec![1, 2, 3, 4, 5, 0]), Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 0.0])] {
            assert_eq!(quantize(&samples(3, values), &[0, 1], &scales).unwrap(), [1, 2, 127, 4, 8, 0]);
        }
    }

    #[test]
    fn scales_must_fit_the_samples() {
        let samples = samples(3, Values::U8(vec![1, 2, 3]));
        let identity = InputScale::IDENTITY;
        let error = |scales: &[InputScale]| quantize(&samples, &[0], scales).unwrap_err();
        assert!(matches!(error(&[]), DataError::ScaleCount { found: 0, features: 3 }));
        assert!(matches!(error(&[identity; 2]), DataError::ScaleCount { found: 2, features: 3 }));
        assert!(matches!(error(&[identity, scale(0, 101, 0), identity]), DataError::InvalidScale { index: 1 }));
    }

    #[test]
    fn samples_must_be_there_and_finite() {
        let identity = [InputScale::IDENTITY];
        let samples = samples(2, Values::F32(vec![0.0, f32::MAX, 1.0, f32::NAN, f32::INFINITY, 2.0]));
        let error = |indices: &[u32]| quantize(&samples, indices, &identity).unwrap_err();
        assert!(matches!(error(&[0, 3]), DataError::IndexOutOfRange { index: 3, samples: 3 }));
        assert!(matches!(error(&[0, 1]), DataError::ValueOutOfRange { sample: 1, feature: 1, .. }));
        assert!(matches!(error(&[2]), DataError::ValueOutOfRange { sample: 2, feature: 0, .. }));
        assert_eq!(quantize(&samples, &[0], &identity).unwrap(), [0, 127]);
        let cut = Samples { labels: vec![0], ..samples.clone() };
        assert!(matches!(quantize(&cut, &[0], &identity), Err(DataError::InconsistentSamples { .. })));
    }

    #[test]
    fn values_that_samples_share_stay_shared() {
        let samples = Samples { stride: 1, labels: vec![0; 4], ..samples(3, Values::U8(vec![1, 2, 3, 4, 5, 6])) };
        let identity = InputScale::IDENTITY;
        assert_eq!(super::quantize(&samples, &Part::Range(1..3), &[identity]).unwrap(), [2, 3, 4, 5]);
        let taken_out = Part::Indices(vec![3, 1]);
        let scales = [identity, identity, scale(0, 0, 1)];
        assert_eq!(super::quantize(&samples, &taken_out, &scales).unwrap(), [4, 5, 12, 2, 3, 8]);
        let error = super::quantize(&samples, &Part::Range(1..3), &scales).unwrap_err();
        assert!(matches!(error, DataError::SharedValues), "{error}");
    }

    #[test]
    fn a_range_is_the_same_as_its_indices() {
        let samples = samples(2, Values::F32(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
        let scales = [InputScale::IDENTITY, scale(0, 0, 1)];
        let range = super::quantize(&samples, &Part::Range(1..3), &scales).unwrap();
        assert_eq!(range, quantize(&samples, &[1, 2], &scales).unwrap());
    }

    proptest! {
        #[test]
        fn bytes_and_reals_quantise_alike(
            bytes in prop::collection::vec(any::<u8>(), 1..50),
            mantissa in -4095i32..4096,
            exponent in -12i8..8,
            shift in -12i8..8,
        ) {
            let reals = bytes.iter().map(|&value| value.into()).collect();
            let indices: Vec<u32> = (0..bytes.len() as u32).collect();
            let scales = [scale(mantissa, exponent, shift)];
            let narrow = quantize(&samples(1, Values::U8(bytes)), &indices, &scales);
            let wide = quantize(&samples(1, Values::F32(reals)), &indices, &scales);
            prop_assert_eq!(narrow.unwrap(), wide.unwrap());
        }
    }
}
