//! Streaming: a model that looks at H rows at once becomes one that takes the next rows alone and keeps what it needs of
//! those before.
//!
//! Time is the height of the input, or the width of a sequence. As long as operators look at rows through windows without
//! zeros before or behind, a row that a window moves on to has been computed already: only the new ones are. So every
//! tensor has as many new rows as the input, divided by the strides on the way, and they are its last; where an operator's
//! windows reach further back, it reads a persistent tensor that [`Slide`] feeds with the new rows. Whatever needs all rows
//! reads all of them from such a tensor, and from there on nothing changes.
//!
//! Weights are copied as they are. Once H rows have come, every run gives what the original gives for the last H, bit for
//! bit; until then rows of zeros stand for those that are missing, in every persistent tensor.

use crate::plan;
use thiserror::Error;
use trishift::listener::STREAM_ROWS;
use trishift_format::write::{ModelWriter, Region, WriteError};
use trishift_format::{InputScale, Model, Operator, OperatorKind, Reshape, Slide, Tensor, TensorClass};

/// A streaming model.
#[derive(Clone, Debug)]
pub struct Streamed {
    /// The file.
    pub file: Vec<u8>,
    /// Rows that the model looks at: those of the original's input.
    pub window_rows: u32,
    /// Rows that a run takes.
    pub rows: u32,
}

/// Why a model cannot stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StreamError {
    /// It has persistent tensors.
    #[error("the model keeps a state already; only one that looks at all its rows at once can be made to stream")]
    Stateful,
    /// The input has one row, and one column.
    #[error("the model's input is one row, so there is nothing to take row by row")]
    OneRow,
    /// A window or a padding puts zeros where a stream has rows.
    #[error(
        "operator {index} ({kind}) puts zeros before or behind the rows of its input, where a stream has other rows; pad no \
         rows, as padding = \"valid\" does not, and it can stream"
    )]
    Padding {
        /// Position of the operator.
        index: usize,
        /// What it is.
        kind: OperatorKind,
    },
    /// So many rows a run do not go with the strides, or leave nothing to keep.
    #[error(
        "{rows} rows a run do not go with this model; it takes a multiple of {step} below the {window} that it looks at"
    )]
    Rows {
        /// Rows asked for.
        rows: u32,
        /// The least rows a run.
        step: u64,
        /// Rows of the original's input.
        window: u32,
    },
    /// Rows differ in their input scaling.
    #[error(
        "the model scales the rows of its input differently, so they cannot come one after another; train it with one scale for all"
    )]
    Scales,
    /// More tensors than a model may have.
    #[error("the model is too large for a streaming one")]
    TooLarge,
    /// The format refused the result.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Makes the streaming model that takes so many rows a run, the least possible ones where nothing is said.
///
/// # Errors
/// [`StreamError`] where the model cannot stream.
pub fn stream(model: &Model<'_>, rows: Option<u32>) -> Result<Streamed, StreamError> {
    if model.tensors().any(|tensor| tensor.class == TensorClass::Persistent) {
        return Err(StreamError::Stateful);
    }
    let axis = match model.input().shape {
        [1, 1, _] => return Err(StreamError::OneRow),
        [1, ..] => Axis::Width,
        _ => Axis::Height,
    };
    let steps = steps(model, axis)?;
    let window = axis.rows(&model.input());
    let step = steps.iter().flatten().copied().fold(1, least_common_multiple);
    let refused = |rows| StreamError::Rows { rows, step, window };
    let rows = match rows {
        Some(rows) => rows,
        None => u32::try_from(step).map_err(|_| refused(u32::MAX))?,
    };
    if rows == 0 || rows >= window || !u64::from(rows).is_multiple_of(step) {
        return Err(refused(rows));
    }
    let scales = scales(model, window, rows)?;
    let (graph, output) = Graph::new(model, axis, &steps, rows)?;
    Ok(Streamed { file: graph.write(model, output, &scales)?, window_rows: window, rows })
}

/// Which of a tensor's dimensions is time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Axis {
    Height,
    /// Of sequences, whose height is 1.
    Width,
}

impl Axis {
    const fn rows(self, tensor: &Tensor) -> u32 {
        tensor.shape[self as usize]
    }

    /// True where the elements of a time stand side by side, times one behind the other.
    const fn is_ordered(self, tensor: &Tensor) -> bool {
        match self {
            Self::Height => true,
            Self::Width => tensor.shape[0] == 1,
        }
    }

    /// The tensor with so many rows.
    const fn with_rows(self, tensor: Tensor, rows: u32) -> Tensor {
        let mut shape = tensor.shape;
        shape[self as usize] = rows;
        Tensor { shape, ..tensor }
    }
}

/// For each tensor how many rows of the input one of its own rows is behind the next; `None` where it is there as a whole.
fn steps(model: &Model<'_>, axis: Axis) -> Result<Vec<Option<u64>>, StreamError> {
    let mut steps: Vec<Option<u64>> = vec![None; model.tensors().len()];
    let input = usize::from(model.input_index());
    if let Some(step) = steps.get_mut(input) {
        *step = Some(1);
    }
    for (index, operator) in model.operators().enumerate() {
        let of = |tensor: u16| steps.get(usize::from(tensor)).copied().flatten();
        let [left, right] = operator.inputs().map(of);
        let step = match (left, right) {
            // Rows of equal numbers are of one time.
            (Some(left), Some(right)) if left == right => {
                strides(model, axis, index, &operator)?.map(|stride| left.saturating_mul(stride))
            }
            _ => None,
        };
        if let Some(of_output) = steps.get_mut(usize::from(operator.output())) {
            *of_output = step;
        }
    }
    Ok(steps)
}

/// Rows that an operator moves on from one row of its output to the next; `None` where it needs all of them.
fn strides(model: &Model<'_>, axis: Axis, index: usize, operator: &Operator) -> Result<Option<u64>, StreamError> {
    let [left, right] = operator.inputs().map(|tensor| model.tensor(tensor));
    let output = model.tensor(operator.output());
    let rows = axis.rows(&output);
    let padding = match operator {
        Operator::Pad(op) => op.padding,
        _ => operator.window().map_or([0; 4], |window| window.padding),
    };
    // A single row is the last one that time makes.
    if rows == 1 || !axis.is_ordered(&output) {
        return Ok(None);
    }
    if padding[axis as usize] > 0 || padding[axis as usize + 2] > 0 {
        return Err(StreamError::Padding { index, kind: operator.kind() });
    }
    if let Some(window) = operator.window() {
        return Ok(Some(window.stride[axis as usize].into()));
    }
    let row_by_row = matches!(
        operator,
        Operator::Relu(_)
            | Operator::Requantize(_)
            | Operator::Add(_)
            | Operator::Concat(_)
            | Operator::Embedding(_)
            | Operator::Reshape(_)
            | Operator::Pad(_)
    );
    let keeps_rows = axis.rows(&left) == rows && axis.rows(&right) == rows;
    Ok((row_by_row && keeps_rows).then_some(1))
}

fn least_common_multiple(a: u64, b: u64) -> u64 {
    let (mut divisor, mut rest) = (a, b);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor.max(1)).saturating_mul(b)
}

/// The input scaling of so many rows.
fn scales(model: &Model<'_>, window: u32, rows: u32) -> Result<Vec<InputScale>, StreamError> {
    let scales: Vec<InputScale> = model.input_scales().collect();
    if scales.len() == 1 {
        return Ok(scales);
    }
    let elements = scales.len() / window as usize;
    let Some(row) = scales.get(..elements) else { return Err(StreamError::Scales) };
    if scales.chunks(elements.max(1)).any(|other| other != row) {
        return Err(StreamError::Scales);
    }
    Ok(row.repeat(rows as usize))
}

/// The graph in the making.
struct Graph<'a> {
    model: &'a Model<'a>,
    axis: Axis,
    tensors: Vec<Tensor>,
    operators: Vec<Operator>,
    /// The tensor that stands for each of the model's, with its new rows or as a whole.
    of_model: Vec<Option<u16>>,
    /// Persistent tensors by the tensor that feeds them and their rows.
    states: Vec<(u16, u32, u16)>,
}

impl<'a> Graph<'a> {
    /// The graph whose input has so many rows, and its output.
    fn new(model: &'a Model<'a>, axis: Axis, steps: &[Option<u64>], rows: u32) -> Result<(Self, u16), StreamError> {
        let of_model = vec![None; model.tensors().len()];
        let mut graph = Self { model, axis, tensors: vec![], operators: vec![], of_model, states: vec![] };
        // Every step divides the rows of a run.
        let new_rows = |tensor: u16| {
            let step = steps.get(usize::from(tensor)).copied().flatten();
            step.map(|step| (u64::from(rows) / step.max(1)) as u32)
        };
        graph.stand_in(model.input_index(), axis.with_rows(model.input(), rows))?;
        for operator in model.operators() {
            let output = model.tensor(operator.output());
            let mut inputs = operator.inputs();
            for input in &mut inputs {
                let tensor = model.tensor(*input);
                let needed = match (new_rows(*input), new_rows(operator.output())) {
                    (Some(new), Some(of_output)) => {
                        // From the first row under the first new window to the last row of all.
                        let stride = u64::from(new / of_output.max(1));
                        let before = u64::from(axis.rows(&output)) * stride;
                        (u64::from(axis.rows(&tensor)) + u64::from(new)).saturating_sub(before) as u32
                    }
                    _ => axis.rows(&tensor),
                };
                *input = graph.with_rows(*input, needed)?;
            }
            let stand_in = match new_rows(operator.output()) {
                // Of a stream no tensor is the caller's: the output is all of its rows.
                Some(new) => Tensor { class: TensorClass::Arena, ..axis.with_rows(output, new) },
                None => output,
            };
            let output = graph.stand_in(operator.output(), stand_in)?;
            graph.operators.push(operator.on(inputs, output));
        }
        let output = match new_rows(model.output_index()) {
            None => graph.number(model.output_index())?,
            Some(_) => {
                let input = graph.with_rows(model.output_index(), axis.rows(&model.output()))?;
                let output = graph.push(model.output())?;
                graph.operators.push(Operator::Reshape(Reshape { input, output }));
                output
            }
        };
        Ok((graph, output))
    }

    fn push(&mut self, tensor: Tensor) -> Result<u16, StreamError> {
        let number = u16::try_from(self.tensors.len()).map_err(|_| StreamError::TooLarge)?;
        self.tensors.push(tensor);
        Ok(number)
    }

    /// Adds the tensor that stands for one of the model's.
    fn stand_in(&mut self, of: u16, tensor: Tensor) -> Result<u16, StreamError> {
        let number = self.push(tensor)?;
        if let Some(of_model) = self.of_model.get_mut(usize::from(of)) {
            *of_model = Some(number);
        }
        Ok(number)
    }

    /// The number of what stands for one of the model's tensors. A parsed model writes tensors before it reads them.
    fn number(&self, of: u16) -> Result<u16, StreamError> {
        self.of_model.get(usize::from(of)).copied().flatten().ok_or(StreamError::TooLarge)
    }

    /// The last rows of one of the model's tensors: the tensor itself where so many are new, else a persistent one.
    fn with_rows(&mut self, of: u16, rows: u32) -> Result<u16, StreamError> {
        let input = self.number(of)?;
        let tensor = self.model.tensor(of);
        if self.tensors.get(usize::from(input)).is_some_and(|new| self.axis.rows(new) == rows) {
            return Ok(input);
        }
        if let Some((.., state)) = self.states.iter().find(|(from, kept, _)| (*from, *kept) == (input, rows)) {
            return Ok(*state);
        }
        let state = self.push(Tensor { class: TensorClass::Persistent, ..self.axis.with_rows(tensor, rows) })?;
        self.operators.push(Operator::Slide(Slide { input, state }));
        self.states.push((input, rows, state));
        Ok(state)
    }

    /// The file.
    fn write(mut self, model: &Model<'_>, output: u16, scales: &[InputScale]) -> Result<Vec<u8>, StreamError> {
        for tensor in &mut self.tensors {
            (tensor.offset, tensor.first, tensor.last) = (0, 0, 0);
        }
        for (index, operator) in self.operators.iter().enumerate() {
            let index = u16::try_from(index).map_err(|_| StreamError::TooLarge)?;
            if let Some(tensor) = self.tensors.get_mut(usize::from(operator.output())) {
                (tensor.first, tensor.last) = (index, index);
            }
            for input in operator.inputs() {
                if let Some(tensor) = self.tensors.get_mut(usize::from(input)) {
                    tensor.last = index;
                }
            }
        }
        let arena_bytes = plan::place(&mut self.tensors, &self.operators);
        let mut writer = ModelWriter::with_weights_of(model.name(), model);
        for operator in &self.operators {
            writer.push(operator)?;
        }
        for label in model.labels() {
            writer.label(label)?;
        }
        for (key, value) in model.properties() {
            writer.property(key, value)?;
        }
        writer.property(STREAM_ROWS, &self.axis.rows(&model.input()).to_string())?;
        writer.input_scales(scales);
        Ok(writer.finish(&Region { tensors: &self.tensors, input: 0, output, arena_bytes })?)
    }
}
