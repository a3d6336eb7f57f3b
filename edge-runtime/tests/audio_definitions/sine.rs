//! Sine and cosine by their series: those of a C library are not to be had on every emulated processor.

/// Of an angle in turns, each within 2^−50.
pub(crate) fn sin_cos(turns: f64) -> (f64, f64) {
    // An eighth of a turn at most on either side of the nearest quarter.
    let quarters = (turns * 4.0).round();
    let x = (turns - quarters / 4.0) * std::f64::consts::TAU;
    let (mut term, mut sin, mut cos) = (1.0, 0.0, 1.0);
    for n in 1..20u32 {
        term *= x / f64::from(n);
        let signed = if n % 4 < 2 { term } else { -term };
        if n % 2 == 0 { cos += signed } else { sin += signed }
    }
    match (quarters as i64).rem_euclid(4) {
        0 => (sin, cos),
        1 => (cos, -sin),
        2 => (-sin, -cos),
        _ => (-cos, sin),
    }
}

/// The sine of an angle in turns.
pub(crate) fn sin(turns: f64) -> f64 {
    sin_cos(turns).0
}
