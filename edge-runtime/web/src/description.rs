//! A model in JSON: what the page shows of it, and where the integers of each layer lie in a trace.

use alloc::string::String;
use trishift::Model;
use trishift::format::{DataType, Operator, Tensor, TensorClass};

/// Bytes that an operator's output takes in a trace: the next one begins on a word's boundary.
pub(crate) const fn place(bytes: usize) -> usize {
    bytes.next_multiple_of(Tensor::ALIGNMENT as usize)
}

/// The description of a model that runs on these kernels.
pub(crate) fn json(model: &Model<'_>, kernels: &str) -> String {
    let mut json = Json(String::new());
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
        json.key("tensors").list(model.tensors(), |json, tensor| json.object(|json| write_tensor(json, &tensor)));
        json.key("operators");
        let mut start = 0;
        json.list(model.operators(), |json, operator| {
            json.object(|json| write_operator(json, model, &operator, start));
            start += place(model.tensor(operator.output()).bytes());
        });
        json.key("labels").list(model.labels(), |json, label| json.text(label));
        json.key("properties");
        json.list(model.properties(), |json, (key, value)| json.list([key, value].into_iter(), Json::text));
    });
    json.0
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

/// Text that grows value by value. By hand: what `core::fmt` would add to the module is a tenth of the runtime.
struct Json(String);

impl Json {
    fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.0.push('{');
        write(self);
        self.0.push('}');
    }

    /// The name of the value that comes next.
    fn key(&mut self, key: &str) -> &mut Self {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        self.text(key);
        self.0.push(':');
        self
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.0.push('[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.0.push(',');
            }
            write(self, item);
        }
        self.0.push(']');
    }

    fn numbers(&mut self, numbers: &[i64]) {
        self.list(numbers.iter(), |json, number| json.number(*number));
    }

    #[inline(never)]
    fn number(&mut self, number: i64) {
        if number < 0 {
            self.0.push('-');
        }
        let mut digits = [0; 20];
        let (mut rest, mut first) = (number.unsigned_abs(), digits.len());
        for (index, digit) in digits.iter_mut().enumerate().rev() {
            (*digit, rest, first) = (b'0' + (rest % 10) as u8, rest / 10, index);
            if rest == 0 {
                break;
            }
        }
        self.0.extend(digits.iter().skip(first).copied().map(char::from));
    }

    /// A string as JSON has it.
    #[inline(never)]
    fn text(&mut self, text: &str) {
        self.0.push('"');
        for character in text.chars() {
            match character {
                '"' | '\\' => self.0.extend(['\\', character]),
                '\0'..' ' => {
                    let digit = |value: u32| char::from_digit(value, 16).unwrap_or('0');
                    self.0.push_str("\\u00");
                    self.0.extend([digit(character as u32 >> 4), digit(character as u32 & 15)]);
                }
                _ => self.0.push(character),
            }
        }
        self.0.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn texts_and_numbers_are_json() {
        let text = "a \"b\" \\ \n\0 ä→";
        let numbers = [0, 7, -1, 1_234_567, i64::MAX, i64::MIN];
        let mut json = Json(String::new());
        json.object(|json| {
            json.key("text").text(text);
            json.key("numbers").numbers(&numbers);
        });
        let value: serde_json::Value =
            serde_json::from_str(&json.0).unwrap_or_else(|error| panic!("{error}: {}", json.0));
        assert_eq!(value["text"], text);
        assert_eq!(value["numbers"].to_string(), serde_json::json!(numbers).to_string());
    }
}
