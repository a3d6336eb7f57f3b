//! A number shown by one light.

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;

/// Milliseconds of light.
const LIGHT: u32 = 120;
/// Milliseconds of darkness between two flashes.
const DARK: u32 = 240;
/// Milliseconds of darkness after the last one.
const PAUSE: u32 = 1200;

/// Flashes `number` times, then pauses. The light is on while the pin is high.
///
/// # Errors
/// The pin's own.
pub fn blink<P: OutputPin>(light: &mut P, delay: &mut impl DelayNs, number: usize) -> Result<(), P::Error> {
    for _ in 0..number {
        light.set_high()?;
        delay.delay_ms(LIGHT);
        light.set_low()?;
        delay.delay_ms(DARK);
    }
    delay.delay_ms(PAUSE);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_hal_mock::eh1::delay::NoopDelay;
    use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};

    #[test]
    fn three_is_three_flashes() {
        let flash = [Transaction::set(State::High), Transaction::set(State::Low)];
        let mut light = Mock::new(&flash.iter().cycle().take(6).cloned().collect::<std::vec::Vec<_>>());
        blink(&mut light, &mut NoopDelay::new(), 3).unwrap();
        light.done();
    }
}
