//! Least squares with no negative unknown: how many instructions each amount of work takes.

use super::work::Work;
use std::collections::{BTreeMap, BTreeSet};

/// Rounds over all unknowns.
const ROUNDS: usize = 200_000;

/// Instructions for each amount, so that the squares of relative errors of all counts are least. Negative instructions
/// do not exist, and a table that has none cannot give a negative estimate either.
pub fn fit(counts: &[(Work, u64)]) -> BTreeMap<String, f64> {
    let names: BTreeSet<&String> = counts.iter().flat_map(|(work, _)| work.keys()).collect();
    let counted: Vec<&(Work, u64)> = counts.iter().filter(|(_, count)| *count > 0).collect();
    // A column for each amount: which rows have it, and how much of it for each instruction counted.
    let column = |name: &&String| -> Vec<(usize, f64)> {
        let share = |(row, (work, count)): (usize, &&(Work, u64))| Some((row, work.get(*name)? / *count as f64));
        counted.iter().enumerate().filter_map(share).collect()
    };
    let columns: Vec<Vec<(usize, f64)>> = names.iter().map(column).collect();
    let squares: Vec<f64> = columns.iter().map(|column| column.iter().map(|(_, x)| x * x).sum()).collect();
    let mut found = vec![0.0; columns.len()];
    // What is missing to 1, which every row should come to.
    let mut missing = vec![1.0; counted.len()];
    for _ in 0..ROUNDS {
        let mut moved: f64 = 0.0;
        for ((column, square), value) in columns.iter().zip(&squares).zip(&mut found) {
            let slope: f64 = column.iter().map(|(row, x)| x * missing.get(*row).copied().unwrap_or(0.0)).sum();
            let next = (*value + slope / square.max(f64::MIN_POSITIVE)).max(0.0);
            let step = next - *value;
            *value = next;
            for (row, x) in column {
                missing.get_mut(*row).into_iter().for_each(|missing| *missing -= step * x);
            }
            moved = moved.max(step.abs() * square.sqrt());
        }
        if moved < 1e-10 {
            break;
        }
    }
    names.into_iter().cloned().zip(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_found_again() {
        let work = |amounts: &[(&str, f64)]| -> Work { amounts.iter().map(|(name, x)| ((*name).into(), *x)).collect() };
        let counts = [
            (work(&[("a", 1.0), ("b", 2.0)]), 17),
            (work(&[("a", 4.0), ("b", 1.0)]), 19),
            (work(&[("a", 10.0)]), 30),
            (work(&[("b", 3.0), ("c", 1.0)]), 21),
        ];
        let found = fit(&counts);
        assert!((found["a"] - 3.0).abs() < 1e-6 && (found["b"] - 7.0).abs() < 1e-6, "{found:?}");
        // What would be best below 0 is 0.
        let counts = [(work(&[("a", 1.0)]), 10), (work(&[("a", 1.0), ("b", 1.0)]), 5)];
        assert_eq!(fit(&counts)["b"], 0.0);
    }
}
