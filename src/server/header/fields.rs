//! The fields behind the addresses of version 2 (proxy-protocol.txt §2.2).
//!
//! Only kind and length are judged: the content of a field that is not used here is the balancer's own affair, and
//! its client may have chosen it (the host name of a TLS hello).

/// Bytes of kind and length.
const HEAD: usize = 3;
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
