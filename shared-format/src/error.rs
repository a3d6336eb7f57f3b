//! What can be wrong with a file: one variant per cause, each a sentence a person can act on.

use crate::group::UnknownGroupSize;
use thiserror::Error;

/// Why a file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than the fixed header.
    #[error("the file holds {bytes} bytes, fewer than a trishift header; it is empty or was cut off")]
    TooShort {
        /// Bytes there are.
        bytes: usize,
    },
    /// The first eight bytes are another file's.
    #[error("the file is not a trishift file: its first bytes are not the magic number")]
    Magic,
    /// Written by an incompatible version.
    #[error(
        "the file has format version {major}.{minor}, this reader knows version {}; export the model again with a matching trishift",
        crate::container::MAJOR
    )]
    Version {
        /// Major version of the file.
        major: u8,
        /// Minor version of the file.
        minor: u8,
    },
    /// A checkpoint where a model is expected, or the reverse.
    #[error("the file is a {}, a {} is expected here", crate::container::kind_name(*.found), crate::container::kind_name(*.expected))]
    Kind {
        /// Kind of the file.
        found: u8,
        /// Kind the reader wants.
        expected: u8,
    },
    /// Header checksum.
    #[error("the header is damaged: its checksum does not match")]
    HeaderChecksum,
    /// The file's length is not what its header says.
    #[error("the file holds {found} bytes where its header says {expected}; it was cut off or something was appended")]
    Length {
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// Body checksum.
    #[error("the file is damaged: the checksum of its contents does not match")]
    BodyChecksum,
    /// A reserved header field is not zero.
    #[error("byte {offset} of the header is reserved and must be 0")]
    Reserved {
        /// Offset in the file.
        offset: usize,
    },
    /// A section lies outside the file, out of order, or not on its boundary.
    #[error("section {index} of the section table does not lie where a section may lie")]
    SectionBounds {
        /// Position in the section table.
        index: usize,
    },
    /// A section that this reader does not know and that is not marked optional.
    #[error("section {index} has the unknown kind {kind} and is not optional; a newer trishift wrote this file")]
    UnknownSection {
        /// Position in the section table.
        index: usize,
        /// The kind found.
        kind: u32,
    },
    /// The same section twice.
    #[error("section {index} repeats an earlier one")]
    RepeatedSection {
        /// Position in the section table.
        index: usize,
    },
    /// A section that every such file must have.
    #[error("section kind {kind} is missing")]
    MissingSection {
        /// The kind that is not there.
        kind: u32,
    },
    /// Bytes that belong to no section.
    #[error("bytes from offset {offset} on belong to no section")]
    TrailingBytes {
        /// Offset in the file.
        offset: u64,
    },
    /// The graph or index record does not decode.
    #[error("the {what} does not decode")]
    Malformed {
        /// Which part: "graph", "labels", …
        what: &'static str,
    },
    /// An operator's record does not decode, or holds bytes too many.
    #[error("operator {index} does not decode (offset {offset} of the operator records)")]
    MalformedOperator {
        /// Position in the graph.
        index: usize,
        /// Offset in the operator records.
        offset: usize,
    },
    /// An operator code this version does not know.
    #[error("operator {index} has the unknown code {code}; update trishift to run this model")]
    UnknownOperator {
        /// Position in the graph.
        index: usize,
        /// The code found.
        code: u16,
    },
    /// A tensor's record is not valid: unknown type or class, a zero or overflowing shape.
    #[error("tensor {index} has an unknown type or class, or a shape that is empty or too large")]
    Tensor {
        /// Position in the tensor table.
        index: usize,
    },
    /// More tensors or operators than a graph may have, or none.
    #[error(
        "the graph has {tensors} tensors and {operators} operators; it needs at least one of each and at most 1024"
    )]
    GraphSize {
        /// Tensors in the file.
        tensors: usize,
        /// Operators in the file.
        operators: usize,
    },
    /// The graph's input or output is a tensor that does not exist.
    #[error("the graph's input or output is tensor {tensor}, which does not exist")]
    GraphTensor {
        /// The tensor number found.
        tensor: u16,
    },
    /// An operator names a tensor that does not exist.
    #[error("operator {index} names tensor {tensor}, which does not exist")]
    TensorIndex {
        /// Position of the operator.
        index: usize,
        /// The tensor number found.
        tensor: u16,
    },
    /// An operator's tensors do not fit it: types, shapes or exponents.
    #[error("operator {index} ({kind}): its {what} do not agree")]
    Operands {
        /// Position of the operator.
        index: usize,
        /// What it is.
        kind: crate::OperatorKind,
        /// "element types", "shapes" (a window that does not fit counts too), "exponents".
        what: &'static str,
    },
    /// An operator's weights are not valid.
    #[error("operator {index}: {fault}")]
    Matrix {
        /// Position of the operator.
        index: usize,
        /// What is wrong with the weights.
        fault: MatrixFault,
    },
    /// The memory plan is not valid.
    #[error("tensor {tensor}: {fault}")]
    Plan {
        /// Position of the tensor.
        tensor: usize,
        /// What is wrong.
        fault: PlanFault,
    },
    /// Input scaling records are neither one nor one per feature, or out of range.
    #[error("the input scaling records do not fit the input tensor or are out of range")]
    InputScales,
    /// The number of labels is neither zero nor the number of outputs.
    #[error("{labels} labels for {outputs} outputs")]
    LabelCount {
        /// Labels in the file.
        labels: usize,
        /// Elements of the output tensor.
        outputs: usize,
    },
    /// A tensor of a checkpoint is not valid: unknown type, no name, or its bytes do not lie in the state section behind
    /// those of the tensor before it.
    #[error(
        "state tensor {index} has an unknown type, no name, or bytes that do not lie behind the tensor before it in the state section"
    )]
    StateTensor {
        /// Position in the checkpoint's index.
        index: usize,
    },
    /// A trit byte of a checkpoint is not valid.
    #[error("state tensor {index}: a trit byte is not valid")]
    StateTrits {
        /// Position in the checkpoint's index.
        index: usize,
    },
}

impl core::fmt::Display for PlanFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Alignment => f.write_str("its arena offset is not a multiple of 4"),
            Self::OutsideArena => f.write_str("it runs past the end of the arena"),
            Self::Overlap { other } => write!(f, "it overlaps tensor {other} while both are live"),
            Self::Lifetime => f.write_str("an operator uses it outside its lifetime"),
            Self::Written => f.write_str("it is not written exactly once, by the first operator of its lifetime"),
            Self::Class => f.write_str("its class does not match its place in the graph"),
        }
    }
}

/// What is wrong with a tensor's place in memory or in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PlanFault {
    /// Offset is not aligned.
    Alignment,
    /// Offset plus length exceeds the arena.
    OutsideArena,
    /// Shares bytes with another live tensor.
    Overlap {
        /// The other tensor.
        other: usize,
    },
    /// An operator reads it outside its lifetime.
    Lifetime,
    /// Not written exactly once.
    Written,
    /// Input or output class where the graph's input or output is another tensor, or the reverse.
    Class,
}

/// What is wrong with an operator's weights, ternary or int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum MatrixFault {
    /// Not one of the format's group sizes.
    #[error("{0}")]
    GroupSize(UnknownGroupSize),
    /// Unknown exponent encoding.
    #[error("unknown exponent encoding {0}")]
    Encoding(u8),
    /// Unknown order of the trit bytes.
    #[error("unknown layout {0}")]
    Layout(u8),
    /// Exponents in the records of a layout that has none, or elsewhere in one that has.
    #[error("the exponents are not encoded as the layout asks for")]
    LayoutEncoding,
    /// No rows or no columns.
    #[error("the weights have no rows or no columns")]
    Empty,
    /// Weights, exponents or biases lie outside the weight section.
    #[error("the weights lie outside the weight section")]
    OutsideSection,
    /// A trit byte above 242.
    #[error("row {row} holds a trit byte above 242")]
    TritByte {
        /// The row.
        row: usize,
    },
    /// The padding of a group's last byte is not trit 0.
    #[error("row {row}, group {group}: padding trits are not 0")]
    TritPadding {
        /// The row.
        row: usize,
        /// The group in the row.
        group: usize,
    },
    /// A row's base is not its smallest exponent, or an unused offset is not 0, or an exponent exceeds 127.
    #[error("row {row}: exponent offsets are not in their canonical form")]
    ExponentOffsets {
        /// The row.
        row: usize,
    },
    /// A group of zero trits does not carry the row's smallest exponent.
    #[error("row {row}, group {group}: a group of zeros must carry the row's smallest exponent")]
    EmptyGroup {
        /// The row.
        row: usize,
        /// The group in the row.
        group: usize,
    },
    /// An exponent below the unit of the layer's int32 output.
    #[error("row {row}: an exponent lies below the exponent of the output tensor")]
    BelowOutputUnit {
        /// The row.
        row: usize,
    },
    /// The row could overflow int32.
    #[error("row {row} could overflow int32; narrow its window of exponents or make its weights and bias smaller")]
    Int32Bound {
        /// The row.
        row: usize,
    },
}
