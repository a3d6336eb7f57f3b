//! `trishift inspect`: what a model file holds.

use super::drawing;
use super::output::{self, say, thousands};
use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use trishift::Model;
use trishift_format::{DataType, Int8Record, MatrixRecord, Operator, Tensor, TensorClass};
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
    let operators: Vec<Operator> = model.operators().collect();
    let weights = operators.iter().map(weights).sum::<u64>().max(1);
    let lower_bound = plan::lower_bound(&tensors, &operators);
    let summary = json!({
        "file_bytes": model.file_bytes(),
        "weight_bytes": model.weight_bytes(),
        "bits_per_weight": model.weight_bytes() as f64 * 8.0 / weights as f64,
        "arena_bytes": model.arena_bytes(),
        "arena_lower_bound": lower_bound,
        "arena_ratio": if lower_bound == 0 { 1.0 } else { model.arena_bytes() as f64 / lower_bound as f64 },
        "persistent_bytes": persistent_bytes(&model),
        "macs": model.macs(),
        "name": model.name(),
        "input_shape": model.input().shape,
        "output_shape": model.output().shape,
        "labels": model.labels().collect::<Vec<_>>(),
        "properties": model.properties().map(|(key, value)| (key.into(), value.into())).collect::<Map<_, _>>(),
        "layers": layers,
    });
    if arguments.json { output::json(&summary) } else { print(&model, &summary) }
}

/// Bytes of the arena that a model keeps from run to run.
pub(super) fn persistent_bytes(model: &Model<'_>) -> u64 {
    let kept = model.tensors().filter(|tensor| tensor.class == TensorClass::Persistent);
    kept.map(|tensor| tensor.bytes() as u64).sum()
}

/// Weights of an operator.
fn weights(operator: &Operator) -> u64 {
    let ternary = operator.weights().map(|record| [record.rows, record.columns]);
    let int8 = operator.int8_weights().map(|record| [record.rows, record.columns]);
    ternary.or(int8).map_or(0, |[rows, columns]| u64::from(rows) * u64::from(columns))
}

fn layer(model: &Model<'_>, index: usize, operator: &Operator) -> Value {
    let output = model.tensor(operator.output());
    let [left, right] = operator.inputs();
    let mut layer = json!({
        "index": index,
        "operator": operator.kind().name(),
        "inputs": if left == right { vec![left] } else { vec![left, right] },
        "output": operator.output(),
        "output_type": match output.data_type {
            DataType::I8 => "int8",
            DataType::I32 => "int32",
        },
        "output_len": output.len(),
        "input_shape": model.tensor(left).shape,
        "output_shape": output.shape,
    });
    let Some(object) = layer.as_object_mut() else { return layer };
    if let Some(window) = operator.window() {
        object.insert("kernel".into(), json!(window.kernel));
        object.insert("stride".into(), json!(window.stride));
        object.insert("padding".into(), json!(window.padding));
    }
    if let Operator::Pad(op) = operator {
        object.insert("padding".into(), json!(op.padding));
    }
    let facts = match (operator.weights(), operator.int8_weights()) {
        (Some(record), _) => ternary(model, record),
        (_, Some(record)) => int8(model, record),
        _ => return layer,
    };
    object.extend(facts);
    object.insert("macs".into(), json!(model.macs_of(operator)));
    if !matches!(operator, Operator::Embedding(_)) {
        object.insert("bias".into(), json!(operator.bias().is_some()));
    }
    layer
}

fn ternary(model: &Model<'_>, record: &MatrixRecord) -> Map<String, Value> {
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
        "weights": "ternary",
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

fn int8(model: &Model<'_>, record: &Int8Record) -> Map<String, Value> {
    let matrix = model.int8_matrix(record);
    let exponents = || matrix.iter().map(|row| row.exponent);
    let zeros = matrix.iter().flat_map(|row| row.values).filter(|value| **value == 0).count();
    let facts = json!({
        "weights": "int8",
        "rows": matrix.rows(),
        "columns": matrix.columns(),
        "exponents": "int8",
        "smallest_exponent": exponents().min(),
        "largest_exponent": exponents().max(),
        "zeros": zeros as f64 / (matrix.rows() * matrix.columns()).max(1) as f64,
        "bytes": matrix.bytes(),
    });
    facts.as_object().cloned().unwrap_or_default()
}

fn print(model: &Model<'_>, summary: &Value) -> anyhow::Result<()> {
    say!("{}", model.name());
    say!("  file     {} bytes", thousands(model.file_bytes() as u64));
    let bits = summary["bits_per_weight"].as_f64().unwrap_or(0.0);
    say!("  weights  {} bytes, {bits:.3} bits each", thousands(model.weight_bytes() as u64));
    let (bound, ratio) = (summary["arena_lower_bound"].as_u64().unwrap_or(0), summary["arena_ratio"].as_f64());
    let arena = thousands(model.arena_bytes());
    say!("  arena    {arena} bytes a sample, {:.3} times the least, {}", ratio.unwrap_or(1.0), thousands(bound));
    if let kept @ 1.. = persistent_bytes(model) {
        say!("  kept     {} bytes of the arena, from run to run", thousands(kept));
    }
    say!("  work     {} multiply-accumulates a sample", thousands(model.macs()));
    for (key, value) in model.properties().filter(|(_, value)| !value.is_empty()) {
        say!("  {key:<8} {value}");
    }
    let labels: Vec<&str> = model.labels().collect();
    if !labels.is_empty() {
        say!("  labels   {}", labels.join(", "));
    }
    let (operators, tensors): (Vec<Operator>, Vec<Tensor>) = (model.operators().collect(), model.tensors().collect());
    let graph = drawing::graph(&operators, model.input_index());
    let width = graph.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    let in_arena = |tensor: usize| {
        let class = tensors.get(tensor).map(|tensor| tensor.class);
        if matches!(class, Some(TensorClass::Arena | TensorClass::Persistent)) { drawing::letter(tensor) } else { ' ' }
    };
    let lines: Vec<String> =
        summary["layers"].as_array().into_iter().flatten().map(|layer| line(layer, in_arena)).collect();
    let header = "output             window       weights       group  exponents             zeros     bytes";
    say!("\n   # {:width$} operator              {header}", "");
    let mut graph = graph.iter();
    say!("     {:width$} input", graph.next().map_or("", String::as_str));
    for (index, (line, graph)) in lines.iter().zip(graph).enumerate() {
        say!("{}", format!("{index:>4} {graph:width$} {line}").trim_end());
    }
    if model.arena_bytes() == 0 {
        return Ok(());
    }
    let bytes = thousands(drawing::column_bytes(model.arena_bytes()));
    say!("\n   # what lies in the arena while it runs: a column is {bytes} bytes, a letter the output above");
    for (index, row) in drawing::memory(operators.len(), &tensors, model.arena_bytes()).iter().enumerate() {
        say!("{index:>4} {row}");
    }
    Ok(())
}

/// A line of the table.
fn line(layer: &Value, letter: impl Fn(usize) -> char) -> String {
    let number = |key: &str| layer[key].as_i64();
    let text = |key: &str| layer[key].as_str().unwrap_or("");
    let output = format!("{} {}", text("output_type"), shape(&layer["output_shape"]));
    let by = |key: &str| joined(&sides(&layer[key]));
    let window = match (by("kernel"), by("stride")) {
        (kernel, stride) if stride == "1×1" => kernel,
        (kernel, stride) if !kernel.is_empty() => format!("{kernel} by {stride}"),
        _ => String::new(),
    };
    let letter = letter(number("output").map_or(usize::MAX, |tensor| tensor as usize));
    let mut line = format!("{:<21} {letter} {output:<16} {window:<12}", text("operator"));
    if let (Some(rows), Some(columns)) = (number("rows"), number("columns")) {
        let exponents = format!(
            "{}, {}…{}",
            text("exponents"),
            number("smallest_exponent").unwrap_or(0),
            number("largest_exponent").unwrap_or(0)
        );
        line += &format!(
            " {:<13} {:>5}  {exponents:<20} {:>5.1} % {:>9}",
            format!("{rows} × {columns}"),
            number("group").map_or("int8".into(), |group| group.to_string()),
            layer["zeros"].as_f64().unwrap_or(0.0) * 100.0,
            thousands(number("bytes").unwrap_or(0).unsigned_abs())
        );
    }
    line
}

/// Height, width and channels, or only the latter of a vector.
fn shape(value: &Value) -> String {
    match sides(value)[..] {
        [1, 1, elements] => elements.to_string(),
        ref sides => joined(sides),
    }
}

fn joined(sides: &[u64]) -> String {
    sides.iter().map(u64::to_string).collect::<Vec<_>>().join("×")
}

/// The numbers of a list.
fn sides(value: &Value) -> Vec<u64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}
