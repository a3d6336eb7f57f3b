//! Shows a run while it goes: a progress bar with loss, accuracy and speed, and Ctrl-C.

use super::output::{self, tell};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use trishift_trainer::run::{Epoch, Observer, Status};

/// A progress bar on standard error; nothing where that is not a terminal.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    lines: bool,
    stop: Arc<AtomicBool>,
}

impl Progress {
    /// A bar for a run. The first Ctrl-C asks it to stop; a second one ends the process.
    pub(super) fn new(quiet: bool) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register_conditional_shutdown(signal, super::INTERRUPTED.into(), Arc::clone(&stop))?;
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let template = "{bar:30} {percent:>3} %  {msg}  {eta} left";
        let style = ProgressStyle::with_template(template)?.progress_chars("━╸ ");
        let bar = (!quiet).then(|| ProgressBar::new(0).with_style(style));
        let lines = !quiet && !console_is_terminal();
        Ok(Self { bar, lines, stop })
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A progress bar while copies of recordings are made.
pub(super) struct Copies {
    bar: Option<ProgressBar>,
}

impl Copies {
    /// A bar, if there will be copies.
    pub(super) fn new(quiet: bool) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}")?.progress_chars("━╸ ");
        Ok(Self { bar: (!quiet).then(|| ProgressBar::no_length().with_style(style)) })
    }

    /// So many of them are made.
    pub(super) fn made(&self, made: usize, total: usize) {
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(made as u64);
            bar.set_message(format!("{} copies of recordings", output::thousands(total as u64)));
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn console_is_terminal() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

impl Observer for Progress {
    fn progress(&mut self, status: &Status) -> bool {
        if let Some(bar) = &self.bar {
            bar.set_length(status.total_steps);
            bar.set_position(status.step);
            bar.set_message(format!(
                "epoch {}  loss {:.4}  accuracy {}  {} samples/s",
                status.epoch,
                status.totals.mean_loss(),
                output::percent(status.totals.accuracy()),
                output::thousands(status.samples_per_second as u64),
            ));
        }
        self.stop.load(Ordering::Relaxed)
    }

    fn epoch(&mut self, epoch: &Epoch) {
        let validation = epoch.validation_accuracy;
        let validation = validation.map_or(String::new(), |share| format!("  validation {}", output::percent(share)));
        let line = format!(
            "epoch {:>3}  loss {:.4}  accuracy {}{validation}",
            epoch.epoch,
            epoch.loss,
            output::percent(epoch.train_accuracy),
        );
        if self.lines {
            tell!("{line}");
        } else if let Some(bar) = &self.bar {
            bar.println(line);
        }
    }
}
