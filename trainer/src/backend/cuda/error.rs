//! Why a card could not be used.

use cudarc::driver::DriverError;
use thiserror::Error;

/// Why a card could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CudaError {
    /// libcuda is missing.
    #[error("there is no NVIDIA driver (libcuda) on this machine; install the card's driver, or use --device cpu")]
    NoDriver,
    /// The driver is older than the calls that are made of it.
    #[error(
        "the NVIDIA driver knows CUDA {major}.{minor}; 12.8 or newer is needed (drivers from 570 on); update it, or use \
         --device cpu"
    )]
    OldDriver {
        /// Major version of CUDA.
        major: i32,
        /// Minor version of CUDA.
        minor: i32,
    },
    /// The driver knows no card.
    #[error("the NVIDIA driver finds no card; look at nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu")]
    NoCard,
    /// A number beyond the cards that there are.
    #[error("there is no card cuda:{asked}; the last one is cuda:{last}", last = count - 1)]
    Index {
        /// The number asked for.
        asked: u32,
        /// How many there are.
        count: u32,
    },
    /// Too old a card.
    #[error(
        "{name} has compute capability {major}.{minor}; 8.0 (Ampere) or newer is needed for bfloat16 products; use \
         --device cpu"
    )]
    TooOld {
        /// The card's name.
        name: String,
        /// Major compute capability.
        major: i32,
        /// Minor compute capability.
        minor: i32,
    },
    /// A library is missing.
    #[error(
        "{library} is missing, which training on a card needs; install the CUDA toolkit's runtime libraries (Debian: \
         {debian}; or pip install {pip} and put the folder of the library into LD_LIBRARY_PATH), or use --device cpu"
    )]
    Library {
        /// Its name.
        library: &'static str,
        /// Debian's package.
        debian: &'static str,
        /// The Python package that brings it.
        pip: &'static str,
    },
    /// NVRTC does not know the card.
    #[error("this NVRTC cannot compile for compute capability {major}.{minor}; install a newer CUDA toolkit")]
    Architecture {
        /// Major compute capability.
        major: i32,
        /// Minor compute capability.
        minor: i32,
    },
    /// NVRTC failed.
    #[error("NVRTC did not give {action}: {code}")]
    Nvrtc {
        /// What was asked of it.
        action: &'static str,
        /// Its error.
        code: String,
    },
    /// A kernel does not compile.
    #[error("the kernels {name} do not compile: {log}")]
    Compile {
        /// The source.
        name: &'static str,
        /// NVRTC's log.
        log: String,
    },
    /// Out of memory.
    #[error(
        "the card's memory is full: {what} needs {needed} MiB, {free} of {total} MiB are free; use a smaller batch or \
         network, or --device cpu"
    )]
    Memory {
        /// What was to be allocated.
        what: &'static str,
        /// MiB it needs.
        needed: usize,
        /// MiB free.
        free: usize,
        /// MiB of the card.
        total: usize,
    },
    /// What only the CPU trains.
    #[error("{what} cannot be trained on a card yet; use --device cpu")]
    Unsupported {
        /// What it is.
        what: &'static str,
    },
    /// No algorithm for a product.
    #[error("cuBLASLt failed in a product of {rows} × {columns} × {inner}: {code}")]
    Product {
        /// Rows of the result.
        rows: usize,
        /// Columns of the result.
        columns: usize,
        /// Terms of a sum.
        inner: usize,
        /// Its error.
        code: String,
    },
    /// NCCL failed.
    #[error("NCCL failed in {action}: {code}; NCCL_DEBUG=INFO makes it say more")]
    Nccl {
        /// What was asked of it.
        action: &'static str,
        /// Its error.
        code: String,
    },
    /// A call of the driver's failed.
    #[error("the NVIDIA driver failed in {action}: {code}")]
    Driver {
        /// What was asked of it.
        action: &'static str,
        /// Its error.
        code: String,
    },
}

impl CudaError {
    /// Makes the driver's errors errors of `action`.
    pub(crate) fn during(action: &'static str) -> impl Fn(DriverError) -> Self {
        move |error| Self::Driver { action, code: error.to_string().replace('\n', " ") }
    }
}
