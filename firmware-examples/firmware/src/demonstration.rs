//! What a board with one light shows: the classes of samples, or why there are none.

use crate::{Classifier, blink};
use embedded_hal::delay::DelayNs;
use embedded_hal::digital::OutputPin;

/// Classifies the samples, for ever, and flashes the light once more than each one's class. A model that is refused
/// flashes its refusal's code instead. With the feature `defmt`, both are logged.
///
/// `samples` are int8, [samples, inputs].
pub fn demonstrate<const INPUTS: usize, const OUTPUTS: usize>(
    file: &[u8],
    arena: &mut [u8],
    samples: &[u8],
    light: &mut impl OutputPin,
    delay: &mut impl DelayNs,
) -> ! {
    let mut classifier = match Classifier::<OUTPUTS>::new(file, arena) {
        Ok(classifier) => classifier,
        Err(refusal) => loop {
            #[cfg(feature = "defmt")]
            defmt::error!("{=str} (code {=u8})", refusal.sentence(), refusal.code());
            // A light that fails leaves the log.
            let _ = blink(light, delay, refusal.code().into());
        },
    };
    #[cfg(feature = "defmt")]
    defmt::info!("model {=str}: {=usize} bytes", classifier.model().name(), file.len());
    let (samples, _) = samples.as_chunks::<INPUTS>();
    loop {
        for sample in samples {
            match classifier.classify(&sample.map(u8::cast_signed)) {
                Ok(class) => {
                    #[cfg(feature = "defmt")]
                    defmt::info!("class {=usize}", class);
                    let _ = blink(light, delay, class + 1);
                }
                Err(_error) => {
                    #[cfg(feature = "defmt")]
                    defmt::error!("the sample does not run: {}", _error);
                    delay.delay_ms(1000);
                }
            }
        }
    }
}
