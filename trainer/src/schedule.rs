//! The schedule: how strongly a step may vote.

/// λ of the update `step`, counted from 0, of a run of `total`.
///
/// The first `warm_up` updates rise evenly, (step + 1)/(warm_up + 1); the others fall as [`cosine`], from 1 on.
pub fn lambda(step: u64, warm_up: u64, total: u64) -> f32 {
    match step.checked_sub(warm_up) {
        None => ((step + 1) as f64 / (warm_up + 1) as f64) as f32,
        Some(step) => cosine(step, total.saturating_sub(warm_up)),
    }
}

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

    #[test]
    fn rises_before_it_falls() {
        let found = [0, 1, 2, 3, 53, 103].map(|step| lambda(step, 3, 103));
        assert_eq!(found, [0.25, 0.5, 0.75, 1.0, 0.5, 0.0]);
        assert!((0..=100).all(|step| lambda(step, 0, 100) == cosine(step, 100)));
    }
}
