//! Tables in comma-separated text, plain or gzip.
//!
//! A row is a sample: one column holds its label, the others are its features, in their order. Fields may be quoted and
//! are trimmed of spaces; empty lines are skipped.
//!
//! Whether the first row is a header is decided by its feature fields, unless the label column is given by name, which
//! says that it is:
//!
//! | its feature fields are | the first row is |
//! |---|---|
//! | all numbers | a sample |
//! | all text | a header |
//! | some of each | refused: a sample with a missing value, or a header with numbers for names? |
//!
//! A table whose features are all whole numbers from 0 to 255 becomes [`Values::U8`], any other [`Values::F32`].

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use ::csv::StringRecord;

use super::labels::Classes;
use super::open::open;
use super::rows::Rows;
use super::{DataError, LabelColumn, Samples, Source, TableFault, Values};

/// Reads the table `train` and, where there is one, the table of test samples with the same columns.
pub(super) fn read(train: &Path, test: Option<&Path>, label: &LabelColumn) -> Result<Source, DataError> {
    let table = Table::parse(open(train)?.content, train, label)?;
    let classes = Classes::among(&table.label_texts, train)?;
    let test_samples = match test {
        None => None,
        Some(test) => {
            let test_table = Table::parse(open(test)?.content, test, label)?;
            table.check_columns(train, &test_table, test)?;
            Some(test_table.into_samples(&classes, test)?)
        }
    };
    let train = table.into_samples(&classes, train)?;
    Ok(Source { train, test: test_samples, classes: classes.names(), sequence: false, recordings: None })
}

/// Reads one table from `content`, which messages call `path`.
pub(super) fn read_content(content: impl Read, path: &Path, label: &LabelColumn) -> Result<Source, DataError> {
    let table = Table::parse(content, path, label)?;
    let classes = Classes::among(&table.label_texts, path)?;
    let train = table.into_samples(&classes, path)?;
    Ok(Source { train, test: None, classes: classes.names(), sequence: false, recordings: None })
}

/// A table whose labels have no numbers yet.
struct Table {
    /// Names of the columns, where there is a header line.
    header: Option<StringRecord>,
    /// Columns, the label's included.
    columns: usize,
    /// Features, row-major `[rows, columns − 1]`.
    values: Values,
    /// One entry a row: an index into `label_texts`.
    labels: Vec<usize>,
    /// The texts that occur as labels, each once, in the order of their first row.
    label_texts: Vec<String>,
}

impl Table {
    fn parse(content: impl Read, path: &Path, label: &LabelColumn) -> Result<Self, DataError> {
        let refused = |fault| DataError::Table { path: path.to_owned(), fault };
        let mut rows = Rows::new(content, path);
        if !rows.advance()? {
            return Err(refused(TableFault::Empty));
        }
        let columns = rows.row.len();
        if columns < 2 {
            return Err(refused(TableFault::OneColumn));
        }
        let label_column = find_label(&rows.row, label).map_err(refused)?;
        let mut table = Self { header: None, columns, values: Values::U8(vec![]), labels: vec![], label_texts: vec![] };
        if matches!(label, LabelColumn::Name(_)) || is_header(&rows.row, label_column).map_err(refused)? {
            table.header = Some(rows.row.clone());
            if !rows.advance()? {
                return Err(refused(TableFault::HeaderOnly));
            }
        }

        let mut known = HashMap::new();
        loop {
            table.push(&rows.row, rows.line, label_column, &mut known).map_err(refused)?;
            if !rows.advance()? {
                return Ok(table);
            }
        }
    }

    /// Adds the row that starts on `line`; `known` finds the texts in `label_texts`.
    fn push(
        &mut self,
        row: &StringRecord,
        line: u64,
        label_column: usize,
        known: &mut HashMap<String, usize>,
    ) -> Result<(), TableFault> {
        if row.len() != self.columns {
            return Err(TableFault::RaggedRow { line, expected: self.columns, found: row.len() });
        }
        for (column, field) in features(row, label_column) {
            match field.parse::<f32>() {
                Ok(value) if value.is_finite() => self.values.push(value),
                Ok(_) => return Err(TableFault::NotFinite { line, column: column + 1, text: field.to_owned() }),
                Err(_) => return Err(TableFault::NotANumber { line, column: column + 1, text: field.to_owned() }),
            }
        }
        let label = row.get(label_column).filter(|label| !label.is_empty()).ok_or(TableFault::EmptyLabel { line })?;
        let index = known.get(label).copied().unwrap_or_else(|| {
            known.insert(label.to_owned(), self.label_texts.len());
            self.label_texts.push(label.to_owned());
            self.label_texts.len() - 1
        });
        self.labels.push(index);
        Ok(())
    }

    /// Refuses a table of test samples whose columns are not those of this one.
    fn check_columns(&self, train: &Path, other: &Self, test: &Path) -> Result<(), DataError> {
        let (train, test) = (train.to_owned(), test.to_owned());
        if self.columns != other.columns {
            let (train_count, test_count) = (self.columns, other.columns);
            return Err(DataError::ColumnCountsDiffer { train, train_count, test, test_count });
        }
        let name = |table: &Self, column| {
            table.header.as_ref().and_then(|header| header.get(column)).unwrap_or_default().to_owned()
        };
        match (0..self.columns).find(|&column| name(self, column) != name(other, column)) {
            None => Ok(()),
            Some(column) => Err(DataError::ColumnNamesDiffer {
                column: column + 1,
                train,
                train_name: name(self, column),
                test,
                test_name: name(other, column),
            }),
        }
    }

    /// Numbers the labels; one that `classes` lacks is an error.
    fn into_samples(self, classes: &Classes, path: &Path) -> Result<Samples, DataError> {
        let number = |label: &String| {
            let unknown = || DataError::UnknownLabel { path: path.to_owned(), label: label.clone() };
            classes.find(label).ok_or_else(unknown)
        };
        let numbers = self.label_texts.iter().map(number).collect::<Result<Vec<_>, _>>()?;
        let labels = self.labels.into_iter().filter_map(|index| numbers.get(index).copied()).collect();
        Ok(Samples::new([1, 1, self.columns - 1], self.values, labels))
    }
}

/// The fields of a row that are features, with their columns counted from 0.
fn features(row: &StringRecord, label_column: usize) -> impl Iterator<Item = (usize, &str)> {
    row.iter().enumerate().filter(move |&(column, _)| column != label_column)
}

/// The place of the label column, given the first row.
fn find_label(first: &StringRecord, label: &LabelColumn) -> Result<usize, TableFault> {
    let name = match label {
        LabelColumn::First => return Ok(0),
        LabelColumn::Last => return Ok(first.len() - 1),
        LabelColumn::Name(name) => name,
    };
    let mut places = (0..first.len()).filter(|&column| first.get(column) == Some(name));
    match (places.next(), places.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err(TableFault::RepeatedColumn { name: name.clone() }),
        (None, _) => {
            let columns = first.iter().map(str::to_owned).collect();
            Err(TableFault::NoSuchColumn { name: name.clone(), columns })
        }
    }
}

/// Whether the first row is a header, by the rule in this module's description.
fn is_header(first: &StringRecord, label_column: usize) -> Result<bool, TableFault> {
    let is_number = |field: &str| field.parse::<f32>().is_ok();
    let any_number = features(first, label_column).any(|(_, field)| is_number(field));
    match features(first, label_column).find(|(_, field)| !is_number(field)) {
        None => Ok(false),
        Some(_) if !any_number => Ok(true),
        Some((column, text)) => Err(TableFault::MixedFirstRow { column: column + 1, text: text.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::open::gzip;
    use super::*;

    fn outcome(text: &str, label: LabelColumn) -> Result<Source, DataError> {
        read_content(text.as_bytes(), Path::new("table.csv"), &label)
    }

    fn fault_with(text: &str, label: LabelColumn) -> TableFault {
        match outcome(text, label) {
            Err(DataError::Table { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }

    fn fault(text: &str) -> TableFault {
        fault_with(text, LabelColumn::Last)
    }

    #[test]
    fn rows_become_samples() {
        let source = outcome("1.5,-2,cat\n\n 0 , 3e2 ,\"a, dog\"\r\n7,8,cat", LabelColumn::Last).unwrap();
        assert_eq!(source.classes, ["a, dog", "cat"]);
        assert_eq!(source.train.shape, [1, 1, 2]);
        assert_eq!(source.train.values, Values::F32(vec![1.5, -2.0, 0.0, 300.0, 7.0, 8.0]));
        assert_eq!(source.train.labels, [1, 0, 1]);
        assert!(source.test.is_none());
    }

    #[test]
    fn the_label_may_stand_anywhere() {
        let text = "\u{feff}kind,height,width\n10,1,2\n9,3,4\n";
        let named = LabelColumn::Name("height".into());
        assert_eq!(outcome(text, named).unwrap().train.values, Values::U8(vec![10, 2, 9, 4]));
        let first = outcome(text, LabelColumn::First).unwrap();
        assert_eq!(first, outcome(text, LabelColumn::Name("kind".into())).unwrap());
        assert_eq!((first.classes, first.train.labels), (vec!["9".into(), "10".into()], vec![1, 0]));
    }

    #[test]
    fn the_first_line_is_a_header_or_a_row() {
        for (text, rows) in [("a,b,c\n1,2,x\n3,4,y", 2), ("1,2,c\n1,2,x\n3,4,y", 3)] {
            assert_eq!(outcome(text, LabelColumn::Last).unwrap().train.len(), rows, "{text}");
        }
        let numbered = "0,1,kind\n1,2,x\n3,4,y";
        assert_eq!(outcome(numbered, LabelColumn::Name("kind".into())).unwrap().train.len(), 2);
        assert_eq!(fault("5,?,x\n1,2,y"), TableFault::MixedFirstRow { column: 2, text: "?".into() });
    }

    #[test]
    fn bytes_stay_bytes() {
        let values = |text: &str| outcome(text, LabelColumn::Last).unwrap().train.values;
        assert_eq!(values("0,x\n255.0,y"), Values::U8(vec![0, 255]));
        for other in ["256", "-1", "0.5"] {
            assert!(matches!(values(&format!("0,x\n{other},y")), Values::F32(_)), "{other}");
        }
    }

    #[test]
    fn bad_fields_are_shown_where_they_are() {
        let text = |text: &str| text.to_owned();
        let found = fault("a,b,c\n\n1,2,x\n3,4x,y\n");
        assert_eq!(found, TableFault::NotANumber { line: 4, column: 2, text: text("4x") });
        assert_eq!(fault("1,2,x\n,4,y\n"), TableFault::NotANumber { line: 2, column: 1, text: text("") });
        for bad in ["inf", "NaN", "1e39"] {
            let found = fault(&format!("1,2,x\n{bad},4,y\n"));
            assert_eq!(found, TableFault::NotFinite { line: 2, column: 1, text: text(bad) });
        }
        assert_eq!(fault("1,2,x\n3,4, \n"), TableFault::EmptyLabel { line: 2 });
    }

    #[test]
    fn ragged_rows_are_counted() {
        for (row, found) in [("1,x", 2), ("1,2,3,x", 4)] {
            let fault = fault(&format!("1,2,x\n\n\n{row}\n"));
            assert_eq!(fault, TableFault::RaggedRow { line: 4, expected: 3, found });
        }
    }

    #[test]
    fn tables_without_samples_are_refused() {
        assert_eq!(fault(""), TableFault::Empty);
        assert_eq!(fault("\n\n"), TableFault::Empty);
        assert_eq!(fault("a,b,c\n"), TableFault::HeaderOnly);
        assert_eq!(fault("1\n2\n"), TableFault::OneColumn);
        assert_eq!(fault("1;2;x\n3;4;y\n"), TableFault::OneColumn);
        let error = outcome("1,x\n2,x\n", LabelColumn::Last).unwrap_err();
        assert!(matches!(error, DataError::TooFewClasses { count: 1, .. }));
    }

    #[test]
    fn label_names_must_be_there_once() {
        let label = || LabelColumn::Name("kind".into());
        let (name, columns) = ("kind".into(), ["a", "b", "c"].map(String::from).to_vec());
        assert_eq!(fault_with("a,b,c\n1,2,x\n", label()), TableFault::NoSuchColumn { name, columns });
        let name = "kind".into();
        assert_eq!(fault_with("kind,b,kind\n1,2,x\n", label()), TableFault::RepeatedColumn { name });
    }

    #[test]
    fn a_damaged_archive_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv.gz");
        let packed = gzip("1,2,x\n3,4,y\n".repeat(100).as_bytes());
        std::fs::write(&path, &packed[..packed.len() - 1]).unwrap();
        assert!(matches!(read(&path, None, &LabelColumn::Last), Err(DataError::Csv { .. })));
    }

    #[test]
    fn test_tables_must_fit_the_training_table() {
        let folder = tempfile::tempdir().unwrap();
        let (train, test) = (folder.path().join("train.csv"), folder.path().join("test.csv"));
        let outcome = |train_text: &str, test_text: &str| {
            std::fs::write(&train, gzip(train_text.as_bytes())).unwrap();
            std::fs::write(&test, test_text).unwrap();
            read(&train, Some(&test), &LabelColumn::Last)
        };
        let good = outcome("a,b,c\n1,2,3\n4,5,6", "a,b,c\n7,8,06\n").unwrap();
        assert_eq!(good.test.unwrap().labels, [1]);

        let error = outcome("1,2,x\n3,4,y\n", "1,x\n").unwrap_err();
        assert!(matches!(error, DataError::ColumnCountsDiffer { train_count: 3, test_count: 2, .. }), "{error}");
        let error = outcome("a,b,c\n1,2,x\n3,4,y\n", "a,d,c\n1,2,x\n").unwrap_err();
        assert!(matches!(error, DataError::ColumnNamesDiffer { column: 2, .. }), "{error}");
        let error = outcome("a,b,c\n1,2,x\n3,4,y\n", "1,2,x\n").unwrap_err();
        assert!(matches!(error, DataError::ColumnNamesDiffer { column: 1, .. }), "{error}");
        match outcome("1,2,x\n3,4,y\n", "1,2,z\n").unwrap_err() {
            DataError::UnknownLabel { path, label } => assert_eq!((path, label.as_str()), (test.clone(), "z")),
            other => panic!("{other}"),
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_samples_or_an_error(text in "(([0-9.,\"x\n-]|[ab],[01]\n){0,40})|([01a],[01],[xy]\n){1,9}") {
            for label in [LabelColumn::First, LabelColumn::Last, LabelColumn::Name("0".into())] {
                if let Ok(source) = outcome(&text, label) {
                    prop_assert!(source.train.check().is_ok() && !source.train.is_empty());
                    let largest = source.train.labels.iter().copied().max().map(usize::from);
                    prop_assert_eq!(largest.map(|label| label + 1), Some(source.classes.len()));
                }
            }
        }
    }
}
