//! Recordings in WAV as samples of a network: log-mel features of windows of one length.
//!
//! Whatever its rate, width and channels, a recording becomes 16-bit samples of the front end's rate (`wav`,
//! `resample`), then a window of the length that the network judges (`clip`), then features (`front_end`). Labels come
//! from folders or from names (`pattern`). Where a run asks for them, changed copies of the training recordings join
//! them (`copies`), and recordings of nothing (`silence`).

mod clip;
mod copies;
mod front_end;
mod noise;
mod pattern;
mod resample;
mod silence;
mod wav;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::class_folders::{self, Kind};
use super::labels::Classes;
use super::{DataError, Samples, Source, Values};
use resample::Resampler;

pub use copies::{AudioAugmentation, Recordings};
pub use front_end::FrontEnd;
pub use pattern::{Condition, LABEL, Pattern};
pub use trishift::audio::{AudioConfig, AudioError};

/// The class of recordings of nothing.
pub const SILENCE: &str = "_silence_";

/// The class of what belongs to no other.
pub const UNKNOWN: &str = "_unknown_";

/// Recordings that are decoded before their features are put together.
const CHUNK: usize = 256;

/// What a path alone does not say about recordings.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioOptions {
    /// What becomes of samples.
    pub front_end: FrontEnd,
    /// What names say; [`DEFAULT_PATTERN`] where it is `None`. Names of recordings in folders of classes are asked only for
    /// what [`AudioOptions::test_where`] wants to know.
    pub pattern: Option<Pattern>,
    /// Which recordings are tested on, by what their names say.
    pub test_where: Option<Condition>,
    /// Labels that make one class, [`UNKNOWN`].
    pub unknown: Vec<String>,
    /// Recordings of the class [`SILENCE`] that are made for each one that is read, from 0 on.
    pub silence: f64,
    /// Copies of training recordings.
    pub augmentation: Option<AudioAugmentation>,
}

impl Default for AudioOptions {
    /// A second of sound of 8,000 samples a second: 50 frames of 32 bands.
    fn default() -> Self {
        let config = AudioConfig { sample_rate: 8000, window: 256, hop: 160, bands: 32, low: 100, high: 3800 };
        Self {
            front_end: FrontEnd { config, frames: 50 },
            pattern: None,
            test_where: None,
            unknown: Vec::new(),
            silence: 0.0,
            augmentation: None,
        }
    }
}

/// What names say where nobody says otherwise.
pub const DEFAULT_PATTERN: &str = "{label}_{speaker}_{index}";

impl AudioOptions {
    fn pattern(&self) -> Result<Pattern, DataError> {
        self.pattern.clone().map_or_else(|| DEFAULT_PATTERN.parse(), Ok)
    }
}

/// A file and what it is of.
struct Take {
    path: PathBuf,
    label: String,
    is_test: bool,
}

/// Reads the recordings in one folder, whose names say what they are of.
pub(super) fn read_folder(folder: &Path, options: &AudioOptions) -> Result<Source, DataError> {
    let pattern = options.pattern()?;
    if !pattern.has(LABEL) {
        return Err(DataError::PatternWithout { pattern: pattern.to_string(), field: LABEL.into() });
    }
    let mut takes = Vec::new();
    for (name, path) in class_folders::entries(folder)? {
        if Kind::Wav.is_called(&name) && path.is_file() {
            takes.push(take(path, None, &pattern, options.test_where.as_ref())?);
        }
    }
    read(folder, takes, None, options)
}

/// Reads the recordings of the classes in the folder `train` and, where there is one, in the folder `test`.
pub(super) fn read_folders(train: &Path, test: Option<&Path>, options: &AudioOptions) -> Result<Source, DataError> {
    let pattern = options.pattern()?;
    let takes = |parent: &Path, condition: Option<&Condition>| {
        let files = class_folders::files(parent, Kind::Wav)?.into_iter();
        files.map(|(path, class)| take(path, Some(class), &pattern, condition)).collect::<Result<Vec<Take>, _>>()
    };
    match (test, &options.test_where) {
        (None, condition) => read(train, takes(train, condition.as_ref())?, None, options),
        (Some(test), None) => read(train, takes(train, None)?, Some((test, takes(test, None)?)), options),
        (Some(_), Some(condition)) => Err(DataError::OwnTestRecordings { condition: condition.to_string() }),
    }
}

/// What a file is of, by its class's folder or else its name.
fn take(
    path: PathBuf,
    class: Option<String>,
    pattern: &Pattern,
    test_where: Option<&Condition>,
) -> Result<Take, DataError> {
    // Only a name that is asked has to answer.
    if let (Some(label), None) = (&class, test_where) {
        return Ok(Take { path, label: label.clone(), is_test: false });
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let misfit = || DataError::Name { path: path.clone(), pattern: pattern.to_string() };
    let fields = pattern.fields(&name).ok_or_else(misfit)?;
    let is_test = match test_where {
        None => false,
        Some(condition) => match fields.get(condition.field()) {
            Some(value) => condition.holds(value),
            None => {
                let (pattern, field) = (pattern.to_string(), condition.field().to_owned());
                return Err(DataError::PatternWithout { pattern, field });
            }
        },
    };
    let label = class.or_else(|| fields.get(LABEL).map(|label| (*label).to_owned()));
    let label = label.ok_or_else(|| DataError::PatternWithout { pattern: pattern.to_string(), field: LABEL.into() })?;
    Ok(Take { path, label, is_test })
}

/// Reads takes; those of `test`, or else those that are marked so, are tested on.
fn read(
    parent: &Path,
    mut takes: Vec<Take>,
    test: Option<(&Path, Vec<Take>)>,
    options: &AudioOptions,
) -> Result<Source, DataError> {
    let has_test = test.is_some() || options.test_where.is_some();
    let (test_parent, mut test) = match test {
        Some((parent, takes)) => (parent, takes),
        None => {
            let (marked, others) = takes.into_iter().partition(|take| take.is_test);
            takes = others;
            (parent, marked)
        }
    };
    if let (true, Some(condition)) = (has_test, &options.test_where)
        && (test.is_empty() || takes.is_empty())
    {
        let part = if test.is_empty() { "no recording" } else { "all recordings" };
        return Err(DataError::ConditionMeets { path: parent.to_owned(), condition: condition.to_string(), part });
    }
    for take in takes.iter_mut().chain(&mut test) {
        if options.unknown.contains(&take.label) {
            UNKNOWN.clone_into(&mut take.label);
        }
    }
    let mut names: Vec<String> = takes.iter().map(|take| take.label.clone()).collect();
    if options.silence > 0.0 {
        names.push(SILENCE.to_owned());
    }
    let classes = Classes::among(&names, parent)?;
    let keeps = options.augmentation.filter(|augmentation| augmentation.copies > 0);
    let (train, recordings) = read_takes(parent, &takes, &classes, options, keeps.is_some(), "training")?;
    let test = match has_test {
        false => None,
        true => Some(read_takes(test_parent, &test, &classes, options, false, "test")?.0),
    };
    let recordings = Some(Recordings { options: options.clone(), samples: recordings });
    Ok(Source { train, test, classes: classes.names(), sequence: false, recordings })
}

/// The features of takes and of the silence that goes with them, and the recordings themselves where they are to be kept.
fn read_takes(
    parent: &Path,
    takes: &[Take],
    classes: &Classes,
    options: &AudioOptions,
    keeps: bool,
    part: &'static str,
) -> Result<(Samples, Vec<Vec<i16>>), DataError> {
    let front_end = &options.front_end;
    let label = |label: &str| {
        let unknown = || DataError::UnknownLabel { path: parent.to_owned(), label: label.to_owned() };
        classes.find(label).ok_or_else(unknown)
    };
    let mut labels = takes.iter().map(|take| label(&take.label)).collect::<Result<Vec<u16>, _>>()?;
    let (mut values, mut kept) = (Vec::new(), Vec::new());
    let mut add = |made: Result<(Vec<u16>, Vec<i16>), DataError>| {
        let (features, samples) = made?;
        values.extend(features.into_iter().map(f32::from));
        if keeps {
            kept.push(samples);
        }
        Ok::<(), DataError>(())
    };
    let made = |samples: Vec<i16>| {
        let features = front_end.features(&clip::fit(&samples, front_end.samples(), 0))?;
        Ok((features, samples))
    };
    let mut quiet = silence::Quiet::new(front_end.samples());
    for chunk in takes.chunks(CHUNK) {
        let decoded: Vec<_> =
            chunk.par_iter().map(|take| recording(&take.path, front_end.config.sample_rate).and_then(made)).collect();
        for made in decoded {
            if let Ok((_, samples)) = &made {
                quiet.hear(samples);
            }
            add(made)?;
        }
    }
    let silences = (options.silence * takes.len() as f64).round() as usize;
    if silences > 0 {
        labels.extend(std::iter::repeat_n(label(SILENCE)?, silences));
        let made: Vec<_> = (0..silences).into_par_iter().map(|index| made(quiet.silence(part, index as u64))).collect();
        made.into_iter().try_for_each(add)?;
    }
    Ok((Samples::new(front_end.shape(), Values::F32(values), labels), kept))
}

/// The recording at `path`, in WAV, as 16-bit samples of this rate.
///
/// # Errors
/// [`DataError`] names the file.
pub fn recording(path: &Path, sample_rate: u32) -> Result<Vec<i16>, DataError> {
    let wav::Recording { rate, samples } = wav::decode(path)?;
    let samples = match rate == sample_rate {
        true => samples,
        false => Resampler::new(rate, sample_rate, samples.len()).resample(&samples),
    };
    Ok(samples.into_iter().map(to_i16).collect())
}

/// A sample of 24 bits as one of 16, rounded and saturated.
fn to_i16(sample: i32) -> i16 {
    let rounded = sample.saturating_add(128) >> 8;
    rounded.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

#[cfg(test)]
mod tests {
    use hound::{SampleFormat, WavSpec};

    use super::super::{ReadOptions, read};
    use super::*;

    /// A recording of so many samples of this rate, all alike.
    fn recording(samples: usize, sample_rate: u32, value: i16) -> Vec<u8> {
        let spec = WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        wav::encode(spec, &vec![value; samples])
    }

    fn outcome(files: &[&str], change: impl Fn(&mut AudioOptions)) -> Result<Source, DataError> {
        let folder = tempfile::tempdir().unwrap();
        for (number, name) in files.iter().enumerate() {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, recording(700, 8000, 100 + number as i16)).unwrap();
        }
        let mut options = ReadOptions::default();
        options.audio.front_end.frames = 5;
        change(&mut options.audio);
        read(folder.path(), &options)
    }

    #[test]
    fn what_is_kept_has_the_rate_and_shape_of_the_front_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.wav");
        std::fs::write(&path, recording(4410, 44_100, -7)).unwrap();
        let samples = super::recording(&path, 8000).unwrap();
        assert_eq!((samples.len(), &samples[200..600]), (800, &[-7; 400][..]));
        let source = outcome(&["a_x_1.wav", "b_x_1.wav"], |_| {}).unwrap();
        assert_eq!((source.train.shape, source.train.values.len()), ([5, 1, 32], 2 * 5 * 32));
        assert!(source.train.check().is_ok());
        let recordings = source.recordings.unwrap();
        assert!(recordings.samples.is_empty(), "kept for copies alone");
        assert_eq!(recordings.options.front_end.samples(), 800);
    }

    #[test]
    fn names_say_class_and_part() {
        let files = ["10_ada_1.wav", "10_bo_1.wav", "9_ada_2.wav", "9_bo_7.wav", "9_bo_8.WAV", "notes.txt", ".x.wav"];
        let speaker = |options: &mut AudioOptions| options.test_where = Some("speaker=bo".parse().unwrap());
        let source = outcome(&files, speaker).unwrap();
        assert_eq!(source.classes, ["9", "10"]);
        assert_eq!((source.train.labels, source.test.unwrap().labels), (vec![1, 0], vec![1, 0, 0]));
        let whole = outcome(&files, |_| {}).unwrap();
        assert_eq!((whole.train.labels, whole.test), (vec![1, 1, 0, 0, 0], None));
        // Of classes in folders the name says the rest, if somebody asks.
        let folders = ["yes/ada_nohash_0.wav", "yes/bo_nohash_0.wav", "no/ada_nohash_1.wav", "no/bo_nohash_3.wav"];
        let pattern = |options: &mut AudioOptions| {
            options.pattern = Some("{speaker}_nohash_{}".parse().unwrap());
            speaker(options);
        };
        let source = outcome(&folders, pattern).unwrap();
        assert_eq!((source.classes, source.test.unwrap().len()), (vec!["no".into(), "yes".into()], 2));
        let nameless = outcome(&["yes/1.wav", "no/2.wav"], speaker);
        assert!(matches!(nameless, Err(DataError::Name { path, .. }) if path.ends_with("no/2.wav")));
        assert_eq!(outcome(&folders, |_| {}).unwrap().train.len(), 4);
    }

    #[test]
    fn parts_of_their_own_need_no_condition() {
        let files = ["train/a/x.wav", "train/b/x.wav", "test/b/1_2_3.wav"];
        let source = outcome(&files, |_| {}).unwrap();
        assert_eq!((source.train.labels, source.test.unwrap().labels), (vec![0, 1], vec![1]));
        let condition = |options: &mut AudioOptions| options.test_where = Some("index=3".parse().unwrap());
        assert!(matches!(outcome(&files, condition), Err(DataError::OwnTestRecordings { .. })));
    }

    #[test]
    fn what_is_unknown_is_one_class_and_silence_another() {
        let change = |options: &mut AudioOptions| {
            options.unknown = vec!["bed".into(), "cat".into()];
            options.silence = 0.5;
            options.augmentation = Some(AudioAugmentation { copies: 1, ..AudioAugmentation::default() });
        };
        let source = outcome(&["bed_x_1.wav", "cat_x_1.wav", "yes_x_1.wav", "yes_x_2.wav"], change).unwrap();
        assert_eq!(source.classes, [SILENCE, UNKNOWN, "yes"]);
        assert_eq!(source.train.labels, [1, 1, 2, 2, 0, 0]);
        let kept = source.recordings.unwrap().samples;
        assert_eq!(kept.iter().map(Vec::len).collect::<Vec<_>>(), [700, 700, 700, 700, 800, 800]);
    }
}
