//! Arrays in and out: their types and shapes.

use ::trishift::Model;
use ::trishift::format::{DataType, Tensor};
use numpy::{
    Element, PyArray1, PyArrayDescrMethods, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArray,
    PyUntypedArrayMethods,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The shape of a sample: [height, width, channels], or a vector's length.
pub(crate) fn sample_shape(tensor: &Tensor) -> Vec<u32> {
    match tensor.shape {
        [1, 1, length] => vec![length],
        image => image.to_vec(),
    }
}

/// NumPy's name of an element type.
pub(crate) fn type_name(data_type: DataType) -> &'static str {
    match data_type {
        DataType::I8 => "int8",
        DataType::I32 => "int32",
    }
}

/// The inputs of some samples in one piece, and how many; `None` for one sample that is no batch.
pub(crate) fn samples<'py>(
    model: &Model<'_>,
    array: &Bound<'py, PyAny>,
) -> PyResult<(PyReadonlyArrayDyn<'py, i8>, Option<usize>)> {
    let array = as_array(array)?;
    if let Ok(array) = array.cast::<PyArrayDyn<i8>>() {
        let count = count(model, array.shape())?;
        return Ok((in_one_piece(array)?.try_readonly().map_err(in_use)?, count));
    }
    let (values, count) = raw(model, &array)?;
    let input = PyArray1::from_vec(array.py(), quantized(model, values.as_slice()?));
    Ok((input.to_dyn().clone().readonly(), count))
}

/// Raw values as float32 in one piece, and how many samples they are.
pub(crate) fn raw<'py>(
    model: &Model<'_>,
    array: &Bound<'py, PyAny>,
) -> PyResult<(PyReadonlyArrayDyn<'py, f32>, Option<usize>)> {
    let array = as_array(array)?;
    let kind = array.dtype().kind();
    if !matches!(kind, b'f' | b'i' | b'u' | b'b') {
        let name = array.dtype().str()?;
        return Err(PyTypeError::new_err(format!("the array is of type {name}; give int8 inputs or raw numbers")));
    }
    let count = count(model, array.shape())?;
    let array = array.call_method1("astype", ("float32", "C"))?.cast_into::<PyArrayDyn<f32>>()?;
    Ok((array.try_readonly().map_err(in_use)?, count))
}

/// Raw values as int8, by one scale for all elements or one for each.
pub(crate) fn quantized(model: &Model<'_>, values: &[f32]) -> Vec<i8> {
    let scales: Vec<_> = model.input_scales().collect();
    values.iter().zip(scales.iter().cycle()).map(|(value, scale)| scale.quantize_f32(*value)).collect()
}

/// Rows of so many elements, or one row that is no batch.
pub(crate) fn shaped<'py, T: Element>(
    array: Bound<'py, PyArray1<T>>,
    count: Option<usize>,
    elements: usize,
) -> PyResult<Bound<'py, PyAny>> {
    Ok(match count {
        Some(count) => array.reshape([count, elements])?.into_any(),
        None => array.into_any(),
    })
}

/// How many samples an array of this shape holds.
fn count(model: &Model<'_>, shape: &[usize]) -> PyResult<Option<usize>> {
    let inputs = model.input().len();
    let image: Vec<usize> = sample_shape(&model.input()).iter().map(|length| *length as usize).collect();
    match shape {
        [length] if *length == inputs => Ok(None),
        [count, length] if *length == inputs => Ok(Some(*count)),
        [count, rest @ ..] if rest == image => Ok(Some(*count)),
        shape if shape == image => Ok(None),
        shape => Err(PyValueError::new_err(format!(
            "the array has the shape {shape:?}; the model takes [n, {inputs}]{}",
            if image.len() > 1 { format!(" or [n, {}, {}, {}]", image[0], image[1], image[2]) } else { String::new() }
        ))),
    }
}

/// What NumPy makes an array of.
fn as_array<'py>(array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    match array.cast::<PyUntypedArray>() {
        Ok(array) => Ok(array.clone()),
        Err(_) => {
            let array = array.py().import("numpy")?.call_method1("asarray", (array,))?;
            Ok(array.cast_into::<PyUntypedArray>()?)
        }
    }
}

/// The array itself, or a copy where it is a view with gaps.
fn in_one_piece<'py>(array: &Bound<'py, PyArrayDyn<i8>>) -> PyResult<Bound<'py, PyArrayDyn<i8>>> {
    if array.is_c_contiguous() {
        return Ok(array.clone());
    }
    let copy = array.py().import("numpy")?.call_method1("ascontiguousarray", (array,))?;
    Ok(copy.cast_into::<PyArrayDyn<i8>>()?)
}

fn in_use(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("the array is being written to elsewhere: {error}"))
}
