//! Which classes the exported file takes for which.

use super::names;
use super::page::{Table, escape, paragraph, remark};
use crate::number::{percent, thousands};
use crate::run::Judgement;

/// Most classes of a table that people can read.
const MOST_CLASSES: usize = 24;

/// Pairs of classes that are named one by one.
const MOST_PAIRS: usize = 8;

/// Most letters of a class's name above a column.
const MOST_LETTERS: usize = 9;

/// The matrix and the pairs that are confused most.
pub(super) fn content(judgement: &Judgement, part: &str, classes: &[String]) -> String {
    let rows: Vec<&[u64]> = judgement.confusion.rows().collect();
    let (samples, correct) = (judgement.samples() as u64, judgement.score.correct as u64);
    let mut html = paragraph(format!(
        "{} of {} {part} samples right, {}; {} wrong.",
        thousands(correct),
        thousands(samples),
        percent(judgement.score.accuracy()),
        thousands(samples - correct)
    ));
    if rows.len() <= MOST_CLASSES {
        html += &matrix(&rows, classes);
        html += &remark(
            "Rows are what the samples are, columns what the file takes them for; numbers are samples, a dot is none. The \
             framed diagonal is right; shades grow with the root of a number's share of its row.",
        );
    } else {
        html += &remark(format!("{} classes are too many for a table of all pairs.", rows.len()));
    }
    html + &pairs(&rows, classes)
}

fn matrix(rows: &[&[u64]], classes: &[String]) -> String {
    let short = |class: usize| -> String { names::of(classes, class).chars().take(MOST_LETTERS).collect() };
    let head = (0..rows.len()).map(|class| format!("<th scope=\"col\">{}</th>", escape(&short(class))));
    let mut html = format!(
        "<div class=\"wide\"><table class=\"confusion\"><thead><tr><th></th>{}<th scope=\"col\">right</th></tr></thead>\n<tbody>\n",
        head.collect::<String>()
    );
    for (class, row) in rows.iter().enumerate() {
        let total: u64 = row.iter().sum();
        if total == 0 {
            continue;
        }
        let share = |count: u64| count as f64 / total as f64;
        let cells = row.iter().enumerate().map(|(answer, count)| {
            let class = if answer == class { " class=\"right\"" } else { "" };
            match count {
                0 => format!("<td{class}>·</td>"),
                // Few errors should be seen all the same.
                count => format!("<td{class} style=\"--share:{:.3}\">{count}</td>", share(*count).sqrt()),
            }
        });
        let right = share(row.get(class).copied().unwrap_or(0));
        html += &format!(
            "<tr><th scope=\"row\">{}</th>{}<td class=\"rate\">{:.1} %</td></tr>\n",
            escape(&names::of(classes, class)),
            cells.collect::<String>(),
            right * 100.0
        );
    }
    html + "</tbody></table></div>\n"
}

/// The pairs that are confused most.
fn pairs(rows: &[&[u64]], classes: &[String]) -> String {
    let all = rows.iter().enumerate().flat_map(|(class, row)| {
        let total: u64 = row.iter().sum();
        row.iter().enumerate().map(move |(answer, count)| (class, answer, *count, total))
    });
    let mut wrong: Vec<_> = all.filter(|(class, answer, count, _)| class != answer && *count > 0).collect();
    if wrong.is_empty() {
        return String::new();
    }
    wrong.sort_by_key(|(.., count, _)| std::cmp::Reverse(*count));
    let mut table = Table::new(&["samples of", "<taken for", "samples", "of the class"]);
    for (class, answer, count, total) in wrong.into_iter().take(MOST_PAIRS) {
        let [class, answer] = [class, answer].map(|class| escape(&names::of(classes, class)).into_owned());
        table.row([class, answer, thousands(count), percent(count as f64 / total.max(1) as f64)]);
    }
    format!("<h3>Confused most</h3>\n{}", table.html())
}
