//! Memory for activations: exactly as much as the model's plan says, aligned.

use crate::scratch;
use trishift_format::Tensor;
use trishift_format::container::{ARENA_BYTES_OFFSET, HEADER_BYTES, KIND_MODEL, MAGIC, MAJOR};
use trishift_kernels::SCRATCH;

/// A static arena for firmware: `static mut`-free in a `StaticCell`, a task's stack, or a field.
///
/// ```
/// # const MODEL: &[u8] = &[0; 64];
/// use trishift::{Arena, arena_len_of_file};
/// const BYTES: usize = match arena_len_of_file(MODEL, 1) { Some(bytes) => bytes, None => 0 };
/// let mut arena: Arena<BYTES> = Arena::new();
/// assert_eq!(arena.bytes().len(), BYTES);
/// ```
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct Arena<const BYTES: usize>([u8; BYTES]);

impl<const BYTES: usize> Arena<BYTES> {
    /// An arena of zeros.
    pub const fn new() -> Self {
        Self([0; BYTES])
    }

    /// The memory, for [`Engine::new`](crate::Engine::new).
    pub const fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const BYTES: usize> Default for Arena<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// Arena bytes for a batch of `batch` samples of the model in `file`, in a constant: reads the header and, on targets whose
/// kernels need scratch, the shapes of the layers. `None` for a file that is no model or needs more than this machine can
/// address.
///
/// The same number as [`Engine::arena_len`](crate::Engine::arena_len) gives for the parsed model.
pub const fn arena_len_of_file(file: &[u8], batch: usize) -> Option<usize> {
    if file.len() < HEADER_BYTES {
        return None;
    }
    let mut i = 0;
    while i < MAGIC.len() {
        if file[i] != MAGIC[i] {
            return None;
        }
        i += 1;
    }
    // Behind the magic number: major version, minor version, kind of file.
    if file[8] != MAJOR || file[10] != KIND_MODEL {
        return None;
    }
    let mut bytes = 0;
    let mut i = 8;
    while i > 0 {
        i -= 1;
        bytes = bytes << 8 | file[ARENA_BYTES_OFFSET + i] as u64;
    }
    match scratch::of_file(file, &SCRATCH) {
        Some(scratch) => arena_len(bytes, batch, scratch),
        None => None,
    }
}

/// `bytes` a sample times `batch` and the scratch behind them, if a slice can be that long.
pub(crate) const fn arena_len(bytes: u64, batch: usize, scratch: usize) -> Option<usize> {
    let total = match bytes.checked_mul(batch as u64) {
        Some(plan) if scratch == 0 => Some(plan),
        Some(plan) => match scratch_start(plan) {
            Some(start) => start.checked_add(scratch as u64),
            None => None,
        },
        None => None,
    };
    match total {
        Some(total) if total <= isize::MAX as u64 => Some(total as usize),
        _ => None,
    }
}

/// Where scratch begins, behind so many bytes of tensors: on a tensor's boundary.
pub(crate) const fn scratch_start(plan: u64) -> Option<u64> {
    plan.checked_next_multiple_of(Tensor::ALIGNMENT as u64)
}

#[cfg(feature = "std")]
mod heap {
    use crate::{Engine, EngineError, Model};
    use std::vec::Vec;

    /// An arena on the heap, of the right length and alignment.
    #[derive(Clone, Debug)]
    pub struct HeapArena {
        words: Vec<u128>,
        bytes: usize,
    }

    impl HeapArena {
        /// The arena of `model` for runs of up to `batch` samples.
        ///
        /// # Errors
        /// [`EngineError::TooLarge`] where the machine has not got so much.
        pub fn new(model: &Model<'_>, batch: usize) -> Result<Self, EngineError> {
            let bytes = Engine::arena_len(model, batch).ok_or(EngineError::TooLarge)?;
            let needed = bytes.div_ceil(size_of::<u128>());
            // The length comes from a file: where memory runs out, that is an error and not the end of the process.
            let mut words = Vec::new();
            words.try_reserve_exact(needed).map_err(|_| EngineError::TooLarge)?;
            words.resize(needed, 0);
            Ok(Self { words, bytes })
        }

        /// The memory, for [`Engine::new`].
        pub fn bytes(&mut self) -> &mut [u8] {
            let bytes = self.bytes;
            bytemuck::cast_slice_mut(&mut self.words).get_mut(..bytes).unwrap_or_default()
        }
    }
}
#[cfg(feature = "std")]
pub use heap::HeapArena;
