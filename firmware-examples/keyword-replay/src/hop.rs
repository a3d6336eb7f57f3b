//! A file of the host's, and a microphone that gives one hop of it.

use core::convert::Infallible;
use core::ffi::CStr;
use embedded_io::{ErrorType, Read};
use semihosting::fs::File;
use semihosting::io::{self, Read as _};

/// A file of the host's, in the emulator's current folder.
pub(crate) struct Recording(File);

impl Recording {
    pub(crate) fn open(path: &CStr) -> io::Result<Self> {
        File::open(path).map(Self)
    }
}

impl ErrorType for Recording {
    type Error = embedded_io::ErrorKind;
}

impl Read for Recording {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        self.0.read(bytes).map_err(|_| embedded_io::ErrorKind::Other)
    }
}

/// A microphone that has one hop, `BYTES` bytes, ready: what the host takes to read a file is not the application's.
pub(crate) struct Hop<const BYTES: usize> {
    bytes: [u8; BYTES],
    /// Bytes given.
    given: usize,
}

impl<const BYTES: usize> Hop<BYTES> {
    /// A microphone that has heard nothing yet.
    pub(crate) const fn empty() -> Self {
        Self { bytes: [0; BYTES], given: BYTES }
    }

    /// Takes the next hop of a recording; false where there is no whole one.
    pub(crate) fn fill(&mut self, recording: &mut Recording) -> Result<bool, embedded_io::ErrorKind> {
        self.given = 0;
        match recording.read_exact(&mut self.bytes) {
            Ok(()) => Ok(true),
            Err(embedded_io::ReadExactError::UnexpectedEof) => Ok(false),
            Err(embedded_io::ReadExactError::Other(error)) => Err(error),
        }
    }
}

impl<const BYTES: usize> ErrorType for Hop<BYTES> {
    type Error = Infallible;
}

impl<const BYTES: usize> Read for Hop<BYTES> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let left = self.bytes.get(self.given..).unwrap_or_default();
        let length = left.len().min(bytes.len());
        if let (Some(to), Some(from)) = (bytes.get_mut(..length), left.get(..length)) {
            to.copy_from_slice(from);
        }
        self.given += length;
        Ok(length)
    }
}
