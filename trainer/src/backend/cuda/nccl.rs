//! Sums over the cards of a run, by NCCL.
#![allow(unsafe_code, reason = "calls NCCL on memory of the card")]

use super::CudaError;
use super::card::{Buffer, Card, Span};
use crate::parallel::{Exchange, ExchangeError, Integers};
use cudarc::driver::{CudaEvent, CudaStream};
use cudarc::nccl::result::{self, NcclError};
use cudarc::nccl::sys::{self, ncclDataType_t, ncclRedOp_t};
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of the number by which the workers of a run find each other.
pub const ID_BYTES: usize = 128;

/// Integers of the host that are summed at once.
const STAGED: usize = 1 << 10;

/// The oldest NCCL that gathers by copy engines, as it numbers itself.
const GATHERS_SINCE: i32 = 22_800;

/// Constants of its header: what marks a configuration, a number that is left to NCCL, collective calls without processors
/// wherever they can be made so, memory that all cards register alike, and what its size is a multiple of.
const MAGIC: u32 = 0xCAFE_BEEF;
const LEFT_TO_NCCL: i32 = i32::MIN;
const POLICY_ZERO: i32 = 2;
const SYMMETRIC: i32 = 1;
const REGISTERED: usize = 4096;

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

/// What is exchanged.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message<'a> {
    /// So many elements, which their sums over all cards replace.
    Sum(Span<'a>, Element, usize),
    /// A part of so many bytes for each card, one after another: every card gives its own to all.
    Parts(Span<'a>, usize),
}

/// One card's end of the run's communicator.
pub struct Nccl {
    card: Arc<Card>,
    communicator: sys::ncclComm_t,
    rank: usize,
    world: usize,
    /// Whether parts are gathered by copy engines, where cards reach each other's memory.
    gathers: bool,
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
        let gathers = result::get_nccl_version().is_ok_and(|version| version >= GATHERS_SINCE);
        // SAFETY: NCCL writes the communicator; the card's context is this thread's; it reads of the configuration what it
        // knows.
        let joined = unsafe {
            if gathers {
                let (world, rank, mut configuration) = (world as i32, rank as i32, without_processors());
                result::comm_init_rank_config(&raw mut communicator, world, id, rank, &raw mut configuration)
            } else {
                result::comm_init_rank(&raw mut communicator, world as i32, id, rank as i32)
            }
        };
        joined.map_err(failed("joining the other cards"))?;
        let (stream, staging) = (card.new_urgent_stream()?, Mutex::new(card.zeros("sums over cards", STAGED)?));
        Ok(Self { card: card.clone(), communicator, rank, world, gathers, stream, staging })
    }

    /// This card's number among all.
    pub(super) fn rank(&self) -> usize {
        self.rank
    }

    /// How many cards there are.
    pub(super) fn world(&self) -> usize {
        self.world
    }

    /// Memory for [`Message::Parts`], of so many bytes in all. None where sums are the better way: with more than two cards,
    /// to which each would give its part whole, and where NCCL knows no other. All cards ask alike, and get alike.
    pub(super) fn shared_memory(self: &Arc<Self>, bytes: usize) -> Result<Option<SharedMemory>, CudaError> {
        if self.world != 2 || !self.gathers {
            return Ok(None);
        }
        let memory = SharedMemory::new(self, bytes.next_multiple_of(REGISTERED));
        let mut registered = [i64::from(memory.is_ok())];
        self.sum_staged(&mut registered)?;
        Ok(memory.ok().filter(|_| registered == [self.world as i64]))
    }

    /// Enqueues replacing `count` elements by their sums over all cards, in the order of the card's other work.
    pub(super) fn sum(&self, span: Span<'_>, element: Element, count: usize) -> Result<(), CudaError> {
        // Sums have one order: that of their own stream.
        let arrived = self.exchange_aside(&[Message::Sum(span, element, count)])?;
        self.card.stream().wait(&arrived).map_err(CudaError::during("waiting for sums"))
    }

    /// The same beside other work: what the card has been told before comes first, and what follows waits only where it
    /// waits for the event.
    pub(super) fn exchange_aside(&self, messages: &[Message<'_>]) -> Result<CudaEvent, CudaError> {
        let during = || CudaError::during("exchanging votes");
        self.stream.join(self.card.stream()).map_err(during())?;
        messages.iter().try_for_each(|message| self.enqueue(message))?;
        self.stream.record_event(None).map_err(during())
    }

    fn enqueue(&self, message: &Message<'_>) -> Result<(), CudaError> {
        let (communicator, stream) = (self.communicator, self.stream.cu_stream().cast());
        // SAFETY: spans hold so many elements, or parts; the communicator is alive; nobody else writes them before the exchange
        // is made, by the order of streams.
        let sent = unsafe {
            match *message {
                Message::Sum(span, element, count) => {
                    let at = span.address() as *mut c_void;
                    let (of_nccl, sum) = (element.of_nccl(), ncclRedOp_t::ncclSum);
                    result::all_reduce(at, at, count, of_nccl, sum, communicator, stream)
                }
                Message::Parts(span, bytes) => {
                    let own = span.byte(self.rank * bytes).address() as *const c_void;
                    let all = span.address() as *mut c_void;
                    result::all_gather(own, all, bytes, ncclDataType_t::ncclInt8, communicator, stream)
                }
            }
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

/// How a communicator is made whose collective calls leave processors to others wherever copy engines can make them.
fn without_processors() -> sys::ncclConfig_t {
    // SAFETY: numbers and pointers, of which all bits may be 0.
    let mut configuration: sys::ncclConfig_t = unsafe { std::mem::zeroed() };
    configuration.size = size_of::<sys::ncclConfig_t>();
    configuration.magic = MAGIC;
    configuration.version = GATHERS_SINCE as u32;
    for number in [
        &mut configuration.blocking,
        &mut configuration.cgaClusterSize,
        &mut configuration.minCTAs,
        &mut configuration.maxCTAs,
        &mut configuration.splitShare,
        &mut configuration.trafficClass,
        &mut configuration.collnetEnable,
        &mut configuration.shrinkShare,
        &mut configuration.nvlsCTAs,
        &mut configuration.nChannelsPerNetPeer,
        &mut configuration.nvlinkCentricSched,
        &mut configuration.graphUsageMode,
        &mut configuration.numRmaCtx,
        &mut configuration.maxP2pPeers,
    ] {
        *number = LEFT_TO_NCCL;
    }
    configuration.CTAPolicy = POLICY_ZERO;
    configuration
}

/// Memory of this card that others write to: NCCL's, and known to it.
#[derive(Debug)]
pub(super) struct SharedMemory {
    nccl: Arc<Nccl>,
    address: *mut c_void,
    bytes: usize,
    window: sys::ncclWindow_t,
}

// SAFETY: the address of memory of the card and a handle, used in the order of the host's calls like the communicator.
unsafe impl Send for SharedMemory {}
// SAFETY: as above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Waits for the other cards, which make theirs.
    fn new(nccl: &Arc<Nccl>, bytes: usize) -> Result<Self, CudaError> {
        let (mut address, mut window) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: NCCL writes the address.
        let allocated = unsafe { sys::ncclMemAlloc(&raw mut address, bytes) }.result();
        allocated.map_err(failed("memory that cards share"))?;
        // SAFETY: so many bytes of NCCL's own lie there; it writes the handle.
        let registered = unsafe {
            sys::ncclCommWindowRegister(nccl.communicator, address, bytes, &raw mut window, SYMMETRIC).result()
        };
        // Freed from here on.
        let memory = Self { nccl: nccl.clone(), address, bytes, window };
        registered.map_err(failed("registering memory that cards share"))?;
        Ok(memory)
    }

    /// With whom it is shared.
    pub(super) fn nccl(&self) -> &Nccl {
        &self.nccl
    }

    /// What is so many bytes from its beginning.
    pub(super) fn from(&self, byte: usize) -> Span<'_> {
        // SAFETY: the memory is this value's for as long as it lives.
        unsafe { Span::at(self.address as u64, self.bytes) }.byte(byte)
    }

    /// Bytes in all.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // Work that failed has said so elsewhere.
        let _ = self.nccl.card.wait();
        if !self.window.is_null() {
            // SAFETY: registered with this communicator, once.
            let _ = unsafe { sys::ncclCommWindowDeregister(self.nccl.communicator, self.window) };
        }
        // SAFETY: allocated by NCCL, given up once; no work uses it any more.
        let _ = unsafe { sys::ncclMemFree(self.address) };
    }
}
