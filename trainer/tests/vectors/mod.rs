//! One recorded case: the tensors and numbers of a safetensors file, and comparisons that say what differs.
//!
//! A case remembers which tensors have been looked at, so that one that holds more than the test knows is a failure and
//! not a pass.

pub(crate) mod folder;
pub(crate) mod parts;

use anyhow::{Context, Result, bail, ensure};
use ndarray::Array2;
use safetensors::{Dtype, SafeTensors};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::str::FromStr;

/// Floats agree within this much of the expected value, and …
const RELATIVE: f64 = 1e-4;

/// … this much more.
const ABSOLUTE: f64 = 1e-3;

/// A file's content.
pub(crate) struct Case {
    bytes: Vec<u8>,
    metadata: HashMap<String, String>,
    unread: RefCell<BTreeSet<String>>,
    deviation: Cell<f64>,
}

impl Case {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes)?;
        let names = SafeTensors::deserialize(&bytes)?.names().into_iter().map(String::from).collect();
        let metadata = header.metadata().clone().unwrap_or_default();
        Ok(Self { bytes, metadata, unread: RefCell::new(names), deviation: Cell::new(0.0) })
    }

    /// A number of the metadata.
    pub(crate) fn number<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(&self, name: &str) -> Result<T> {
        let text = self.metadata.get(name).with_context(|| format!("there is no {name} in the metadata"))?;
        text.parse().with_context(|| format!("{name} is {text:?}"))
    }

    /// A truth value of the metadata.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        match self.metadata.get(name).map(String::as_str) {
            Some("True") => Ok(true),
            Some("False") => Ok(false),
            other => bail!("{name} is {other:?}"),
        }
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> Result<bool> {
        Ok(SafeTensors::deserialize(&self.bytes)?.tensor(name).is_ok())
    }

    /// Counts a tensor as looked at.
    pub(crate) fn ignore(&self, name: &str) {
        self.unread.borrow_mut().remove(name);
    }

    /// Fails where a tensor has not been looked at.
    pub(crate) fn finish(&self) -> Result<()> {
        let unread = self.unread.borrow();
        ensure!(unread.is_empty(), "these tensors were not compared: {unread:?}");
        Ok(())
    }

    /// The largest difference of floats so far, as a part of the largest magnitude of its tensor.
    pub(crate) fn deviation(&self) -> f64 {
        self.deviation.get()
    }

    /// A tensor of int8.
    pub(crate) fn i8s(&self, name: &str) -> Result<Vec<i8>> {
        Ok(self.tensor(name, Dtype::I8)?.0.into_iter().map(|byte| byte as i8).collect())
    }

    /// A tensor of bytes.
    pub(crate) fn u8s(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self.tensor(name, Dtype::U8)?.0)
    }

    /// A tensor of int64.
    pub(crate) fn i64s(&self, name: &str) -> Result<Vec<i64>> {
        let (bytes, _) = self.tensor(name, Dtype::I64)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
    }

    /// A matrix of float32.
    pub(crate) fn matrix(&self, name: &str) -> Result<Array2<f32>> {
        let (bytes, shape) = self.tensor(name, Dtype::F32)?;
        let values = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let [rows, columns] = shape[..] else { bail!("{name} has the shape {shape:?}") };
        Ok(Array2::from_shape_vec((rows, columns), values)?)
    }

    fn tensor(&self, name: &str, dtype: Dtype) -> Result<(Vec<u8>, Vec<usize>)> {
        let tensors = SafeTensors::deserialize(&self.bytes)?;
        let tensor = tensors.tensor(name).with_context(|| format!("there is no tensor {name}"))?;
        ensure!(tensor.dtype() == dtype, "{name} is {:?}", tensor.dtype());
        self.ignore(name);
        Ok((tensor.data().to_vec(), tensor.shape().to_vec()))
    }

    /// Compares integers, which agree exactly.
    pub(crate) fn same<T: PartialEq + std::fmt::Debug>(&self, what: &str, found: &[T], expected: &[T]) -> Result<()> {
        ensure!(found.len() == expected.len(), "{what}: {} values for {}", found.len(), expected.len());
        let difference = found.iter().zip(expected).position(|(found, expected)| found != expected);
        if let Some(index) = difference {
            bail!("{what}: value {index} is {:?} and should be {:?}", found[index], expected[index]);
        }
        Ok(())
    }

    /// Compares floats with the matrix of this name.
    pub(crate) fn near(&self, name: &str, found: &Array2<f32>) -> Result<()> {
        let expected = self.matrix(name)?;
        ensure!(found.dim() == expected.dim(), "{name}: {:?} for {:?}", found.dim(), expected.dim());
        let largest = expected.iter().fold(f64::MIN_POSITIVE, |largest, value| largest.max(f64::from(value.abs())));
        for ((index, found), expected) in found.indexed_iter().zip(&expected) {
            let (found, expected) = (f64::from(*found), f64::from(*expected));
            let difference = (found - expected).abs();
            // Not a number is not near.
            let is_near = difference <= RELATIVE * expected.abs() + ABSOLUTE;
            ensure!(is_near, "{name}: value {index:?} is {found} and should be {expected}");
            self.deviation.set(self.deviation.get().max(difference / largest));
        }
        Ok(())
    }
}
