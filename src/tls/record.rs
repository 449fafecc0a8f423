//! TLS records after the handshake: their framing and their numbers (RFC 8446 §5, RFC 5246 §6.2).
//!
//! The keys come from rustls, which does the handshake. Sealing and opening (nonce, padding, additional data) are
//! done by rustls's own `MessageEncrypter` and `MessageDecrypter` of the negotiated suite. This file finds a
//! record in the received bytes, copies it to where its reader wants the plaintext, and counts. Invariants: no
//! number is used twice under one key, because numbers only count up and a new key begins at its own number; a
//! record that does not authenticate gives no byte to its reader.

use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, Iv, MessageDecrypter, MessageEncrypter, OutboundPlainMessage,
};
use rustls::{
    ConnectionTrafficSecrets, ContentType, Error, InvalidMessage, PeerMisbehaved, ProtocolVersion,
    SupportedCipherSuite, Tls12CipherSuite,
};

/// The most plaintext in one record.
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;
/// Length of type, version and length field.
pub(super) const HEADER: usize = 5;
/// The most bytes that sealing adds to a plaintext: header, explicit nonce of TLS 1.2, tag.
pub(super) const OVERHEAD: usize = HEADER + 8 + TAG;
/// The longest record that a peer may send (RFC 5246 §6.2.3; TLS 1.3 allows less).
pub(super) const MAX_RECORD: usize = HEADER + MAX_PLAINTEXT + 2048;
/// Length of the authentication tag.
pub(super) const TAG: usize = 16;
/// Length of the content type behind the content (RFC 8446 §5.2).
pub(super) const INNER_TYPE: usize = 1;

/// A whole record, as received.
pub(super) struct Record<'a> {
    outer: ContentType,
    version: ProtocolVersion,
    body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of `bytes` after a handshake; `None` if it is incomplete. A forbidden record is refused at
    /// its header.
    pub(super) fn first(bytes: &'a [u8], version: ProtocolVersion) -> Result<Option<Self>, Error> {
        let is_tls13 = version == ProtocolVersion::TLSv1_3;
        let Some(outer) = bytes.first().copied().map(ContentType::from) else { return Ok(None) };
        match outer {
            ContentType::ApplicationData => {}
            // In TLS 1.3 every encrypted record has the type of data (RFC 8446 §5.2).
            ContentType::Alert | ContentType::Handshake if !is_tls13 => {}
            ContentType::ChangeCipherSpec | ContentType::Alert | ContentType::Handshake => {
                return Err(PeerMisbehaved::IllegalMiddleboxChangeCipherSpec.into());
            }
            _ => return Err(InvalidMessage::InvalidContentType.into()),
        }
        let &[_, major, minor, high, low, ref rest @ ..] = bytes else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_PLAINTEXT + if is_tls13 { 256 } else { 2048 } {
            return Err(Error::PeerSentOversizedRecord);
        }
        let version = u16::from_be_bytes([major, minor]).into();
        Ok(rest.get(..length).map(|body| Self { outer, version, body }))
    }

    /// The announced length of the record at the start of `bytes`, with its header, if the header is there.
    pub(super) fn announced(bytes: &[u8]) -> Option<usize> {
        let &[_, _, _, high, low, ..] = bytes else { return None };
        Some(HEADER + usize::from(u16::from_be_bytes([high, low])))
    }

    /// The record's length with its header.
    pub(super) fn length(&self) -> usize {
        HEADER + self.body.len()
    }

    /// Room that [`RecordOpener::open`] needs: a little more than the length of the content.
    pub(super) fn room(&self) -> usize {
        self.body.len()
    }
}

/// A key as the handshake gives it, and the number of the next record.
pub(super) type NumberedSecrets = (u64, ConnectionTrafficSecrets);

/// Opens the peer's records.
pub(super) struct RecordOpener {
    cipher: Box<dyn MessageDecrypter>,
    number: u64,
}

impl RecordOpener {
    /// An opener for the negotiated `suite`.
    pub(super) fn new(numbered: NumberedSecrets, suite: SupportedCipherSuite) -> Result<Self, Error> {
        let (number, key, iv) = parts(numbered)?;
        let cipher = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.decrypter(key, iv),
            SupportedCipherSuite::Tls12(suite) => suite.aead_alg.decrypter(key, split(&iv, suite)?.0),
        };
        Ok(Self { cipher, number })
    }

    /// Opens `record` into `out`, which has at least [`Record::room`]; returns its type and length.
    pub(super) fn open(
        &mut self,
        record: &Record<'_>,
        out: &mut [u8],
    ) -> Result<(ContentType, usize), Error> {
        let out = out.get_mut(..record.body.len()).ok_or(Error::DecryptError)?;
        out.copy_from_slice(record.body);
        let sealed = InboundOpaqueMessage::new(record.outer, record.version, out);
        let opened = self.cipher.decrypt(sealed, self.number)?;
        self.number = self.number.checked_add(1).ok_or(Error::DecryptError)?;
        Ok((opened.typ, opened.payload.len()))
    }
}

/// Seals our records.
pub(super) struct RecordSealer {
    cipher: Box<dyn MessageEncrypter>,
    number: u64,
    /// The most records that one key may seal.
    limit: u64,
}

impl RecordSealer {
    /// A sealer for the negotiated `suite`.
    pub(super) fn new(numbered: NumberedSecrets, suite: SupportedCipherSuite) -> Result<Self, Error> {
        let (number, key, iv) = parts(numbered)?;
        let cipher = match suite {
            SupportedCipherSuite::Tls13(suite) => suite.aead_alg.encrypter(key, iv),
            SupportedCipherSuite::Tls12(suite) => {
                let (fixed, explicit) = split(&iv, suite)?;
                suite.aead_alg.encrypter(key, fixed, explicit)
            }
        };
        Ok(Self { cipher, number, limit: confidentiality_limit(suite) })
    }

    /// Whether the key has only a few records left: enough for one more write, and for a key update or a
    /// close_notify.
    pub(super) fn is_worn(&self) -> bool {
        self.number >= self.limit.saturating_sub(32)
    }

    /// Seals at most [`MAX_PLAINTEXT`] of `content` as one record at the start of `out`, which has room
    /// for it and [`OVERHEAD`]; returns the record's length.
    pub(super) fn seal(&mut self, typ: ContentType, content: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        // The version in the header of TLS 1.2 and 1.3 (RFC 8446 §5.1).
        let version = ProtocolVersion::TLSv1_2;
        let plain = OutboundPlainMessage { typ, version, payload: content.into() };
        let sealed = self.cipher.encrypt(plain, self.number)?.encode();
        self.number = self.number.checked_add(1).ok_or(Error::EncryptError)?;
        out.get_mut(..sealed.len()).ok_or(Error::EncryptError)?.copy_from_slice(&sealed);
        Ok(sealed.len())
    }
}

/// The number of records that one key of `suite` may seal (RFC 8446 §5.5).
pub(super) fn confidentiality_limit(suite: SupportedCipherSuite) -> u64 {
    match suite {
        SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
        SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
    }
}

fn parts((number, secrets): NumberedSecrets) -> Result<(u64, AeadKey, Iv), Error> {
    match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => Ok((number, key, iv)),
        _ => Err(Error::General("a key of a cipher that the record layer does not know".into())),
    }
}

/// TLS 1.2 derives the first part of an AES-GCM IV, and sends the second part, whose start is free (RFC 5288 §3);
/// ChaCha20's IV is derived completely (RFC 7905 §2).
fn split<'a>(iv: &'a Iv, suite: &Tls12CipherSuite) -> Result<(&'a [u8], &'a [u8]), Error> {
    let iv = iv.as_ref().split_at_checked(suite.aead_alg.key_block_shape().fixed_iv_len);
    iv.ok_or_else(|| Error::General("an IV that does not fit its cipher".into()))
}
