//! Linear layers for processors with vector units: a matrix is packed once, when it is loaded, into the order that an
//! instruction set reads fastest, two bits a trit and a byte for each group's exponent.
//!
//! [`PackedKernels`] is what a [`Kernels`](crate::Kernels) table has for this. Results equal those of
//! [`crate::linear`], bit for bit. `packed.rs` says what lies where, `transcode.rs` how it gets there from a file,
//! `driver.rs` how a product goes over blocks, pieces and tiles; the other files are instruction sets, one each, with the
//! few loops that time is spent in.

/// Those functions of a leaf that are plain Rust, compiled for an instruction set.
#[cfg(target_arch = "x86_64")]
macro_rules! compiled_for {
    ($features:literal) => {
        fn read(self, words: &[u64]) -> u64 {
            #[target_feature(enable = $features)]
            fn compiled(words: &[u64]) -> u64 {
                super::read_words(words)
            }
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { compiled(words) }
        }

        fn pack_tile(self, shape: &super::packed::Shape, samples: &[i8], count: usize, flip: u32, out: &mut [u32]) {
            #[target_feature(enable = $features)]
            fn compiled(shape: &super::packed::Shape, samples: &[i8], count: usize, flip: u32, out: &mut [u32]) {
                super::input::pack_tile(shape, samples, count, flip, out);
            }
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { compiled(shape, samples, count, flip, out) }
        }

        fn fetch<T>(self, memory: &[T]) {
            let bytes = memory.as_ptr().cast::<i8>();
            for line in (0..size_of_val(memory)).step_by(64) {
                // SAFETY: it may be any address.
                unsafe { core::arch::x86_64::_mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add(line)) };
            }
        }

        fn finish_i8(self, sums: &[u32], rows: super::finish::RowFinish<'_>, relu: bool, output: &mut [i8]) {
            #[target_feature(enable = $features)]
            fn compiled(sums: &[u32], rows: super::finish::RowFinish<'_>, relu: bool, output: &mut [i8]) {
                super::finish::finish_i8(sums, rows, relu, output);
            }
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { compiled(sums, rows, relu, output) }
        }

        fn finish_i32(self, sums: &[u32], rows: super::finish::RowFinish<'_>, output: &mut [i32]) {
            #[target_feature(enable = $features)]
            fn compiled(sums: &[u32], rows: super::finish::RowFinish<'_>, output: &mut [i32]) {
                super::finish::finish_i32(sums, rows, output);
            }
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { compiled(sums, rows, output) }
        }
    };
}

/// Transcoding with AVX2, compiled for an instruction set that has it.
#[cfg(target_arch = "x86_64")]
macro_rules! transcode_for {
    ($features:literal) => {
        fn transcode(
            self,
            transcoder: &mut super::transcode::Transcoder<'_>,
            block: usize,
            vectors: &mut [[u32; L]],
            constants: &mut [super::packed::RowConstants],
        ) -> super::packed::Window {
            #[target_feature(enable = $features)]
            fn compiled(
                transcoder: &mut super::transcode::Transcoder<'_>,
                block: usize,
                vectors: &mut [[u32; L]],
                constants: &mut [super::packed::RowConstants],
            ) -> super::packed::Window {
                transcoder.block(block, vectors, constants, super::x86_transcode::Avx2(()))
            }
            // SAFETY: `self` proves that the processor has the instructions.
            unsafe { compiled(transcoder, block, vectors, constants) }
        }
    };
}

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub(super) mod aarch64_neon;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub(super) mod aarch64_neon_dotprod;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub(super) mod aarch64_neon_i8mm;
mod aligned;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "fields that only some instruction sets read"))]
mod driver;
mod finish;
mod input;
pub mod int8;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "fields that only some instruction sets read"))]
mod packed;
mod portable;
mod transcode;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(super) mod wasm32_simd128;
mod workspace;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86_avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86_avx512_vnni;
#[cfg(target_arch = "x86_64")]
pub(super) mod x86_avx_vnni;
#[cfg(target_arch = "x86_64")]
mod x86_transcode;

#[cfg(feature = "conv2d")]
pub(super) use finish::{finish_i8, finish_i32};
pub use packed::PackedMatrix;
pub use workspace::Workspace;

pub(super) use aligned::Aligned;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;
use driver::{Leaf, multiply};
pub(super) use finish::RowFinish;
use packed::{Format, RowConstants, Shape, Window};
use portable::Portable;
use transcode::Transcoder;
use trishift_format::{Bias, TernaryMatrix};
#[cfg(feature = "conv2d")]
use {
    super::conv2d::{self, PackedConv2d},
    crate::Outputs,
    crate::conv2d::Conv2d,
};

/// A linear layer with int8 outputs and packed weights; else as [`crate::linear::LinearI8`].
#[derive(Clone, Debug)]
pub struct PackedI8<'a> {
    /// Weights [rows, columns].
    pub matrix: &'a PackedMatrix,
    /// One int32 per row of the matrix, in the row's accumulator unit.
    pub bias: Option<Bias<'a>>,
    /// s_out − s_in; a row's requantising shift is this minus its smallest exponent.
    pub scale: i32,
    /// Lower clamp at 0.
    pub relu: bool,
    /// Rows to compute, of which outputs have a column each: all, or a thread's share ([`PackedMatrix::shares`]). What is
    /// not in the matrix is left out.
    pub rows: Range<usize>,
}

/// A linear layer with int32 outputs and packed weights; else as [`crate::linear::LinearI32`].
#[derive(Clone, Debug)]
pub struct PackedI32<'a> {
    /// Weights [rows, columns].
    pub matrix: &'a PackedMatrix,
    /// One int32 per row of the matrix, in the layer's unit.
    pub bias: Option<Bias<'a>>,
    /// The unit 2^exponent of every output, relative to the input's.
    pub exponent: i32,
    /// Rows to compute, of which outputs have a column each: all, or a thread's share ([`PackedMatrix::shares`]). What is
    /// not in the matrix is left out.
    pub rows: Range<usize>,
}

/// Linear layers of an instruction set, on packed weights.
///
/// Inputs are [batch, columns], outputs [batch, rows of the range], for any batch. A matrix that another instruction set's `pack` made
/// gives the same results, slowly.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PackedKernels {
    /// Packs a matrix of a parsed model.
    pub pack: fn(&TernaryMatrix<'_>) -> PackedMatrix,
    /// int8 outputs, as [`crate::linear::linear_i8`].
    pub linear_i8: fn(&PackedI8<'_>, &[i8], &mut Workspace, &mut [i8]),
    /// int32 outputs, as [`crate::linear::linear_i32`].
    pub linear_i32: fn(&PackedI32<'_>, &[i8], &mut Workspace, &mut [i32]),
    /// Packs the weights of a convolution of a parsed model.
    #[cfg(feature = "conv2d")]
    pub pack_conv2d: for<'a> fn(&Conv2d<'a>) -> PackedConv2d<'a>,
    /// Convolutions, as [`crate::conv2d::conv2d`].
    #[cfg(feature = "conv2d")]
    pub conv2d: fn(&PackedConv2d<'_>, &[i8], &mut Workspace, Outputs<'_>),
    /// The instruction set's multiply-add on registers alone, so many rounds of it; gives the operations done, two for each
    /// product. What a product of matrices can at most reach.
    pub peak: fn(u64) -> u64,
    /// Reads words and adds them up: what a product that is bound by memory can at most reach.
    pub read: fn(&[u64]) -> u64,
}

/// Packed kernels in plain Rust, in the order of AVX-512's and of AVX2's: for tests on any machine.
pub static PORTABLE_PACKED: [PackedKernels; 2] = [
    PackedKernels {
        pack: |matrix| pack(matrix, Portable::<16, true>),
        linear_i8: |layer, input, workspace, output| linear_i8(layer, input, workspace, output, Portable::<16, true>),
        linear_i32: |layer, input, workspace, output| linear_i32(layer, input, workspace, output, Portable::<16, true>),
        #[cfg(feature = "conv2d")]
        pack_conv2d: |layer| conv2d::pack(layer, conv2d::Portable::<16, true>),
        #[cfg(feature = "conv2d")]
        conv2d: |layer, input, workspace, output| {
            conv2d::conv2d(layer, input, workspace, output, conv2d::Portable::<16, true>);
        },
        peak: |_| 0,
        read: read_words,
    },
    PackedKernels {
        pack: |matrix| pack(matrix, Portable::<8, false>),
        linear_i8: |layer, input, workspace, output| linear_i8(layer, input, workspace, output, Portable::<8, false>),
        linear_i32: |layer, input, workspace, output| linear_i32(layer, input, workspace, output, Portable::<8, false>),
        #[cfg(feature = "conv2d")]
        pack_conv2d: |layer| pack_gathering(layer, Portable::<8, false>),
        #[cfg(feature = "conv2d")]
        conv2d: |layer, input, workspace, output| gathering(layer, input, workspace, output, Portable::<8, false>),
        peak: |_| 0,
        read: read_words,
    },
];

/// Samples between the one whose outputs are written and the one whose outputs are fetched: those of a block lie as far apart
/// as the layer has rows, where no processor expects them.
const FINISH_AHEAD: usize = 12;

/// Packs a matrix for a leaf.
fn pack<const L: usize, F: Leaf<L>>(matrix: &TernaryMatrix<'_>, leaf: F) -> PackedMatrix {
    let format = F::FORMAT;
    let shape = Shape::new(matrix.rows(), matrix.columns(), matrix.group(), format.lanes);
    // Blocks are made one after another where the caches hold one.
    let (mut words, mut block) = (Aligned::with_room(shape.blocks * shape.block_vectors() * L), Aligned::default());
    let block = block.at_least(shape.block_vectors() * L);
    let mut constants = vec![RowConstants::default(); shape.blocks * shape.block_rows];
    let mut windows = vec![Window { largest: 0, plain: true }; shape.blocks];
    let mut transcoder = Transcoder::new(matrix, shape, format);
    // Inputs of 1 make a block's product the sum of its rows' weights.
    let ones = vec![0x0101_0101; shape.quads];
    let mut starts = vec![0; shape.groups * F::STARTS];
    leaf.prepare(&shape, &ones, 1, &mut starts);
    for (index, (constants, window)) in constants.chunks_exact_mut(shape.block_rows).zip(&mut windows).enumerate() {
        let vectors = block.as_chunks_mut::<L>().0;
        *window = leaf.transcode(&mut transcoder, index, vectors, constants);
        let plain = window.plain || !format.rotated;
        let packed = packed::Block { vectors, group_quads: shape.group_quads, plain, largest: window.largest };
        let mut sums = [[[0; L]; 4]];
        for (sum, constants) in sums.as_flattened_mut().as_flattened_mut().iter_mut().zip(constants.iter()) {
            *sum = constants.offset;
        }
        leaf.rows(&packed, &ones, &starts, &mut sums);
        words.push(vectors.as_flattened());
        for (sum, constants) in sums.as_flattened().as_flattened().iter().zip(constants) {
            constants.panel_offset = sum.wrapping_mul(128).wrapping_neg();
        }
    }
    PackedMatrix { format, shape, words, windows, constants }
}

/// Packs a convolution whose windows are gathered for a leaf.
#[cfg(feature = "conv2d")]
fn pack_gathering<'a, const L: usize, F: Leaf<L>>(layer: &Conv2d<'a>, leaf: F) -> PackedConv2d<'a> {
    conv2d::pack_gathering(layer, |matrix| pack(matrix, leaf))
}

/// A convolution by a leaf's linear layers.
#[cfg(feature = "conv2d")]
fn gathering<const L: usize, F: Leaf<L>>(
    convolution: &PackedConv2d<'_>,
    input: &[i8],
    workspace: &mut Workspace,
    output: Outputs<'_>,
    leaf: F,
) {
    conv2d::gathering(
        convolution,
        input,
        workspace,
        output,
        |layer, input, workspace, output| linear_i8(layer, input, workspace, output, leaf),
        |layer, input, workspace, output| linear_i32(layer, input, workspace, output, leaf),
    );
}

/// int8 outputs by a leaf.
fn linear_i8<const L: usize, F: Leaf<L>>(
    layer: &PackedI8<'_>,
    input: &[i8],
    workspace: &mut Workspace,
    output: &mut [i8],
    leaf: F,
) {
    if layer.matrix.format != F::FORMAT {
        return portable_i8(layer, input, workspace, output);
    }
    let rows = layer.matrix.clamp(&layer.rows);
    let [bias, shift] = finish_of(layer.matrix, &rows, layer.bias, workspace, |unit| layer.scale - unit);
    let finish = RowFinish { bias: &bias, shift: &shift };
    multiply(leaf, layer.matrix, &rows, input, workspace, |row, sample, sums| {
        let later = (sample + FINISH_AHEAD) * rows.len() + row;
        leaf.fetch(output.get(later..later + sums.len()).unwrap_or(&[]));
        let output = output.get_mut(sample * rows.len() + row..(sample + 1) * rows.len()).unwrap_or(&mut []);
        leaf.finish_i8(sums, finish.from(row), layer.relu, output);
    });
    workspace.finish = [bias, shift];
}

/// int32 outputs by a leaf.
fn linear_i32<const L: usize, F: Leaf<L>>(
    layer: &PackedI32<'_>,
    input: &[i8],
    workspace: &mut Workspace,
    output: &mut [i32],
    leaf: F,
) {
    if layer.matrix.format != F::FORMAT {
        return portable_i32(layer, input, workspace, output);
    }
    // In 0..=31 by the int32 bound, but for rows of zeros.
    let shift = |unit: i32| (unit - layer.exponent).clamp(0, 31);
    let rows = layer.matrix.clamp(&layer.rows);
    let [bias, shift] = finish_of(layer.matrix, &rows, layer.bias, workspace, shift);
    let finish = RowFinish { bias: &bias, shift: &shift };
    multiply(leaf, layer.matrix, &rows, input, workspace, |row, sample, sums| {
        let later = (sample + FINISH_AHEAD) * rows.len() + row;
        leaf.fetch(output.get(later..later + sums.len()).unwrap_or(&[]));
        let output = output.get_mut(sample * rows.len() + row..(sample + 1) * rows.len()).unwrap_or(&mut []);
        leaf.finish_i32(sums, finish.from(row), output);
    });
    workspace.finish = [bias, shift];
}

/// int8 outputs in plain Rust, whatever the order of the matrix.
fn portable_i8(layer: &PackedI8<'_>, input: &[i8], workspace: &mut Workspace, output: &mut [i8]) {
    match layer.matrix.format {
        Format { lanes: 16, .. } => linear_i8(layer, input, workspace, output, Portable::<16, true>),
        Format { lanes: 8, .. } => linear_i8(layer, input, workspace, output, Portable::<8, false>),
        _ => linear_i8(layer, input, workspace, output, Portable::<4, false>),
    }
}

/// int32 outputs in plain Rust, whatever the order of the matrix.
fn portable_i32(layer: &PackedI32<'_>, input: &[i8], workspace: &mut Workspace, output: &mut [i32]) {
    match layer.matrix.format {
        Format { lanes: 16, .. } => linear_i32(layer, input, workspace, output, Portable::<16, true>),
        Format { lanes: 8, .. } => linear_i32(layer, input, workspace, output, Portable::<8, false>),
        _ => linear_i32(layer, input, workspace, output, Portable::<4, false>),
    }
}

/// The sum of the words, in several sums that do not wait for each other.
#[inline(always)]
fn read_words(words: &[u64]) -> u64 {
    let (blocks, rest) = words.as_chunks::<64>();
    let mut sums = [0u64; 64];
    for block in blocks {
        for (sum, word) in sums.iter_mut().zip(block) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().chain(rest).fold(0, |sum: u64, word| sum.wrapping_add(*word))
}

/// Biases and shifts of some rows, in the workspace's memory.
fn finish_of(
    matrix: &PackedMatrix,
    rows: &Range<usize>,
    bias: Option<Bias<'_>>,
    workspace: &mut Workspace,
    shift: impl Fn(i32) -> i32,
) -> [Vec<i32>; 2] {
    let [mut biases, mut shifts] = core::mem::take(&mut workspace.finish);
    biases.clear();
    biases.extend(bias.iter().flat_map(|bias| bias.iter().skip(rows.start).take(rows.len())));
    biases.resize(rows.len(), 0);
    shifts.clear();
    shifts.extend(matrix.constants.iter().skip(rows.start).take(rows.len()).map(|row| shift(row.unit)));
    [biases, shifts]
}
