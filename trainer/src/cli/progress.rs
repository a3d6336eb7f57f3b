//! Shows a run while it goes: a progress bar with speed and time left, curves of loss and accuracy, and Ctrl-C.

use super::curves::Curves;
use super::output::{self, tell};
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use trishift_trainer::run::{Epoch, Observer, Run, Status};

/// Time between two looks of whoever watches: no run waits for more of them.
const FRAME: Duration = Duration::from_millis(50);

/// A run on standard error: on a terminal a bar and curves, elsewhere (or where the terminal cannot go back over its lines) a
/// line an epoch; with `quiet` nothing.
pub(super) struct Progress {
    view: View,
    stop: Arc<AtomicBool>,
}

enum View {
    Nothing,
    Lines,
    Live(Live),
}

/// A bar with curves below it, drawn over and over.
struct Live {
    bar: ProgressBar,
    curves: Curves,
    /// Epochs of the whole run, where it is not a number of updates.
    epochs: Option<u32>,
    drawn: Option<Instant>,
}

impl Progress {
    /// What shows a run, with the epochs that a resumed one has behind it. The first Ctrl-C asks it to stop; a second one
    /// ends the process. SIGTERM asks, however often: those who start processes send it to each and to all at once.
    pub(super) fn new(run: &Run<'_>, quiet: bool) -> anyhow::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register_conditional_shutdown(SIGINT, super::INTERRUPTED.into(), Arc::clone(&stop))?;
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        let view = if quiet { View::Nothing } else { View::new(run)? };
        Ok(Self { view, stop })
    }

    /// Removes the bar. The curves stay, where there is more than a point of them.
    pub(super) fn finish(&self) {
        if let View::Live(Live { bar, curves, .. }) = &self.view {
            if curves.epochs() > 1 {
                bar.println(curves.lines(None));
            }
            bar.finish_and_clear();
        }
    }
}

impl View {
    fn new(run: &Run<'_>) -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{bar:24} {percent:>3} %  {msg}{left}\n{prefix}")?;
        let style = style.progress_chars("━╸ ").with_key("left", left);
        let bar = ProgressBar::new(run.total_steps()).with_style(style);
        if bar.is_hidden() {
            return Ok(Self::Lines);
        }
        // What is left is told by the speed of this process alone.
        bar.set_position(run.step());
        bar.reset_eta();
        let curves = Curves::new(&if run.step() > 0 { run.folder().read_metrics()? } else { Vec::new() });
        let training = &run.config().training;
        let epochs = if training.steps.is_none() { training.epochs } else { None };
        Ok(Self::Live(Live { bar, curves, epochs, drawn: None }))
    }
}

impl Live {
    fn draw(&mut self, status: &Status) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            return;
        }
        self.drawn = Some(Instant::now());
        self.bar.set_message(message(status, self.epochs));
        self.bar.set_prefix(self.curves.lines(Some(&status.totals)));
        self.bar.set_position(status.step);
    }

    fn epoch(&mut self, epoch: &Epoch) {
        self.curves.push(epoch);
        self.bar.println(line(epoch));
    }
}

/// What stands beside the bar.
fn message(status: &Status, epochs: Option<u32>) -> String {
    let of = epochs.map_or(String::new(), |epochs| format!(" of {epochs}"));
    let speed = output::thousands(status.samples_per_second as u64);
    format!("epoch {}{of}  {speed} samples/s", status.epoch)
}

/// The time that is left, once there is a speed to tell it by.
fn left(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.eta().as_secs() > 0 {
        let _ = write!(out, "  {:#} left", HumanDuration(state.eta()));
    }
}

/// What an epoch came to.
fn line(epoch: &Epoch) -> String {
    let validation = epoch.validation_accuracy;
    let validation = validation.map_or(String::new(), |share| format!("  validation {}", output::percent(share)));
    format!(
        "epoch {:>3}  loss {:.4}  accuracy {}{validation}",
        epoch.epoch,
        epoch.loss,
        output::percent(epoch.train_accuracy),
    )
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

impl Observer for Progress {
    fn progress(&mut self, status: &Status) -> bool {
        if let View::Live(live) = &mut self.view {
            live.draw(status);
        }
        self.stop.load(Ordering::Relaxed)
    }

    fn epoch(&mut self, epoch: &Epoch) {
        match &mut self.view {
            View::Nothing => {}
            View::Lines => tell!("{}", line(epoch)),
            View::Live(live) => live.epoch(epoch),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trishift_trainer::checkpoint::Totals;

    #[test]
    fn a_run_of_epochs_says_how_many_and_one_of_updates_does_not() {
        let (totals, samples_per_second) = (Totals::default(), 45_678.9);
        let status = Status { step: 120, total_steps: 390, epoch: 4, totals, samples_per_second };
        assert_eq!(message(&status, Some(10)), "epoch 4 of 10  45,678 samples/s");
        assert_eq!(message(&status, None), "epoch 4  45,678 samples/s");
    }

    #[test]
    fn an_epoch_is_one_line() {
        let validation_accuracy = Some(0.97);
        let (loss, train_accuracy) = (0.12345, 0.98765);
        let epoch = Epoch { epoch: 7, step: 70, loss, train_accuracy, validation_accuracy, samples_per_second: 1.0 };
        assert_eq!(line(&epoch), "epoch   7  loss 0.1235  accuracy 98.77 %  validation 97.00 %");
        let epoch = Epoch { validation_accuracy: None, ..epoch };
        assert_eq!(line(&epoch), "epoch   7  loss 0.1235  accuracy 98.77 %");
    }
}
