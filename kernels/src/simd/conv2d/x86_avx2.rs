//! AVX2: `vpmaddubsw` of uint8 and int8. A digit is at most 2^6, so that two products, 2·255·2^6, still fit int16.
#![allow(
    unsafe_code,
    reason = "functions of an instruction set are called where the processor has it, and vectors are loaded and stored"
)]
#![allow(clippy::needless_range_loop, reason = "places of registers, which loops over constants name")]

use super::direct::{Leaf, Tile};
use super::image::Image;
use super::portable::finish;
use super::weights::{Block, DIGIT};
use super::x86_256::leaf_256;
use crate::Outputs;
use crate::geometry::Geometry;
use core::arch::x86_64::*;

const L: usize = 8;

leaf_256!(Avx2, "avx2", dot, 5);

/// Adds the products of quads, uint8 by int8, to the sums.
#[target_feature(enable = "avx2")]
#[inline]
fn dot(sums: __m256i, input: __m256i, weights: __m256i) -> __m256i {
    let pairs = _mm256_maddubs_epi16(input, weights);
    _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
}
