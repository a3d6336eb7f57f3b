//! The types of values that arrays hold, and how their bytes become numbers.

use half::f16;

/// The type of an array's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    kind: Kind,
    /// Bytes of a value: 1, 2, 4 or 8.
    size: usize,
    big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Boolean,
    Signed,
    Unsigned,
    Real,
}

/// A value of an array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Exactly, from an integer type; a boolean is 0 or 1.
    Whole(i128),
    /// From a floating-point type.
    Real(f64),
}

impl Element {
    /// The type that a header describes, such as `<f4` or `|u1`; `None` for one that holds no plain numbers.
    pub(super) fn from_description(text: &str) -> Option<Self> {
        let &[order, kind, size] = text.as_bytes() else { return None };
        let big_endian = match order {
            b'<' => false,
            b'>' => true,
            b'=' | b'|' => cfg!(target_endian = "big"),
            _ => return None,
        };
        let (kind, size) = match (kind, size) {
            (b'b', b'1') => (Kind::Boolean, 1),
            (b'i', b'1' | b'2' | b'4' | b'8') => (Kind::Signed, size - b'0'),
            (b'u', b'1' | b'2' | b'4' | b'8') => (Kind::Unsigned, size - b'0'),
            (b'f', b'2' | b'4' | b'8') => (Kind::Real, size - b'0'),
            _ => return None,
        };
        Some(Self { kind, size: size.into(), big_endian })
    }

    /// Bytes of a value.
    pub(super) fn size(self) -> usize {
        self.size
    }

    /// The value in `bytes`, of which there are [`Element::size`].
    pub(super) fn decode(self, bytes: &[u8]) -> Number {
        // The value's bits, the lowest byte first.
        let mut bits = [0; 8];
        for (index, byte) in bytes.iter().take(self.size).enumerate() {
            bits[if self.big_endian { self.size - 1 - index } else { index }] = *byte;
        }
        let bits = u64::from_le_bytes(bits);
        match (self.kind, self.size) {
            (Kind::Boolean, _) => Number::Whole((bits != 0).into()),
            (Kind::Unsigned, _) => Number::Whole(bits.into()),
            (Kind::Signed, 1) => Number::Whole((bits as i8).into()),
            (Kind::Signed, 2) => Number::Whole((bits as i16).into()),
            (Kind::Signed, 4) => Number::Whole((bits as i32).into()),
            (Kind::Signed, _) => Number::Whole((bits as i64).into()),
            (Kind::Real, 2) => Number::Real(f16::from_bits(bits as u16).to_f64()),
            (Kind::Real, 4) => Number::Real(f32::from_bits(bits as u32).into()),
            (Kind::Real, _) => Number::Real(f64::from_bits(bits)),
        }
    }
}

impl Number {
    /// The nearest f32; `None` where that is not finite.
    pub(super) fn to_f32(self) -> Option<f32> {
        let value = match self {
            Self::Whole(value) => value as f32,
            Self::Real(value) => value as f32,
        };
        value.is_finite().then_some(value)
    }

    /// The value as a label; `None` where it is no whole number, or one beyond those that its type holds exactly.
    pub(super) fn to_label(self) -> Option<i64> {
        /// 2^53: up to there a 64-bit real holds every whole number.
        const LARGEST_WHOLE_REAL: f64 = 9_007_199_254_740_992.0;
        match self {
            Self::Whole(value) => i64::try_from(value).ok(),
            Self::Real(value) => (value.trunc() == value && value.abs() <= LARGEST_WHOLE_REAL).then_some(value as i64),
        }
    }

    /// The value for messages.
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Self::Whole(value) => value as f64,
            Self::Real(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(description: &str, bytes: &[u8]) -> Number {
        let element = Element::from_description(description).unwrap();
        assert_eq!(element.size(), bytes.len());
        element.decode(bytes)
    }

    #[test]
    fn all_types_are_read_in_both_byte_orders() {
        for (kind, bytes, value) in [
            ("b1", &[1][..], Number::Whole(1)),
            ("i1", &[0xFE], Number::Whole(-2)),
            ("u1", &[0xFE], Number::Whole(254)),
            ("i2", &[0xFE, 0xFF], Number::Whole(-2)),
            ("u2", &[0xFE, 0xFF], Number::Whole(65_534)),
            ("i4", &(-70_000i32).to_le_bytes(), Number::Whole(-70_000)),
            ("u4", &u32::MAX.to_le_bytes(), Number::Whole(u32::MAX.into())),
            ("i8", &i64::MIN.to_le_bytes(), Number::Whole(i64::MIN.into())),
            ("u8", &u64::MAX.to_le_bytes(), Number::Whole(u64::MAX.into())),
            ("f2", &[0x00, 0xBE], Number::Real(-1.5)),
            ("f4", &0.1f32.to_le_bytes(), Number::Real(0.1f32.into())),
            ("f8", &0.1f64.to_le_bytes(), Number::Real(0.1)),
        ] {
            let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
            assert_eq!(decoded(&format!("<{kind}"), bytes), value, "{kind}");
            assert_eq!(decoded(&format!(">{kind}"), &reversed), value, "{kind}");
        }
        assert_eq!(decoded("|u1", &[7]), Number::Whole(7));
    }

    #[test]
    fn what_holds_no_plain_numbers_is_no_element() {
        for text in ["|O", "|O8", "<U3", "|S7", "<c8", "<c16", "<f16", "<M8", "<M8[s]", "|V4", "f4", "<i3", "", "<f4 "]
        {
            assert_eq!(Element::from_description(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_become_values_and_labels_where_they_can() {
        assert_eq!([Number::Whole(-3).to_f32(), Number::Real(0.5).to_f32()], [Some(-3.0), Some(0.5)]);
        for value in [f64::NAN, f64::INFINITY, 1e39] {
            assert_eq!((Number::Real(value).to_f32(), Number::Real(value).to_label()), (None, None));
        }
        assert_eq!([Number::Whole(7).to_label(), Number::Real(-7.0).to_label()], [Some(7), Some(-7)]);
        for value in [Number::Real(0.5), Number::Real(1e16), Number::Whole(u64::MAX.into())] {
            assert_eq!(value.to_label(), None);
        }
    }
}
