//! The C face of trishift.
//!
//! `include/trishift.h` is made from this file by cbindgen; what stands here in comments stands there. No function panics
//! into C, and every one checks its pointers as far as a pointer can be checked: null is an error, not a fault.
#![allow(unsafe_code, reason = "C hands over pointers")]

mod error;
mod model;

pub use error::{TrishiftStatus, trishift_error};
pub use model::{TrishiftDescription, TrishiftModel};

use error::{Failure, guarded};
use model::Loaded;
use std::ffi::{CStr, c_char};
use trishift::OutputSlice;

/// Reads a model file and makes it ready to run on `threads` threads; 0 is as many as the machine has. On success `*model`
/// is a model to be freed by `trishift_free`; else it is left alone.
///
/// # Safety
/// `path` ends with a zero byte; `model` is valid for a write. Both may be null, which is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trishift_open(
    path: *const c_char,
    threads: usize,
    model: *mut *mut TrishiftModel,
) -> TrishiftStatus {
    guarded(|| {
        if path.is_null() {
            return Err(Failure::null("path"));
        }
        // SAFETY: not null, and the caller says that it ends with a zero byte.
        let path = unsafe { CStr::from_ptr(path) };
        let path = path.to_str().map_err(|_| Failure::argument("path is not UTF-8"))?;
        let file = std::fs::read(path).map_err(|error| Failure::file(path, &error))?;
        // SAFETY: as the caller says of `model`.
        unsafe { hand_over(Loaded::open(file, threads), model) }
    })
}

/// The same from memory: `length` bytes, which are copied.
///
/// # Safety
/// `bytes` is valid for reads of `length` bytes, `model` for a write. Both may be null, which is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trishift_load(
    bytes: *const u8,
    length: usize,
    threads: usize,
    model: *mut *mut TrishiftModel,
) -> TrishiftStatus {
    guarded(|| {
        // SAFETY: as the caller says.
        let file = unsafe { slice(bytes, length, "bytes") }?.to_vec();
        // SAFETY: as the caller says of `model`.
        unsafe { hand_over(Loaded::open(file, threads), model) }
    })
}

/// Frees a model. Null is allowed, and does nothing.
///
/// # Safety
/// `model` is null or from `trishift_open` or `trishift_load`, has not been freed, and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trishift_free(model: *mut TrishiftModel) {
    if !model.is_null() {
        // SAFETY: it came out of a box, and the caller says that nobody else has it.
        drop(unsafe { Box::from_raw(model) });
    }
}

/// Writes what there is to know of a model to `*description`.
///
/// # Safety
/// `model` is a model or null, `description` is valid for a write or null; null is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trishift_describe(
    model: *const TrishiftModel,
    description: *mut TrishiftDescription,
) -> TrishiftStatus {
    guarded(|| {
        // SAFETY: as the caller says.
        let model = unsafe { model.as_ref() }.ok_or(Failure::null("model"))?;
        // SAFETY: as the caller says.
        let description = unsafe { description.as_mut() }.ok_or(Failure::null("description"))?;
        *description = model.description();
        Ok(())
    })
}

/// The name of the output's element `index`, or null where the model has none.
///
/// # Safety
/// `model` is a model or null. The text is the model's, and gone with it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trishift_label(model: *const TrishiftModel, index: usize) -> *const c_char {
    // SAFETY: as the caller says.
    unsafe { model.as_ref() }.and_then(|model| model.label(index)).map_or(std::ptr::null(), CStr::as_ptr)
}

/// Quantises raw values, `length` of them, a whole number of samples, to the int8 inputs of the model.
///
/// # Safety
/// `model` is a model; `values` is valid for reads of `length` elements, `input` for as many writes, and they do not
/// overlap. Any may be null, which is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trishift_quantize(
    model: *const TrishiftModel,
    values: *const f32,
    length: usize,
    input: *mut i8,
) -> TrishiftStatus {
    guarded(|| {
        // SAFETY: as the caller says.
        let model = unsafe { model.as_ref() }.ok_or(Failure::null("model"))?;
        // SAFETY: as the caller says.
        let values = unsafe { slice(values, length, "values") }?;
        // SAFETY: as the caller says.
        let input = unsafe { slice_mut(input, length, "input") }?;
        model.quantize(values, input)
    })
}

/// Runs a model whose outputs are int32 on any number of samples: `input` is [samples, inputs], `output` [samples,
/// outputs], sample after sample. Threads may run one model at the same time.
///
/// # Safety
/// `model` is a model; `input` is valid for reads of `input_length` elements, `output` for writes of `output_length`, and
/// they do not overlap. Any may be null, which is refused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trishift_run_int32(
    model: *const TrishiftModel,
    input: *const i8,
    input_length: usize,
    output: *mut i32,
    output_length: usize,
) -> TrishiftStatus {
    guarded(|| {
        // SAFETY: as the caller says.
        let model = unsafe { model.as_ref() }.ok_or(Failure::null("model"))?;
        // SAFETY: as the caller says.
        let input = unsafe { slice(input, input_length, "input") }?;
        // SAFETY: as the caller says.
        let output = unsafe { slice_mut(output, output_length, "output") }?;
        model.run(input, OutputSlice::I32(output))
    })
}

/// The same for a model whose outputs are int8.
///
/// # Safety
/// As `trishift_run_int32`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn trishift_run_int8(
    model: *const TrishiftModel,
    input: *const i8,
    input_length: usize,
    output: *mut i8,
    output_length: usize,
) -> TrishiftStatus {
    guarded(|| {
        // SAFETY: as the caller says.
        let model = unsafe { model.as_ref() }.ok_or(Failure::null("model"))?;
        // SAFETY: as the caller says.
        let input = unsafe { slice(input, input_length, "input") }?;
        // SAFETY: as the caller says.
        let output = unsafe { slice_mut(output, output_length, "output") }?;
        model.run(input, OutputSlice::I8(output))
    })
}

/// Gives a model to C.
///
/// # Safety
/// `out` is valid for a write or null.
unsafe fn hand_over(model: Result<Loaded, Failure>, out: *mut *mut TrishiftModel) -> Result<(), Failure> {
    // SAFETY: as the caller says.
    let out = unsafe { out.as_mut() }.ok_or(Failure::null("model"))?;
    *out = Box::into_raw(Box::new(TrishiftModel::from(model?)));
    Ok(())
}

/// # Safety
/// `pointer` is valid for reads of `length` elements while the slice is used, or null.
unsafe fn slice<'a, T>(pointer: *const T, length: usize, name: &'static str) -> Result<&'a [T], Failure> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Failure::null(name));
    }
    // SAFETY: as the caller says.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// # Safety
/// `pointer` is valid for writes of `length` elements that nobody else uses while the slice is used, or null.
unsafe fn slice_mut<'a, T>(pointer: *mut T, length: usize, name: &'static str) -> Result<&'a mut [T], Failure> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Failure::null(name));
    }
    // SAFETY: as the caller says.
    Ok(unsafe { std::slice::from_raw_parts_mut(pointer, length) })
}
