//! Whole data sets of arrays: those of NumPy itself, and everything that can be wrong with others.

use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::super::open::gzip;
use super::*;

/// Made by NumPy 2, whose archives declare sizes twice (ZIP64):
///
/// ```python
/// x = np.arange(24, dtype='>f2').reshape(4, 2, 3) / 2
/// y = np.array([[10], [9], [10], [-1]], dtype='<i8')
/// np.savez_compressed('numpy.npz', x_train=x, y_train=y, x_test=x[:2].astype('f8'), y_test=y[:2].astype('f4').ravel())
/// ```
const NUMPY: &[u8] = include_bytes!("numpy.npz");

/// An array file.
fn npy(description: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{description}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((text.len() as u16).to_le_bytes());
    file.extend(text.bytes());
    file.extend(values);
    file
}

/// Three samples of two values.
fn samples() -> Vec<u8> {
    npy("|u1", "(3, 2)", &[1, 2, 3, 4, 5, 6])
}

/// Their labels.
fn labels() -> Vec<u8> {
    npy("<i4", "(3,)", &[5, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0])
}

fn npz(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let deflated = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    for (name, content) in entries {
        writer.start_file(format!("{name}.npy"), deflated).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// What reading an archive says.
fn archive(bytes: &[u8]) -> Result<Source, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.npz");
    std::fs::write(&path, bytes).unwrap();
    let outcome = read_archive(&path);
    if let Err(error) = &outcome {
        let text = error.to_string();
        assert!(text.contains("set.npz") && !text.contains('\n'), "{text}");
    }
    outcome
}

/// What reading two files says.
fn files(samples: &[u8], labels: &[u8]) -> Result<Source, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let pair = FilePair { samples: folder.path().join("x.npy"), labels: folder.path().join("y.npy") };
    std::fs::write(&pair.samples, samples).unwrap();
    std::fs::write(&pair.labels, labels).unwrap();
    read_files(&pair, None)
}

fn fault(outcome: Result<Source, DataError>) -> (String, ArrayFault) {
    match outcome {
        Err(DataError::Array { array, fault, .. }) => (array, fault),
        other => panic!("{other:?}"),
    }
}

/// What is wrong with an array of samples.
fn sample_fault(samples: &[u8]) -> ArrayFault {
    let (array, fault) = fault(files(samples, &labels()));
    assert_eq!(array, "x");
    fault
}

/// What is wrong with an array of labels.
fn label_fault(labels: &[u8]) -> ArrayFault {
    let (array, fault) = fault(files(&samples(), labels));
    assert_eq!(array, "y");
    fault
}

#[test]
fn an_archive_of_numpy_is_read() {
    let source = archive(NUMPY).unwrap();
    assert_eq!((source.train.shape, source.train.stride), ([2, 3, 1], 6));
    assert_eq!(source.train.values, Values::F32((0..24u8).map(|value| f32::from(value) / 2.0).collect()));
    assert_eq!(source.classes, ["-1", "9", "10"]);
    assert_eq!(source.train.labels, [2, 1, 2, 0]);
    let test = source.test.unwrap();
    assert_eq!(test.values, Values::F32((0..12u8).map(|value| f32::from(value) / 2.0).collect()));
    assert_eq!(test.labels, [2, 1]);
}

#[test]
fn files_and_archives_read_alike() {
    let source = files(&samples(), &labels()).unwrap();
    assert_eq!(source.train, Samples::new([1, 1, 2], Values::U8(vec![1, 2, 3, 4, 5, 6]), vec![1, 0, 1]));
    assert_eq!((source.classes.as_slice(), source.test.is_none()), (&["4".to_owned(), "5".to_owned()][..], true));
    assert_eq!(files(&gzip(&samples()), &gzip(&labels())).unwrap(), source);
    for [x, y] in [["x", "y"], ["X", "y"], ["data", "labels"], ["images", "labels"], ["x_train", "y_train"]] {
        assert_eq!(archive(&npz(&[("other", vec![]), (y, labels()), (x, samples())])).unwrap(), source, "{x} {y}");
    }
}

#[test]
fn samples_have_one_to_three_sizes() {
    let shape = |shape: &str| files(&npy("|u1", shape, &[7; 12]), &labels()).map(|source| source.train.shape);
    assert_eq!(shape("(3, 4)").unwrap(), [1, 1, 4]);
    assert_eq!(shape("(3, 2, 2)").unwrap(), [2, 2, 1]);
    assert_eq!(shape("(3, 2, 1, 2)").unwrap(), [2, 1, 2]);
    for other in [&[][..], &[3], &[3, 2, 1, 1, 2]] {
        let text = other.iter().map(|size| format!("{size},")).collect::<String>();
        let fault = sample_fault(&npy("|u1", &format!("({text})"), &[7; 12]));
        assert_eq!(fault, ArrayFault::SampleShape { shape: other.to_vec() });
    }
    for empty in [[0, 2], [3, 0]] {
        let fault = sample_fault(&npy("|u1", &format!("({}, {})", empty[0], empty[1]), &[]));
        assert_eq!(fault, ArrayFault::NoValues { shape: empty.to_vec() });
    }
}

#[test]
fn bytes_stay_bytes_whatever_their_type() {
    let values = |numbers: [f64; 6]| {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        files(&npy(">f8", "(3, 2)", &bytes), &labels()).map(|source| source.train.values)
    };
    assert_eq!(values([0.0, 1.0, 2.0, 3.0, 4.0, 255.0]).unwrap(), Values::U8(vec![0, 1, 2, 3, 4, 255]));
    let reals = values([0.0, 1.0, 2.0, 0.5, 4.0, 255.0]).unwrap();
    assert_eq!(reals, Values::F32(vec![0.0, 1.0, 2.0, 0.5, 4.0, 255.0]));
    for value in [f64::INFINITY, -1e39] {
        let (_, fault) = fault(values([0.0, 1.0, 2.0, value, 4.0, 5.0]).map(|_| unreachable!()));
        assert_eq!(fault, ArrayFault::NotFinite { sample: 1, value });
    }
}

#[test]
fn labels_are_whole_numbers() {
    let text = |text: &str| text.to_owned();
    assert_eq!(label_fault(&npy("|u1", "(3, 4)", &[0; 12])), ArrayFault::OneHot { classes: 4 });
    assert_eq!(label_fault(&npy("|u1", "(3, 1, 1)", &[0; 3])), ArrayFault::LabelShape { shape: vec![3, 1, 1] });
    assert_eq!(label_fault(&npy("|u1", "()", &[0])), ArrayFault::LabelShape { shape: vec![] });
    let half: Vec<u8> = [0.0f32, 1.0, 0.5].iter().flat_map(|label| label.to_le_bytes()).collect();
    assert_eq!(label_fault(&npy("<f4", "(3,)", &half)), ArrayFault::NotWhole { sample: 2, value: 0.5 });
    let huge = npy("<u8", "(3,)", &[0xFF; 24]);
    assert!(matches!(label_fault(&huge), ArrayFault::NotWhole { sample: 0, .. }));
    let few = npy("|u1", "(2,)", &[0, 1]);
    assert_eq!(label_fault(&few), ArrayFault::Count { found: 2, expected: 3, samples: text("x") });
    let error = files(&samples(), &npy("|u1", "(3,)", &[1; 3])).unwrap_err();
    assert!(matches!(error, DataError::TooFewClasses { count: 1, .. }), "{error}");
}

#[test]
fn other_types_and_orders_are_refused() {
    for description in ["|O", "<U3", "|S2", "<c8", "<f16", "<M8[s]"] {
        let fault = sample_fault(&npy(description, "(3, 2)", &[0; 96]));
        assert_eq!(fault, ArrayFault::Type { description: description.into() });
    }
    let fortran = String::from_utf8_lossy(&samples()[10..]).replace("False", "True");
    let file = [&b"\x93NUMPY\x01\x00"[..], &(fortran.len() as u16 - 6).to_le_bytes(), fortran.as_bytes()].concat();
    assert_eq!(sample_fault(&file), ArrayFault::FortranOrder);
    assert_eq!(sample_fault(b"\x89PNG\r\n\x1a\n...."), ArrayFault::Magic);
    assert_eq!(sample_fault(b"\x93NUMPY\x04\x00...."), ArrayFault::Version { major: 4, minor: 0 });
}

#[test]
fn forged_shapes_cost_no_memory() {
    for shape in ["(4294967295, 4294967295)", "(9223372036854775808, 2)", "(18446744073709551615, 1)"] {
        for description in ["|u1", "<f8"] {
            let file = npy(description, shape, &[0; 6]);
            let fault = sample_fault(&file);
            assert!(matches!(fault, ArrayFault::Truncated { .. } | ArrayFault::Sizes { .. }), "{shape}: {fault}");
            assert!(matches!(sample_fault(&gzip(&file)), ArrayFault::Sizes { .. }), "{shape}");
            let (_, fault) = fault_of_archive(&file);
            assert!(matches!(fault, ArrayFault::Sizes { .. }), "{shape}: {fault}");
        }
    }
    let mut long_header = samples();
    long_header[6] = 2;
    long_header[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(sample_fault(&long_header), ArrayFault::Header);
}

fn fault_of_archive(samples: &[u8]) -> (String, ArrayFault) {
    fault(archive(&npz(&[("x", samples.to_vec()), ("y", labels())])))
}

#[test]
fn content_beyond_what_is_declared_is_left_alone() {
    // A megabyte of zeros in a kilobyte; its header declares six.
    let bomb = [samples(), vec![0; 1 << 20]].concat();
    let expected = samples().len() as u64;
    assert_eq!(fault_of_archive(&bomb), ("x".into(), ArrayFault::TrailingBytes { expected }));
    assert_eq!(sample_fault(&gzip(&bomb)), ArrayFault::TrailingBytes { expected });
    assert_eq!(sample_fault(&bomb), ArrayFault::TrailingBytes { expected });
}

#[test]
fn every_cut_is_noticed() {
    for (whole, check) in [(samples(), sample_fault as fn(&[u8]) -> ArrayFault), (labels(), label_fault)] {
        for length in 0..whole.len() {
            let found = [check(&whole[..length]), check(&gzip(&whole[..length]))];
            for fault in found {
                assert!(matches!(fault, ArrayFault::Header | ArrayFault::Truncated { .. }), "{length}: {fault}");
            }
        }
    }
    let packed = gzip(&samples());
    for length in 0..packed.len() {
        assert!(files(&packed[..length], &labels()).is_err(), "{length}");
    }
    for length in 0..NUMPY.len() {
        assert!(archive(&NUMPY[..length]).is_err(), "{length}");
    }
}

#[test]
fn absent_arrays_are_named() {
    let missing = |entries: &[(&str, Vec<u8>)]| match archive(&npz(entries)) {
        Err(DataError::MissingArray { missing, found, .. }) => (missing, found),
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(&[]), ("x_train".into(), vec![]));
    assert_eq!(missing(&[("z", samples())]), ("x_train".into(), vec!["z".into()]));
    assert_eq!(missing(&[("x", samples())]), ("y".into(), vec!["x".into()]));
    let train = [("x_train", samples()), ("y_train", labels())];
    assert_eq!(missing(&[&train[..], &[("y_test", labels())]].concat()).0, "x_test");
    assert!(archive(&npz(&train)).is_ok());
    assert!(matches!(archive(b""), Err(DataError::Archive { .. })));
    assert!(matches!(archive(&samples()), Err(DataError::Archive { .. })));
}

#[test]
fn test_arrays_must_fit_the_training_arrays() {
    let with_test = |x: Vec<u8>, y: Vec<u8>| {
        archive(&npz(&[("x_train", samples()), ("y_train", labels()), ("x_test", x), ("y_test", y)]))
    };
    let source = with_test(npy("<f2", "(1, 2)", &[0, 0, 0, 60]), npy("|u1", "(1,)", &[4])).unwrap();
    assert_eq!(source.test, Some(Samples::new([1, 1, 2], Values::U8(vec![0, 1]), vec![0])));
    let (array, fault) = fault(with_test(npy("|u1", "(1, 3)", &[0; 3]), npy("|u1", "(1,)", &[4])));
    let expected = ArrayFault::OtherShape { found: [1, 1, 3], expected: [1, 1, 2] };
    assert_eq!((array.as_str(), fault), ("x_test", expected));
    let error = with_test(npy("|u1", "(1, 2)", &[0; 2]), npy("|u1", "(1,)", &[6])).unwrap_err();
    assert!(matches!(error, DataError::UnknownLabel { label, .. } if label == "6"));
}

proptest! {
    #[test]
    fn any_damage_gives_samples_or_an_error(
        damage in prop::collection::vec((0usize..900, any::<u8>()), 1..6),
        length in 0usize..1000,
    ) {
        let damaged = |mut file: Vec<u8>| {
            let size = file.len();
            damage.iter().for_each(|(place, value)| file[place % size] = *value);
            file.truncate(length.max(size / 2));
            file
        };
        let outcomes = [
            archive(&damaged(NUMPY.to_vec())),
            files(&damaged(samples()), &damaged(labels())),
            files(&samples(), &damaged(labels())),
        ];
        for source in outcomes.into_iter().flatten() {
            prop_assert!(source.train.check().is_ok() && !source.train.is_empty());
        }
    }
}
