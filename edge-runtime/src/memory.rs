//! The memory of an engine: where an operator reads, where it writes, and what it may use meanwhile.

use crate::output::OutputSlice;
use trishift_format::{DataType, Model, Tensor, TensorClass};
use trishift_kernels::Values;

/// The arena, for runs of up to `batch` samples.
#[derive(Debug)]
pub(crate) struct Memory<'arena> {
    /// Tensors, where the model's plan has them.
    pub(crate) arena: &'arena mut [u8],
    /// Behind the arena's tensors, for the kernels.
    pub(crate) scratch: &'arena mut [i32],
    pub(crate) batch: usize,
}

impl Memory<'_> {
    /// Persistent tensors hold zeros from now on, those of every sample of a batch.
    pub(crate) fn forget(&mut self, model: &Model<'_>) {
        for tensor in model.tensors() {
            if tensor.class != TensorClass::Persistent {
                continue;
            }
            // They wrap as below.
            let start = (tensor.offset as usize).wrapping_mul(self.batch);
            let end = start.wrapping_add(tensor.bytes().wrapping_mul(self.batch));
            if let Some(state) = self.arena.get_mut(start..end) {
                state.fill(0);
            }
        }
    }

    /// The memory that the operator writes, a reader for everything else, and scratch.
    pub(crate) fn split<'s>(
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
        // Only of a file that nobody parsed can a product or sum wrap, on a machine of 32 bits: another place in the arena.
        let start = (target.offset as usize).wrapping_mul(batch);
        let (before, rest) = self.arena.split_at_mut_checked(start)?;
        let (bytes, after) = rest.split_at_mut_checked(target.bytes().wrapping_mul(samples))?;
        let hole = bytes.len();
        let target = match target.data_type {
            DataType::I8 => OutputSlice::I8(bytemuck::try_cast_slice_mut(bytes).ok()?),
            DataType::I32 => OutputSlice::I32(bytemuck::try_cast_slice_mut(bytes).ok()?),
        };
        Some((target, Sources { input, output, before, hole, after, samples, batch }, scratch))
    }

    /// What an operator has written, while nobody writes.
    pub(crate) fn written<'s>(
        &'s self,
        tensor: &Tensor,
        samples: usize,
        output: &'s OutputSlice<'_>,
    ) -> Option<Values<'s>> {
        let output = match output {
            OutputSlice::I8(slice) => Source::I8(slice),
            OutputSlice::I32(slice) => Source::I32(slice),
        };
        let (before, batch) = (&*self.arena, self.batch);
        let sources = Sources { input: &[], output, before, hole: 0, after: &[], samples, batch };
        sources.read(tensor).values()
    }
}

/// Everything an operator may read: the caller's input and output, and the arena around what it writes.
pub(crate) struct Sources<'a> {
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
pub(crate) enum Source<'a> {
    I8(&'a [i8]),
    I32(&'a [i32]),
    /// They lie where the operator writes.
    InPlace,
    Missing,
}

impl<'a> Source<'a> {
    /// The values for whoever reads either type.
    pub(crate) fn values(self) -> Option<Values<'a>> {
        match self {
            Self::I8(values) => Some(Values::I8(values)),
            Self::I32(values) => Some(Values::I32(values)),
            Self::InPlace | Self::Missing => None,
        }
    }
}

impl<'a> Sources<'a> {
    pub(crate) fn read(&self, tensor: &Tensor) -> Source<'a> {
        match tensor.class {
            TensorClass::Input => return Source::I8(self.input),
            TensorClass::Output => return self.output,
            TensorClass::Arena | TensorClass::Persistent => {}
        }
        // They wrap as in `Memory`; a range that ends before it starts is none.
        let start = (tensor.offset as usize).wrapping_mul(self.batch);
        let bytes = tensor.bytes().wrapping_mul(self.samples);
        if start == self.before.len() && bytes == self.hole {
            return Source::InPlace;
        }
        let bytes = match start.checked_sub(self.before.len() + self.hole) {
            Some(start) => self.after.get(start..start.wrapping_add(bytes)),
            None => self.before.get(start..start.wrapping_add(bytes)),
        };
        match (bytes, tensor.data_type) {
            (Some(bytes), DataType::I8) => bytemuck::try_cast_slice(bytes).map_or(Source::Missing, Source::I8),
            (Some(bytes), DataType::I32) => bytemuck::try_cast_slice(bytes).map_or(Source::Missing, Source::I32),
            (None, _) => Source::Missing,
        }
    }
}
