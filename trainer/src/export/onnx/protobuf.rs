//! The few messages of `onnx.proto` that a model needs, in protobuf's wire format: a field is its number and kind as a varint,
//! then a varint or a length and so many bytes. A field written twice is a list of two.

/// A message while it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

/// A field that is a varint.
const VARINT: u64 = 0;
/// A field that is bytes, a text, or a message.
const BYTES: u64 = 2;

impl Message {
    /// Appends a number. Negative ones take ten bytes, as protobuf has it.
    pub(super) fn integer(&mut self, field: u64, value: i64) -> &mut Self {
        self.varint(field << 3 | VARINT);
        self.varint(value.cast_unsigned());
        self
    }

    /// Appends bytes.
    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.varint(field << 3 | BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a text.
    pub(super) fn text(&mut self, field: u64, text: &str) -> &mut Self {
        self.bytes(field, text.as_bytes())
    }

    /// Appends a message.
    pub(super) fn message(&mut self, field: u64, message: &Self) -> &mut Self {
        self.bytes(field, &message.0)
    }

    /// Appends all fields of another message.
    pub(super) fn extend(&mut self, fields: &Self) -> &mut Self {
        self.0.extend_from_slice(&fields.0);
        self
    }

    /// What is to be written to a file.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of protobuf's own description of the encoding.
    #[test]
    fn fields_are_as_protobuf_documents_them() {
        let mut inner = Message::default();
        inner.integer(1, 150);
        let mut outer = Message::default();
        outer.text(2, "testing").message(3, &inner).integer(1, -2);
        let expected = b"\x12\x07testing\x1a\x03\x08\x96\x01\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(outer.into_bytes(), expected);
    }
}
