//! The Python face of trishift: `Model`, which loads a file, describes it and runs it on all cores.
//!
//! Arrays come in and go out as NumPy's, without a copy where they lie in one piece; while a batch runs, other threads of
//! Python run, too. What is wrong with an argument is an exception with one sentence, and nothing panics into Python.
#![forbid(unsafe_code)]

mod arrays;
mod model;

/// Ternary networks with integer additions and shifts, bit-exactly.
#[pyo3::pymodule]
mod trishift {
    #[pymodule_export]
    use crate::model::{Model, ModelError};
}
