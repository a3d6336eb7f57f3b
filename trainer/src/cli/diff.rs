//! `trishift diff`: what changed between two models.

use super::output::{self, say, thousands};
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use trishift::Model;
use trishift_trainer::compare::{Comparison, LayerComparison, Share, compare};

/// Options of `diff`.
#[derive(Args)]
#[command(
    after_help = "The exit code is 0 whether they differ or not. Operators are compared in their order; where one has the \
same kind and sizes in both models, its trits (or int8 weights), exponents and biases are compared one by one.\n\n\
The patch is what a device needs to make the second file of the first one, compressed by deflate: bytes that differ, or the whole \
second file where that is less."
)]
pub(super) struct Arguments {
    /// The first model file.
    before: PathBuf,
    /// The second one.
    after: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read the model {}", path.display()));
    let (before, after) = (read(&arguments.before)?, read(&arguments.after)?);
    let parse = |path: &Path, file| Model::parse(file).with_context(|| format!("{} cannot be used", path.display()));
    let (first, second) = (parse(&arguments.before, &before)?, parse(&arguments.after, &after)?);
    let found = compare((&first, &before), (&second, &after));
    if arguments.json {
        return output::json(&json!({
            "same": found.same,
            "file_bytes": [before.len(), after.len()],
            "patch_bytes": found.patch_bytes,
            "facts": found.facts,
            "layers": found.layers.iter().enumerate().map(layer).collect::<Vec<Value>>(),
        }));
    }
    print(&found, [before.len(), after.len()])
}

fn layer((index, layer): (usize, &LayerComparison)) -> Value {
    let share = |Share { changed, of }: Share| json!({ "changed": changed, "of": of });
    let weights = layer.weights.map(|weights| {
        json!({
            "weights": share(weights.weights),
            "across": weights.across,
            "exponents": share(weights.exponents),
            "biases": share(weights.biases),
        })
    });
    json!({ "index": index, "before": layer.before, "after": layer.after, "same": layer.is_same(), "numbers": weights })
}

fn print(found: &Comparison, [before, after]: [usize; 2]) -> anyhow::Result<()> {
    if found.same {
        say!("the files are the same, byte for byte");
        return Ok(());
    }
    say!("files   {} and {} bytes", thousands(before as u64), thousands(after as u64));
    say!("patch   {} bytes, compressed", thousands(found.patch_bytes as u64));
    for (what, before, after) in &found.facts {
        say!("{what}: {} → {}", quoted(before), quoted(after));
    }
    let alike = found.layers.iter().filter(|layer| layer.is_same()).count();
    if alike == found.layers.len() {
        say!("operators: the same, number by number");
        return Ok(());
    }
    say!(
        "\n   # operator                                                                      weights        exponents           biases"
    );
    for (index, layer) in found.layers.iter().enumerate() {
        match (&layer.before, &layer.after) {
            _ if layer.is_same() => {}
            (before, after) if before != after => {
                let what = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".into());
                say!("{index:>4} {}\n     → {}", what(before), what(after));
            }
            (Some(what), _) => {
                let weights = layer.weights.unwrap_or_default();
                let (trits, exponents, biases) =
                    (share(weights.weights), share(weights.exponents), share(weights.biases));
                say!("{index:>4} {what:<68} {trits:>16} {exponents:>16} {biases:>16}");
            }
            _ => {}
        }
    }
    say!("\n{alike} of {} operators are the same", found.layers.len());
    let across: usize = found.layers.iter().filter_map(|layer| layer.weights).map(|weights| weights.across).sum();
    if across > 0 {
        say!("{} trits went from −1 to 1 or back, all others that changed from or to 0", thousands(across as u64));
    }
    Ok(())
}

/// How many changed, and which share that is.
fn share(Share { changed, of }: Share) -> String {
    match of {
        0 => String::new(),
        of => format!("{} ({:.1} %)", thousands(changed as u64), 100.0 * changed as f64 / of as f64),
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "nothing".into() } else { format!("“{text}”") }
}
