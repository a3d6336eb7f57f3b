//! Runs a trishift model: integer additions and shifts, from a Cortex-M0 to a server, with the same result everywhere.
//!
//! ```
//! # #[cfg(not(all(feature = "std", feature = "all-operators")))]
//! # fn main() {}
//! # #[cfg(all(feature = "std", feature = "all-operators"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use trishift::{Engine, HeapArena, Model};
//!
//! # let file = std::fs::read("../shared-format/tests/golden/model-0.2.tsm")?;
//! let model = Model::parse(&file)?;                    // everything that can be wrong with it is found here
//! let mut arena = HeapArena::new(&model, 1)?;          // firmware: a static `Arena<{ … }>`
//! let mut engine = Engine::new(&model, arena.bytes(), 1)?;
//! let input = vec![1i8; model.input().len()];
//! let mut logits = vec![0i32; model.output().len()];
//! engine.run(&input, &mut logits)?;
//! # Ok(())
//! # }
//! ```
//!
//! A server parses once and shares the packed weights and the cores between all its callers:
//!
//! ```
//! # #[cfg(not(all(feature = "threads", feature = "all-operators")))]
//! # fn main() {}
//! # #[cfg(all(feature = "threads", feature = "all-operators"))]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use trishift::{EnginePool, Model};
//!
//! # let file = std::fs::read("../shared-format/tests/golden/model-0.2.tsm")?;
//! let model = Model::parse(&file)?;
//! let pool = EnginePool::new(&model, std::thread::available_parallelism()?)?;
//! let samples = vec![1i8; 100 * model.input().len()];
//! let mut logits = vec![0i32; 100 * model.output().len()];
//! pool.run(&samples, &mut logits)?;                    // from any thread, any number of samples
//! # Ok(())
//! # }
//! ```
//!
//! [`EnginePool`], [`HeapArena`] and [`PackedModel`] are there with the features `std` and `threads` (both on by default);
//! the instruction set is the best one that the processor has, or that which [`kernels::select`] is asked for
//! ([`kernels::from_environment`] asks for the one that the variable `TRISHIFT_ISA` names).
//!
//! - The arena's exact size is known before the first run: [`Engine::arena_len`], or [`arena_len_of_file`] in a constant.
//! - Layers with ternary weights, pools and everything between them add and shift. What multiplies is RMS norm and softmax,
//!   each element, dividing once a sample, and the few layers that keep int8 weights.
//! - Images are [height, width, channels]; convolutions and pools slide any window with any stride and padding over them,
//!   and a sequence is an image of height 1. ReLU, additions, reshaping and depthwise convolutions may work in place.
//! - A model that streams takes the next rows of its input alone, and keeps what it needs of those before in persistent
//!   tensors: zeros in a new engine and after [`Engine::reset`], and for each place of a batch its own.
//! - Nothing allocates and nothing panics; without the feature `std` there is no heap at all.
//! - Operators are cargo features. A model that needs a missing one is refused by [`Engine::new`], by name.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(feature = "std", test))]
extern crate std;

mod arena;
#[cfg(feature = "audio")]
pub mod audio;
#[cfg(feature = "detector")]
pub mod detector;
mod engine;
mod error;
#[cfg(feature = "listener")]
pub mod listener;
mod logging;
mod memory;
mod observe;
mod output;
#[cfg(feature = "std")]
mod packed;
#[cfg(feature = "threads")]
mod pool;
mod profile;
mod scratch;
#[cfg(feature = "threads")]
mod team;

#[cfg(feature = "std")]
pub use arena::HeapArena;
pub use arena::{Arena, arena_len_of_file};
pub use engine::Engine;
pub use error::{EngineError, RunError};
pub use observe::Observer;
pub use output::OutputSlice;
#[cfg(feature = "std")]
pub use packed::PackedModel;
#[cfg(feature = "threads")]
pub use pool::{BatchError, EnginePool, run_threads};
pub use profile::{Profiler, Step};
pub use trishift_format as format;
pub use trishift_format::{InputScale, Model, ParseError};
pub use trishift_kernels as kernels;
pub use trishift_kernels::Values;
#[cfg(feature = "argmax")]
pub use trishift_kernels::argmax::argmax;
