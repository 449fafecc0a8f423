//! A TLS peer that sends, after its handshake, records that no library sends: of any type, length and
//! content, sealed with the connection's keys. Supports the first cipher suite of each version.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test binary uses its own part")]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test's helper aborts the test")]

use std::fmt;
use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk};
use tokio_rustls::rustls::{ConnectionTrafficSecrets, ExtractedSecrets, KeyLog};

pub const CHANGE_CIPHER_SPEC: u8 = 20;
pub const ALERT: u8 = 21;
pub const HANDSHAKE: u8 = 22;
pub const DATA: u8 = 23;

/// The traffic secrets of TLS 1.3, from which the next keys derive.
#[derive(Default)]
pub struct Secrets(Mutex<Vec<(String, Vec<u8>)>>);

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        self.0.lock().unwrap().push((label.to_owned(), secret.to_vec()));
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The last secret with this label.
    fn take(&self, label: &str) -> Option<Vec<u8>> {
        let mut secrets = self.0.lock().unwrap();
        let at = secrets.iter().rposition(|(name, _)| name == label)?;
        Some(secrets.remove(at).1)
    }
}

/// One end of a connection.
pub struct Peer {
    is_tls13: bool,
    own: Direction,
    theirs: Direction,
}

struct Direction {
    key: LessSafeKey,
    iv: [u8; 12],
    number: u64,
    /// Set in TLS 1.3.
    secret: Option<Vec<u8>>,
}

/// A decrypted record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub typ: u8,
    pub content: Vec<u8>,
}

impl Peer {
    /// The client of a connection.
    pub fn client(secrets: ExtractedSecrets, log: &Secrets) -> Self {
        Self::new(secrets, log, "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0")
    }

    /// The server of a connection.
    pub fn server(secrets: ExtractedSecrets, log: &Secrets) -> Self {
        Self::new(secrets, log, "SERVER_TRAFFIC_SECRET_0", "CLIENT_TRAFFIC_SECRET_0")
    }

    fn new(secrets: ExtractedSecrets, log: &Secrets, own: &str, theirs: &str) -> Self {
        let (own, theirs) = (log.take(own), log.take(theirs));
        Self {
            is_tls13: own.is_some(),
            own: Direction::new(secrets.tx, own),
            theirs: Direction::new(secrets.rx, theirs),
        }
    }

    pub fn is_tls13(&self) -> bool {
        self.is_tls13
    }

    /// One record.
    pub fn seal(&mut self, typ: u8, content: &[u8]) -> Vec<u8> {
        self.seal_padded(typ, content, 0)
    }

    /// One record; in TLS 1.3 with this many zeros after its type.
    pub fn seal_padded(&mut self, typ: u8, content: &[u8], padding: usize) -> Vec<u8> {
        match self.is_tls13 {
            true => self.seal_inner(&[content, &[typ], &vec![0; padding]].concat()),
            false => self.own.seal(typ, content, false),
        }
    }

    /// A TLS 1.3 record with this TLSInnerPlaintext, valid or not.
    pub fn seal_inner(&mut self, inner: &[u8]) -> Vec<u8> {
        self.own.seal(DATA, inner, true)
    }

    /// Switches to the next key, as after a KeyUpdate.
    pub fn change_key(&mut self) {
        self.own.update();
    }

    /// Decrypts the whole records of `bytes`, and follows the other side's key changes.
    pub fn open(&mut self, mut bytes: &[u8]) -> Vec<Opened> {
        let mut opened = Vec::new();
        while let &[typ, _, _, high, low, ref rest @ ..] = bytes {
            let Some((body, behind)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))
            else {
                break;
            };
            let record = self.theirs.open(typ, body, self.is_tls13);
            if self.is_tls13 && record.typ == HANDSHAKE && record.content.first() == Some(&24) {
                self.theirs.update();
            }
            opened.push(record);
            bytes = behind;
        }
        opened
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label without a context (RFC 8446 §7.1).
fn expand(secret: &[u8], label: &[u8], length: usize) -> Vec<u8> {
    let label = [b"tls13 ", label].concat();
    let info = [&[0, length as u8, label.len() as u8], &label[..], &[0]].concat();
    let mut out = vec![0; length];
    let secret = Prk::new_less_safe(HKDF_SHA256, secret);
    secret.expand(&[&info], Length(length)).unwrap().fill(&mut out).unwrap();
    out
}

impl Direction {
    fn new((number, secrets): (u64, ConnectionTrafficSecrets), secret: Option<Vec<u8>>) -> Self {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another cipher") };
        if let Some(secret) = &secret {
            assert_eq!(expand(secret, b"key", 16), key.as_ref(), "the secret is the connection's");
        }
        Self::with(key.as_ref(), iv.as_ref(), number, secret)
    }

    fn with(key: &[u8], iv: &[u8], number: u64, secret: Option<Vec<u8>>) -> Self {
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).unwrap());
        Self { key, iv: iv.try_into().unwrap(), number, secret }
    }

    fn update(&mut self) {
        let secret = expand(self.secret.as_ref().unwrap(), b"traffic upd", 32);
        *self = Self::with(&expand(&secret, b"key", 16), &expand(&secret, b"iv", 12), 0, Some(secret));
    }

    fn nonce(&self, number: [u8; 8]) -> Nonce {
        let mut nonce = self.iv;
        nonce.iter_mut().skip(4).zip(number).for_each(|(byte, number)| *byte ^= number);
        Nonce::assume_unique_for_key(nonce)
    }

    /// The associated data; TLS 1.2 counts the plaintext, TLS 1.3 the ciphertext.
    fn aad(&self, typ: u8, length: usize, is_tls13: bool) -> Aad<Vec<u8>> {
        let header = [&[typ, 3, 3][..], &(length as u16).to_be_bytes()].concat();
        Aad::from(match is_tls13 {
            true => header,
            false => [&self.number.to_be_bytes()[..], &header].concat(),
        })
    }

    fn seal(&mut self, typ: u8, plain: &[u8], is_tls13: bool) -> Vec<u8> {
        let number = self.number.to_be_bytes();
        let aad = self.aad(typ, plain.len() + if is_tls13 { 16 } else { 0 }, is_tls13);
        let mut sealed = plain.to_vec();
        self.key.seal_in_place_append_tag(self.nonce(number), aad, &mut sealed).unwrap();
        self.number += 1;
        // TLS 1.2 sends the second part of the nonce: the record number, as used in the nonce.
        let explicit: Vec<u8> = match is_tls13 {
            true => Vec::new(),
            false => self.iv[4..].iter().zip(number).map(|(iv, number)| iv ^ number).collect(),
        };
        let length = (explicit.len() + sealed.len()) as u16;
        [&[typ, 3, 3][..], &length.to_be_bytes(), &explicit, &sealed].concat()
    }

    fn open(&mut self, typ: u8, body: &[u8], is_tls13: bool) -> Opened {
        let (nonce, sealed) = match is_tls13 {
            true => (self.nonce(self.number.to_be_bytes()), body),
            false => {
                let (explicit, sealed) = body.split_at(8);
                let nonce: Vec<u8> = [&self.iv[..4], explicit].concat();
                (Nonce::assume_unique_for_key(nonce.try_into().unwrap()), sealed)
            }
        };
        let aad = self.aad(typ, sealed.len() - if is_tls13 { 0 } else { 16 }, is_tls13);
        let mut plain = sealed.to_vec();
        let plain = self.key.open_in_place(nonce, aad, &mut plain).expect("a record of the connection");
        self.number += 1;
        match is_tls13 {
            false => Opened { typ, content: plain.to_vec() },
            true => {
                let at = plain.iter().rposition(|&byte| byte != 0).expect("a content type");
                Opened { typ: plain[at], content: plain[..at].to_vec() }
            }
        }
    }
}
