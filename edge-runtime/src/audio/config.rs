//! How samples become features: six numbers, which a model carries among its properties.

use super::{AudioError, mel};
use trishift_format::Model;

/// The numbers that define a front end. Ranges are checked by [`AudioConfig::validate`], and wherever a front end is made.
///
/// A model for it has them among its properties: [`AudioConfig::properties`] gives them to whoever writes the file,
/// [`AudioConfig::from_properties`] reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AudioConfig {
    /// Samples a second, 8000 to 16000.
    pub sample_rate: u32,
    /// Samples of a frame, 33 to 1024.
    pub window: u16,
    /// Samples from one frame to the next, 1 to `window`.
    pub hop: u16,
    /// Features of a frame, 10 to 40.
    pub bands: u8,
    /// Where the first band begins, in Hz; below `high`.
    pub low: u16,
    /// Where the last band ends, in Hz; at most half the sample rate.
    pub high: u16,
}

/// What the keys of all properties begin with.
const PREFIX: &str = "audio-";
const SAMPLE_RATE: &str = "audio-sample-rate";
const WINDOW: &str = "audio-window";
const HOP: &str = "audio-hop";
const BANDS: &str = "audio-bands";
const LOW: &str = "audio-low";
const HIGH: &str = "audio-high";

/// The keys, for a sentence.
pub(super) const KNOWN: &str = "audio-sample-rate, -window, -hop, -bands, -low and -high";

impl AudioConfig {
    /// The front end that a model's properties describe; `None` where none begins with `audio-`.
    ///
    /// # Errors
    /// [`AudioError`] where some of the properties are missing, unknown or no numbers, and as [`AudioConfig::validate`].
    pub fn from_properties(model: &Model<'_>) -> Result<Option<Self>, AudioError> {
        let mut found = false;
        for (index, (key, _)) in model.properties().enumerate() {
            if key.starts_with(PREFIX) {
                if ![SAMPLE_RATE, WINDOW, HOP, BANDS, LOW, HIGH].contains(&key) {
                    return Err(AudioError::PropertyUnknown { index });
                }
                found = true;
            }
        }
        if !found {
            return Ok(None);
        }
        let number = |key, largest| match model.properties().get(key) {
            Some(value) => decimal(value).filter(|number| *number <= largest).ok_or((key, largest)),
            None => Err((key, 0)),
        };
        let read = || {
            Ok(Self {
                sample_rate: number(SAMPLE_RATE, u32::MAX)?,
                window: number(WINDOW, u16::MAX.into())? as u16,
                hop: number(HOP, u16::MAX.into())? as u16,
                bands: number(BANDS, u8::MAX.into())? as u8,
                low: number(LOW, u16::MAX.into())? as u16,
                high: number(HIGH, u16::MAX.into())? as u16,
            })
        };
        let config: Self = read().map_err(|(key, largest)| match largest {
            0 => AudioError::PropertyMissing { key },
            _ => AudioError::PropertyValue { key, largest },
        })?;
        config.validate()?;
        Ok(Some(config))
    }

    /// The properties that describe this front end in a model file: keys, and numbers to be written in decimal digits.
    pub const fn properties(&self) -> [(&'static str, u32); 6] {
        [
            (SAMPLE_RATE, self.sample_rate),
            (WINDOW, self.window as u32),
            (HOP, self.hop as u32),
            (BANDS, self.bands as u32),
            (LOW, self.low as u32),
            (HIGH, self.high as u32),
        ]
    }

    /// Whether a front end can be made of this: every number in its range, and a bin of the transform in every band.
    ///
    /// # Errors
    /// The first [`AudioError`] met.
    pub fn validate(&self) -> Result<(), AudioError> {
        self.check_ranges()?;
        let mut coverage = mel::Coverage::default();
        mel::bins(self).for_each(|bin| coverage.add(bin));
        coverage.check(self.bands)
    }

    /// All of [`AudioConfig::validate`] but a look at every band.
    pub(super) fn check_ranges(&self) -> Result<(), AudioError> {
        let Self { sample_rate, window, hop, bands, low, high } = *self;
        if !(8_000..=16_000).contains(&sample_rate) {
            return Err(AudioError::SampleRate { found: sample_rate });
        }
        if !(33..=1024).contains(&window) {
            return Err(AudioError::Window { found: window });
        }
        if !(1..=window).contains(&hop) {
            return Err(AudioError::Hop { found: hop, window });
        }
        if !(10..=40).contains(&bands) {
            return Err(AudioError::Bands { found: bands });
        }
        if low >= high || 2 * u32::from(high) > sample_rate {
            return Err(AudioError::Frequencies { low, high, sample_rate });
        }
        Ok(())
    }

    /// N, the length of the Fourier transform: the window's, rounded up to a power of two.
    pub const fn transform_len(&self) -> usize {
        (self.window as usize).next_power_of_two()
    }
}

/// The number that these decimal digits, and nothing else, are; `None` for others and beyond 32 bits.
fn decimal(digits: &str) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.bytes().try_fold(0u32, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u32::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: AudioConfig =
        AudioConfig { sample_rate: 16_000, window: 400, hop: 160, bands: 32, low: 20, high: 7600 };

    #[test]
    fn numbers_are_decimal_digits_alone() {
        assert_eq!(["0", "00160", "4294967295"].map(decimal), [Some(0), Some(160), Some(u32::MAX)]);
        assert_eq!(["", "+1", "-1", "1.0", " 1", "0x10", "4294967296", "٣"].map(decimal), [None; 8]);
    }

    #[test]
    fn each_number_has_its_range() {
        assert_eq!(CONFIG.validate(), Ok(()));
        for (config, error) in [
            (AudioConfig { sample_rate: 7_999, ..CONFIG }, AudioError::SampleRate { found: 7_999 }),
            (AudioConfig { sample_rate: 16_001, ..CONFIG }, AudioError::SampleRate { found: 16_001 }),
            (AudioConfig { window: 32, hop: 32, ..CONFIG }, AudioError::Window { found: 32 }),
            (AudioConfig { window: 1025, ..CONFIG }, AudioError::Window { found: 1025 }),
            (AudioConfig { hop: 0, ..CONFIG }, AudioError::Hop { found: 0, window: 400 }),
            (AudioConfig { hop: 401, ..CONFIG }, AudioError::Hop { found: 401, window: 400 }),
            (AudioConfig { bands: 9, ..CONFIG }, AudioError::Bands { found: 9 }),
            (AudioConfig { bands: 41, ..CONFIG }, AudioError::Bands { found: 41 }),
            (
                AudioConfig { low: 7600, ..CONFIG },
                AudioError::Frequencies { low: 7600, high: 7600, sample_rate: 16_000 },
            ),
            (
                AudioConfig { high: 8001, ..CONFIG },
                AudioError::Frequencies { low: 20, high: 8001, sample_rate: 16_000 },
            ),
            (AudioConfig { bands: 40, window: 64, hop: 64, ..CONFIG }, AudioError::EmptyBand { band: 0, bands: 40 }),
        ] {
            assert_eq!(config.validate(), Err(error));
        }
    }

    #[test]
    fn transforms_have_a_power_of_two() {
        let lengths = [33, 64, 65, 128, 400, 512, 513, 1024];
        let transforms = lengths.map(|window| AudioConfig { window, ..CONFIG }.transform_len());
        assert_eq!(transforms, [64, 64, 128, 128, 512, 512, 1024, 1024]);
    }
}
