//! Ranks in processes of their own: whichever is killed or stopped, all end, each with one line that names it; and what the
//! command says about `--gpus` and a launcher's variables. The ranks are this same program: [`rank`] and [`launcher`] are no
//! tests but what the tests start.
#![cfg(unix)]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use support::{HIDDEN_CARDS, TRISHIFT, trishift, words};
use trishift_trainer::parallel::launch::{self, LAUNCHED};
use trishift_trainer::parallel::{Group, Limits, Place};

/// Where the ranks leave their process numbers.
const FOLDER: &str = "TRISHIFT_TEST_FOLDER";

/// How a part of this program is started.
const PART: [&str; 4] = ["--ignored", "--nocapture", "--quiet", "--exact"];

/// All must be gone by then.
const LIMIT: Duration = Duration::from_secs(30);

/// Writes a line in one piece, as the command does: all ranks write to the same pipe.
fn tell(line: &str) {
    std::io::stderr().write_all(line.as_bytes()).expect("a reader");
}

/// Trains, as it were, until a file says that it is enough.
#[test]
#[ignore = "a part of the other tests"]
fn rank() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let place = Place::from_variables(|name| std::env::var(name).ok()).unwrap().unwrap();
    let rank = place.rank;
    launch::follow_launcher(std::env::var(LAUNCHED).unwrap().parse().unwrap(), || std::process::exit(9)).unwrap();
    let group = Group::join(&place, Limits { silence: Duration::from_secs(3), ..Limits::default() }).unwrap();
    group.watch(move |fault| {
        tell(&format!("error: rank {rank}: {fault}\n"));
        std::process::exit(2);
    });
    let bytes = group.broadcast(if rank == 0 { b"identifier" } else { b"" }).unwrap();
    assert_eq!(bytes, b"identifier");
    std::fs::write(folder.join(format!("{rank}.new")), std::process::id().to_string()).unwrap();
    std::fs::rename(folder.join(format!("{rank}.new")), folder.join(rank.to_string())).unwrap();
    while !folder.join("enough").exists() {
        group.tick();
        thread::sleep(Duration::from_millis(10));
    }
    if folder.join(format!("fail{rank}")).exists() {
        assert_eq!(group.fail("no card"), None);
        tell(&format!("error: rank {rank}: no card\n"));
        std::process::exit(3);
    }
    // One that fails tells the others first.
    thread::sleep(Duration::from_millis(500));
    group.leave();
    std::process::exit(0);
}

#[test]
#[ignore = "a part of the other tests"]
fn launcher() {
    if std::env::var_os(FOLDER).is_none() {
        return;
    }
    let program = std::env::current_exe().unwrap();
    let outcome = launch::launch(3, &program, &[&PART[..], &["rank"]].concat()).unwrap();
    assert_eq!(outcome.killed, [0; 0]);
    std::process::exit(outcome.code().into());
}

/// Three ranks and their launcher.
struct Running {
    folder: tempfile::TempDir,
    launcher: Child,
    ranks: Vec<String>,
}

impl Running {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(PART).arg("launcher").env(FOLDER, folder.path());
        let launcher = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a process");
        let number = |rank: usize| std::fs::read_to_string(folder.path().join(rank.to_string())).ok();
        let ranks = within("all ranks begin", Duration::from_secs(120), || (0..3).map(number).collect());
        Self { folder, launcher, ranks }
    }

    fn write(&self, name: &str) {
        std::fs::write(self.folder.path().join(name), "").expect("a file");
    }

    /// Waits for all to end; gives the launcher's exit code and the messages of all, sorted.
    fn end(mut self) -> (Option<i32>, Vec<String>) {
        let launcher = &mut self.launcher;
        let status = within("the launcher ends", LIMIT, || launcher.try_wait().expect("a process"));
        for rank in &self.ranks {
            within("all ranks end", LIMIT, || (!is_running(rank)).then_some(()));
        }
        let mut text = String::new();
        self.launcher.stderr.take().expect("messages").read_to_string(&mut text).expect("text");
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        (status.code(), lines)
    }
}

fn within<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < limit, "{what} within {limit:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn signal(name: &str, process: &str) -> bool {
    let kill = format!("kill -{name} {process}");
    Command::new("sh").args(["-c", &kill]).stderr(Stdio::null()).status().expect("a shell").success()
}

/// A process that has ended but that nobody has waited for yet runs no more.
fn is_running(process: &str) -> bool {
    let state = match std::fs::read_to_string(format!("/proc/{process}/stat")) {
        // The state stands behind the name, which may hold anything.
        Ok(stat) => stat.rsplit_once(") ").expect("a state").1.to_owned(),
        Err(_) if Path::new("/proc/self/stat").exists() => return false,
        Err(_) => {
            let state = Command::new("ps").args(["-o", "stat=", "-p", process]).output().expect("ps");
            String::from_utf8_lossy(&state.stdout).trim().to_owned()
        }
    };
    !state.is_empty() && !state.starts_with('Z')
}

#[test]
fn a_killed_rank_ends_all() {
    for killed in [0, 2] {
        let running = Running::start();
        assert!(signal("KILL", &running.ranks[killed]));
        let (code, messages) = running.end();
        let gone = format!("rank {killed} is gone: its process has ended or its machine is out of reach");
        let others = (0..3).filter(|rank| *rank != killed);
        assert_eq!(messages, others.map(|rank| format!("error: rank {rank}: {gone}")).collect::<Vec<_>>());
        assert_eq!(code, Some(2));
    }
}

#[test]
fn a_stopped_rank_ends_the_others() {
    for stopped in [0, 1] {
        let running = Running::start();
        assert!(signal("STOP", &running.ranks[stopped]));
        for (rank, process) in running.ranks.iter().enumerate().filter(|(rank, _)| *rank != stopped) {
            within("the others end", LIMIT, || (!is_running(process)).then_some(rank));
        }
        // The launcher would kill it; if it goes on before that, it says what has happened.
        assert!(signal("CONT", &running.ranks[stopped]));
        let (code, messages) = running.end();
        let silent = format!("rank {stopped} has been silent for 3 s: its process or its machine has stopped");
        let mut expected: Vec<_> = (0..3).map(|rank| format!("error: rank {rank}: {silent}")).collect();
        if stopped == 0 {
            // It finds the others gone; whom first, is chance.
            assert!(
                messages[0].starts_with("error: rank 0: rank ") && messages[0].contains(" is gone: "),
                "{messages:?}"
            );
            expected[0].clone_from(&messages[0]);
        }
        assert_eq!((code, messages), (Some(2), expected));
    }
}

#[test]
fn ranks_end_together_in_good_order_and_in_bad() {
    let running = Running::start();
    running.write("enough");
    assert_eq!(running.end(), (Some(0), vec![]));

    let running = Running::start();
    running.write("fail1");
    running.write("enough");
    let (code, messages) = running.end();
    let failed = "rank 1 failed: no card";
    let expected =
        [format!("error: rank 0: {failed}"), "error: rank 1: no card".to_owned(), format!("error: rank 2: {failed}")];
    // Whose end the launcher sees first is chance.
    assert!(matches!(code, Some(2 | 3)), "{code:?}");
    assert_eq!(messages, expected);
}

#[test]
fn no_rank_outlives_its_launcher() {
    let running = Running::start();
    assert!(signal("KILL", &running.launcher.id().to_string()));
    let (code, _) = running.end();
    assert_eq!(code, None);
    for name in ["INT", "TERM"] {
        let running = Running::start();
        assert!(signal(name, &running.launcher.id().to_string()));
        assert_eq!(running.end().0, Some(130), "{name}");
    }
}

/// One line that says why a command failed.
#[track_caller]
fn refused(line: &str, variables: &[(&str, &str)], expected: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = trishift(folder.path(), words(line));
    for name in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).assert().code(2).get_output().clone();
    let message = String::from_utf8(output.stderr).expect("text");
    assert!(message.starts_with(expected) && message.lines().count() == 1, "{line}: {message}");
    assert!(output.stdout.is_empty() && folder.path().read_dir().expect("a folder").next().is_none());
}

#[test]
fn what_cannot_be_started_says_so_at_once() {
    let train = "train --preset digits-mlp";
    let zero = "is 0; 1 or more cards are needed, and --device cpu trains without one";
    refused(&format!("{train} --gpus 0"), &[], &format!("error: --gpus {zero}"));
    refused(train, &[("TRISHIFT_GPUS", "0")], &format!("error: TRISHIFT_GPUS {zero}"));
    refused(train, &[("TRISHIFT_GPUS", "all")], "error: TRISHIFT_GPUS is \"all\"; a whole number");
    for device in ["cpu", "cuda:1", "cuda:0"] {
        let message =
            format!("error: --device is {device}, but --gpus takes cards by their numbers; leave --device out");
        refused(&format!("{train} --gpus 2 --device {device}"), &[], &message);
    }
    let message = "error: TRISHIFT_DEVICE is cpu, but --gpus takes cards by their numbers; leave TRISHIFT_DEVICE out";
    refused(&format!("{train} --gpus 2"), &[("TRISHIFT_DEVICE", "cpu")], message);
    // The machine's cards are hidden, if there is a driver at all, or a trishift that knows of cards.
    refused(&format!("{train} --gpus 2"), &[], "error: --gpus is 2");
    refused("train --resume nowhere --gpus 1", &[], "error: --gpus is 1");
    refused(train, &[("RANK", "1")], "error: RANK is set, WORLD_SIZE is not; ");
    let rank = [("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1"), ("MASTER_ADDR", "127.0.0.1")];
    let message = "error: a launcher has started this process as rank 1 of 2; --gpus starts ranks itself, leave it out";
    refused(&format!("{train} --gpus 2"), &rank, message);
    let message = "error: rank 1: --device is cpu, but a rank takes cards by their numbers; leave --device out";
    refused(&format!("{train} --device cpu"), &rank, message);
}

#[test]
fn ranks_of_the_command_meet_and_name_themselves() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    let start = |rank: &str| {
        let mut command = Command::new(TRISHIFT);
        command.args(words("train --preset digits-mlp --out run")).current_dir(folder.path());
        command.env(HIDDEN_CARDS.0, HIDDEN_CARDS.1).env("RANK", rank).env("WORLD_SIZE", "2").env("LOCAL_RANK", rank);
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", &port);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for (rank, process) in ["0", "1"].map(start).into_iter().enumerate() {
        let output = process.wait_with_output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        // There is no card; which of the two says it first is chance.
        assert!(message.starts_with(&format!("error: rank {rank}: ")) && message.lines().count() == 1, "{message}");
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]));
    }
}
