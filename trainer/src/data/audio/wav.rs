//! One recording in WAV: whole numbers of 8, 16, 24 or 32 bits or float32, one channel or two.
//!
//! Samples of any width are taken as numbers of 24 bits, so that nothing is lost before a recording has its final rate;
//! of two channels the mean is taken. Only what the file really holds is kept: a length that its header declares is never
//! allocated for.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use hound::{SampleFormat, WavReader};

use super::super::{DataError, RecordingFault};

/// Rates that recordings may have, in samples a second.
pub(super) const RATES: std::ops::RangeInclusive<u32> = 1_000..=192_000;

/// The magnitude of the loudest sample there can be, on the negative side.
const FULL_SCALE: f32 = (1 << 23) as f32;

/// What a file holds.
pub(super) struct Recording {
    /// Samples a second.
    pub(super) rate: u32,
    /// One channel, −2^23 to 2^23 − 1; never empty.
    pub(super) samples: Vec<i32>,
}

/// Decodes the file at `path`.
pub(super) fn decode(path: &Path) -> Result<Recording, DataError> {
    let fault = |fault| DataError::Recording { path: path.to_owned(), fault };
    let broken = |error| match error {
        hound::Error::Unsupported | hound::Error::TooWide => fault(RecordingFault::Encoding),
        source => DataError::Wav { path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(|source| DataError::Io { path: path.to_owned(), source })?;
    let mut reader = WavReader::new(BufReader::with_capacity(1 << 16, file)).map_err(broken)?;
    let spec = reader.spec();
    if !(1..=2).contains(&spec.channels) {
        return Err(fault(RecordingFault::Channels { found: spec.channels }));
    }
    if !RATES.contains(&spec.sample_rate) {
        return Err(fault(RecordingFault::Rate { found: spec.sample_rate }));
    }

    let mut values = Vec::new();
    match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Float, _) => {
            for sample in reader.samples::<f32>() {
                let sample = sample.map_err(broken)?;
                if !sample.is_finite() {
                    return Err(fault(RecordingFault::NotFinite { value: sample }));
                }
                // Saturates, as a cast of reals does; the product is exact but for its rounding.
                values.push(((sample * FULL_SCALE).round() as i32).clamp(-(1 << 23), (1 << 23) - 1));
            }
        }
        (SampleFormat::Int, bits @ (8 | 16 | 24 | 32)) => {
            for sample in reader.samples::<i32>() {
                let sample = sample.map_err(broken)?;
                values.push(match bits {
                    32 => sample >> 8,
                    _ => sample << (24 - bits),
                });
            }
        }
        (SampleFormat::Int, _) => return Err(fault(RecordingFault::Encoding)),
    }
    if spec.channels == 2 {
        let (pairs, _) = values.as_chunks::<2>();
        values = pairs.iter().map(|[left, right]| (left + right) >> 1).collect();
    }
    if values.is_empty() {
        return Err(fault(RecordingFault::Empty));
    }
    Ok(Recording { rate: spec.sample_rate, samples: values })
}

/// A file of these samples, the channels of a step side by side.
#[cfg(test)]
pub(super) fn encode<S: hound::Sample + Copy>(spec: hound::WavSpec, samples: &[S]) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
    samples.iter().for_each(|sample| writer.write_sample(*sample).unwrap());
    writer.finalize().unwrap();
    file.into_inner()
}

#[cfg(test)]
mod tests {
    use hound::WavSpec;
    use proptest::prelude::*;

    use super::*;

    fn spec(channels: u16, bits_per_sample: u16, sample_format: SampleFormat) -> WavSpec {
        WavSpec { channels, sample_rate: 8000, bits_per_sample, sample_format }
    }

    fn outcome(content: &[u8]) -> Result<Recording, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.wav");
        std::fs::write(&path, content).unwrap();
        decode(&path)
    }

    fn decoded(content: &[u8]) -> Vec<i32> {
        let recording = outcome(content).unwrap();
        assert_eq!(recording.rate, 8000);
        recording.samples
    }

    fn words() -> Vec<u8> {
        encode(spec(1, 16, SampleFormat::Int), &[0i16, 1, -1, i16::MAX, i16::MIN])
    }

    #[test]
    fn samples_of_every_width_have_one_unit() {
        assert_eq!(decoded(&words()), [0, 256, -256, 32767 << 8, -(1 << 23)]);
        let bytes = encode(spec(1, 8, SampleFormat::Int), &[0i8, 127, -128]);
        assert_eq!(decoded(&bytes), [0, 127 << 16, -(1 << 23)]);
        let deep = encode(spec(1, 24, SampleFormat::Int), &[5i32, -(1 << 23)]);
        assert_eq!(decoded(&deep), [5, -(1 << 23)]);
        let deeper = encode(spec(1, 32, SampleFormat::Int), &[0x1234_56FF, i32::MIN]);
        assert_eq!(decoded(&deeper), [0x0012_3456, -(1 << 23)]);
        let reals = encode(spec(1, 32, SampleFormat::Float), &[0.5f32, -1.0, 1.0, 1e30]);
        assert_eq!(decoded(&reals), [1 << 22, -(1 << 23), (1 << 23) - 1, (1 << 23) - 1]);
    }

    #[test]
    fn two_channels_are_averaged() {
        let stereo = encode(spec(2, 16, SampleFormat::Int), &[10i16, 20, i16::MIN, i16::MIN, 1, 0]);
        assert_eq!(decoded(&stereo), [15 << 8, -(1 << 23), 128]);
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let fault = |content: &[u8]| match outcome(content) {
            Err(DataError::Recording { fault, .. }) => fault,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("decoded"),
        };
        assert_eq!(fault(&encode::<i16>(spec(1, 16, SampleFormat::Int), &[])), RecordingFault::Empty);
        let surround = encode(spec(6, 16, SampleFormat::Int), &[0i16; 6]);
        assert_eq!(fault(&surround), RecordingFault::Channels { found: 6 });
        let slow = encode(WavSpec { sample_rate: 10, ..spec(1, 16, SampleFormat::Int) }, &[0i16]);
        assert_eq!(fault(&slow), RecordingFault::Rate { found: 10 });
        let infinite = encode(spec(1, 32, SampleFormat::Float), &[f32::INFINITY]);
        assert!(matches!(fault(&infinite), RecordingFault::NotFinite { .. }));
        let mut law = words();
        // The tag of µ-law.
        law[20] = 7;
        assert_eq!(fault(&law), RecordingFault::Encoding);
    }

    #[test]
    fn every_cut_is_noticed() {
        let file = words();
        for length in 0..file.len() {
            assert!(matches!(outcome(&file[..length]), Err(DataError::Wav { .. })), "{length}");
        }
        assert!(matches!(outcome(b"<!DOCTYPE html><html>"), Err(DataError::Wav { .. })));
        // A length beyond the end of the file.
        let mut long = words();
        long[40..44].copy_from_slice(&0xFFFF_FFF0u32.to_le_bytes());
        assert!(matches!(outcome(&long), Err(DataError::Wav { .. })));
    }

    proptest! {
        #[test]
        fn any_damage_gives_a_recording_or_an_error(
            damage in prop::collection::vec((0usize..60, any::<u8>()), 0..5),
            length in 0usize..60,
        ) {
            let mut file = words();
            for (place, value) in damage {
                file.iter_mut().skip(place).take(1).for_each(|byte| *byte = value);
            }
            file.truncate(length);
            if let Ok(recording) = outcome(&file) {
                prop_assert!(!recording.samples.is_empty() && recording.samples.len() <= file.len());
                prop_assert!(recording.samples.iter().all(|sample| (-(1 << 23)..1 << 23).contains(sample)));
            }
        }
    }
}
