//! The direct way: images of some samples, blocks of rows, tiles of windows.
//!
//! A tile is a few *runs*, each a few windows side by side; a run may lie anywhere in any sample, so that tiles are full for
//! small images too. A kernel keeps the sums of a tile and a block in registers from the first quad to the last.

use super::image::Image;
use super::weights::{Block, Weights};
use super::{Packed, PackedConv2d};
use crate::Outputs;
use crate::conv2d::Conv2d;
use crate::geometry::Geometry;
use crate::simd::linear::Workspace;
use alloc::vec::Vec;
use core::ops::Range;

/// Bytes of images that are made at a time: they stay in the first two caches.
const IMAGE_BYTES: usize = 48 << 10;

/// Most windows of a run. Behind the last image are the bytes that those of a run look at which are not there.
const MOST_WINDOWS: usize = 4;

/// The direct kernels of one instruction set with vectors of `L` words. A value of the type is the proof that the processor
/// has the instructions.
pub(in crate::simd) trait Leaf<const L: usize>: Copy {
    /// Most fields of a block.
    const FIELDS: usize;
    /// What the kernels want the bytes of images combined with.
    const FLIP: u8;

    /// Runs of a tile, and windows of a run, at most [`MOST_WINDOWS`], for blocks of so many fields and outputs of this width.
    fn tile(fields: usize, width: usize) -> [usize; 2];
    /// As [`Image::write`].
    fn write(self, image: &Image, geometry: &Geometry, sample: &[i8], bytes: &mut [u8]);
    /// The outputs of a block and a tile of as many runs as [`Leaf::tile`] says.
    fn multiply(self, block: &Block, tile: &Tile<'_>, output: &mut Outputs<'_>);
}

/// Some neighbouring windows.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::simd) struct Run {
    /// Where the first one begins in the images.
    pub(super) start: usize,
    /// Its number, over all samples.
    pub(super) window: usize,
    /// How many of them there are; those behind may look anywhere and give nothing.
    pub(super) windows: usize,
}

/// What a kernel goes over.
#[derive(Clone, Copy, Debug)]
pub(in crate::simd) struct Tile<'a> {
    pub(super) images: &'a [u8],
    pub(super) runs: &'a [Run],
    /// Bytes from a window to the next.
    pub(super) right: usize,
    /// Rows of the whole matrix.
    pub(super) rows: usize,
    pub(super) relu: bool,
    /// Windows of a run.
    pub(super) windows: usize,
}

impl Tile<'_> {
    /// True where every quad of every window lies in the images, so many runs of so many windows: what kernels rely on.
    #[inline(always)]
    pub(super) fn is_inside(&self, block: &Block, runs: usize, windows: usize) -> bool {
        let reach = block.farthest + windows * self.right + size_of::<u32>();
        self.runs.len() == runs && self.runs.iter().all(|run| run.start + reach <= self.images.len())
    }
}

/// Packs for a leaf.
pub(in crate::simd) fn pack<'a, const L: usize, F: Leaf<L>>(layer: &Conv2d<'a>, _: F) -> PackedConv2d<'a> {
    PackedConv2d { layer: *layer, packed: Packed::Direct(Weights::new(layer, L, F::FIELDS, F::FLIP)) }
}

/// Computes a convolution by a leaf, for as many samples as input and output hold.
pub(in crate::simd) fn conv2d<const L: usize, F: Leaf<L>>(
    convolution: &PackedConv2d<'_>,
    input: &[i8],
    workspace: &mut Workspace,
    mut output: Outputs<'_>,
    leaf: F,
) {
    let weights = match &convolution.packed {
        Packed::Direct(weights) if (weights.lanes, weights.fields, weights.flip) == (L, F::FIELDS, F::FLIP) => weights,
        _ => return super::defined(convolution, input, output),
    };
    let Conv2d { geometry, relu, matrix, .. } = &convolution.layer;
    let (image, rows) = (&weights.image, matrix.rows());
    let of_output = match &output {
        Outputs::I8(output) => output.len(),
        Outputs::I32(output) => output.len(),
    };
    let samples = of_output / (geometry.pixels() * rows).max(1);
    let slab = (IMAGE_BYTES / image.len.max(1)).clamp(1, samples.max(1));
    let Workspace { image: bytes, runs, .. } = workspace;
    let needed = slab * image.len + MOST_WINDOWS * image.right + size_of::<u32>();
    if bytes.len() < needed {
        bytes.resize(needed, 0);
    }
    let input = input.chunks_exact(geometry.input_len().max(1)).take(samples);
    for (number, first) in (0..input.len()).step_by(slab).enumerate() {
        let slab_samples = input.clone().skip(number * slab).take(slab);
        let in_slab = slab_samples.len();
        for (sample, bytes) in slab_samples.zip(bytes.chunks_exact_mut(image.len.max(1))) {
            leaf.write(image, geometry, sample, bytes);
        }
        for block in &weights.blocks {
            let [of_tile, windows] = F::tile(block.fields, geometry.output[1]);
            list_runs(geometry, image, first..first + in_slab, windows, runs);
            // The last tile is filled with runs that give nothing.
            runs.resize(runs.len().next_multiple_of(of_tile), Run::default());
            for runs in runs.chunks_exact(of_tile) {
                let tile = Tile { images: bytes, runs, right: image.right, rows, relu: *relu, windows };
                leaf.multiply(block, &tile, &mut output);
            }
        }
    }
}

/// Lists the runs of some samples, whose images lie one after another.
fn list_runs(geometry: &Geometry, image: &Image, samples: Range<usize>, windows: usize, runs: &mut Vec<Run>) {
    let [height, width, _] = geometry.output;
    runs.clear();
    for (index, sample) in samples.enumerate() {
        for row in 0..height {
            let (start, window) = (index * image.len + row * image.below, (sample * height + row) * width);
            for column in (0..width).step_by(windows.max(1)) {
                let (start, window) = (start + column * image.right, window + column);
                runs.push(Run { start, window, windows: windows.min(width - column) });
            }
        }
    }
}
