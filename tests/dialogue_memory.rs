//! Security row 12: once a login is dropped, no copy of its password is left in the process.
//!
//! The process reads its own memory and looks for the password, which the test itself keeps only
//! masked. A test binary of its own, so that nothing else runs meanwhile.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Seek as _, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap_oauth_proxy::protocol::dialogue::{ClientDialogue as _, Event};
use imap_oauth_proxy::protocol::imap::client::Dialogue;
use imap_oauth_proxy::protocol::{Channel, Limits};
use imap_oauth_proxy::secret::random_bytes;
use imap_oauth_proxy::wire::Buffer;
use zeroize::Zeroizing;

const MASK: u8 = 0x55;

#[test]
fn security_row_12_no_copy_of_a_password_lingers() {
    // Found while it lives, or the search proves nothing.
    let secret = Masked::new();
    let kept = secret.reveal();
    assert!(secret.is_in_memory());
    drop(kept);
    assert!(!secret.is_in_memory());

    log_in("quoted, trickling in", b"a LOGIN alice \"x\\\\", b"\"\r\n", 1);
    log_in("atom, in pieces", b"a LOGIN alice ", b"\r\n", 7);
    log_in("literal", b"a LOGIN alice {32+}\r\n", b"\r\n", 100);
    log_in("behind other commands", b"a NOOP\r\nb CAPABILITY\r\nc LOGIN alice ", b"\r\n", 50);
    log_in_plain();
}

/// Logs in with a fresh password, drops everything, and searches.
fn log_in(form: &str, before: &[u8], after: &[u8], piece: usize) {
    let secret = Masked::new();
    {
        let password = secret.reveal();
        let mut line = Zeroizing::new(Vec::with_capacity(before.len() + password.len() + after.len()));
        for part in [before, &password, after] {
            line.extend_from_slice(part);
        }
        assert_eq!(play(&line, piece), 1, "{form}");
    }
    assert!(!secret.is_in_memory(), "{form}");
}

/// The same through AUTHENTICATE PLAIN: neither the password nor its base64 stays.
fn log_in_plain() {
    const COMMAND: &[u8] = b"a AUTHENTICATE PLAIN ";
    let secret = Masked::new();
    let encoded = {
        let password = secret.reveal();
        let mut message = Zeroizing::new(Vec::with_capacity(64));
        for part in [b"\0alice\0", &password[..]] {
            message.extend_from_slice(part);
        }
        let mut encoded = Zeroizing::new(vec![0; 128]);
        let length = STANDARD.encode_slice(&*message, &mut encoded).unwrap();
        let mut line = Zeroizing::new(Vec::with_capacity(256));
        for part in [COMMAND, &encoded[..length], b"\r\n"] {
            line.extend_from_slice(part);
        }
        assert_eq!(play(&line, 9), 1);
        Masked::of(&encoded[16..48])
    };
    assert!(!secret.is_in_memory());
    assert!(!encoded.is_in_memory());
}

/// Plays a client that says `line`; the number of logins that came of it.
fn play(line: &[u8], piece: usize) -> usize {
    let mut dialogue = Dialogue::new(Channel::Tls, Limits::default());
    let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
    let mut logins = 0;
    for piece in line.chunks(piece) {
        inbox.push(piece);
        if let Event::Login(login) = dialogue.step(&mut inbox, &mut outbox) {
            logins += usize::from(login.password.expose().len() >= 32);
        }
    }
    logins
}

/// 32 bytes that are nowhere in plain.
struct Masked([u8; 32]);

impl Masked {
    fn new() -> Self {
        // Letters, so that every form of login can hold it.
        Self(random_bytes::<32>().map(|byte| (b'a' + byte % 26) ^ MASK))
    }

    fn of(plain: &[u8]) -> Self {
        let mut masked = Self([0; 32]);
        masked.0.iter_mut().zip(plain).for_each(|(masked, plain)| *masked = plain ^ MASK);
        masked
    }

    fn reveal(&self) -> Zeroizing<Vec<u8>> {
        let mut plain = Zeroizing::new(vec![0; self.0.len()]);
        plain.iter_mut().zip(self.0).for_each(|(plain, masked)| *plain = masked ^ MASK);
        plain
    }

    fn is_at(&self, bytes: &[u8]) -> bool {
        bytes.len() >= self.0.len() && bytes.iter().zip(self.0).all(|(plain, masked)| plain ^ MASK == masked)
    }

    /// Whether the plain bytes are anywhere in writable memory.
    fn is_in_memory(&self) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
        maps.lines().filter(|line| line.contains(" rw-p ")).any(|line| {
            let (range, _) = line.split_once(' ').unwrap();
            let (start, end) = range.split_once('-').unwrap();
            let start = u64::from_str_radix(start, 16).unwrap();
            let end = u64::from_str_radix(end, 16).unwrap();
            let mut bytes = Zeroizing::new(vec![0; usize::try_from(end - start).unwrap()]);
            let read = memory.seek(SeekFrom::Start(start)).and_then(|_| memory.read(&mut bytes)).unwrap_or(0);
            let bytes = &bytes[..read];
            memchr::memchr_iter(self.0[0] ^ MASK, bytes).any(|at| self.is_at(&bytes[at..]))
        })
    }
}
