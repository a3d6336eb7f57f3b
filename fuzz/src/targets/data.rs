//! Any bytes as a data set: the trainer's readers give samples that agree with each other, or an error.

use std::path::{Path, PathBuf};
use trishift_trainer::data::audio::{AudioAugmentation, AudioOptions};
use trishift_trainer::data::{DataError, LabelColumn, ReadOptions, ScalingMode, SplitOptions, prepare, read};

/// Files of each way to lay out a data set; the input's pieces are their contents, in this order.
const LAYOUTS: [&[&str]; 12] = [
    &["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    &["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
    &["x_train.npy", "y_train.npy"],
    &["data.npz"],
    &["data.csv"],
    &["train.csv", "test.csv"],
    &["data.txt"],
    &["data_batch_1.png", "train_lables.json"],
    &["data_batch_1.png", "data_batch_2.png", "train_labels.json", "test_batch.png", "test_labels.json"],
    &["train/a/1.png", "train/a/2.png", "train/a/3.png", "train/b/1.png", "train/b/2.png", "test/b/1.png"],
    &["a_x_1.wav", "a_x_2.wav", "a_y_1.wav", "b_x_1.wav", "b_y_1.wav"],
    &["train/a/1.wav", "train/a/2.wav", "train/a/3.wav", "train/b/1.wav", "train/b/2.wav", "test/b/1.wav"],
];

/// A folder in memory where there is one, for all inputs of this process.
fn folder() -> &'static Path {
    static FOLDER: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        // Kept to the end of the process: nobody is there to drop it.
        tempfile::Builder::new().prefix("trishift-fuzz-").tempdir_in(parent).expect("a folder for data files").keep()
    })
}

/// Reads the bytes as the data set that the first one names, the second says how.
///
/// Files follow, each but the last behind its length as two little-endian bytes.
pub fn check(bytes: &[u8]) {
    outcome(bytes);
}

/// The same; says what became of them.
pub fn outcome(bytes: &[u8]) -> String {
    let Some((&[layout, options], rest)) = bytes.split_first_chunk() else { return "nothing".into() };
    let names = LAYOUTS[usize::from(layout) % LAYOUTS.len()];
    let has_test = names.iter().any(|name| name.starts_with("test") || name.starts_with("t10k"));
    let outcome = match read_and_prepare(names, options, rest) {
        Some(Ok(())) => "accepted".into(),
        Some(Err(error)) => crate::outcome::of_error(&format!("{error:?}")),
        None => return "nothing".into(),
    };
    let kind = names[0].rsplit(['.', '-']).next().unwrap_or_default();
    format!("{kind}{}-{outcome}", if has_test { "-and-test" } else { "" })
}

fn read_and_prepare(names: &[&str], options: u8, mut rest: &[u8]) -> Option<Result<(), DataError>> {
    let folder = folder().join(format!("{:?}", std::thread::current().id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    for (index, name) in names.iter().enumerate() {
        let contents;
        if index + 1 < names.len() {
            let (length, behind) = rest.split_first_chunk()?;
            let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
            (contents, rest) = behind.split_at(length);
        } else {
            contents = rest;
        }
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("the folder can be made");
        std::fs::write(path, contents).expect("the file can be written");
    }
    let label = match options & 3 {
        0 => LabelColumn::First,
        1 => LabelColumn::Name("label".into()),
        _ => LabelColumn::Last,
    };
    let context = u32::from(options >> 2 & 15) + 1;
    let audio = audio(u32::from(options >> 2 & 3));
    Some(prepared(&folder, &ReadOptions { label, context, audio }, usize::from(options >> 6)))
}

/// Short samples of recordings, and copies of them.
fn audio(copies: u32) -> AudioOptions {
    let mut options = AudioOptions::default();
    options.front_end.frames = 3;
    options.silence = 0.3;
    let noise = Some([50, 300]);
    options.augmentation = Some(AudioAugmentation {
        copies,
        speed: 20,
        tempo: 30,
        tilt: 60,
        shift: 300,
        gain: [-60, 60],
        noise,
        hidden: [50, 80],
        curve: 60,
        seed: 1,
    });
    options
}

fn prepared(folder: &Path, options: &ReadOptions, mode: usize) -> Result<(), DataError> {
    // Whatever is refused is said in a sentence.
    let said = |error: DataError| {
        assert!(!error.to_string().is_empty());
        error
    };
    let source = read(folder, options).map_err(said)?;
    let classes = source.classes.len();
    for samples in std::iter::once(&source.train).chain(&source.test) {
        assert!(samples.labels.iter().all(|label| usize::from(*label) < classes));
    }
    let modes = [ScalingMode::Tensor, ScalingMode::FromZero, ScalingMode::Feature, ScalingMode::Index];
    let test = if source.test.is_some() { 0.0 } else { 0.2 };
    let prepared = prepare(source, &SplitOptions { validation: 0.1, test, seed: 1 }, modes[mode]).map_err(said)?;
    for part in [&prepared.train, &prepared.validation, &prepared.test] {
        assert_eq!(part.dense(0..part.len()).len(), part.len() * part.features());
    }
    Ok(())
}
