//! Processors with vector units.
//!
//! [`linear`] holds linear layers on packed matrices, [`conv2d`] convolutions on packed weights, [`depthwise`]
//! depthwise ones. The tables of this module are handed out by
//! [`available`](crate::available), which asks the processor first: that is what makes calling their functions sound.

/// True where the processor has the features: asked at run time with `std`, else known from the build's target, as
/// WebAssembly's always are.
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
macro_rules! has {
    ($($feature:tt),+) => {{
        #[cfg(all(feature = "std", target_arch = "x86_64"))]
        {
            $(std::arch::is_x86_feature_detected!($feature))&&+
        }
        #[cfg(all(feature = "std", target_arch = "aarch64"))]
        {
            $(std::arch::is_aarch64_feature_detected!($feature))&&+
        }
        #[cfg(any(not(feature = "std"), target_arch = "wasm32"))]
        {
            cfg!(all($(target_feature = $feature),+))
        }
    }};
}

#[cfg(all(feature = "alloc", feature = "conv2d"))]
pub mod conv2d;
#[cfg(any(feature = "depthwise-conv2d", feature = "int8-depthwise-conv2d"))]
pub mod depthwise;
#[cfg(feature = "int8-conv2d")]
mod int8_conv2d;
#[cfg(all(feature = "alloc", feature = "linear"))]
pub mod linear;
mod operators;

use crate::Kernels;

/// The tables of vector instruction sets that this processor can run, best first.
#[cfg(target_arch = "x86_64")]
pub(crate) fn tables() -> [Option<&'static Kernels>; 3] {
    [avx512_vnni(), avx_vnni(), avx2()]
}

/// The tables of vector instruction sets that this processor can run, best first.
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
pub(crate) fn tables() -> [Option<&'static Kernels>; 3] {
    [neon_i8mm(), neon_dotprod(), neon()]
}

/// The table of a build with vectors.
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
pub(crate) fn tables() -> [Option<&'static Kernels>; 1] {
    [simd128()]
}

/// None for this architecture.
#[cfg(not(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
)))]
pub(crate) const fn tables() -> [Option<&'static Kernels>; 0] {
    []
}

/// A function that gives the table, or nothing where the processor lacks a feature.
#[cfg(any(
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
macro_rules! table {
    ($function:ident, $name:literal, $module:ident, $features:literal, [$($feature:tt),+]) => {
        #[allow(unsafe_code, reason = "the table is handed out only where the processor has what its functions need")]
        #[cfg_attr(target_arch = "wasm32", allow(unused_unsafe, reason = "a module with other instructions does not load"))]
        fn $function() -> Option<&'static Kernels> {
            static TABLE: Kernels = Kernels {
                name: $name,
                // SAFETY: the table is handed out below alone, where the processor has these instructions.
                #[cfg(all(feature = "alloc", feature = "linear"))]
                packed: Some(unsafe { linear::$module::packed_kernels() }),
                ..operators::operators!($features)
            };
            has!($($feature),+).then_some(&TABLE)
        }
    };
}

#[cfg(target_arch = "x86_64")]
table!(
    avx512_vnni,
    "avx512-vnni",
    x86_avx512_vnni,
    "avx512f,avx512bw,avx512vl,avx512dq,bmi2",
    ["avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni", "bmi2", "avx2"]
);
#[cfg(target_arch = "x86_64")]
table!(avx_vnni, "avx-vnni", x86_avx_vnni, "avx2,bmi2", ["avx2", "avxvnni", "bmi2"]);
#[cfg(target_arch = "x86_64")]
table!(avx2, "avx2", x86_avx2, "avx2,bmi2", ["avx2", "bmi2"]);

#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
table!(neon_i8mm, "neon-i8mm", aarch64_neon_i8mm, "neon,dotprod,i8mm", ["neon", "dotprod", "i8mm"]);
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
table!(neon_dotprod, "neon-dotprod", aarch64_neon_dotprod, "neon,dotprod", ["neon", "dotprod"]);
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
table!(neon, "neon", aarch64_neon, "neon", ["neon"]);

#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
table!(simd128, "simd128", wasm32_simd128, "simd128", ["simd128"]);

/// Plain int8 products of the instruction set with this name, for comparisons: none where it has none, or the processor
/// lacks it.
#[cfg(all(feature = "alloc", feature = "linear"))]
#[allow(unsafe_code, reason = "kernels are handed out only where the processor has what their functions need")]
pub fn int8(name: &str) -> Option<linear::int8::Int8Kernels> {
    #[cfg(target_arch = "x86_64")]
    {
        let is = |table: Option<&Kernels>| table.is_some_and(|table| table.name == name);
        if is(avx512_vnni()) {
            // SAFETY: the processor has what this table needs, or there would be none.
            return Some(unsafe { linear::x86_avx512_vnni::int8_kernels() });
        }
        if is(avx_vnni()) {
            // SAFETY: as above.
            return Some(unsafe { linear::x86_avx_vnni::int8_kernels() });
        }
        if is(avx2()) {
            // SAFETY: as above.
            return Some(unsafe { linear::x86_avx2::int8_kernels() });
        }
    }
    let _ = name;
    None
}
