//! How large a board's memories are, as its `memory.x` says.

use thiserror::Error;

/// The sizes in a memory map, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryMap {
    /// `FLASH`.
    pub flash: u64,
    /// `RAM`: without the stack where the map has a `STACK` of its own.
    pub ram: u64,
}

/// Why a map cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MapError {
    /// A memory is not there, or its length is no plain number.
    #[error("it has no line \"{0} : ORIGIN = …, LENGTH = …\" with a number of bytes, K or M as length")]
    Missing(&'static str),
}

impl MemoryMap {
    /// Reads a linker script's `MEMORY`. Only lines of the form `NAME : ORIGIN = …, LENGTH = 256K` are understood.
    ///
    /// # Errors
    /// [`MapError::Missing`] where flash or RAM is not among them.
    pub fn parse(text: &str) -> Result<Self, MapError> {
        let memory = |name| length_of(text, name).ok_or(MapError::Missing(name));
        Ok(Self { flash: memory("FLASH")?, ram: memory("RAM")? })
    }
}

fn length_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (memory, rest) = line.split_once(':')?;
        // A name may be followed by attributes: "RAM (rwx) : …".
        let found = memory.split_whitespace().next()? == name;
        let (_, length) = rest.split_once("LENGTH")?;
        if found { bytes(length.trim_start().strip_prefix('=')?.trim()) } else { None }
    })
}

/// A number as linker scripts write it: decimal or hexadecimal, with K or M.
fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' | b'k' => (&text[..text.len() - 1], 1 << 10),
        b'M' | b'm' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    let number = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    number.ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_linkers_read_them() {
        let text = "/* FLASH : LENGTH = 1K in words */\nMEMORY\n{\n  FLASH (rx) : ORIGIN = 0x0, LENGTH = 256K\n  \
                    RAM : ORIGIN = 0x20000000, LENGTH = 0x3000\n}\n";
        assert_eq!(MemoryMap::parse(text), Ok(MemoryMap { flash: 256 << 10, ram: 0x3000 }));
    }

    #[test]
    fn a_missing_memory_is_named() {
        let text = "FLASH : ORIGIN = 0, LENGTH = 4M\nRAM : ORIGIN = 0, LENGTH = ORIGIN(FLASH)\n";
        assert_eq!(MemoryMap::parse(text), Err(MapError::Missing("RAM")));
    }

    #[test]
    fn every_emulated_board_has_a_map() {
        for board in std::fs::read_dir("../boards").unwrap() {
            let path = board.unwrap().path().join("memory.x");
            let map = MemoryMap::parse(&std::fs::read_to_string(&path).unwrap());
            assert!(map.is_ok_and(|map| map.flash >= 64 << 10 && map.ram >= 8 << 10), "{}", path.display());
        }
    }
}
