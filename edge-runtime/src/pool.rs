//! Any number of samples on several threads (feature `threads`): a batch is cut into chunks, and whoever is idle takes the
//! next one; of a single sample, the rows of large layers are dealt out.

use crate::team::Team;
use crate::{Engine, EngineError, HeapArena, Model, OutputSlice, PackedModel, RunError};
use crossbeam_queue::ArrayQueue;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::vec::Vec;
use thiserror::Error;
use trishift_kernels::Kernels;
use trishift_kernels::simd::linear::Workspace;

/// Most samples of a chunk.
const LARGEST_CHUNK: usize = 256;

/// Least samples of a chunk, where there are so many: kernels unpack weights once for all of them.
const SMALLEST_CHUNK: usize = 8;

/// Arena of a chunk, in bytes, that still stays in a core's own cache.
const ARENA: u64 = 1 << 20;

/// Why a pool could not be made, or did not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// An engine could not be made.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The slices do not fit the model, or a run ended.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The input is not a whole number of samples.
    #[error("the input holds {found} values; it must be one or more whole samples of {sample}")]
    InputLength {
        /// Values given.
        found: usize,
        /// Values of one sample.
        sample: usize,
    },
    /// The operating system refused a thread.
    #[error("a thread could not be started: {0}")]
    Thread(ErrorKind),
}

/// Engines for a server: weights packed once, threads that sleep while there is nothing to do, memory that is kept from one
/// batch to the next.
///
/// Any number of threads may call [`EnginePool::run`] at a time. Nobody waits for a lock: a chunk takes its memory from a
/// lock-free queue, and makes some where that is empty.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use trishift::{EnginePool, Model};
///
/// # let file = std::fs::read("../shared-format/tests/golden/model-0.2.tsm")?;
/// let pool = EnginePool::new(&Model::parse(&file)?, std::thread::available_parallelism()?)?;
/// let (samples, mut logits) = (vec![3i8; 1000 * 12], vec![0i32; 1000 * 3]);
/// pool.run(&samples, &mut logits)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EnginePool<'model> {
    packed: PackedModel<'model>,
    /// `None` where the caller's thread is the only one.
    threads: Option<rayon::ThreadPool>,
    /// Most samples of a chunk.
    chunk: usize,
    /// Memory of chunks that nobody runs.
    idle: ArrayQueue<ChunkMemory>,
}

impl<'model> EnginePool<'model> {
    /// A pool of this many threads, with the best kernels of this machine.
    ///
    /// # Errors
    /// [`BatchError`] where the model needs what the machine or the build has not got, or there are no more threads.
    pub fn new(model: &Model<'model>, threads: NonZeroUsize) -> Result<Self, BatchError> {
        Self::with_kernels(model, trishift_kernels::best(), threads)
    }

    /// The same with kernels of the caller's choice.
    ///
    /// # Errors
    /// As [`EnginePool::new`].
    pub fn with_kernels(
        model: &Model<'model>,
        kernels: &'static Kernels,
        threads: NonZeroUsize,
    ) -> Result<Self, BatchError> {
        let fitting = ARENA.checked_div(model.arena_bytes()).map_or(LARGEST_CHUNK, |samples| samples as usize);
        let threads = threads.get();
        let pool = |threads| {
            let refused = |error: rayon::ThreadPoolBuildError| {
                let source =
                    std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
                BatchError::Thread(source.map_or(ErrorKind::Other, std::io::Error::kind))
            };
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().map_err(refused)
        };
        let workers = (threads > 1).then(|| pool(threads)).transpose()?;
        let packed = match &workers {
            Some(workers) => PackedModel::on_threads(model, kernels, workers),
            None => PackedModel::with_kernels(model, kernels),
        };
        let pool = Self {
            packed,
            threads: workers,
            chunk: fitting.clamp(SMALLEST_CHUNK, LARGEST_CHUNK),
            idle: ArrayQueue::new(2 * threads),
        };
        // What keeps an engine from being made is found out here.
        let mut memory = pool.memory()?;
        Engine::shared(&pool.packed, memory.arena.bytes(), pool.chunk)?;
        pool.give_back(memory);
        Ok(pool)
    }

    /// The model and its packed weights.
    pub const fn packed(&self) -> &PackedModel<'model> {
        &self.packed
    }

    /// Runs any number of samples: `input` is [samples, input], `output` [samples, output]. The result depends neither on
    /// the number of threads nor on who else is running: every sample begins with persistent tensors of zeros.
    ///
    /// # Errors
    /// [`BatchError`] where the slices do not fit the model, or a run ends as [`Engine::run`] says.
    pub fn run<'o>(&self, input: &[i8], output: impl Into<OutputSlice<'o>>) -> Result<(), BatchError> {
        let model = self.packed.model();
        let (sample, result) = (model.input().len(), model.output().len());
        let samples = input.len() / sample.max(1);
        let output = output.into();
        if samples * sample != input.len() || samples == 0 {
            return Err(BatchError::InputLength { found: input.len(), sample });
        }
        let needed = samples * result;
        if output.len() != needed {
            return Err(RunError::OutputLength { found: output.len(), needed }.into());
        }
        let threads = self.threads.as_ref().map_or(1, rayon::ThreadPool::current_num_threads);
        // An equal share for each thread, or several.
        let chunk = samples.div_ceil(threads * samples.div_ceil(self.chunk * threads)).min(self.chunk);
        if let (Some(threads), 1) = (&self.threads, samples) {
            return self.chunk(input, output, Some(threads));
        }
        let chunks: Vec<_> = input.chunks(chunk * sample).zip(split(output, chunk * result)).collect();
        match &self.threads {
            Some(threads) if chunks.len() > 1 => {
                let run = |(input, output)| self.chunk(input, output, None);
                // In the order of the samples: which error is the first does not depend on who came first.
                let outcomes: Vec<_> = threads.install(|| chunks.into_par_iter().map(run).collect());
                outcomes.into_iter().collect()
            }
            _ => chunks.into_iter().try_for_each(|(input, output)| self.chunk(input, output, None)),
        }
    }

    /// Runs some samples on this thread; single ones with the help of `threads`.
    fn chunk(
        &self,
        input: &[i8],
        output: OutputSlice<'_>,
        threads: Option<&rayon::ThreadPool>,
    ) -> Result<(), BatchError> {
        let mut memory = self.memory()?;
        let ChunkMemory { arena, workspace, of_threads } = &mut memory;
        let engine = Engine::with_workspace(&self.packed, arena.bytes(), self.chunk, core::mem::take(workspace))?;
        let mut engine = match threads {
            Some(threads) => engine.with_team(Team { threads, workspaces: of_threads }),
            None => engine,
        };
        let run = engine.run(input, output);
        memory.workspace = engine.into_workspace();
        self.give_back(memory);
        Ok(run?)
    }

    fn memory(&self) -> Result<ChunkMemory, EngineError> {
        match self.idle.pop() {
            Some(memory) => Ok(memory),
            None => {
                let arena = HeapArena::new(self.packed.model(), self.chunk)?;
                Ok(ChunkMemory { arena, workspace: Workspace::new(), of_threads: Vec::new() })
            }
        }
    }

    fn give_back(&self, memory: ChunkMemory) {
        // Where the queue is full, more callers came at once than threads: theirs is freed.
        let _ = self.idle.push(memory);
    }
}

/// What a chunk needs to run.
#[derive(Debug)]
struct ChunkMemory {
    arena: HeapArena,
    workspace: Workspace,
    /// Of threads that help with a single sample.
    of_threads: Vec<Workspace>,
}

fn split(output: OutputSlice<'_>, share: usize) -> Vec<OutputSlice<'_>> {
    match output {
        OutputSlice::I8(slice) => slice.chunks_mut(share).map(OutputSlice::I8).collect(),
        OutputSlice::I32(slice) => slice.chunks_mut(share).map(OutputSlice::I32).collect(),
    }
}

/// Runs any number of samples on `threads` threads, once: `input` is [samples, input], `output` [samples, output]. An
/// [`EnginePool`] does the same again and again.
///
/// # Errors
/// As [`EnginePool::new`] and [`EnginePool::run`].
pub fn run_threads<'o>(
    model: &Model<'_>,
    kernels: &'static Kernels,
    input: &[i8],
    output: impl Into<OutputSlice<'o>>,
    threads: NonZeroUsize,
) -> Result<(), BatchError> {
    EnginePool::with_kernels(model, kernels, threads)?.run(input, output)
}
