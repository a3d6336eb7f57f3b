//! Loss and accuracy of a run as lines of a terminal: the latest number, and a curve of blocks that grows by a cell an epoch.
//!
//! A curve reaches from its least value to its greatest one, for what matters while a run goes is whether it still moves.

use super::output::percent;
use trishift_trainer::checkpoint::Totals;
use trishift_trainer::run::Epoch;

/// Most cells of a curve: with what stands before them, a line fits 80 columns.
const CELLS: usize = 56;

/// Samples from which on the running epoch has its cell; the mean of fewer would only stretch the curve.
const ENOUGH: u64 = 256;

/// The heights that a cell may have.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What the epochs of a run have come to, the ones before it was resumed included.
#[derive(Default)]
pub(super) struct Curves {
    loss: Vec<f64>,
    accuracy: Vec<f64>,
    validation: Vec<f64>,
}

impl Curves {
    /// Those of the epochs that a run has behind it.
    pub(super) fn new(epochs: &[Epoch]) -> Self {
        let mut curves = Self::default();
        epochs.iter().for_each(|epoch| curves.push(epoch));
        curves
    }

    /// An epoch has ended.
    pub(super) fn push(&mut self, epoch: &Epoch) {
        self.loss.push(epoch.loss);
        self.accuracy.push(epoch.train_accuracy);
        self.validation.extend(epoch.validation_accuracy);
    }

    /// How many epochs have ended.
    pub(super) fn epochs(&self) -> usize {
        self.loss.len()
    }

    /// A line for each curve; the last cell of loss and accuracy is the epoch that is running. Empty where there is
    /// nothing to show.
    pub(super) fn lines(&self, running: Option<&Totals>) -> String {
        let running = running.filter(|totals| totals.samples >= ENOUGH);
        let with = |ended: &[f64], last: fn(&Totals) -> f64| [ended, running.map(last).as_slice()].concat();
        let lines = [
            line("loss", &with(&self.loss, Totals::mean_loss), |loss| format!("{loss:.4}")),
            line("accuracy", &with(&self.accuracy, Totals::accuracy), percent),
            line("validation", &self.validation, percent),
        ];
        lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
    }
}

/// A curve with its name and its last value; nothing without values.
fn line(name: &str, values: &[f64], show: impl Fn(f64) -> String) -> Option<String> {
    let last = values.last()?;
    Some(format!("{name:<10}  {:>8}  {}", show(*last), sparkline(values, CELLS)))
}

/// Values as blocks from the least to the greatest one, at most so many: where there are more values, a cell is the mean of
/// its share of them. What is no number leaves a gap.
fn sparkline(values: &[f64], cells: usize) -> String {
    let cells = cells.min(values.len());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let share = |cell: usize| &values[cell * values.len() / cells..(cell + 1) * values.len() / cells];
    let heights: Vec<f64> = (0..cells).map(|cell| mean(share(cell))).collect();
    let finite = || heights.iter().copied().filter(|height| height.is_finite());
    let (least, greatest) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    let block = |height: f64| match height.is_finite() {
        false => ' ',
        true if greatest > least => {
            let level = (height - least) / (greatest - least) * (BLOCKS.len() - 1) as f64;
            BLOCKS[(level.round() as usize).min(BLOCKS.len() - 1)]
        }
        true => BLOCKS[BLOCKS.len() / 2 - 1],
    };
    heights.into_iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(epoch: u64, loss: f64, train_accuracy: f64, validation_accuracy: Option<f64>) -> Epoch {
        Epoch { epoch, step: epoch * 10, loss, train_accuracy, validation_accuracy, samples_per_second: 1.0 }
    }

    #[test]
    fn curves_reach_from_the_least_value_to_the_greatest() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 8), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[2.3, 0.4, 0.2, 0.1], 56), "█▂▁▁");
        assert_eq!(sparkline(&[-1.0, -3.0], 8), "█▁");
    }

    #[test]
    fn values_without_height_and_values_that_are_none() {
        assert_eq!(sparkline(&[], 8), "");
        assert_eq!(sparkline(&[0.5], 8), "▄");
        assert_eq!(sparkline(&[0.5, 0.5, 0.5], 8), "▄▄▄");
        assert_eq!(sparkline(&[1.0, f64::NAN, 2.0, f64::INFINITY], 8), "▁ █ ");
        assert_eq!(sparkline(&[f64::NAN], 8), " ");
    }

    #[test]
    fn a_long_run_shares_its_epochs_out_among_the_cells() {
        assert_eq!(sparkline(&[0.0, 2.0, 4.0, 6.0, 8.0, 6.0], 3), "▁▆█");
        let long: Vec<f64> = (0..1000).map(f64::from).collect();
        let curve = sparkline(&long, CELLS);
        assert_eq!(curve.chars().count(), CELLS);
        assert!(curve.starts_with('▁') && curve.ends_with('█') && curve.chars().is_sorted(), "{curve}");
    }

    #[test]
    fn lines_have_the_latest_value_and_the_running_epoch() {
        assert_eq!(Curves::default().lines(None), "");
        assert_eq!(Curves::default().lines(Some(&Totals::default())), "");
        let epochs = [epoch(1, 2.0, 0.25, None), epoch(2, 1.0, 0.5, None)];
        let mut curves = Curves::new(&epochs);
        assert_eq!(curves.lines(None), "loss          1.0000  █▁\naccuracy     50.00 %  ▁█");
        let few = Totals { loss: 0, correct: 8, samples: 8 };
        assert_eq!(curves.lines(Some(&few)), curves.lines(None));
        let running = Totals { loss: 384 << 20, correct: 192, samples: 256 };
        assert_eq!(curves.lines(Some(&running)), "loss          1.5000  █▁▅\naccuracy     75.00 %  ▁▅█");
        curves.push(&epoch(3, 1.5, 1.0, Some(0.995)));
        let text = "loss          1.5000  █▁▅\naccuracy    100.00 %  ▁▃█\nvalidation   99.50 %  ▄";
        assert_eq!(curves.lines(None), text);
        (4..200).for_each(|number| curves.push(&epoch(number, 123.4567, 1.0, Some(1.0))));
        assert!(curves.lines(None).lines().all(|line| line.chars().count() < 80), "{}", curves.lines(None));
    }
}
