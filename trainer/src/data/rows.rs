//! The rows of comma-separated text, one at a time, with the line each starts on.
//!
//! A message about a row is worth little without its line, and the underlying reader counts a row's line before it skips
//! the empty lines above it. Here every line, the last one included, ends in a line feed, so that the line where a row
//! ends is known, and with it the line where it starts.

use std::io::{Chain, Read};
use std::path::Path;

use ::csv::{Reader, ReaderBuilder, StringRecord, Terminator};

use super::DataError;

/// Reads rows from text that messages call `path`.
pub(super) struct Rows<'a, R: Read> {
    reader: Reader<Chain<R, &'static [u8]>>,
    path: &'a Path,
    /// The row read last, its fields trimmed of spaces and, with them, of carriage returns.
    pub(super) row: StringRecord,
    /// The line that row starts on, counted from 1.
    pub(super) line: u64,
}

impl<'a, R: Read> Rows<'a, R> {
    pub(super) fn new(content: R, path: &'a Path) -> Self {
        let reader = ReaderBuilder::new()
            .has_headers(false)
            // Rows of unequal length are let through, to be refused in words of our own.
            .flexible(true)
            .terminator(Terminator::Any(b'\n'))
            .from_reader(content.chain(&b"\n"[..]));
        Self { reader, path, row: StringRecord::new(), line: 0 }
    }

    /// Reads the next row that is not empty; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, DataError> {
        loop {
            let read = self.reader.read_record(&mut self.row);
            if !read.map_err(|source| DataError::Csv { path: self.path.to_owned(), source })? {
                return Ok(false);
            }
            // Line feeds inside quotes, and the one that ended the row.
            let passed = 1 + self.row.as_slice().bytes().filter(|&byte| byte == b'\n').count() as u64;
            self.line = self.reader.position().line().saturating_sub(passed);
            self.row.trim();
            if self.row.len() > 1 || !self.row.as_slice().is_empty() {
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(u64, String)> {
        let mut rows = Rows::new(text.as_bytes(), Path::new("table.csv"));
        let mut lines = Vec::new();
        while rows.advance().unwrap() {
            lines.push((rows.line, rows.row.iter().collect::<Vec<_>>().join("|")));
        }
        lines
    }

    fn expected(lines: &[(u64, &str)]) -> Vec<(u64, String)> {
        lines.iter().map(|&(line, row)| (line, row.to_owned())).collect()
    }

    #[test]
    fn empty_lines_are_skipped_and_counted() {
        for text in ["a,b\n\n\nc,d\ne", "a,b\r\n\r\n \r\nc,d\r\ne\r\n", "a , b\n\n \n c,d\ne\n\n"] {
            assert_eq!(lines(text), expected(&[(1, "a|b"), (4, "c|d"), (5, "e")]), "{text:?}");
        }
        assert_eq!(lines(""), []);
        assert_eq!(lines("\n\r\n \n"), []);
    }

    #[test]
    fn quoted_fields_may_span_lines() {
        let text = "\n\"a\nb\",\"c\n\"\n\"d, \"\"e\"\"\",f\r\n";
        assert_eq!(lines(text), expected(&[(2, "a\nb|c"), (5, "d, \"e\"|f")]));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_field() {
        assert_eq!(lines("\u{feff}a,b\n"), expected(&[(1, "a|b")]));
    }

    #[test]
    fn empty_fields_are_fields() {
        assert_eq!(lines(",\n"), expected(&[(1, "|")]));
    }

    #[test]
    fn what_is_not_utf_8_is_refused() {
        let mut rows = Rows::new(&b"1,\xff\n"[..], Path::new("table.csv"));
        assert!(matches!(rows.advance(), Err(DataError::Csv { path, .. }) if path == Path::new("table.csv")));
    }
}
