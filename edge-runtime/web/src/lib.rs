//! The runtime in a browser: a module of a few exported functions and a memory, and the page that uses it.
//!
//! [`Session`] is a model with its engine, its input and what its layers gave; [`mod@abi`] is the same for JavaScript, as
//! functions over a pointer. There is no glue: numbers go in and out through the module's memory, texts are JSON. What is
//! refused is a [`Refusal`]; the page has the sentences. [`page`] has the page's files, the module among them, for programs that
//! serve it.
#![no_std]

extern crate alloc;
// Programs on this machine have a panic handler and a heap; the module brings its own.
#[cfg(not(target_family = "wasm"))]
extern crate std;

pub mod abi;
mod description;
mod json;
#[cfg(target_family = "wasm")]
mod module;
#[cfg(not(target_family = "wasm"))]
pub mod page;
pub mod refusal;
mod session;

pub use refusal::Refusal;
pub use session::Session;
