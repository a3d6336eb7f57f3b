//! What can go wrong after a model has been parsed: the caller's slices, or an operator left out of the build.

use trishift_format::{OperatorKind, sentences};

sentences! {
    /// Why an engine could not be made.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "defmt", derive(defmt::Format))]
    #[non_exhaustive]
    pub enum EngineError {
        /// A batch of no samples.
        EmptyBatch => "the batch must hold at least one sample",
        /// More than this machine can address, or has.
        TooLarge => "the arena of this model and batch is larger than this machine's memory",
        /// The arena is too small.
        ArenaTooSmall {
            /// Bytes that [`Engine::arena_len`](crate::Engine::arena_len) gives.
            needed: usize,
            /// Bytes there are.
            found: usize,
        } => "the arena holds {found} bytes, this model and batch need {needed}",
        /// The arena does not start at a multiple of 4.
        ArenaAlignment => "the arena must start at a multiple of 4 bytes; use `Arena` or `HeapArena`",
        /// The model's input is not int8.
        InputType => "the model takes int32 inputs, an engine int8 ones",
        /// Kernels that need more scratch than this build's own do.
        Kernels {
            /// Their name.
            name: &'static str,
        } => "the kernels {name} are for another kind of processor; take one of `kernels::available()`",
        /// The build lacks an operator.
        OperatorMissing {
            /// Position in the graph.
            index: usize,
            /// What it is.
            kind: OperatorKind,
        } => "operator {index} ({kind}) is not part of this build; enable the cargo feature \"{kind}\" of trishift",
    }
}

sentences! {
    /// Why a run was refused, or ended. Slices are checked before anything is computed; only [`RunError::RowMissing`] is
    /// found on the way.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "defmt", derive(defmt::Format))]
    #[non_exhaustive]
    pub enum RunError {
        /// The input is not a whole number of samples between one and the engine's batch.
        InputLength {
            /// Values given.
            found: usize,
            /// Values of one sample.
            sample: usize,
            /// Most samples of a run.
            batch: usize,
        } => "the input holds {found} values; it must be 1 to {batch} samples of {sample}",
        /// The output does not hold as many samples as the input.
        OutputLength {
            /// Values given.
            found: usize,
            /// Values needed.
            needed: usize,
        } => "the output holds {found} values, {needed} are needed",
        /// An int8 slice for an int32 output, or the reverse.
        OutputType => "the output slice has another element type than the model's output",
        /// The input of an embedding names a row that its table does not have. The operators before it have run: the output
        /// and the arena's persistent tensors hold part of a result.
        RowMissing {
            /// Position in the graph.
            index: usize,
            /// The row asked for: an int32 element of the input, or an int8 one plus 128.
            row: i32,
            /// Rows of the table.
            rows: usize,
        }
            => "operator {index} (embedding) was asked for row {row} of a table of {rows}; its input must stay within the vocabulary that the model was trained with",
        /// An operator's memory is not where the parsed plan says; a parsed model never gives this.
        Unreachable {
            /// Position in the graph.
            index: usize,
        } => "operator {index} could not reach its tensors",
    }
}
