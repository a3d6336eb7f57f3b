//! What the layers of a model write on this machine, for comparison with a browser.
//!
//!     cargo run -p trishift-web --example trace -- MODEL SAMPLES OUT
//!
//! SAMPLES holds raw values as bytes, sample after sample. OUT gets the output of every operator of every sample, int8 or
//! little-endian int32, each beginning at a multiple of 4. The best kernels of this machine run, and the definitions: where
//! they disagree with each other, or observed runs with unobserved ones, the program fails.

use std::process::ExitCode;
use trishift::kernels::{Kernels, SCALAR, best};
use trishift::{Engine, HeapArena, Model, Observer, OutputSlice, Values};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, samples, out] = arguments.as_slice() else {
        eprintln!("usage: trace MODEL SAMPLES OUT");
        return ExitCode::from(2);
    };
    match write(model, samples, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("trace: {error}");
            ExitCode::from(2)
        }
    }
}

fn write(model: &str, samples: &str, out: &str) -> Result<(), Failure> {
    let (file, samples) = (std::fs::read(model)?, std::fs::read(samples)?);
    let model = Model::parse(&file)?;
    let length = model.input().len();
    if samples.is_empty() || !samples.len().is_multiple_of(length) {
        return Err("the samples are not a whole number of inputs".into());
    }
    let scales = (0..length).filter_map(|element| model.input_scale(element));
    let scales: Vec<_> = scales.collect();
    let input: Vec<i8> =
        samples.iter().zip(scales.iter().cycle()).map(|(value, scale)| scale.quantize_i32((*value).into())).collect();
    let traced = trace(&model, &input, best())?;
    if traced != trace(&model, &input, &SCALAR)? {
        return Err(format!("the kernels {} differ from the definitions", best().name).into());
    }
    std::fs::write(out, &traced)?;
    println!("{} samples, {} bytes, kernels {}", samples.len() / length, traced.len(), best().name);
    Ok(())
}

/// What the operators write, sample after sample.
fn trace(model: &Model<'_>, input: &[i8], kernels: &'static Kernels) -> Result<Vec<u8>, Failure> {
    let (mut observed, mut plain) = (HeapArena::new(model, 1)?, HeapArena::new(model, 1)?);
    let mut observed = Engine::with_kernels(model, observed.bytes(), 1, kernels)?;
    let mut plain = Engine::with_kernels(model, plain.bytes(), 1, kernels)?;
    let outputs = model.output().len();
    let (mut bytes, mut words, mut expected_bytes, mut expected_words) =
        (vec![0i8; outputs], vec![0i32; outputs], vec![0i8; outputs], vec![0i32; outputs]);
    let mut trace = Trace(Vec::new());
    for sample in input.chunks_exact(model.input().len()) {
        if model.output().data_type == trishift::format::DataType::I8 {
            observed.run_observed(sample, OutputSlice::I8(&mut bytes), &mut trace)?;
            plain.run(sample, OutputSlice::I8(&mut expected_bytes))?;
        } else {
            observed.run_observed(sample, OutputSlice::I32(&mut words), &mut trace)?;
            plain.run(sample, OutputSlice::I32(&mut expected_words))?;
        }
        if bytes != expected_bytes || words != expected_words {
            return Err("observing a run changed it".into());
        }
    }
    Ok(trace.0)
}

struct Trace(Vec<u8>);

impl Observer for Trace {
    fn written(&mut self, _: usize, values: Values<'_>) {
        match values {
            Values::I8(values) => self.0.extend(values.iter().map(|value| *value as u8)),
            Values::I32(values) => self.0.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        }
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
