//! From labels, the texts of a table's column or the numbers of an array, to class numbers.
//!
//! Where every label is a whole number the classes are ordered, and told apart, by value, so that 10 follows 9 and `01`
//! is `1`; otherwise by their text. The order depends on which labels there are and not on where they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::DataError;

/// Most classes: a count of them fits in a u16, as does every label.
const MOST_CLASSES: u16 = 65_535;

/// The classes of a data set, findable by a label.
#[derive(Debug)]
pub(super) enum Classes {
    /// Every label is a whole number.
    Numbers(BTreeMap<i64, u16>),
    /// At least one is not.
    Texts(BTreeMap<String, u16>),
}

impl Classes {
    /// The classes among `labels`, which the table `path` holds; repeated labels do no harm.
    pub(super) fn among(labels: &[String], path: &Path) -> Result<Self, DataError> {
        let numbers = labels.iter().map(|label| label.parse::<i64>()).collect::<Result<BTreeSet<_>, _>>();
        match numbers {
            Ok(numbers) => Ok(Self::Numbers(number(numbers, path)?)),
            Err(_) => Ok(Self::Texts(number(labels.iter().cloned().collect(), path)?)),
        }
    }

    /// The classes among whole numbers; repeated ones do no harm.
    pub(super) fn among_numbers(labels: &[i64], path: &Path) -> Result<Self, DataError> {
        Ok(Self::Numbers(number(labels.iter().copied().collect(), path)?))
    }

    /// The class of a whole number, where it has one.
    pub(super) fn find_number(&self, label: i64) -> Option<u16> {
        match self {
            Self::Numbers(classes) => classes.get(&label).copied(),
            Self::Texts(_) => None,
        }
    }

    /// The class of a label, where it has one.
    pub(super) fn find(&self, label: &str) -> Option<u16> {
        match self {
            Self::Numbers(_) => self.find_number(label.parse().ok()?),
            Self::Texts(classes) => classes.get(label).copied(),
        }
    }

    /// The names of the classes, in the order of their numbers.
    pub(super) fn names(self) -> Vec<String> {
        match self {
            Self::Numbers(classes) => classes.into_keys().map(|number| number.to_string()).collect(),
            Self::Texts(classes) => classes.into_keys().collect(),
        }
    }
}

/// Gives the classes the numbers from 0, in their order.
fn number<T: Ord>(classes: BTreeSet<T>, path: &Path) -> Result<BTreeMap<T, u16>, DataError> {
    match classes.len() {
        count if count < 2 => Err(DataError::TooFewClasses { path: path.to_owned(), count }),
        count if count > usize::from(MOST_CLASSES) => Err(DataError::TooManyClasses { path: path.to_owned(), count }),
        _ => Ok(classes.into_iter().zip(0..MOST_CLASSES).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(labels: &[&str]) -> Result<Classes, DataError> {
        let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
        Classes::among(&labels, Path::new("table.csv"))
    }

    #[test]
    fn numbers_are_ordered_by_value() {
        let classes = among(&["10", "9", "-1", "09"]).unwrap();
        assert_eq!([classes.find("-1"), classes.find("9"), classes.find("010")], [Some(0), Some(1), Some(2)]);
        assert_eq!([classes.find("11"), classes.find("nine")], [None, None]);
        assert_eq!(classes.names(), ["-1", "9", "10"]);
    }

    #[test]
    fn numbers_need_no_text() {
        let classes = Classes::among_numbers(&[7, -3, 7, 100], Path::new("y.npy")).unwrap();
        assert_eq!([-3, 7, 100, 8].map(|label| classes.find_number(label)), [Some(0), Some(1), Some(2), None]);
        assert_eq!(classes.names(), ["-3", "7", "100"]);
        assert_eq!(among(&["a", "7"]).unwrap().find_number(7), None);
    }

    #[test]
    fn one_text_makes_all_labels_text() {
        let classes = among(&["10", "9", "none", "09"]).unwrap();
        assert_eq!([classes.find("9"), classes.find("010")], [Some(2), None]);
        assert_eq!(classes.names(), ["09", "10", "9", "none"]);
    }

    #[test]
    fn the_number_of_classes_is_bounded() {
        for labels in [&[][..], &["yes"], &["1", "01"]] {
            assert!(matches!(among(labels), Err(DataError::TooFewClasses { .. })), "{labels:?}");
        }
        let mut labels: Vec<String> = (0..MOST_CLASSES).map(|number| number.to_string()).collect();
        let classes = Classes::among(&labels, Path::new("table.csv")).unwrap();
        assert_eq!(classes.find("65534"), Some(65_534));
        for extra in ["65535", "text"] {
            labels.push(extra.to_owned());
            let error = Classes::among(&labels, Path::new("table.csv")).unwrap_err();
            assert!(matches!(error, DataError::TooManyClasses { count: 65_536, .. }), "{error}");
            labels.pop();
        }
    }
}
