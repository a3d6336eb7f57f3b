//! Operators that only move elements: concatenation of channels, zeros around an image.

#[cfg(feature = "pad")]
use crate::geometry::Geometry;

/// Scalar definition of concatenation: for each pixel the channels of `left`, then those of `right`.
#[cfg(feature = "concat")]
pub fn concat(left: &[i8], right: &[i8], channels: [usize; 2], output: &mut [i8]) {
    let pixels = left.chunks_exact(channels[0].max(1)).zip(right.chunks_exact(channels[1].max(1)));
    // They saturate only in a model that nobody parsed.
    let together = channels[0].saturating_add(channels[1]).max(1);
    for (output, (left, right)) in output.chunks_exact_mut(together).zip(pixels) {
        let Some((first, second)) = output.split_at_mut_checked(left.len()) else { return };
        first.copy_from_slice(left);
        second.copy_from_slice(right);
    }
}

/// Scalar definition of padding: the input, `before` rows and columns inside an output of zeros. The window of the geometry
/// does not matter.
#[cfg(feature = "pad")]
pub fn pad(geometry: &Geometry, input: &[i8], output: &mut [i8]) {
    let Geometry { input: [_, width, channels], output: [_, output_width, _], before: [above, left], .. } = *geometry;
    let samples = input.chunks_exact(geometry.input_len().max(1));
    for (sample, output) in samples.zip(output.chunks_exact_mut(geometry.output_len().max(1))) {
        output.fill(0);
        // Here too: channels are the input's.
        let rows = output.chunks_exact_mut(output_width.saturating_mul(channels).max(1)).skip(above);
        for (output, input) in rows.zip(sample.chunks_exact((width * channels).max(1))) {
            let Some(output) =
                output.get_mut(left.saturating_mul(channels)..).and_then(|row| row.get_mut(..input.len()))
            else {
                return;
            };
            output.copy_from_slice(input);
        }
    }
}
