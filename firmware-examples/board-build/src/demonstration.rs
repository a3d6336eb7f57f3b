//! The build script of firmware for a real board: one model, all operators, samples to show.

use crate::{Budget, BuildError, MemoryMap, ModelFile, choose_model, variable};
use std::path::{Path, PathBuf};
use std::{env, fs};
use trishift_format::OperatorKind;

/// Values of a sample of the digits.
const DIGIT: usize = 64;

/// Chooses the model by `TRISHIFT_MODEL` and checks that it fits the board; writes INPUTS and OUTPUTS to `shape.rs`.
///
/// The samples are those of the file that `TRISHIFT_SAMPLES` names (int8, [samples, inputs]), else ten digits where the
/// model takes as many values, else one sample of zeros. The program finds their file under that variable.
///
/// # Errors
/// [`BuildError`] where a file cannot be read, or the model does not fit the board or the samples the model.
pub fn demonstrate(board: &str, map: MemoryMap, budget: Budget) -> Result<(), BuildError> {
    let models = Path::new("../models");
    let model = choose_model(&models.join("digits.tsm"), &OperatorKind::ALL)?;
    budget.check(&model, board, map)?;
    model.write_shape()?;

    println!("cargo::rerun-if-env-changed=TRISHIFT_SAMPLES");
    let samples = match env::var_os("TRISHIFT_SAMPLES") {
        Some(path) => PathBuf::from(path),
        None if model.inputs == DIGIT => models.join("digits.bin"),
        None => zeros(&model)?,
    };
    let samples = samples.canonicalize().map_err(BuildError::file(samples))?;
    let bytes = fs::read(&samples).map_err(BuildError::file(&samples))?.len();
    if bytes == 0 || !bytes.is_multiple_of(model.inputs) {
        let (path, found) = (samples, bytes);
        let (what, wants) = ("has a number of bytes that is no multiple of the model's inputs:", "takes");
        return Err(BuildError::Shape { path, what, found, wants, expected: model.inputs });
    }
    println!("cargo::rerun-if-changed={}", samples.display());
    println!("cargo::rustc-env=TRISHIFT_SAMPLES={}", samples.display());
    Ok(())
}

/// A file with one sample of zeros.
fn zeros(model: &ModelFile) -> Result<PathBuf, BuildError> {
    let path = PathBuf::from(variable("OUT_DIR", "cargo sets it for build scripts")?).join("zeros.bin");
    fs::write(&path, vec![0; model.inputs]).map_err(BuildError::file(&path))?;
    Ok(path)
}
