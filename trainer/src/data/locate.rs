//! Which files a path stands for.
//!
//! Only names are looked at here. Image files win over tables, because a folder of MNIST's files may well hold a stray
//! table beside them while the reverse does not happen by accident, and so do recordings, whose takes a table lists; tables
//! win over folders of classes, which may be plots of them, and all of these over text, which often explains them.

use std::path::{Path, PathBuf};

use super::class_folders::Kind;
use super::sheets::Sheets;
use super::{DataError, class_folders, sheets};

/// Folder that recordings may lie in, beside what explains them.
const RECORDINGS: &str = "recordings";

/// A file of samples and the file of their labels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilePair {
    pub(super) samples: PathBuf,
    pub(super) labels: PathBuf,
}

/// The files of one data set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// IDX files, in the names MNIST gave them.
    Images { train: FilePair, test: Option<FilePair> },
    /// PNG sheets with an image in each row.
    Sheets { train: Sheets, test: Option<Sheets> },
    /// Folders that hold one of PNG images for each class.
    ClassFolders { train: PathBuf, test: Option<PathBuf> },
    /// Recordings in WAV, in one folder; their names say what they are of.
    Recordings(PathBuf),
    /// Folders that hold one of recordings for each class.
    RecordingFolders { train: PathBuf, test: Option<PathBuf> },
    /// NPY files, in the names Keras gives arrays.
    Arrays { train: FilePair, test: Option<FilePair> },
    /// NPY files in one archive.
    Archive(PathBuf),
    /// Comma-separated text.
    Table { train: PathBuf, test: Option<PathBuf> },
    /// Plain text, read as bytes.
    Text { train: PathBuf, test: Option<PathBuf> },
}

/// Finds the data set at `path`: a folder, or a single file.
pub(super) fn locate(path: &Path) -> Result<Files, DataError> {
    let refused = |source| DataError::Io { path: path.to_owned(), source };
    if !path.metadata().map_err(refused)?.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (train, test) = (path.to_owned(), None);
        return match &*name {
            name if is_table(name) => Ok(Files::Table { train, test }),
            name if is_text(name) => Ok(Files::Text { train, test }),
            name if is_archive(name) => Ok(Files::Archive(train)),
            _ => Err(DataError::UnknownKind { path: train }),
        };
    }

    let (mut names, mut folders) = (Vec::new(), Vec::new());
    for entry in path.read_dir().map_err(refused)? {
        let entry = entry.map_err(refused)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() {
            names.push(name);
        } else if entry.path().is_dir() {
            folders.push(name);
        }
    }
    names.sort_unstable();
    folders.sort_unstable();
    choose(path, names, &folders)
}

/// Picks the data set among the files `names` of `folder` and its `folders`.
fn choose(folder: &Path, names: Vec<String>, folders: &[String]) -> Result<Files, DataError> {
    let find = |candidate: &str| names.iter().any(|name| name == candidate).then(|| folder.join(candidate));
    let find_packed = |stem: &str| find(stem).or_else(|| find(&format!("{stem}.gz")));
    let find_idx = |dashed: &'static str, dotted: &str| Wanted {
        name: dashed,
        path: find_packed(dashed).or_else(|| find_packed(dotted)),
    };
    let find_array = |name: &'static str| Wanted { name, path: find_packed(name) };

    let train_images = find_idx("train-images-idx3-ubyte", "train-images.idx3-ubyte");
    let train_labels = find_idx("train-labels-idx1-ubyte", "train-labels.idx1-ubyte");
    let test_images = find_idx("t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte");
    let test_labels = find_idx("t10k-labels-idx1-ubyte", "t10k-labels.idx1-ubyte");
    if let Some((train, test)) = pairs(folder, [train_images, train_labels], [test_images, test_labels])? {
        return Ok(Files::Images { train, test });
    }
    if let Some((train, test)) = sheets::find(folder, &names)? {
        return Ok(Files::Sheets { train, test });
    }
    let train_arrays = [find_array("x_train.npy"), find_array("y_train.npy")];
    let test_arrays = [find_array("x_test.npy"), find_array("y_test.npy")];
    if let Some((train, test)) = pairs(folder, train_arrays, test_arrays)? {
        return Ok(Files::Arrays { train, test });
    }
    let undivided = [find_array("x.npy"), find_array("y.npy")];
    if undivided.iter().any(Wanted::is_there) {
        return Ok(Files::Arrays { train: pair(folder, undivided)?, test: None });
    }

    if names.iter().any(|name| is_recording(name)) {
        return Ok(Files::Recordings(folder.to_owned()));
    }
    if folders.iter().any(|name| name == RECORDINGS) {
        let inside = folder.join(RECORDINGS);
        let lie_there = class_folders::entries(&inside)?.iter().any(|(name, _)| is_recording(name));
        // Beside folders with recordings of other classes it is a class.
        if lie_there && class_folders::files_of_others(folder, RECORDINGS, Kind::Wav)? == 0 {
            return Ok(Files::Recordings(inside));
        }
    }

    if let (Some(train), test @ Some(_)) = (find_packed("train.csv"), find_packed("test.csv")) {
        return Ok(Files::Table { train, test });
    }
    let not_recognised = |names: &[String]| {
        let found = names.iter().cloned().chain(folders.iter().map(|name| format!("{name}/"))).collect();
        DataError::NotRecognised { path: folder.to_owned(), found }
    };
    let matching = |is_kind: fn(&str) -> bool| names.iter().filter(|name| is_kind(name)).collect::<Vec<_>>();
    match (&matching(is_archive)[..], &matching(is_table)[..]) {
        ([only], []) => return Ok(Files::Archive(folder.join(only))),
        ([], [only]) => return Ok(Files::Table { train: folder.join(only), test: None }),
        (archives, tables) => {
            if !folders.is_empty() {
                if let Some((train, test)) = class_folders::find(folder, folders, Kind::Wav)? {
                    return Ok(Files::RecordingFolders { train, test });
                }
                if let Some((train, test)) = class_folders::find(folder, folders, Kind::Png)? {
                    return Ok(Files::ClassFolders { train, test });
                }
            }
            if !archives.is_empty() || !tables.is_empty() {
                return Err(not_recognised(&names));
            }
        }
    }
    if let (Some(train), test @ Some(_)) = (find_packed("train.txt"), find_packed("test.txt")) {
        return Ok(Files::Text { train, test });
    }
    match matching(is_text)[..] {
        [only] => Ok(Files::Text { train: folder.join(only), test: None }),
        _ => Err(not_recognised(&names)),
    }
}

/// A file of samples or labels: what it is called, and where it lies if it does.
struct Wanted {
    name: &'static str,
    path: Option<PathBuf>,
}

impl Wanted {
    fn is_there(&self) -> bool {
        self.path.is_some()
    }
}

/// The training pair and perhaps the test pair, if any of the four files is there.
fn pairs(
    folder: &Path,
    train: [Wanted; 2],
    test: [Wanted; 2],
) -> Result<Option<(FilePair, Option<FilePair>)>, DataError> {
    let test_is_there = test.iter().any(Wanted::is_there);
    if !test_is_there && !train.iter().any(Wanted::is_there) {
        return Ok(None);
    }
    let train = pair(folder, train)?;
    Ok(Some((train, test_is_there.then(|| pair(folder, test)).transpose()?)))
}

/// Both files of a pair, or the name of the one that is not there.
fn pair(folder: &Path, [samples, labels]: [Wanted; 2]) -> Result<FilePair, DataError> {
    let missing = |missing| DataError::MissingFile { path: folder.to_owned(), missing };
    Ok(FilePair {
        samples: samples.path.ok_or_else(|| missing(samples.name))?,
        labels: labels.path.ok_or_else(|| missing(labels.name))?,
    })
}

fn is_table(name: &str) -> bool {
    name.ends_with(".csv") || name.ends_with(".csv.gz")
}

fn is_archive(name: &str) -> bool {
    name.ends_with(".npz")
}

fn is_recording(name: &str) -> bool {
    Kind::Wav.is_called(name) && !name.starts_with('.')
}

fn is_text(name: &str) -> bool {
    name.ends_with(".txt") || name.ends_with(".txt.gz")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str]) -> Result<Files, DataError> {
        choose(Path::new("folder"), names.iter().map(|&name| name.to_owned()).collect(), &[])
    }

    fn files(samples: &str, labels: &str) -> FilePair {
        FilePair { samples: Path::new("folder").join(samples), labels: Path::new("folder").join(labels) }
    }

    fn table(train: &str, test: Option<&str>) -> Files {
        let folder = Path::new("folder");
        Files::Table { train: folder.join(train), test: test.map(|name| folder.join(name)) }
    }

    #[test]
    fn image_files_are_found_under_each_spelling() {
        let found = chosen(&[
            "notes.csv",
            "t10k-images.idx3-ubyte",
            "t10k-labels.idx1-ubyte.gz",
            "train-images-idx3-ubyte",
            "train-images-idx3-ubyte.gz",
            "train-labels-idx1-ubyte.gz",
        ]);
        let train = files("train-images-idx3-ubyte", "train-labels-idx1-ubyte.gz");
        let test = Some(files("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte.gz"));
        assert_eq!(found.unwrap(), Files::Images { train, test });

        let found = chosen(&["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]);
        let train = files("train-images-idx3-ubyte", "train-labels-idx1-ubyte");
        assert_eq!(found.unwrap(), Files::Images { train, test: None });
    }

    #[test]
    fn half_a_pair_names_the_other_half() {
        for (names, absent) in [
            (&["train-images-idx3-ubyte"][..], "train-labels-idx1-ubyte"),
            (&["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"], "train-images-idx3-ubyte"),
            (
                &["t10k-labels-idx1-ubyte", "train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
                "t10k-images-idx3-ubyte",
            ),
        ] {
            match chosen(names) {
                Err(DataError::MissingFile { missing, .. }) => assert_eq!(missing, absent),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn tables_are_found_when_there_is_no_doubt() {
        assert_eq!(chosen(&["iris.csv", "readme.txt"]).unwrap(), table("iris.csv", None));
        assert_eq!(chosen(&["iris.csv.gz"]).unwrap(), table("iris.csv.gz", None));
        assert_eq!(chosen(&["test.csv.gz", "train.csv"]).unwrap(), table("train.csv", Some("test.csv.gz")));
        assert_eq!(chosen(&["a.csv", "test.csv", "train.csv"]).unwrap(), table("train.csv", Some("test.csv")));
        for names in [&[][..], &["readme.md"], &["a.csv", "b.csv"], &["a.csv", "b.csv", "c.txt"], &["a.txt", "b.txt"]] {
            match chosen(names) {
                Err(DataError::NotRecognised { found, .. }) => assert_eq!(found, names),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn arrays_are_found_under_their_names() {
        let found = chosen(&["x_test.npy", "x_train.npy.gz", "y_test.npy", "y_train.npy", "table.csv"]).unwrap();
        let train = files("x_train.npy.gz", "y_train.npy");
        assert_eq!(found, Files::Arrays { train, test: Some(files("x_test.npy", "y_test.npy")) });
        let found = chosen(&["x.npy", "y.npy", "set.npz"]).unwrap();
        assert_eq!(found, Files::Arrays { train: files("x.npy", "y.npy"), test: None });
        let archive = Files::Archive(Path::new("folder").join("set.npz"));
        assert_eq!(chosen(&["notes.txt", "set.npz"]).unwrap(), archive);
        for (names, absent) in [
            (&["x_train.npy"][..], "y_train.npy"),
            (&["x_train.npy", "y_train.npy", "y_test.npy"], "x_test.npy"),
            (&["y.npy"], "x.npy"),
        ] {
            assert!(matches!(chosen(names), Err(DataError::MissingFile { missing, .. }) if missing == absent));
        }
        let found = chosen(&["data_batch_1.png", "train_lables.json", "x.csv", "readme.txt"]).unwrap();
        let train = Sheets {
            sheets: vec![Path::new("folder").join("data_batch_1.png")],
            labels: Path::new("folder").join("train_lables.json"),
        };
        assert_eq!(found, Files::Sheets { train, test: None });
        for names in [&["a.npz", "b.npz"][..], &["a.npz", "b.csv"], &["images.npy"]] {
            assert!(matches!(chosen(names), Err(DataError::NotRecognised { .. })), "{names:?}");
        }
    }

    #[test]
    fn text_is_found_where_there_is_no_table() {
        let text = |train: &str, test: Option<&str>| {
            let folder = Path::new("folder");
            Files::Text { train: folder.join(train), test: test.map(|name| folder.join(name)) }
        };
        assert_eq!(chosen(&["corpus.txt.gz", "readme.md"]).unwrap(), text("corpus.txt.gz", None));
        assert_eq!(chosen(&["notes.txt", "test.txt", "train.txt.gz"]).unwrap(), text("train.txt.gz", Some("test.txt")));
        assert_eq!(chosen(&["iris.csv", "test.txt", "train.txt"]).unwrap(), table("iris.csv", None));
    }

    #[test]
    fn recordings_are_found_in_each_layout() {
        let flat = Files::Recordings("folder".into());
        assert_eq!(chosen(&["7_george_1.WAV", "notes.txt", "takes.csv"]).unwrap(), flat);
        assert_eq!(chosen(&[".hidden.wav", "takes.csv"]).unwrap(), table("takes.csv", None));

        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        write("recordings/7_george_1.wav");
        write("takes.csv");
        write("pictures/7.png");
        assert_eq!(locate(folder.path()).unwrap(), Files::Recordings(folder.path().join("recordings")));
        // Beside another class it is one itself, and a table wins over folders of classes.
        write("silence/1.wav");
        assert_eq!(locate(folder.path()).unwrap(), Files::Table { train: folder.path().join("takes.csv"), test: None });
        std::fs::remove_file(folder.path().join("takes.csv")).unwrap();
        let classes = Files::RecordingFolders { train: folder.path().to_owned(), test: None };
        assert_eq!(locate(folder.path()).unwrap(), classes);
        write("train/yes/1.wav");
        write("test/yes/1.wav");
        let [train, test] = ["train", "test"].map(|part| folder.path().join(part));
        assert_eq!(locate(folder.path()).unwrap(), Files::RecordingFolders { train, test: Some(test) });
    }

    #[test]
    fn paths_are_told_apart_by_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rows.csv");
        std::fs::write(&file, "").unwrap();
        std::fs::create_dir(folder.path().join("not-a-file.csv")).unwrap();
        let expected = Files::Table { train: file.clone(), test: None };
        assert_eq!(locate(folder.path()).unwrap(), expected);
        assert_eq!(locate(&file).unwrap(), expected);

        let image = folder.path().join("train-images-idx3-ubyte");
        std::fs::write(&image, "").unwrap();
        assert!(matches!(locate(&image), Err(DataError::UnknownKind { path }) if path == image));
        assert!(matches!(locate(&folder.path().join("absent")), Err(DataError::Io { .. })));
    }
}
