//! What votes do to the state. One file a rule; the arithmetic is on whole numbers, and every end saturates.
//!
//! All take the votes as they stand, T and E as they were before the update.

mod correlation;
mod exponents;
mod flips;

pub use flips::FlipThreshold;

/// Within int8.
fn clamp8(value: i64) -> i8 {
    value.clamp(i64::from(i8::MIN), i64::from(i8::MAX)) as i8
}

/// The accumulators, made of zeros where there are none.
fn accumulators(accumulators: &mut Option<Vec<i8>>, count: usize) -> &mut Vec<i8> {
    accumulators.get_or_insert_with(|| vec![0; count])
}
