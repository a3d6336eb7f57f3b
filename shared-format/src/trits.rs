//! Trits five to a byte, base 3: `byte = Σ (tᵢ + 1)·3ⁱ`, i = 0 first, so 243 of 256 byte values are valid.
//!
//! Two packings share the code. *Flat* (checkpoints) runs over the whole matrix; missing trits of the last byte are
//! stored as digit 0. *Grouped* (models) starts every group on a byte, so that a byte never straddles two groups;
//! missing trits of a group's last byte are trit 0, digit 1.

/// Trits in a byte.
pub const PER_BYTE: usize = 5;

/// Largest valid byte: 3⁵ − 1.
pub const MAX_BYTE: u8 = 242;

/// The byte of five zero trits.
pub const ZERO_BYTE: u8 = 121;

/// 3ⁱ for i = 0..=5.
const POWERS: [u16; 6] = [1, 3, 9, 27, 81, 243];

/// The five trits of every byte value; bytes above [`MAX_BYTE`] decode as zeros.
pub static DECODE: [[i8; PER_BYTE]; 256] = DECODE_TABLE;

// A static cannot be read while another one is computed; a constant can.
const DECODE_TABLE: [[i8; PER_BYTE]; 256] = {
    let mut table = [[0; PER_BYTE]; 256];
    let mut byte = 0;
    while byte <= MAX_BYTE as usize {
        let mut i = 0;
        while i < PER_BYTE {
            table[byte][i] = ((byte / POWERS[i] as usize) % 3) as i8 - 1;
            i += 1;
        }
        byte += 1;
    }
    table
};

/// Non-zero trits of every byte value.
pub static NONZERO: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut i = 0;
        while i < PER_BYTE {
            table[byte] += (DECODE_TABLE[byte][i] != 0) as u8;
            i += 1;
        }
        byte += 1;
    }
    table
};

/// Packs up to five trits; missing ones take `padding` (digit 0 or 1).
const fn pack_byte(trits: &[i8], padding: u8) -> u8 {
    let mut byte = 0;
    let mut i = PER_BYTE;
    while i > 0 {
        i -= 1;
        // Any positive value counts as +1 and any negative one as −1, so the byte is always valid.
        let digit = if i < trits.len() { (trits[i].signum() + 1) as u8 } else { padding };
        byte = byte * 3 + digit;
    }
    byte
}

/// Bytes of `count` trits packed flat.
pub const fn flat_bytes(count: usize) -> usize {
    count.div_ceil(PER_BYTE)
}

/// Packs trits flat: the returned bytes, one for each five trits, the last one's missing trits as digit 0.
pub fn pack_flat(trits: &[i8]) -> impl Iterator<Item = u8> + '_ {
    trits.chunks(PER_BYTE).map(|chunk| pack_byte(chunk, 0))
}

/// Packs one group: ⌈len/5⌉ bytes, the last one's missing trits as trit 0.
pub fn pack_group(trits: &[i8]) -> impl Iterator<Item = u8> + '_ {
    trits.chunks(PER_BYTE).map(|chunk| pack_byte(chunk, 1))
}

/// Unpacks `out.len()` trits from the first bytes of `bytes`; what has no byte stays as it was.
pub fn unpack(bytes: &[u8], out: &mut [i8]) {
    for (chunk, byte) in out.chunks_mut(PER_BYTE).zip(bytes) {
        for (trit, value) in chunk.iter_mut().zip(DECODE[usize::from(*byte)]) {
            *trit = value;
        }
    }
}

/// The first and the last byte whose upper digits, beyond the first `used`, are all 1: they form one run of 3^used.
const PADDED: [(u8, u8); PER_BYTE + 1] = {
    let mut runs = [(0, MAX_BYTE); PER_BYTE + 1];
    let mut used = 0;
    while used <= PER_BYTE {
        let run = POWERS[used];
        // Half of an odd number, rounded down.
        let first = POWERS[PER_BYTE] / run / 2 * run;
        runs[used] = (first as u8, (first + run - 1) as u8);
        used += 1;
    }
    runs
};

/// True where the trits beyond the first `used` of a grouped byte are trit 0 (digit 1). `used` in 1..=5.
pub(crate) fn padding_is_zero(byte: u8, used: usize) -> bool {
    let (first, last) = PADDED[used.min(PER_BYTE)];
    first <= byte && byte <= last
}

/// True where the trits beyond the first `used` of a flat byte are digit 0. `used` in 1..=5.
pub(crate) fn padding_is_digit_zero(byte: u8, used: usize) -> bool {
    u16::from(byte) < POWERS[used.min(PER_BYTE)]
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn bytes_are_base_three() {
        assert_eq!(pack_flat(&[-1, -1, -1, -1, -1]).collect::<Vec<_>>(), [0]);
        assert_eq!(pack_flat(&[1, 1, 1, 1, 1]).collect::<Vec<_>>(), [242]);
        assert_eq!(pack_flat(&[1, 0, -1, 0, 1]).collect::<Vec<_>>(), [2 + 3 + 27 + 162]);
        assert_eq!(pack_group(&[0]).collect::<Vec<_>>(), [ZERO_BYTE]);
        assert_eq!(pack_flat(&[0]).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn padding_checks_know_every_byte() {
        for byte in 0..=255u8 {
            for used in 1..=5 {
                let digits = |i: usize| u16::from(byte) / POWERS[i] % 3;
                let valid = byte <= MAX_BYTE;
                assert_eq!(padding_is_zero(byte, used), valid && (used..5).all(|i| digits(i) == 1), "{byte} {used}");
                assert_eq!(
                    padding_is_digit_zero(byte, used),
                    valid && (used..5).all(|i| digits(i) == 0),
                    "{byte} {used}"
                );
            }
        }
    }

    #[test]
    fn counts_of_nonzero_trits_match_the_decoding() {
        for byte in 0..=255usize {
            let expected = DECODE[byte].iter().filter(|t| **t != 0).count();
            assert_eq!(usize::from(NONZERO[byte]), expected);
        }
    }

    proptest! {
        #[test]
        fn packing_round_trips(trits in proptest::collection::vec(-1i8..=1, 0..200)) {
            for packed in [pack_flat(&trits).collect::<Vec<_>>(), pack_group(&trits).collect::<Vec<_>>()] {
                prop_assert_eq!(packed.len(), flat_bytes(trits.len()));
                let mut back = std::vec![7; trits.len()];
                unpack(&packed, &mut back);
                prop_assert_eq!(&back, &trits);
            }
        }
    }
}
