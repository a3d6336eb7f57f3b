//! The int8 samples that a network is trained and judged on.
//!
//! [`prepare`] is for training: it splits a [`Source`], chooses input scales from the training part and quantises all
//! parts with them. [`prepare_with`] is for judging a finished model: the split is the same for the same options, but the
//! scales are the model's own, because they are part of the function it computes.

use trishift_format::InputScale;

use super::scaling::{self, ScalingMode};
use super::{DataError, Samples, Source, Split, SplitOptions, quantize};

/// Quantised samples and their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Height, width and channels of one sample.
    pub shape: [usize; 3],
    /// The samples, row-major `[samples, features]`.
    pub samples: Vec<i8>,
    /// One label a sample: an index into [`Prepared::classes`].
    pub labels: Vec<u16>,
}

impl Dataset {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True where there are no samples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values of one sample: height × width × channels (`usize::MAX` where that overflows).
    pub fn features(&self) -> usize {
        self.shape.iter().fold(1, |product: usize, &size| product.saturating_mul(size))
    }

    /// The sample at `index`; empty where there is none.
    pub fn row(&self, index: usize) -> &[i8] {
        let features = self.features();
        let start = index.saturating_mul(features);
        self.samples.get(start..start.saturating_add(features)).unwrap_or_default()
    }
}

/// A data set ready for a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The samples to train on; never empty.
    pub train: Dataset,
    /// The samples to validate on; empty where none were asked for.
    pub validation: Dataset,
    /// The samples to test on: the data set's own, or those asked for; empty where there are neither.
    pub test: Dataset,
    /// Names of the classes, in the order of their labels.
    pub classes: Vec<String>,
    /// How raw values became int8: one record, or one a feature.
    pub scales: Vec<InputScale>,
}

/// Splits `source`, chooses input scales from its training part, and quantises all parts with them.
///
/// Where the source has test samples of its own they are the test part, and the test fraction must be 0.
///
/// # Errors
///
/// Those of [`Split::new`], [`scaling::choose`] and [`quantize`](super::quantize()), and [`DataError::InconsistentSamples`],
/// [`DataError::TestShape`] or [`DataError::LabelOutOfRange`] for a source whose fields do not belong together, which
/// [`read`](super::read()) never returns.
pub fn prepare(source: Source, split: &SplitOptions, mode: ScalingMode) -> Result<Prepared, DataError> {
    let split = divide(&source, split)?;
    let scales = scaling::choose(&source.train, &split.train, mode)?;
    assemble(source, &split, scales)
}

/// Splits `source` as [`prepare`] does, and quantises all parts with `scales`: one record, or one a feature.
///
/// # Errors
///
/// Those of [`prepare`], with [`DataError::ScaleCount`] or [`DataError::InvalidScale`] where the scales do not fit.
pub fn prepare_with(source: Source, split: &SplitOptions, scales: &[InputScale]) -> Result<Prepared, DataError> {
    let split = divide(&source, split)?;
    assemble(source, &split, scales.to_vec())
}

/// Checks the source and splits its training samples.
fn divide(source: &Source, options: &SplitOptions) -> Result<Split, DataError> {
    let classes = source.classes.len();
    for samples in std::iter::once(&source.train).chain(&source.test) {
        samples.check()?;
        if samples.shape != source.train.shape {
            return Err(DataError::TestShape { train: source.train.shape, test: samples.shape });
        }
        if let Some(sample) = samples.labels.iter().position(|&label| usize::from(label) >= classes) {
            return Err(DataError::LabelOutOfRange { sample, label: samples.labels[sample], classes });
        }
    }
    Split::new(source.train.len(), source.test.is_some(), options)
}

fn assemble(source: Source, split: &Split, scales: Vec<InputScale>) -> Result<Prepared, DataError> {
    let part = |samples: &Samples, indices: &[u32]| {
        Ok(Dataset {
            shape: samples.shape,
            samples: quantize(samples, indices, &scales)?,
            labels: indices.iter().filter_map(|&index| samples.labels.get(index as usize).copied()).collect(),
        })
    };
    let test = match &source.test {
        None => part(&source.train, &split.test)?,
        Some(test) => {
            let too_many = |_| DataError::TooManySamples { samples: test.len() };
            let indices: Vec<u32> = (0..u32::try_from(test.len()).map_err(too_many)?).collect();
            part(test, &indices)?
        }
    };
    Ok(Prepared {
        train: part(&source.train, &split.train)?,
        validation: part(&source.train, &split.validation)?,
        test,
        classes: source.classes,
        scales,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Values, digits};
    use super::*;

    /// Twenty samples of two features, the first of which is the sample's number.
    fn source() -> Source {
        let values = (0..20).flat_map(|number| [number, 40]).collect();
        let labels = (0..20).map(|number| number % 2).collect();
        let train = Samples { shape: [1, 1, 2], values: Values::U8(values), labels };
        Source { train, test: None, classes: vec!["even".into(), "odd".into()] }
    }

    fn with_test() -> Source {
        let test = Samples { shape: [1, 1, 2], values: Values::F32(vec![0.0, 1e9, 3.0, -1e9]), labels: vec![0, 1] };
        Source { test: Some(test), ..source() }
    }

    fn options(test: f64, validation: f64) -> SplitOptions {
        SplitOptions { test, validation, seed: 1 }
    }

    #[test]
    fn labels_stay_with_their_samples() {
        let prepared = prepare_with(source(), &options(0.2, 0.3), &[InputScale::IDENTITY]).unwrap();
        assert_eq!([prepared.train.len(), prepared.validation.len(), prepared.test.len()], [10, 6, 4]);
        let mut seen = Vec::new();
        for part in [&prepared.train, &prepared.validation, &prepared.test] {
            assert_eq!((part.shape, part.features(), part.is_empty()), ([1, 1, 2], 2, false));
            for index in 0..part.len() {
                let row = part.row(index);
                assert_eq!((row[1], row[0] % 2), (40, part.labels[index] as i8));
                seen.push(row[0]);
            }
            assert!(part.row(part.len()).is_empty() && part.row(usize::MAX).is_empty());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<i8>>());
    }

    #[test]
    fn scales_come_from_the_training_part_alone() {
        let prepared = prepare(with_test(), &options(0.0, 0.0), ScalingMode::Tensor).unwrap();
        // Mean (9.5 + 40)/2, rounded; its farthest value is 0.
        assert_eq!(prepared.scales, [InputScale { zero_mantissa: 25, zero_exponent: 0, shift: 2 }]);
        assert_eq!(prepared.test.samples, [-100, 127, -88, -128]);
        assert_eq!(prepared.test.labels, [0, 1]);
        assert!(prepared.validation.is_empty());
        assert!(matches!(
            prepare(with_test(), &options(0.5, 0.0), ScalingMode::Tensor),
            Err(DataError::OwnTestSamples { .. })
        ));
    }

    #[test]
    fn a_models_scales_give_the_split_it_was_trained_on() {
        for mode in [ScalingMode::Tensor, ScalingMode::Feature] {
            let trained = prepare(digits::read().unwrap(), &options(0.2, 0.1), mode).unwrap();
            assert_eq!(trained.scales.len(), if mode == ScalingMode::Tensor { 1 } else { 64 });
            let judged = prepare_with(digits::read().unwrap(), &options(0.2, 0.1), &trained.scales).unwrap();
            assert_eq!(judged, trained);
        }
        let error = prepare_with(source(), &options(0.0, 0.0), &[InputScale::IDENTITY; 3]).unwrap_err();
        assert!(matches!(error, DataError::ScaleCount { found: 3, features: 2 }));
    }

    #[test]
    fn sources_that_disagree_with_themselves_are_refused() {
        let outcome = |change: fn(&mut Source)| {
            let mut source = with_test();
            change(&mut source);
            prepare(source, &options(0.0, 0.0), ScalingMode::Tensor).unwrap_err()
        };
        let error = outcome(|source| source.train.labels.truncate(3));
        assert!(matches!(error, DataError::InconsistentSamples { samples: 3, values: 40, .. }));
        let error = outcome(|source| source.train.shape = [1, 2, 1]);
        assert!(matches!(error, DataError::TestShape { train: [1, 2, 1], test: [1, 1, 2] }));
        let error = outcome(|source| source.classes.truncate(1));
        assert!(matches!(error, DataError::LabelOutOfRange { sample: 1, label: 1, classes: 1 }));
    }
}
