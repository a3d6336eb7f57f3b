//! Why a firmware cannot be built: each a sentence a person can act on.

use crate::memory_map::MapError;
use std::io;
use std::path::PathBuf;
use thiserror::Error;
use trishift::listener::ListenerError;
use trishift_format::{OperatorKind, ParseError};

/// Why a firmware cannot be built.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A variable of the environment.
    #[error("{name} is not set: {meaning}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it should hold.
        meaning: &'static str,
    },
    /// A file that is not there or cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The memory map.
    #[error("{}: {fault}", .path.display())]
    MemoryMap {
        /// The map.
        path: PathBuf,
        /// What is wrong with it.
        fault: MapError,
    },
    /// The model is not valid.
    #[error("{} cannot be used: {fault}", .path.display())]
    Model {
        /// The model.
        path: PathBuf,
        /// What is wrong with it.
        fault: ParseError,
    },
    /// The model cannot listen.
    #[error("{} cannot listen: {fault}", .path.display())]
    Sound {
        /// The model.
        path: PathBuf,
        /// What it lacks.
        fault: ListenerError,
    },
    /// The model's input or output is not what the firmware feeds and reads.
    #[error("{} {what} {found}, this firmware {wants} {expected}", .path.display())]
    Shape {
        /// The model.
        path: PathBuf,
        /// "takes inputs of", "gives outputs of".
        what: &'static str,
        /// What the model has.
        found: usize,
        /// "has inputs of", …
        wants: &'static str,
        /// What the firmware has.
        expected: usize,
    },
    /// The firmware is built without an operator of the model.
    #[error(
        "{}: operator {index} is {kind}, which this firmware is built without; enable the feature \"{kind}\" of trishift in its Cargo.toml and name the operator in its build.rs",
        .path.display()
    )]
    Operator {
        /// The model.
        path: PathBuf,
        /// Position in the graph.
        index: usize,
        /// What it is.
        kind: OperatorKind,
    },
    /// The board has too little memory of a kind.
    #[error(
        "{} does not fit {board}: its {part} needs {needed} bytes of {memory}, {reserved} are set aside for the program, and there are {there}",
        .path.display()
    )]
    DoesNotFit {
        /// The model.
        path: PathBuf,
        /// The board.
        board: String,
        /// "file", "arena".
        part: &'static str,
        /// "flash", "RAM".
        memory: &'static str,
        /// What the model needs.
        needed: u64,
        /// What the program needs beside it.
        reserved: u64,
        /// What the board has.
        there: u64,
    },
}

impl BuildError {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { path: path.into(), source }
    }
}
