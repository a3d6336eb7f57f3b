//! Operators that only move elements: concatenation of channels, zeros around an image, the latest rows of a stream.

#[cfg(feature = "pad")]
use crate::geometry::Geometry;

/// Scalar definition of concatenation: for each pixel the channels of `left`, then those of `right`.
#[cfg(feature = "concat")]
#[inline(always)]
pub fn concat(left: &[i8], right: &[i8], channels: [usize; 2], output: &mut [i8]) {
    let pixels = left.chunks_exact(channels[0].max(1)).zip(right.chunks_exact(channels[1].max(1)));
    // Only of a file that nobody parsed can sizes of different tensors wrap, here and below.
    let both = channels[0].wrapping_add(channels[1]);
    for (output, (left, right)) in output.chunks_exact_mut(both.max(1)).zip(pixels) {
        let Some((first, second)) = output.split_at_mut_checked(left.len()) else { return };
        // Nor has any other file a tensor without channels.
        if second.len() != right.len() {
            return;
        }
        first.copy_from_slice(left);
        second.copy_from_slice(right);
    }
}

/// Scalar definition of padding: the input, `before` rows and columns inside an output of zeros. The window of the geometry
/// does not matter.
#[cfg(feature = "pad")]
#[inline(always)]
pub fn pad(geometry: &Geometry, input: &[i8], output: &mut [i8]) {
    let Geometry { input: [_, width, channels], output: [_, output_width, _], before: [above, left], .. } = *geometry;
    let samples = input.chunks_exact(geometry.input_len().max(1));
    for (sample, output) in samples.zip(output.chunks_exact_mut(geometry.output_len().max(1))) {
        output.fill(0);
        let rows = output.chunks_exact_mut(output_width.wrapping_mul(channels).max(1)).skip(above);
        for (output, input) in rows.zip(sample.chunks_exact((width * channels).max(1))) {
            let row = output.get_mut(left.wrapping_mul(channels)..).and_then(|row| row.get_mut(..input.len()));
            let Some(output) = row else { return };
            output.copy_from_slice(input);
        }
    }
}

/// Scalar definition of sliding: each sample's state keeps the last `state_len` elements of all that came, `input_len` of
/// which are new.
#[cfg(feature = "slide")]
#[inline(always)]
pub fn slide<T: Copy>(input: &[T], [input_len, state_len]: [usize; 2], states: &mut [T]) {
    for (input, state) in input.chunks_exact(input_len.max(1)).zip(states.chunks_exact_mut(state_len.max(1))) {
        // An input that is longer than the state leaves nothing of it.
        let new = input.len().min(state.len());
        let kept = state.len() - new;
        state.copy_within(new.., 0);
        if let (Some(newest), Some(end)) = (input.get(input.len() - new..), state.get_mut(kept..)) {
            end.copy_from_slice(newest);
        }
    }
}
