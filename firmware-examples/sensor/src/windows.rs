//! Overlapping windows over the latest samples.

use crate::{AXES, INPUTS, STEP, WINDOW};
use heapless::HistoryBuf;
use trishift::InputScale;

/// The latest samples, and how many there were since the last window.
#[derive(Debug, Default)]
pub struct Windows {
    samples: HistoryBuf<[i16; AXES], WINDOW>,
    since: usize,
}

impl Windows {
    /// No samples yet.
    pub const fn new() -> Self {
        Self { samples: HistoryBuf::new(), since: 0 }
    }

    /// Takes a sample; true where a window is complete and [`STEP`] samples newer than the one before.
    pub fn push(&mut self, sample: [i16; AXES]) -> bool {
        self.samples.write(sample);
        self.since += 1;
        let due = self.samples.is_full() && self.since >= STEP;
        if due {
            self.since = 0;
        }
        due
    }

    /// The window as the model takes it, oldest sample first. One scale serves all values, or each has its own.
    pub fn quantize(&self, mut scales: impl Iterator<Item = InputScale>) -> [i8; INPUTS] {
        let mut input = [0; INPUTS];
        let mut scale = scales.next().unwrap_or(InputScale::IDENTITY);
        for (sample, values) in self.samples.oldest_ordered().zip(input.chunks_exact_mut(AXES)) {
            for (raw, value) in sample.iter().zip(values) {
                *value = scale.quantize_i32((*raw).into());
                scale = scales.next().unwrap_or(scale);
            }
        }
        input
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn windows_overlap_by_what_a_step_leaves() {
        let mut windows = Windows::new();
        let mut starts = Vec::new();
        for number in 0..60i16 {
            if windows.push([number, 0, -number]) {
                let input = windows.quantize([InputScale::IDENTITY].into_iter());
                let first = i16::from(input[0]);
                let expected = (first..=number).flat_map(|n| [n, 0, -n]).map(|n| n as i8);
                assert!(input.into_iter().eq(expected), "{input:?}");
                starts.push(first);
            }
        }
        assert_eq!(starts, [0, 10, 20, 30]);
    }

    #[test]
    fn each_value_may_have_a_scale_of_its_own() {
        let mut windows = Windows::new();
        for _ in 0..WINDOW {
            windows.push([64, 64, 64]);
        }
        let scales = (0..INPUTS).map(|index| InputScale { shift: -((index % 4) as i8), ..InputScale::IDENTITY });
        let input = windows.quantize(scales);
        assert_eq!(input[..5], [64, 32, 16, 8, 64]);
    }
}
