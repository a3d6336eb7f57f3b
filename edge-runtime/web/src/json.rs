//! JSON, written value by value.
//!
//! By hand: what `core::fmt` would add to the module is a tenth of the runtime.

use alloc::vec::Vec;

/// JSON that grows, UTF-8. Commas come by themselves.
pub(crate) struct Json(Vec<u8>);

impl Json {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn object(&mut self, write: impl FnOnce(&mut Self)) {
        self.begin(b'{');
        write(self);
        self.0.push(b'}');
    }

    pub(crate) fn array(&mut self, write: impl FnOnce(&mut Self)) {
        self.begin(b'[');
        write(self);
        self.0.push(b']');
    }

    /// The name of the value that comes next.
    pub(crate) fn key(&mut self, key: &str) -> &mut Self {
        self.text(key);
        self.0.push(b':');
        self
    }

    pub(crate) fn numbers(&mut self, numbers: &[i64]) {
        self.array(|json| numbers.iter().for_each(|number| json.number(*number)));
    }

    #[inline(never)]
    pub(crate) fn number(&mut self, number: i64) {
        self.separate();
        if number < 0 {
            self.0.push(b'-');
        }
        self.digits(number.unsigned_abs());
    }

    /// A number as a text: JavaScript rounds large ones.
    pub(crate) fn exact(&mut self, number: u64) {
        self.begin(b'"');
        self.digits(number);
        self.0.push(b'"');
    }

    /// A string as JSON has it.
    #[inline(never)]
    pub(crate) fn text(&mut self, text: &str) {
        self.begin(b'"');
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', byte]),
                ..b' ' => {
                    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
                    self.0.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
                }
                _ => self.0.push(byte),
            }
        }
        self.0.push(b'"');
    }

    #[inline(never)]
    fn digits(&mut self, mut rest: u64) {
        let start = self.0.len();
        // The lowest digit first, and each in front of those before it: numbers are short.
        loop {
            self.0.insert(start, b'0' + (rest % 10) as u8);
            rest /= 10;
            if rest == 0 {
                return;
            }
        }
    }

    #[inline(never)]
    fn begin(&mut self, byte: u8) {
        self.separate();
        self.0.push(byte);
    }

    /// A comma, but for the first value of an array or object and the one behind a key.
    fn separate(&mut self) {
        if !matches!(self.0.last(), None | Some(b'{' | b'[' | b':')) {
            self.0.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn texts_and_numbers_are_json() {
        let text = "a \"b\" \\ \n\0\u{1f} ä→ {[:";
        let numbers = [0, 7, -1, 1_234_567, i64::MAX, i64::MIN];
        let mut json = Json::new();
        json.object(|json| {
            json.key("text").text(text);
            json.key("numbers").numbers(&numbers);
            json.key("none").array(|_| ());
            json.key("exact").array(|json| {
                json.exact(u64::MAX);
                json.array(|json| json.exact(0));
                json.object(|_| ());
            });
        });
        let value: serde_json::Value = serde_json::from_slice(&json.into_bytes()).unwrap();
        assert_eq!(value["text"], text);
        assert_eq!(value["numbers"].to_string(), serde_json::json!(numbers).to_string());
        assert_eq!(value["none"], serde_json::json!([]));
        assert_eq!(value["exact"], serde_json::json!(["18446744073709551615", ["0"], {}]));
    }
}
