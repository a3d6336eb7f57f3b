//! What commands print: results on standard output, everything else on standard error.

use anyhow::Context;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use tracing::Level;

/// `println!` for results: what standard output refuses becomes the error of the function around it, not a panic.
macro_rules! say {
    ($($argument:tt)*) => { $crate::cli::output::line(format_args!($($argument)*))? };
}

/// `eprintln!` for messages, without its panic.
macro_rules! tell {
    ($($argument:tt)*) => { $crate::cli::output::note(format_args!($($argument)*)) };
}

pub(super) use trishift_trainer::number::{percent, thousands};
pub(super) use {say, tell};

/// Log lines on standard error: warnings; with `-v` what is done, with `-vv` details too.
pub(super) fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).without_time().init();
}

/// An error as one line: what failed and why.
pub(super) fn error(error: &anyhow::Error) {
    tell!("error: {}", sentence(error));
}

/// An error that does not end the command: what it means, and why.
pub(super) fn warning(what: &str, error: &anyhow::Error) {
    tell!("warning: {what}: {}", sentence(error));
}

/// The causes from the outermost on, without those that the one before has told already.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(|cause| cause.to_string()) {
        if !message.ends_with(&cause) {
            let separator = if message.is_empty() { "" } else { ": " };
            message.extend([separator, &cause]);
        }
    }
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A line on standard error; where that cannot be written, nobody is there to read. In one piece: several processes may write to
/// the same terminal.
pub(super) fn note(line: fmt::Arguments<'_>) {
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Bytes on standard output, at once. Ends the process where their reader has gone.
///
/// # Errors
/// Any other reason why they cannot be written.
pub(super) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written,
    }
}

/// A line on standard output. Ends the process where its reader has gone, as `| head` does: nobody wants the rest.
///
/// # Errors
/// Any other reason why it cannot be written, such as a full disk.
pub(super) fn line(line: fmt::Arguments<'_>) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => written.context("cannot write the result to standard output"),
    }
}

/// A JSON object as one line on standard output.
///
/// # Errors
/// As [`line`].
pub(super) fn json(value: &serde_json::Value) -> anyhow::Result<()> {
    say!("{value}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_one_line_without_repetitions() {
        let disk = io::Error::other("the disk\nis full");
        let error = anyhow::Error::new(disk).context("cannot write x");
        assert_eq!(sentence(&error), "cannot write x: the disk is full");
        assert_eq!(sentence(&anyhow::anyhow!("row 0").context("not valid: row 0")), "not valid: row 0");
    }
}
