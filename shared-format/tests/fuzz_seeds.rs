//! The seeds of the fuzz targets `parse` and `checkpoint`, in `fuzz/corpus`: small files, each named after what it holds.
//!
//! Checked like golden files, so that a change of the format does not leave the fuzzer with seeds that fail at the
//! header. `TRISHIFT_BLESS=1 cargo test -p trishift-format --test fuzz_seeds` writes them anew.
#![cfg(feature = "alloc")]

mod support;

use std::path::PathBuf;
use support::golden;
use support::raw::{RawLinear, RawModel, RawSection, RawTensor, RawWindow, container, operator, prefixed, varint};
use trishift_format::{Checkpoint, Model};

/// A seed and whether a parser accepts it.
struct Seed {
    name: String,
    file: Vec<u8>,
    accepted: bool,
}

fn seed(name: &str, file: Vec<u8>) -> Seed {
    Seed { name: name.to_owned(), file, accepted: true }
}

fn refused(name: &str, file: Vec<u8>) -> Seed {
    Seed { name: name.to_owned(), file, accepted: false }
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

/// One operator over images of these shapes, tensor 0 the input, the last one the output and what is between kept; bytes of 121
/// as trits of 0 or as int8 weights, then exponents of 0.
fn images(record: Vec<u8>, shapes: &[[u32; 3]]) -> RawModel {
    let last = shapes.len() - 1;
    let class = |index| match index {
        0 => RawTensor::INPUT,
        _ if index == last => RawTensor::OUTPUT,
        _ => RawTensor::PERSISTENT,
    };
    let tensors = shapes.iter().enumerate().map(|(index, shape)| RawTensor::image(class(index), *shape, 0, 0));
    let model = RawModel::graph_of(tensors.collect(), vec![record], 64);
    RawModel { weights: [[121; 32], [0; 32]].concat(), ..model }
}

/// A window of 3 × 2 in steps of 2 × 1; over 5 × 4 elements it has 3 × 4 places.
const WINDOW: RawWindow = [3, 2, 2, 1, 1, 0, 1, 1];

const IMAGE: [u32; 3] = [5, 4, 2];

/// A matrix of this shape for [`images`].
const fn matrix(rows: u32, columns: u32) -> RawLinear {
    RawLinear { rows, columns, group: 20, encoding: 0, exponents: 32, bias: None, relu: true, ..RawModel::SMALL }
}

/// The operators on images and those with int8 weights, by name.
fn operators() -> [(&'static str, RawModel); 10] {
    let (each, all) = ([IMAGE, [3, 4, 2]], [IMAGE, [3, 4, 1]]);
    let vectors = [[1, 1, 6], [1, 1, 2]];
    [
        ("conv2d", images(matrix(1, 12).convolution(10, WINDOW), &all)),
        ("depthwise-conv2d", images(matrix(2, 6).convolution(11, WINDOW), &each)),
        ("int8-linear", images(RawLinear { bias: Some(56), ..matrix(2, 6) }.int8(12, None), &vectors)),
        ("int8-conv2d", images(matrix(1, 12).int8(13, Some(WINDOW)), &all)),
        ("int8-depthwise-conv2d", images(matrix(2, 6).int8(14, Some(WINDOW)), &each)),
        ("max-pool", images([operator(15, &[0, 1]), WINDOW.to_vec()].concat(), &each)),
        ("avg-pool", images([operator(16, &[0, 1]), WINDOW.to_vec()].concat(), &each)),
        ("concat", images(operator(17, &[0, 1, 2]), &[IMAGE, [5, 4, 1], [5, 4, 3]])),
        ("reshape", images(operator(18, &[0, 1]), &[IMAGE, [1, 8, 5]])),
        ("pad", images([operator(19, &[0, 1]), vec![1, 0, 2, 1]].concat(), &[IMAGE, [8, 5, 2]])),
    ]
}

/// Each of them accepted, and with tensors of the wrong type, of the wrong shape, of the wrong exponent where there is one.
fn seeds_of_operators() -> impl Iterator<Item = (String, Vec<u8>, bool)> {
    operators().into_iter().flat_map(|(name, model)| {
        let last = model.tensors.len() - 1;
        let change = |change: fn(&mut RawTensor)| {
            let mut model = model.clone();
            change(&mut model.tensors[last]);
            model.file()
        };
        let refused = |what: &str| format!("refused-operands-{name}-{what}");
        let any_exponent = name.contains("conv2d") || matches!(name, "int8-linear" | "avg-pool");
        let exponents = (!any_exponent).then(|| (refused("exponents"), change(|tensor| tensor.exponent = 1), false));
        [
            (format!("model-{name}"), model.file(), true),
            (refused("element-types"), change(|tensor| tensor.data_type = RawTensor::I32), false),
            (refused("shapes"), change(|tensor| tensor.shape[1] += 1), false),
        ]
        .into_iter()
        .chain(exponents)
    })
}

/// Two steps of a stream kept in six rows, and a mean of these.
fn stream() -> RawModel {
    let (step, state) = ([2, 5, 3], [6, 5, 3]);
    let mean = [operator(16, &[1, 2]), vec![6, 5, 1, 1, 0, 0, 0, 0]].concat();
    let mut model = images(vec![], &[step, state, [1, 1, 3]]);
    model.operators = vec![operator(20, &[0, 1]), mean];
    (model.tensors[2].first, model.tensors[2].last, model.arena_bytes) = (1, 1, 92);
    model
}

/// The same with a change of the state.
fn stream_with(change: fn(&mut RawTensor)) -> Vec<u8> {
    let mut model = stream();
    change(&mut model.tensors[1]);
    model.file()
}

/// Three operators that take their input's place, one behind the other.
fn in_place() -> RawModel {
    let same: RawWindow = [3, 3, 1, 1, 1, 1, 1, 1];
    let depthwise = RawLinear { input: 2, output: 3, ..matrix(2, 9) }.convolution(11, same);
    let records = [operator(4, &[0, 1]), operator(18, &[1, 2]), depthwise, [operator(5, &[3, 0, 4]), vec![0]].concat()];
    let mut model = images(vec![], &[IMAGE; 6]);
    model.operators = records.into_iter().chain([operator(4, &[4, 5])]).collect();
    for (index, tensor) in (0..).zip(&mut model.tensors[1..5]) {
        (tensor.class, tensor.first, tensor.last) = (RawTensor::ARENA, index, index + 1);
    }
    model.tensors[1].shape = [1, 1, 40];
    (model.tensors[0].last, model.tensors[5].first, model.tensors[5].last) = (3, 4, 4);
    model
}

/// int8 weights into int32 outputs: what is wrong with them is named like what is wrong with ternary ones.
fn int8_logits() -> RawModel {
    let record = RawLinear { relu: false, bias: Some(40), ..matrix(2, 6) }.int8(12, None);
    let mut model = images(record, &[[1, 1, 6], [1, 1, 2]]);
    model.tensors[1].data_type = RawTensor::I32;
    model
}

/// The same with a change.
fn int8_logits_with(change: impl FnOnce(&mut RawModel)) -> Vec<u8> {
    let mut model = int8_logits();
    change(&mut model);
    model.file()
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
    let mut overlap = in_place();
    overlap.tensors[4].offset = 4;
    let mut seeds = vec![
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
        seed("model-in-place", in_place().file()),
        refused("refused-plan-overlap-in-part", overlap.file()),
        seed("model-int8-linear-int32", int8_logits().file()),
        seed("model-slide", stream().file()),
        refused("refused-operands-slide-element-types", stream_with(|state| state.data_type = RawTensor::I32)),
        refused("refused-operands-slide-shapes", stream_with(|state| state.shape[1] += 1)),
        refused("refused-operands-slide-exponents", stream_with(|state| state.exponent = 1)),
        refused("refused-plan-class-slide", stream_with(|state| (state.class, state.last) = (RawTensor::ARENA, 1))),
        refused("refused-matrix-outside-section-int8", int8_logits_with(|model| model.weights.truncate(33))),
        refused("refused-matrix-below-output-unit-int8", int8_logits_with(|model| model.weights[32] = 0xFF)),
        refused("refused-matrix-int32-bound-int8", int8_logits_with(|model| model.weights[33] = 15)),
    ];
    seeds.extend(seeds_of_operators().map(|(name, file, accepted)| Seed { name, file, accepted }));
    seeds
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
        let path = corpus.join(if name.starts_with("checkpoint-") { "checkpoint" } else { "parse" }).join(&name);
        if bless {
            std::fs::write(&path, &file).expect("the corpus is writable");
        }
        let stored = std::fs::read(&path).unwrap_or_default();
        assert!(stored == file, "{name} is not up to date");
    }
}
