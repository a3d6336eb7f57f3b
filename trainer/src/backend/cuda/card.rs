//! A card: its context, one stream, compiled kernels, memory.
//!
//! All work goes to one stream, in the order of the calls; nothing waits but [`Card::wait`] and copies to the host. A
//! launch may be captured in a graph: it allocates nothing.
#![allow(unsafe_code, reason = "launches kernels")]

use super::CudaError;
use super::compile::{self, Architecture};
use cudarc::driver::sys::{CUevent_flags, CUfunction_attribute_enum, CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaGraph, CudaModule, CudaSlice, CudaStream, DevicePtr, DeviceRepr,
    DriverError, ValidAsZeroBits, result,
};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use trishift_format::GroupSize;
use trishift_kernels::cuda::Source;

/// Oldest compute capability with bfloat16 products.
const OLDEST: Architecture = Architecture { major: 8, minor: 0 };

/// Oldest version of CUDA whose driver has every call that is made: 12.8.
const OLDEST_DRIVER: i32 = 12_080;

/// A kernel by its source and name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    source: Source,
    group: Option<GroupSize>,
    name: &'static str,
}

impl Kernel {
    /// A kernel of a source that is the same for all group sizes.
    pub const fn new(source: Source, name: &'static str) -> Self {
        Self { source, group: None, name }
    }

    /// A kernel of a source that is compiled for one group size.
    pub const fn of_group(source: Source, group: GroupSize, name: &'static str) -> Self {
        Self { source, group: Some(group), name }
    }
}

/// Blocks and threads of a launch, and bytes of shared memory that it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Blocks in x and y.
    pub blocks: [u32; 2],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
}

impl Grid {
    /// So many blocks of so many threads.
    pub const fn new(blocks: u32, threads: u32) -> Self {
        Self { blocks: [blocks, 1], threads, shared: 0 }
    }

    /// Blocks of `threads` threads for `work` threads in all.
    pub fn covering(work: usize, threads: u32) -> Self {
        Self::new(work.div_ceil(threads as usize) as u32, threads)
    }
}

/// One argument of a kernel: a number or the address of memory on the card.
#[derive(Clone, Copy, Debug)]
pub struct Argument(u64);

impl From<i32> for Argument {
    fn from(value: i32) -> Self {
        Self(u64::from(value as u32))
    }
}

impl From<u64> for Argument {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl From<usize> for Argument {
    fn from(value: usize) -> Self {
        Self(value as u64)
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self(u64::from(value.to_bits()))
    }
}

impl From<f64> for Argument {
    fn from(value: f64) -> Self {
        Self(value.to_bits())
    }
}

impl From<bool> for Argument {
    fn from(value: bool) -> Self {
        Self(u64::from(value))
    }
}

impl<T> From<&Buffer<T>> for Argument {
    fn from(buffer: &Buffer<T>) -> Self {
        Self(buffer.address)
    }
}

impl<T> From<Option<&Buffer<T>>> for Argument {
    fn from(buffer: Option<&Buffer<T>>) -> Self {
        Self(buffer.map_or(0, |buffer| buffer.address))
    }
}

impl From<Span<'_>> for Argument {
    fn from(span: Span<'_>) -> Self {
        Self(span.address)
    }
}

impl From<Option<Span<'_>>> for Argument {
    fn from(span: Option<Span<'_>>) -> Self {
        Self(span.map_or(0, |span| span.address))
    }
}

/// Arguments of a kernel, in its order. Types must be the kernel's own: `int` is `i32`, `u64` is `u64` or `usize`.
macro_rules! arguments {
    ($($argument:expr),* $(,)?) => {
        &[$($crate::backend::cuda::card::Argument::from($argument)),*]
    };
}
pub(crate) use arguments;

/// Memory on a card; freed with this value.
#[derive(Debug)]
pub struct Buffer<T> {
    slice: CudaSlice<T>,
    address: u64,
}

impl<T> Buffer<T> {
    /// Elements.
    pub fn len(&self) -> usize {
        self.slice.len()
    }

    /// True where there are none.
    pub fn is_empty(&self) -> bool {
        self.slice.is_empty()
    }

    /// Bytes.
    pub fn bytes(&self) -> usize {
        self.slice.num_bytes()
    }

    /// Where it begins on the card.
    pub fn address(&self) -> u64 {
        self.address
    }
}

/// Memory of a buffer from one of its elements on.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    address: u64,
    bytes: usize,
    buffer: PhantomData<&'a ()>,
}

impl Span<'_> {
    /// Where it begins on the card.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Bytes up to the buffer's end.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is so many bytes further; none where there are fewer.
    pub fn byte(&self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        Self { address: self.address + bytes as u64, bytes: self.bytes - bytes, ..*self }
    }
}

impl<T> Buffer<T> {
    /// The elements from number `first` on; none where there are fewer.
    pub fn from(&self, first: usize) -> Span<'_> {
        let before = (first * size_of::<T>()).min(self.bytes());
        Span { address: self.address + before as u64, bytes: self.bytes() - before, buffer: PhantomData }
    }
}

impl<'a, T> From<&'a Buffer<T>> for Span<'a> {
    fn from(buffer: &'a Buffer<T>) -> Self {
        Self { address: buffer.address, bytes: buffer.bytes(), buffer: PhantomData }
    }
}

impl<'a> Span<'a> {
    /// Memory that is no buffer's.
    ///
    /// # Safety
    /// So many bytes of the card's memory lie there for as long as `'a`.
    #[allow(unsafe_code, reason = "nobody but the caller knows what lies there")]
    pub(super) const unsafe fn at(address: u64, bytes: usize) -> Self {
        Self { address, bytes, buffer: PhantomData::<&'a ()> }
    }
}

/// Loaded sources by the group size that they were compiled for.
type Modules = HashMap<(Source, Option<GroupSize>), Arc<CudaModule>>;

/// An opened card.
pub struct Card {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    name: String,
    architecture: Architecture,
    modules: Mutex<Modules>,
    functions: Mutex<HashMap<Kernel, CudaFunction>>,
    /// Kernels are loaded but not launched.
    rehearsing: AtomicBool,
}

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Card").field("name", &self.name).field("architecture", &self.architecture).finish()
    }
}

impl Card {
    /// How many cards the driver finds.
    ///
    /// # Errors
    /// [`CudaError::NoDriver`] or [`CudaError::OldDriver`].
    pub fn count() -> Result<u32, CudaError> {
        // SAFETY: loads a library of a known name; nothing is called in it.
        if !unsafe { cudarc::driver::sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        let mut version = 0;
        // SAFETY: the driver writes one number.
        let known = unsafe { cudarc::driver::sys::cuDriverGetVersion(&raw mut version) }.result();
        known.map_err(CudaError::during("asking the driver's version"))?;
        if version < OLDEST_DRIVER {
            return Err(CudaError::OldDriver { major: version / 1000, minor: version % 1000 / 10 });
        }
        // A driver without a card refuses to start.
        if result::init().is_err() {
            return Ok(0);
        }
        let count = result::device::get_count().map_err(CudaError::during("counting cards"))?;
        Ok(count.max(0) as u32)
    }

    /// Opens a card and makes sure that everything that training needs is there.
    ///
    /// # Errors
    /// [`CudaError`] says what is missing.
    pub fn open(number: u32) -> Result<Self, CudaError> {
        let count = Self::count()?;
        if count == 0 {
            return Err(CudaError::NoCard);
        }
        if number >= count {
            return Err(CudaError::Index { asked: number, count });
        }
        let context = CudaContext::new(number as usize).map_err(CudaError::during("opening the card"))?;
        let name = context.name().map_err(CudaError::during("naming the card"))?;
        let (major, minor) = context.compute_capability().map_err(CudaError::during("asking the card's age"))?;
        let architecture = Architecture { major, minor };
        if architecture < OLDEST {
            return Err(CudaError::TooOld { name, major, minor });
        }
        if !compile::is_available() {
            let (debian, pip) = ("libnvrtc12 or cuda-nvrtc-13-0", "nvidia-cuda-nvrtc");
            return Err(CudaError::Library { library: "NVRTC", debian, pip });
        }
        if !super::product::is_available() {
            let (debian, pip) = ("libcublaslt12 or libcublas-13-0", "nvidia-cublas");
            return Err(CudaError::Library { library: "cuBLASLt", debian, pip });
        }
        if !compile::architectures()?.contains(&(major * 10 + minor)) {
            return Err(CudaError::Architecture { major, minor });
        }
        // SAFETY: every buffer is used on one stream only, but for staging memory, whose copies are ordered by events of
        // their own.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(CudaError::during("making a stream"))?;
        let (modules, functions) = (Mutex::default(), Mutex::default());
        Ok(Self { context, stream, name, architecture, modules, functions, rehearsing: AtomicBool::new(false) })
    }

    /// The card's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its compute capability.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The stream that all work goes to.
    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Another stream of the same card.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub(super) fn new_stream(&self) -> Result<Arc<CudaStream>, CudaError> {
        self.context.new_stream().map_err(CudaError::during("making a stream"))
    }

    /// Another stream of the same card, whose work begins before that of others wherever both could.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub(super) fn new_urgent_stream(&self) -> Result<Arc<CudaStream>, CudaError> {
        let during = || CudaError::during("making a stream");
        let (_, most_urgent) = result::stream::get_priority_range().map_err(during())?;
        self.context.new_stream_with_priority(most_urgent).map_err(during())
    }

    /// Bytes free and in all.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        self.context.mem_get_info().map_err(CudaError::during("asking for free memory"))
    }

    /// Memory filled with zeros. `what` names it where there is not enough.
    ///
    /// # Errors
    /// [`CudaError::Memory`] or [`CudaError::Driver`].
    pub fn zeros<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        what: &'static str,
        len: usize,
    ) -> Result<Buffer<T>, CudaError> {
        // Never empty: kernels may be given its address.
        let slice = self.stream.alloc_zeros(len.max(1)).map_err(|error| self.not_allocated::<T>(what, len, error))?;
        Ok(self.buffer(slice))
    }

    /// Memory with these values. `what` names it where there is not enough.
    ///
    /// # Errors
    /// [`CudaError::Memory`] or [`CudaError::Driver`].
    pub fn upload<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        what: &'static str,
        values: &[T],
    ) -> Result<Buffer<T>, CudaError> {
        let mut buffer = self.zeros(what, values.len())?;
        self.write(&mut buffer, values)?;
        Ok(buffer)
    }

    fn buffer<T>(&self, slice: CudaSlice<T>) -> Buffer<T> {
        let (address, _) = slice.device_ptr(&self.stream);
        Buffer { slice, address }
    }

    fn not_allocated<T>(&self, what: &'static str, len: usize, error: DriverError) -> CudaError {
        let mebibytes = |bytes: usize| bytes.div_ceil(1 << 20);
        match self.memory() {
            Ok((free, total)) if error.0 == cudarc::driver::sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let needed = mebibytes(len.saturating_mul(size_of::<T>()));
                CudaError::Memory { what, needed, free: mebibytes(free), total: mebibytes(total) }
            }
            _ => CudaError::during("allocating memory")(error),
        }
    }

    /// Overwrites the beginning of a buffer. Waits for the copy.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn write<T: DeviceRepr>(&self, buffer: &mut Buffer<T>, values: &[T]) -> Result<(), CudaError> {
        if values.is_empty() {
            return Ok(());
        }
        self.stream.memcpy_htod(values, &mut buffer.slice).map_err(CudaError::during("copying to the card"))
    }

    /// The values of a buffer, once all work before is done.
    ///
    /// # Errors
    /// [`CudaError::Driver`], also for work before that failed.
    pub fn read<T: DeviceRepr>(&self, buffer: &Buffer<T>) -> Result<Vec<T>, CudaError> {
        let values = self.stream.clone_dtoh(&buffer.slice).map_err(CudaError::during("copying from the card"))?;
        self.wait()?;
        Ok(values)
    }

    /// Fills a buffer with zeros.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn clear<T: DeviceRepr + ValidAsZeroBits>(&self, buffer: &mut Buffer<T>) -> Result<(), CudaError> {
        self.stream.memset_zeros(&mut buffer.slice).map_err(CudaError::during("clearing memory"))
    }

    /// Copies one buffer to another of the same length.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn copy<T>(&self, from: &Buffer<T>, to: &mut Buffer<T>) -> Result<(), CudaError> {
        self.stream.memcpy_dtod(&from.slice, &mut to.slice).map_err(CudaError::during("copying on the card"))
    }

    /// Waits for all work.
    ///
    /// # Errors
    /// [`CudaError::Driver`], also for work that failed.
    pub fn wait(&self) -> Result<(), CudaError> {
        self.stream.synchronize().map_err(CudaError::during("a kernel"))
    }

    /// Launches a kernel. Nothing for a grid without blocks.
    ///
    /// # Errors
    /// Those of compilation at the kernel's first launch; [`CudaError::Driver`].
    pub fn launch(&self, kernel: Kernel, grid: Grid, arguments: &[Argument]) -> Result<(), CudaError> {
        if grid.blocks.contains(&0) {
            return Ok(());
        }
        let function = self.function(kernel)?;
        if self.rehearsing.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut pointers: Vec<*mut c_void> =
            arguments.iter().map(|argument| (&raw const argument.0).cast_mut().cast()).collect();
        self.context.bind_to_thread().map_err(CudaError::during("using the card"))?;
        let (blocks, threads) = ((grid.blocks[0], grid.blocks[1], 1), (grid.threads, 1, 1));
        // SAFETY: each pointer leads to 8 bytes that hold an argument of at most 8 bytes, little-endian, so that shorter
        // ones are found at its beginning. Callers give the arguments that the kernel's source names, in its order, and
        // buffers of the lengths that its comment gives.
        unsafe {
            let function = function.cu_function();
            result::launch_kernel(function, blocks, threads, grid.shared, self.stream.cu_stream(), &mut pointers)
        }
        .map_err(CudaError::during("launching a kernel"))
    }

    /// Lets a kernel have so many bytes of dynamic shared memory.
    ///
    /// # Errors
    /// Those of compilation; [`CudaError::Driver`].
    pub(super) fn allow_shared(&self, kernel: Kernel, bytes: u32) -> Result<(), CudaError> {
        let attribute = CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        self.function(kernel)?.set_attribute(attribute, bytes as i32).map_err(CudaError::during("preparing a kernel"))
    }

    /// The compiled kernel; compiled and loaded at its first use.
    ///
    /// # Errors
    /// Those of compilation; [`CudaError::Driver`].
    pub(super) fn function(&self, kernel: Kernel) -> Result<CudaFunction, CudaError> {
        // A poisoned map holds whole entries only.
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = functions.get(&kernel) {
            return Ok(function.clone());
        }
        let module = self.module(kernel)?;
        let function = module.load_function(kernel.name).map_err(CudaError::during("loading a kernel"))?;
        functions.insert(kernel, function.clone());
        Ok(function)
    }

    fn module(&self, kernel: Kernel) -> Result<Arc<CudaModule>, CudaError> {
        let mut modules = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (kernel.source, kernel.group);
        if let Some(module) = modules.get(&key) {
            return Ok(module.clone());
        }
        let code = compile::machine_code(&kernel.source, kernel.group, self.architecture)?;
        let module = self.context.load_module(Ptx::from_binary(code)).map_err(CudaError::during("loading kernels"))?;
        modules.insert(key, module.clone());
        Ok(module)
    }

    /// Loads the kernels that `enqueue` launches, without launching them: nothing may be loaded while a graph is captured.
    ///
    /// # Errors
    /// Those of `enqueue`.
    pub fn rehearse(&self, enqueue: impl FnOnce() -> Result<(), CudaError>) -> Result<(), CudaError> {
        self.rehearsing.store(true, Ordering::Relaxed);
        let result = enqueue();
        self.rehearsing.store(false, Ordering::Relaxed);
        result
    }

    /// Captures what `enqueue` sends to the card as a graph.
    ///
    /// # Errors
    /// Those of `enqueue`; [`CudaError::Driver`].
    pub fn capture(&self, enqueue: impl FnOnce() -> Result<(), CudaError>) -> Result<CudaGraph, CudaError> {
        let during = || CudaError::during("capturing a step");
        // Whatever cuBLASLt loads meanwhile is its own business: nothing of it goes to this stream.
        let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        self.stream.begin_capture(mode).map_err(during())?;
        let enqueued = enqueue();
        let graph = self.stream.end_capture(CUgraphInstantiate_flags(0)).map_err(during());
        enqueued?;
        let nothing = CudaError::Driver { action: "capturing a step", code: "nothing was captured".into() };
        graph?.ok_or(nothing)
    }

    /// A moment of the stream, for timing.
    ///
    /// # Errors
    /// [`CudaError::Driver`].
    pub fn mark(&self) -> Result<CudaEvent, CudaError> {
        let flags = Some(CUevent_flags::CU_EVENT_DEFAULT);
        self.stream.record_event(flags).map_err(CudaError::during("recording an event"))
    }
}
