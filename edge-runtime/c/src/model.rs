//! A model and the bytes that it is read from, in one.

use crate::error::Failure;
use self_cell::self_cell;
use std::ffi::{CStr, CString, c_char};
use std::num::NonZeroUsize;
use trishift::format::DataType;
use trishift::{EnginePool, Model, OutputSlice};

self_cell!(
    /// A pool of engines and the file whose weights it reads.
    pub(crate) struct Loaded {
        owner: Vec<u8>,
        #[not_covariant]
        dependent: EnginePool,
    }
);

impl Loaded {
    /// Checks a file and packs its weights. 0 threads are as many as the machine has.
    pub(crate) fn open(file: Vec<u8>, threads: usize) -> Result<Self, Failure> {
        let threads = NonZeroUsize::new(threads)
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN);
        Self::try_new(file, |file| Ok(EnginePool::new(&Model::parse(file)?, threads)?))
    }
}

/// A model that is ready to run.
pub struct TrishiftModel {
    loaded: Loaded,
    name: CString,
    kernels: CString,
    labels: Vec<CString>,
}

/// What there is to know of a model. Texts are the model's, and gone with it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct TrishiftDescription {
    /// Its name.
    pub name: *const c_char,
    /// The instruction set that it runs on.
    pub kernels: *const c_char,
    /// Elements of one sample's input, int8.
    pub inputs: usize,
    /// Elements of one sample's output.
    pub outputs: usize,
    /// Bytes of one element of the output: 1 for int8, 4 for int32.
    pub output_bytes: usize,
    /// An output q means q·2^output_exponent.
    pub output_exponent: i32,
    /// Multiply-accumulate operations of one sample.
    pub macs: u64,
    /// Bytes of the file.
    pub file_bytes: usize,
    /// Bytes that the weights take beside it, in the order of the instruction set.
    pub packed_bytes: usize,
}

impl From<Loaded> for TrishiftModel {
    fn from(loaded: Loaded) -> Self {
        // No text of a model holds what C could not read; one with a zero byte inside is empty there.
        let text = |text: &str| CString::new(text).unwrap_or_default();
        let (name, kernels, labels) = loaded.with_dependent(|_, pool| {
            let model = pool.packed().model();
            (text(model.name()), text(pool.packed().kernels().name), model.labels().map(text).collect())
        });
        Self { loaded, name, kernels, labels }
    }
}

impl TrishiftModel {
    pub(crate) fn description(&self) -> TrishiftDescription {
        self.loaded.with_dependent(|_, pool| {
            let model = pool.packed().model();
            TrishiftDescription {
                name: self.name.as_ptr(),
                kernels: self.kernels.as_ptr(),
                inputs: model.input().len(),
                outputs: model.output().len(),
                output_bytes: model.output().data_type.bytes(),
                output_exponent: model.output().exponent.into(),
                macs: model.macs(),
                file_bytes: model.file_bytes(),
                packed_bytes: pool.packed().bytes(),
            }
        })
    }

    pub(crate) fn label(&self, index: usize) -> Option<&CStr> {
        self.labels.get(index).map(CString::as_c_str)
    }

    pub(crate) fn quantize(&self, values: &[f32], input: &mut [i8]) -> Result<(), Failure> {
        self.loaded.with_dependent(|_, pool| {
            let model = pool.packed().model();
            if !values.len().is_multiple_of(model.input().len()) {
                return Err(Failure::argument("the values are not a whole number of samples"));
            }
            // One scale for all elements, or one for each.
            let scales: Vec<_> = model.input_scales().collect();
            for ((value, input), scale) in values.iter().zip(input).zip(scales.iter().cycle()) {
                *input = scale.quantize_f32(*value);
            }
            Ok(())
        })
    }

    pub(crate) fn run(&self, input: &[i8], output: OutputSlice<'_>) -> Result<(), Failure> {
        self.loaded.with_dependent(|_, pool| {
            let is_int8 = pool.packed().model().output().data_type == DataType::I8;
            if is_int8 != matches!(output, OutputSlice::I8(_)) {
                let other = if is_int8 { "trishift_run_int8" } else { "trishift_run_int32" };
                return Err(Failure::argument(&format!("the model's outputs are of another type: call {other}")));
            }
            Ok(pool.run(input, output)?)
        })
    }
}
