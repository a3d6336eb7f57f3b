//! `trishift listen`: what a device would hear in a recording.

use super::output::{self, say};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use trishift::Model;
use trishift_trainer::data::audio;
use trishift_trainer::file;
use trishift_trainer::listen::{self, Settings};

/// Options of `listen`.
#[derive(Args)]
#[command(after_help = "\
Examples:
  trishift listen runs/digits/model.tsm recording.wav
  trishift listen runs/digits/model.tsm recording.wav --picture recording.svg

The recording goes hop by hop through the front end, the network as a streaming model and the detector: the code that runs \
on a device, with the same integers. A detection comes when a class's share, averaged over --smoothing seconds, reaches \
--threshold; the same class is detected again after its share has fallen below --release. Classes whose names begin with an \
underscore, such as _silence_, are never detected.")]
pub(super) struct Arguments {
    /// The model file, of a run on recordings; one that judges whole windows is made to stream first.
    model: PathBuf,
    /// The recording: a WAV file of any rate.
    recording: PathBuf,
    /// Seconds over which shares are averaged.
    #[arg(long, value_name = "SECONDS", default_value_t = Settings::default().smoothing)]
    smoothing: f64,
    /// Mean share from which a class is detected, up to 1.
    #[arg(long, value_name = "SHARE", default_value_t = Settings::default().threshold)]
    threshold: f64,
    /// Mean share below which it may be detected again.
    #[arg(long, value_name = "SHARE", default_value_t = Settings::default().release)]
    release: f64,
    /// Seconds after a detection without another one.
    #[arg(long, value_name = "SECONDS", default_value_t = Settings::default().pause)]
    pause: f64,
    /// Draw samples, features, shares and detections into this SVG file.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Replace the picture if it is there.
    #[arg(long, requires = "picture")]
    overwrite: bool,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { smoothing, threshold, release, pause, .. } = *arguments;
    let path = arguments.model.display();
    let contents = std::fs::read(&arguments.model).with_context(|| format!("cannot read the model {path}"))?;
    let model = Model::parse(&contents).with_context(|| format!("{path} cannot be used"))?;
    if let Some(picture) = &arguments.picture {
        let is_free = arguments.overwrite || !picture.exists();
        anyhow::ensure!(is_free, "{} exists; choose another file or pass --overwrite", picture.display());
    }
    let rate = listen::sample_rate(&model).with_context(|| format!("{path} cannot listen"))?;
    let samples = audio::recording(&arguments.recording, rate)?;
    let settings = Settings { smoothing, threshold, release, pause };
    let heard = listen::listen(&model, &samples, &settings).with_context(|| format!("{path} cannot listen"))?;
    if let Some(path) = &arguments.picture {
        let picture = listen::picture(&heard, &samples)?;
        file::write_atomically(path, picture.as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let seconds = samples.len() as f64 / f64::from(rate);
    let label = |class: usize| heard.labels.get(class).map_or("?", String::as_str);
    if arguments.json {
        let detections: Vec<_> = heard
            .events
            .iter()
            .map(|event| json!({ "seconds": event.seconds, "label": label(event.class), "share": event.share }))
            .collect();
        output::json(&json!({ "seconds": seconds, "sample_rate": rate, "detections": detections }))?;
        return Ok(());
    }
    for event in &heard.events {
        say!("{:8.2} s  {:16} {:.2}", event.seconds, label(event.class), event.share);
    }
    say!("{} detections in {seconds:.2} seconds", heard.events.len());
    if let Some(path) = &arguments.picture {
        say!("picture   {}", path.display());
    }
    Ok(())
}
