//! The checksum that a header of version 2 may carry (proxy-protocol.txt §2.2.3): CRC-32C over the whole header, in
//! which the checksum itself counts as zeros. HAProxy sends it with `proxy-v2-options crc32c`.

/// Kind of the field.
const CRC32C: u8 = 3;
/// Bytes of kind and length of a field.
const FIELD: usize = 3;
/// Bytes of the checksum.
const SIZE: usize = 4;

/// Whether `header`, whose fields begin at `at`, has no checksum or the right one.
pub(super) fn fits(header: &[u8], mut at: usize) -> bool {
    while let Some(&[kind, high, low]) = header.get(at..at + FIELD) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        at += FIELD;
        if kind == CRC32C {
            let Some(&[a, b, c, d]) = header.get(at..at + SIZE) else { return false };
            let (before, behind) =
                (header.get(..at).unwrap_or_default(), header.get(at + SIZE..).unwrap_or_default());
            let counted = before.iter().chain(&[0; SIZE]).chain(behind);
            return length == SIZE && crc32c(counted.copied()) == u32::from_be_bytes([a, b, c, d]);
        }
        at += length;
    }
    true
}

/// CRC-32C (Castagnoli), bit by bit: a header has at most 536 bytes.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    /// The polynomial, reflected.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `header` with its checksum, whose place is the last four bytes.
    pub(in super::super) fn sealed(mut header: Vec<u8>) -> Vec<u8> {
        let end = header.len() - SIZE;
        header[end..].fill(0);
        let sum = crc32c(header.iter().copied()).to_be_bytes();
        header[end..].copy_from_slice(&sum);
        header
    }

    /// The check value of the algorithm's catalogue.
    #[test]
    fn it_is_castagnolis() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    }
}
