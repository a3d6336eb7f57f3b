//! What the contract tests of the format share.
//!
//! [`golden`] builds the files in `tests/golden`; [`raw`] writes files without keeping any rule, for the tests of the
//! rules; [`seal`] repairs checksums; [`walk`] calls every accessor and proves what a parsed file promises.
#![allow(dead_code, reason = "each test program uses a part of this module")]

#[cfg(feature = "alloc")]
pub(crate) mod golden;
pub(crate) mod raw;
pub(crate) mod seal;
pub(crate) mod walk;
