//! How fast each board's clock ticks.

/// Hertz of SysTick on an emulated Cortex-M board; 0 for a board that is not in the list.
#[cfg(target_arch = "arm")]
pub(crate) const fn systick_hertz(board: &str) -> u32 {
    match board.as_bytes() {
        b"m3-lm3s6965evb" => 12_500_000,
        b"m0-microbit" => 16_000_000,
        b"m33-mps2-an505" => 20_000_000,
        b"m0plus-mps2-an386" | b"m4-mps2-an386" | b"m7-mps2-an500" => 25_000_000,
        b"m55-mps3-an547" => 32_000_000,
        _ => 0,
    }
}
