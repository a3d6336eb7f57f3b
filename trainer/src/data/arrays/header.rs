//! The header of an array: a magic, a version, and a Python dictionary of three entries.
//!
//! ```text
//! \x93NUMPY 1 0 <length> {'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }
//! ```

use std::io::{self, Read};

use super::super::ArrayFault;
use super::element::Element;

/// The first six bytes of every array.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Longest text of a header; NumPy itself trusts none above 10,000 bytes.
const LONGEST_TEXT: u32 = 1 << 16;

/// What a header says.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) shape: Vec<u64>,
    /// Bytes of the header: the values follow.
    pub(super) bytes: u64,
}

/// Why a header could not be read.
#[derive(Debug)]
pub(super) enum Refused {
    Io(io::Error),
    Fault(ArrayFault),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Fault(ArrayFault::Header),
            _ => Self::Io(error),
        }
    }
}

/// Reads the header and leaves `content` at the first value.
pub(super) fn read(content: &mut dyn Read) -> Result<Header, Refused> {
    let mut start = [0; 8];
    content.read_exact(&mut start)?;
    let [.., major, minor] = start;
    if !start.starts_with(MAGIC) {
        return Err(Refused::Fault(ArrayFault::Magic));
    }
    let mut length = [0; 4];
    let length_bytes = match (major, minor) {
        (1, 0) => 2,
        (2 | 3, 0) => 4,
        _ => return Err(Refused::Fault(ArrayFault::Version { major, minor })),
    };
    content.read_exact(&mut length[..length_bytes])?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST_TEXT {
        return Err(Refused::Fault(ArrayFault::Header));
    }
    let mut text = vec![0; length as usize];
    content.read_exact(&mut text)?;
    let text = str::from_utf8(&text).map_err(|_| Refused::Fault(ArrayFault::Header))?;
    let Description { element, fortran_order, shape } = describe(text).map_err(Refused::Fault)?;
    if fortran_order {
        return Err(Refused::Fault(ArrayFault::FortranOrder));
    }
    Ok(Header { element, shape, bytes: (start.len() + length_bytes) as u64 + u64::from(length) })
}

/// The three entries.
struct Description {
    element: Element,
    fortran_order: bool,
    shape: Vec<u64>,
}

fn describe(text: &str) -> Result<Description, ArrayFault> {
    let mut scanner = Scanner(text);
    let (mut element, mut fortran_order, mut shape) = (None, None, None);
    scanner.expect("{")?;
    while !scanner.take("}") {
        let key = scanner.quoted()?;
        scanner.expect(":")?;
        match key {
            "descr" if scanner.take("[") => {
                return Err(ArrayFault::Type { description: "a structure of fields".to_owned() });
            }
            "descr" => {
                let description = scanner.quoted()?;
                let unknown = || ArrayFault::Type { description: shortened(description) };
                element = Some(Element::from_description(description).ok_or_else(unknown)?);
            }
            "fortran_order" if scanner.take("True") => fortran_order = Some(true),
            "fortran_order" if scanner.take("False") => fortran_order = Some(false),
            "shape" => shape = Some(scanner.tuple()?),
            _ => return Err(ArrayFault::Header),
        }
        if !scanner.take(",") {
            scanner.expect("}")?;
            break;
        }
    }
    match (element, fortran_order, shape) {
        (Some(element), Some(fortran_order), Some(shape)) if scanner.0.trim_ascii().is_empty() => {
            Ok(Description { element, fortran_order, shape })
        }
        _ => Err(ArrayFault::Header),
    }
}

/// As much of a text as a message has room for.
fn shortened(text: &str) -> String {
    text.chars().take(24).collect()
}

/// The text that is still to be read; spaces between tokens are skipped.
struct Scanner<'a>(&'a str);

impl<'a> Scanner<'a> {
    /// Whether `token` came next; then it is read.
    fn take(&mut self, token: &str) -> bool {
        let rest = self.0.trim_ascii_start().strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), ArrayFault> {
        if self.take(token) { Ok(()) } else { Err(ArrayFault::Header) }
    }

    /// A text in quotes of either kind; those of headers hold no escapes.
    fn quoted(&mut self) -> Result<&'a str, ArrayFault> {
        let quote = if self.take("'") { "'" } else { "\"" };
        if quote == "\"" {
            self.expect(quote)?;
        }
        let (text, rest) = self.0.split_once(quote).ok_or(ArrayFault::Header)?;
        self.0 = rest;
        Ok(text)
    }

    /// Numbers in parentheses, with a comma after each but perhaps the last.
    fn tuple(&mut self) -> Result<Vec<u64>, ArrayFault> {
        let mut numbers = Vec::new();
        self.expect("(")?;
        while !self.take(")") {
            let rest = self.0.trim_ascii_start();
            let digits = rest.len() - rest.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
            numbers.push(rest[..digits].parse().map_err(|_| ArrayFault::Header)?);
            self.0 = &rest[digits..];
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape_of(text: &str) -> Result<Vec<u64>, ArrayFault> {
        describe(text).map(|description| description.shape)
    }

    #[test]
    fn headers_are_read_as_python_would() {
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }          \n",
            "{\"shape\":(3,2),\"descr\":\"<f4\",\"fortran_order\":False}",
            " { 'fortran_order' : False , 'shape' : ( 3 , 2 , ) , 'descr' : '<f4' } ",
        ] {
            assert_eq!(shape_of(text), Ok(vec![3, 2]), "{text}");
        }
        assert_eq!(shape_of("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"), Ok(vec![3]));
        assert_eq!(shape_of("{'descr': '<f4', 'fortran_order': False, 'shape': ()}"), Ok(vec![]));
    }

    #[test]
    fn other_texts_are_no_headers() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }";
        for length in 0..good.len() {
            assert!(shape_of(&good[..length]).is_err(), "{}", &good[..length]);
        }
        for (from, to) in [
            ("}", "} 1"),
            ("False", "false"),
            ("(3, 2)", "(3, -2)"),
            ("(3, 2)", "(3 2)"),
            ("(3, 2)", "(18446744073709551616, 2)"),
            ("(3, 2)", "((3, 2))"),
            ("(3, 2)", "3"),
            ("'<f4'", "4"),
            ("'shape'", "'size'"),
            ("'shape': (3, 2)", ""),
        ] {
            assert_eq!(shape_of(&good.replacen(from, to, 1)), Err(ArrayFault::Header), "{to}");
        }
        let deep = "{'descr': ".repeat(5_000);
        assert_eq!(shape_of(&deep), Err(ArrayFault::Header));
    }

    #[test]
    fn types_without_plain_numbers_are_shown() {
        let fault = |description: &str| {
            shape_of(&format!("{{'descr': {description}, 'fortran_order': False, 'shape': (3, 2)}}")).unwrap_err()
        };
        for description in ["|O", "<U3", "|S7", "<c8"] {
            assert_eq!(fault(&format!("'{description}'")), ArrayFault::Type { description: description.into() });
        }
        let description = "a structure of fields".to_owned();
        assert_eq!(fault("[('a', '<f4'), ('b', '<i4')]"), ArrayFault::Type { description });
    }
}
