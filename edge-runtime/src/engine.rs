//! The engine: a model, an arena, a table of kernels; runs the operators one after another.

use crate::error::{EngineError, RunError};
use crate::logging::debug;
use crate::memory::Memory;
#[allow(unused_imports, reason = "a build without operators reads nothing")]
use crate::memory::Source;
use crate::observe::Observer;
use crate::output::OutputSlice;
#[cfg(feature = "std")]
use crate::packed::{PackedModel, Weights};
use crate::profile::{Profiler, Step};
#[cfg(feature = "threads")]
use crate::team::Team;
use trishift_format::{DataType, Model, Operator, OperatorKind, Tensor};
use trishift_kernels::Kernels;
#[allow(unused_imports, reason = "not every build has an operator with a window")]
use trishift_kernels::geometry::Geometry;
#[cfg(feature = "slide")]
use trishift_kernels::rearrange;
#[cfg(all(feature = "std", any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d")))]
use trishift_kernels::simd::linear::Workspace;
#[cfg(all(feature = "std", feature = "linear"))]
use trishift_kernels::simd::linear::{PackedI8, PackedI32};

/// Runs a model. Holds no state between runs but the arena's persistent tensors, which a new engine sets to zeros.
///
/// Each sample of a batch has persistent tensors of its own: those of the sample number i are those of number i of the run
/// before, whatever the size of the batches.
#[derive(Debug)]
pub struct Engine<'model, 'arena> {
    model: Model<'model>,
    memory: Memory<'arena>,
    kernels: &'static Kernels,
    #[cfg(feature = "std")]
    #[cfg_attr(
        not(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d")),
        allow(dead_code, reason = "only matrices are packed")
    )]
    weights: Weights<'arena, 'model>,
    /// Of kernels with packed weights.
    #[cfg(all(feature = "std", any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d")))]
    workspace: Workspace,
    /// Who helps with single samples.
    #[cfg(feature = "threads")]
    team: Option<Team<'arena>>,
}

impl<'model, 'arena> Engine<'model, 'arena> {
    /// Bytes of arena that runs of up to `batch` samples need, scratch of this target's kernels included: exact. `None`
    /// where this machine cannot address so much.
    pub fn arena_len(model: &Model<'_>, batch: usize) -> Option<usize> {
        crate::arena::arena_len(model.arena_bytes(), batch, crate::scratch::of_this_build(model))
    }

    /// The same of another target, whose kernels need this scratch.
    pub fn arena_len_on(scratch: &trishift_kernels::Scratch, model: &Model<'_>, batch: usize) -> Option<usize> {
        crate::arena::arena_len(model.arena_bytes(), batch, crate::scratch::of_model(model, scratch))
    }

    /// An engine for runs of up to `batch` samples, with the best kernels of this machine. On one with a vector unit and the
    /// feature `std` it packs the weights for itself; [`PackedModel`](crate::PackedModel) shares them between engines.
    ///
    /// # Errors
    /// [`EngineError`] where the batch is empty, the arena too small or not aligned, the model's input not int8, or an
    /// operator not in this build.
    pub fn new(model: &Model<'model>, arena: &'arena mut [u8], batch: usize) -> Result<Self, EngineError> {
        Self::on_kernels(model, arena, batch, trishift_kernels::best())
    }

    /// The same with kernels of the caller's choice.
    ///
    /// # Errors
    /// As [`Engine::new`], and [`EngineError::Kernels`] for kernels of another kind of processor.
    pub fn with_kernels(
        model: &Model<'model>,
        arena: &'arena mut [u8],
        batch: usize,
        kernels: &'static Kernels,
    ) -> Result<Self, EngineError> {
        Self::check_kernels(kernels)?;
        Self::on_kernels(model, arena, batch, kernels)
    }

    fn on_kernels(
        model: &Model<'model>,
        arena: &'arena mut [u8],
        batch: usize,
        kernels: &'static Kernels,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            model: *model,
            memory: Self::check(model, arena, batch)?,
            kernels,
            #[cfg(feature = "std")]
            weights: Weights::Own(PackedModel::with_kernels(model, kernels)),
            #[cfg(all(feature = "std", any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d")))]
            workspace: Workspace::new(),
            #[cfg(feature = "threads")]
            team: None,
        })
    }

    /// An engine on weights that others use too.
    ///
    /// # Errors
    /// As [`Engine::with_kernels`].
    #[cfg(feature = "std")]
    pub fn shared(
        packed: &'arena PackedModel<'model>,
        arena: &'arena mut [u8],
        batch: usize,
    ) -> Result<Self, EngineError> {
        Self::check_kernels(packed.kernels())?;
        Ok(Self {
            model: *packed.model(),
            memory: Self::check(packed.model(), arena, batch)?,
            kernels: packed.kernels(),
            weights: Weights::Shared(packed),
            #[cfg(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d"))]
            workspace: Workspace::new(),
            #[cfg(feature = "threads")]
            team: None,
        })
    }

    /// The same with a workspace that has grown elsewhere.
    #[cfg(feature = "threads")]
    pub(crate) fn with_workspace(
        packed: &'arena PackedModel<'model>,
        arena: &'arena mut [u8],
        batch: usize,
        workspace: Workspace,
    ) -> Result<Self, EngineError> {
        Ok(Self { workspace, ..Self::shared(packed, arena, batch)? })
    }

    /// Large layers of single samples are dealt out to this team.
    #[cfg(feature = "threads")]
    pub(crate) fn with_team(self, team: Team<'arena>) -> Self {
        Self { team: Some(team), ..self }
    }

    /// The workspace, for another engine.
    #[cfg(feature = "threads")]
    pub(crate) fn into_workspace(self) -> Workspace {
        self.workspace
    }

    /// Kernels must not need more scratch than [`Engine::arena_len`] counts, which is that of this build's own.
    fn check_kernels(kernels: &Kernels) -> Result<(), EngineError> {
        let (needed, provided) = (&kernels.scratch, &trishift_kernels::SCRATCH);
        let fits = needed.few <= provided.few && needed.many <= provided.many && needed.row <= provided.row;
        let fits = fits && needed.tiles <= provided.tiles;
        if fits { Ok(()) } else { Err(EngineError::Kernels { name: kernels.name }) }
    }

    /// Tensors and scratch in the arena, if model, arena and batch go together and the build has what the model needs.
    fn check(model: &Model<'_>, arena: &'arena mut [u8], batch: usize) -> Result<Memory<'arena>, EngineError> {
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
        let scratch = crate::scratch::of_this_build(model);
        // The arena begins on a word's boundary, and scratch of whole words ends it.
        let (arena, scratch) = arena.split_at_mut_checked(needed - scratch).ok_or(EngineError::TooLarge)?;
        // An empty slice may start anywhere, but not as one of words.
        let scratch = match scratch {
            [] => &mut [],
            _ => bytemuck::try_cast_slice_mut(scratch).map_err(|_| EngineError::ArenaAlignment)?,
        };
        let mut memory = Memory { arena, scratch, batch };
        memory.forget(model);
        Ok(memory)
    }

    /// Forgets all earlier runs: persistent tensors hold zeros, as in a new engine. A model without any does not change.
    pub fn reset(&mut self) {
        self.memory.forget(&self.model);
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
    /// to the engine's. A sample of a tensor with height and width is [height, width, channels].
    ///
    /// # Errors
    /// [`RunError`] where the slices do not fit the model: nothing has been computed then. Or where an embedding's input
    /// names a row that is not there: the output is not to be relied on then, nor are persistent tensors until a
    /// [`reset`](Engine::reset).
    pub fn run<'o>(&mut self, input: &[i8], output: impl Into<OutputSlice<'o>>) -> Result<(), RunError> {
        let mut output = output.into();
        let samples = self.check_slices(input, &output)?;
        // What a profile wants to know of every operator costs small cores hundreds of instructions.
        for (index, operator) in self.model.operators().enumerate() {
            self.step(index, &operator, samples, input, &mut output)?;
        }
        Ok(())
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
            let macs = self.model.macs_of(&operator).saturating_mul(samples as u64);
            let kernel = self.kernel_of(index, &operator);
            let step = Step { index, kind: operator.kind(), macs, kernels: self.kernels.name, kernel };
            profiler.begin(&step);
            self.step(index, &operator, samples, input, &mut output)?;
            profiler.end(&step);
        }
        Ok(())
    }

    /// The same, with each operator's output shown to an observer as soon as it is there.
    ///
    /// # Errors
    /// As [`Engine::run`].
    pub fn run_observed<'o>(
        &mut self,
        input: &[i8],
        output: impl Into<OutputSlice<'o>>,
        observer: &mut impl Observer,
    ) -> Result<(), RunError> {
        let mut output = output.into();
        let samples = self.check_slices(input, &output)?;
        for (index, operator) in self.model.operators().enumerate() {
            self.step(index, &operator, samples, input, &mut output)?;
            let tensor = self.model.tensor(operator.output());
            let values = self.memory.written(&tensor, samples, &output).ok_or(RunError::Unreachable { index })?;
            observer.written(index, values);
        }
        Ok(())
    }

    /// The name of the kernel that runs an operator.
    #[allow(unused_variables, reason = "only weights of linear layers and convolutions have several kernels")]
    fn kernel_of(&self, index: usize, operator: &Operator) -> &'static str {
        #[cfg(all(feature = "std", any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d")))]
        if self.weights.model().has(index) {
            return "packed";
        }
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
        if samples * sample != input.len() || samples == 0 || samples > self.memory.batch {
            return Err(RunError::InputLength { found: input.len(), sample, batch: self.memory.batch });
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
            feature = "softmax",
            feature = "conv2d",
            feature = "depthwise-conv2d",
            feature = "int8-linear",
            feature = "int8-conv2d",
            feature = "int8-depthwise-conv2d",
            feature = "max-pool",
            feature = "avg-pool",
            feature = "concat",
            feature = "reshape",
            feature = "pad",
            feature = "slide"
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
        #[allow(unused_variables, reason = "what only moves elements takes no table of kernels")]
        let (model, kernels) = (&self.model, self.kernels);
        let target = model.tensor(operator.output());
        let (target_slice, sources, scratch) = self.memory.split(&target, samples, input, output).ok_or(unreachable)?;
        #[cfg(not(any(feature = "linear", feature = "conv2d", feature = "depthwise-conv2d")))]
        let _ = scratch;
        let read = |index: u16| {
            let tensor = model.tensor(index);
            let source = sources.read(&tensor);
            (tensor, source)
        };
        // Once for all operators: each of them reads one tensor at least.
        #[allow(unused_variables, reason = "only sums and concatenations read a second tensor")]
        let [first, second] = operator.inputs();
        #[allow(unused_variables, reason = "not every build has an operator that asks for both")]
        let (tensor, source) = read(first);
        match (operator, target_slice) {
            #[cfg(feature = "linear")]
            (Operator::Linear(op), target_slice) => {
                let Source::I8(input) = source else { return Err(unreachable) };
                use trishift_format::bound::Accumulators::{Layer, PerRow};
                use trishift_kernels::linear::{LinearI8, LinearI32};
                let (bias, relu) = (model.bias(op), op.relu);
                #[cfg(feature = "std")]
                if let (Some(packed), Some(matrix)) = (kernels.packed, self.weights.model().matrix(index)) {
                    let rows = 0..matrix.rows();
                    let workspace = &mut self.workspace;
                    let narrow = |scale, rows| PackedI8 { matrix, bias, scale, relu, rows };
                    let wide = |exponent, rows| PackedI32 { matrix, bias, exponent, rows };
                    #[cfg(feature = "threads")]
                    if let Some(team) = self.team.as_mut().filter(|team| samples == 1 && team.pays(matrix)) {
                        match (model.accumulators(op), target_slice) {
                            (PerRow { scale }, OutputSlice::I8(out)) => {
                                team.run(matrix, out, |rows, workspace, out| {
                                    (packed.linear_i8)(&narrow(scale, rows), input, workspace, out);
                                })
                            }
                            (Layer { exponent }, OutputSlice::I32(out)) => {
                                team.run(matrix, out, |rows, workspace, out| {
                                    (packed.linear_i32)(&wide(exponent, rows), input, workspace, out);
                                });
                            }
                            _ => return Err(unreachable),
                        }
                        return Ok(());
                    }
                    match (model.accumulators(op), target_slice) {
                        (PerRow { scale }, OutputSlice::I8(out)) => {
                            (packed.linear_i8)(&narrow(scale, rows), input, workspace, out);
                        }
                        (Layer { exponent }, OutputSlice::I32(out)) => {
                            (packed.linear_i32)(&wide(exponent, rows), input, workspace, out);
                        }
                        _ => return Err(unreachable),
                    }
                    return Ok(());
                }
                let matrix = model.matrix(&op.weights);
                match (model.accumulators(op), target_slice) {
                    (PerRow { scale }, OutputSlice::I8(out)) => {
                        (kernels.linear_i8)(&LinearI8 { matrix, bias, scale, relu }, input, scratch, out);
                    }
                    (Layer { exponent }, OutputSlice::I32(out)) => {
                        (kernels.linear_i32)(&LinearI32 { matrix, bias, exponent }, input, scratch, out);
                    }
                    _ => return Err(unreachable),
                }
            }
            #[cfg(feature = "shift-norm")]
            (Operator::ShiftNorm(op), OutputSlice::I8(out)) => {
                let Source::I32(input) = source else { return Err(unreachable) };
                (kernels.shift_norm)(input, tensor.len(), op.relu, out);
            }
            #[cfg(feature = "requantize")]
            (Operator::Requantize(op), OutputSlice::I8(out)) => {
                let Source::I32(input) = source else { return Err(unreachable) };
                let shift = i32::from(target.exponent) - i32::from(tensor.exponent);
                (kernels.requantize)(input, shift, op.relu, out);
            }
            #[cfg(feature = "relu")]
            (Operator::Relu(_), OutputSlice::I8(out)) => match source {
                Source::I8(input) => (kernels.relu)(input, out),
                Source::InPlace => (kernels.relu_in_place)(out),
                _ => return Err(unreachable),
            },
            #[cfg(feature = "add")]
            (Operator::Add(op), OutputSlice::I8(out)) => {
                use trishift_kernels::add::Alignment;
                let (right, right_input) = read(second);
                let (left, right) = (i32::from(tensor.exponent), i32::from(right.exponent));
                match (source, right_input) {
                    (Source::I8(left_input), Source::I8(right_input)) => {
                        (kernels.add)(left_input, right_input, Alignment::of(left, right), op.relu, out);
                    }
                    // A sum is the same in either order.
                    (Source::InPlace, Source::I8(other)) => {
                        (kernels.add_in_place)(out, other, Alignment::of(left, right), op.relu);
                    }
                    (Source::I8(other), Source::InPlace) => {
                        (kernels.add_in_place)(out, other, Alignment::of(right, left), op.relu);
                    }
                    _ => return Err(unreachable),
                }
            }
            #[cfg(feature = "argmax")]
            (Operator::ArgMax(_), OutputSlice::I32(out)) => match source {
                Source::I8(input) => (kernels.argmax_i8)(input, tensor.len(), out),
                Source::I32(input) => (kernels.argmax_i32)(input, tensor.len(), out),
                _ => return Err(unreachable),
            },
            #[cfg(feature = "rms-norm")]
            (Operator::RmsNorm(op), OutputSlice::I8(out)) => {
                let Source::I32(input) = source else { return Err(unreachable) };
                (kernels.rms_norm)(input, tensor.len(), -i32::from(target.exponent), op.relu, out);
            }
            #[cfg(feature = "embedding")]
            (Operator::Embedding(op), target_slice) => {
                let indices = source.values().ok_or(unreachable)?;
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
            (Operator::Softmax(_), target_slice) => {
                let values = source.values().ok_or(unreachable)?;
                let (input, output) = (tensor.exponent.into(), target.exponent.into());
                let exponents = trishift_kernels::softmax::Exponents { input, output };
                match target_slice {
                    OutputSlice::I8(out) => (kernels.softmax_i8)(values, tensor.len(), exponents, out),
                    OutputSlice::I32(out) => (kernels.softmax_i32)(values, tensor.len(), exponents, out),
                }
            }
            #[cfg(feature = "conv2d")]
            (Operator::Conv2d(op), target_slice) => {
                let Source::I8(input) = source else { return Err(unreachable) };
                #[cfg(feature = "std")]
                if let (Some(packed), Some(layer)) = (kernels.packed, self.weights.model().conv2d(index)) {
                    (packed.conv2d)(layer, input, &mut self.workspace, outputs(target_slice));
                    return Ok(());
                }
                let layer = convolution(model, op, model.matrix(&op.weights), op.weights.rows);
                (kernels.conv2d)(&layer, input, scratch, outputs(target_slice));
            }
            #[cfg(feature = "depthwise-conv2d")]
            (Operator::DepthwiseConv2d(op), target_slice) => {
                #[cfg(feature = "std")]
                let packed = self.weights.model().depthwise(index);
                #[cfg(feature = "std")]
                if let (Some(kernel), Some(layer)) = (kernels.packed_depthwise_conv2d, packed) {
                    match (source, target_slice) {
                        (Source::I8(input), target_slice) => kernel(layer, input, outputs(target_slice)),
                        (Source::InPlace, OutputSlice::I8(out)) => {
                            // Each sample from a copy, which is as long as its output.
                            for sample in out.chunks_exact_mut(target.len().max(1)) {
                                let input = self.workspace.copy(sample);
                                kernel(layer, input, trishift_kernels::Outputs::I8(sample));
                            }
                        }
                        _ => return Err(unreachable),
                    }
                    return Ok(());
                }
                let layer = convolution(model, op, model.matrix(&op.weights), op.weights.rows);
                match (source, target_slice) {
                    (Source::I8(input), target_slice) => {
                        (kernels.depthwise_conv2d)(&layer, input, scratch, outputs(target_slice));
                    }
                    (Source::InPlace, OutputSlice::I8(out)) => {
                        (kernels.depthwise_conv2d_in_place)(&layer, scratch, out)
                    }
                    _ => return Err(unreachable),
                }
            }
            #[cfg(feature = "int8-linear")]
            (Operator::Int8Linear(op), target_slice) => {
                let Source::I8(input) = source else { return Err(unreachable) };
                let layer = trishift_kernels::int8_linear::Int8Linear {
                    matrix: model.int8_matrix(&op.weights),
                    bias: model.bias_at(op.bias, op.weights.rows),
                    accumulators: model.accumulators_between(op.input, op.output),
                    relu: op.relu,
                };
                (kernels.int8_linear)(&layer, input, outputs(target_slice));
            }
            #[cfg(feature = "int8-conv2d")]
            (Operator::Int8Conv2d(op), target_slice) => {
                let Source::I8(input) = source else { return Err(unreachable) };
                let matrix = model.int8_matrix(&op.weights);
                let layer = convolution(model, op, matrix, op.weights.rows);
                (kernels.int8_conv2d)(&layer, input, scratch, outputs(target_slice));
            }
            #[cfg(feature = "int8-depthwise-conv2d")]
            (Operator::Int8DepthwiseConv2d(op), target_slice) => {
                let Source::I8(input) = source else { return Err(unreachable) };
                let matrix = model.int8_matrix(&op.weights);
                let layer = convolution(model, op, matrix, op.weights.rows);
                (kernels.int8_depthwise_conv2d)(&layer, input, scratch, outputs(target_slice));
            }
            #[cfg(feature = "max-pool")]
            (Operator::MaxPool(op), OutputSlice::I8(out)) => {
                let Source::I8(input) = source else { return Err(unreachable) };
                (kernels.max_pool)(&Geometry::new(&op.window, &tensor, &target), input, out);
            }
            #[cfg(feature = "avg-pool")]
            (Operator::AvgPool(op), OutputSlice::I8(out)) => {
                let Source::I8(input) = source else { return Err(unreachable) };
                let exponents = (tensor.exponent.into(), target.exponent.into());
                let shift = trishift_kernels::pool::mean_shift(op.window.area(), exponents.0, exponents.1);
                (kernels.avg_pool)(&Geometry::new(&op.window, &tensor, &target), shift, input, out);
            }
            #[cfg(feature = "concat")]
            (Operator::Concat(_), OutputSlice::I8(out)) => {
                let Source::I8(left_input) = source else { return Err(unreachable) };
                let (right, Source::I8(right_input)) = read(second) else { return Err(unreachable) };
                let channels = [tensor.shape[2] as usize, right.shape[2] as usize];
                (kernels.concat)(left_input, right_input, channels, out);
            }
            #[cfg(feature = "reshape")]
            (Operator::Reshape(_), target_slice) => match (source, target_slice) {
                (Source::InPlace, _) => {}
                // A parsed model's are as long as each other.
                (Source::I8(input), OutputSlice::I8(out)) if input.len() == out.len() => out.copy_from_slice(input),
                (Source::I32(input), OutputSlice::I32(out)) if input.len() == out.len() => out.copy_from_slice(input),
                _ => return Err(unreachable),
            },
            #[cfg(feature = "pad")]
            (Operator::Pad(op), OutputSlice::I8(out)) => {
                let Source::I8(input) = source else { return Err(unreachable) };
                let [above, left, _, _] = op.padding.map(usize::from);
                let window = trishift_format::Window::new([1, 1]);
                let geometry = Geometry { before: [above, left], ..Geometry::new(&window, &tensor, &target) };
                (kernels.pad)(&geometry, input, out);
            }
            #[cfg(feature = "slide")]
            (Operator::Slide(_), target_slice) => {
                let lengths = [tensor.len(), target.len()];
                match (source, target_slice) {
                    (Source::I8(input), OutputSlice::I8(state)) => rearrange::slide(input, lengths, state),
                    (Source::I32(input), OutputSlice::I32(state)) => rearrange::slide(input, lengths, state),
                    _ => return Err(unreachable),
                }
            }
            #[allow(unreachable_patterns, reason = "reached where an operator's feature is off")]
            _ => return Err(unreachable),
        }
        Ok(())
    }
}

/// What the kernels of a convolution take: the operator, its weights, and the sizes of its tensors.
#[cfg(any(
    feature = "conv2d",
    feature = "depthwise-conv2d",
    feature = "int8-conv2d",
    feature = "int8-depthwise-conv2d"
))]
pub(crate) fn convolution<'model, W, M>(
    model: &Model<'model>,
    op: &trishift_format::Conv2d<W>,
    matrix: M,
    rows: u32,
) -> trishift_kernels::conv2d::Conv2d<'model, M> {
    trishift_kernels::conv2d::Conv2d {
        matrix,
        bias: model.bias_at(op.bias, rows),
        accumulators: model.accumulators_between(op.input, op.output),
        relu: op.relu,
        geometry: Geometry::new(&op.window, &model.tensor(op.input), &model.tensor(op.output)),
    }
}

/// The slice as kernels take it that write either type.
#[cfg(any(
    feature = "conv2d",
    feature = "depthwise-conv2d",
    feature = "int8-linear",
    feature = "int8-conv2d",
    feature = "int8-depthwise-conv2d"
))]
fn outputs(slice: OutputSlice<'_>) -> trishift_kernels::Outputs<'_> {
    match slice {
        OutputSlice::I8(slice) => trishift_kernels::Outputs::I8(slice),
        OutputSlice::I32(slice) => trishift_kernels::Outputs::I32(slice),
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
        OperatorKind::Conv2d => cfg!(feature = "conv2d"),
        OperatorKind::DepthwiseConv2d => cfg!(feature = "depthwise-conv2d"),
        OperatorKind::Int8Linear => cfg!(feature = "int8-linear"),
        OperatorKind::Int8Conv2d => cfg!(feature = "int8-conv2d"),
        OperatorKind::Int8DepthwiseConv2d => cfg!(feature = "int8-depthwise-conv2d"),
        OperatorKind::MaxPool => cfg!(feature = "max-pool"),
        OperatorKind::AvgPool => cfg!(feature = "avg-pool"),
        OperatorKind::Concat => cfg!(feature = "concat"),
        OperatorKind::Reshape => cfg!(feature = "reshape"),
        OperatorKind::Pad => cfg!(feature = "pad"),
        OperatorKind::Slide => cfg!(feature = "slide"),
    }
}
