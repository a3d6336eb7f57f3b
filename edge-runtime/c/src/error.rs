//! Errors as C has them: a number for the program, a sentence for people.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use trishift::{BatchError, ParseError};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum TrishiftStatus {
    /// As it should.
    Ok = 0,
    /// A null pointer, a text that is not UTF-8, or a length that does not go with the model.
    Argument = 1,
    /// The file cannot be read.
    File = 2,
    /// The file is not a valid model.
    Model = 3,
    /// The machine has not got the memory or the threads.
    Machine = 4,
    /// The input asks for a row that an embedding's table does not have.
    Input = 5,
    /// A defect of trishift.
    Defect = 6,
}

/// A status and its sentence.
#[derive(Debug)]
pub(crate) struct Failure(TrishiftStatus, String);

impl Failure {
    pub(crate) fn null(name: &str) -> Self {
        Self(TrishiftStatus::Argument, format!("{name} is a null pointer or not aligned"))
    }

    pub(crate) fn argument(sentence: &str) -> Self {
        Self(TrishiftStatus::Argument, sentence.into())
    }

    pub(crate) fn file(path: &str, error: &std::io::Error) -> Self {
        Self(TrishiftStatus::File, format!("{path}: {error}"))
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        Self(TrishiftStatus::Model, error.to_string())
    }
}

impl From<BatchError> for Failure {
    fn from(error: BatchError) -> Self {
        let status = match error {
            BatchError::Run(trishift::RunError::RowMissing { .. }) => TrishiftStatus::Input,
            BatchError::Run(_) | BatchError::InputLength { .. } => TrishiftStatus::Argument,
            _ => TrishiftStatus::Machine,
        };
        Self(status, error.to_string())
    }
}

thread_local! {
    static SENTENCE: RefCell<CString> = RefCell::default();
}

/// The sentence of this thread's last call that failed; empty where none has. It stays until the next one fails.
#[unsafe(no_mangle)]
pub extern "C" fn trishift_error() -> *const c_char {
    SENTENCE.with_borrow(|sentence| sentence.as_ptr())
}

/// Runs a call; what goes wrong becomes its status and the thread's sentence.
pub(crate) fn guarded(call: impl FnOnce() -> Result<(), Failure>) -> TrishiftStatus {
    let Failure(status, sentence) = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => return TrishiftStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(_) => Failure(TrishiftStatus::Defect, "trishift panicked; please report it".into()),
    };
    // A zero byte could only come from a path, and a path from C has none.
    SENTENCE.set(CString::new(sentence).unwrap_or_default());
    status
}
