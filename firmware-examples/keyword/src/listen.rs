//! The application as a program of its own: sets microphone and model up, and listens for ever.

use crate::{Found, Spotter, SpotterMemory};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;
use embedded_io::Read;
use firmware::{Refusal, blink};

/// What the board has for the application.
#[derive(Debug)]
pub struct Hardware<Microphone, Light, Delay> {
    /// Gives samples of 16 bits, little-endian, at the model's rate.
    pub microphone: Microphone,
    /// On while its pin is high.
    pub light: Light,
    /// Waits while a refusal is shown.
    pub delay: Delay,
}

/// Listens. The light is on from a detection until the word has gone; without a model that can run, it flashes the refusal's
/// code. With the feature `defmt`, every detection is logged with its time.
pub fn listen<const CLASSES: usize, const RUNS: usize>(
    file: &[u8],
    memory: SpotterMemory<'_>,
    hardware: Hardware<impl Read, impl OutputPin, impl DelayNs>,
) -> ! {
    let Hardware { microphone, mut light, mut delay } = hardware;
    let refusal = match Spotter::<_, _, CLASSES, RUNS>::new(file, memory, microphone, &mut light) {
        Ok(mut spotter) => loop {
            match spotter.step() {
                Ok(Found::Frame | Found::Nothing) => {}
                Ok(Found::Class { class: _class, milliseconds: _milliseconds, .. }) => {
                    #[cfg(feature = "defmt")]
                    {
                        let label = spotter.listener().model().labels().nth(_class).unwrap_or("?");
                        defmt::info!("{=str} at {=u64} ms", label, _milliseconds);
                    }
                }
                Err(_) => {
                    #[cfg(feature = "defmt")]
                    defmt::warn!("a hop was lost: the microphone or the light failed");
                }
            }
        },
        Err(refusal) => refusal,
    };
    show(refusal, &mut light, &mut delay)
}

fn show(refusal: Refusal, light: &mut impl OutputPin, delay: &mut impl DelayNs) -> ! {
    loop {
        #[cfg(feature = "defmt")]
        defmt::error!("{=str} (code {=u8})", refusal.sentence(), refusal.code());
        // A light that fails leaves the log.
        let _ = blink(light, delay, refusal.code().into());
    }
}
