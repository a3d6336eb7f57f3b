//! `trishift generate`: text from a byte-level model.

use super::output::{self, tell};
use anyhow::Context;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;
use trishift::Model;
use trishift_trainer::generate::{self, Sampling};

/// Options of `generate`.
#[derive(Args)]
#[command(after_help = "\
Example:
  trishift train --preset text-mlp --data book.txt --out runs/book
  trishift generate runs/book/model.tsm --prompt \"The \" --length 500")]
pub(super) struct Arguments {
    /// The model file, trained on text.
    model: PathBuf,
    /// Text to go on from.
    #[arg(long, value_name = "TEXT", default_value = "")]
    prompt: String,
    /// Bytes to generate.
    #[arg(long, value_name = "N", default_value_t = 400)]
    length: usize,
    /// 0 always takes the likeliest byte; 1 draws as the model says; between, likelier bytes are favoured.
    #[arg(long, value_name = "T", default_value_t = 0.7)]
    temperature: f64,
    /// Seed of the draws.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print the text as one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = arguments.model.display();
    let file = std::fs::read(&arguments.model).with_context(|| format!("cannot read the model {path}"))?;
    let model = Model::parse(&file).with_context(|| format!("{path} cannot be used"))?;
    let sampling = Sampling { temperature: arguments.temperature, seed: arguments.seed };
    let prompt = arguments.prompt.as_bytes();
    let started = Instant::now();
    if arguments.json {
        let mut text = prompt.to_vec();
        generate::generate(&model, prompt, arguments.length, sampling, |byte| {
            text.push(byte);
            Ok(())
        })?;
        let text = String::from_utf8_lossy(&text);
        return output::json(&json!({
            "text": text,
            "bytes": arguments.length,
            "seconds": started.elapsed().as_secs_f64(),
        }));
    }
    output::bytes(prompt)?;
    // Text appears as it comes.
    generate::generate(&model, prompt, arguments.length, sampling, |byte| output::bytes(&[byte]))?;
    output::bytes(b"\n")?;
    let seconds = started.elapsed().as_secs_f64();
    tell!("{} bytes in {seconds:.2} s", arguments.length);
    Ok(())
}
