//! A model and the bytes that it is read from, in one.

use crate::arrays;
use ::trishift::format::DataType;
use ::trishift::{BatchError, EnginePool, Model as Parsed, OutputSlice, RunError};
use numpy::IntoPyArray;
use pyo3::exceptions::{PyMemoryError, PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use self_cell::self_cell;
use std::num::NonZeroUsize;
use std::path::PathBuf;

pyo3::create_exception!(trishift, ModelError, PyValueError, "A file that is not a valid model.");

self_cell!(
    /// A pool of engines and the file whose weights it reads.
    struct Loaded {
        owner: Vec<u8>,
        #[not_covariant]
        dependent: EnginePool,
    }
);

/// A model that is ready to run. Threads may run one model at the same time.
#[pyclass(frozen, module = "trishift")]
pub(crate) struct Model {
    loaded: Loaded,
    threads: usize,
}

#[pymethods]
impl Model {
    /// Reads a model file and makes it ready to run on so many threads; None is as many as the machine has.
    #[staticmethod]
    #[pyo3(signature = (path, *, threads = None))]
    fn load(py: Python<'_>, path: PathBuf, threads: Option<usize>) -> PyResult<Self> {
        let name = path.display().to_string();
        let file = py.detach(|| std::fs::read(&path)).map_err(|error| {
            // With its number, Python makes FileNotFoundError and the like of it.
            let sentence = error.to_string();
            match error.raw_os_error() {
                Some(number) => PyOSError::new_err((number, sentence, name.clone())),
                None => PyOSError::new_err(format!("{name}: {sentence}")),
            }
        })?;
        Self::open(py, file, threads, &format!("{name}: "))
    }

    /// The same from bytes, which are copied.
    #[staticmethod]
    #[pyo3(signature = (file, *, threads = None))]
    fn from_bytes(py: Python<'_>, file: Vec<u8>, threads: Option<usize>) -> PyResult<Self> {
        Self::open(py, file, threads, "")
    }

    /// Runs the model on a batch and gives its integers: int32, or int8 where the model ends in int8.
    ///
    /// int8 arrays are taken as they are. Anything else is a raw value (a pixel, a reading), which the model's input scaling
    /// makes int8. The array is [n, inputs], or [n, height, width, channels] of images, or one sample without n; the result
    /// is [n, outputs], or [outputs].
    fn run<'py>(&self, py: Python<'py>, samples: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.loaded.with_dependent(|_, pool| {
            let parsed = pool.packed().model();
            let (input, count) = arrays::samples(parsed, samples)?;
            let outputs = parsed.output().len();
            let length = count.unwrap_or(1) * outputs;
            let input = input.as_slice()?;
            Ok(match parsed.output().data_type {
                DataType::I8 => {
                    let mut output = vec![0i8; length];
                    py.detach(|| run(pool, input, &mut output[..]))?;
                    arrays::shaped(output.into_pyarray(py), count, outputs)?
                }
                DataType::I32 => {
                    let mut output = vec![0i32; length];
                    py.detach(|| run(pool, input, &mut output[..]))?;
                    arrays::shaped(output.into_pyarray(py), count, outputs)?
                }
            })
        })
    }

    /// Makes int8 inputs of raw values, as the model's input scaling says; the shapes are those of `run`.
    fn quantize<'py>(&self, py: Python<'py>, values: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.loaded.with_dependent(|_, pool| {
            let parsed = pool.packed().model();
            let (values, count) = arrays::raw(parsed, values)?;
            let input = arrays::quantized(parsed, values.as_slice()?);
            arrays::shaped(input.into_pyarray(py), count, parsed.input().len())
        })
    }

    /// What there is to know of the model, as a dict.
    fn describe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.loaded.with_dependent(|_, pool| {
            let parsed = pool.packed().model();
            let description = PyDict::new(py);
            let operators: Vec<_> = parsed.operators().map(|operator| operator.kind().name()).collect();
            let properties = PyDict::new(py);
            for (key, value) in parsed.properties() {
                properties.set_item(key, value)?;
            }
            description.set_item("name", parsed.name())?;
            description.set_item("input_shape", arrays::sample_shape(&parsed.input()))?;
            description.set_item("output_shape", arrays::sample_shape(&parsed.output()))?;
            description.set_item("output_type", arrays::type_name(parsed.output().data_type))?;
            description.set_item("output_exponent", parsed.output().exponent)?;
            description.set_item("labels", PyList::new(py, parsed.labels())?)?;
            description.set_item("operators", operators)?;
            description.set_item("macs", parsed.macs())?;
            description.set_item("file_bytes", parsed.file_bytes())?;
            description.set_item("arena_bytes", parsed.arena_bytes())?;
            description.set_item("kernels", pool.packed().kernels().name)?;
            description.set_item("threads", self.threads)?;
            description.set_item("properties", properties)?;
            Ok(description)
        })
    }

    fn __repr__(&self) -> String {
        self.loaded.with_dependent(|_, pool| {
            let parsed = pool.packed().model();
            let (input, output) = (parsed.input().len(), parsed.output().len());
            format!("<trishift.Model {:?}: {input} inputs, {output} outputs>", parsed.name())
        })
    }
}

impl Model {
    fn open(py: Python<'_>, file: Vec<u8>, threads: Option<usize>, place: &str) -> PyResult<Self> {
        if threads == Some(0) {
            return Err(PyValueError::new_err("threads is 0; give at least 1, or None for as many as the machine has"));
        }
        let threads = threads.and_then(NonZeroUsize::new).or_else(|| std::thread::available_parallelism().ok());
        let threads = threads.unwrap_or(NonZeroUsize::MIN);
        let loaded = py.detach(|| {
            Loaded::try_new(file, |file| {
                let parsed = Parsed::parse(file).map_err(|error| ModelError::new_err(format!("{place}{error}")))?;
                EnginePool::new(&parsed, threads).map_err(failed)
            })
        })?;
        Ok(Self { loaded, threads: threads.get() })
    }
}

/// A pool refuses to run nothing; an array of no samples is as good as any.
fn run<'o>(pool: &EnginePool<'_>, input: &[i8], output: impl Into<OutputSlice<'o>>) -> PyResult<()> {
    if input.is_empty() { Ok(()) } else { pool.run(input, output).map_err(failed) }
}

/// Whose fault it is decides the exception.
fn failed(error: BatchError) -> PyErr {
    let sentence = error.to_string();
    match error {
        BatchError::Run(RunError::RowMissing { .. }) | BatchError::InputLength { .. } => {
            PyValueError::new_err(sentence)
        }
        BatchError::Engine(_) => PyMemoryError::new_err(sentence),
        _ => PyRuntimeError::new_err(sentence),
    }
}
