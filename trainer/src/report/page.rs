//! The page around the panels: one file, nothing that it loads, readable in print, on a dark screen and without colours.

use super::plot;
use std::borrow::Cow;
use std::fmt::Display;

/// What a browser must not take for a part of the page is named instead.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&', '"', '\'']) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
    }
    out.into()
}

/// A paragraph. Its text may have elements in it.
pub(super) fn paragraph(text: impl Display) -> String {
    format!("<p>{text}</p>\n")
}

/// A remark in smaller letters.
pub(super) fn remark(text: impl Display) -> String {
    format!("<p class=\"remark\">{text}</p>\n")
}

/// A table: what is in the first column is text, in the others numbers, unless a heading begins with `<`: that column is text, too.
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<String>,
}

impl Table {
    /// With these headings.
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells may have elements in them.
    pub(super) fn row<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.push("", cells);
    }

    /// Adds a row that sums up those before.
    pub(super) fn sum<S: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.push(" class=\"sum\"", cells);
    }

    fn push<S: AsRef<str>>(&mut self, class: &str, cells: impl IntoIterator<Item = S>) {
        let cells = cells.into_iter().enumerate().map(|(column, cell)| {
            let cell = cell.as_ref();
            if column == 0 {
                format!("<th scope=\"row\">{cell}</th>")
            } else {
                format!("<td{}>{cell}</td>", self.class(column))
            }
        });
        let row = format!("<tr{class}>{}</tr>\n", cells.collect::<String>());
        self.rows.push(row);
    }

    fn class(&self, column: usize) -> &'static str {
        if self.head.get(column).is_some_and(|head| head.starts_with('<')) { " class=\"text\"" } else { "" }
    }

    /// The table, which may be scrolled to the side where the page is narrow.
    pub(super) fn html(&self) -> String {
        let head = self.head.iter().enumerate().map(|(column, head)| {
            let class = if column == 0 { " class=\"text\"" } else { self.class(column) };
            format!("<th scope=\"col\"{class}>{}</th>", head.trim_start_matches('<'))
        });
        format!(
            "<div class=\"wide\"><table><thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody></table></div>\n",
            head.collect::<String>(),
            self.rows.concat()
        )
    }
}

/// A part of the report.
pub(super) struct Panel {
    /// What tests and links find it by.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) content: String,
}

/// The whole page.
pub(super) fn page(title: &str, head: &str, panels: &[Panel]) -> String {
    let list = panels.iter().map(|panel| format!("<a href=\"#{}\">{}</a>", panel.id, panel.title));
    let list = list.collect::<Vec<_>>().join(" · ");
    let sections = panels.iter().map(|Panel { id, title, content }| {
        format!("<section id=\"{id}\" class=\"panel\">\n<h2>{title}</h2>\n{content}</section>\n")
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{STYLE}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n</style>\n\
         </head>\n<body>\n<main>\n{head}<nav>{list}</nav>\n{sections}</main>\n</body>\n</html>\n",
        dark = DARK_STYLE.to_owned() + &plot::dark_rules(),
        sections = sections.collect::<String>(),
    )
}

/// Colours of a light page are those of [`plot`].
const STYLE: &str = include_str!("page.css");

const DARK_STYLE: &str = "\
:root { --paper: #16191d; --ink: #e8eaed; --faint: #a2abb5; --line: #343a41; --shade: #20252b;
  --first: #7db7f5; --second: #f2a06b; }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escape("plain"), "plain");
        assert_eq!(escape("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
    }

    #[test]
    fn numbers_stand_right_and_text_left() {
        let mut table = Table::new(&["a", "b", "<c"]);
        table.row(["x", "1", "y"]);
        table.sum(["z", "2", ""]);
        let html = table.html();
        assert!(html.contains("<th scope=\"col\">b</th><th scope=\"col\" class=\"text\">c</th>"), "{html}");
        assert!(html.contains("<tr><th scope=\"row\">x</th><td>1</td><td class=\"text\">y</td></tr>"), "{html}");
        assert!(html.contains("<tr class=\"sum\"><th scope=\"row\">z</th><td>2</td>"), "{html}");
    }
}
