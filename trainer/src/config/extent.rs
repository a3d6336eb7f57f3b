//! Sizes over height and width in a configuration: windows, steps, and the zeros around an image.

use serde::de::{Deserializer, Error, SeqAccess, Unexpected, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Rows and columns, written as `[rows, columns]` or, where they are equal, as one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent(pub [u8; 2]);

impl Extent {
    /// One row, one column.
    pub const ONE: Self = Self([1; 2]);

    pub(super) fn is_one(&self) -> bool {
        *self == Self::ONE
    }
}

/// The zeros around an image, written as `"same"`, `"valid"` or `[top, left, bottom, right]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// As many as give ⌈input/stride⌉ rows and columns, the odd one behind.
    Same,
    /// None.
    Valid,
    /// Rows above, columns left, rows below, columns right.
    Sides([u8; 4]),
}

impl Padding {
    pub(super) fn is_same(&self) -> bool {
        *self == Self::Same
    }

    pub(super) fn is_valid(&self) -> bool {
        *self == Self::Valid
    }

    pub(super) const fn same() -> Self {
        Self::Same
    }

    pub(super) const fn valid() -> Self {
        Self::Valid
    }
}

impl Serialize for Extent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [rows, columns] if rows == columns => serializer.serialize_u8(rows),
            sides => sides.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExtentVisitor)
    }
}

struct ExtentVisitor;

impl<'de> Visitor<'de> for ExtentVisitor {
    type Value = Extent;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number from 1 to 255 or [rows, columns]")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Extent, E> {
        match u8::try_from(number) {
            Ok(side @ 1..) => Ok(Extent([side; 2])),
            _ => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Extent, E> {
        self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Extent, A::Error> {
        match bytes(sequence)?.as_deref() {
            Some(&[rows @ 1..=u8::MAX, columns @ 1..=u8::MAX]) => Ok(Extent([rows, columns])),
            _ => Err(A::Error::invalid_value(Unexpected::Seq, &self)),
        }
    }
}

impl Serialize for Padding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Same => serializer.serialize_str("same"),
            Self::Valid => serializer.serialize_str("valid"),
            Self::Sides(sides) => sides.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Padding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PaddingVisitor)
    }
}

struct PaddingVisitor;

impl<'de> Visitor<'de> for PaddingVisitor {
    type Value = Padding;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"same\", \"valid\" or [top, left, bottom, right], each at most 255")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Padding, E> {
        match name {
            "same" => Ok(Padding::Same),
            "valid" => Ok(Padding::Valid),
            _ => Err(E::invalid_value(Unexpected::Str(name), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<Padding, A::Error> {
        match bytes(sequence)?.as_deref() {
            Some(&[top, left, bottom, right]) => Ok(Padding::Sides([top, left, bottom, right])),
            _ => Err(A::Error::invalid_value(Unexpected::Seq, &self)),
        }
    }
}

/// The numbers of a list; `None` where one of them is no byte.
fn bytes<'de, A: SeqAccess<'de>>(mut sequence: A) -> Result<Option<Vec<u8>>, A::Error> {
    let mut numbers = Vec::new();
    while let Some(number) = sequence.next_element::<i64>()? {
        numbers.push(u8::try_from(number).ok());
    }
    Ok(numbers.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        kernel: Extent,
        padding: Padding,
    }

    #[test]
    fn both_forms_are_read_and_written() {
        for (text, kernel, padding) in [
            ("kernel = 3\npadding = \"same\"\n", [3, 3], Padding::Same),
            ("kernel = [10, 4]\npadding = \"valid\"\n", [10, 4], Padding::Valid),
            ("kernel = [1, 255]\npadding = [0, 1, 2, 255]\n", [1, 255], Padding::Sides([0, 1, 2, 255])),
        ] {
            let holder: Holder = toml::from_str(text).unwrap();
            assert_eq!(holder, Holder { kernel: Extent(kernel), padding });
            assert_eq!(toml::from_str::<Holder>(&toml::to_string(&holder).unwrap()).unwrap(), holder);
        }
    }

    #[test]
    fn anything_else_is_refused_by_what_is_accepted() {
        for (kernel, padding, part) in [
            ("0", "\"same\"", "1 to 255"),
            ("256", "\"same\"", "1 to 255"),
            ("-1", "\"same\"", "1 to 255"),
            ("[3]", "\"same\"", "[rows, columns]"),
            ("[3, 0]", "\"same\"", "[rows, columns]"),
            ("[3, 3, 3]", "\"same\"", "[rows, columns]"),
            ("3", "\"full\"", "\"same\", \"valid\" or"),
            ("3", "[1, 1]", "[top, left, bottom, right]"),
            ("3", "[1, 1, 1, 256]", "at most 255"),
        ] {
            let text = format!("kernel = {kernel}\npadding = {padding}");
            let error = toml::from_str::<Holder>(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
