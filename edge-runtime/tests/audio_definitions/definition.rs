//! The definition of `docs/audio.md`, step by step: no table, no order of bits, no care for time.

use super::sine::sin_cos;
use trishift::audio::AudioConfig;

/// Features of a recording, [frames, bands].
pub(crate) fn features(samples: &[i16], config: &AudioConfig) -> Vec<u16> {
    let window = window(config.window.into());
    let bins = filters(config);
    let hop = usize::from(config.hop);
    let mut features = Vec::new();
    for frame in 1..=samples.len() / hop {
        let end = frame * hop;
        let sample = |n: usize| (end + n).checked_sub(window.len()).map_or(0, |n| i64::from(samples[n]));
        let products: Vec<i64> = window.iter().enumerate().map(|(n, weight)| sample(n) * weight).collect();
        features.extend(of_frame(&products, &bins, config));
    }
    features
}

/// 2^14·cos(2π·numerator/denominator), rounded.
fn cosine(numerator: i64, denominator: i64) -> i64 {
    let (_, cos) = sin_cos(numerator.rem_euclid(denominator) as f64 / denominator as f64);
    (16_384.0 * cos).round() as i64
}

fn window(length: i64) -> Vec<i64> {
    (0..length)
        .map(|n| {
            let angle = (2 * n + 1) * 32_768 / length;
            let (step, place) = (angle / 64, angle % 64);
            let cosine = cosine(step, 1024) * (64 - place) + cosine(step + 1, 1024) * place;
            (32_767 * ((1 << 20) - cosine) + (1 << 20)) >> 21
        })
        .collect()
}

/// ⌊2^24·log₂ x⌋, by squaring.
fn log2(x: i128) -> i128 {
    let whole = x.ilog2();
    let (mut mantissa, mut log) = (x << (31 - whole), i128::from(whole));
    for _ in 0..24 {
        mantissa = (mantissa * mantissa) >> 31;
        log *= 2;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            log += 1;
        }
    }
    log
}

/// For each bin its segment and weight; `None` for one that takes no part.
fn filters(config: &AudioConfig) -> Vec<Option<(usize, i128)>> {
    let length = i128::from(config.window).unsigned_abs().next_power_of_two() as i128;
    let mel = |frequency_by_length: i128| log2(700 * length + frequency_by_length);
    let [low, high] = [config.low, config.high].map(|frequency| i128::from(frequency) * length);
    (0..length / 2)
        .map(|bin| {
            let frequency = bin * i128::from(config.sample_rate);
            (bin > 0 && low <= frequency && frequency < high).then(|| {
                let position =
                    (((mel(frequency) - mel(low)) * i128::from(config.bands + 1)) << 15) / (mel(high) - mel(low));
                ((position >> 15) as usize, position & 32_767)
            })
        })
        .collect()
}

type Complex = [i64; 2];

fn times([a, b]: Complex, [c, d]: Complex) -> Complex {
    [a * c - b * d, a * d + b * c]
}

/// The transform of every sequence, and the bits that were shifted away.
fn transform(values: &[Complex]) -> (Vec<Complex>, u32) {
    let total = values.len();
    // transforms[r] is that of the elements r, r + total/L, r + 2·total/L, …
    let mut transforms: Vec<Vec<Complex>> = values.iter().map(|value| vec![*value]).collect();
    let mut exponent = 0;
    while transforms.len() > 1 {
        let length = transforms[0].len();
        let first = length == 1;
        let radix = if first && total.ilog2() % 2 == 1 { 2 } else { 4 };
        let largest = transforms.iter().flatten().flatten().map(|x| if *x < 0 { -1 - x } else { *x }).max().unwrap();
        let shift = match largest {
            _ if first => u32::ilog2(radix as u32),
            ..4096 => 0,
            4096..8192 => 1,
            _ => 2,
        };
        exponent += shift;
        let apart = transforms.len() / radix;
        transforms = (0..apart)
            .map(|r| {
                let mut output = vec![[0; 2]; length * radix];
                for k in 0..length {
                    for q in 0..radix {
                        let mut sum = [0; 2];
                        for j in 0..radix {
                            let steps = (j * k) as i64;
                            let around = (radix * length) as i64;
                            // e^(−2πi·jk/(radix·L)), and (−i)^(jq) or (−1)^(jq).
                            let factor = [cosine(steps, around), -cosine(steps * 4 - around, around * 4)];
                            let turn = [[1, 0], [0, -1], [-1, 0], [0, 1]][j * q * (4 / radix) % 4];
                            let term = times(times(transforms[r + j * apart][k], factor), turn);
                            sum = [sum[0] + term[0], sum[1] + term[1]];
                        }
                        assert!(sum.iter().all(|part| part.abs() < (1 << 31) - (1 << 15)), "{sum:?}");
                        let rounded = sum.map(|part| (part + (1 << (13 + shift))) >> (14 + shift));
                        assert!(rounded.iter().all(|part| i16::try_from(*part).is_ok()), "{rounded:?}");
                        output[k + q * length] = rounded;
                    }
                }
                output
            })
            .collect();
    }
    (transforms.swap_remove(0), exponent)
}

fn of_frame(products: &[i64], bins: &[Option<(usize, i128)>], config: &AudioConfig) -> Vec<u16> {
    let largest = products.iter().map(|product| if *product < 0 { -1 - product } else { *product }).max().unwrap();
    let shift = (0..).find(|shift| largest >> shift < 23_100).unwrap();
    let mut frame: Vec<i64> = products.iter().map(|product| (product + ((1 << shift) >> 1)) >> shift).collect();
    frame.resize(products.len().next_power_of_two(), 0);
    let (length, half) = (frame.len(), frame.len() / 2);
    let pairs: Vec<Complex> = frame.chunks(2).map(|pair| [pair[0], pair[1]]).collect();
    let (z, exponent) = transform(&pairs);
    let octaves = 2 * (i64::from(exponent + shift) - i64::from(half.ilog2())) - 31;

    let power = |k: usize| {
        let ([a, b], [c, d]) = (z[k], z[(half - k) % half]);
        // Of the frequencies k and M − k, the one below a quarter of the samples' rate says the factor.
        let (even, odd) = ([a + c, b - d], [b + d, c - a]);
        let steps = k.min(half - k) as i64;
        let factor = [cosine(steps, length as i64), -cosine(4 * steps - length as i64, 4 * length as i64)];
        let parts = if k <= half / 2 {
            let turned = times(odd, factor);
            [0, 1].map(|part| (even[part] << 14) + turned[part])
        } else {
            // Seen from M − k: E and O are those of M − k there.
            let turned = times([odd[0], -odd[1]], factor);
            [(even[0] << 14) - turned[0], (-even[1] << 14) - turned[1]]
        };
        let rounded = parts.map(|part| (part + (1 << 14)) >> 15);
        u32::try_from(rounded.iter().map(|part| part * part).sum::<i64>()).unwrap()
    };
    let mut energies = vec![0u64; config.bands.into()];
    for (k, bin) in bins.iter().enumerate() {
        let Some((segment, weight)) = *bin else { continue };
        let power = u64::from(power(k));
        if let Some(energy) = energies.get_mut(segment) {
            *energy += weight as u64 * power;
        }
        if let Some(energy) = segment.checked_sub(1).and_then(|band| energies.get_mut(band)) {
            *energy += (32_768 - weight as u64) * power;
        }
    }
    energies.into_iter().map(|energy| level(energy, octaves)).collect()
}

fn level(energy: u64, octaves: i64) -> u16 {
    if energy == 0 {
        return 0;
    }
    let logarithm = |i: i64| (32_768.0 * (1.0 + i as f64 / 32.0).log2()).round() as i64;
    let whole = i64::from(energy.ilog2());
    // The 31 bits behind the leading one.
    let behind = ((u128::from(energy) << 64 >> whole) & ((1 << 64) - 1)) as u64 >> 33;
    let (step, place) = ((behind >> 26) as i64, ((behind >> 11) & 32_767) as i64);
    let log = whole * 32_768 + logarithm(step) + (((logarithm(step + 1) - logarithm(step)) * place) >> 15);
    let units = (log + octaves * 32_768).max(0);
    u16::try_from((units + 512) >> 10).unwrap()
}
