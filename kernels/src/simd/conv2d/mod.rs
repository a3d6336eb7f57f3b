//! Convolutions for processors with vector units, on weights that are packed once, when they are loaded.
//!
//! There are two ways. The *direct* one copies the input into an image with its zeros around it and multiplies every quad of
//! a window's row, four neighbouring bytes, where it lies: `weights.rs` says what the weights are then, `image.rs` what the
//! input is, `direct.rs` how tiles of windows go over it; the other files are instruction sets. The *gathering* one copies
//! what lies under each window and leaves the product to the [linear layers](super::linear) of the instruction set: it is
//! for those that have no direct kernel.

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "what only instruction sets need"))]
mod direct;
mod image;
mod portable;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "what only instruction sets need"))]
mod weights;
#[cfg(target_arch = "x86_64")]
mod x86_256;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86_avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86_avx512_vnni;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86_avx_vnni;

pub(super) use direct::{conv2d, pack};
pub(super) use portable::Portable;

use super::linear::{PackedI8, PackedI32, PackedMatrix, Workspace};
use crate::Outputs;
use crate::conv2d::Conv2d;
use crate::geometry::Geometry;
use alloc::vec::Vec;
use trishift_format::TernaryMatrix;
use trishift_format::bound::Accumulators;
use weights::Weights;

/// Bytes of windows that are gathered at a time: they stay in the second cache.
const GATHERED_BYTES: usize = 1 << 17;

/// A convolution with packed weights, made once from a [`Conv2d`] by the `pack_conv2d` of a table of kernels. It is never
/// changed, and threads may share it.
#[derive(Debug)]
pub struct PackedConv2d<'a> {
    layer: Conv2d<'a>,
    packed: Packed,
}

/// The weights, for one of the two ways.
#[derive(Debug)]
enum Packed {
    Direct(Weights),
    Gathering(PackedMatrix),
}

impl<'a> PackedConv2d<'a> {
    /// The convolution.
    pub const fn layer(&self) -> &Conv2d<'a> {
        &self.layer
    }

    /// Bytes that the weights take in memory.
    pub fn bytes(&self) -> usize {
        match &self.packed {
            Packed::Direct(weights) => weights.bytes(),
            Packed::Gathering(matrix) => matrix.bytes(),
        }
    }
}

/// Packs for an instruction set without direct kernels; `pack` is what it does with matrices.
pub(super) fn pack_gathering<'a>(
    layer: &Conv2d<'a>,
    pack: impl FnOnce(&TernaryMatrix<'a>) -> PackedMatrix,
) -> PackedConv2d<'a> {
    PackedConv2d { layer: *layer, packed: Packed::Gathering(pack(&layer.matrix)) }
}

/// Gathers windows and multiplies them as a linear layer does, by its functions for int8 and int32 outputs.
pub(super) fn gathering(
    convolution: &PackedConv2d<'_>,
    input: &[i8],
    workspace: &mut Workspace,
    output: Outputs<'_>,
    linear_i8: impl Fn(&PackedI8<'_>, &[i8], &mut Workspace, &mut [i8]),
    linear_i32: impl Fn(&PackedI32<'_>, &[i8], &mut Workspace, &mut [i32]),
) {
    let Packed::Gathering(matrix) = &convolution.packed else { return defined(convolution, input, output) };
    let Conv2d { bias, accumulators, relu, geometry, .. } = convolution.layer;
    let rows = matrix.rows().max(1);
    let mut windows = Windows { geometry, input, first: 0 };
    let most = (GATHERED_BYTES / matrix.columns().max(1)).max(1) * rows;
    let mut gathered = core::mem::take(&mut workspace.gathered);
    match (output, accumulators) {
        (Outputs::I8(output), Accumulators::PerRow { scale }) => {
            let layer = PackedI8 { matrix, bias, scale, relu, rows: 0..rows };
            for output in output.chunks_mut(most) {
                windows.gather(output.len() / rows, &mut gathered);
                linear_i8(&layer, &gathered, workspace, output);
            }
        }
        (Outputs::I32(output), Accumulators::Layer { exponent }) => {
            let layer = PackedI32 { matrix, bias, exponent, rows: 0..rows };
            for output in output.chunks_mut(most) {
                windows.gather(output.len() / rows, &mut gathered);
                linear_i32(&layer, &gathered, workspace, output);
            }
        }
        _ => {}
    }
    workspace.gathered = gathered;
}

/// The windows of all samples, one after another.
struct Windows<'a> {
    geometry: Geometry,
    input: &'a [i8],
    /// The next one.
    first: usize,
}

impl Windows<'_> {
    /// Copies what lies under the next `count`, as far as there are so many.
    fn gather(&mut self, count: usize, out: &mut Vec<i8>) {
        out.clear();
        let (of_sample, len) = (self.geometry.pixels().max(1), self.geometry.input_len());
        for window in self.first..self.first + count {
            let first = window / of_sample * len;
            let Some(sample) = self.input.get(first..first + len) else { return };
            image::gather(&self.geometry, sample, window % of_sample, out);
        }
        self.first += count;
    }
}

/// By the definition, slowly: for weights that another instruction set packed.
fn defined(convolution: &PackedConv2d<'_>, input: &[i8], output: Outputs<'_>) {
    crate::conv2d::conv2d(&convolution.layer, input, output);
}
