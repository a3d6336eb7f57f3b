//! What a checkpoint holds: integers, no more of them than the rule needs, and the same ones whatever the number of
//! threads.

mod support;

use std::path::Path;
use support::{BIASED, output, write};
use trishift_format::Checkpoint;
use trishift_format::checkpoint::StateType;
use trishift_trainer::rule::RuleName;

/// One hidden layer of `hidden` outputs on the digits.
fn config(hidden: u32, group: u32) -> String {
    let layers = format!("{{ type = 'linear', outputs = {hidden} }}, {{ type = 'shift-norm' }}, {{ type = 'relu' }}");
    format!(
        "name = 'net'\n[data]\npath = 'builtin:digits'\nscaling = 'tensor'\n[network]\ngroup = {group}\n\
         layers = [{layers}, {{ type = 'linear' }}]\n[training]\nepochs = 3\nbatch = 48\n"
    )
}

fn checkpoint(folder: &Path, config: &str, rule: RuleName) -> Vec<u8> {
    write(folder, "net.toml", config);
    output(folder, &format!("train --config net.toml --rule {rule} --out {rule} --overwrite --quiet"));
    std::fs::read(folder.join(rule.as_str()).join("checkpoint.tsc")).expect("a checkpoint")
}

#[test]
fn integer_rules_keep_integers_and_few_of_them() {
    let folder = tempfile::tempdir().unwrap();
    for (hidden, group) in [(128, 32), (640, 64), (512, 8)] {
        for (rule, bits) in [(RuleName::FlipCorrelation, 1.6 + 8.0), (RuleName::Correlation, 1.6)] {
            let file = checkpoint(folder.path(), &config(hidden, group), rule);
            let parsed = Checkpoint::parse(&file).unwrap();
            assert!(parsed.tensors().all(|tensor| tensor.state_type != StateType::F32), "{rule}");
            // The groups divide every row, so there are weights / G of them: int8 exponent, at most int64 correlation.
            let weights = f64::from(64 * hidden + 10 * hidden);
            let state = weights * (bits + 72.0 / f64::from(group)) / 8.0;
            let described = 1024 + parsed.config().len();
            assert!((file.len() as f64) < state + described as f64, "{rule}, {hidden}: {} > {state}", file.len());
        }
    }
}

#[test]
fn only_the_baseline_keeps_floating_point_numbers() {
    let folder = tempfile::tempdir().unwrap();
    for rule in RuleName::ALL {
        let floats = rule == RuleName::StraightThrough;
        let file = checkpoint(folder.path(), BIASED, rule);
        let parsed = Checkpoint::parse(&file).unwrap();
        assert_eq!(parsed.tensors().any(|tensor| tensor.state_type == StateType::F32), floats, "{rule}");
        let progress = parsed.tensor("progress").unwrap();
        assert_ne!(progress.state_type, StateType::F32);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    // Sizes that no panel divides.
    let config = config(300, 20).replace("epochs = 3", "epochs = 4");
    for rule in RuleName::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(path, "net.toml", &config);
        for (run, options) in
            [("one", "--threads 1"), ("two", "--threads 2"), ("seven", "--threads 7"), ("seed", "--seed 2")]
        {
            output(path, &format!("train --config net.toml --rule {rule} --out {run} {options} --quiet"));
        }
        let read = |run: &str, file: &str| std::fs::read(path.join(run).join(file)).unwrap();
        for file in ["model.tsm", "checkpoint.tsc"] {
            assert!(read("one", file) == read("two", file), "{rule}: {file}");
            assert!(read("one", file) == read("seven", file), "{rule}: {file}");
            assert!(read("one", file) != read("seed", file), "{rule}: {file} does not depend on the seed");
        }
    }
}
