//! Depthwise convolutions: a channel is set aside with zeros around it, and then is an image of its own.
//!
//! So tiles are gathered from neighbouring bytes, no edge is a case of its own, and the output may take the input's place.

use super::band::{Band, Image};
use super::{Block, LANES, Layer, Steps, halves, has_too_many, records, times};
use crate::conv2d::bytes_of;
use crate::geometry::Geometry;
use crate::values::Outputs;

/// Rows and columns of a channel with everything that windows see around it.
const fn plane(geometry: &Geometry) -> [usize; 2] {
    let Geometry { output: [height, width, _], kernel, stride, .. } = geometry;
    let lanes = if *width < LANES { LANES } else { *width };
    let rows = height.saturating_sub(1).saturating_mul(stride[0]).saturating_add(kernel[0]);
    let columns = (lanes - 1).saturating_mul(stride[1]).saturating_add(kernel[1]);
    [rows, columns]
}

/// Words of a channel with everything around it.
const fn plane_words(geometry: &Geometry) -> usize {
    let [rows, columns] = plane(geometry);
    rows.saturating_mul(columns).div_ceil(size_of::<i32>())
}

/// Bytes of scratch for a depthwise convolution, with weights of int8 or of trits; saturating.
pub(crate) const fn depthwise_scratch(geometry: &Geometry, in_place: bool, int8: bool) -> usize {
    let columns = geometry.kernel[0].saturating_mul(geometry.kernel[1]);
    let words = if !has_too_many(columns) {
        let buffer = Band::new(geometry, 1).buffer_words();
        plane_words(geometry).saturating_add(buffer).saturating_add(records::most_words(columns, times(int8)))
    } else if in_place {
        geometry.plane_words()
    } else {
        0
    };
    words.saturating_mul(size_of::<i32>())
}

/// A depthwise convolution; `scratch` holds what [`depthwise_scratch`] says.
pub(in crate::small_core) fn depthwise_conv2d(
    steps: &Steps,
    layer: &Layer<'_>,
    input: &[i8],
    scratch: &mut [i32],
    mut output: Outputs<'_>,
) {
    let length = layer.geometry.input_len().max(1);
    for_each_channel(steps, layer, scratch, output.is_i8(), |set_aside| {
        for (number, sample) in input.chunks_exact(length).enumerate() {
            set_aside.run(sample, number, &mut output);
        }
    });
}

/// A depthwise convolution whose output takes the input's place.
#[cfg(feature = "depthwise-conv2d")]
pub(in crate::small_core) fn depthwise_conv2d_in_place(
    steps: &Steps,
    layer: &Layer<'_>,
    scratch: &mut [i32],
    data: &mut [i8],
) {
    let length = layer.geometry.input_len().max(1);
    for_each_channel(steps, layer, scratch, true, |set_aside| {
        for number in 0..data.len() / length {
            set_aside.copy(data.get(number * length..).unwrap_or(&[]));
            set_aside.convolve(number, &mut Outputs::I8(data));
        }
    });
}

/// Calls `f` for each channel, once its weights are lists.
fn for_each_channel(
    steps: &Steps,
    layer: &Layer<'_>,
    scratch: &mut [i32],
    narrow: bool,
    mut f: impl FnMut(&mut SetAside<'_>),
) {
    let geometry = layer.geometry;
    let band = Band::new(geometry, 1);
    let Some((plane, scratch)) = scratch.split_at_mut_checked(plane_words(geometry)) else { return };
    let Some((buffer, lists)) = scratch.split_at_mut_checked(band.buffer_words()) else { return };
    let lists = halves(lists);
    // What is around a channel is the same for all of them.
    plane.fill(0);
    let plane = bytes_of(plane);
    for channel in 0..layer.weights.rows() {
        let block = Block::write(steps, layer, channel, channel + 1, lists, narrow);
        if block.rows == 0 {
            return;
        }
        f(&mut SetAside { steps, layer, band: &band, block, plane, buffer });
    }
}

/// One channel and where it is set aside.
struct SetAside<'a> {
    steps: &'a Steps,
    layer: &'a Layer<'a>,
    band: &'a Band<'a>,
    block: Block<'a>,
    plane: &'a mut [i8],
    buffer: &'a mut [i32],
}

impl SetAside<'_> {
    /// A sample's channel, set aside and convolved.
    fn run(&mut self, sample: &[i8], number: usize, output: &mut Outputs<'_>) {
        self.copy(sample);
        self.convolve(number, output);
    }

    /// Sets the channel of a sample aside.
    #[allow(unsafe_code, reason = "calls assembly")]
    fn copy(&mut self, sample: &[i8]) {
        let Geometry { input: [height, width, channels], before: [above, left], .. } = *self.layer.geometry;
        let [rows, columns] = plane(self.layer.geometry);
        // Rows and columns behind the last window are not in the plane.
        let (inner_rows, inner_columns) =
            (height.min(rows.saturating_sub(above)), width.min(columns.saturating_sub(left)));
        if inner_columns == 0 {
            return;
        }
        for row in 0..inner_rows {
            let from = sample.get(row * width * channels + self.block.first..).unwrap_or(&[]);
            let to = self.plane.get_mut((row + above) * columns + left..).unwrap_or(&mut []);
            if from.len() <= (inner_columns - 1) * channels || to.len() < inner_columns {
                return;
            }
            // SAFETY: the last element and its place are inside the slices.
            unsafe { (self.steps.copy)(to.as_mut_ptr(), from.as_ptr(), channels, inner_columns) };
        }
    }

    /// Convolves what is set aside.
    fn convolve(&mut self, number: usize, output: &mut Outputs<'_>) {
        let [rows, columns] = plane(self.layer.geometry);
        let image = Image { elements: self.plane, shape: [rows, columns, 1], before: [0; 2] };
        self.band.run(self.steps, self.layer, &image, &self.block, number, self.buffer, &mut [], output);
    }
}
