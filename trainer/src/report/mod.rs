//! The report about a run: one HTML file that shows what was learned, what it answers, and what it costs.
//!
//! Every panel is a file here and takes what it shows from the run alone: its metrics, its flips, its model, its data. What a run
//! does not have (no epoch has ended, the data is gone) is said in the panel's place. The page loads nothing, from anywhere, and
//! runs nothing.

mod arena;
mod confusion;
mod cost;
mod curves;
mod effect;
mod flips;
mod names;
mod page;
mod plot;
mod samples;
mod source;
mod weights;

pub use plot::PlotError;
pub use source::{ReportError, of_finished, of_folder};

use crate::config::Config;
use crate::data::Prepared;
use crate::export::Narrowing;
use crate::number::{percent, thousands};
use crate::run::{Epoch, Flips, JudgedPart, Judgement};
use page::{Panel, escape, paragraph};
use trishift::Model;

/// What a report is about. What is `None` is not there.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The run's settings.
    pub config: &'a Config,
    /// The epochs that have ended.
    pub epochs: &'a [Epoch],
    /// The records of weights that changed.
    pub flips: &'a [Flips],
    /// Updates done.
    pub step: u64,
    /// Updates of the whole run, where the data says how many.
    pub total_steps: Option<u64>,
    /// The samples.
    pub data: Option<&'a Prepared>,
    /// The network as it is after so many updates.
    pub model: Option<Model<'a>>,
    /// Bytes of its file with weights group after group.
    pub records: Option<usize>,
    /// Its answers.
    pub judgement: Option<&'a Judgement>,
    /// What its export cost.
    pub narrowing: Option<Narrowing>,
    /// Sentences about what is missing or not as it should be.
    pub notes: &'a [String],
}

/// The page.
///
/// # Errors
/// [`PlotError`] from the plotting library.
pub fn html(report: &Report<'_>) -> Result<String, PlotError> {
    let missing = |what: &str| paragraph(format!("{what} <a href=\"#notes\">The notes</a> above say why."));
    let judged = report.judgement.map(|judgement| (judgement, part(judgement.part)));
    let scaling = report.config.data.scaling;
    let classes = report.data.map(|data| names::of_classes(data, scaling)).unwrap_or_default();
    let layers: Vec<String> = report.model.iter().flat_map(weights::layers).map(|layer| layer.name).collect();
    let share = judged.map(|(judgement, part)| (judgement.score.accuracy(), part));

    let answers = match (judged, report.data) {
        (Some((judgement, part)), Some(data)) => {
            confusion::content(judgement, part, &classes) + &samples::content(judgement, part, data, scaling, &classes)?
        }
        _ => missing("The samples that the network could be judged on are not there."),
    };
    let effect = match judged {
        Some((judgement, part)) => effect::content(judgement, part, report.narrowing, &classes),
        None => missing("Without samples the export cannot be judged."),
    };
    let of_model = |content: &dyn Fn(&Model<'_>) -> Result<String, PlotError>| match &report.model {
        Some(model) => content(model),
        None => Ok(missing("There is no model yet.")),
    };
    let panels = [
        Panel { id: "curves", title: "Loss and accuracy", content: curves::content(report.epochs, share)? },
        Panel { id: "confusion", title: "What is taken for what", content: answers },
        Panel { id: "weights", title: "Weights", content: of_model(&weights::content)? },
        Panel { id: "flips", title: "Flips", content: flips::content(report.flips, &layers)? },
        Panel { id: "export", title: "What the export changed", content: effect },
        Panel { id: "arena", title: "Memory map", content: of_model(&arena::content)? },
        Panel {
            id: "cost",
            title: "Cost on microcontrollers",
            content: of_model(&|model| Ok(cost::content(model, report.records)))?,
        },
    ];
    let title = format!("{}: report of a run", escape(&report.config.name));
    Ok(page::page(&title, &head(report), &panels))
}

/// What a part of the data is called.
fn part(part: JudgedPart) -> &'static str {
    match part {
        JudgedPart::Test => "test",
        JudgedPart::Validation => "validation",
        JudgedPart::Training => "training",
    }
}

/// What the page begins with: what was trained, how, how far, and the numbers asked for first.
fn head(report: &Report<'_>) -> String {
    let training = &report.config.training;
    let progress = match report.total_steps {
        Some(total) if report.step >= total => format!("finished, {} updates", thousands(total)),
        Some(total) => format!("unfinished: {} of {} updates", thousands(report.step), thousands(total)),
        None => format!("{} updates", thousands(report.step)),
    };
    let mut html = format!(
        "<h1>{}</h1>\n<p class=\"lead\">Rule {}, groups of {}, batch {}, seed {}; {progress}.</p>\n",
        escape(&report.config.name),
        training.rule,
        report.config.network.group,
        training.batch,
        training.seed
    );
    if !report.notes.is_empty() {
        html += "<div id=\"notes\">\n";
        for note in report.notes {
            html += &format!("<p class=\"note\">{}</p>\n", escape(note));
        }
        html += "</div>\n";
    }
    let mut figures = Vec::new();
    if let Some(judgement) = report.judgement {
        let samples = thousands(judgement.samples() as u64);
        let part = part(judgement.part);
        figures.push((
            "Accuracy of the file",
            percent(judgement.score.accuracy()),
            format!("{samples} {part} samples"),
        ));
        let bits = format!("{:.4} bits a sample", judgement.score.bits());
        figures.push(("Loss of the file", format!("{:.4}", judgement.score.mean_loss()), bits));
        let logits = thousands(judgement.logits() as u64);
        figures.push(("Mismatches", thousands(judgement.mismatches as u64), format!("of {logits} integers")));
    }
    if let Some(model) = &report.model {
        let bytes = thousands(model.file_bytes() as u64);
        figures.push((
            "Model file",
            format!("{bytes} B"),
            format!("{} of weights", thousands(model.weight_bytes() as u64)),
        ));
        figures.push(("Arena", format!("{} B", thousands(model.arena_bytes())), "tensors of one sample".into()));
        figures.push(("Products", thousands(model.macs()), "multiply-accumulates a sample".into()));
    }
    if let Some(data) = report.data {
        let split = format!(
            "{} validation, {} test",
            thousands(data.validation.len() as u64),
            thousands(data.test.len() as u64)
        );
        figures.push(("Training samples", thousands(data.train.len() as u64), split));
    }
    if let Some(epoch) = report.epochs.last() {
        let speed = format!("{} samples a second", thousands(epoch.samples_per_second as u64));
        figures.push(("Epochs", epoch.epoch.to_string(), speed));
    }
    let figures = figures
        .iter()
        .map(|(what, value, more)| format!("<div><dt>{what}</dt><dd>{value}<small>{more}</small></dd></div>"));
    html + &format!("<dl class=\"figures\">{}</dl>\n", figures.collect::<String>())
}
