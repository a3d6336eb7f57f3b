//! Learning another network's answers: what `--teacher` takes, what it refuses, and that runs with a teacher repeat and
//! resume as others do.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::path::Path;
use support::{json, snapshot, trishift, words};
use trishift_trainer::backend::Resolved;
use trishift_trainer::checkpoint::{self, StateReader};
use trishift_trainer::config::Config;
use trishift_trainer::run::{self, Ending, Epoch, Observer, Run, RunFolder, Status};

const TEACHER: &str = "train --preset digits-mlp --epochs 20 --json --out teacher";

/// A network of 8 hidden units.
const PUPIL: &str = "train --preset digits-mlp --width 0.125 --epochs 20 --json";

/// The message of a command that must fail and change nothing in `folder`.
fn refusal(folder: &Path, line: &str) -> String {
    let before = snapshot(folder);
    let assert = trishift(folder, words(line)).assert().failure();
    assert!(snapshot(folder) == before, "{line}: files changed");
    String::from_utf8(assert.get_output().stderr.clone()).unwrap()
}

/// Stops a run at its first chance, or never.
struct Stopping(bool);

impl Observer for Stopping {
    fn progress(&mut self, _: &Status) -> bool {
        self.0
    }

    fn epoch(&mut self, _: &Epoch) {}
}

#[test]
fn a_pupil_answers_as_its_teacher_does() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let teacher = json(folder, TEACHER);
    assert!(teacher["accuracy"].as_f64().unwrap() > 0.95, "{teacher}");
    let alone = json(folder, &format!("{PUPIL} --out alone"));
    let taught = json(folder, &format!("{PUPIL} --teacher teacher --out taught"));
    assert_eq!((&taught["mismatches"], &taught["differing_logits"]), (&0.into(), &0.into()));
    assert_ne!(alone["loss"], taught["loss"]);
    let accuracy = taught["accuracy"].as_f64().unwrap();
    assert!(accuracy > 0.8, "{taught}");
    // The configuration says who taught, and how much it counted; a rerun gives the same bytes.
    let config = std::fs::read_to_string(folder.join("taught/config.toml")).unwrap();
    assert!(
        config.contains("[training.distillation]\nteacher = \"teacher\"\nshare = 0.7\ntemperature = 2"),
        "{config}"
    );
    json(folder, "train --config taught/config.toml --json --out again");
    for file in ["model.tsm", "checkpoint.tsc"] {
        let [first, second] = ["taught", "again"].map(|run| std::fs::read(folder.join(run).join(file)).unwrap());
        assert!(first == second, "{file}");
    }
}

#[test]
fn a_pupil_goes_on_with_the_same_teacher_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    json(folder, TEACHER);
    let mut config = Config::preset("digits-mlp").unwrap();
    config.network.width = 0.125;
    config.training.epochs = Some(6);
    config.training.distillation.teacher = Some(folder.join("teacher"));
    let data = run::load(&config).unwrap();
    let begin = |name: &str| RunFolder::create(&folder.join(name), false).unwrap();
    let train = |run: &mut Run<'_>, stops: bool| run.train(&mut Stopping(stops)).unwrap();

    let whole = begin("whole");
    assert_eq!(train(&mut Run::new(&config, &data, &whole, &Resolved::Cpu).unwrap(), false), Ending::Finished);
    let halves = begin("halves");
    assert_eq!(train(&mut Run::new(&config, &data, &halves, &Resolved::Cpu).unwrap(), true), Ending::Interrupted);
    let saved = checkpoint::read(&halves.checkpoint()).unwrap();
    let reader = StateReader::new(&saved, &halves.checkpoint()).unwrap();
    let mut run = Run::new(&config, &data, &halves, &Resolved::Cpu).unwrap();
    run.restore(&reader).unwrap();
    assert_eq!(train(&mut run, false), Ending::Finished);
    let [whole, halves] = [&whole, &halves].map(|folder| std::fs::read(folder.checkpoint()).unwrap());
    assert!(whole == halves);

    // Another teacher would lead elsewhere.
    json(folder, &format!("{TEACHER} --overwrite --seed 2"));
    let other = begin("other");
    let error = Run::new(&config, &data, &other, &Resolved::Cpu).unwrap().restore(&reader).unwrap_err().to_string();
    assert!(error.contains("(or the teacher) is not what this run began with"), "{error}");
}

#[test]
fn what_cannot_teach_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let error = refusal(folder, &format!("{PUPIL} --teacher nobody --out pupil"));
    assert!(error.contains("no teacher: nobody holds no run"), "{error}");
    json(folder, &format!("{TEACHER} --epochs 1").replace("--epochs 20", ""));
    let error = refusal(folder, &format!("{PUPIL} --teacher teacher --test 0.4 --out pupil"));
    assert!(error.contains("the teacher in teacher was trained on other samples"), "{error}");
    std::fs::write(folder.join("teacher/checkpoint.tsc"), "no checkpoint").unwrap();
    let error = refusal(folder, &format!("{PUPIL} --teacher teacher --out pupil"));
    assert!(error.contains("the teacher in teacher cannot be used"), "{error}");
}
