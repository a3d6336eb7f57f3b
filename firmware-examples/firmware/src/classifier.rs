//! A model that chooses one of several classes.

use crate::Refusal;
use trishift::{Engine, Model, RunError};

/// Runs a model whose output is one int32 for each class, and gives the class of the largest.
#[derive(Debug)]
pub struct Classifier<'model, 'arena, const OUTPUTS: usize> {
    engine: Engine<'model, 'arena>,
}

impl<'model, 'arena, const OUTPUTS: usize> Classifier<'model, 'arena, OUTPUTS> {
    /// Looks for damage since the build, when `board-build` checked the whole file.
    ///
    /// # Errors
    /// [`Refusal`] where the model is damaged, or the arena or the build is not made for it.
    pub fn new(file: &'model [u8], arena: &'arena mut [u8]) -> Result<Self, Refusal> {
        let model = Model::checked_before(file)?;
        Ok(Self { engine: Engine::new(&model, arena, 1)? })
    }

    /// The model.
    pub const fn model(&self) -> &Model<'model> {
        self.engine.model()
    }

    /// The class of a sample: of the first of the largest outputs; a single output is the class itself.
    ///
    /// # Errors
    /// [`RunError`] where the sample or `OUTPUTS` does not fit the model.
    pub fn classify(&mut self, sample: &[i8]) -> Result<usize, RunError> {
        let mut output = [0i32; OUTPUTS];
        self.engine.run(sample, &mut output)?;
        if let [class] = output.as_slice() {
            return Ok(usize::try_from(*class).unwrap_or(0));
        }
        let mut best = (0, i32::MIN);
        for (class, value) in output.into_iter().enumerate() {
            if value > best.1 {
                best = (class, value);
            }
        }
        Ok(best.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trishift::{Arena, EngineError};

    #[test]
    fn a_sample_has_a_class_and_a_short_one_an_error() {
        let file = std::fs::read("../models/digits.tsm").unwrap();
        let mut arena = Arena::<640>::new();
        let mut classifier = Classifier::<10>::new(&file, arena.bytes()).unwrap();
        assert!(classifier.classify(&[0; 64]).unwrap() < 10);
        assert!(classifier.classify(&[0; 63]).is_err());
    }

    #[test]
    fn an_arena_too_small_is_a_refusal() {
        let file = std::fs::read("../models/digits.tsm").unwrap();
        let mut arena = Arena::<16>::new();
        assert_eq!(Classifier::<10>::new(&file, arena.bytes()).err(), Some(Refusal::Engine));
        assert_eq!(Refusal::from(EngineError::EmptyBatch), Refusal::Engine);
    }
}
