//! Starts one process a card on this machine and waits for all of them.
//!
//! The processes are this same command; they find their [`Place`](super::Place) in the variables that torchrun would set, and in
//! [`LAUNCHED`] that they are not to launch again. Rank 0 has this process's input and output; all write messages.
//!
//! **Ends.** Where a rank fails, the others learn of it through their [`Group`](super::Group) and end too; what has not ended
//! after a grace (a process that is stopped, or waits in a driver) is killed. Ctrl-C reaches the ranks from the terminal, as it
//! reaches this process, which goes on waiting: they leave a checkpoint. Sent to this process alone, SIGINT and SIGTERM are
//! passed on as SIGTERM. Where this process itself is killed, the ranks see that they have another parent
//! ([`follow_launcher`]): they look at that instead of asking the kernel for a signal, which would take unsafe code.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The variable that launched processes have: the launcher's process number.
pub const LAUNCHED: &str = "TRISHIFT_LAUNCHED";

/// How long the others may take to end where one has failed.
const GRACE: Duration = Duration::from_secs(10);

/// Time between two looks at the processes, and at the launcher.
const LOOK: Duration = Duration::from_millis(50);

/// From Ctrl-C until it is passed on: those whom it has reached by themselves must have taken it as the first one.
const CTRL_C: Duration = Duration::from_secs(1);

/// How long a rank may take to leave a checkpoint after its launcher's end.
const LAST_CHECKPOINT: Duration = Duration::from_secs(15);

/// Exit code of a process that was interrupted: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// What variables of a launcher around this one must not tell the ranks.
const OTHERS: [&str; 2] = ["TORCHELASTIC_USE_AGENT_STORE", "LOCAL_WORLD_SIZE"];

/// Why processes were not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// No processes.
    #[error("0 processes cannot train")]
    Nobody,
    /// No port for them to meet at.
    #[error("there is no free port on 127.0.0.1: {0}")]
    Port(io::Error),
    /// A process could not be started.
    #[error("the process of rank {rank} cannot be started: {source}")]
    Start {
        /// Its number.
        rank: usize,
        /// Why.
        source: io::Error,
    },
    /// A process could not be waited for, or signals not be listened to.
    #[error("cannot wait for the processes: {0}")]
    Wait(#[from] io::Error),
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with an exit code.
    Code(u8),
    /// By a signal.
    Signal(i32),
}

/// How all of them ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The first rank that did not end with exit code 0, and how it ended instead.
    pub first: Option<(usize, Ended)>,
    /// Ranks that did not end by themselves after another's failure and were killed.
    pub killed: Vec<usize>,
    /// The launcher was asked to end.
    pub was_interrupted: bool,
}

impl Outcome {
    /// The exit code that stands for all: that of the first rank that failed, 0 where none did. 2 for a rank that was ended by a
    /// signal, but 130 where the launcher was asked to end itself.
    pub fn code(&self) -> u8 {
        match self.first {
            None => 0,
            Some((_, Ended::Code(code))) => code,
            Some((_, Ended::Signal(_))) if self.was_interrupted => INTERRUPTED,
            Some((_, Ended::Signal(_))) => 2,
        }
    }
}

/// Runs `program` with these arguments `gpus` times at once, as ranks 0, 1, … of one run, and waits for all.
///
/// # Errors
/// [`LaunchError`]; then none of them runs any more. How they end is no error: see [`Outcome`].
pub fn launch<A: AsRef<OsStr>>(gpus: usize, program: &Path, arguments: &[A]) -> Result<Outcome, LaunchError> {
    launch_with(gpus, GRACE, |_| {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    })
}

fn launch_with(gpus: usize, grace: Duration, command: impl Fn(usize) -> Command) -> Result<Outcome, LaunchError> {
    if gpus == 0 {
        return Err(LaunchError::Nobody);
    }
    let asked = Asked::listen()?;
    let port = free_port().map_err(LaunchError::Port)?;
    let mut ranks = Ranks(Vec::with_capacity(gpus));
    for rank in 0..gpus {
        let mut command = command(rank);
        for name in OTHERS {
            command.env_remove(name);
        }
        command.env("RANK", rank.to_string()).env("LOCAL_RANK", rank.to_string());
        command.env("WORLD_SIZE", gpus.to_string()).env("LOCAL_WORLD_SIZE", gpus.to_string());
        command.env("MASTER_ADDR", Ipv4Addr::LOCALHOST.to_string()).env("MASTER_PORT", port.to_string());
        command.env(LAUNCHED, std::process::id().to_string());
        if rank > 0 {
            command.stdin(Stdio::null()).stdout(Stdio::null());
        }
        let process = command.spawn().map_err(|source| LaunchError::Start { rank, source })?;
        ranks.0.push(Process { rank, process, ended: false });
    }
    ranks.wait(grace, &asked)
}

/// A port for rank 0. Another program may take it before rank 0 does, which then says so.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

struct Process {
    rank: usize,
    process: Child,
    ended: bool,
}

/// The processes; dropped, those that still run are killed.
struct Ranks(Vec<Process>);

impl Ranks {
    fn wait(&mut self, grace: Duration, asked: &Asked) -> Result<Outcome, LaunchError> {
        let mut outcome = Outcome::default();
        let mut failed: Option<Instant> = None;
        let mut asked_since: Option<Instant> = None;
        let mut passed_on = false;
        loop {
            for Process { rank, process, ended } in self.0.iter_mut().filter(|process| !process.ended) {
                let Some(status) = process.try_wait()? else { continue };
                *ended = true;
                let how = how(status);
                if how == Ended::Code(0) {
                    continue;
                }
                outcome.first.get_or_insert((*rank, how));
                // Who was interrupted may take longer than others to leave the checkpoint.
                if how != Ended::Code(INTERRUPTED) {
                    failed.get_or_insert_with(Instant::now);
                }
            }
            if self.0.iter().all(|process| process.ended) {
                outcome.was_interrupted = asked.is_asked();
                return Ok(outcome);
            }
            if failed.is_some_and(|since| since.elapsed() > grace) && outcome.killed.is_empty() {
                outcome.killed = self.kill();
            }
            if asked.is_asked() && !passed_on {
                let since = *asked_since.get_or_insert_with(Instant::now);
                passed_on = asked.is_terminated() || since.elapsed() > CTRL_C;
                if passed_on {
                    self.0.iter().filter(|process| !process.ended).for_each(|process| ask_to_end(&process.process));
                }
            }
            thread::sleep(LOOK);
        }
    }

    /// Kills those that still run; returns their numbers.
    fn kill(&mut self) -> Vec<usize> {
        let running = self.0.iter_mut().filter(|process| !process.ended);
        let running = running.filter_map(|Process { rank, process, .. }| {
            let is_running = matches!(process.try_wait(), Ok(None));
            (is_running && process.kill().is_ok()).then_some(*rank)
        });
        running.collect()
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        self.kill();
        for Process { process, .. } in self.0.iter_mut().filter(|process| !process.ended) {
            let _ = process.wait();
        }
    }
}

fn how(status: ExitStatus) -> Ended {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return Ended::Signal(signal);
    }
    // Elsewhere than on Unix codes may be larger.
    Ended::Code(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2))
}

/// Whether this process was asked to end.
struct Asked {
    interrupted: Arc<AtomicBool>,
    terminated: Arc<AtomicBool>,
    registered: [signal_hook::SigId; 2],
}

impl Asked {
    fn listen() -> io::Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let (interrupted, terminated) = (Arc::default(), Arc::default());
        let registered = [
            signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))?,
            signal_hook::flag::register(SIGTERM, Arc::clone(&terminated))?,
        ];
        Ok(Self { interrupted, terminated, registered })
    }

    fn is_asked(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) || self.is_terminated()
    }

    fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        for id in self.registered {
            signal_hook::low_level::unregister(id);
        }
    }
}

/// For a launched process, which has `launcher` in [`LAUNCHED`]: asks itself to end, as SIGTERM does, once its launcher is no
/// more; `give_up` is called where it still runs after 15 seconds, and is to end it.
///
/// # Errors
/// The thread that looks cannot be started.
#[cfg(unix)]
pub fn follow_launcher(launcher: u32, give_up: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let follow = move || {
        while std::os::unix::process::parent_id() == launcher {
            thread::sleep(5 * LOOK);
        }
        if let Err(error) = signal_hook::low_level::raise(signal_hook::consts::SIGTERM) {
            tracing::debug!("cannot ask for the end: {error}");
        }
        thread::sleep(LAST_CHECKPOINT);
        give_up();
    };
    thread::Builder::new().name("launcher".into()).spawn(follow).map(drop)
}

/// Parents are known on Unix only; elsewhere nobody looks.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn follow_launcher(_: u32, _: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn ask_to_end(process: &Child) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Err(error) = kill_process(Pid::from_child(process), Signal::TERM) {
        tracing::debug!("cannot ask a process to end: {error}");
    }
}

#[cfg(not(unix))]
fn ask_to_end(_: &Child) {}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs;

    /// Starts shells; those of all ranks run the same lines.
    fn shells(count: usize, grace: Duration, lines: &str, folder: &Path) -> Outcome {
        let shell = |_| {
            let mut command = Command::new("sh");
            command.args(["-c", lines]).current_dir(folder);
            command
        };
        launch_with(count, grace, shell).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn every_rank_is_told_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let lines = r#"echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $MASTER_ADDR > $RANK
                       echo $MASTER_PORT $TRISHIFT_LAUNCHED $TORCHELASTIC_USE_AGENT_STORE > same$RANK"#;
        let outcome = shells(3, LONG, lines, folder.path());
        assert_eq!((outcome.code(), outcome), (0, Outcome::default()));
        let file = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        for rank in 0..3 {
            assert_eq!(file(&rank.to_string()), format!("{rank} 3 {rank} 3 127.0.0.1\n"));
            assert_eq!(file(&format!("same{rank}")), file("same0"));
        }
        let same = file("same0");
        let (port, launcher) = same.trim_end().split_once(' ').unwrap();
        assert!(port.parse::<u16>().unwrap() > 0);
        assert_eq!(launcher, std::process::id().to_string());
    }

    #[test]
    fn the_first_failure_gives_the_code() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "if [ $RANK = 1 ]; then touch first; exit 7; fi; while [ ! -e first ]; do sleep 0.05; done; sleep 1
                     exit $RANK";
        let outcome = shells(3, LONG, lines, folder.path());
        assert_eq!((outcome.code(), outcome.first), (7, Some((1, Ended::Code(7)))));
        assert!(outcome.killed.is_empty());
        let outcome = shells(2, LONG, "exit 130", folder.path());
        assert_eq!(outcome.code(), 130);
        let outcome = shells(2, LONG, "[ $RANK = 0 ] || kill -9 $$", folder.path());
        assert_eq!((outcome.code(), outcome.first), (2, Some((1, Ended::Signal(9)))));
    }

    #[test]
    fn what_does_not_end_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "trap '' TERM; [ $RANK != 2 ] || exit 3; exec sleep 600";
        let outcome = shells(3, Duration::from_millis(200), lines, folder.path());
        let expected = Outcome { first: Some((2, Ended::Code(3))), killed: vec![0, 1], was_interrupted: false };
        assert_eq!((outcome.code(), outcome), (3, expected));
    }

    #[test]
    fn an_interrupted_rank_hurries_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let outcome = shells(2, Duration::ZERO, "[ $RANK = 0 ] && sleep 0.5; exit 130", folder.path());
        assert_eq!((outcome.code(), outcome.killed), (130, Vec::new()));
    }

    #[test]
    fn only_rank_0_has_an_output() {
        let folder = tempfile::tempdir().unwrap();
        let lines = "case $RANK in 0) [ ! /dev/stdout -ef /dev/null ];; *) [ /dev/stdout -ef /dev/null ];; esac";
        let outcome = launch_with(2, LONG, |_| {
            let mut command = Command::new("sh");
            command.args(["-c", lines]).current_dir(folder.path()).stdout(Stdio::piped());
            command
        });
        assert_eq!(outcome.unwrap().code(), 0);
    }

    #[test]
    fn what_cannot_be_started_says_so() {
        let error = launch(2, Path::new("/nowhere/trishift"), &["train"]).unwrap_err().to_string();
        assert!(error.starts_with("the process of rank 0 cannot be started: "), "{error}");
        assert_eq!(launch(0, Path::new("sh"), &["-c"]).unwrap_err().to_string(), "0 processes cannot train");
    }
}
