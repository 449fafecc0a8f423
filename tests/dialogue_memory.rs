//! Security row 12: after a login is dropped, the process holds no copy of its password, nor of the token
//! sent to a provider.
//!
//! The process searches its own memory for the secret, which the test itself keeps only masked. This is a
//! test binary of its own, so that no other test runs meanwhile.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Seek as _, SeekFrom};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::dialogue::{Dialogue, Event, Speech};
use imap_oauth_proxy::protocol::imap::Imap;
use imap_oauth_proxy::protocol::pop3::Pop3;
use imap_oauth_proxy::protocol::provider::ProviderDialogue as _;
use imap_oauth_proxy::protocol::submission::{Submission, upstream::SignIn};
use imap_oauth_proxy::protocol::{Channel, Credential, Limits, Request};
use imap_oauth_proxy::secret::{Secret, random_bytes};
use imap_oauth_proxy::wire::Buffer;
use zeroize::Zeroizing;

const MASK: u8 = 0x55;

#[test]
fn security_row_12_no_copy_of_a_password_lingers() {
    // The search must find the living copy, or it proves nothing.
    let secret = Masked::new();
    let kept = secret.reveal();
    assert!(secret.is_in_memory());
    drop(kept);
    assert!(!secret.is_in_memory());

    log_in("quoted, trickling in", b"a LOGIN alice \"x\\\\", b"\"\r\n", 1);
    log_in("atom, in pieces", b"a LOGIN alice ", b"\r\n", 7);
    log_in("literal", b"a LOGIN alice {32+}\r\n", b"\r\n", 100);
    log_in("behind other commands", b"a NOOP\r\nb CAPABILITY\r\nc LOGIN alice ", b"\r\n", 50);
    log_in_base64::<Imap>(b"a AUTHENTICATE PLAIN ", b"\0alice\0", 9);
    send_out_of_step();
    log_in_by_pop3();
    log_in_base64::<Pop3>(b"AUTH PLAIN ", b"\0alice\0", 9);
    log_in_base64::<Pop3>(b"AUTH PLAIN\r\n", b"\0recent:alice\0", 1);
    log_in_base64::<Submission>(b"EHLO x\r\nAUTH PLAIN ", b"\0alice\0", 9);
    log_in_base64::<Submission>(b"AUTH PLAIN\r\n", b"\0alice\0", 1);
    log_in_base64::<Submission>(b"auth login YWxpY2U=\r\n", b"", 100);
    sign_in();
}

/// Logs in with a new password, drops everything, and searches.
fn log_in(form: &str, before: &[u8], after: &[u8], piece: usize) {
    let secret = Masked::new();
    {
        let line = joined(&[before, &secret.reveal(), after]);
        assert_eq!(play::<Imap>(&line, piece), 1, "{form}");
    }
    assert!(!secret.is_in_memory(), "{form}");
}

/// Sends a password where a command begins, as a client does whose last command was refused.
fn send_out_of_step() {
    let secret = Masked::new();
    {
        // The allocator writes over the beginning of what is freed.
        let lines = joined(&[&[b'x'; 32], &secret.reveal(), b"\r\nb NOOP\r\n"]);
        assert_eq!(play::<Imap>(&lines, 100), 0);
    }
    assert!(!secret.is_in_memory());
}

/// Like [`log_in`], with USER and PASS.
fn log_in_by_pop3() {
    for piece in [1, 100] {
        let secret = Masked::new();
        {
            let line = joined(&[b"CAPA\r\nUSER alice\r\nPASS ", &secret.reveal(), b"\r\n"]);
            assert_eq!(play::<Pop3>(&line, piece), 1);
        }
        assert!(!secret.is_in_memory(), "in pieces of {piece}");
    }
}

/// Like [`log_in`], with a SASL message that begins with `before`: neither the password nor its base64 may
/// remain.
fn log_in_base64<P: Speech>(command: &[u8], before: &[u8], piece: usize) {
    let secret = Masked::new();
    let encoded = {
        let encoded = base64(&joined(&[before, &secret.reveal()]));
        assert_eq!(play::<P>(&joined(&[command, &encoded, b"\r\n"]), piece), 1);
        Masked::of(&encoded[encoded.len() - 34..])
    };
    assert!(!secret.is_in_memory(), "{}", command.escape_ascii());
    assert!(!encoded.is_in_memory(), "{}", command.escape_ascii());
}

/// Signs in at a submission server: neither the token nor its base64 may remain.
fn sign_in() {
    let secret = Masked::new();
    let encoded = {
        let plain = secret.reveal();
        let token = Secret::new(std::str::from_utf8(&plain).unwrap().to_owned());
        let credential = Credential {
            or_user: None,
            greeted: true,
            user: "alice",
            token: &token,
            mechanisms: &[Mechanism::Xoauth2],
            host: "smtp.example.com",
            port: 465,
            sasl_ir: None,
        };
        let mut sign_in = SignIn::new(&credential, None, None).unwrap();
        let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
        inbox.push(b"220 x\r\n250-x\r\n250 AUTH XOAUTH2\r\n334 \r\n235 OK\r\n");
        let step = sign_in.step(&mut inbox, &mut outbox).unwrap();
        assert!(step.is_some());
        let message = base64(&joined(&[b"user=alice\x01auth=Bearer ", &plain, b"\x01\x01"]));
        assert!(outbox.ends_with(&joined(&[&message, b"\r\n"])));
        Masked::of(&message[message.len() - 36..])
    };
    assert!(!secret.is_in_memory());
    assert!(!encoded.is_in_memory());
}

/// All pieces in one allocation, which is wiped.
fn joined(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut all = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.iter().for_each(|part| all.extend_from_slice(part));
    all
}

fn base64(message: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut encoded = Zeroizing::new(vec![0; message.len().div_ceil(3) * 4]);
    STANDARD.encode_slice(message, &mut encoded).unwrap();
    encoded
}

/// Plays a client that sends `line`; returns the number of logins.
fn play<P: Speech>(line: &[u8], piece: usize) -> usize {
    let mut dialogue = Dialogue::<P>::new(Channel::Tls, Limits::default());
    let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
    let mut logins = 0;
    for piece in line.chunks(piece) {
        inbox.push(piece);
        if let Event::Asks(Request::Login(login)) = dialogue.step(&mut inbox, &mut outbox) {
            logins += usize::from(login.password.expose().len() >= 32);
        }
    }
    logins
}

/// 32 bytes that are stored only masked.
struct Masked([u8; 32]);

impl Masked {
    fn new() -> Self {
        // Letters, so that every form of login can contain it.
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
