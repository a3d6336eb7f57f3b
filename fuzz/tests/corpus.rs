//! Every file of the corpora and every former finding goes through its target, as an ordinary test; and the corpora hold
//! what they should.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use trishift_format::Model;
use trishift_fuzz::container::sealed;
use trishift_fuzz::targets::{self, Target};

/// What the parsers refuse, by the check that refuses it; each has a file in a corpus that reaches it.
///
/// Not here: the checks of checkpoints (below).
const REFUSALS: [&str; 54] = [
    "refused-too-short",
    "refused-magic",
    "refused-version",
    "refused-header-checksum",
    "refused-kind",
    "refused-reserved",
    "refused-length",
    "refused-body-checksum",
    "refused-section-bounds",
    "refused-repeated-section",
    "refused-unknown-section",
    "refused-missing-section",
    "refused-trailing-bytes",
    "refused-malformed-graph",
    "refused-malformed-tensor-table",
    "refused-malformed-label-list",
    "refused-malformed-property-list",
    "refused-malformed-operator",
    "refused-unknown-operator",
    "refused-graph-size",
    "refused-tensor",
    "refused-graph-tensor",
    "refused-tensor-index",
    "refused-operands-linear-element-types",
    "refused-operands-linear-shapes",
    "refused-operands-shift-norm-element-types",
    "refused-operands-shift-norm-shapes",
    "refused-operands-requantize-element-types",
    "refused-operands-requantize-shapes",
    "refused-operands-relu-element-types",
    "refused-operands-relu-shapes",
    "refused-operands-relu-exponents",
    "refused-operands-add-element-types",
    "refused-operands-add-shapes",
    "refused-operands-add-exponents",
    "refused-operands-argmax-element-types",
    "refused-operands-argmax-shapes",
    "refused-operands-argmax-exponents",
    "refused-operands-rms-norm-element-types",
    "refused-operands-rms-norm-shapes",
    "refused-operands-embedding-shapes",
    "refused-operands-softmax-shapes",
    "refused-operands-softmax-exponents",
    "refused-matrix-group-size",
    "refused-matrix-encoding",
    "refused-matrix-layout",
    "refused-matrix-layout-encoding",
    "refused-matrix-empty",
    "refused-matrix-outside-section",
    "refused-matrix-trit-byte",
    "refused-matrix-trit-padding",
    "refused-matrix-exponent-offsets",
    "refused-matrix-empty-group",
    "refused-matrix-below-output-unit",
];

/// The same, of the operators on images, those with int8 weights and sliding.
const IMAGE_REFUSALS: [&str; 27] = [
    "refused-operands-conv2d-element-types",
    "refused-operands-conv2d-shapes",
    "refused-operands-depthwise-conv2d-element-types",
    "refused-operands-depthwise-conv2d-shapes",
    "refused-operands-int8-linear-element-types",
    "refused-operands-int8-linear-shapes",
    "refused-operands-int8-conv2d-element-types",
    "refused-operands-int8-conv2d-shapes",
    "refused-operands-int8-depthwise-conv2d-element-types",
    "refused-operands-int8-depthwise-conv2d-shapes",
    "refused-operands-max-pool-element-types",
    "refused-operands-max-pool-shapes",
    "refused-operands-max-pool-exponents",
    "refused-operands-avg-pool-element-types",
    "refused-operands-avg-pool-shapes",
    "refused-operands-concat-element-types",
    "refused-operands-concat-shapes",
    "refused-operands-concat-exponents",
    "refused-operands-reshape-element-types",
    "refused-operands-reshape-shapes",
    "refused-operands-reshape-exponents",
    "refused-operands-pad-element-types",
    "refused-operands-pad-shapes",
    "refused-operands-pad-exponents",
    "refused-operands-slide-element-types",
    "refused-operands-slide-shapes",
    "refused-operands-slide-exponents",
];

/// The same, for what comes after the weights.
const LATER_REFUSALS: [&str; 9] = [
    "refused-matrix-int32-bound",
    "refused-plan-alignment",
    "refused-plan-outside-arena",
    "refused-plan-overlap",
    "refused-plan-lifetime",
    "refused-plan-written",
    "refused-plan-class",
    "refused-input-scales",
    "refused-label-count",
];

/// What the parser of checkpoints refuses beyond the container's checks.
const CHECKPOINT_REFUSALS: [&str; 3] =
    ["refused-malformed-checkpoint-index", "refused-state-tensor", "refused-state-trits"];

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target)
}

/// Name and contents of the files of a folder that are kept in version control: not those that a fuzzer named.
fn files(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder(kind, target)) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("the folder can be read").path());
    let named = paths.map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path));
    let kept = named.filter(|(name, _)| !(name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())));
    kept.map(|(name, path)| (name, std::fs::read(path).expect("the file can be read"))).collect()
}

#[test]
fn nothing_is_found_in_the_corpora() {
    for Target { name, check, outcome } in targets::ALL {
        let corpus = files("corpus", name);
        assert!(corpus.len() >= 5, "the corpus of {name} has {} files", corpus.len());
        for (file, bytes) in corpus.into_iter().chain(files("regressions", name)) {
            println!("{name}: {file}");
            check(&bytes);
            outcome(&bytes);
        }
    }
}

#[test]
fn models_that_nobody_parsed_lead_nowhere() {
    // Numbers near 2^32 in place of any, one of them or a whole shape: products that do not fit, loops that would not end.
    let words =
        [vec![0xFF; 4], vec![0, 0, 0, 0x80], vec![0xFF; 12], vec![0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0], vec![0; 4]];
    let mut runs = 0;
    for (name, file) in files("corpus", "parse").into_iter().filter(|(name, _)| name.starts_with("model-")) {
        println!("{name}");
        for offset in 128..file.len().min(128 + 400) {
            for word in &words {
                let mut damaged = file.clone();
                damaged[offset..].iter_mut().zip(word).for_each(|(byte, value)| *byte = *value);
                let damaged = sealed(damaged);
                if let Ok(model) = Model::checked_before(&damaged) {
                    targets::mutate::harmless(&model);
                    runs += 1;
                }
            }
        }
    }
    assert!(runs > 10_000, "{runs} runs");
}

#[test]
fn files_are_small_and_what_their_names_say() {
    for Target { name, outcome, .. } in targets::ALL {
        for (file, bytes) in files("corpus", name) {
            assert!(bytes.len() <= 4096, "{name}: {file} has {} bytes", bytes.len());
            let outcome = outcome(&bytes);
            // More may follow. The formats' own seeds say what they hold instead.
            let is_seed = outcome == "accepted" && ["model-", "checkpoint-"].iter().any(|kind| file.starts_with(kind));
            assert!(
                file.starts_with(&outcome) || is_seed || file == "refused-header-alone",
                "{name}: {file} is {outcome}"
            );
        }
    }
}

#[test]
fn every_check_of_the_parsers_is_reached() {
    let names = |target| files("corpus", target).into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>();
    let reached = names("parse");
    let missing: Vec<_> = REFUSALS
        .iter()
        .chain(&IMAGE_REFUSALS)
        .chain(&LATER_REFUSALS)
        .filter(|name| !reached.contains(**name))
        .collect();
    assert!(missing.is_empty(), "the corpus of parse lacks {missing:?}");
    let reached = names("checkpoint");
    let missing: Vec<_> = CHECKPOINT_REFUSALS.iter().filter(|name| !reached.contains(**name)).collect();
    assert!(missing.is_empty(), "the corpus of checkpoint lacks {missing:?}");
}
