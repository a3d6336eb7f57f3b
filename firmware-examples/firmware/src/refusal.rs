//! Why a model in flash cannot run, as a small number: one to blink, to log, or to end a program with.

use core::fmt;
use trishift::{EngineError, ParseError};

/// Why a model cannot run. The number is the variant's, and stays what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(u8)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no model, or only part of one.
    Length = 10,
    /// What lies there is something else.
    NotAModel = 11,
    /// A model of another version of the format.
    Version = 12,
    /// The header's checksum.
    Header = 13,
    /// The checksum of what follows the header.
    Body = 14,
    /// The checksums agree, the content does not: whoever wrote the file was wrong.
    Content = 15,
    /// The engine lacks memory or an operator.
    Engine = 16,
    /// The model is not for sound, or not for the memory that listening has here.
    Sound = 17,
}

impl Refusal {
    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it means. Text that is ready: formatting a [`ParseError`] would cost more flash than a model.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Length => "the model in flash is empty or was cut off",
            Self::NotAModel => "what lies in flash is not a model",
            Self::Version => "the model in flash has another format version",
            Self::Header => "the header of the model in flash is damaged",
            Self::Body => "the model in flash is damaged",
            Self::Content => "the model in flash is not valid",
            Self::Engine => "the engine refuses the model in flash",
            Self::Sound => "the model in flash cannot listen here",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

impl core::error::Error for Refusal {}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::TooShort { .. } | ParseError::Length { .. } => Self::Length,
            ParseError::Magic | ParseError::Kind { .. } => Self::NotAModel,
            ParseError::Version { .. } => Self::Version,
            ParseError::HeaderChecksum => Self::Header,
            ParseError::BodyChecksum => Self::Body,
            _ => Self::Content,
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(_: EngineError) -> Self {
        Self::Engine
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;
    use trishift::Model;

    /// What is refused when these bytes are other ones.
    fn refusal(change: impl FnOnce(&mut Vec<u8>)) -> Option<Refusal> {
        let mut file = std::fs::read("../models/digits.tsm").unwrap();
        change(&mut file);
        let found = Model::checked_before(&file).err();
        assert_eq!(found, Model::parse(&file).err());
        found.map(Refusal::from)
    }

    #[test]
    fn every_damage_has_its_code() {
        assert_eq!(refusal(|_| ()), None);
        assert_eq!(refusal(|file| file.truncate(40)), Some(Refusal::Length));
        assert_eq!(refusal(|file| file.truncate(1000)), Some(Refusal::Length));
        assert_eq!(refusal(|file| file[0] ^= 1), Some(Refusal::NotAModel));
        assert_eq!(refusal(|file| file[8] ^= 1), Some(Refusal::Version));
        assert_eq!(refusal(|file| file[20] ^= 1), Some(Refusal::Header));
        assert_eq!(refusal(|file| file[2000] ^= 1), Some(Refusal::Body));
    }

    #[test]
    fn a_file_that_was_written_wrongly_has_its_code() {
        let mut file = std::fs::read("../models/digits.tsm").unwrap();
        // The second section, whose offset stands here, begins with trits.
        let trits = usize::from(u16::from_le_bytes([file[96], file[97]]));
        file[trits] = 255;
        crate::seal::seal(&mut file);
        assert_eq!(Model::parse(&file).err().map(Refusal::from), Some(Refusal::Content));
    }

    #[test]
    fn no_damaged_bit_goes_unseen() {
        let file = std::fs::read("../models/digits.tsm").unwrap();
        for index in 0..file.len() {
            let seen = refusal(|file| file[index] ^= 1 << (index % 8));
            assert!(seen.is_some(), "byte {index}");
        }
    }
}
