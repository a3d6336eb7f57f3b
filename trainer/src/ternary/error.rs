//! What can be wrong with the arguments of a ternary primitive.

use thiserror::Error;

/// An argument that cannot be used; the state is as it was before the call.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum TernaryError {
    /// A matrix without rows or columns.
    #[error("a ternary matrix needs at least one row and one column; {rows} × {columns} were given")]
    Empty {
        /// Rows N.
        rows: usize,
        /// Columns K.
        columns: usize,
    },
    /// More weights than memory has addresses.
    #[error("{rows} × {columns} weights are more than this machine can address")]
    TooLarge {
        /// Rows N.
        rows: usize,
        /// Columns K.
        columns: usize,
    },
    /// Something of another length than the matrix asks for.
    #[error("{what}: expected {expected}, found {found}")]
    Length {
        /// What was counted.
        what: &'static str,
        /// What the matrix asks for.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// Not a trit.
    #[error("trit {index} is {value}; trits are -1, 0 and 1")]
    Trit {
        /// Position in the matrix, row by row.
        index: usize,
        /// The value.
        value: i8,
    },
    /// Not a byte of packed trits.
    #[error("byte {index} of the packed trits is {byte}; with the trits it holds, {largest} is the largest")]
    Packed {
        /// Position of the byte.
        index: usize,
        /// The byte.
        byte: u8,
        /// The largest value a byte at this place can have.
        largest: u8,
    },
    /// A step counter below 0.
    #[error("the step counter is {step}; it counts up from 0")]
    Step {
        /// The counter.
        step: i64,
    },
    /// A threshold that would make every weight or exponent move at every update.
    #[error("a threshold of {threshold} is below {smallest}, the smallest one that can be used")]
    Threshold {
        /// The threshold.
        threshold: i32,
        /// The smallest accepted.
        smallest: i32,
    },
    /// An index beyond the table of an embedding.
    #[error("index {index} at position {position} is outside the table of {rows} rows")]
    Index {
        /// Position in the list of indices.
        position: usize,
        /// The index.
        index: i64,
        /// Rows of the table.
        rows: usize,
    },
    /// A component's weight that is no number, or counts more often than an update can.
    #[error("component {name:?} has weight {weight}; weights are finite and at most 2147483647 in magnitude")]
    ComponentWeight {
        /// The component.
        name: String,
        /// The weight.
        weight: f64,
    },
    /// A norm's ε that does not keep its root above 0.
    #[error("epsilon is {epsilon}; it must be finite and above 0")]
    Epsilon {
        /// The value.
        epsilon: f64,
    },
}

impl TernaryError {
    /// Checks a length.
    pub(crate) fn check(what: &'static str, expected: usize, found: usize) -> Result<(), Self> {
        if expected == found { Ok(()) } else { Err(Self::Length { what, expected, found }) }
    }
}
