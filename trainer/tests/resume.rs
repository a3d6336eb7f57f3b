//! A run that is interrupted, however and whenever, and resumed ends in the same bytes as one that was left alone.
#![cfg(unix)]

mod support;

use serde_json::Value;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};
use support::{BIASED, HIDDEN_CARDS, TRISHIFT, json, output, snapshot, trishift, words, write};
use trishift_format::Checkpoint;
use trishift_trainer::rule::RuleName;
use trishift_trainer::run::RunFolder;

/// About two seconds on two cores.
const LONG: &str = "train --preset digits-mlp --epochs 60 --batch 8 --json --out";

/// A run in a process of its own.
struct Running {
    process: Child,
    messages: BufReader<ChildStderr>,
}

/// How a process ended.
struct Ended {
    code: Option<i32>,
    signal: Option<i32>,
    results: String,
    messages: String,
}

impl Running {
    fn start(folder: &Path, line: &str) -> Self {
        let mut command = Command::new(TRISHIFT);
        command.current_dir(folder).args(words(line)).env(HIDDEN_CARDS.0, HIDDEN_CARDS.1);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process");
        let messages = BufReader::new(process.stderr.take().expect("its messages"));
        Self { process, messages }
    }

    /// Waits for the first epoch to end: from then on the process listens to signals.
    fn wait_for_an_epoch(&mut self) {
        let mut line = String::new();
        while self.messages.read_line(&mut line).expect("messages") > 0 && !line.starts_with("epoch ") {
            line.clear();
        }
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.process.id());
        // The process may have ended by itself.
        let _ = Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().expect("a shell");
    }

    fn end(mut self) -> Ended {
        let (mut results, mut messages) = (String::new(), String::new());
        self.messages.read_to_string(&mut messages).expect("messages");
        self.process.stdout.take().expect("its results").read_to_string(&mut results).expect("results");
        let status = self.process.wait().expect("an end");
        Ended { code: status.code(), signal: status.signal(), results, messages }
    }
}

/// Waits until a file appears in the folder or its checkpoint changes; not long, for the process may have ended.
fn wait_for_a_write(run: &Path) {
    let look = || {
        let names = run.read_dir().expect("the run").flatten().count();
        let checkpoint = run.join("checkpoint.tsc").metadata().map(|file| (file.ino(), file.len())).ok();
        (names, checkpoint)
    };
    let (before, started) = (look(), Instant::now());
    while look() == before && started.elapsed() < Duration::from_millis(300) {}
}

/// Sleeps for a random time; every run of these tests interrupts at other moments.
fn sleep_up_to(longest: Duration) {
    let random = RandomState::new().build_hasher().finish();
    std::thread::sleep(longest.mul_f64(random as f64 / u64::MAX as f64));
}

/// Interrupts politely at random moments until a process gets to the end; returns how often, and the result.
fn interrupt_often(folder: &Path, begin: &str, resume: &str, longest: Duration) -> (usize, Value) {
    let mut line = begin;
    for interruptions in 0..100 {
        let mut running = Running::start(folder, line);
        running.wait_for_an_epoch();
        sleep_up_to(longest);
        running.signal(["INT", "TERM"][interruptions % 2]);
        let Ended { code, signal, results, messages } = running.end();
        if code == Some(0) {
            let last = results.lines().last().expect("a result");
            return (interruptions, serde_json::from_str(last).expect("JSON"));
        }
        assert_eq!((code, signal), (Some(130), None), "{messages}");
        assert!(results.is_empty(), "{results}");
        let advice = messages.lines().last().expect("a message");
        assert!(advice.starts_with("interrupted; go on with: trishift train --resume "), "{messages}");
        line = resume;
    }
    panic!("a run of two seconds was interrupted a hundred times");
}

/// A part of the time that a whole run took, so that a fast machine is interrupted as often as a slow one.
fn part_of(whole: &Value, parts: u32) -> Duration {
    Duration::from_secs_f64(whole["seconds"].as_f64().expect("seconds")) / parts
}

/// Lines of metrics without what depends on the clock.
fn metrics(run: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a JSON object a line"));
    let without_clock = |mut line: Value| {
        let speed = line.as_object_mut().and_then(|line| line.remove("samples_per_second"));
        assert!(speed.is_some_and(|speed| speed.as_f64().is_some_and(|speed| speed > 0.0)));
        line
    };
    lines.map(without_clock).collect()
}

/// Both runs ended in the same bytes and tell the same story.
fn assert_same(one: &Path, other: &Path, epochs: usize) {
    for file in ["model.tsm", "checkpoint.tsc", "config.toml"] {
        let [one, other] = [one, other].map(|run| std::fs::read(run.join(file)).expect("a file of the run"));
        assert!(one == other, "{file} differs");
    }
    let lines = metrics(one);
    assert_eq!(lines, metrics(other));
    let numbers: Vec<_> = lines.iter().map(|line| line["epoch"].as_u64()).collect();
    assert_eq!(numbers, (1..=epochs as u64).map(Some).collect::<Vec<_>>());
    for run in [one, other] {
        assert_no_step_is_left_out(run);
        let mut names: Vec<_> =
            snapshot(run).into_keys().filter_map(|path| Some(path.file_name()?.to_owned())).collect();
        names.sort();
        assert_eq!(
            names,
            ["checkpoint.tsc", "config.toml", "flips.jsonl", "metrics.jsonl", "model.tsm", "report.html"]
        );
    }
}

/// Records of what changed go from the first step to the last one, each from where the one before it ends.
fn assert_no_step_is_left_out(run: &Path) {
    let folder = RunFolder::open(run).expect("a run");
    let (epochs, flips) = (folder.read_metrics().expect("metrics"), folder.read_flips().expect("flips"));
    let last = flips.iter().fold(0, |step, flips| {
        assert_eq!(flips.since, step);
        flips.step
    });
    assert_eq!(Some(last), epochs.last().map(|epoch| epoch.step));
}

#[test]
fn an_interrupted_run_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let whole = json(path, &format!("{LONG} whole"));
    let (interruptions, pieces) =
        interrupt_often(path, &format!("{LONG} pieces"), "train --resume pieces --json", part_of(&whole, 8));
    assert!(interruptions >= 3, "{interruptions}");
    assert_same(&path.join("whole"), &path.join("pieces"), 60);
    for key in ["accuracy", "train_accuracy", "samples", "mismatches", "model_bytes"] {
        assert_eq!(whole[key], pieces[key], "{key}");
    }
    // A finished run has nothing left to do, and says the same again.
    let again = json(path, "train --resume pieces --json");
    assert_eq!(again["accuracy"], whole["accuracy"]);
    assert_same(&path.join("whole"), &path.join("pieces"), 60);
}

/// Launchers send it to a group of processes and to each of them.
#[test]
fn sigterm_may_come_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut running = Running::start(folder.path(), &format!("{LONG} run"));
    running.wait_for_an_epoch();
    (0..2).for_each(|_| running.signal("TERM"));
    let Ended { code, messages, .. } = running.end();
    assert!(code == Some(130) && messages.contains("interrupted; go on with: "), "{code:?} {messages}");
}

#[test]
fn a_killed_run_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, &format!("{LONG} whole --quiet"));

    let begin = format!("{LONG} killed");
    for round in 0..9 {
        let mut running = Running::start(path, if round == 0 { &begin } else { "train --resume killed --json" });
        running.wait_for_an_epoch();
        sleep_up_to(Duration::from_millis(100));
        if round % 3 > 0 {
            // Killed while it writes the checkpoint, or at once after.
            running.signal("INT");
            wait_for_a_write(&path.join("killed"));
        }
        running.process.kill().unwrap();
        let Ended { code, signal, results, .. } = running.end();
        if code == Some(0) {
            break; // A fast machine: the run got to its end.
        }
        assert!(signal == Some(9) || code == Some(130), "{code:?} {signal:?}");
        assert!(results.is_empty(), "{results}");
        let checkpoint = std::fs::read(path.join("killed/checkpoint.tsc")).unwrap();
        assert!(Checkpoint::parse(&checkpoint).is_ok(), "round {round}");
    }
    json(path, "train --resume killed --json --quiet");
    assert_same(&path.join("whole"), &path.join("killed"), 60);
}

/// Every rule's state, that of biases, and the sums of a half-done epoch with validation samples.
#[test]
fn every_rule_resumes() {
    for rule in RuleName::ALL {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(path, "biased.toml", BIASED);
        let line =
            format!("train --config biased.toml --rule {rule} --validation 0.1 --epochs 8 --batch 8 --json --out");
        let whole = json(path, &format!("{line} whole --quiet"));
        let (_, pieces) =
            interrupt_often(path, &format!("{line} pieces"), "train --resume pieces --json", part_of(&whole, 4));
        assert_eq!(whole["accuracy"], pieces["accuracy"], "{rule}");
        assert_same(&path.join("whole"), &path.join("pieces"), 8);
        assert!(metrics(&path.join("whole")).iter().all(|line| line["validation_accuracy"].is_f64()));
    }
}

#[test]
fn a_run_can_be_resumed_from_its_first_moment_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let line = "train --preset digits-mlp --epochs 10 --batch 8 --seed 9 --out";
    output(path, &format!("{line} whole --quiet"));
    let mut running = Running::start(path, &format!("{line} early"));
    running.wait_for_an_epoch();
    running.signal("KILL");
    assert_eq!(running.end().signal, Some(9));
    output(path, "train --resume early --quiet");
    assert_same(&path.join("whole"), &path.join("early"), 10);
}

#[test]
fn a_run_killed_before_its_first_checkpoint_says_how_to_begin_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    output(path, "train --preset digits-mlp --epochs 2 --seed 9 --out whole --quiet");
    // As a process leaves it that is killed while it writes its first checkpoint.
    write(path, "early/config.toml", std::fs::read(path.join("whole/config.toml")).unwrap());
    write(path, "early/.trishift-Qx7", "half a checkpoi");
    let before = snapshot(path);
    let assert = trishift(path, ["train", "--resume", "early"]).assert().code(2).stdout("");
    let message = String::from_utf8(assert.get_output().stderr.clone()).unwrap();
    assert!(message.starts_with("error: the run in early was stopped before its first checkpoint; "), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert_eq!(snapshot(path), before);

    let advice = message.split_once("begin it again with ").expect("what to do").1.trim();
    output(path, &format!("train {advice} --quiet"));
    assert_same(&path.join("whole"), &path.join("early"), 2);
}

#[test]
fn a_run_goes_on_with_its_own_data_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let rows = |offset: u32| -> String { (0..60).map(|i| format!("{},{},{}\n", i + offset, 99 - i, i / 30)).collect() };
    write(path, "table.csv", rows(0));
    output(path, "train --preset mnist-mlp --data table.csv --epochs 1 --out run --quiet");
    write(path, "moved/table.csv", rows(0));
    write(path, "other.csv", rows(1));
    std::fs::remove_file(path.join("table.csv")).unwrap();
    let before = snapshot(path);
    for (data, part) in [("", "cannot read table.csv"), ("--data other.csv", "not what this run began with")] {
        let line = format!("train --resume run {data}");
        let assert = trishift(path, words(&line)).assert().code(2).stdout("");
        let message = String::from_utf8_lossy(&assert.get_output().stderr);
        assert!(message.starts_with("error: ") && message.contains(part), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
        assert_eq!(snapshot(path), before);
    }
    output(path, "train --resume run --data moved/table.csv --quiet");
}
