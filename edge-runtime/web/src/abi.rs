//! What JavaScript calls. Pointers are offsets in the module's memory.
//!
//! ```js
//! const pointer = exports.reserve(file.length);             // 0 where memory does not suffice
//! new Uint8Array(exports.memory.buffer, pointer, file.length).set(file);
//! const session = exports.open(pointer, file.length);       // takes the bytes
//! const text = new Uint8Array(exports.memory.buffer, exports.text(session), exports.text_length(session));
//! if (exports.is_ready(session)) { … the description, in JSON … } else { … a refusal, in JSON … }
//! ```
//!
//! Then: `raw` or `input`, `quantize`, `run` (1: done; 0: `text` says why not), `trace`; `reset`; at last `close`. Memory may
//! grow, and old views of it are empty, with `reserve` and `open` alone.
//!
//! # Safety
//! Of all functions here: a session is one that [`open`] gave and [`close`] has not taken, and one function has it at a time;
//! JavaScript calls from one thread.

use crate::Session;
use crate::session::zeros;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What [`open`] gives: a session, or why there is none.
pub struct Handle {
    session: Option<Session>,
    /// Of a refusal; while there is none, the session's description is what is said.
    refusal: Vec<u8>,
}

impl Handle {
    fn text(&self) -> &[u8] {
        match &self.session {
            Some(session) if self.refusal.is_empty() => session.description(),
            _ => &self.refusal,
        }
    }
}

/// Memory for a file, zeros; null where it does not suffice. [`open`] takes it.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub extern "C" fn reserve(bytes: usize) -> *mut u8 {
    zeros::<u8>(bytes).map_or(core::ptr::null_mut(), |buffer| Box::into_raw(buffer.into_boxed_slice()).cast())
}

/// Loads the model file of so many bytes there.
///
/// # Safety
/// `file` is what [`reserve`] gave for as many bytes, and is given up.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn open(file: *mut u8, bytes: usize) -> *mut Handle {
    let slice = core::ptr::slice_from_raw_parts_mut(file, bytes);
    // SAFETY: the slice is the one that `reserve` made a pointer of, as the caller says.
    let file = unsafe { Box::from_raw(slice) };
    let handle = match Session::open(file.into_vec()) {
        Ok(session) => Handle { session: Some(session), refusal: Vec::new() },
        Err(refusal) => Handle { session: None, refusal: refusal.json() },
    };
    Box::into_raw(Box::new(handle))
}

/// Gives a session's memory back.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn close(handle: *mut Handle) {
    // SAFETY: `open` made the pointer of a box, as the caller says.
    drop(unsafe { Box::from_raw(handle) });
}

/// 1 where the file was a model.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn is_ready(handle: *const Handle) -> bool {
    // SAFETY: as the caller says.
    unsafe { &*handle }.session.is_some()
}

/// The description in JSON; or after a failure, the refusal ([`crate::refusal`]). UTF-8.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn text(handle: *const Handle) -> *const u8 {
    // SAFETY: as the caller says.
    unsafe { &*handle }.text().as_ptr()
}

/// Its bytes.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn text_length(handle: *const Handle) -> usize {
    // SAFETY: as the caller says.
    unsafe { &*handle }.text().len()
}

/// Raw values, int32, as many as the input has elements; null without a model.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn raw(handle: *mut Handle) -> *mut i32 {
    // SAFETY: as the caller says.
    let session = unsafe { &mut *handle }.session.as_mut();
    session.map_or(core::ptr::null_mut(), |session| session.raw().as_mut_ptr())
}

/// The input, int8; null without a model.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn input(handle: *mut Handle) -> *mut i8 {
    // SAFETY: as the caller says.
    let session = unsafe { &mut *handle }.session.as_mut();
    session.map_or(core::ptr::null_mut(), |session| session.input().as_mut_ptr())
}

/// What the operators wrote, each where the description says; null without a model.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn trace(handle: *const Handle) -> *const u8 {
    // SAFETY: as the caller says.
    let session = unsafe { &*handle }.session.as_ref();
    session.map_or(core::ptr::null(), |session| session.trace().as_ptr())
}

/// Makes the input of the raw values, by the model's own scaling.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn quantize(handle: *mut Handle) {
    // SAFETY: as the caller says.
    if let Some(session) = unsafe { &mut *handle }.session.as_mut() {
        session.quantize();
    }
}

/// Runs the model on the input: 1, or 0 where the text says why it could not.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn run(handle: *mut Handle) -> bool {
    // SAFETY: as the caller says.
    let handle = unsafe { &mut *handle };
    let Some(session) = handle.session.as_mut() else { return false };
    session.run().map_err(|refusal| handle.refusal = refusal.json()).is_ok()
}

/// A model that streams begins anew.
///
/// # Safety
/// As the module says.
#[cfg_attr(target_family = "wasm", unsafe(no_mangle))]
pub unsafe extern "C" fn reset(handle: *mut Handle) {
    // SAFETY: as the caller says.
    if let Some(session) = unsafe { &mut *handle }.session.as_mut() {
        session.reset();
    }
}
