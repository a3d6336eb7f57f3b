//! A model that is loaded: its file, its engine, its input and the integers that its layers gave.

use crate::description;
use crate::refusal::Refusal;
use alloc::vec::Vec;
use self_cell::{MutBorrow, self_cell};
use trishift::format::DataType;
use trishift::{Engine, EngineError, Model, Observer, OutputSlice, RunError, Values};

/// What an engine borrows.
struct Memory {
    file: Vec<u8>,
    /// In words, so that it begins on a tensor's boundary.
    arena: MutBorrow<Vec<u32>>,
}

/// An engine ready to run.
struct Runner<'a>(Engine<'a, 'a>);

self_cell!(
    struct Loaded {
        owner: Memory,
        #[not_covariant]
        dependent: Runner,
    }
);

/// A model with all that a run of one sample needs.
pub struct Session {
    loaded: Loaded,
    description: Vec<u8>,
    raw: Vec<u32>,
    input: Vec<u8>,
    /// In words, so that JavaScript may read them as such.
    trace: Vec<u32>,
    output: Output,
}

/// Where a run leaves the model's output; the trace has it too, among the others.
enum Output {
    I8(Vec<u8>),
    I32(Vec<u32>),
}

impl Session {
    /// Checks a file and makes an engine for one sample at a time.
    ///
    /// # Errors
    /// A [`Refusal`] that says what is wrong with the file, or that memory does not suffice.
    pub fn open(file: Vec<u8>) -> Result<Self, Refusal> {
        let model = Model::parse(&file)?;
        let arena = Engine::arena_len(&model, 1).ok_or(EngineError::TooLarge)?;
        let arena = zeros(arena.div_ceil(size_of::<u32>()))?;
        let traced = traced_bytes(&model).ok_or(EngineError::TooLarge)?;
        let (inputs, outputs) = (model.input().len(), model.output().len());
        let raw = zeros(inputs)?;
        let input = zeros(inputs)?;
        let trace = zeros(traced / size_of::<u32>())?;
        let output = match model.output().data_type {
            DataType::I8 => Output::I8(zeros(outputs)?),
            DataType::I32 => Output::I32(zeros(outputs)?),
        };
        let memory = Memory { file, arena: MutBorrow::new(arena) };
        let mut description = Vec::new();
        let loaded = Loaded::try_new(memory, |memory| {
            // It was found whole above.
            let model = Model::checked_before(&memory.file)?;
            let engine = Engine::new(&model, bytemuck::cast_slice_mut(memory.arena.borrow_mut()), 1)?;
            description = description::json(&model, engine.kernels().name);
            Ok::<_, Refusal>(Runner(engine))
        })?;
        Ok(Self { loaded, description, raw, input, trace, output })
    }

    /// What there is to know of the model, as JSON in UTF-8: name, graph, tensors, metadata, and where in the trace the output of each
    /// operator begins.
    pub fn description(&self) -> &[u8] {
        &self.description
    }

    /// The raw values of the input, as sensors or pixels have them; see [`quantize`](Self::quantize).
    pub fn raw(&mut self) -> &mut [i32] {
        bytemuck::cast_slice_mut(&mut self.raw)
    }

    /// The input of the next run.
    pub fn input(&mut self) -> &mut [i8] {
        bytemuck::cast_slice_mut(&mut self.input)
    }

    /// Makes the input of the raw values, by the model's own scaling.
    pub fn quantize(&mut self) {
        let (raw, input) = (&self.raw, &mut self.input);
        self.loaded.with_dependent(|_, Runner(engine)| {
            for (index, (value, quantized)) in raw.iter().zip(input).enumerate() {
                if let Some(scale) = engine.model().input_scale(index) {
                    *quantized = scale.quantize_i32(*value as i32) as u8;
                }
            }
        });
    }

    /// Runs the model on the input. The trace holds what every operator wrote then.
    ///
    /// # Errors
    /// A [`Refusal`], where an embedding's input names a row that is not there.
    pub fn run(&mut self) -> Result<(), Refusal> {
        let Self { loaded, input, trace, output, .. } = self;
        let mut tracer = Tracer { trace: bytemuck::cast_slice_mut(trace), end: 0 };
        let mut run = |engine: &mut Engine<'_, '_>| -> Result<(), RunError> {
            let output = match output {
                Output::I8(output) => OutputSlice::I8(bytemuck::cast_slice_mut(output)),
                Output::I32(output) => OutputSlice::I32(bytemuck::cast_slice_mut(output)),
            };
            engine.run_observed(bytemuck::cast_slice(input), output, &mut tracer)
        };
        Ok(loaded.with_dependent_mut(|_, Runner(engine)| run(engine))?)
    }

    /// What the operators wrote, one after another in the order of the graph: int8, or int32 in this machine's order of
    /// bytes; each begins at a multiple of 4.
    pub fn trace(&self) -> &[u8] {
        bytemuck::cast_slice(&self.trace)
    }

    /// Forgets all runs: a model that streams begins anew.
    pub fn reset(&mut self) {
        self.loaded.with_dependent_mut(|_, Runner(engine)| engine.reset());
    }
}

/// Bytes of the trace, `None` where a machine of 32 bits cannot address them.
fn traced_bytes(model: &Model<'_>) -> Option<usize> {
    let outputs = model.operators().map(|operator| model.tensor(operator.output()).bytes());
    outputs.map(description::place).try_fold(0usize, usize::checked_add)
}

/// Appends to the trace what it is shown.
struct Tracer<'a> {
    trace: &'a mut [u8],
    end: usize,
}

impl Observer for Tracer<'_> {
    fn written(&mut self, _: usize, values: Values<'_>) {
        let bytes = match values {
            Values::I8(values) => values.len(),
            Values::I32(values) => size_of_val(values),
        };
        // The trace is as long as all outputs.
        let Some(place) = self.trace.get_mut(self.end..self.end + bytes) else { return };
        self.end += description::place(bytes);
        match values {
            Values::I8(values) => {
                for (byte, value) in place.iter_mut().zip(values) {
                    *byte = *value as u8;
                }
            }
            Values::I32(values) => {
                for (word, value) in place.as_chunks_mut().0.iter_mut().zip(values) {
                    *word = value.to_ne_bytes();
                }
            }
        }
    }
}

/// So many zeros, if there is memory for them: lengths come from a file. Of two types alone, each of which is code of its own.
pub(crate) fn zeros<T: Copy + Default>(count: usize) -> Result<Vec<T>, EngineError> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| EngineError::TooLarge)?;
    values.resize(count, T::default());
    Ok(values)
}
