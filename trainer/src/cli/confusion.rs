//! Which classes a model takes for which, for people and as JSON.

use super::output::say;
use serde_json::{Value, json};
use trishift::Model;
use trishift_trainer::evaluate::Confusion;

/// Most letters of a class's name in a table; the rest is cut off.
const MOST_LETTERS: usize = 12;

/// Most classes of a table that people can read.
const MOST_CLASSES: usize = 40;

/// The classes and, row after row, how many samples of each are taken for which.
pub(super) fn to_json(confusion: &Confusion, model: &Model<'_>) -> Value {
    json!({ "classes": names(confusion, model), "counts": confusion.rows().collect::<Vec<_>>() })
}

/// A row for each class that has samples, a column for each class.
pub(super) fn print(confusion: &Confusion, model: &Model<'_>) -> anyhow::Result<()> {
    let names = names(confusion, model);
    if names.len() > MOST_CLASSES {
        say!("confusion of {} classes: too many for a table, see --json", names.len());
        return Ok(());
    }
    for line in table(&names, &confusion.rows().collect::<Vec<_>>()) {
        say!("{line}");
    }
    Ok(())
}

/// The lines of the table: what is right stands in the diagonal, what never happened is a dot.
fn table(names: &[String], rows: &[&[u64]]) -> Vec<String> {
    let shown: Vec<String> = names.iter().map(|name| name.chars().take(MOST_LETTERS).collect()).collect();
    let numbers = rows.iter().flat_map(|row| row.iter()).map(|count| count.to_string().len());
    let letters = |name: &String| name.chars().count();
    let column = numbers.chain(shown.iter().map(letters)).max().unwrap_or(1) + 1;
    let first = shown.iter().map(letters).max().unwrap_or(0);
    let header: String = shown.iter().map(|name| format!("{name:>column$}")).collect();
    let mut lines = vec!["rows are the classes of samples, columns what they are taken for".to_owned()];
    lines.push(format!("{:first$}{header}   right", ""));
    for ((index, name), row) in shown.iter().enumerate().zip(rows) {
        let total: u64 = row.iter().sum();
        if total == 0 {
            continue;
        }
        let cell = |count: &u64| match count {
            0 => format!("{:>column$}", "·"),
            count => format!("{count:>column$}"),
        };
        let share = row.get(index).copied().unwrap_or(0) as f64 / total as f64;
        lines.push(format!("{name:first$}{}  {:>5.1} %", row.iter().map(cell).collect::<String>(), share * 100.0));
    }
    lines
}

/// Names of the model's outputs; their numbers where it has none.
fn names(confusion: &Confusion, model: &Model<'_>) -> Vec<String> {
    let labels: Vec<String> = model.labels().map(String::from).collect();
    match labels.is_empty() {
        true => (0..confusion.rows().count()).map(|number| number.to_string()).collect(),
        false => labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_rows_of_classes_that_are_there() {
        let names = ["no", "yes", "a very long name"].map(String::from);
        let lines = table(&names, &[&[10, 2, 0], &[0, 0, 0], &[0, 1, 3]]);
        assert_eq!(
            lines[1..],
            [
                "                       no          yes a very long    right",
                "no                     10            2            ·   83.3 %",
                "a very long             ·            1            3   75.0 %",
            ]
        );
    }
}
