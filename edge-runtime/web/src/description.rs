//! A model in JSON: what the page shows of it, and where the integers of each layer lie in a trace.

use alloc::string::String;
use core::fmt::{self, Write};
use trishift::Model;
use trishift::format::{DataType, Operator, Tensor, TensorClass};

/// Bytes that an operator's output takes in a trace: the next one begins on a word's boundary.
pub(crate) const fn place(bytes: usize) -> usize {
    bytes.next_multiple_of(Tensor::ALIGNMENT as usize)
}

/// The description of a model that runs on these kernels.
pub(crate) fn json(model: &Model<'_>, kernels: &str) -> String {
    let mut json = String::new();
    // A string takes all that is written to it.
    let _ = write_model(&mut json, model, kernels);
    json
}

fn write_model(json: &mut String, model: &Model<'_>, kernels: &str) -> fmt::Result {
    json.push_str("{\"name\":");
    text(json, model.name());
    json.push_str(",\"kernels\":");
    text(json, kernels);
    for (key, value) in [
        ("file_bytes", model.file_bytes() as u64),
        ("weight_bytes", model.weight_bytes() as u64),
        ("arena_bytes", model.arena_bytes()),
        ("macs", model.macs()),
        ("input", model.input_index().into()),
        ("scales", model.input_scales().len() as u64),
    ] {
        write!(json, ",\"{key}\":{value}")?;
    }
    if let Some(scale) = model.input_scale(0) {
        let (mantissa, exponent) = (scale.zero_mantissa, scale.zero_exponent);
        write!(json, ",\"scale\":{{\"zero\":[{mantissa},{exponent}],\"shift\":{}}}", scale.shift)?;
    }
    json.push_str(",\"tensors\":");
    list(json, model.tensors(), write_tensor)?;
    json.push_str(",\"operators\":");
    let mut start = 0;
    list(json, model.operators(), |json, operator| {
        let bytes = model.tensor(operator.output()).bytes();
        write_operator(json, model, &operator, start)?;
        start += place(bytes);
        Ok(())
    })?;
    json.push_str(",\"labels\":");
    list(json, model.labels(), |json, label| {
        text(json, label);
        Ok(())
    })?;
    json.push_str(",\"properties\":");
    list(json, model.properties(), |json, (key, value)| {
        json.push('[');
        text(json, key);
        json.push(',');
        text(json, value);
        json.push(']');
        Ok(())
    })?;
    json.push('}');
    Ok(())
}

fn write_tensor(json: &mut String, tensor: Tensor) -> fmt::Result {
    let data_type = match tensor.data_type {
        DataType::I8 => "int8",
        DataType::I32 => "int32",
    };
    let class = match tensor.class {
        TensorClass::Input => "input",
        TensorClass::Output => "output",
        TensorClass::Arena => "arena",
        TensorClass::Persistent => "persistent",
    };
    let [height, width, channels] = tensor.shape;
    write!(json, "{{\"type\":\"{data_type}\",\"class\":\"{class}\",\"exponent\":{}", tensor.exponent)?;
    write!(json, ",\"shape\":[{height},{width},{channels}],\"offset\":{}}}", tensor.offset)
}

fn write_operator(json: &mut String, model: &Model<'_>, operator: &Operator, start: usize) -> fmt::Result {
    let ([left, right], output) = (operator.inputs(), operator.output());
    write!(json, "{{\"kind\":\"{}\",\"inputs\":[{left}", operator.kind().name())?;
    if left != right {
        write!(json, ",{right}")?;
    }
    write!(json, "],\"output\":{output},\"start\":{start},\"macs\":{}", model.macs_of(operator))?;
    if let Some(window) = operator.window() {
        let ([height, width], [down, right]) = (window.kernel, window.stride);
        write!(json, ",\"kernel\":[{height},{width}],\"stride\":[{down},{right}]")?;
    }
    let (weights, rows, columns, group, bytes) = match (operator.weights(), operator.int8_weights()) {
        (Some(record), _) => {
            let matrix = model.matrix(record);
            ("ternary", matrix.rows(), matrix.columns(), Some(matrix.group().get()), matrix.bytes())
        }
        (_, Some(record)) => {
            let matrix = model.int8_matrix(record);
            ("int8", matrix.rows(), matrix.columns(), None, matrix.bytes())
        }
        _ => {
            json.push('}');
            return Ok(());
        }
    };
    write!(json, ",\"weights\":\"{weights}\",\"rows\":{rows},\"columns\":{columns},\"bytes\":{bytes}")?;
    if let Some(group) = group {
        write!(json, ",\"group\":{group}")?;
    }
    json.push('}');
    Ok(())
}

fn list<T>(
    json: &mut String,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T) -> fmt::Result,
) -> fmt::Result {
    json.push('[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            json.push(',');
        }
        write(json, item)?;
    }
    json.push(']');
    Ok(())
}

/// A string as JSON has it.
fn text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            '\0'..' ' => {
                let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                json.push_str("\\u00");
                json.extend([digit(character as u32 >> 4), digit(character as u32 & 15)]);
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}
