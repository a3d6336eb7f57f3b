//! CRC-32C (Castagnoli), the checksum of header and body.

/// CRC-32C of `bytes`: in hardware with the feature `std`, by a table of 1 kB otherwise.
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
#[cfg(any(test, not(feature = "std")))]
#[inline(always)]
fn step(sum: u32) -> u32 {
    static TABLE: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    let [table] = TABLE.table();
    table[usize::from(sum as u8)] ^ (sum >> 8)
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
    fn both_implementations_agree_at_every_length() {
        let bytes: [u8; 70] = core::array::from_fn(|index| (index * index * 7 + 3) as u8);
        for start in 0..4 {
            for end in start..bytes.len() {
                assert_eq!(portable(&bytes[start..end]), crc32c(&bytes[start..end]), "{start}..{end}");
            }
        }
    }
}
