//! Memory that begins on a cache line.

use alloc::vec::Vec;

/// Bytes of a cache line and of the widest vector.
const LINE: usize = 64;
const WORD: usize = size_of::<u32>();

/// Words that begin on a cache line. Not `Clone`: a copy begins elsewhere.
#[derive(Debug, Default)]
pub(in crate::simd) struct Aligned {
    /// With room for the words to begin anywhere in the first line.
    memory: Vec<u32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// None, with room for so many.
    pub(in crate::simd) fn with_room(len: usize) -> Self {
        let mut memory: Vec<u32> = Vec::with_capacity(len + LINE / WORD);
        // Where the address cannot be known the words lie as they come: alignment is for speed alone.
        let start = match memory.as_ptr().align_offset(LINE) {
            offset if offset < LINE / WORD => offset,
            _ => 0,
        };
        memory.resize(start, 0);
        Self { memory, start, len: 0 }
    }

    /// Appends words, for which there is room.
    pub(in crate::simd) fn push(&mut self, words: &[u32]) {
        self.memory.extend_from_slice(words);
        self.len += words.len();
    }

    /// So many zeros.
    pub(in crate::simd) fn zeros(len: usize) -> Self {
        let mut zeros = Self::with_room(len);
        zeros.memory.resize(zeros.start + len, 0);
        Self { len, ..zeros }
    }

    /// The first `len` words, of which there are as many after this; their contents are whatever was there.
    pub(in crate::simd) fn at_least(&mut self, len: usize) -> &mut [u32] {
        if self.len < len {
            *self = Self::zeros(len);
        }
        self.memory.get_mut(self.start..self.start + len).unwrap_or(&mut [])
    }

    /// All of them.
    pub(in crate::simd) fn words(&self) -> &[u32] {
        self.memory.get(self.start..self.start + self.len).unwrap_or(&[])
    }

    /// Bytes that it holds in memory.
    pub(in crate::simd) fn bytes(&self) -> usize {
        self.memory.capacity() * WORD
    }
}
