//! The schedule: how strongly a step may vote.

/// λ = ½(1 + cos(π·step/total)): 1 at the start, near 0 at the end.
pub fn cosine(step: u64, total: u64) -> f32 {
    let progress = step as f64 / total.max(1) as f64;
    (0.5 * (1.0 + (std::f64::consts::PI * progress).cos())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_from_one_to_zero() {
        assert_eq!(cosine(0, 100), 1.0);
        assert_eq!(cosine(50, 100), 0.5);
        assert!(cosine(99, 100) > 0.0 && cosine(99, 100) < 0.001);
        assert_eq!(cosine(100, 100), 0.0);
    }
}
