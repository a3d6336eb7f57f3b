//! `trishift export --format onnx`: what it says, what it refuses. That the files' integers are the engine's is tested with
//! onnxruntime, in edge-runtime/python/tests.

mod support;

use support::{json, keys, output, snapshot, trishift, words};

/// A file with an RMS norm and a softmax.
const NORMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/parse/model-rms-norm-softmax");
/// A file of the format's with every operator, and a state that some of them read.
const EVERY_OPERATOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared-format/tests/golden/model-0.4.tsm");

#[test]
fn runs_models_and_presets_become_onnx_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "train --preset digits-mlp --data builtin:digits --epochs 1 --out run");
    let of_run = json(path, "export run --format onnx --out run.onnx --json");
    assert_eq!(keys(&of_run), ["model", "model_bytes", "step", "narrowed_rows", "zeroed_trits"]);
    let of_model = json(path, "export run/model.tsm --format onnx --out model.onnx --json");
    assert_eq!(keys(&of_model), ["model", "model_bytes"]);
    let bytes = std::fs::read(path.join("run.onnx")).unwrap();
    assert!(bytes == std::fs::read(path.join("model.onnx")).unwrap());
    assert_eq!(of_run["model_bytes"], bytes.len());
    // The version of the file's format, then who made it.
    assert!(bytes.starts_with(b"\x08\x08\x12\x08trishift"), "{:?}", &bytes[..16]);
    let text = output(path, "export --preset mnist-cnn --format onnx --out cnn.onnx");
    assert!(text.contains("the weights are random"), "{text}");
}

#[test]
fn what_onnx_cannot_express_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::copy(EVERY_OPERATOR, path.join("every.tsm")).unwrap();
    std::fs::copy(NORMS, path.join("norms.tsm")).unwrap();
    output(path, "export --preset spoken-digits --stream --out stream.tsm");
    let before = snapshot(path);
    for (line, parts) in [
        ("export every.tsm --format onnx --out x.onnx", ["(argmax) cannot be expressed in ONNX", "keeps nothing"]),
        ("export norms.tsm --format onnx --out x.onnx", ["(rms-norm) cannot be expressed in ONNX", "integer root"]),
        ("export stream.tsm --format onnx --out x.onnx", ["(slide) cannot be expressed in ONNX", "without --stream"]),
        ("export --preset spoken-digits --stream --format onnx --out x.onnx", ["(slide)", "without --stream"]),
        ("export every.tsm --format onnx --out stream.tsm", ["stream.tsm exists", "--overwrite"]),
        ("export every.tsm --out x.onnx", ["every.tsm is a file", "--format onnx"]),
    ] {
        let assert = trishift(path, words(line)).assert().code(2);
        let message = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(parts.iter().all(|part| message.contains(part)), "{line}: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{line}: {message}");
    }
    assert!(snapshot(path) == before, "something was written");
}
