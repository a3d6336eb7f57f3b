//! The other operators: their definitions compiled for an instruction set, of which the compiler makes vectors, and some
//! that are written in another way so that it does.
//!
//! Norms, requantisation, additions, pooling and ReLU become loops over vectors; softmax and embeddings look their values up
//! one by one, and gain less.

#[cfg(feature = "add")]
use crate::add::Alignment;

/// A function of the same arguments that is compiled for the features. Where it is called, the processor has them.
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
#[allow(unused_macros, reason = "not every build has every operator")]
macro_rules! compiled {
    ($features:literal, $definition:path, $($argument:ident: $type:ty),+ $(=> $result:ty)?) => {{
        #[target_feature(enable = $features)]
        fn compiled($($argument: $type),+) $(-> $result)? {
            $definition($($argument),+)
        }
        // SAFETY: the function goes into a table that is handed out only where the processor has the features.
        |$($argument),+| unsafe { compiled($($argument),+) }
    }};
}

/// A table of operators compiled for these features; those of linear layers are the definition.
///
/// It may be handed out only where the processor has the features.
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
macro_rules! operators {
    ($features:literal) => {{
        #[allow(unused_imports, reason = "not every build has every operator")]
        use crate::simd::operators::compiled;
        crate::Kernels {
            #[cfg(feature = "shift-norm")]
            shift_norm: compiled!(
                $features, crate::shift_norm::shift_norm,
                input: &[i32], length: usize, relu: bool, output: &mut [i8]
            ),
            #[cfg(feature = "requantize")]
            requantize: compiled!(
                $features, crate::requantize::requantize,
                input: &[i32], shift: i32, relu: bool, output: &mut [i8]
            ),
            #[cfg(feature = "relu")]
            relu: compiled!($features, crate::relu::relu, input: &[i8], output: &mut [i8]),
            #[cfg(feature = "add")]
            add: compiled!(
                $features, crate::simd::operators::add,
                left: &[i8], right: &[i8], alignment: crate::add::Alignment, relu: bool, output: &mut [i8]
            ),
            #[cfg(feature = "argmax")]
            argmax_i8: compiled!(
                $features, crate::simd::operators::argmax_batch,
                input: &[i8], length: usize, output: &mut [i32]
            ),
            #[cfg(feature = "argmax")]
            argmax_i32: compiled!(
                $features, crate::simd::operators::argmax_batch,
                input: &[i32], length: usize, output: &mut [i32]
            ),
            #[cfg(feature = "rms-norm")]
            rms_norm: compiled!(
                $features, crate::rms_norm::rms_norm,
                input: &[i32], length: usize, one: i32, relu: bool, output: &mut [i8]
            ),
            #[cfg(feature = "embedding")]
            embedding_i8: compiled!(
                $features, crate::embedding::embedding_i8,
                embedding: &crate::embedding::Embedding<'_>, indices: crate::Values<'_>, output: &mut [i8]
                => Result<(), crate::embedding::OutsideTable>
            ),
            #[cfg(feature = "embedding")]
            embedding_i32: compiled!(
                $features, crate::embedding::embedding_i32,
                embedding: &crate::embedding::Embedding<'_>, indices: crate::Values<'_>, output: &mut [i32]
                => Result<(), crate::embedding::OutsideTable>
            ),
            #[cfg(feature = "softmax")]
            softmax_i8: compiled!(
                $features, crate::softmax::softmax_i8,
                input: crate::Values<'_>, length: usize, exponents: crate::softmax::Exponents, output: &mut [i8]
            ),
            #[cfg(feature = "softmax")]
            softmax_i32: compiled!(
                $features, crate::softmax::softmax_i32,
                input: crate::Values<'_>, length: usize, exponents: crate::softmax::Exponents, output: &mut [i32]
            ),
            #[cfg(feature = "relu")]
            relu_in_place: compiled!($features, crate::relu::relu_in_place, data: &mut [i8]),
            #[cfg(feature = "add")]
            add_in_place: compiled!(
                $features, crate::simd::operators::add_in_place,
                left: &mut [i8], right: &[i8], alignment: crate::add::Alignment, relu: bool
            ),
            #[cfg(feature = "depthwise-conv2d")]
            depthwise_conv2d: compiled!(
                $features, crate::simd::depthwise::depthwise_conv2d,
                layer: &crate::conv2d::Conv2d<'_>, input: &[i8], scratch: &mut [i32], output: crate::Outputs<'_>
            ),
            #[cfg(all(feature = "alloc", feature = "depthwise-conv2d"))]
            packed_depthwise_conv2d: Some(compiled!(
                $features, crate::simd::depthwise::packed_depthwise_conv2d,
                layer: &crate::simd::depthwise::PackedDepthwise<'_>, input: &[i8], output: crate::Outputs<'_>
            )),
            #[cfg(feature = "int8-linear")]
            int8_linear: compiled!(
                $features, crate::int8_linear::int8_linear,
                layer: &crate::int8_linear::Int8Linear<'_>, input: &[i8], output: crate::Outputs<'_>
            ),
            #[cfg(feature = "int8-conv2d")]
            int8_conv2d: compiled!(
                $features, crate::simd::int8_conv2d::int8_conv2d,
                layer: &crate::conv2d::Conv2d<'_, trishift_format::Int8Matrix<'_>>, input: &[i8], scratch: &mut [i32],
                output: crate::Outputs<'_>
            ),
            #[cfg(feature = "int8-depthwise-conv2d")]
            int8_depthwise_conv2d: compiled!(
                $features, crate::simd::depthwise::int8_depthwise_conv2d,
                layer: &crate::conv2d::Conv2d<'_, trishift_format::Int8Matrix<'_>>, input: &[i8], scratch: &mut [i32],
                output: crate::Outputs<'_>
            ),
            #[cfg(feature = "max-pool")]
            max_pool: compiled!(
                $features, crate::pool::max_pool,
                geometry: &crate::geometry::Geometry, input: &[i8], output: &mut [i8]
            ),
            #[cfg(feature = "avg-pool")]
            avg_pool: compiled!(
                $features, crate::pool::avg_pool,
                geometry: &crate::geometry::Geometry, shift: i32, input: &[i8], output: &mut [i8]
            ),
            #[cfg(feature = "concat")]
            concat: compiled!(
                $features, crate::rearrange::concat,
                left: &[i8], right: &[i8], channels: [usize; 2], output: &mut [i8]
            ),
            #[cfg(feature = "pad")]
            pad: compiled!(
                $features, crate::rearrange::pad,
                geometry: &crate::geometry::Geometry, input: &[i8], output: &mut [i8]
            ),
            ..crate::dispatch::DEFINITIONS
        }
    }};
}

#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
#[allow(unused_imports, reason = "not every build has every operator")]
pub(super) use {compiled, operators};

/// As [`crate::argmax::argmax_batch`]: the largest element first, then its place, both of them loops without a branch on
/// what came before.
#[cfg(feature = "argmax")]
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
pub(super) fn argmax_batch<T: Copy + Ord>(input: &[T], length: usize, output: &mut [i32]) {
    for (output, sample) in output.iter_mut().zip(input.chunks_exact(length.max(1))) {
        let largest = sample.iter().copied().max();
        *output = sample.iter().position(|value| Some(*value) == largest).unwrap_or(0) as i32;
    }
}

/// As [`crate::add::add`], in 16 bits and without a branch on the shifts.
#[cfg(feature = "add")]
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
pub(super) fn add(left: &[i8], right: &[i8], alignment: Alignment, relu: bool, output: &mut [i8]) {
    for ((output, left), right) in output.iter_mut().zip(left).zip(right) {
        *output = sum(*left, *right, alignment, relu);
    }
}

/// As [`crate::add::add_in_place`].
#[cfg(feature = "add")]
#[allow(dead_code, reason = "for tables of vector instruction sets, which not every architecture has")]
#[inline(always)]
pub(super) fn add_in_place(left: &mut [i8], right: &[i8], alignment: Alignment, relu: bool) {
    for (left, right) in left.iter_mut().zip(right) {
        *left = sum(*left, *right, alignment, relu);
    }
}

#[cfg(feature = "add")]
#[inline(always)]
fn sum(left: i8, right: i8, alignment: Alignment, relu: bool) -> i8 {
    // ⌊(v + 1)/2⌋ of v = 2·value >> shift, which is −1 or 0 from a shift of 8 on.
    let aligned = |value: i8, shift: u32| (((2 * i16::from(value)) >> shift.min(8)) + 1) >> 1;
    let sum = aligned(left, alignment.left) + aligned(right, alignment.right);
    sum.clamp(if relu { 0 } else { i16::from(i8::MIN) }, i16::from(i8::MAX)) as i8
}
