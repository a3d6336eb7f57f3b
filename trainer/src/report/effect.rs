//! What the export changed: the training forward pass before it against the file after it.

use super::names;
use super::page::{Table, escape, paragraph, remark};
use crate::export::Narrowing;
use crate::number::{percent, rounded, signed, thousands};
use crate::run::Judgement;

/// Most logits of a sample that are shown.
const MOST_LOGITS: usize = 12;

/// The panel.
pub(super) fn content(judgement: &Judgement, part: &str, narrowing: Option<Narrowing>, classes: &[String]) -> String {
    let samples = judgement.samples() as u64;
    let share =
        |count: usize| format!("{} ({})", thousands(count as u64), percent(count as f64 / samples.max(1) as f64));
    let logits = judgement.logits() as u64;
    let mut table = Table::new(&["what", "before: training forward pass", "after: exported file"]);
    let correct = judgement.score.correct;
    table.row([
        format!("right, of {} {part} samples", thousands(samples)),
        share(judgement.correct_before),
        share(correct),
    ]);
    let mut html = table.html();
    let mut table = Table::new(&["what differs", "how many", "of"]);
    table.row([
        "classes of samples, before and after",
        &thousands(judgement.differing_classes as u64),
        &thousands(samples),
    ]);
    table.row(["logits, before and after", &thousands(judgement.differing_logits as u64), &thousands(logits)]);
    table.row([
        "integers, the runtime's against the trainer's own evaluation",
        &thousands(judgement.mismatches as u64),
        &thousands(logits),
    ]);
    html += &table.html();
    if judgement.differing_logits > 0 {
        html += &paragraph(format!(
            "The largest distance of two logits is {} steps of the file's integers.",
            rounded(judgement.largest_difference)
        ));
    }
    html += &match narrowing {
        Some(Narrowing { rows: 0, .. }) => paragraph("No row's exponents had to be narrowed to fit int32."),
        Some(Narrowing { rows, zeroed }) => paragraph(format!(
            "{} rows were narrowed to fit int32, {} trits set to 0.",
            thousands(rows as u64),
            thousands(zeroed as u64)
        )),
        None => String::new(),
    };
    html += &example(judgement, part, classes);
    html + &remark(
        "Before is what trained the network: float32 sums, exact where exponent windows allow. After is the model file in the \
         runtime, integers alone. The trainer's own evaluation is a second implementation of the same integers: any that differs \
         is a defect.",
    )
}

/// The logits of the worst sample, before and after.
fn example(judgement: &Judgement, part: &str, classes: &[String]) -> String {
    let Some(sample) = judgement.worst.first() else { return String::new() };
    let mut order: Vec<usize> = (0..sample.after.len()).collect();
    order.sort_by_key(|class| std::cmp::Reverse(sample.after.get(*class).copied()));
    let mut table = Table::new(&["class", "logit before", "logit after", "difference"]);
    let shown = order.len().min(MOST_LOGITS);
    for class in order.into_iter().take(MOST_LOGITS) {
        let after = sample.after.get(class).copied().unwrap_or(0);
        let before = sample.before.get(class).copied().unwrap_or(0.0);
        // Whole numbers where the training forward pass is exact.
        let text = |value: f64| if value.fract() == 0.0 { signed(value as i64) } else { rounded(value) };
        let cells = [text(before), signed(after.into()), text(f64::from(after) - before)];
        table.row([escape(&names::of(classes, class)).into_owned()].into_iter().chain(cells));
    }
    let count = if shown < sample.after.len() { format!("The {shown} largest logits") } else { "All logits".into() };
    format!(
        "<h3>{count} of {part} sample {}, the worst one</h3>\n{}{}",
        sample.index,
        table.html(),
        remark(format!(
            "In steps of 2<sup>{}</sup>, which are the file's integers.",
            signed(judgement.exponent.into())
        ))
    )
}
