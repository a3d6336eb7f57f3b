//! Sources of the CUDA kernels, for compilation on the machine that has the card.
//!
//! They include no headers, so that NVRTC alone is enough. [`COMMON`] goes before each of them. What depends on the group
//! size is compiled for one, `GROUP`, so that divisions by it are constant and groups stay in registers.

/// One source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// Its file's name without ending.
    pub name: &'static str,
    /// CUDA C++.
    pub text: &'static str,
    /// Whether it is compiled for one group size, by the macro `GROUP`.
    pub grouped: bool,
}

macro_rules! sources {
    ($($(#[$doc:meta])* $name:ident = $file:literal $(after [$($header:literal),*])?, grouped: $grouped:literal;)*) => {
        $($(#[$doc])*
        pub const $name: Source = Source {
            name: $file,
            // Compilers count the lines of each file for itself.
            text: concat!(
                $($("#line 1 \"", $header, ".cuh\"\n", include_str!(concat!("../cuda/", $header, ".cuh")),)*
                "#line 1 \"", $file, ".cu\"\n",)?
                include_str!(concat!("../cuda/", $file, ".cu")),
            ),
            grouped: $grouped,
        };)*

        /// Every source.
        pub const SOURCES: &[Source] = &[$($name),*];
    };
}

/// What every source begins with: types, bfloat16, packed trits.
pub const COMMON: &str = include_str!("../cuda/common.cuh");

sources! {
    /// Samples of a batch, from where they lie on the card.
    BATCH = "batch" after ["control"], grouped: false;
    /// From accumulators to activations and back: requantisation, shift norm, RMS norm.
    ACTIVATION = "activation", grouped: false;
    /// Losses and their gradients.
    LOSS = "loss", grouped: false;
    /// The scale of a layer's votes.
    SCALE = "scale" after ["vote_scale"], grouped: false;
    /// Biases: their gradient, votes, rounding to accumulator units.
    BIAS = "bias" after ["vote_scale", "rounding"], grouped: false;
    /// Votes of a shard on weights.
    VOTES = "votes", grouped: false;
    /// Votes of a shard on groups.
    SCORES = "scores" after ["signs"], grouped: true;
    /// Rule `correlation`: weights and update.
    CORRELATION = "correlation" after ["signs"], grouped: true;
    /// Rule `flip`: update.
    FLIP = "flip" after ["signs"], grouped: true;
    /// Rule `exponent`: update.
    EXPONENT = "exponent" after ["signs"], grouped: true;
    /// Rule `latent`: weights and update.
    LATENT = "latent", grouped: true;
    /// Rule `straight-through`: weights and update.
    STRAIGHT_THROUGH = "straight_through" after ["window"], grouped: true;
    /// Embeddings, forward and backward.
    EMBEDDING = "embedding", grouped: false;
    /// Forward products on Hopper's tensor cores, straight from trits.
    TENSOR_CORE = "tensor_core", grouped: true;
    /// Weights of rules with trits and integer exponents.
    EXPAND = "expand", grouped: true;
    /// Rule `flip-correlation`, and `integrating-correlation`: update.
    FLIP_CORRELATION = "flip_correlation" after ["vote_scale"], grouped: true;
    /// Images of a batch, changed on the way.
    GATHER = "gather" after ["control", "window"], grouped: false;
    /// Convolutions as products: windows to rows of a matrix and back.
    CONVOLUTION = "convolution" after ["window"], grouped: false;
    /// Depthwise convolutions, forward and backward.
    DEPTHWISE = "depthwise" after ["window"], grouped: false;
    /// Shift batch norm, and requantisation of convolutions, forward and backward.
    BATCH_NORM = "batch_norm" after ["window", "columns", "vote_scale", "rounding"], grouped: false;
    /// Pooling, forward and backward.
    POOL = "pool" after ["window"], grouped: false;
    /// Sums, lower clamps, channels side by side, other shapes, zeros around images.
    IMAGE = "image" after ["window"], grouped: false;
    /// int8 weights: weights and update.
    INT8_WEIGHTS = "int8_weights" after ["window"], grouped: false;
    /// Primitives: trits in words, five to a byte, one to a byte.
    PACK = "pack" after ["ternary"], grouped: false;
    /// Primitives: the first state, from normal numbers.
    INITIAL = "initial" after ["ternary"], grouped: false;
    /// Primitives: the same matrix in groups of another size.
    REGROUP = "regroup" after ["ternary"], grouped: false;
    /// Primitives: scales and weights.
    WEIGHTS = "weights" after ["ternary"], grouped: false;
    /// Primitives: outputs and input gradients of a linear layer.
    LINEAR = "linear" after ["ternary"], grouped: false;
    /// Primitives: votes and updates straight from gradients and inputs.
    DIRECT = "direct" after ["ternary", "update"], grouped: false;
    /// Primitives: updates by a matrix of votes.
    DENSE = "dense" after ["ternary", "update"], grouped: false;
    /// Primitives: embeddings.
    TABLE = "table" after ["ternary", "update"], grouped: false;
    /// Primitives: RMS norm with a ternary weight.
    RMS_NORM = "rms_norm" after ["ternary"], grouped: false;
}
