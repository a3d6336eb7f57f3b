//! The int8 samples that a network is trained and judged on.
//!
//! [`prepare`] is for training: it splits a [`Source`], chooses input scales from the training part and quantises all
//! parts with them. [`prepare_with`] is for judging a finished model: the split is the same for the same options, but the
//! scales are the model's own, because they are part of the function it computes.

use std::borrow::Cow;
use std::ops::Range;

use trishift_format::InputScale;

use super::audio::AudioOptions;
use super::scaling::{self, ScalingMode};
use super::{DataError, Part, Samples, Source, Split, SplitOptions, quantize};

/// Quantised samples and their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Height, width and channels of one sample.
    pub shape: [usize; 3],
    /// Values from the start of one sample to that of the next: all of a sample's, or fewer where samples overlap.
    pub stride: usize,
    /// The values of the samples, one sample each `stride`; without overlap, row-major `[samples, features]`.
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
        let start = index.saturating_mul(self.stride);
        self.samples.get(start..start.saturating_add(self.features())).unwrap_or_default()
    }

    /// The samples of `range`, those that are there, row-major `[samples, features]` and without overlap. Copied only
    /// where samples overlap.
    pub fn dense(&self, range: Range<usize>) -> Cow<'_, [i8]> {
        let features = self.features();
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        if self.stride == features {
            let values = self.samples.get(range.start * features..range.end * features);
            return Cow::Borrowed(values.unwrap_or_default());
        }
        let mut values = Vec::with_capacity(range.len() * features);
        range.for_each(|index| values.extend_from_slice(self.row(index)));
        Cow::Owned(values)
    }
}

/// A data set ready for a network.
#[derive(Clone, Debug, PartialEq)]
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
    /// Of recordings, how they became samples.
    pub audio: Option<AudioOptions>,
}

/// Splits `source`, chooses input scales from its training part, and quantises all parts with them.
///
/// A [sequence](Source::sequence) is cut into consecutive pieces, anything else split at random. Where the source has test samples of its own they are the test part, and the test fraction must be 0.
///
/// # Errors
///
/// Those of [`Split::new`] or [`Split::consecutive`], [`scaling::choose`] and [`quantize`](super::quantize()), and [`DataError::InconsistentSamples`],
/// [`DataError::TestShape`] or [`DataError::LabelOutOfRange`] for a source whose fields do not belong together, which
/// [`read`](super::read()) never returns.
pub fn prepare(source: Source, split: &SplitOptions, mode: ScalingMode) -> Result<Prepared, DataError> {
    prepare_watched(source, split, mode, &|_, _| {})
}

/// The same; while [copies of recordings](Source::recordings) are made, `progress` is called with how many there are and how many there will
/// be, from any thread.
///
/// # Errors
///
/// Those of [`prepare`], with [`DataError::ScaleOfCopies`] for copies under a scale for each feature.
pub fn prepare_watched(
    mut source: Source,
    split: &SplitOptions,
    mode: ScalingMode,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Prepared, DataError> {
    let split = divide(&source, split)?;
    let scales = scaling::choose(&source.train, &split.train, mode)?;
    if matches!(mode, ScalingMode::Image | ScalingMode::Index) {
        // Elsewhere, what lies beyond the training values saturates; here it would be another byte.
        for samples in std::iter::once(&source.train).chain(&source.test) {
            scaling::check_bytes(samples, &Part::Range(0..samples.len()), mode)?;
        }
    }
    let recordings = source.recordings.take();
    let mut prepared = assemble(source, &split, scales)?;
    if let Some(recordings) = recordings {
        recordings.add_copies(&mut prepared.train, &split.train, &prepared.scales, progress)?;
        prepared.audio = Some(recordings.options);
    }
    Ok(prepared)
}

/// Splits `source` as [`prepare`] does, and quantises all parts with `scales`: one record, or one a feature.
///
/// # Errors
///
/// Those of [`prepare`], with [`DataError::ScaleCount`] or [`DataError::InvalidScale`] where the scales do not fit.
pub fn prepare_with(source: Source, split: &SplitOptions, scales: &[InputScale]) -> Result<Prepared, DataError> {
    let split = divide(&source, split)?;
    let audio = source.recordings.as_ref().map(|recordings| recordings.options.clone());
    Ok(Prepared { audio, ..assemble(source, &split, scales.to_vec())? })
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
    let (count, own_test) = (source.train.len(), source.test.is_some());
    if source.sequence {
        let reach = source.train.features().div_ceil(source.train.stride);
        Split::consecutive(count, reach, own_test, options)
    } else {
        Split::new(count, own_test, options)
    }
}

fn assemble(source: Source, split: &Split, scales: Vec<InputScale>) -> Result<Prepared, DataError> {
    let part = |samples: &Samples, part: &Part| {
        Ok(Dataset {
            shape: samples.shape,
            stride: part.stride(samples),
            samples: quantize(samples, part, &scales)?,
            labels: part.labels(samples),
        })
    };
    let test = match &source.test {
        None => part(&source.train, &split.test)?,
        Some(test) => part(test, &Part::Range(0..test.len()))?,
    };
    Ok(Prepared {
        train: part(&source.train, &split.train)?,
        validation: part(&source.train, &split.validation)?,
        test,
        classes: source.classes,
        scales,
        audio: None,
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
        let train = Samples::new([1, 1, 2], Values::U8(values), labels);
        Source { train, test: None, classes: vec!["even".into(), "odd".into()], sequence: false, recordings: None }
    }

    fn with_test() -> Source {
        let test = Samples::new([1, 1, 2], Values::F32(vec![0.0, 1e9, 3.0, -1e9]), vec![0, 1]);
        Source { test: Some(test), ..source() }
    }

    /// The numbers below 30, each predicted from the three before it.
    fn sequence() -> Source {
        let values = Values::U8((0..29).collect());
        let train = Samples { shape: [1, 1, 3], stride: 1, values, labels: (3..30).collect() };
        Source {
            train,
            test: None,
            classes: (0..30).map(|number| number.to_string()).collect(),
            sequence: true,
            recordings: None,
        }
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
    fn a_sequence_keeps_its_order_and_its_size() {
        let prepared = prepare(sequence(), &options(0.2, 0.3), ScalingMode::Index).unwrap();
        // Pieces of 15, 9 and 6 numbers.
        for (part, first, count) in [(&prepared.train, 0, 12), (&prepared.validation, 15, 6), (&prepared.test, 24, 3)] {
            assert_eq!((part.len(), part.samples.len(), part.stride), (count, count + 2, 1));
            for index in 0..count {
                let start = first + index;
                assert_eq!(part.row(index), [0, 1, 2].map(|step| (start + step) as i8 ^ -128));
                assert_eq!(usize::from(part.labels[index]), start + 3);
            }
            assert!(part.row(count).is_empty() && part.row(usize::MAX).is_empty());
        }
        let judged = prepare_with(sequence(), &options(0.2, 0.3), &prepared.scales).unwrap();
        assert_eq!(judged, prepared);
        let error = prepare(sequence(), &options(0.1, 0.0), ScalingMode::Index).unwrap_err();
        assert!(matches!(error, DataError::PieceTooShort { part: "test", found: 3, needed: 4 }), "{error}");
    }

    #[test]
    fn dense_samples_are_copied_only_from_overlapping_ones() {
        let prepared = prepare(sequence(), &options(0.0, 0.0), ScalingMode::Index).unwrap();
        let dense = prepared.train.dense(25..99);
        assert!(matches!(dense, Cow::Owned(_)));
        assert_eq!(*dense, [-103, -102, -101, -102, -101, -100]);
        let prepared = prepare_with(source(), &options(0.0, 0.0), &[InputScale::IDENTITY]).unwrap();
        let dense = prepared.train.dense(18..99);
        assert!(matches!(dense, Cow::Borrowed(_)));
        assert_eq!(*dense, [18, 40, 19, 40]);
        for nothing in [20..21, 7..7, usize::MAX..usize::MAX] {
            assert!(prepared.train.dense(nothing).is_empty());
        }
    }

    #[test]
    fn row_numbers_are_checked_in_every_part() {
        let error = prepare(with_test(), &options(0.0, 0.0), ScalingMode::Index).unwrap_err();
        assert!(matches!(error, DataError::NotAByte { sample: 0, feature: 1, .. }), "{error}");
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
