//! Images in PNG or recordings in WAV, in a folder for each class that is called as the class is.
//!
//! `train/CLASS/*.png` and perhaps `test/CLASS/*.png`, or `CLASS/*.png` alone. Samples come class after class, and within
//! one in the order of their files' names, so that a run does not depend on how a disk lists them. Other files are passed
//! over; so is what a leading dot hides. What recordings become is the question of `audio`; images are read here.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::labels::Classes;
use super::{DataError, ImageFault, RecordingFault, Samples, Source, Values, png};

/// Files that are decoded before their pixels are put together.
const CHUNK: usize = 1024;

/// What lies in the folders of classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Images.
    Png,
    /// Recordings.
    Wav,
}

impl Kind {
    /// Whether a file of this name is of the kind.
    pub(super) fn is_called(self, name: &str) -> bool {
        let ending = match self {
            Self::Png => ".png",
            Self::Wav => ".wav",
        };
        name.to_lowercase().ends_with(ending)
    }

    fn no_files(self, path: &Path) -> DataError {
        let path = path.to_owned();
        match self {
            Self::Png => DataError::Image { path, fault: ImageFault::NoImages },
            Self::Wav => DataError::Recording { path, fault: RecordingFault::NoRecordings },
        }
    }

    fn no_classes(self, path: &Path) -> DataError {
        let path = path.to_owned();
        match self {
            Self::Png => DataError::Image { path, fault: ImageFault::NoClasses },
            Self::Wav => DataError::Recording { path, fault: RecordingFault::NoClasses },
        }
    }
}

/// The folder of a class.
struct ClassFolder {
    class: String,
    path: PathBuf,
    files: Vec<PathBuf>,
}

/// Which of `folder` and its folders `names` hold the folders of classes to train on and, perhaps, to test on.
pub(super) fn find(
    folder: &Path,
    names: &[String],
    kind: Kind,
) -> Result<Option<(PathBuf, Option<PathBuf>)>, DataError> {
    let parts = |name: &str| names.iter().any(|n| n == name).then(|| folder.join(name));
    if let Some(train) = parts("train") {
        let folders = list(&train, kind)?;
        // Of folders that hold neither, the images are missed.
        let are_meant = |class: &ClassFolder| kind == Kind::Png || !class.files.is_empty();
        if folders.iter().any(are_meant) {
            return Ok(Some((train, parts("test"))));
        }
    }
    let holds_files = list(folder, kind)?.iter().any(|class| !class.files.is_empty());
    Ok(holds_files.then(|| (folder.to_owned(), None)))
}

/// The files of the kind in the folders of classes in `parent`, each with its class.
///
/// # Errors
/// A class without a file, or no class at all.
pub(super) fn files(parent: &Path, kind: Kind) -> Result<Vec<(PathBuf, String)>, DataError> {
    let mut files = Vec::new();
    for ClassFolder { class, path, files: of_class } in list(parent, kind)? {
        if of_class.is_empty() {
            return Err(kind.no_files(&path));
        }
        files.extend(of_class.into_iter().map(|file| (file, class.clone())));
    }
    if files.is_empty() { Err(kind.no_classes(parent)) } else { Ok(files) }
}

/// How many files of the kind the folders in `parent` hold, but for that of this name.
pub(super) fn files_of_others(parent: &Path, name: &str, kind: Kind) -> Result<usize, DataError> {
    let others = list(parent, kind)?.into_iter().filter(|folder| folder.class != name);
    Ok(others.map(|folder| folder.files.len()).sum())
}

/// Reads the images of the classes in the folder `train` and, where there is one, in the folder `test`.
pub(super) fn read(train: &Path, test: Option<&Path>) -> Result<Source, DataError> {
    let names: Vec<String> = list(train, Kind::Png)?.into_iter().map(|folder| folder.class).collect();
    let classes = Classes::among(&names, train)?;
    let mut first = None;
    let train = read_images(train, &classes, &mut first)?;
    let test = test.map(|test| read_images(test, &classes, &mut first)).transpose()?;
    Ok(Source { train, test, classes: classes.names(), sequence: false, recordings: None })
}

/// The folders in `parent`, each with its files of the kind, both in the order of their names.
fn list(parent: &Path, kind: Kind) -> Result<Vec<ClassFolder>, DataError> {
    let mut folders = Vec::new();
    for (class, path) in entries(parent)? {
        if path.is_dir() {
            let is_meant = |(name, path): &(String, PathBuf)| kind.is_called(name) && path.is_file();
            let files = entries(&path)?.into_iter().filter(is_meant).map(|(_, path)| path).collect();
            folders.push(ClassFolder { class, path, files });
        }
    }
    Ok(folders)
}

/// What is not hidden in a folder: names and paths, in the order of names.
pub(super) fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let refused = |source| DataError::Io { path: folder.to_owned(), source };
    let mut entries = Vec::new();
    for entry in folder.read_dir().map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.push((name, entry.path()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}

/// Reads the images of all folders; the first image of all says how large the others are.
fn read_images(
    parent: &Path,
    classes: &Classes,
    first: &mut Option<(PathBuf, [usize; 3])>,
) -> Result<Samples, DataError> {
    let fault = |path: &Path, fault| DataError::Image { path: path.to_owned(), fault };
    let label = |(path, class): (PathBuf, String)| match classes.find(&class) {
        Some(label) => Ok((path, label)),
        None => Err(DataError::UnknownLabel { path: parent.to_owned(), label: class }),
    };
    let files = files(parent, Kind::Png)?.into_iter().map(label).collect::<Result<Vec<_>, _>>()?;

    let (mut pixels, mut shape) = (Vec::new(), [1; 3]);
    for chunk in files.chunks(CHUNK) {
        let images: Vec<_> = chunk.par_iter().map(|(path, _)| png::decode(path)).collect();
        for ((path, _), image) in chunk.iter().zip(images) {
            let mut image = image?;
            let (first, expected) = first.get_or_insert_with(|| (path.clone(), image.shape));
            if image.shape != *expected {
                let (found, expected, first) = (image.shape, *expected, first.clone());
                return Err(fault(path, ImageFault::OtherShape { found, expected, first }));
            }
            shape = *expected;
            pixels.append(&mut image.pixels);
        }
    }
    Ok(Samples::new(shape, Values::U8(pixels), files.into_iter().map(|(_, label)| label).collect()))
}

#[cfg(test)]
mod tests {
    use ::png::{BitDepth, ColorType};
    use tempfile::TempDir;

    use super::super::{ReadOptions, read};
    use super::*;

    fn grey(values: &[u8]) -> Vec<u8> {
        png::encode(values.len() as u32, 1, ColorType::Grayscale, BitDepth::Eight, values)
    }

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    fn outcome(files: &[(&str, &[u8])]) -> Result<Source, DataError> {
        read(folder(files).path(), &ReadOptions::default())
    }

    #[test]
    fn classes_are_sorted_and_so_are_their_images() {
        let source = outcome(&[
            ("dog/b.PNG", &grey(&[30, 31])),
            ("cat/10.png", &grey(&[10, 11])),
            ("cat/2.png", &grey(&[20, 21])),
            ("cat/notes.txt", b"no image"),
            ("cat/.hidden.png", b"no image"),
            (".cache/thumbnail.png", b"no image"),
            ("readme.txt", b"text explains images"),
        ])
        .unwrap();
        assert_eq!((source.train.shape, source.classes), ([1, 2, 1], vec!["cat".to_owned(), "dog".to_owned()]));
        assert_eq!(source.train.values, Values::U8(vec![10, 11, 20, 21, 30, 31]));
        assert_eq!((source.train.labels, source.test), (vec![0, 0, 1], None));
    }

    #[test]
    fn folders_to_test_on_stand_beside_those_to_train_on() {
        let source =
            outcome(&[("train/10/a.png", &grey(&[1])), ("train/9/a.png", &grey(&[2])), ("test/10/a.png", &grey(&[3]))])
                .unwrap();
        // Numbers are ordered by value, as the labels of tables are.
        assert_eq!(source.classes, ["9", "10"]);
        assert_eq!(source.train.labels, [1, 0]);
        assert_eq!(source.test.map(|test| (test.values, test.labels)), Some((Values::U8(vec![3]), vec![1])));
        // A class may be called train.
        let source = outcome(&[("train/a.png", &grey(&[1])), ("bus/a.png", &grey(&[2]))]).unwrap();
        assert_eq!(source.classes, ["bus", "train"]);
    }

    #[test]
    fn a_table_is_no_class_of_plots() {
        let source = outcome(&[("rows.csv", b"1,2,a\n3,4,b\n"), ("plots/a.png", b""), ("other/b.png", b"")]).unwrap();
        assert_eq!(source.train.shape, [1, 1, 2]);
    }

    #[test]
    fn folders_that_are_no_classes_are_named() {
        let image = &grey(&[1])[..];
        let fault = |files: &[(&str, &[u8])]| match outcome(files) {
            Err(DataError::Image { path, fault }) => (path.file_name().unwrap().to_string_lossy().into_owned(), fault),
            other => panic!("{other:?}"),
        };
        let empty = fault(&[("a/1.png", image), ("b/1.jpg", image)]);
        assert_eq!(empty, ("b".to_owned(), ImageFault::NoImages));
        let empty = fault(&[("train/a/1.png", image), ("train/b/1.png", image), ("test/1.png", image)]);
        assert_eq!(empty, ("test".to_owned(), ImageFault::NoClasses));
        let (name, other) = fault(&[("a/1.png", image), ("b/2.png", &grey(&[1, 2]))]);
        assert_eq!(name, "2.png");
        assert!(matches!(other, ImageFault::OtherShape { found: [1, 2, 1], expected: [1, 1, 1], .. }));
        let (name, _) = fault(&[("train/a/1.png", image), ("train/b/1.png", image), ("test/b/3.png", &grey(&[1, 2]))]);
        assert_eq!(name, "3.png");

        assert!(matches!(outcome(&[("a/1.png", image)]), Err(DataError::TooFewClasses { count: 1, .. })));
        let unknown = outcome(&[("train/a/1.png", image), ("train/b/1.png", image), ("test/c/1.png", image)]);
        assert!(matches!(unknown, Err(DataError::UnknownLabel { label, .. }) if label == "c"));
        let broken = outcome(&[("a/1.png", image), ("b/1.png", &image[..40])]);
        assert!(matches!(broken, Err(DataError::Png { path, .. }) if path.ends_with("b/1.png")));
        let none = outcome(&[("a/1.jpg", image), ("b/1.jpg", image)]);
        assert!(matches!(none, Err(DataError::NotRecognised { found, .. }) if found == ["a/", "b/"]));
    }
}
