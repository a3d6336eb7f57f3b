//! What an input comes to, as a file's name: `accepted`, `refused-plan-overlap`.

use trishift_format::{MatrixFault, ParseError, PlanFault};

/// The outcome of a parser. One name for each check that can refuse a file.
pub fn of<T>(parsed: Result<T, ParseError>) -> String {
    let Err(error) = parsed else { return "accepted".into() };
    let sentence = error.to_string();
    assert!(!sentence.is_empty() && !sentence.contains('\n'), "{sentence}");
    match error {
        ParseError::Operands { kind, what, .. } => kebab(&format!("refused operands {kind} {what}")),
        ParseError::Malformed { what } => kebab(&format!("refused malformed {what}")),
        ParseError::Matrix { fault, .. } => format!("refused-matrix-{}", fault_name::<MatrixFault>(&fault)),
        ParseError::Plan { fault, .. } => format!("refused-plan-{}", fault_name::<PlanFault>(&fault)),
        error => kebab(&format!("refused {}", variant(&format!("{error:?}")))),
    }
}

fn fault_name<T: std::fmt::Debug>(fault: &T) -> String {
    kebab(variant(&format!("{fault:?}")))
}

/// A variant's name without its fields.
fn variant(text: &str) -> &str {
    text.split([' ', '(', '{']).next().unwrap_or_default()
}

/// The outcome of a reader whose error, as `Debug` has it, is this: its variant, and that of the fault inside.
pub fn of_error(error: &str) -> String {
    let fault = error.split_once("fault: ").map_or("", |(_, fault)| variant(fault));
    kebab(&format!("refused {} {fault}", variant(error)))
}

/// Words in lower case, joined by hyphens; camel case is words.
fn kebab(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars() {
        let starts = character.is_ascii_uppercase() || !character.is_ascii_alphanumeric();
        if starts && !name.ends_with('-') && !name.is_empty() {
            name.push('-');
        }
        if character.is_ascii_alphanumeric() {
            name.push(character.to_ascii_lowercase());
        }
    }
    name.trim_end_matches('-').to_owned()
}
