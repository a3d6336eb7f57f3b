//! Numbers as people read them.

/// A share as a percentage with two decimals.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// A number with its thousands apart: 12,345.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with its sign, a minus as wide as a digit: −12,345.
pub fn signed(value: i64) -> String {
    let sign = if value < 0 { "−" } else { "" };
    format!("{sign}{}", thousands(value.unsigned_abs()))
}

/// A number that need not be whole with three digits that count, or more where they stand before the point: 12,345, 1.23,
/// 0.0123.
pub fn rounded(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 100.0 {
        let whole = thousands(magnitude.round() as u64);
        return if value < 0.0 { format!("−{whole}") } else { whole };
    }
    let decimals = match magnitude {
        0.0 => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => (2.0 - magnitude.log10().floor()).clamp(3.0, 6.0) as usize,
    };
    format!("{value:.decimals$}").replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1234567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([-1234, 0, 5].map(signed), ["−1,234", "0", "5"]);
        assert_eq!(percent(0.98765), "98.77 %");
        let numbers = [0.0, 0.01234, 0.123, 1.234, 12.34, 123.4, 12345.6, -2.5, -1234.0];
        let expected = ["0", "0.0123", "0.123", "1.23", "12.3", "123", "12,346", "−2.50", "−1,234"];
        assert_eq!(numbers.map(rounded), expected);
    }
}
