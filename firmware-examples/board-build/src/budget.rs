//! Whether a model fits a board.

use crate::{BuildError, MemoryMap, ModelFile};

/// What the program takes beside the model. The linker has the last word; this is the word before anything is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of flash for code, constants, and data other than the model.
    pub flash: u64,
    /// Bytes of RAM other than the arena; with the stack, unless the memory map keeps that apart.
    pub ram: u64,
}

impl Budget {
    /// Checks that model and program fit the board, for runs of one sample.
    ///
    /// # Errors
    /// [`BuildError::DoesNotFit`] with the numbers.
    pub fn check(&self, model: &ModelFile, board: &str, map: MemoryMap) -> Result<(), BuildError> {
        let flash = ("file", "flash", model.bytes.len() as u64, self.flash, map.flash);
        let ram = ("arena", "RAM", model.arena_bytes, self.ram, map.ram);
        for (part, memory, needed, reserved, there) in [flash, ram] {
            if needed.saturating_add(reserved) > there {
                let (path, board) = (model.path.clone(), board.into());
                return Err(BuildError::DoesNotFit { path, board, part, memory, needed, reserved, there });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(file: usize, arena: u64) -> ModelFile {
        ModelFile { path: "model.tsm".into(), bytes: vec![0; file], arena_bytes: arena, inputs: 1, outputs: 1 }
    }

    const BUDGET: Budget = Budget { flash: 1000, ram: 100 };
    const MAP: MemoryMap = MemoryMap { flash: 4000, ram: 500 };

    #[test]
    fn what_fills_the_board_fits() {
        assert!(BUDGET.check(&model(3000, 400), "small", MAP).is_ok());
    }

    #[test]
    fn one_byte_more_is_refused_with_the_numbers() {
        let flash = BUDGET.check(&model(3001, 400), "small", MAP).unwrap_err().to_string();
        assert_eq!(
            flash,
            "model.tsm does not fit small: its file needs 3001 bytes of flash, 1000 are set aside for the program, and \
             there are 4000"
        );
        let ram = BUDGET.check(&model(3000, 401), "small", MAP).unwrap_err().to_string();
        assert!(ram.contains("its arena needs 401 bytes of RAM, 100 are set aside for the program, and there are 500"));
    }

    #[test]
    fn sizes_beyond_any_machine_do_not_overflow() {
        assert!(BUDGET.check(&model(1, u64::MAX), "small", MAP).is_err());
    }
}
