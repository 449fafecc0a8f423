//! TLS records: how bytes are sealed for the wire and opened from it (RFC 8446 §5, RFC 5246 §6.2).
//!
//! Keys come from rustls, which does the handshake. What is here is the frame around the ciphers, so that a
//! record is opened in the buffer of whoever reads, and sealed in the one that goes out: one copy each, a
//! tenth of what the cipher costs. The ciphers are ring's, and not those of the handshake: they take half the
//! time where a processor has VAES but no AVX-512. Invariants: a nonce is its key's IV and the number of
//! the record, and no number comes twice, because it is only ever counted up and a new key begins at its
//! own; a record that does not authenticate gives no byte to anybody.

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use tokio_rustls::rustls::{
    ConnectionTrafficSecrets, ContentType, Error, InvalidMessage, PeerMisbehaved, ProtocolVersion,
};

/// The most plaintext that one record carries.
pub(super) const MAX_PLAINTEXT: usize = 1 << 14;
/// Type, version, length.
pub(super) const HEADER: usize = 5;
/// The most that a record is longer than its plaintext when we seal it: header, explicit nonce of
/// TLS 1.2, tag.
pub(super) const OVERHEAD: usize = HEADER + EXPLICIT_NONCE + TAG;
/// The longest record that a peer may send (RFC 5246 §6.2.3; TLS 1.3 allows less).
pub(super) const MAX_RECORD: usize = HEADER + MAX_PLAINTEXT + 2048;

/// What authenticates a record.
pub(super) const TAG: usize = 16;
/// The content type behind the content (RFC 8446 §5.2).
pub(super) const INNER_TYPE: usize = 1;
const EXPLICIT_NONCE: usize = 8;
const VERSION: [u8; 2] = [3, 3];
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// A whole record as it came.
pub(super) struct Record<'a> {
    outer: u8,
    version: [u8; 2],
    body: &'a [u8],
}

impl<'a> Record<'a> {
    /// The first record of `bytes`, behind a handshake; `None` where it is not all there yet. What must not
    /// come is refused at its header.
    pub(super) fn first(bytes: &'a [u8], version: ProtocolVersion) -> Result<Option<Self>, Error> {
        let is_tls13 = version == ProtocolVersion::TLSv1_3;
        match bytes.first().copied() {
            None => return Ok(None),
            Some(DATA) => {}
            // What is no data looks like data in TLS 1.3 (RFC 8446 §5.2).
            Some(ALERT | HANDSHAKE) if !is_tls13 => {}
            Some(CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE) => {
                return Err(PeerMisbehaved::IllegalMiddleboxChangeCipherSpec.into());
            }
            Some(_) => return Err(InvalidMessage::InvalidContentType.into()),
        }
        let &[outer, major, minor, high, low, ref rest @ ..] = bytes else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length > MAX_PLAINTEXT + if is_tls13 { 256 } else { 2048 } {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok(rest.get(..length).map(|body| Self { outer, version: [major, minor], body }))
    }

    /// The length of the record at the start of `bytes`, with its header, as far as it is there.
    pub(super) fn announced(bytes: &[u8]) -> Option<usize> {
        let &[_, _, _, high, low, ..] = bytes else { return None };
        Some(HEADER + usize::from(u16::from_be_bytes([high, low])))
    }

    /// With its header.
    pub(super) fn length(&self) -> usize {
        HEADER + self.body.len()
    }

    /// Room that [`RecordOpener::open`] needs: a little more than the content turns out to be.
    pub(super) fn room(&self) -> usize {
        self.body.len()
    }
}

/// One direction's key, and the number of the next record.
struct Key {
    aead: LessSafeKey,
    iv: [u8; 12],
    number: u64,
    version: ProtocolVersion,
}

impl Key {
    fn new(
        (number, secrets): (u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
    ) -> Result<Self, Error> {
        let (algorithm, key, iv) = match &secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&AES_128_GCM, key, iv),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&AES_256_GCM, key, iv),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&CHACHA20_POLY1305, key, iv),
            _ => return Err(Error::General("a cipher that the record layer does not know".into())),
        };
        let key = UnboundKey::new(algorithm, key.as_ref());
        let (Ok(key), Ok(iv)) = (key, <[u8; 12]>::try_from(iv.as_ref())) else {
            return Err(Error::General("a key that does not fit its cipher".into()));
        };
        Ok(Self { aead: LessSafeKey::new(key), iv, number, version })
    }

    fn is_tls13(&self) -> bool {
        self.version == ProtocolVersion::TLSv1_3
    }

    /// TLS 1.2 with AES-GCM sends a part of each nonce (RFC 5288 §3); ChaCha20 does not (RFC 7905 §2).
    fn explicit_nonce(&self) -> usize {
        match !self.is_tls13() && self.aead.algorithm() != &CHACHA20_POLY1305 {
            true => EXPLICIT_NONCE,
            false => 0,
        }
    }

    fn nonce(&self) -> [u8; 12] {
        let mut nonce = self.iv;
        let number = self.number.to_be_bytes();
        nonce.iter_mut().skip(4).zip(number).for_each(|(byte, number)| *byte ^= number);
        nonce
    }

    fn count_up(&mut self) -> Result<(), Error> {
        self.number = self.number.checked_add(1).ok_or(Error::EncryptError)?;
        Ok(())
    }

    /// `length` is the ciphertext's with tag in TLS 1.3, the plaintext's in TLS 1.2.
    fn additional_data(&self, typ: u8, [v0, v1]: [u8; 2], length: usize) -> AdditionalData {
        let mut data = AdditionalData { bytes: [0; 13], start: 8 };
        let [.., high, low] = length.to_be_bytes();
        data.bytes[8..].copy_from_slice(&[typ, v0, v1, high, low]);
        if !self.is_tls13() {
            data.bytes[..8].copy_from_slice(&self.number.to_be_bytes());
            data.start = 0;
        }
        data
    }
}

/// Thirteen bytes in TLS 1.2, the last five of them in TLS 1.3.
struct AdditionalData {
    bytes: [u8; 13],
    start: usize,
}

impl AsRef<[u8]> for AdditionalData {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// Opens what the peer sealed.
pub(super) struct RecordOpener(Key);

impl RecordOpener {
    /// `secrets` with the number of the next record.
    pub(super) fn new(
        secrets: (u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
    ) -> Result<Self, Error> {
        Ok(Self(Key::new(secrets, version)?))
    }

    /// Opens `record` into `out`, which has at least [`Record::room`]; says what it is and how long.
    pub(super) fn open(
        &mut self,
        record: &Record<'_>,
        out: &mut [u8],
    ) -> Result<(ContentType, usize), Error> {
        let (nonce, sealed) = self.split(record)?;
        let length = match self.0.is_tls13() {
            true => sealed.len(),
            false => sealed.len().checked_sub(TAG).ok_or(Error::DecryptError)?,
        };
        // The version that stands in the header means nothing in TLS 1.3 (RFC 8446 §5.1).
        let version = if self.0.is_tls13() { VERSION } else { record.version };
        let aad = Aad::from(self.0.additional_data(record.outer, version, length));
        let nonce = Nonce::assume_unique_for_key(nonce);
        let out = out.get_mut(..sealed.len()).ok_or(Error::DecryptError)?;
        out.copy_from_slice(sealed);
        let out = self.0.aead.open_in_place(nonce, aad, out).map_err(|_| Error::DecryptError)?;
        self.0.count_up()?;
        match self.0.is_tls13() {
            true => inner_type(out),
            false if out.len() > MAX_PLAINTEXT => Err(Error::PeerSentOversizedRecord),
            false => Ok((record.outer.into(), out.len())),
        }
    }

    fn split<'a>(&self, record: &Record<'a>) -> Result<([u8; 12], &'a [u8]), Error> {
        if self.0.explicit_nonce() == 0 {
            return Ok((self.0.nonce(), record.body));
        }
        let (explicit, sealed) =
            record.body.split_first_chunk::<EXPLICIT_NONCE>().ok_or(Error::DecryptError)?;
        let mut nonce = self.0.iv;
        nonce[4..].copy_from_slice(explicit);
        Ok((nonce, sealed))
    }
}

/// The type behind a TLS 1.3 record's content, and the content's length: what stands between the type
/// and the end is padding, which counts (RFC 8446 §5.4).
fn inner_type(plaintext: &[u8]) -> Result<(ContentType, usize), Error> {
    if plaintext.len() > MAX_PLAINTEXT + INNER_TYPE {
        return Err(Error::PeerSentOversizedRecord);
    }
    let at = plaintext.iter().rposition(|&byte| byte != 0);
    let (Some(at), Some(&typ)) = (at, at.and_then(|at| plaintext.get(at))) else {
        return Err(PeerMisbehaved::IllegalTlsInnerPlaintext.into());
    };
    Ok((typ.into(), at))
}

/// Seals what we send.
pub(super) struct RecordSealer {
    key: Key,
    /// How many records one key may seal.
    limit: u64,
}

impl RecordSealer {
    /// `secrets` with the number of the next record; `limit` is the cipher's.
    pub(super) fn new(
        secrets: (u64, ConnectionTrafficSecrets),
        version: ProtocolVersion,
        limit: u64,
    ) -> Result<Self, Error> {
        Ok(Self { key: Key::new(secrets, version)?, limit })
    }

    /// Whether the key has only a few records left: enough for one more write, and to say that the key
    /// changes or that we end.
    pub(super) fn is_worn(&self) -> bool {
        self.key.number >= self.limit.saturating_sub(32)
    }

    /// Seals at most [`MAX_PLAINTEXT`] of `content` as one record at the start of `out`, which has room
    /// for it and [`OVERHEAD`]; returns the record's length.
    pub(super) fn seal(&mut self, typ: ContentType, content: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        let typ = u8::from(typ);
        let (outer, inner): (u8, &[u8]) = match self.key.is_tls13() {
            true => (ContentType::ApplicationData.into(), &[typ]),
            false => (typ, &[]),
        };
        let explicit = self.key.explicit_nonce();
        let length = explicit + content.len() + inner.len() + TAG;
        let authenticated = if self.key.is_tls13() { length } else { content.len() };
        let aad = Aad::from(self.key.additional_data(outer, VERSION, authenticated));
        let nonce = self.key.nonce();

        let Some((header, rest)) = out.split_at_mut_checked(HEADER) else { return Err(Error::EncryptError) };
        let [.., high, low] = length.to_be_bytes();
        let [v0, v1] = VERSION;
        header.copy_from_slice(&[outer, v0, v1, high, low]);
        let body = rest.get_mut(..length).ok_or(Error::EncryptError)?;
        let (sent_nonce, sealed) = body.split_at_mut(explicit);
        sent_nonce.copy_from_slice(nonce.get(12 - explicit..).unwrap_or_default());
        let (plain, tag) = sealed.split_at_mut(content.len() + inner.len());
        let (copy, copied_type) = plain.split_at_mut(content.len());
        copy.copy_from_slice(content);
        copied_type.copy_from_slice(inner);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let made = self.key.aead.seal_in_place_separate_tag(nonce, aad, plain);
        tag.copy_from_slice(made.map_err(|_| Error::EncryptError)?.as_ref());
        self.key.count_up()?;
        Ok(HEADER + length)
    }
}
