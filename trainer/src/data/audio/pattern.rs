//! What the name of a recording says: a pattern takes it apart, a condition picks recordings by a part of it.
//!
//! `{label}_{speaker}_{index}` reads `7_george_12.wav` as the label 7, the speaker george and the index 12. A field takes
//! as few letters as it can, at least one; the last one takes the rest. `{}` passes letters over.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::super::DataError;

/// The field that says which class a recording is of.
pub const LABEL: &str = "label";

/// Fields of a name and the text between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written.
    text: String,
    /// What stands before the first field.
    prefix: String,
    /// Each field and the text behind it; empty only behind the last one.
    fields: Vec<(String, String)>,
}

impl Pattern {
    /// Whether it has this field.
    pub fn has(&self, field: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == field)
    }

    /// The fields of a name without its ending; `None` where it does not fit.
    pub fn fields<'a>(&'a self, name: &'a str) -> Option<BTreeMap<&'a str, &'a str>> {
        let mut rest = name.strip_prefix(self.prefix.as_str())?;
        let mut found = BTreeMap::new();
        for (index, (field, behind)) in self.fields.iter().enumerate() {
            let end = if index + 1 < self.fields.len() {
                // At least one letter is the field's.
                let first = rest.chars().next()?.len_utf8();
                first + rest.get(first..)?.find(behind.as_str())?
            } else {
                rest.strip_suffix(behind.as_str())?.len()
            };
            let value = rest.get(..end).filter(|value| !value.is_empty())?;
            rest = rest.get(end + behind.len()..)?;
            if !field.is_empty() {
                found.insert(field.as_str(), value);
            }
        }
        Some(found)
    }
}

impl FromStr for Pattern {
    type Err = DataError;

    /// Fails with [`DataError::Pattern`] alone.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let refused = || DataError::Pattern { text: text.to_owned() };
        let mut parts = text.split('{');
        let prefix = parts.next().unwrap_or_default().to_owned();
        let mut fields: Vec<(String, String)> = Vec::new();
        for part in parts {
            let (field, behind) = part.split_once('}').ok_or_else(refused)?;
            // Two fields side by side would share out letters by chance.
            let is_apart = fields.last().is_none_or(|(_, behind)| !behind.is_empty());
            let is_new = field.is_empty() || fields.iter().all(|(other, _)| other != field);
            if !is_apart || !is_new || behind.contains('}') || !field.chars().all(|c| c.is_alphanumeric() || c == '-') {
                return Err(refused());
            }
            fields.push((field.to_owned(), behind.to_owned()));
        }
        if prefix.contains('}') || fields.is_empty() {
            return Err(refused());
        }
        Ok(Self { text: text.to_owned(), prefix, fields })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Which recordings are meant, by one field: `speaker=george`, `speaker=george,theo` or `index=0-4,9`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    field: String,
    values: Vec<Value>,
}

/// A value that a field may have.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// Whole numbers from the first to the last, however they are written.
    Numbers(u64, u64),
    /// This text.
    Text(String),
}

impl Condition {
    /// The field it looks at.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Whether a field with this value is meant.
    pub fn holds(&self, found: &str) -> bool {
        let number = found.parse::<u64>().ok();
        self.values.iter().any(|value| match value {
            Value::Numbers(first, last) => number.is_some_and(|number| (*first..=*last).contains(&number)),
            Value::Text(text) => text == found,
        })
    }
}

impl FromStr for Condition {
    type Err = DataError;

    /// Fails with [`DataError::Condition`] alone.
    fn from_str(text: &str) -> Result<Self, DataError> {
        let refused = || DataError::Condition { text: text.to_owned() };
        let (field, values) = text.split_once('=').ok_or_else(refused)?;
        let (field, mut parsed) = (field.trim(), Vec::new());
        for value in values.split(',').map(str::trim) {
            let (first, last) = value.split_once('-').unwrap_or((value, value));
            parsed.push(match (first.parse(), last.parse()) {
                (Ok(first), Ok(last)) if first <= last => Value::Numbers(first, last),
                (Ok(_), Ok(_)) => return Err(refused()),
                _ if value.is_empty() => return Err(refused()),
                _ => Value::Text(value.to_owned()),
            });
        }
        if field.is_empty() {
            return Err(refused());
        }
        Ok(Self { field: field.to_owned(), values: parsed })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=", self.field)?;
        for (index, value) in self.values.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            match value {
                Value::Numbers(first, last) if first == last => write!(formatter, "{separator}{first}")?,
                Value::Numbers(first, last) => write!(formatter, "{separator}{first}-{last}")?,
                Value::Text(text) => write!(formatter, "{separator}{text}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>(pattern: &'a Pattern, name: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        Some(pattern.fields(name)?.into_iter().collect())
    }

    #[test]
    fn names_are_taken_apart() {
        let pattern: Pattern = "{label}_{speaker}_{index}".parse().unwrap();
        let found = fields(&pattern, "7_george_12").unwrap();
        assert_eq!(found, [("index", "12"), ("label", "7"), ("speaker", "george")]);
        assert_eq!(fields(&pattern, "7_a_b_1").unwrap()[0], ("index", "b_1"));
        for name in ["7_george", "_george_12", "7__12", "7_george_", ""] {
            assert_eq!(fields(&pattern, name), None, "{name}");
        }
        assert!(pattern.has("speaker") && !pattern.has("take"));
        let commands: Pattern = "{speaker}_nohash_{}".parse().unwrap();
        assert_eq!(fields(&commands, "0a7c2a8d_nohash_3").unwrap(), [("speaker", "0a7c2a8d")]);
        let around: Pattern = "clip-{label}.left".parse().unwrap();
        assert_eq!(fields(&around, "clip-é.left").unwrap(), [("label", "é")]);
        assert_eq!((fields(&around, "clip-.left"), fields(&around, "clip-a.right")), (None, None));
    }

    #[test]
    fn patterns_that_say_nothing_are_refused() {
        for text in ["", "label", "{label", "label}", "{a}{b}", "{a}_{a}", "{a}}", "{a b}"] {
            let error = text.parse::<Pattern>().unwrap_err().to_string();
            assert!(error.contains("{label}_{speaker}_{index}"), "{text}: {error}");
        }
    }

    #[test]
    fn conditions_pick_by_number_or_text() {
        let condition = |text: &str| text.parse::<Condition>().unwrap();
        let index = condition("index=0-4, 9");
        assert_eq!(
            ["0", "4", "04", "5", "9", "x"].map(|value| index.holds(value)),
            [true, true, true, false, true, false]
        );
        let speakers = condition("speaker = george,jean-luc");
        assert_eq!(["george", "jean-luc", "theo"].map(|value| speakers.holds(value)), [true, true, false]);
        assert_eq!((speakers.field(), speakers.to_string()), ("speaker", "speaker=george,jean-luc".to_owned()));
        assert_eq!(condition(&index.to_string()), index);
        for text in ["", "speaker", "=george", "speaker=", "index=4-1", "index=1,,2"] {
            let error = text.parse::<Condition>().unwrap_err().to_string();
            assert!(error.contains("speaker=george"), "{text}: {error}");
        }
    }
}
