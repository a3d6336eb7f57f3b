//! Byte-level models from the text to the text: trained, judged, exported, generating.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use support::{json, output, trishift, words, write};

/// A network that predicts a byte from the three before it.
const TEXT: &str = r#"
name = "text"
[data]
scaling = "index"
[network]
group = 8
layers = [
    { type = "embedding", dimension = 8 },
    { type = "rms-norm" },
    { type = "linear", outputs = 32 },
    { type = "rms-norm" },
    { type = "relu" },
    { type = "linear" },
]
[training]
epochs = 4
batch = 32
"#;

#[test]
fn text_trains_and_is_judged_with_the_models_context() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let text = "to be or not to be. ".repeat(150);
    write(path, "text.toml", TEXT);
    write(path, "corpus.txt", &text);
    let trained = json(path, "train --config text.toml --context 3 --data corpus.txt --out run --json --quiet");
    assert_eq!(trained["mismatches"], 0);
    // The last tenth of 3,000 bytes, of which three begin no sample.
    assert_eq!(trained["samples"], 297);
    assert!(trained["accuracy"].as_f64().unwrap() >= 0.5, "{trained}");
    let judged = json(path, "eval run/model.tsm --data corpus.txt --json");
    assert_eq!((&judged["accuracy"], &judged["samples"]), (&trained["accuracy"], &trained["samples"]));
    let learnt = json(path, "eval run/model.tsm --data corpus.txt --part train --json");
    assert_eq!((&learnt["accuracy"], &learnt["samples"]), (&trained["train_accuracy"], &2697.into()));
    let shown = json(path, "inspect run/model.tsm --json");
    assert_eq!((&shown["properties"]["context"], &shown["input_shape"]), (&"3".into(), &serde_json::json!([1, 1, 3])));

    // Another text, with a text to test on of its own.
    write(path, "own/train.txt", &text);
    write(path, "own/test.txt.gz", "not to be");
    let judged = json(path, "eval run/model.tsm --data own --json");
    assert_eq!(judged["samples"], 6);
    let exported = json(path, "export run --out copy.tsm --json");
    assert_eq!(exported["model_bytes"], trained["model_bytes"]);
}

#[test]
fn text_is_generated_by_the_seed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    write(path, "text.toml", TEXT);
    write(path, "corpus.txt", "to be or not to be. ".repeat(150));
    output(path, "train --config text.toml --epochs 12 --data corpus.txt --out run --quiet");
    let generate = |options: &str| json(path, &format!("generate run/model.tsm --json {options}"));
    let likeliest = generate("--prompt be --length 120 --temperature 0");
    let text = likeliest["text"].as_str().unwrap();
    // Once the context holds nothing but text, the model knows it by heart.
    assert!(text.len() == 122 && text.contains("or not to be. to be or not to be. to be"), "{text}");
    let drawn = |seed| generate(&format!("--length 60 --temperature 1 --seed {seed}"))["text"].clone();
    assert_eq!(drawn(4), drawn(4));
    assert!((1..9).any(|seed| drawn(seed) != drawn(seed + 1)));
    let printed = output(path, "generate run/model.tsm --prompt be --length 120 --temperature 0");
    assert_eq!(printed.trim_end_matches('\n'), text);
    assert_eq!(output(path, "generate run/model.tsm --prompt be --length 0"), "be\n");
}

#[test]
fn models_of_other_things_generate_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "train --preset digits-mlp --epochs 1 --out run --quiet");
    for (line, part) in [
        ("generate run/model.tsm", "does not predict bytes"),
        ("generate run/model.tsm --temperature nan", "does not predict bytes"),
        ("generate absent.tsm", "cannot read the model absent.tsm"),
        ("generate run/config.toml", "run/config.toml cannot be used"),
    ] {
        let assert = trishift(path, words(line)).assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.contains(part) && message.trim_end().lines().count() == 1, "{line}: {message}");
    }
    write(path, "text.toml", TEXT);
    write(path, "corpus.txt", "to be or not to be. ".repeat(50));
    output(path, "train --config text.toml --epochs 1 --data corpus.txt --out text --quiet");
    for temperature in ["-1", "nan", "inf"] {
        let line = format!("generate text/model.tsm --temperature={temperature}");
        let assert = trishift(path, words(&line)).assert().code(2);
        let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
        assert!(message.contains("a number from 0 on is needed"), "{message}");
    }
}
