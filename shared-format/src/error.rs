//! What can be wrong with a file: one variant per cause, each a sentence a person can act on.

use crate::container::{MAJOR, kind_name};
use crate::group::UnknownGroupSize;
use crate::sentences;

sentences! {
    /// Why a file was refused.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "defmt", derive(defmt::Format))]
    #[non_exhaustive]
    pub enum ParseError {
        /// Shorter than the fixed header.
        TooShort {
            /// Bytes there are.
            bytes: usize,
        } => "the file holds {bytes} bytes, fewer than a trishift header; it is empty or was cut off",
        /// The first eight bytes are another file's.
        Magic => "the file is not a trishift file: its first bytes are not the magic number",
        /// Written by an incompatible version.
        Version {
            /// Major version of the file.
            major: u8,
            /// Minor version of the file.
            minor: u8,
        }
            with known = MAJOR
            => "the file has format version {major}.{minor}, this reader knows version {known}; export the model again with a matching trishift",
        /// A checkpoint where a model is expected, or the reverse.
        Kind {
            /// Kind of the file.
            found: u8,
            /// Kind the reader wants.
            expected: u8,
        }
            with found_kind = kind_name(*found), expected_kind = kind_name(*expected)
            => "the file is a {found_kind}, a {expected_kind} is expected here",
        /// Header checksum.
        HeaderChecksum => "the header is damaged: its checksum does not match",
        /// The file's length is not what its header says.
        Length {
            /// Bytes there are.
            found: u64,
            /// Bytes there should be.
            expected: u64,
        } => "the file holds {found} bytes where its header says {expected}; it was cut off or something was appended",
        /// Body checksum.
        BodyChecksum => "the file is damaged: the checksum of its contents does not match",
        /// A reserved header field is not zero.
        Reserved {
            /// Offset in the file.
            offset: usize,
        } => "byte {offset} of the header is reserved and must be 0",
        /// A section lies outside the file, out of order, or not on its boundary.
        SectionBounds {
            /// Position in the section table.
            index: usize,
        } => "section {index} of the section table does not lie where a section may lie",
        /// A section that this reader does not know and that is not marked optional.
        UnknownSection {
            /// Position in the section table.
            index: usize,
            /// The kind found.
            kind: u32,
        } => "section {index} has the unknown kind {kind} and is not optional; a newer trishift wrote this file",
        /// The same section twice.
        RepeatedSection {
            /// Position in the section table.
            index: usize,
        } => "section {index} repeats an earlier one",
        /// A section that every such file must have.
        MissingSection {
            /// The kind that is not there.
            kind: u32,
        } => "section kind {kind} is missing",
        /// Bytes that belong to no section.
        TrailingBytes {
            /// Offset in the file.
            offset: u64,
        } => "bytes from offset {offset} on belong to no section",
        /// The graph or index record does not decode.
        Malformed {
            /// Which part: "graph", "labels", …
            what: &'static str,
        } => "the {what} does not decode",
        /// An operator's record does not decode, or holds bytes too many.
        MalformedOperator {
            /// Position in the graph.
            index: usize,
            /// Offset in the operator records.
            offset: usize,
        } => "operator {index} does not decode (offset {offset} of the operator records)",
        /// An operator code this version does not know.
        UnknownOperator {
            /// Position in the graph.
            index: usize,
            /// The code found.
            code: u16,
        } => "operator {index} has the unknown code {code}; update trishift to run this model",
        /// A tensor's record is not valid: unknown type or class, a zero or overflowing shape.
        Tensor {
            /// Position in the tensor table.
            index: usize,
        } => "tensor {index} has an unknown type or class, or a shape that is empty or too large",
        /// More tensors or operators than a graph may have, or none.
        GraphSize {
            /// Tensors in the file.
            tensors: usize,
            /// Operators in the file.
            operators: usize,
        } => "the graph has {tensors} tensors and {operators} operators; it needs at least one of each and at most 1024",
        /// The graph's input or output is a tensor that does not exist.
        GraphTensor {
            /// The tensor number found.
            tensor: u16,
        } => "the graph's input or output is tensor {tensor}, which does not exist",
        /// An operator names a tensor that does not exist.
        TensorIndex {
            /// Position of the operator.
            index: usize,
            /// The tensor number found.
            tensor: u16,
        } => "operator {index} names tensor {tensor}, which does not exist",
        /// An operator's tensors do not fit it: types, shapes or exponents.
        Operands {
            /// Position of the operator.
            index: usize,
            /// What it is.
            kind: crate::OperatorKind,
            /// "element types", "shapes" (a window that does not fit counts too), "exponents".
            what: &'static str,
        } => "operator {index} ({kind}): its {what} do not agree",
        /// An operator's weights are not valid.
        Matrix {
            /// Position of the operator.
            index: usize,
            /// What is wrong with the weights.
            fault: MatrixFault,
        } => "operator {index}: {fault}",
        /// The memory plan is not valid.
        Plan {
            /// Position of the tensor.
            tensor: usize,
            /// What is wrong.
            fault: PlanFault,
        } => "tensor {tensor}: {fault}",
        /// Input scaling records are neither one nor one per feature, or out of range.
        InputScales => "the input scaling records do not fit the input tensor or are out of range",
        /// The number of labels is neither zero nor the number of outputs.
        LabelCount {
            /// Labels in the file.
            labels: usize,
            /// Elements of the output tensor.
            outputs: usize,
        } => "{labels} labels for {outputs} outputs",
        /// A tensor of a checkpoint is not valid: unknown type, no name, or its bytes do not lie in the state section behind
        /// those of the tensor before it.
        StateTensor {
            /// Position in the checkpoint's index.
            index: usize,
        }
            => "state tensor {index} has an unknown type, no name, or bytes that do not lie behind the tensor before it in the state section",
        /// A trit byte of a checkpoint is not valid.
        StateTrits {
            /// Position in the checkpoint's index.
            index: usize,
        } => "state tensor {index}: a trit byte is not valid",
    }
}

sentences! {
    /// What is wrong with a tensor's place in memory or in time.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "defmt", derive(defmt::Format))]
    pub enum PlanFault {
        /// Offset is not aligned.
        Alignment => "its arena offset is not a multiple of 4",
        /// Offset plus length exceeds the arena.
        OutsideArena => "it runs past the end of the arena",
        /// Shares bytes with another live tensor.
        Overlap {
            /// The other tensor.
            other: usize,
        } => "it overlaps tensor {other} while both are live",
        /// An operator reads it outside its lifetime.
        Lifetime => "an operator uses it outside its lifetime",
        /// Not written exactly once.
        Written => "it is not written exactly once, by the first operator of its lifetime",
        /// Input or output class where the graph's input or output is another tensor, or the reverse.
        Class => "its class does not match its place in the graph",
    }
}

sentences! {
    /// What is wrong with an operator's weights, ternary or int8.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "defmt", derive(defmt::Format))]
    #[non_exhaustive]
    pub enum MatrixFault {
        /// Not one of the format's group sizes.
        GroupSize(fault: UnknownGroupSize) => "{fault}",
        /// Unknown exponent encoding.
        Encoding(code: u8) => "unknown exponent encoding {code}",
        /// Unknown order of the trit bytes.
        Layout(code: u8) => "unknown layout {code}",
        /// Exponents in the records of a layout that has none, or elsewhere in one that has.
        LayoutEncoding => "the exponents are not encoded as the layout asks for",
        /// No rows or no columns.
        Empty => "the weights have no rows or no columns",
        /// Weights, exponents or biases lie outside the weight section.
        OutsideSection => "the weights lie outside the weight section",
        /// A trit byte above 242.
        TritByte {
            /// The row.
            row: usize,
        } => "row {row} holds a trit byte above 242",
        /// The padding of a group's last byte is not trit 0.
        TritPadding {
            /// The row.
            row: usize,
            /// The group in the row.
            group: usize,
        } => "row {row}, group {group}: padding trits are not 0",
        /// A row's base is not its smallest exponent, or an unused offset is not 0, or an exponent exceeds 127.
        ExponentOffsets {
            /// The row.
            row: usize,
        } => "row {row}: exponent offsets are not in their canonical form",
        /// A group of zero trits does not carry the row's smallest exponent.
        EmptyGroup {
            /// The row.
            row: usize,
            /// The group in the row.
            group: usize,
        } => "row {row}, group {group}: a group of zeros must carry the row's smallest exponent",
        /// An exponent below the unit of the layer's int32 output.
        BelowOutputUnit {
            /// The row.
            row: usize,
        } => "row {row}: an exponent lies below the exponent of the output tensor",
        /// The row could overflow int32.
        Int32Bound {
            /// The row.
            row: usize,
        } => "row {row} could overflow int32; narrow its window of exponents or make its weights and bias smaller",
    }
}
