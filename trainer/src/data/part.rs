//! Which samples belong to a part, and where their values lie.
//!
//! Samples that a permutation has dealt out are named by their indices. Consecutive ones are a range: it costs no memory a
//! sample, and where samples overlap it keeps each value once.

use std::ops::Range;

use super::{DataError, Samples, Values};

/// The samples of one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Any samples, in any order.
    Indices(Vec<u32>),
    /// Consecutive samples.
    Range(Range<usize>),
}

impl Part {
    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Indices(indices) => indices.len(),
            Self::Range(range) => range.len(),
        }
    }

    /// True where there are no samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values from the start of one of these samples to that of the next, once they are taken out of `samples`.
    pub(super) fn stride(&self, samples: &Samples) -> usize {
        match self {
            Self::Indices(_) => samples.features(),
            Self::Range(_) => samples.stride,
        }
    }

    /// The numbers of these samples.
    pub(super) fn indices(&self) -> Vec<u32> {
        match self {
            Self::Indices(indices) => indices.clone(),
            Self::Range(range) => range.clone().map_while(|index| u32::try_from(index).ok()).collect(),
        }
    }

    /// The labels of these samples.
    pub(super) fn labels(&self, samples: &Samples) -> Vec<u16> {
        match self {
            Self::Indices(indices) => {
                indices.iter().filter_map(|&index| samples.labels.get(index as usize).copied()).collect()
            }
            Self::Range(range) => samples.labels.get(range.clone()).unwrap_or_default().to_vec(),
        }
    }

    /// Where the values lie, with the first sample of each run: a run for every index, or one for the whole range.
    ///
    /// A run holds whole samples from its beginning on. [`Part::check`] has found the samples to be there.
    pub(super) fn runs(&self, samples: &Samples) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (indices, range) = match self {
            Self::Indices(indices) => (indices.as_slice(), 0..0),
            Self::Range(range) => (&[][..], range.clone()),
        };
        let (stride, features) = (samples.stride, samples.features());
        let run = move |range: Range<usize>| {
            let last = range.end.saturating_sub(1);
            (range.start, range.start * stride..last * stride + features)
        };
        let each = indices.iter().map(move |&index| run(index as usize..index as usize + 1));
        each.chain((!range.is_empty()).then(|| run(range)))
    }

    /// The first value that `is_wrong`, with its sample and its feature.
    pub(super) fn find(
        &self,
        samples: &Samples,
        values: &[f32],
        is_wrong: impl Fn(f32) -> bool,
    ) -> Option<(usize, usize, f32)> {
        let features = samples.features();
        self.runs(samples).find_map(|(first, run)| {
            let values = &values[run];
            let place = values.iter().position(|&value| is_wrong(value))?;
            let steps = (place + 1).saturating_sub(features).div_ceil(samples.stride);
            Some((first + steps, place - steps * samples.stride, values[place]))
        })
    }

    /// Makes sure that these samples are there and hold finite values up to `largest` in magnitude.
    pub(super) fn check(&self, samples: &Samples, largest: f32) -> Result<(), DataError> {
        samples.check()?;
        let count = samples.len();
        let beyond = match self {
            Self::Indices(indices) => indices.iter().map(|&index| index as usize).find(|&index| index >= count),
            Self::Range(range) => (range.end > count && !range.is_empty()).then(|| range.end - 1),
        };
        if let Some(index) = beyond {
            return Err(DataError::IndexOutOfRange { index, samples: count });
        }
        if let Values::F32(values) = &samples.values {
            // Not-a-number is in no range.
            let is_wrong = |value: f32| !(-largest..=largest).contains(&value);
            if let Some((sample, feature, value)) = self.find(samples, values, is_wrong) {
                return Err(DataError::ValueOutOfRange { sample, feature, value });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five samples of three features that begin at every second of eleven values.
    fn overlapping() -> Samples {
        let values = (0..11u8).map(f32::from).collect();
        Samples { shape: [1, 1, 3], stride: 2, values: Values::F32(values), labels: vec![5, 6, 7, 8, 9] }
    }

    #[test]
    fn a_range_is_one_run_and_an_index_another() {
        let samples = overlapping();
        let range = Part::Range(1..4);
        assert_eq!(range.runs(&samples).collect::<Vec<_>>(), [(1, 2..9)]);
        assert_eq!((range.len(), range.stride(&samples), range.labels(&samples)), (3, 2, vec![6, 7, 8]));
        let indices = Part::Indices(vec![4, 0]);
        assert_eq!(indices.runs(&samples).collect::<Vec<_>>(), [(4, 8..11), (0, 0..3)]);
        assert_eq!((indices.len(), indices.stride(&samples), indices.labels(&samples)), (2, 3, vec![9, 5]));
        for empty in [Part::Range(2..2), Part::Indices(vec![])] {
            assert!(empty.is_empty() && empty.check(&samples, 99.0).is_ok());
            assert_eq!((empty.runs(&samples).next(), empty.labels(&samples)), (None, vec![]));
        }
    }

    #[test]
    fn values_are_found_in_the_first_sample_that_has_them() {
        let samples = overlapping();
        let Values::F32(values) = &samples.values else { panic!("reals") };
        let range = Part::Range(1..5);
        for (value, place) in [(2, (1, 0)), (4, (1, 2)), (5, (2, 1)), (6, (2, 2)), (10, (4, 2))] {
            let value = f32::from(value as u8);
            assert_eq!(range.find(&samples, values, |v| v == value), Some((place.0, place.1, value)));
        }
        assert_eq!(range.find(&samples, values, |v| v == 1.0), None);
        let separate = Samples::new([1, 1, 2], Values::F32(vec![0.0, 1.0, 2.0, 3.0]), vec![0, 0]);
        let Values::F32(values) = &separate.values else { panic!("reals") };
        for part in [Part::Range(0..2), Part::Indices(vec![0, 1])] {
            assert_eq!(part.find(&separate, values, |v| v == 2.0), Some((1, 0, 2.0)));
        }
    }

    #[test]
    fn samples_that_are_not_there_are_named() {
        for part in [Part::Range(3..6), Part::Indices(vec![0, 5])] {
            let error = part.check(&overlapping(), 99.0).unwrap_err();
            assert!(matches!(error, DataError::IndexOutOfRange { index: 5, samples: 5 }), "{error}");
        }
        let error = Part::Range(0..5).check(&overlapping(), 9.5).unwrap_err();
        assert!(matches!(error, DataError::ValueOutOfRange { sample: 4, feature: 2, .. }), "{error}");
        assert!(Part::Range(0..4).check(&overlapping(), 9.5).is_ok());
    }
}
