//! The model that goes into the firmware.

use crate::{BuildError, variable};
use std::path::{Path, PathBuf};
use std::{env, fs};
use trishift_format::{Model, OperatorKind};

/// A model that has been parsed.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Where it lies: an absolute path.
    pub path: PathBuf,
    /// The file.
    pub bytes: Vec<u8>,
    /// Arena bytes of one sample.
    pub arena_bytes: u64,
    /// Elements of its input.
    pub inputs: usize,
    /// Elements of its output.
    pub outputs: usize,
}

/// The model that the variable `TRISHIFT_MODEL` names, else `default`; the program finds it under that variable.
/// `operators` are those that the firmware is built with.
///
/// # Errors
/// [`BuildError`] where the file cannot be read, is no valid model or uses another operator.
pub fn choose_model(default: &Path, operators: &[OperatorKind]) -> Result<ModelFile, BuildError> {
    chosen("TRISHIFT_MODEL", default, operators)
}

/// The same with another variable.
pub(crate) fn chosen(name: &str, default: &Path, operators: &[OperatorKind]) -> Result<ModelFile, BuildError> {
    println!("cargo::rerun-if-env-changed={name}");
    let path = env::var_os(name).map_or_else(|| default.to_path_buf(), PathBuf::from);
    // Relative paths are the caller's own, cargo runs this in the package's folder, rustc runs in the workspace's.
    let path = path.canonicalize().map_err(BuildError::file(path))?;
    println!("cargo::rerun-if-changed={}", path.display());
    println!("cargo::rustc-env={name}={}", path.display());
    ModelFile::read(&path, operators)
}

impl ModelFile {
    /// Reads and parses the file; `operators` are those that the firmware is built with.
    ///
    /// # Errors
    /// As [`choose_model`].
    pub fn read(path: &Path, operators: &[OperatorKind]) -> Result<Self, BuildError> {
        let bytes = fs::read(path).map_err(BuildError::file(path))?;
        let model = Model::parse(&bytes).map_err(|fault| BuildError::Model { path: path.into(), fault })?;
        for (index, operator) in model.operators().enumerate() {
            let kind = operator.kind();
            if !operators.contains(&kind) {
                return Err(BuildError::Operator { path: path.into(), index, kind });
            }
        }
        let (inputs, outputs) = (model.input().len(), model.output().len());
        let arena_bytes = model.arena_bytes();
        Ok(Self { path: path.into(), bytes, arena_bytes, inputs, outputs })
    }

    /// Writes `shape.rs` into the build script's folder: the constants `INPUTS` and `OUTPUTS`, for the program to include.
    ///
    /// # Errors
    /// [`BuildError::File`] where the folder cannot be written.
    pub fn write_shape(&self) -> Result<(), BuildError> {
        let path = PathBuf::from(variable("OUT_DIR", "cargo sets it for build scripts")?).join("shape.rs");
        let Self { inputs, outputs, .. } = self;
        let text = format!("const INPUTS: usize = {inputs};\nconst OUTPUTS: usize = {outputs};\n");
        fs::write(&path, text).map_err(BuildError::file(path))
    }

    /// Checks that the firmware feeds and reads what the model takes and gives.
    ///
    /// # Errors
    /// [`BuildError::Shape`] where it does not.
    pub fn expect_shape(&self, inputs: usize, outputs: usize) -> Result<(), BuildError> {
        let input = ("takes inputs of", self.inputs, "has inputs of", inputs);
        let output = ("gives outputs of", self.outputs, "reads outputs of", outputs);
        for (what, found, wants, expected) in [input, output] {
            if found != expected {
                return Err(BuildError::Shape { path: self.path.clone(), what, found, wants, expected });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits() -> PathBuf {
        Path::new("../models/digits.tsm").into()
    }

    #[test]
    fn the_digits_model_needs_two_operators() {
        let file = ModelFile::read(&digits(), &[OperatorKind::Linear, OperatorKind::ShiftNorm]).unwrap();
        assert!(file.expect_shape(64, 10).is_ok());
        let error = ModelFile::read(&digits(), &[OperatorKind::Linear]).unwrap_err().to_string();
        assert!(error.contains("operator 1 is shift-norm, which this firmware is built without"), "{error}");
    }

    #[test]
    fn another_shape_is_refused_with_the_numbers() {
        let file = ModelFile::read(&digits(), &[OperatorKind::Linear, OperatorKind::ShiftNorm]).unwrap();
        let error = file.expect_shape(48, 10).unwrap_err().to_string();
        assert_eq!(error, "../models/digits.tsm takes inputs of 64, this firmware has inputs of 48");
    }

    #[test]
    fn a_damaged_model_is_refused() {
        let path = env::temp_dir().join(format!("board-build-{}.tsm", std::process::id()));
        let mut bytes = fs::read(digits()).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = ModelFile::read(&path, &[]).unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        assert!(error.ends_with("cannot be used: the file is damaged: the checksum of its contents does not match"));
    }
}
