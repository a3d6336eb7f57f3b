//! `trishift eval`: a model file on a data set, by the runtime.

use super::confusion;
use super::output::{self, percent, say, thousands};
use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use trishift::Model;
use trishift_format::InputScale;
use trishift_trainer::config::DataConfig;
use trishift_trainer::evaluate::{self, Confusion, Score};
use trishift_trainer::run;

/// Options of `eval`.
#[derive(Args)]
pub(super) struct Arguments {
    /// The model file.
    model: PathBuf,
    /// Folder or file with the samples, or builtin:digits.
    #[arg(long, value_name = "PATH")]
    data: PathBuf,
    /// Which samples: those held out when the model was trained, those trained on, or all of them.
    #[arg(long, value_enum, default_value_t = Part::Test)]
    part: Part,
    /// Label column of a CSV: first, last or its name [default: as in training].
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// What the names of recordings say [default: as in training].
    #[arg(long, value_name = "PATTERN")]
    pattern: Option<String>,
    /// Recordings that are the test part, by what their names say; "" for none [default: as in training].
    #[arg(long, value_name = "FIELD=VALUES")]
    test_where: Option<String>,
    /// Which classes are taken for which: a table, and the key confusion of the JSON object.
    #[arg(long)]
    confusion: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Test,
    Validation,
    Train,
    All,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = arguments.model.display();
    let file = std::fs::read(&arguments.model).with_context(|| format!("cannot read the model {path}"))?;
    let model = Model::parse(&file).with_context(|| format!("{path} cannot be used"))?;
    let config = data_config(arguments, &model)?;
    let scales: Vec<InputScale> = model.input_scales().collect();
    let data = run::load_with(&config, &scales)?;
    anyhow::ensure!(
        data.audio.is_none() || model.properties().get("audio-sample-rate").is_some_and(|rate| !rate.is_empty()),
        "{path} says nothing about audio; give a model that was trained on recordings"
    );
    let parts = match arguments.part {
        Part::Test => vec![&data.test],
        Part::Validation => vec![&data.validation],
        Part::Train => vec![&data.train],
        Part::All => vec![&data.train, &data.validation, &data.test],
    };
    let outputs = outputs_of_classes(&model, &data.classes)?;
    let (mut score, mut confusion) = (Score::default(), Confusion::new(model.output().len()));
    let runtime = evaluate::Runtime::new(&model)?;
    let (started, mut in_runtime) = (Instant::now(), Duration::ZERO);
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        evaluate::check(&model, part, data.classes.len())?;
        for range in evaluate::chunks(part) {
            let samples = part.dense(range.clone());
            let run = Instant::now();
            let logits = runtime.logits(&samples)?;
            in_runtime += run.elapsed();
            let labels = part.labels.get(range).unwrap_or_default().iter();
            let labels: Vec<u16> = labels.filter_map(|class| outputs.get(usize::from(*class)).copied()).collect();
            score.add(&logits, &labels, model.output().exponent.into());
            confusion.add(&logits, &labels);
        }
    }
    let Score { samples, correct, .. } = score;
    anyhow::ensure!(samples > 0, "{} has no such samples; choose others with --part", arguments.data.display());
    let seconds = started.elapsed().as_secs_f64();
    let samples_per_second = samples as f64 / in_runtime.as_secs_f64();
    if arguments.json {
        let mut result = json!({
            "accuracy": score.accuracy(),
            "samples": samples,
            "correct": correct,
            "loss": score.mean_loss(),
            "bits": score.bits(),
            "seconds": seconds,
            "kernels": runtime.kernels(),
            "samples_per_second": samples_per_second,
        });
        if arguments.confusion {
            result["confusion"] = confusion::to_json(&confusion, &model);
        }
        output::json(&result)?;
    } else {
        say!("accuracy  {}  ({} of {} samples)", percent(score.accuracy()), correct, thousands(samples as u64));
        say!("loss      {:.4} nats, {:.4} bits a sample", score.mean_loss(), score.bits());
        say!(
            "speed     {} samples a second in the runtime, {} kernels",
            thousands(samples_per_second as u64),
            runtime.kernels()
        );
        if arguments.confusion {
            confusion::print(&confusion, &model)?;
        }
    }
    Ok(())
}

/// The model's output for each class of the data: the one of the same name, or of the same number where the model has no
/// names. Data to judge on may lack classes that the model knows, and then counts the others differently.
fn outputs_of_classes(model: &Model<'_>, classes: &[String]) -> anyhow::Result<Vec<u16>> {
    let outputs: HashMap<&str, u16> = model.labels().zip(0..=u16::MAX).collect();
    let find = |(class, number): (&String, u16)| match outputs.get(class.as_str()) {
        Some(output) => Ok(*output),
        None if outputs.is_empty() => Ok(number),
        None => anyhow::bail!(
            "the data has the class {class:?}, which the model does not know; \
             take its samples out, or name another column with --label"
        ),
    };
    classes.iter().zip(0..=u16::MAX).map(find).collect()
}

/// The data as it was split in training, or as the options say.
fn data_config(arguments: &Arguments, model: &Model<'_>) -> anyhow::Result<DataConfig> {
    let mut config = DataConfig::of_model(model)?;
    config.path = Some(arguments.data.clone());
    config.label = arguments.label.clone().or(config.label);
    let audio = config.audio.get_or_insert_default();
    audio.pattern = arguments.pattern.clone().or(audio.pattern.take());
    audio.test_where = arguments.test_where.clone().or(audio.test_where.take());
    Ok(config)
}
