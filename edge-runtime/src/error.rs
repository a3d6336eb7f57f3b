//! What can go wrong after a model has been parsed: the caller's slices, or an operator left out of the build.

use thiserror::Error;
use trishift_format::OperatorKind;

/// Why an engine could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum EngineError {
    /// A batch of no samples.
    #[error("the batch must hold at least one sample")]
    EmptyBatch,
    /// More than this machine can address, or has.
    #[error("the arena of this model and batch is larger than this machine's memory")]
    TooLarge,
    /// The arena is too small.
    #[error("the arena holds {found} bytes, this model and batch need {needed}")]
    ArenaTooSmall {
        /// Bytes that [`Engine::arena_len`](crate::Engine::arena_len) gives.
        needed: usize,
        /// Bytes there are.
        found: usize,
    },
    /// The arena does not start at a multiple of 4.
    #[error("the arena must start at a multiple of 4 bytes; use `Arena` or `HeapArena`")]
    ArenaAlignment,
    /// The model's input is not int8.
    #[error("the model takes int32 inputs, an engine int8 ones")]
    InputType,
    /// Kernels that need more scratch than this build's own do.
    #[error("the kernels {name} are for another kind of processor; take one of `kernels::available()`")]
    Kernels {
        /// Their name.
        name: &'static str,
    },
    /// The build lacks an operator.
    #[error("operator {index} ({kind}) is not part of this build; enable the cargo feature \"{kind}\" of trishift")]
    OperatorMissing {
        /// Position in the graph.
        index: usize,
        /// What it is.
        kind: OperatorKind,
    },
}

/// Why a run was refused, or ended. Slices are checked before anything is computed; only [`RunError::RowMissing`] is
/// found on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RunError {
    /// The input is not a whole number of samples between one and the engine's batch.
    #[error("the input holds {found} values; it must be 1 to {batch} samples of {sample}")]
    InputLength {
        /// Values given.
        found: usize,
        /// Values of one sample.
        sample: usize,
        /// Most samples of a run.
        batch: usize,
    },
    /// The output does not hold as many samples as the input.
    #[error("the output holds {found} values, {needed} are needed")]
    OutputLength {
        /// Values given.
        found: usize,
        /// Values needed.
        needed: usize,
    },
    /// An int8 slice for an int32 output, or the reverse.
    #[error("the output slice has another element type than the model's output")]
    OutputType,
    /// The input of an embedding names a row that its table does not have. The operators before it have run: the output
    /// and the arena's persistent tensors hold part of a result.
    #[error(
        "operator {index} (embedding) was asked for row {row} of a table of {rows}; its input must stay within the vocabulary that the model was trained with"
    )]
    RowMissing {
        /// Position in the graph.
        index: usize,
        /// The row asked for: an int32 element of the input, or an int8 one plus 128.
        row: i32,
        /// Rows of the table.
        rows: usize,
    },
    /// An operator's memory is not where the parsed plan says; a parsed model never gives this.
    #[error("operator {index} could not reach its tensors")]
    Unreachable {
        /// Position in the graph.
        index: usize,
    },
}
