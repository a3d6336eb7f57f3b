//! Operators that only move elements: concatenation of channels, zeros around an image.

#[cfg(feature = "pad")]
use crate::geometry::Geometry;

/// Scalar definition of concatenation: for each pixel the channels of `left`, then those of `right`.
#[cfg(feature = "concat")]
pub fn concat(left: &[i8], right: &[i8], channels: [usize; 2], output: &mut [i8]) {
    // None, and more than there are numbers, only in a model that nobody parsed.
    let [first, second] = channels.map(|channels| channels.max(1));
    let pixels = left.chunks_exact(first).zip(right.chunks_exact(second));
    for (output, (left, right)) in output.chunks_exact_mut(first.saturating_add(second)).zip(pixels) {
        let Some((to_left, to_right)) = output.split_at_mut_checked(first) else { return };
        to_left.copy_from_slice(left);
        to_right.copy_from_slice(right);
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

#[cfg(test)]
mod tests {
    #[cfg(feature = "concat")]
    #[test]
    fn channels_behind_channels() {
        let mut output = [0; 6];
        super::concat(&[1, 2, 3, 4], &[-1, -2], [2, 1], &mut output);
        assert_eq!(output, [1, 2, -1, 3, 4, -2]);
        // Of a model that nobody parsed: as many as there are, or nothing.
        for channels in [[0, 2], [2, 0], [0, 0], [usize::MAX, 1], [usize::MAX; 2], [4, 2]] {
            super::concat(&[1, 2, 3, 4], &[-1, -2], channels, &mut output);
        }
        assert_eq!(output, [1, 2, 3, 4, -1, -2]);
    }
}
