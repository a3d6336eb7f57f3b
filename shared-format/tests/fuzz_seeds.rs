//! The seeds of the fuzz targets `parse` and `checkpoint`, in `fuzz/corpus`: small files, each named after what it holds.
//!
//! Checked like golden files, so that a change of the format does not leave the fuzzer with seeds that fail at the
//! header. `TRISHIFT_BLESS=1 cargo test -p trishift-format --test fuzz_seeds` writes them anew.
#![cfg(feature = "alloc")]

mod support;

use std::path::PathBuf;
use support::golden;
use support::raw::{RawLinear, RawModel, RawSection, RawTensor, container, operator, prefixed, varint};
use trishift_format::{Checkpoint, Model};

/// A seed and whether a parser accepts it.
struct Seed {
    name: &'static str,
    file: Vec<u8>,
    accepted: bool,
}

fn seed(name: &'static str, file: Vec<u8>) -> Seed {
    Seed { name, file, accepted: true }
}

fn refused(name: &'static str, file: Vec<u8>) -> Seed {
    Seed { name, file, accepted: false }
}

/// Logits: int32 outputs, int8 exponents.
fn logits() -> RawModel {
    let mut model = RawModel::small_with(RawLinear { encoding: 0, relu: false, ..RawModel::SMALL });
    model.weights[4..8].copy_from_slice(&[0xFE, 3, 0xF9, 0xF9]);
    model.tensors[1].data_type = RawTensor::I32;
    model.tensors[1].exponent = -7;
    model
}

/// Two operands added, one of them kept from the run before.
fn residual() -> RawModel {
    let mut tensors = vec![
        RawTensor::i8(RawTensor::INPUT, 4, 0, 1),
        RawTensor::i8(RawTensor::PERSISTENT, 4, 0, 0),
        RawTensor::i8(RawTensor::OUTPUT, 4, 0, 0),
    ];
    tensors[0].exponent = -3;
    tensors[1].exponent = -3;
    let add = [operator(5, &[0, 1, 2]), vec![1]].concat();
    tensors[2].exponent = -3;
    RawModel::graph_of(tensors, vec![add, operator(4, &[0, 1])], 4)
}

/// A scaling record for each of six features.
fn scales() -> RawModel {
    let record = |feature: u8| [feature, 1, 0, 0, 0xFF, feature];
    RawModel { scales: (0..6).flat_map(record).collect(), labels: vec![], ..RawModel::small() }
}

/// A table whose rows the input names, int32 outputs.
fn embedding() -> RawModel {
    let mut model = RawModel::table();
    model.tensors[1].data_type = RawTensor::I32;
    model.tensors[1].exponent = -9;
    model
}

/// Normalised, then shares of 1: the two operators that take int32 as it comes.
fn shares() -> RawModel {
    let mut model = logits();
    let number = |data_type, exponent, class, [offset, first]: [u16; 2]| RawTensor {
        data_type,
        exponent,
        offset: offset.into(),
        ..RawTensor::i8(class, 2, first, first + 1)
    };
    model.tensors[1] = number(RawTensor::I32, -7, RawTensor::ARENA, [0, 0]);
    model.tensors.push(number(RawTensor::I8, -5, RawTensor::ARENA, [8, 1]));
    model.tensors.push(number(RawTensor::I32, -30, RawTensor::OUTPUT, [0, 2]));
    let norm = [operator(7, &[1, 2]), vec![1]].concat();
    model.operators.extend([norm, operator(9, &[2, 3])]);
    RawModel { output: 3, arena_bytes: 12, ..model }
}

fn optional_section() -> Vec<u8> {
    let model = RawModel::small();
    let unknown = RawSection { flags: 1, ..RawSection::new(77, b"from the future".to_vec()) };
    let weights = RawSection::new(2, model.weights.clone());
    container(1, 0, &[unknown, RawSection::new(1, model.graph()), weights])
}

fn trits_alone() -> Vec<u8> {
    let record = [prefixed("t"), vec![0], [7u64, 1, 0].map(varint).concat()].concat();
    let index = [prefixed("seed = 1"), prefixed(prefixed(record))].concat();
    container(2, 0, &[RawSection::new(3, index), RawSection::new(4, vec![242, 8])])
}

fn seeds() -> Vec<Seed> {
    let mut unknown = RawModel::relus(2);
    unknown.operators[1] = operator(77, &[1, 2]);
    let golden = |file: Result<Vec<u8>, _>| file.expect("the golden files are valid");
    vec![
        seed("model-every-operator", golden(golden::model())),
        seed("model-linear-int8", RawModel::small().file()),
        seed("model-linear-int32", logits().file()),
        seed("model-relu-chain", RawModel::relus(5).file()),
        seed("model-add-persistent", residual().file()),
        seed("model-embedding-int8", RawModel::table().file()),
        seed("model-embedding-int32", embedding().file()),
        seed("model-rms-norm-softmax", shares().file()),
        seed("model-scale-for-each-feature", scales().file()),
        seed("model-optional-section", optional_section()),
        seed("checkpoint-every-type", golden(golden::checkpoint())),
        seed("checkpoint-trits", trits_alone()),
        refused("refused-unknown-operator", unknown.file()),
        refused("refused-header-alone", RawModel::small().file()[..64].to_vec()),
    ]
}

#[test]
fn seeds_are_what_their_names_say() {
    for Seed { name, file, accepted } in seeds() {
        let found = Model::parse(&file).is_ok() || Checkpoint::parse(&file).is_ok();
        assert_eq!(found, accepted, "{name}");
    }
}

#[test]
fn the_fuzzers_corpus_holds_the_seeds() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let bless = std::env::var_os("TRISHIFT_BLESS").is_some();
    for Seed { name, file, .. } in seeds() {
        let path = corpus.join(if name.starts_with("checkpoint-") { "checkpoint" } else { "parse" }).join(name);
        if bless {
            std::fs::write(&path, &file).expect("the corpus is writable");
        }
        let stored = std::fs::read(&path).unwrap_or_default();
        assert!(stored == file, "{name} is not up to date");
    }
}
