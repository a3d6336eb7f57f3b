//! Batches over threads (feature `std`): the samples are dealt out, each thread has an engine and an arena of its own.

use crate::{Engine, EngineError, HeapArena, Model, OutputSlice, PackedModel, RunError};
use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::thread;
use std::vec::Vec;
use thiserror::Error;
use trishift_kernels::Kernels;

/// Samples that one engine takes at a time.
const BATCH: usize = 32;

/// Why a threaded run was refused.
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

/// Runs any number of samples on `threads` threads: `input` is [samples, input], `output` [samples, output]. The result
/// does not depend on the number of threads.
///
/// # Errors
/// [`BatchError`] where the slices do not fit the model, an engine or a thread cannot be made, or a run ends as
/// [`Engine::run`] says.
pub fn run_threads<'o>(
    model: &Model<'_>,
    kernels: &'static Kernels,
    input: &[i8],
    output: impl Into<OutputSlice<'o>>,
    threads: NonZeroUsize,
) -> Result<(), BatchError> {
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
    let packed = PackedModel::with_kernels(model, kernels);
    let share = samples.div_ceil(threads.get());
    let inputs = input.chunks(share * sample);
    let outputs = split(output, share * result);
    thread::scope(|scope| {
        let workers: Result<Vec<_>, BatchError> = inputs
            .zip(outputs)
            .map(|(input, output)| {
                let packed = &packed;
                let share = move || run_share(packed, input, output);
                thread::Builder::new().spawn_scoped(scope, share).map_err(|error| BatchError::Thread(error.kind()))
            })
            .collect();
        workers?.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

fn split(output: OutputSlice<'_>, share: usize) -> Vec<OutputSlice<'_>> {
    match output {
        OutputSlice::I8(slice) => slice.chunks_mut(share).map(OutputSlice::I8).collect(),
        OutputSlice::I32(slice) => slice.chunks_mut(share).map(OutputSlice::I32).collect(),
    }
}

fn run_share(packed: &PackedModel<'_>, input: &[i8], output: OutputSlice<'_>) -> Result<(), BatchError> {
    let model = packed.model();
    let mut arena = HeapArena::new(model, BATCH)?;
    let mut engine = Engine::shared(packed, arena.bytes(), BATCH)?;
    let inputs = input.chunks(BATCH * model.input().len());
    for (input, output) in inputs.zip(split(output, BATCH * model.output().len())) {
        engine.run(input, output)?;
    }
    Ok(())
}
