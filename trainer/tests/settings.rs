//! Settings from the environment: what goes before what, and how bad values are told.

mod support;

use std::path::Path;
use support::{output, trishift, words};
use trishift_trainer::config::Config;

/// Runs a command with variables; gives its exit code and standard error.
fn run(folder: &Path, line: &str, variables: &[(&str, &str)]) -> (i32, String) {
    let assert = trishift(folder, words(line)).envs(variables.iter().copied()).assert();
    let output = assert.get_output();
    (output.status.code().expect("an exit code"), String::from_utf8(output.stderr.clone()).expect("text"))
}

/// The configuration that a run of the digits came to, trained with these options and variables.
fn config(options: &str, variables: &[(&str, &str)]) -> Config {
    let folder = tempfile::tempdir().expect("a folder");
    let line = format!("train --preset digits-mlp --quiet --out run {options}");
    let (code, message) = run(folder.path(), &line, variables);
    assert_eq!(code, 0, "{message}");
    Config::read(&folder.path().join("run/config.toml")).expect("a configuration")
}

#[test]
fn the_command_line_goes_first_then_the_environment_then_the_configuration() {
    let variables = [("TRISHIFT_EPOCHS", "2"), ("TRISHIFT_GROUP", "8"), ("TRISHIFT_SEED", "")];
    let with_both = config("--epochs 1", &variables);
    assert_eq!((with_both.training.epochs, with_both.network.group), (Some(1), 8));
    let preset = Config::preset("digits-mlp").unwrap();
    assert_eq!((with_both.training.batch, with_both.training.seed), (preset.training.batch, preset.training.seed));
    let with_variables = config("", &variables);
    assert_eq!((with_variables.training.epochs, with_variables.network.group), (Some(2), 8));
}

#[test]
fn either_length_of_a_run_replaces_the_other() {
    let length = |options, variables: &[(&str, &str)]| {
        let training = config(options, variables).training;
        (training.epochs, training.steps)
    };
    assert_eq!(length("--steps 3", &[]), (None, Some(3)));
    assert_eq!(length("", &[("TRISHIFT_STEPS", "4")]), (None, Some(4)));
    assert_eq!(length("--epochs 1", &[("TRISHIFT_STEPS", "4")]), (Some(1), None));
    assert_eq!(length("--steps 3", &[("TRISHIFT_EPOCHS", "4")]), (None, Some(3)));
    let folder = tempfile::tempdir().unwrap();
    let both = [("TRISHIFT_EPOCHS", "1"), ("TRISHIFT_STEPS", "4")];
    let (code, message) = run(folder.path(), "train --preset digits-mlp", &both);
    assert!(code == 2 && message.contains("only one of the two"), "{code} {message}");
}

#[test]
fn every_setting_has_a_variable() {
    let set = config(
        "",
        &[
            ("TRISHIFT_EPOCHS", "2"),
            ("TRISHIFT_WARM_UP", "1"),
            ("TRISHIFT_BATCH", "64"),
            ("TRISHIFT_LABEL_SMOOTHING", "0.25"),
            ("TRISHIFT_GROUP", "16"),
            ("TRISHIFT_RULE", "correlation"),
            ("TRISHIFT_SEED", "7"),
            ("TRISHIFT_LABEL", "first"),
            ("TRISHIFT_WIDTH", "0.5"),
            ("TRISHIFT_CONTEXT", "9"),
            ("TRISHIFT_TEST", "0.25"),
            ("TRISHIFT_VALIDATION", "0.125"),
            ("TRISHIFT_LEARNING_RATE", "0.5"),
            ("TRISHIFT_CORRELATION_STRENGTH", "2.5"),
            ("TRISHIFT_FLIP_THRESHOLD", "12"),
            ("TRISHIFT_EXPONENT_THRESHOLD", "13"),
            ("TRISHIFT_DATA", "builtin:digits"),
            ("TRISHIFT_DEVICE", "cpu"),
            ("TRISHIFT_THREADS", "1"),
        ],
    );
    let options = "--epochs 2 --warm-up 1 --label-smoothing 0.25 \
                   --batch 64 --group 16 --rule correlation --seed 7 --label first --width 0.5 --context 9 --test 0.25 \
                   --validation 0.125 --learning-rate 0.5 --correlation-strength 2.5 --flip-threshold 12 \
                   --exponent-threshold 13 --data builtin:digits --device cpu --threads 1";
    assert_eq!(set, config(options, &[]));
    assert_ne!(set, Config::preset("digits-mlp").unwrap());
}

#[test]
fn bad_values_are_told_with_their_variable() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value, parts) in [
        ("TRISHIFT_EPOCHS", "ten", ["\"ten\"", "a whole number from 0"]),
        ("TRISHIFT_EPOCHS", "0", ["epochs is 0", "at least 1"]),
        ("TRISHIFT_BATCH", "-1", ["\"-1\"", "a whole number from 0"]),
        ("TRISHIFT_BATCH", "65537", ["batch is 65537", "1 to 65536"]),
        ("TRISHIFT_GROUP", "5", ["group is 5", "4, 6, 8, 16"]),
        ("TRISHIFT_WIDTH", "0", ["width is 0", "from 1/256"]),
        ("TRISHIFT_RULE", "adam", ["adam", "the rules are flip-correlation, "]),
        ("TRISHIFT_SEED", "1.5", ["\"1.5\"", "a whole number from 0"]),
        ("TRISHIFT_LABEL", " ", ["label column is empty", "first, last"]),
        ("TRISHIFT_CONTEXT", "0", ["context is 0", "1 to 65536"]),
        ("TRISHIFT_TEST", "1.5", ["test is 1.5", "0 to below 1"]),
        ("TRISHIFT_VALIDATION", "a fifth", ["\"a fifth\"", "a number"]),
        ("TRISHIFT_WARM_UP", "60", ["warm-up is 60", "less than the epochs"]),
        ("TRISHIFT_LABEL_SMOOTHING", "-0.1", ["label-smoothing is -0.1", "0 to below 1"]),
        ("TRISHIFT_LEARNING_RATE", "0", ["learning-rate is 0", "above 0"]),
        ("TRISHIFT_CORRELATION_STRENGTH", "inf", ["correlation-strength is inf", "above 0"]),
        ("TRISHIFT_FLIP_THRESHOLD", "127", ["flip-threshold is 127", "0 to 126"]),
        ("TRISHIFT_EXPONENT_THRESHOLD", "256", ["\"256\"", "a whole number from 0 to 255"]),
        ("TRISHIFT_DEVICE", "tpu", ["\"tpu\"", "auto, cpu, cuda"]),
        ("TRISHIFT_THREADS", "0", ["is 0", "1 to 1024"]),
        ("TRISHIFT_THREADS", "two", ["\"two\"", "a whole number"]),
    ] {
        let (code, message) = run(folder.path(), "train --preset digits-mlp", &[(name, value)]);
        assert_eq!((code, message.lines().count()), (2, 1), "{name}={value}: {message}");
        assert!(message.starts_with(&format!("error: {name} ")), "{message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{name}={value}: {message}");
    }
    let (code, message) = run(folder.path(), "train --preset digits-mlp", &[("TRISHIFT_DATA", "absent")]);
    assert!(code == 2 && message.contains("cannot read absent"), "{message}");
    // The option's own value is to blame, not the variable's.
    let (_, message) = run(folder.path(), "train --preset digits-mlp --group 5", &[("TRISHIFT_GROUP", "8")]);
    assert!(message.starts_with("error: group is 5"), "{message}");
    assert!(folder.path().read_dir().unwrap().next().is_none());
}

#[test]
fn resuming_keeps_the_settings_of_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "train --preset digits-mlp --epochs 2 --out run --quiet");
    let model = std::fs::read(path.join("run/model.tsm")).unwrap();
    let variables = [
        ("TRISHIFT_EPOCHS", "1"),
        ("TRISHIFT_GROUP", "5"),
        ("TRISHIFT_RULE", "adam"),
        ("TRISHIFT_TEST", "a fifth"),
        ("TRISHIFT_DATA", "builtin:digits"),
        ("TRISHIFT_DEVICE", "cpu"),
        ("TRISHIFT_THREADS", "1"),
    ];
    let (code, message) = run(path, "train --resume run --quiet", &variables);
    assert_eq!(code, 0, "{message}");
    assert!(std::fs::read(path.join("run/model.tsm")).unwrap() == model);
    let (code, message) = run(path, "train --resume run", &[("TRISHIFT_DEVICE", "tpu")]);
    assert!(code == 2 && message.contains("TRISHIFT_DEVICE"), "{message}");
    let (code, message) = run(path, "train --resume run", &[("TRISHIFT_DATA", "absent")]);
    assert!(code == 2 && message.contains("cannot read absent"), "{message}");
}
