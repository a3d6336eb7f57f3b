//! A model in JSON: what the page shows of it, and where the integers of each layer lie in a trace.

use crate::json::Json;
use alloc::vec::Vec;
use trishift::Model;
use trishift::format::{DataType, Operator, Tensor, TensorClass};

/// Bytes that an operator's output takes in a trace: the next one begins on a word's boundary.
pub(crate) const fn place(bytes: usize) -> usize {
    bytes.next_multiple_of(Tensor::ALIGNMENT as usize)
}

/// The description of a model that runs on these kernels.
pub(crate) fn json(model: &Model<'_>, kernels: &str) -> Vec<u8> {
    let mut json = Json::new();
    json.object(|json| {
        json.key("name").text(model.name());
        json.key("kernels").text(kernels);
        json.key("file_bytes").number(model.file_bytes() as i64);
        json.key("weight_bytes").number(model.weight_bytes() as i64);
        json.key("arena_bytes").number(model.arena_bytes() as i64);
        json.key("macs").number(model.macs() as i64);
        json.key("input").number(model.input_index().into());
        if let Some(scale) = model.input_scale(0) {
            json.key("scale").numbers(&[scale.zero_mantissa.into(), scale.zero_exponent.into(), scale.shift.into()]);
        }
        json.key("tensors").array(|json| {
            for tensor in model.tensors() {
                json.object(|json| write_tensor(json, &tensor));
            }
        });
        json.key("operators").array(|json| {
            let mut start = 0;
            for operator in model.operators() {
                json.object(|json| write_operator(json, model, &operator, start));
                start += place(model.tensor(operator.output()).bytes());
            }
        });
        json.key("labels").array(|json| model.labels().for_each(|label| json.text(label)));
        json.key("properties").array(|json| {
            for (key, value) in model.properties() {
                json.array(|json| {
                    json.text(key);
                    json.text(value);
                });
            }
        });
    });
    json.into_bytes()
}

fn write_tensor(json: &mut Json, tensor: &Tensor) {
    json.key("type").text(match tensor.data_type {
        DataType::I8 => "int8",
        DataType::I32 => "int32",
    });
    json.key("class").text(match tensor.class {
        TensorClass::Input => "input",
        TensorClass::Output => "output",
        TensorClass::Arena => "arena",
        TensorClass::Persistent => "persistent",
    });
    json.key("exponent").number(tensor.exponent.into());
    json.key("shape").numbers(&tensor.shape.map(i64::from));
    json.key("offset").number(tensor.offset.into());
}

fn write_operator(json: &mut Json, model: &Model<'_>, operator: &Operator, start: usize) {
    let [left, right] = operator.inputs();
    json.key("kind").text(operator.kind().name());
    let inputs = [left.into(), right.into()];
    json.key("inputs").numbers(if left == right { &inputs[..1] } else { &inputs });
    json.key("output").number(operator.output().into());
    json.key("start").number(start as i64);
    json.key("macs").number(model.macs_of(operator) as i64);
    if let Some(window) = operator.window() {
        json.key("kernel").numbers(&window.kernel.map(i64::from));
        json.key("stride").numbers(&window.stride.map(i64::from));
    }
    let (weights, rows, columns, bytes) = match (operator.weights(), operator.int8_weights()) {
        (Some(record), _) => {
            let matrix = model.matrix(record);
            json.key("group").number(matrix.group().get() as i64);
            ("ternary", matrix.rows(), matrix.columns(), matrix.bytes())
        }
        (_, Some(record)) => {
            let matrix = model.int8_matrix(record);
            ("int8", matrix.rows(), matrix.columns(), matrix.bytes())
        }
        _ => return,
    };
    json.key("weights").text(weights);
    json.key("rows").number(rows as i64);
    json.key("columns").number(columns as i64);
    json.key("bytes").number(bytes as i64);
}
