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
    BATCH = "batch", grouped: false;
    /// From accumulators to activations and back: requantisation, shift norm, RMS norm.
    ACTIVATION = "activation", grouped: false;
    /// Losses and their gradients.
    LOSS = "loss", grouped: false;
    /// The scale of a layer's votes.
    SCALE = "scale" after ["vote_scale"], grouped: false;
    /// Biases: their gradient, votes, rounding to accumulator units.
    BIAS = "bias" after ["vote_scale"], grouped: false;
    /// Rule `correlation`: weights and update.
    CORRELATION = "correlation" after ["signs"], grouped: true;
    /// Rule `flip`: update.
    FLIP = "flip" after ["signs"], grouped: true;
    /// Rule `exponent`: update.
    EXPONENT = "exponent" after ["signs"], grouped: true;
    /// Rule `latent`: weights and update.
    LATENT = "latent", grouped: true;
    /// Rule `straight-through`: weights and update.
    STRAIGHT_THROUGH = "straight_through", grouped: true;
    /// Embeddings, forward and backward.
    EMBEDDING = "embedding", grouped: false;
    /// Rule `flip-correlation`: weights and update.
    FLIP_CORRELATION = "flip_correlation", grouped: true;
}
