//! The engine: a model, an arena, a table of kernels; runs the operators one after another.

use crate::error::{EngineError, RunError};
use crate::logging::debug;
use crate::output::OutputSlice;
use crate::profile::{Profiler, Step};
use trishift_format::{DataType, Model, Operator, OperatorKind, Tensor, TensorClass};
use trishift_kernels::Kernels;

/// Runs a model. Holds no state between runs but the arena's persistent tensors.
#[derive(Debug)]
pub struct Engine<'model, 'arena> {
    model: Model<'model>,
    arena: &'arena mut [u8],
    /// Behind the arena's tensors, for the kernels.
    scratch: &'arena mut [i32],
    batch: usize,
    kernels: &'static Kernels,
}

impl<'model, 'arena> Engine<'model, 'arena> {
    /// Bytes of arena that runs of up to `batch` samples need, scratch of this target's kernels included: exact. `None`
    /// where this machine cannot address so much.
    pub fn arena_len(model: &Model<'_>, batch: usize) -> Option<usize> {
        crate::arena::arena_len(model.arena_bytes(), batch, crate::scratch::of_model(model, &trishift_kernels::SCRATCH))
    }

    /// An engine for runs of up to `batch` samples, with the best kernels of this machine.
    ///
    /// # Errors
    /// [`EngineError`] where the batch is empty, the arena too small or not aligned, the model's input not int8, or an
    /// operator not in this build.
    pub fn new(model: &Model<'model>, arena: &'arena mut [u8], batch: usize) -> Result<Self, EngineError> {
        Self::with_kernels(model, arena, batch, trishift_kernels::best())
    }

    /// The same with kernels of the caller's choice.
    ///
    /// # Errors
    /// As [`Engine::new`].
    pub fn with_kernels(
        model: &Model<'model>,
        arena: &'arena mut [u8],
        batch: usize,
        kernels: &'static Kernels,
    ) -> Result<Self, EngineError> {
        if batch == 0 {
            return Err(EngineError::EmptyBatch);
        }
        let needed = Self::arena_len(model, batch).ok_or(EngineError::TooLarge)?;
        let found = arena.len();
        let arena = arena.get_mut(..needed).ok_or(EngineError::ArenaTooSmall { needed, found })?;
        // An empty slice may start anywhere.
        if needed > 0 && !arena.as_ptr().addr().is_multiple_of(Tensor::ALIGNMENT as usize) {
            return Err(EngineError::ArenaAlignment);
        }
        if model.input().data_type != DataType::I8 {
            return Err(EngineError::InputType);
        }
        for (index, operator) in model.operators().enumerate() {
            if !is_built_in(operator.kind()) {
                return Err(EngineError::OperatorMissing { index, kind: operator.kind() });
            }
        }
        debug!("engine: {} arena bytes, batch {}", needed, batch);
        let scratch = crate::scratch::of_model(model, &trishift_kernels::SCRATCH);
        // The arena begins on a word's boundary, and scratch of whole words ends it.
        let (arena, scratch) = arena.split_at_mut_checked(needed - scratch).ok_or(EngineError::TooLarge)?;
        // An empty slice may start anywhere, but not as one of words.
        let scratch = match scratch {
            [] => &mut [],
            _ => bytemuck::try_cast_slice_mut(scratch).map_err(|_| EngineError::ArenaAlignment)?,
        };
        Ok(Self { model: *model, arena, scratch, batch, kernels })
    }

    /// The model.
    pub const fn model(&self) -> &Model<'model> {
        &self.model
    }

    /// The kernels.
    pub const fn kernels(&self) -> &'static Kernels {
        self.kernels
    }

    /// Runs the model: `input` is [batch, input], `output` [batch, output], sample after sample, for any batch from 1
    /// to the engine's.
    ///
    /// # Errors
    /// [`RunError`] where the slices do not fit the model: nothing has been computed then. Or where an embedding's input
    /// names a row that is not there: the output and the persistent tensors are not to be relied on then.
    pub fn run<'o>(&mut self, input: &[i8], output: impl Into<OutputSlice<'o>>) -> Result<(), RunError> {
        self.run_profiled(input, output, &mut ())
    }

    /// The same, with a hook called around every operator.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_profiled<'o>(
        &mut self,
        input: &[i8],
        output: impl Into<OutputSlice<'o>>,
        profiler: &mut impl Profiler,
    ) -> Result<(), RunError> {
        let mut output = output.into();
        let samples = self.check_slices(input, &output)?;
        for (index, operator) in self.model.operators().enumerate() {
            let macs = operator.macs() * samples as u64;
            let kernel = self.kernel_of(&operator);
            let step = Step { index, kind: operator.kind(), macs, kernels: self.kernels.name, kernel };
            profiler.begin(&step);
            self.step(index, &operator, samples, input, &mut output)?;
            profiler.end(&step);
        }
        Ok(())
    }

    /// The name of the kernel that runs an operator.
    #[cfg_attr(not(feature = "linear"), allow(unused_variables, reason = "only linear layers have several kernels"))]
    fn kernel_of(&self, operator: &Operator) -> &'static str {
        match operator {
            #[cfg(feature = "linear")]
            Operator::Linear(op) => (self.kernels.linear_name)(&self.model.matrix(&op.weights)),
            _ => self.kernels.name,
        }
    }

    /// The number of samples, once input and output fit the model.
    fn check_slices(&self, input: &[i8], output: &OutputSlice<'_>) -> Result<usize, RunError> {
        let sample = self.model.input().len();
        let samples = input.len() / sample.max(1);
        if samples * sample != input.len() || samples == 0 || samples > self.batch {
            return Err(RunError::InputLength { found: input.len(), sample, batch: self.batch });
        }
        let tensor = self.model.output();
        if output.data_type() != tensor.data_type {
            return Err(RunError::OutputType);
        }
        let needed = samples * tensor.len();
        if output.len() != needed {
            return Err(RunError::OutputLength { found: output.len(), needed });
        }
        Ok(samples)
    }

    /// Runs one operator. [`RunError::Unreachable`] only where a tensor is not where the plan says, which parsing rules
    /// out.
    #[cfg_attr(
        not(any(
            feature = "linear",
            feature = "shift-norm",
            feature = "requantize",
            feature = "relu",
            feature = "add",
            feature = "argmax",
            feature = "rms-norm",
            feature = "embedding",
            feature = "softmax"
        )),
        allow(unreachable_code, unused_variables, reason = "a build without operators runs nothing")
    )]
    fn step(
        &mut self,
        index: usize,
        operator: &Operator,
        samples: usize,
        input: &[i8],
        output: &mut OutputSlice<'_>,
    ) -> Result<(), RunError> {
        let unreachable = RunError::Unreachable { index };
        let (model, kernels) = (self.model, self.kernels);
        let target = model.tensor(operator.output());
        let (target_slice, sources, scratch) = self.memory(&target, samples, input, output).ok_or(unreachable)?;
        #[cfg(not(feature = "linear"))]
        let _ = scratch;
        let read = |index: u16| (model.tensor(index), sources.read(&model.tensor(index)));
        match (operator, target_slice) {
            #[cfg(feature = "linear")]
            (Operator::Linear(op), target_slice) => {
                let (_, Source::I8(input)) = read(op.input) else { return Err(unreachable) };
                let (matrix, bias) = (model.matrix(&op.weights), model.bias(op));
                use trishift_format::bound::Accumulators::{Layer, PerRow};
                use trishift_kernels::linear::{LinearI8, LinearI32};
                match (model.accumulators(op), target_slice) {
                    (PerRow { scale }, OutputSlice::I8(out)) => {
                        (kernels.linear_i8)(&LinearI8 { matrix, bias, scale, relu: op.relu }, input, scratch, out);
                    }
                    (Layer { exponent }, OutputSlice::I32(out)) => {
                        (kernels.linear_i32)(&LinearI32 { matrix, bias, exponent }, input, scratch, out);
                    }
                    _ => return Err(unreachable),
                }
            }
            #[cfg(feature = "shift-norm")]
            (Operator::ShiftNorm(op), OutputSlice::I8(out)) => {
                let (tensor, Source::I32(input)) = read(op.input) else { return Err(unreachable) };
                (kernels.shift_norm)(input, tensor.len(), op.relu, out);
            }
            #[cfg(feature = "requantize")]
            (Operator::Requantize(op), OutputSlice::I8(out)) => {
                let (tensor, Source::I32(input)) = read(op.input) else { return Err(unreachable) };
                let shift = i32::from(target.exponent) - i32::from(tensor.exponent);
                (kernels.requantize)(input, shift, op.relu, out);
            }
            #[cfg(feature = "relu")]
            (Operator::Relu(op), OutputSlice::I8(out)) => {
                let (_, Source::I8(input)) = read(op.input) else { return Err(unreachable) };
                (kernels.relu)(input, out);
            }
            #[cfg(feature = "add")]
            (Operator::Add(op), OutputSlice::I8(out)) => {
                let (left, Source::I8(left_input)) = read(op.left) else { return Err(unreachable) };
                let (right, Source::I8(right_input)) = read(op.right) else { return Err(unreachable) };
                let (left, right) = (i32::from(left.exponent), i32::from(right.exponent));
                let alignment = trishift_kernels::add::Alignment::of(left, right);
                (kernels.add)(left_input, right_input, alignment, op.relu, out);
            }
            #[cfg(feature = "argmax")]
            (Operator::ArgMax(op), OutputSlice::I32(out)) => match read(op.input) {
                (tensor, Source::I8(input)) => (kernels.argmax_i8)(input, tensor.len(), out),
                (tensor, Source::I32(input)) => (kernels.argmax_i32)(input, tensor.len(), out),
                (_, Source::Missing) => return Err(unreachable),
            },
            #[cfg(feature = "rms-norm")]
            (Operator::RmsNorm(op), OutputSlice::I8(out)) => {
                let (tensor, Source::I32(input)) = read(op.input) else { return Err(unreachable) };
                (kernels.rms_norm)(input, tensor.len(), -i32::from(target.exponent), op.relu, out);
            }
            #[cfg(feature = "embedding")]
            (Operator::Embedding(op), target_slice) => {
                let indices = read(op.input).1.values().ok_or(unreachable)?;
                let table = model.matrix(&op.weights);
                let embedding = trishift_kernels::embedding::Embedding { table, exponent: target.exponent.into() };
                match target_slice {
                    OutputSlice::I8(out) => (kernels.embedding_i8)(&embedding, indices, out),
                    OutputSlice::I32(out) => (kernels.embedding_i32)(&embedding, indices, out),
                }
                .map_err(|outside| RunError::RowMissing {
                    index,
                    row: outside.row,
                    rows: table.rows(),
                })?;
            }
            #[cfg(feature = "softmax")]
            (Operator::Softmax(op), target_slice) => {
                let (tensor, source) = read(op.input);
                let values = source.values().ok_or(unreachable)?;
                let (input, output) = (tensor.exponent.into(), target.exponent.into());
                let exponents = trishift_kernels::softmax::Exponents { input, output };
                match target_slice {
                    OutputSlice::I8(out) => (kernels.softmax_i8)(values, tensor.len(), exponents, out),
                    OutputSlice::I32(out) => (kernels.softmax_i32)(values, tensor.len(), exponents, out),
                }
            }
            #[allow(unreachable_patterns, reason = "reached where an operator's feature is off")]
            _ => return Err(unreachable),
        }
        Ok(())
    }

    /// The memory that the operator writes, a reader for everything else, and scratch.
    fn memory<'s>(
        &'s mut self,
        target: &Tensor,
        samples: usize,
        input: &'s [i8],
        output: &'s mut OutputSlice<'_>,
    ) -> Option<(OutputSlice<'s>, Sources<'s>, &'s mut [i32])> {
        let (batch, scratch) = (self.batch, &mut *self.scratch);
        if target.class == TensorClass::Output {
            let target = match output {
                OutputSlice::I8(slice) => OutputSlice::I8(slice),
                OutputSlice::I32(slice) => OutputSlice::I32(slice),
            };
            // The output is written once and read only later, so nobody reads it here.
            let sources =
                Sources { input, output: Source::Missing, before: self.arena, hole: 0, after: &[], samples, batch };
            return Some((target, sources, scratch));
        }
        let output = match output {
            OutputSlice::I8(slice) => Source::I8(slice),
            OutputSlice::I32(slice) => Source::I32(slice),
        };
        let start = target.offset as usize * batch;
        let (before, rest) = self.arena.split_at_mut_checked(start)?;
        let (bytes, after) = rest.split_at_mut_checked(target.bytes() * samples)?;
        let hole = bytes.len();
        let target = match target.data_type {
            DataType::I8 => OutputSlice::I8(bytemuck::try_cast_slice_mut(bytes).ok()?),
            DataType::I32 => OutputSlice::I32(bytemuck::try_cast_slice_mut(bytes).ok()?),
        };
        Some((target, Sources { input, output, before, hole, after, samples, batch }, scratch))
    }
}

/// Everything an operator may read: the caller's input and output, and the arena around what it writes.
struct Sources<'a> {
    input: &'a [i8],
    output: Source<'a>,
    before: &'a [u8],
    /// Bytes between `before` and `after`, being written.
    hole: usize,
    after: &'a [u8],
    samples: usize,
    batch: usize,
}

/// A tensor's values.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "which values are read depends on the operators in the build")]
enum Source<'a> {
    I8(&'a [i8]),
    I32(&'a [i32]),
    Missing,
}

#[cfg(any(feature = "embedding", feature = "softmax"))]
impl<'a> Source<'a> {
    /// The values for an operator that reads either type.
    fn values(self) -> Option<trishift_kernels::Values<'a>> {
        match self {
            Self::I8(values) => Some(trishift_kernels::Values::I8(values)),
            Self::I32(values) => Some(trishift_kernels::Values::I32(values)),
            Self::Missing => None,
        }
    }
}

impl<'a> Sources<'a> {
    fn read(&self, tensor: &Tensor) -> Source<'a> {
        match tensor.class {
            TensorClass::Input => return Source::I8(self.input),
            TensorClass::Output => return self.output,
            TensorClass::Arena | TensorClass::Persistent => {}
        }
        let start = tensor.offset as usize * self.batch;
        let bytes = match start.checked_sub(self.before.len() + self.hole) {
            Some(start) => self.after.get(start..start + tensor.bytes() * self.samples),
            None => self.before.get(start..start + tensor.bytes() * self.samples),
        };
        match (bytes, tensor.data_type) {
            (Some(bytes), DataType::I8) => bytemuck::try_cast_slice(bytes).map_or(Source::Missing, Source::I8),
            (Some(bytes), DataType::I32) => bytemuck::try_cast_slice(bytes).map_or(Source::Missing, Source::I32),
            (None, _) => Source::Missing,
        }
    }
}

/// True where the operator's cargo feature is on.
const fn is_built_in(kind: OperatorKind) -> bool {
    match kind {
        OperatorKind::Linear => cfg!(feature = "linear"),
        OperatorKind::ShiftNorm => cfg!(feature = "shift-norm"),
        OperatorKind::Requantize => cfg!(feature = "requantize"),
        OperatorKind::Relu => cfg!(feature = "relu"),
        OperatorKind::Add => cfg!(feature = "add"),
        OperatorKind::ArgMax => cfg!(feature = "argmax"),
        OperatorKind::RmsNorm => cfg!(feature = "rms-norm"),
        OperatorKind::Embedding => cfg!(feature = "embedding"),
        OperatorKind::Softmax => cfg!(feature = "softmax"),
    }
}
