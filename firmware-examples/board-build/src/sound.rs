//! What a firmware that listens needs to know of its model before it is compiled.

use crate::{Budget, BuildError, MemoryMap, ModelFile, chosen, variable};
use std::fs;
use std::path::{Path, PathBuf};
use trishift::Model;
use trishift::audio::{AudioConfig, AudioFrontEnd};
use trishift::detector::DetectorConfig;
use trishift::listener::ListenerError;
use trishift_format::OperatorKind;

/// Chooses the model of the microphone application by `TRISHIFT_KEYWORDS`, else `models/spoken.tsm`, and checks that it can
/// listen and fits the board; writes `sound.rs`, as [`ModelFile::write_sound`] does. The program finds the model's file under
/// that variable.
///
/// # Errors
/// [`BuildError`] where the file cannot be read, cannot listen or does not fit.
pub fn listen(board: &str, map: MemoryMap, budget: Budget) -> Result<(), BuildError> {
    let model = chosen("TRISHIFT_KEYWORDS", Path::new("../models/spoken.tsm"), &OperatorKind::ALL)?;
    model.write_sound()?;
    budget.check(&model, board, map)
}

impl ModelFile {
    /// Writes `sound.rs` into the build script's folder, for the program to include: the constants `HOP`, samples of a hop;
    /// `FRAMES`, hops of a run; `FRONT_END_WORDS`; `INPUTS` and `CLASSES`; `RUNS`, whose shares the detector averages; and
    /// `SAMPLE_RATE`.
    ///
    /// # Errors
    /// [`BuildError::Sound`] for a model that is not for sound, [`BuildError::File`] where the folder cannot be written.
    pub fn write_sound(&self) -> Result<(), BuildError> {
        let text = self.sound()?;
        let path = PathBuf::from(variable("OUT_DIR", "cargo sets it for build scripts")?).join("sound.rs");
        fs::write(&path, text).map_err(BuildError::file(path))
    }

    fn sound(&self) -> Result<String, BuildError> {
        let refused = |fault| BuildError::Sound { path: self.path.clone(), fault };
        let model = Model::parse(&self.bytes).map_err(|fault| BuildError::Model { path: self.path.clone(), fault })?;
        let config = AudioConfig::from_properties(&model).map_err(|error| refused(error.into()))?;
        let config = config.ok_or_else(|| refused(ListenerError::NoFrontEnd))?;
        let AudioConfig { sample_rate, hop, bands, .. } = config;
        let (inputs, bands) = (self.inputs, usize::from(bands));
        if inputs == 0 || !inputs.is_multiple_of(bands) {
            return Err(refused(ListenerError::Frames { inputs, bands }));
        }
        let frames = inputs / bands;
        let milliseconds = frames as u64 * u64::from(hop) * 1000 / u64::from(sample_rate);
        let runs = DetectorConfig::every(milliseconds.try_into().unwrap_or(u32::MAX)).smoothing;
        let constant = |name: &str, value: usize| format!("const {name}: usize = {value};\n");
        Ok([
            constant("HOP", hop.into()),
            constant("FRAMES", frames),
            constant("FRONT_END_WORDS", AudioFrontEnd::memory_len(&config)),
            constant("INPUTS", inputs),
            constant("CLASSES", self.outputs),
            constant("RUNS", runs.into()),
            constant("SAMPLE_RATE", sample_rate as usize),
        ]
        .concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound(name: &str) -> Result<String, BuildError> {
        ModelFile::read(&Path::new("../models").join(name), &OperatorKind::ALL)?.sound()
    }

    #[test]
    fn a_model_for_sound_says_what_is_needed() {
        let text = sound("spoken.tsm").unwrap();
        for line in ["HOP: usize = 160;", "FRAMES: usize = 2;", "INPUTS: usize = 64;", "CLASSES: usize = 10;"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        // 400 ms in runs of 40.
        assert!(text.contains("RUNS: usize = 10;") && text.contains("SAMPLE_RATE: usize = 8000;"), "{text}");
    }

    #[test]
    fn another_model_is_refused() {
        let error = sound("digits.tsm").unwrap_err().to_string();
        assert!(error.starts_with("../models/digits.tsm cannot listen: the model says nothing about sound"), "{error}");
    }
}
