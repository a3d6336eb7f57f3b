//! The filter bank: triangles that overlap by half, evenly spaced and linear on the mel scale.
//!
//! The mel scale is log(1 + f/700). A bin of frequency f lies at p = (mel f − mel low)·(bands + 1)/(mel high − mel low):
//! its whole part is a segment, 0 … bands, its fraction the weight with which the bin's power rises into the band of that
//! number; what is left of 1 falls into the band before. A bin needs one weight and one multiplication then, and each band
//! is what rises in its own segment and what falls in the next.

use super::log2::{self, FINE_BITS, TABLE_BITS, log2_by_table};
use super::{AudioConfig, AudioError};
use core::ops::Range;

/// 1 in units of the weights.
const ONE_BITS: u32 = 15;

/// Steps of an octave in a feature, as a power of two.
const FEATURE_BITS: u32 = 5;

/// The energy that is 0 as a feature: this power of two in units of a sample's square times 2^−30.
const FLOOR: i32 = 16;

/// A bin of the transform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bin {
    /// From 0 to the number of bands.
    pub(super) segment: usize,
    /// From 0 to below 2^15.
    pub(super) weight: u16,
}

/// The bins that take part: those of low ≤ f < high but for frequency 0, which no band can reach.
pub(super) const fn range(config: &AudioConfig) -> Range<usize> {
    let (length, rate) = (config.transform_len(), config.sample_rate as usize);
    // Configurations out of range are measured before they are refused.
    let rate = if rate == 0 { 1 } else { rate };
    let [first, end] = [(config.low as usize * length).div_ceil(rate), (config.high as usize * length).div_ceil(rate)];
    let first = if first == 0 { 1 } else { first };
    first..if end < first { first } else { end }
}

/// The bins that take part, by their frequencies; none of a configuration whose ranges are not right.
pub(super) fn bins(config: &AudioConfig) -> impl Iterator<Item = Bin> + use<> {
    let (length, rate) = (config.transform_len() as u32, config.sample_rate);
    // 700 + f in units of rate/N is at most 1024·8700.
    let mel = move |frequency_by_length: u32| log2::log2(700 * length + frequency_by_length);
    let low = mel(u32::from(config.low) * length);
    let span = u64::from(mel(u32::from(config.high) * length) - low).max(1);
    let segments = u64::from(config.bands) + 1;
    range(config).map(move |bin| {
        let distance = u64::from(mel(bin as u32 * rate) - low);
        let position = ((distance * segments) << ONE_BITS) / span;
        Bin { segment: (position >> ONE_BITS) as usize, weight: position as u16 & ((1 << ONE_BITS) - 1) }
    })
}

/// Which bands have a bin with a weight above 0.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Coverage(u64);

impl Coverage {
    pub(super) fn add(&mut self, bin: Bin) {
        // Bit b + 1 is band b: what falls in segment 0 belongs to none. There are 40 bands at most.
        self.0 |= (u64::from(bin.weight > 0) << 1 | 1) << (bin.segment & 63);
    }

    pub(super) fn check(self, bands: u8) -> Result<(), AudioError> {
        let band = (self.0 >> 1).trailing_ones();
        if band < u32::from(bands) { Err(AudioError::EmptyBand { band: band as u8, bands }) } else { Ok(()) }
    }
}

/// The weights of all bins, and how many bins each segment has.
#[derive(Debug)]
pub(super) struct FilterBank<'m> {
    pub(super) first: u32,
    pub(super) weights: &'m [u16],
    pub(super) counts: &'m [u16],
}

impl<'m> FilterBank<'m> {
    /// The filter bank of a configuration whose ranges are right, in memory of as many weights as bins take part and as
    /// many counts as there are segments.
    ///
    /// # Errors
    /// [`AudioError::EmptyBand`].
    pub(super) fn new(config: &AudioConfig, weights: &'m mut [u16], counts: &'m mut [u16]) -> Result<Self, AudioError> {
        counts.fill(0);
        let mut coverage = Coverage::default();
        for (bin, weight) in bins(config).zip(&mut *weights) {
            coverage.add(bin);
            *weight = bin.weight;
            if let Some(count) = counts.get_mut(bin.segment) {
                *count += 1;
            }
        }
        coverage.check(config.bands)?;
        Ok(Self { first: range(config).start as u32, weights, counts })
    }

    /// The features of a frame: `powers` in bit-reversed order, in units of 2^`exponent` for their roots.
    pub(super) fn features(&self, powers: &[u32], exponent: u32, features: &mut [u16]) {
        let bits = powers.len().trailing_zeros();
        // From the transform's units to those of `FLOOR`: weights have 15 bits, a tone's amplitude is multiplied by M/2.
        let octaves = 2 * (exponent as i32 - bits as i32) - ONE_BITS as i32 - FLOOR;
        let (mut bin, mut weights) = (self.first, self.weights);
        let mut segment = |count: u16| {
            let (mut all, mut rising) = (0u64, 0u64);
            let (these, rest) = weights.split_at_checked(count.into()).unwrap_or_default();
            for weight in these {
                let position = bin.reverse_bits() >> ((32 - bits) & 31);
                let power = powers.get(position as usize).copied().unwrap_or(0);
                all += u64::from(power);
                rising += product(power, *weight);
                bin += 1;
            }
            weights = rest;
            (rising, (all << ONE_BITS) - rising)
        };
        let Some((first, counts)) = self.counts.split_first() else { return };
        let (mut rising, _) = segment(*first);
        for (feature, count) in features.iter_mut().zip(counts) {
            let (next, falling) = segment(*count);
            *feature = level(rising + falling, octaves);
            rising = next;
        }
    }
}

/// 31 bits times 15 by two multiplications of 16 bits: a core without a longer one would call a function.
#[inline(always)]
fn product(power: u32, weight: u16) -> u64 {
    let weight = u32::from(weight);
    (u64::from((power >> 16) * weight) << 16) + u64::from((power & 0xFFFF) * weight)
}

/// An energy of the given unit as a feature, in steps of 1/32 octave; what lies below the floor is 0.
#[inline]
fn level(energy: u64, octaves: i32) -> u16 {
    if energy == 0 {
        return 0;
    }
    const DOWN: u32 = TABLE_BITS - FEATURE_BITS;
    let log = log2_by_table(energy) as i32 + (octaves << TABLE_BITS);
    ((log.max(0) + (1 << (DOWN - 1))) >> DOWN) as u16
}

const _: () = assert!(FINE_BITS > ONE_BITS, "weights are computed from finer logarithms");
