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
    static TABLE: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);
    TABLE.checksum(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_give_the_standard_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(portable(b"123456789"), 0xE306_9283);
    }
}
