//! AVX-VNNI: `vpdpbusd` without AVX-512.
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

leaf_256!(AvxVnni, "avx2,avxvnni", dot, 6);

/// Adds the products of quads, uint8 by int8, to the sums.
#[target_feature(enable = "avx2,avxvnni")]
#[inline]
fn dot(sums: __m256i, input: __m256i, weights: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(sums, input, weights)
}
