//! The fields behind the addresses of version 2 (proxy-protocol.txt §2.2).
//!
//! Only kind and length are judged: the content of a field that is not used here is the balancer's own affair, and
//! its client may have chosen it (the host name of a TLS hello).
//!
//! One of them may be a checksum (§2.2.3): CRC-32C over the whole header, in which the checksum itself counts as zeros.
//! HAProxy sends it with `proxy-v2-options crc32c`.

/// Bytes of kind and length.
const HEAD: usize = 3;
/// Kind of the checksum.
const CRC32C: u8 = 3;
/// Bytes of the checksum.
const SIZE: usize = 4;
/// Kind of the field about the client's TLS (§2.2.6).
const SSL: u8 = 0x20;
/// Bit of that field: the client used TLS.
const CLIENT_SSL: u8 = 1;

/// Kind and content of each field in `bytes`; `None` if the last one is longer than the bytes.
fn each(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let &[kind, high, low] = head else { return None };
        let (content, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        fields.push((kind, content));
        bytes = behind;
    }
    Some(fields)
}

/// Whether every field in `bytes` is whole.
pub(super) fn are_whole(bytes: &[u8]) -> bool {
    each(bytes).is_some()
}

/// Whether the client used TLS, if a field says so.
pub(super) fn tls(bytes: &[u8]) -> Option<bool> {
    let fields = each(bytes)?;
    let (_, content) = fields.into_iter().find(|(kind, _)| *kind == SSL)?;
    content.first().map(|bits| bits & CLIENT_SSL != 0)
}

/// Whether `header`, whose fields begin at `at`, has no checksum or the right one.
pub(super) fn checksum_fits(header: &[u8], mut at: usize) -> bool {
    for (kind, content) in each(header.get(at..).unwrap_or_default()).unwrap_or_default() {
        at += HEAD;
        if kind == CRC32C {
            let Ok(checksum) = content.try_into() else { return false };
            let (before, behind) =
                (header.get(..at).unwrap_or_default(), header.get(at + SIZE..).unwrap_or_default());
            let counted = before.iter().chain(&[0; SIZE]).chain(behind);
            return crc32c(counted.copied()) == u32::from_be_bytes(checksum);
        }
        at += content.len();
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
