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

/// Bytes of images that are made at a time: they stay in the first cache.
const IMAGE_BYTES: usize = 24 << 10;

/// Most samples whose images are made at a time.
const MOST_SAMPLES: usize = 64;

/// Most windows of a run. Behind the last image are the bytes that those of a run look at which are not there.
const MOST_WINDOWS: usize = 4;

/// Most runs of a tile.
const MOST_RUNS: usize = 8;

/// The direct kernels of one instruction set with vectors of `L` words. A value of the type is the proof that the processor
/// has the instructions.
pub(in crate::simd) trait Leaf<const L: usize>: Copy {
    /// Most fields of a block.
    const FIELDS: usize;
    /// What the kernels want the bytes of images combined with.
    const FLIP: u8;

    /// Runs of a tile, at most [`MOST_RUNS`], and windows of a run, at most [`MOST_WINDOWS`], for blocks of so many fields and
    /// outputs of this width.
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
    /// Its number, from the first one of the images on.
    pub(super) window: usize,
    /// How many of them there are; those behind may look anywhere and give nothing.
    pub(super) windows: usize,
}

/// What a kernel goes over.
#[derive(Clone, Copy, Debug)]
pub(in crate::simd) struct Tile<'a> {
    pub(super) images: &'a [u8],
    pub(super) runs: &'a [Run],
    /// The number of the images' first window, over all samples.
    pub(super) first: usize,
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

/// The runs of as many samples as have their images made at a time.
#[derive(Debug)]
pub(super) struct Runs {
    /// Windows of a run.
    pub(super) windows: usize,
    /// Runs of a sample.
    of_sample: usize,
    runs: Vec<Run>,
}

impl Runs {
    /// So many windows each, of so many samples, whose images lie one after another.
    pub(super) fn new(geometry: &Geometry, image: &Image, windows: usize, samples: usize) -> Self {
        let [height, width, _] = geometry.output;
        let mut runs = Vec::new();
        for (sample, row) in (0..samples).flat_map(|sample| (0..height).map(move |row| (sample, row))) {
            let (start, window) = (sample * image.len + row * image.below, (sample * height + row) * width);
            runs.extend((0..width).step_by(windows.max(1)).map(|column| Run {
                start: start + column * image.right,
                window: window + column,
                windows: windows.min(width - column),
            }));
        }
        Self { windows, of_sample: runs.len() / samples.max(1), runs }
    }

    /// Bytes of memory.
    pub(super) const fn bytes(&self) -> usize {
        self.runs.capacity() * size_of::<Run>()
    }
}

/// Samples whose images are made at a time.
pub(super) fn slab(image: &Image) -> usize {
    (IMAGE_BYTES / image.len.max(1)).clamp(1, MOST_SAMPLES)
}

/// Packs for a leaf.
pub(in crate::simd) fn pack<'a, const L: usize, F: Leaf<L>>(layer: &Conv2d<'a>, _: F) -> PackedConv2d<'a> {
    let windows = |fields: usize| F::tile(fields, layer.geometry.output[1])[1];
    PackedConv2d { layer: *layer, packed: Packed::Direct(Weights::new(layer, L, F::FIELDS, F::FLIP, windows)) }
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
    let (image, rows, pixels) = (&weights.image, matrix.rows(), geometry.pixels());
    let of_output = match &output {
        Outputs::I8(output) => output.len(),
        Outputs::I32(output) => output.len(),
    };
    let (of_sample, slab) = (geometry.input_len().max(1), slab(image));
    let samples = (of_output / (pixels * rows).max(1)).min(input.len() / of_sample);
    let bytes = &mut workspace.image;
    let needed = slab.min(samples) * image.len + MOST_WINDOWS * image.right + size_of::<u32>();
    if bytes.len() < needed {
        bytes.resize(needed, 0);
    }
    let input = input.get(..samples * of_sample).unwrap_or(&[]);
    for (number, input) in input.chunks(slab * of_sample).enumerate() {
        let samples = input.len() / of_sample;
        for (sample, bytes) in input.chunks_exact(of_sample).zip(bytes.chunks_exact_mut(image.len.max(1))) {
            leaf.write(image, geometry, sample, bytes);
        }
        let (right, relu, first) = (image.right, *relu, number * slab * pixels);
        for block in &weights.blocks {
            let [of_tile, windows] = F::tile(block.fields, geometry.output[1]);
            let Some(all) = weights.runs.iter().find(|runs| runs.windows == windows) else { continue };
            let runs = all.runs.get(..samples * all.of_sample).unwrap_or(&[]);
            let (tiles, rest) = (runs.chunks_exact(of_tile), runs.chunks_exact(of_tile).remainder());
            for runs in tiles {
                let tile = Tile { images: bytes, runs, first, right, rows, relu, windows };
                leaf.multiply(block, &tile, &mut output);
            }
            if !rest.is_empty() {
                // The last tile is filled with runs that give nothing.
                let mut last = [Run::default(); MOST_RUNS];
                last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                let runs = last.get(..of_tile).unwrap_or(&[]);
                let tile = Tile { images: bytes, runs, first, right, rows, relu, windows };
                leaf.multiply(block, &tile, &mut output);
            }
        }
    }
}
