//! Inputs with the zeros around them that windows reach.

use crate::geometry::Geometry;
use alloc::vec::Vec;

/// Sizes of an image, which is what all windows of a sample cover together; in bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::simd) struct Image {
    /// A row.
    pub(super) row: usize,
    /// All rows.
    pub(super) len: usize,
    /// From a window to the one right of it.
    pub(super) right: usize,
    /// From a window to the one below it.
    pub(super) below: usize,
}

impl Image {
    pub(super) const fn new(geometry: &Geometry) -> Self {
        let Geometry { input: [_, _, channels], output, kernel, stride, .. } = *geometry;
        let row = (output[1].saturating_sub(1) * stride[1] + kernel[1]) * channels;
        let height = output[0].saturating_sub(1) * stride[0] + kernel[0];
        Self { row, len: height * row, right: stride[1] * channels, below: stride[0] * row }
    }

    /// Writes the image of a sample. Every byte is combined with `flip` by exclusive or.
    #[inline(always)]
    pub(super) fn write(&self, geometry: &Geometry, sample: &[i8], flip: u8, image: &mut [u8]) {
        let Geometry { input: [height, width, channels], kernel, stride, before: [above, left], .. } = *geometry;
        let (left, width) = (left * channels, width * channels);
        for (index, row) in image.chunks_exact_mut(self.row.max(1)).enumerate() {
            // Between windows of long steps are rows that none of them looks at.
            if index % stride[0].max(1) >= kernel[0] {
                continue;
            }
            let from = index
                .checked_sub(above)
                .filter(|index| *index < height)
                .map_or(&[][..], |index| sample.get(index * width..(index + 1) * width).unwrap_or(&[]));
            let (before, row) = row.split_at_mut(left.min(row.len()));
            // Such steps leave some of the input's edge, too.
            let (inside, behind) = row.split_at_mut(from.len().min(row.len()));
            before.fill(flip);
            inside.iter_mut().zip(from).for_each(|(to, from)| *to = *from as u8 ^ flip);
            behind.fill(flip);
        }
    }
}

/// Appends what lies under a window of a sample, in the order of a matrix's columns.
pub(super) fn gather(geometry: &Geometry, sample: &[i8], window: usize, out: &mut Vec<i8>) {
    let Geometry { input: [_, width, channels], kernel, .. } = *geometry;
    let output_width = geometry.output[1].max(1);
    let rows = geometry.taps(0, window / output_width);
    let columns = geometry.taps(1, window % output_width);
    let of_tap = kernel[1] * channels;
    let start = out.len();
    for (tap, row) in rows.taps.zip(rows.first..) {
        // Zeros as far as the first tap inside.
        out.resize(start + tap * of_tap + columns.taps.start * channels, 0);
        let first = (row * width + columns.first) * channels;
        out.extend_from_slice(sample.get(first..first + columns.taps.len() * channels).unwrap_or(&[]));
    }
    out.resize(start + kernel[0] * of_tap, 0);
}
