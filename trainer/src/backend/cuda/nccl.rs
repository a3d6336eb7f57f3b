//! Sums over the cards of a run, by NCCL.
#![allow(unsafe_code, reason = "calls NCCL on memory of the card")]

use super::CudaError;
use super::card::{Buffer, Card, Span};
use crate::parallel::{Exchange, ExchangeError, Integers};
use cudarc::driver::{CudaEvent, CudaStream};
use cudarc::nccl::result::{self, NcclError};
use cudarc::nccl::sys::{self, ncclDataType_t, ncclRedOp_t};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of the number by which the workers of a run find each other.
pub const ID_BYTES: usize = 128;

/// Integers of the host that are summed at once.
const STAGED: usize = 1 << 10;

/// What a sum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    I8,
    I32,
    I64,
    F64,
    Bf16,
}

impl Element {
    const fn of_nccl(self) -> ncclDataType_t {
        match self {
            Self::I8 => ncclDataType_t::ncclInt8,
            Self::I32 => ncclDataType_t::ncclInt32,
            Self::I64 => ncclDataType_t::ncclInt64,
            Self::F64 => ncclDataType_t::ncclFloat64,
            Self::Bf16 => ncclDataType_t::ncclBfloat16,
        }
    }
}

/// One card's end of the run's communicator.
pub struct Nccl {
    card: Arc<Card>,
    communicator: sys::ncclComm_t,
    /// Where sums are made, before other work that could be done at the same time.
    stream: Arc<CudaStream>,
    staging: Mutex<Buffer<i64>>,
}

// SAFETY: a communicator may be used from any thread, by one at a time; calls on it are made in the order of the host's, whose
// backend is one thread's.
unsafe impl Send for Nccl {}
// SAFETY: as above.
unsafe impl Sync for Nccl {}

impl std::fmt::Debug for Nccl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nccl").field("card", &self.card).finish()
    }
}

impl Drop for Nccl {
    fn drop(&mut self) {
        // SAFETY: made by `comm_init_rank` and given up once. Not destroyed: that would wait for cards that may be gone.
        let _ = unsafe { result::comm_abort(self.communicator) };
    }
}

fn failed(action: &'static str) -> impl Fn(NcclError) -> CudaError {
    move |error| CudaError::Nccl { action, code: format!("{:?}", error.0) }
}

/// Whether NCCL can be loaded.
///
/// # Errors
/// [`CudaError::Library`] says how to install it.
pub fn check() -> Result<(), CudaError> {
    // SAFETY: loads a library of a known name; nothing is called in it.
    if unsafe { sys::is_culib_present() } {
        return Ok(());
    }
    Err(CudaError::Library { library: "NCCL", debian: "libnccl2", pip: "nvidia-nccl-cu13" })
}

/// A new run's number, which the first worker makes and gives to the others.
///
/// # Errors
/// [`CudaError`] where NCCL is missing or fails.
pub fn new_id() -> Result<[u8; ID_BYTES], CudaError> {
    check()?;
    let id = result::get_uniqueid().map_err(failed("making a run's number"))?;
    Ok(id.internal.map(|byte| byte as u8))
}

impl Nccl {
    /// Joins the other `world - 1` workers of the run with this number. Waits for them.
    ///
    /// # Errors
    /// [`CudaError`] where NCCL is missing or fails.
    pub fn join(card: &Arc<Card>, rank: usize, world: usize, id: [u8; ID_BYTES]) -> Result<Self, CudaError> {
        check()?;
        card.stream().context().bind_to_thread().map_err(CudaError::during("using the card"))?;
        let mut communicator = std::ptr::null_mut();
        let id = sys::ncclUniqueId { internal: id.map(|byte| byte as std::ffi::c_char) };
        // SAFETY: NCCL writes the communicator; the card's context is this thread's.
        unsafe { result::comm_init_rank(&raw mut communicator, world as i32, id, rank as i32) }
            .map_err(failed("joining the other cards"))?;
        let staging = Mutex::new(card.zeros("sums over cards", STAGED)?);
        Ok(Self { card: card.clone(), communicator, stream: card.new_urgent_stream()?, staging })
    }

    /// Enqueues replacing `count` elements by their sums over all cards, in the order of the card's other work.
    pub(super) fn sum(&self, span: Span<'_>, element: Element, count: usize) -> Result<(), CudaError> {
        // Sums have one order: that of their own stream.
        let arrived = self.sum_aside(&[(span, element, count)])?;
        self.card.stream().wait(&arrived).map_err(CudaError::during("waiting for sums"))
    }

    /// The same beside other work: what the card has been told before comes first, and what follows waits only where it
    /// waits for the event.
    pub(super) fn sum_aside(&self, spans: &[(Span<'_>, Element, usize)]) -> Result<CudaEvent, CudaError> {
        let during = || CudaError::during("exchanging votes");
        self.stream.join(self.card.stream()).map_err(during())?;
        for (span, element, count) in spans {
            self.enqueue(*span, *element, *count)?;
        }
        self.stream.record_event(None).map_err(during())
    }

    fn enqueue(&self, span: Span<'_>, element: Element, count: usize) -> Result<(), CudaError> {
        let address = span.address() as *mut std::ffi::c_void;
        let (of_nccl, sum) = (element.of_nccl(), ncclRedOp_t::ncclSum);
        // SAFETY: the span holds so many elements; the communicator is alive; nobody else writes them before the sum is made,
        // by the order of streams.
        let sent = unsafe {
            result::all_reduce(address, address, count, of_nccl, sum, self.communicator, self.stream.cu_stream().cast())
        };
        sent.map(|_| ()).map_err(failed("exchanging votes"))
    }

    /// The same as [`Nccl::sum_staged`] for integers of fewer bits.
    fn sum_widened<T: Copy + Into<i64>>(&self, values: &mut [T], narrow: fn(i64) -> T) -> Result<(), CudaError> {
        let mut wide: Vec<i64> = values.iter().map(|value| (*value).into()).collect();
        self.sum_staged(&mut wide)?;
        values.iter_mut().zip(wide).for_each(|(value, sum)| *value = narrow(sum));
        Ok(())
    }

    /// Sums integers of the host. Waits for all work of the card.
    fn sum_staged(&self, values: &mut [i64]) -> Result<(), CudaError> {
        let mut staging = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        for values in values.chunks_mut(STAGED) {
            self.card.write(&mut staging, values)?;
            self.sum(Span::from(&*staging), Element::I64, values.len())?;
            let sums = self.card.read(&staging)?;
            values.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum);
        }
        Ok(())
    }
}

impl Exchange for Nccl {
    fn sum(&self, integers: Integers<'_>) -> Result<(), ExchangeError> {
        let summed = match integers {
            Integers::I64(values) => self.sum_staged(values),
            Integers::I32(values) => self.sum_widened(values, |sum| sum as i32),
            Integers::I8(values) => self.sum_widened(values, |sum| sum as i8),
        };
        summed.map_err(|error| ExchangeError::Device(error.to_string()))
    }
}
