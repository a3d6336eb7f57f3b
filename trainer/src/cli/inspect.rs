//! `trishift inspect`: what a model file holds.

use super::output::{self, say, thousands};
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;
use trishift::Model;
use trishift_format::{DataType, MatrixRecord, Operator, Tensor};
use trishift_trainer::plan;

/// Options of `inspect`.
#[derive(Args)]
pub(super) struct Arguments {
    /// The model file.
    model: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let path = arguments.model.display();
    let file = std::fs::read(&arguments.model).with_context(|| format!("cannot read the model {path}"))?;
    let model = Model::parse(&file).with_context(|| format!("{path} cannot be used"))?;
    let layers: Vec<Value> = model.operators().enumerate().map(|(index, op)| layer(&model, index, &op)).collect();
    let tensors: Vec<Tensor> = model.tensors().collect();
    let count = |record: &MatrixRecord| u64::from(record.rows) * u64::from(record.columns);
    let weights = model.operators().filter_map(|op| op.weights().map(count)).sum::<u64>().max(1);
    let summary = json!({
        "file_bytes": model.file_bytes(),
        "weight_bytes": model.weight_bytes(),
        "bits_per_weight": model.weight_bytes() as f64 * 8.0 / weights as f64,
        "arena_bytes": model.arena_bytes(),
        "arena_lower_bound": plan::lower_bound(&tensors),
        "macs": model.macs(),
        "name": model.name(),
        "input_shape": model.input().shape,
        "output_shape": model.output().shape,
        "labels": model.labels().collect::<Vec<_>>(),
        "properties": model.properties().map(|(key, value)| (key.into(), value.into())).collect::<serde_json::Map<_, _>>(),
        "layers": layers,
    });
    if arguments.json { output::json(&summary) } else { print(&model, &summary) }
}

fn layer(model: &Model<'_>, index: usize, operator: &Operator) -> Value {
    let mut layer = json!({
        "index": index,
        "operator": operator.kind().name(),
        "inputs": operator.inputs()[0],
        "output": operator.output(),
        "output_type": match model.tensor(operator.output()).data_type {
            DataType::I8 => "int8",
            DataType::I32 => "int32",
        },
        "output_len": model.tensor(operator.output()).len(),
    });
    if let (Some(record), Some(object)) = (operator.weights(), layer.as_object_mut()) {
        object.extend(matrix(model, record));
        object.insert("macs".into(), json!(model.macs_of(operator)));
        if let Operator::Linear(op) = operator {
            object.insert("bias".into(), json!(op.bias.is_some()));
        }
    }
    layer
}

fn matrix(model: &Model<'_>, record: &MatrixRecord) -> serde_json::Map<String, Value> {
    let matrix = model.matrix(record);
    let mut row = vec![0; matrix.columns()];
    let mut zeros = 0usize;
    let (mut low, mut high, mut window) = (i32::MAX, i32::MIN, 0);
    for view in matrix.iter() {
        view.unpack(&mut row);
        zeros += row.iter().filter(|trit| **trit == 0).count();
        let (smallest, largest) = view.exponents().fold((i32::MAX, i32::MIN), |(a, b), e| (a.min(e), b.max(e)));
        (low, high, window) = (low.min(smallest), high.max(largest), window.max(largest - smallest));
    }
    let weights = matrix.rows() * matrix.columns();
    let facts = json!({
        "rows": matrix.rows(),
        "columns": matrix.columns(),
        "group": matrix.group().get(),
        "exponents": matrix.encoding().to_string(),
        "smallest_exponent": low,
        "largest_exponent": high,
        "widest_window": window,
        "zeros": zeros as f64 / weights.max(1) as f64,
        "bytes": matrix.bytes(),
    });
    facts.as_object().cloned().unwrap_or_default()
}

fn print(model: &Model<'_>, summary: &Value) -> anyhow::Result<()> {
    say!("{}", model.name());
    say!("  file     {} bytes", thousands(model.file_bytes() as u64));
    let bits = summary["bits_per_weight"].as_f64().unwrap_or(0.0);
    say!("  weights  {} bytes, {bits:.3} bits each", thousands(model.weight_bytes() as u64));
    say!("  arena    {} bytes a sample", thousands(model.arena_bytes()));
    say!("  work     {} multiply-accumulates a sample", thousands(model.macs()));
    for (key, value) in model.properties().filter(|(_, value)| !value.is_empty()) {
        say!("  {key:<8} {value}");
    }
    let labels: Vec<&str> = model.labels().collect();
    if !labels.is_empty() {
        say!("  labels   {}", labels.join(", "));
    }
    say!("\n   # operator    output        weights       group  exponents             zeros     bytes");
    for layer in summary["layers"].as_array().into_iter().flatten() {
        let number = |key: &str| layer[key].as_i64();
        let output = format!("{} {}", layer["output_type"].as_str().unwrap_or(""), number("output_len").unwrap_or(0));
        let operator = layer["operator"].as_str().unwrap_or("");
        let mut line = format!("{:>4} {operator:<11} {output:<13}", number("index").unwrap_or(0));
        if let (Some(rows), Some(columns)) = (number("rows"), number("columns")) {
            let exponents = format!(
                "{}, {}…{}",
                layer["exponents"].as_str().unwrap_or(""),
                number("smallest_exponent").unwrap_or(0),
                number("largest_exponent").unwrap_or(0)
            );
            line += &format!(
                " {:<13} {:>5}  {exponents:<20} {:>5.1} % {:>9}",
                format!("{rows} × {columns}"),
                number("group").unwrap_or(0),
                layer["zeros"].as_f64().unwrap_or(0.0) * 100.0,
                thousands(number("bytes").unwrap_or(0).unsigned_abs())
            );
        }
        say!("{}", line.trim_end());
    }
    Ok(())
}
