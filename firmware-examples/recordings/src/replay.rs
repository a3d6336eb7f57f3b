//! An accelerometer of the LIS3DH family, as its registers show it, that plays recordings scene by scene.

use crate::{Motion, Recording};
use core::fmt;
use embedded_hal::i2c::{Error, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation, SevenBitAddress};

const WHO_AM_I: u8 = 0x0F;
const IDENTITY: u8 = 0x33;
const STATUS: u8 = 0x27;
const DATA_READY: u8 = 0x08;
/// Set in a register's number, the number grows with every byte read.
const CONSECUTIVE: u8 = 0x80;

/// Part of what a sensor plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scene {
    /// What happens.
    pub motion: Motion,
    /// Of the recording.
    pub seed: u32,
    /// Samples until the next scene.
    pub samples: u32,
}

/// The sensor. Each read of the status register takes the next sample.
#[derive(Debug)]
pub struct Replay<'a> {
    address: u8,
    scenes: &'a [Scene],
    current: Option<(Recording, u32)>,
    registers: [u8; 64],
    pointer: u8,
}

/// Why the emulated sensor does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError {
    /// Nobody has this address.
    Address,
    /// The recordings are at their end.
    Finished,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "no sensor has this address",
            Self::Finished => "the recordings are at their end",
        })
    }
}

impl core::error::Error for ReplayError {}

impl Error for ReplayError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Address => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            Self::Finished => ErrorKind::Other,
        }
    }
}

impl<'a> Replay<'a> {
    /// A sensor at this address that plays these scenes.
    pub fn new(address: u8, scenes: &'a [Scene]) -> Self {
        let mut registers = [0; 64];
        registers[usize::from(WHO_AM_I)] = IDENTITY;
        Self { address, scenes, current: None, registers, pointer: 0 }
    }

    fn next_sample(&mut self) -> Result<[i16; 3], ReplayError> {
        loop {
            if let Some((recording, left @ 1..)) = &mut self.current {
                *left -= 1;
                return recording.next().ok_or(ReplayError::Finished);
            }
            let (scene, rest) = self.scenes.split_first().ok_or(ReplayError::Finished)?;
            self.current = Some((Recording::new(scene.motion, scene.seed), scene.samples));
            self.scenes = rest;
        }
    }

    fn register(&mut self) -> Result<u8, ReplayError> {
        let index = self.pointer & !CONSECUTIVE & 0x3F;
        if index == STATUS {
            let bytes = self.next_sample()?.map(i16::to_le_bytes);
            for (register, byte) in self.registers.iter_mut().skip(usize::from(STATUS) + 1).zip(bytes.as_flattened()) {
                *register = *byte;
            }
            self.registers[usize::from(STATUS)] = DATA_READY;
        }
        if self.pointer & CONSECUTIVE != 0 {
            self.pointer = CONSECUTIVE | (index + 1);
        }
        Ok(self.registers[usize::from(index)])
    }
}

impl ErrorType for Replay<'_> {
    type Error = ReplayError;
}

impl I2c<SevenBitAddress> for Replay<'_> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ReplayError> {
        if address != self.address {
            return Err(ReplayError::Address);
        }
        for operation in operations {
            match operation {
                Operation::Write([pointer, values @ ..]) => {
                    self.pointer = *pointer;
                    for (register, value) in
                        self.registers.iter_mut().skip(usize::from(*pointer & 0x3F)).zip(values.iter())
                    {
                        *register = *value;
                    }
                }
                Operation::Write([]) => {}
                Operation::Read(values) => {
                    for value in values.iter_mut() {
                        *value = self.register()?;
                    }
                }
            }
        }
        Ok(())
    }
}
