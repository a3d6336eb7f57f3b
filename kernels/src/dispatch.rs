//! Where instruction sets plug in: a table of functions, chosen once when an engine is made.
//!
//! A new instruction set is one file with functions of these signatures, one [`Kernels`] table, and its place in
//! [`available`], best first.

#[cfg(feature = "embedding")]
use crate::embedding::{Embedding, OutsideTable};
use crate::geometry::Geometry;

/// Scratch that linear layers need, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scratch {
    /// Tables of a layer with few rows.
    pub few: usize,
    /// Tables of a layer with many rows.
    pub many: usize,
    /// The least number of rows that are many.
    pub from: usize,
    /// For each row of a layer with int8 outputs.
    pub row: usize,
    /// True where convolutions take scratch: what tiles of their input and lists of their weights need.
    pub tiles: bool,
}

/// How cores without vector unit run a convolution of all channels.
#[cfg(feature = "conv2d")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvolutionWay {
    /// By the definition.
    Definition,
    /// As a linear layer on every window, whose elements lie side by side.
    Linear,
    /// The same on windows that are gathered first.
    Gathered,
    /// On tiles of [`Scratch::TILE`] windows.
    Tiles,
}

// Inlined, so that a build without scratch counts none, and links nothing that counts it.
impl Scratch {
    /// Kernels that need none.
    pub const NONE: Self = Self { few: 0, many: 0, from: 0, row: 0, tiles: false };

    /// For tables of a layer with so many rows.
    #[inline(always)]
    pub const fn tables(&self, rows: usize) -> usize {
        if rows < self.from { self.few } else { self.many }
    }

    /// Windows that convolutions take at once.
    #[cfg(feature = "conv2d")]
    pub const TILE: usize = crate::small_core::LANES;

    /// Bytes of lists that convolutions make at a time, where one row's do not take more.
    #[cfg(feature = "conv2d")]
    pub const LISTS: usize = crate::small_core::LIST_WORDS * size_of::<i32>();

    /// How a convolution of these sizes is run whose matrix has so many rows.
    #[cfg(feature = "conv2d")]
    #[inline(always)]
    pub const fn way(&self, geometry: &Geometry, rows: usize) -> ConvolutionWay {
        if !self.tiles {
            ConvolutionWay::Definition
        } else if crate::small_core::is_linear(geometry, rows) {
            ConvolutionWay::Linear
        } else if crate::small_core::is_gathered(geometry) {
            ConvolutionWay::Gathered
        } else if crate::small_core::has_too_many(crate::small_core::window_elements(geometry)) {
            ConvolutionWay::Definition
        } else {
            ConvolutionWay::Tiles
        }
    }

    /// For a convolution of these sizes whose matrix has so many rows and columns; saturating.
    #[inline(always)]
    pub const fn conv2d(&self, geometry: &Geometry, rows: usize, columns: usize) -> usize {
        #[cfg(feature = "conv2d")]
        match self.way(geometry, rows) {
            ConvolutionWay::Definition => {}
            ConvolutionWay::Linear => return self.bytes(rows, false),
            ConvolutionWay::Gathered => {
                let window = crate::small_core::window_elements(geometry).next_multiple_of(size_of::<i32>());
                return self.bytes(rows, false).saturating_add(window);
            }
            ConvolutionWay::Tiles => return crate::small_core::conv2d_scratch(geometry, rows, columns, false),
        }
        let _ = (geometry, rows, columns);
        0
    }

    /// For a depthwise convolution of these sizes: a plane of its input, too, where the output takes the input's place;
    /// saturating.
    #[inline(always)]
    pub const fn depthwise_conv2d(&self, geometry: &Geometry, in_place: bool) -> usize {
        #[cfg(feature = "conv2d")]
        if self.tiles {
            return crate::small_core::depthwise_scratch(geometry, in_place, false);
        }
        if in_place { geometry.plane_words().saturating_mul(size_of::<i32>()) } else { 0 }
    }

    /// For a convolution of these sizes with int8 weights, so many rows and columns of them; saturating.
    #[inline(always)]
    pub const fn int8_conv2d(&self, geometry: &Geometry, rows: usize, columns: usize) -> usize {
        #[cfg(feature = "conv2d")]
        if self.tiles {
            return crate::small_core::conv2d_scratch(geometry, rows, columns, true);
        }
        let _ = (geometry, rows, columns);
        0
    }

    /// For a depthwise convolution of these sizes with int8 weights; saturating.
    #[inline(always)]
    pub const fn int8_depthwise_conv2d(&self, geometry: &Geometry) -> usize {
        #[cfg(feature = "conv2d")]
        if self.tiles {
            return crate::small_core::depthwise_scratch(geometry, false, true);
        }
        let _ = geometry;
        0
    }

    /// For a layer with so many rows, of int32 outputs or of int8 ones; saturating.
    #[inline(always)]
    pub const fn bytes(&self, rows: usize, int32: bool) -> usize {
        let rows_bytes = if int32 { 0 } else { rows.saturating_mul(self.row) };
        self.tables(rows).saturating_add(rows_bytes)
    }
}

/// One implementation of every operator.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Kernels {
    /// Name of the instruction set, as reports and the command line use it.
    pub name: &'static str,
    /// See [`crate::linear::linear_i8`].
    #[cfg(feature = "linear")]
    pub linear_i8: fn(&crate::linear::LinearI8<'_>, &[i8], &mut [i32], &mut [i8]),
    /// See [`crate::linear::linear_i32`].
    #[cfg(feature = "linear")]
    pub linear_i32: fn(&crate::linear::LinearI32<'_>, &[i8], &mut [i32], &mut [i32]),
    /// The name of the kernel that runs a linear layer with this matrix.
    #[cfg(feature = "linear")]
    pub linear_name: fn(&trishift_format::TernaryMatrix<'_>) -> &'static str,
    /// Linear layers on matrices that are packed when they are loaded, where the instruction set has any; the functions
    /// above read the file's own order.
    #[cfg(all(feature = "alloc", feature = "linear", not(small_core)))]
    pub packed: Option<crate::simd::linear::PackedKernels>,
    /// Scratch of the linear layers: their third argument.
    pub scratch: Scratch,
    /// See [`crate::shift_norm::shift_norm`].
    #[cfg(feature = "shift-norm")]
    pub shift_norm: fn(&[i32], usize, bool, &mut [i8]),
    /// See [`crate::requantize::requantize`].
    #[cfg(feature = "requantize")]
    pub requantize: fn(&[i32], i32, bool, &mut [i8]),
    /// See [`crate::relu::relu`].
    #[cfg(feature = "relu")]
    pub relu: fn(&[i8], &mut [i8]),
    /// See [`crate::add::add`].
    #[cfg(feature = "add")]
    pub add: fn(&[i8], &[i8], crate::add::Alignment, bool, &mut [i8]),
    /// See [`crate::argmax::argmax_batch`].
    #[cfg(feature = "argmax")]
    pub argmax_i8: fn(&[i8], usize, &mut [i32]),
    /// See [`crate::argmax::argmax_batch`].
    #[cfg(feature = "argmax")]
    pub argmax_i32: fn(&[i32], usize, &mut [i32]),
    /// See [`crate::rms_norm::rms_norm`].
    #[cfg(feature = "rms-norm")]
    pub rms_norm: fn(&[i32], usize, i32, bool, &mut [i8]),
    /// See [`crate::embedding::embedding_i8`].
    #[cfg(feature = "embedding")]
    pub embedding_i8: fn(&Embedding<'_>, crate::Values<'_>, &mut [i8]) -> Result<(), OutsideTable>,
    /// See [`crate::embedding::embedding_i32`].
    #[cfg(feature = "embedding")]
    pub embedding_i32: fn(&Embedding<'_>, crate::Values<'_>, &mut [i32]) -> Result<(), OutsideTable>,
    /// See [`crate::softmax::softmax_i8`].
    #[cfg(feature = "softmax")]
    pub softmax_i8: fn(crate::Values<'_>, usize, crate::softmax::Exponents, &mut [i8]),
    /// See [`crate::softmax::softmax_i32`].
    #[cfg(feature = "softmax")]
    pub softmax_i32: fn(crate::Values<'_>, usize, crate::softmax::Exponents, &mut [i32]),
    /// See [`crate::relu::relu_in_place`].
    #[cfg(feature = "relu")]
    pub relu_in_place: fn(&mut [i8]),
    /// See [`crate::add::add_in_place`].
    #[cfg(feature = "add")]
    pub add_in_place: fn(&mut [i8], &[i8], crate::add::Alignment, bool),
    /// See [`crate::conv2d::conv2d`]; the third argument is scratch.
    #[cfg(feature = "conv2d")]
    pub conv2d: fn(&crate::conv2d::Conv2d<'_>, &[i8], &mut [i32], crate::Outputs<'_>),
    /// See [`crate::conv2d::depthwise_conv2d`]; the third argument is scratch.
    #[cfg(feature = "depthwise-conv2d")]
    pub depthwise_conv2d: fn(&crate::conv2d::Conv2d<'_>, &[i8], &mut [i32], crate::Outputs<'_>),
    /// The same on weights that are unpacked when they are loaded, where the instruction set has vectors.
    #[cfg(all(feature = "alloc", feature = "depthwise-conv2d", not(small_core)))]
    pub packed_depthwise_conv2d: Option<fn(&crate::simd::depthwise::PackedDepthwise<'_>, &[i8], crate::Outputs<'_>)>,
    /// See [`crate::conv2d::depthwise_conv2d_in_place`].
    #[cfg(feature = "depthwise-conv2d")]
    pub depthwise_conv2d_in_place: fn(&crate::conv2d::Conv2d<'_>, &mut [i32], &mut [i8]),
    /// See [`crate::int8_linear::int8_linear`].
    #[cfg(feature = "int8-linear")]
    pub int8_linear: fn(&crate::int8_linear::Int8Linear<'_>, &[i8], crate::Outputs<'_>),
    /// See [`crate::conv2d::int8_conv2d`]; the third argument is scratch.
    #[cfg(feature = "int8-conv2d")]
    pub int8_conv2d:
        fn(&crate::conv2d::Conv2d<'_, trishift_format::Int8Matrix<'_>>, &[i8], &mut [i32], crate::Outputs<'_>),
    /// See [`crate::conv2d::int8_depthwise_conv2d`]; the third argument is scratch.
    #[cfg(feature = "int8-depthwise-conv2d")]
    pub int8_depthwise_conv2d:
        fn(&crate::conv2d::Conv2d<'_, trishift_format::Int8Matrix<'_>>, &[i8], &mut [i32], crate::Outputs<'_>),
    /// See [`crate::pool::max_pool`].
    #[cfg(feature = "max-pool")]
    pub max_pool: fn(&crate::geometry::Geometry, &[i8], &mut [i8]),
    /// See [`crate::pool::avg_pool`].
    #[cfg(feature = "avg-pool")]
    pub avg_pool: fn(&crate::geometry::Geometry, i32, &[i8], &mut [i8]),
    /// See [`crate::rearrange::concat`].
    #[cfg(feature = "concat")]
    #[allow(clippy::type_complexity, reason = "operands and how many channels each has")]
    pub concat: fn(&[i8], &[i8], [usize; 2], &mut [i8]),
    /// See [`crate::rearrange::pad`].
    #[cfg(feature = "pad")]
    pub pad: fn(&crate::geometry::Geometry, &[i8], &mut [i8]),
}

/// The kernels of a processor without vector unit; those of this one, where it is one that they were made for.
#[cfg(all(small_core, feature = "linear"))]
static CORE: Kernels = for_small_cores::<crate::small_core::Core>();

/// The kernels of small cores in plain Rust: what their instruction sets do, for tests on any machine.
#[cfg(feature = "linear")]
pub static PORTABLE: Kernels = for_small_cores::<crate::small_core::Portable>();

/// The definitions, but for linear layers.
#[cfg(feature = "linear")]
const fn for_small_cores<F: crate::small_core::Family>() -> Kernels {
    Kernels {
        name: F::NAME,
        linear_i8: crate::small_core::linear_i8::<F>,
        linear_i32: crate::small_core::linear_i32::<F>,
        linear_name: crate::small_core::name_of::<F>,
        scratch: F::SCRATCH,
        #[cfg(feature = "conv2d")]
        conv2d: crate::small_core::conv2d::<F>,
        #[cfg(feature = "depthwise-conv2d")]
        depthwise_conv2d: crate::small_core::depthwise_conv2d::<F>,
        #[cfg(feature = "depthwise-conv2d")]
        depthwise_conv2d_in_place: crate::small_core::depthwise_conv2d_in_place::<F>,
        #[cfg(feature = "int8-conv2d")]
        int8_conv2d: crate::small_core::int8_conv2d::<F>,
        #[cfg(feature = "int8-depthwise-conv2d")]
        int8_depthwise_conv2d: crate::small_core::int8_depthwise_conv2d::<F>,
        ..DEFINITIONS
    }
}

/// The definitions.
pub static SCALAR: Kernels = DEFINITIONS;

pub(crate) const DEFINITIONS: Kernels = Kernels {
    name: "scalar",
    #[cfg(feature = "linear")]
    linear_i8: |layer, input, _, output| crate::linear::linear_i8(layer, input, output),
    #[cfg(feature = "linear")]
    linear_i32: |layer, input, _, output| crate::linear::linear_i32(layer, input, output),
    #[cfg(feature = "linear")]
    linear_name: |_| "scalar",
    #[cfg(all(feature = "alloc", feature = "linear", not(small_core)))]
    packed: None,
    scratch: Scratch::NONE,
    #[cfg(feature = "shift-norm")]
    shift_norm: crate::shift_norm::shift_norm,
    #[cfg(feature = "requantize")]
    requantize: crate::requantize::requantize,
    #[cfg(feature = "relu")]
    relu: crate::relu::relu,
    #[cfg(feature = "add")]
    add: crate::add::add,
    #[cfg(feature = "argmax")]
    argmax_i8: crate::argmax::argmax_batch,
    #[cfg(feature = "argmax")]
    argmax_i32: crate::argmax::argmax_batch,
    #[cfg(feature = "rms-norm")]
    rms_norm: crate::rms_norm::rms_norm,
    #[cfg(feature = "embedding")]
    embedding_i8: crate::embedding::embedding_i8,
    #[cfg(feature = "embedding")]
    embedding_i32: crate::embedding::embedding_i32,
    #[cfg(feature = "softmax")]
    softmax_i8: crate::softmax::softmax_i8,
    #[cfg(feature = "softmax")]
    softmax_i32: crate::softmax::softmax_i32,
    #[cfg(feature = "relu")]
    relu_in_place: crate::relu::relu_in_place,
    #[cfg(feature = "add")]
    add_in_place: crate::add::add_in_place,
    #[cfg(feature = "conv2d")]
    conv2d: |layer, input, _, output| crate::conv2d::conv2d(layer, input, output),
    #[cfg(feature = "depthwise-conv2d")]
    depthwise_conv2d: |layer, input, _, output| crate::conv2d::depthwise_conv2d(layer, input, output),
    #[cfg(all(feature = "alloc", feature = "depthwise-conv2d", not(small_core)))]
    packed_depthwise_conv2d: None,
    #[cfg(feature = "depthwise-conv2d")]
    depthwise_conv2d_in_place: crate::conv2d::depthwise_conv2d_in_place,
    #[cfg(feature = "int8-linear")]
    int8_linear: crate::int8_linear::int8_linear,
    #[cfg(feature = "int8-conv2d")]
    int8_conv2d: |layer, input, _, output| crate::conv2d::int8_conv2d(layer, input, output),
    #[cfg(feature = "int8-depthwise-conv2d")]
    int8_depthwise_conv2d: |layer, input, _, output| crate::conv2d::int8_depthwise_conv2d(layer, input, output),
    #[cfg(feature = "max-pool")]
    max_pool: crate::pool::max_pool,
    #[cfg(feature = "avg-pool")]
    avg_pool: crate::pool::avg_pool,
    #[cfg(feature = "concat")]
    concat: crate::rearrange::concat,
    #[cfg(feature = "pad")]
    pad: crate::rearrange::pad,
};

/// The most scratch that any of this machine's tables needs, in constants too.
pub const SCRATCH: Scratch = {
    #[cfg(all(small_core, feature = "linear"))]
    {
        <crate::small_core::Core as crate::small_core::Family>::SCRATCH
    }
    #[cfg(not(all(small_core, feature = "linear")))]
    {
        Scratch::NONE
    }
};

/// The tables that this machine can run, best first; the last one is [`SCALAR`].
///
/// With the feature `std` the processor is asked what it has; without, only what the build is for counts.
pub fn available() -> impl Iterator<Item = &'static Kernels> {
    #[cfg(all(small_core, feature = "linear"))]
    let tables = [Some(&CORE)];
    #[cfg(not(all(small_core, feature = "linear")))]
    let tables = crate::simd::tables();
    tables.into_iter().flatten().chain([&SCALAR])
}

/// The best table that this machine can run.
pub fn best() -> &'static Kernels {
    available().next().unwrap_or(&SCALAR)
}

/// The variable of the environment that [`from_environment`] reads.
#[cfg(feature = "std")]
pub const VARIABLE: &str = "TRISHIFT_ISA";

/// An instruction set was asked for that is not known or that this machine has not got.
#[cfg(feature = "std")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The name asked for.
    pub name: alloc::string::String,
}

#[cfg(feature = "std")]
impl core::fmt::Display for Unavailable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "this machine cannot run the instruction set '{}'; it has", self.name)?;
        for (index, kernels) in available().enumerate() {
            write!(f, "{} {}", if index == 0 { "" } else { "," }, kernels.name)?;
        }
        Ok(())
    }
}

#[cfg(feature = "std")]
impl core::error::Error for Unavailable {}

/// The table of this name.
///
/// # Errors
/// [`Unavailable`] for a name that this machine has no table of; it says which ones there are.
#[cfg(feature = "std")]
pub fn select(name: &str) -> Result<&'static Kernels, Unavailable> {
    by_name(name).ok_or_else(|| Unavailable { name: name.into() })
}

/// The table that the variable `TRISHIFT_ISA` names; the best one where it is not set or empty.
///
/// # Errors
/// As [`select`].
#[cfg(feature = "std")]
pub fn from_environment() -> Result<&'static Kernels, Unavailable> {
    match std::env::var_os(VARIABLE) {
        Some(name) if !name.is_empty() => select(&name.to_string_lossy()),
        _ => Ok(best()),
    }
}

/// The table of this name, if this machine can run it.
pub fn by_name(name: &str) -> Option<&'static Kernels> {
    available().find(|kernels| kernels.name == name)
}
