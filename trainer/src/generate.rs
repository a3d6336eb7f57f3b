//! Text from a byte-level model: the runtime gives the next byte's logits, one byte is drawn, the context moves on.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::collections::VecDeque;
use thiserror::Error;
use trishift::{Engine, HeapArena, Model};
use trishift_format::{DataType, InputScale};

/// Values of a byte.
const BYTES: usize = 256;

/// What stands before a prompt shorter than the model's context.
const PADDING: u8 = b'\n';

/// How bytes are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it: below 1 likelier bytes get likelier still, 0 always takes the likeliest.
    pub temperature: f64,
    /// Seed of the draws.
    pub seed: u64,
}

/// Why no text could be generated.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// Another kind of model.
    #[error("the model does not predict bytes from bytes; train one with --preset text-mlp")]
    Model,
    /// Not a temperature.
    #[error("the temperature is {temperature}; a number from 0 on is needed, such as 0.8")]
    Temperature {
        /// The value given.
        temperature: f64,
    },
    /// The runtime refused.
    #[error("the runtime refused the model: {0}")]
    Runtime(String),
    /// The text could not be handed on.
    #[error("cannot write the text")]
    Write(#[from] std::io::Error),
}

/// Generates `length` bytes after `prompt`, of which the model sees as many of the last bytes as its context has, and
/// hands each to `emit`.
///
/// # Errors
/// [`GenerateError`] where the model does not predict bytes or `emit` fails.
pub fn generate(
    model: &Model<'_>,
    prompt: &[u8],
    length: usize,
    sampling: Sampling,
    mut emit: impl FnMut(u8) -> std::io::Result<()>,
) -> Result<(), GenerateError> {
    let (input, output) = (model.input(), model.output());
    let index = InputScale { zero_mantissa: BYTES as i32 / 2, zero_exponent: 0, shift: 0 };
    if output.data_type != DataType::I32 || output.len() != BYTES || !model.input_scales().all(|scale| scale == index) {
        return Err(GenerateError::Model);
    }
    let temperature = sampling.temperature;
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(GenerateError::Temperature { temperature });
    }
    let refused = |error: &dyn std::fmt::Display| GenerateError::Runtime(error.to_string());
    let mut arena = HeapArena::new(model, 1).map_err(|error| refused(&error))?;
    let kernels = trishift::kernels::from_environment().map_err(|error| refused(&error))?;
    let mut engine = Engine::with_kernels(model, arena.bytes(), 1, kernels).map_err(|error| refused(&error))?;
    let mut generator = ChaCha8Rng::seed_from_u64(sampling.seed);
    let padding = std::iter::repeat_n(PADDING, input.len());
    let mut context: VecDeque<u8> = padding.chain(prompt.iter().copied()).collect();
    let mut logits = [0; BYTES];
    for _ in 0..length {
        context.drain(..context.len() - input.len());
        let values: Vec<i8> = context.iter().map(|byte| index.quantize_i32(i32::from(*byte))).collect();
        engine.run(&values, &mut logits).map_err(|error| refused(&error))?;
        let unit = f64::from(output.exponent).exp2();
        // The top 53 bits as a number in [0, 1).
        let draw = (generator.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let byte = choose(&logits, unit, temperature, draw);
        emit(byte)?;
        context.push_back(byte);
    }
    Ok(())
}

/// The byte at which the distribution function of softmax(logits·unit/temperature) exceeds `draw`.
fn choose(logits: &[i32; BYTES], unit: f64, temperature: f64, draw: f64) -> u8 {
    let likeliest = trishift::argmax(logits);
    if temperature == 0.0 {
        return likeliest as u8;
    }
    let largest = f64::from(logits[likeliest]);
    let weights = logits.map(|logit| ((f64::from(logit) - largest) * unit / temperature).exp());
    let mut rest = draw * weights.iter().sum::<f64>();
    for (byte, weight) in (0..=u8::MAX).zip(weights) {
        rest -= weight;
        if rest < 0.0 {
            return byte;
        }
    }
    likeliest as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_softmax() {
        let mut logits = [-1000; BYTES];
        (logits[65], logits[66]) = (10, 10);
        logits[67] = 9;
        // At a temperature of 1/ln 2 with unit 1, byte 67 is half as likely as each of the others: 2 : 2 : 1.
        let at = |draw| choose(&logits, 1.0, 1.0 / 2f64.ln(), draw);
        assert_eq!([0.01, 0.39, 0.41, 0.79, 0.81, 0.999].map(at), [65, 65, 66, 66, 67, 67]);
        assert_eq!(choose(&logits, 1.0, 0.0, 0.9), 65);
        assert_eq!(choose(&logits, 1.0, 1e-300, 0.3), 65);
    }
}
