//! Why a file or an input was refused.
//!
//! The module has no room for sentences: it gives a refusal as JSON, `["ParseError", 0, "12"]`, which is the error's type, the
//! number of its sentence, and what is put into that, each a text, a number or a refusal again. The sentences lie in
//! `page/sentences.js`, made of the errors' own by [`script`].

use crate::json::Json;
use alloc::vec::Vec;
use trishift::format::sentence::{Arguments, Told};
use trishift::{EngineError, ParseError, RunError};

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The file is no model.
    Parse(ParseError),
    /// The model cannot run here.
    Engine(EngineError),
    /// The model cannot take this input.
    Run(RunError),
}

impl Refusal {
    /// The refusal as the page reads it.
    pub fn json(&self) -> Vec<u8> {
        let mut json = Json::new();
        match self {
            Self::Parse(error) => write(&mut json, error),
            Self::Engine(error) => write(&mut json, error),
            Self::Run(error) => write(&mut json, error),
        }
        json.into_bytes()
    }
}

fn write(json: &mut Json, error: &dyn Told) {
    json.array(|json| {
        json.text(error.name());
        json.number(error.number().into());
        error.arguments(json);
    });
}

impl Arguments for Json {
    fn natural(&mut self, number: u64) {
        self.exact(number);
    }

    fn integer(&mut self, number: i32) {
        self.number(number.into());
    }

    fn text(&mut self, text: &str) {
        self.text(text);
    }

    fn told(&mut self, error: &dyn Told) {
        write(self, error);
    }
}

impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::Engine(error) => error.fmt(f),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Refusal {}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<RunError> for Refusal {
    fn from(error: RunError) -> Self {
        Self::Run(error)
    }
}

/// The page's file with all sentences, `{0}` for the first thing that is put into one.
#[cfg(not(target_family = "wasm"))]
pub fn script() -> alloc::string::String {
    use alloc::string::String;
    use trishift::format::{MatrixFault, PlanFault, UnknownGroupSize};

    let mut script = String::from(
        "// Every sentence with which the module refuses something: by the type of the error, then by number.\n\
         // Written by edge-runtime/web/build, from what stands beside the errors in Rust.\n\n\
         export const SENTENCES = {\n",
    );
    for (name, sentences) in [
        ("ParseError", ParseError::SENTENCES),
        ("MatrixFault", MatrixFault::SENTENCES),
        ("UnknownGroupSize", UnknownGroupSize::SENTENCES),
        ("PlanFault", PlanFault::SENTENCES),
        ("EngineError", EngineError::SENTENCES),
        ("RunError", RunError::SENTENCES),
    ] {
        script.extend(["  ", name, ": [\n"]);
        for sentence in sentences {
            let mut text = String::from(sentence.text);
            for (place, argument) in sentence.arguments.iter().enumerate() {
                text = text.replace(&std::format!("{{{argument}}}"), &std::format!("{{{place}}}"));
            }
            let mut json = Json::new();
            json.text(&text);
            script.extend(["    ", &String::from_utf8_lossy(&json.into_bytes()), ",\n"]);
        }
        script.push_str("  ],\n");
    }
    script.push_str("};\n");
    script
}
