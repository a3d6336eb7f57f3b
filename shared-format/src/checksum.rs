//! CRC-32C (Castagnoli), the checksum of header and body.

/// CRC-32C of `bytes`: in hardware with the feature `std`, by a table otherwise: of 1 kB, or of 64 bytes in a module of
/// WebAssembly, which is fetched before it checks anything.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(feature = "std")]
    return crc32c::crc32c(bytes);
    #[cfg(not(feature = "std"))]
    portable(bytes)
}

#[cfg(any(test, not(feature = "std")))]
fn portable(bytes: &[u8]) -> u32 {
    // Four bytes at a time: one load for four looks into the table, half the instructions of a loop over bytes.
    let (words, rest) = bytes.as_chunks();
    let sum = words.iter().fold(!0, |sum, word| step(step(step(step(sum ^ u32::from_le_bytes(*word))))));
    !rest.iter().fold(sum, |sum, byte| step(sum ^ u32::from(*byte)))
}

/// Takes the lowest byte out of a sum. Inlined where code is dear, too: a call costs as much as its body.
#[cfg(any(test, all(not(feature = "std"), not(target_family = "wasm"))))]
#[inline(always)]
fn step(sum: u32) -> u32 {
    static TABLE: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let [table] = TABLE.table();
    table[usize::from(sum as u8)] ^ (sum >> 8)
}

/// The same in two halves.
#[cfg(all(not(test), not(feature = "std"), target_family = "wasm"))]
#[inline(never)]
fn step(sum: u32) -> u32 {
    half_step(half_step(sum))
}

/// Takes the lowest four bits out of a sum.
#[cfg(any(test, all(not(feature = "std"), target_family = "wasm")))]
#[inline(always)]
fn half_step(sum: u32) -> u32 {
    /// What one bit after another makes of each four, the lowest first.
    static TABLE: [u32; 16] = {
        let polynomial = crc::CRC_32_ISCSI.poly.reverse_bits();
        let mut table = [0; 16];
        let mut index = 0;
        while index < table.len() {
            let (mut sum, mut bit) = (index as u32, 0);
            while bit < 4 {
                sum = (sum >> 1) ^ (polynomial & (sum & 1).wrapping_neg());
                bit += 1;
            }
            table[index] = sum;
            index += 1;
        }
        table
    };
    TABLE[(sum & 15) as usize] ^ (sum >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_give_the_standard_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(portable(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn two_halves_are_a_step() {
        for byte in 0..=255 {
            for rest in [0, 0x1234_5600, 0xFFFF_FF00] {
                assert_eq!(half_step(half_step(rest | byte)), step(rest | byte), "{byte}");
            }
        }
    }

    #[test]
    fn both_implementations_agree_at_every_length() {
        let bytes: [u8; 70] = core::array::from_fn(|index| (index * index * 7 + 3) as u8);
        for start in 0..4 {
            for end in start..bytes.len() {
                assert_eq!(portable(&bytes[start..end]), crc32c(&bytes[start..end]), "{start}..{end}");
            }
        }
    }
}
