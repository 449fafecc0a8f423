//! The invariants of the dialogues for every input, for the property tests and the fuzz targets.
//!
//! * However the bytes are cut on their way, the answers, the events and the unread rest are the same.
//! * Every line that we write is a line: printable ASCII, CRLF, and of a kind that we write.
//! * IMAP: what imap-codec, an independent reader, accepts as a command reads the same here.
//! * POP3: every answer of ours is one (RFC 1939 §3), and nothing that a client says before its login is said to its
//!   provider.
//! * Submission: every reply of ours is one (RFC 5321 §4.2), and nothing that a client says before its login is said
//!   to its provider, but for the name in EHLO where that is a domain or an address literal.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub(crate) mod imap;
pub(crate) mod pop3;
pub(crate) mod submission;

use imap_oauth_proxy::protocol::dialogue::{Dialogue, Event, Speech};
use imap_oauth_proxy::protocol::provider::ProviderDialogue;
use imap_oauth_proxy::protocol::{Accepted, Channel, Code, Denial, DialogueEnd, Limits, Refusal, Request};
use imap_oauth_proxy::wire::Buffer;

/// Limits that small inputs reach.
const SMALL: Limits = Limits { command: 300, literal: 64, bytes: 1500, commands: 12, failed_logins: 3 };

/// The account that the tests sign in.
const ALICE: &str = "alice@example.com";
const TOKEN: &str = "ya29.TEST";

/// A client's channel and limits, chosen by one byte.
fn channel_and_limits(mode: u8) -> (Channel, Limits) {
    let channel = [Channel::Tls, Channel::StartTls, Channel::Cleartext][usize::from(mode % 3)];
    (channel, if mode & 0x80 == 0 { Limits::default() } else { SMALL })
}

/// The results of an input.
#[derive(Default, PartialEq, Eq)]
struct Transcript {
    said: Vec<u8>,
    events: Vec<String>,
    unread: Vec<u8>,
}

impl std::fmt::Debug for Transcript {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { said, events, unread } = self;
        write!(f, "said {}\nevents {events:?}\nunread {}\n", said.escape_ascii(), unread.escape_ascii())
    }
}

/// The transcript of `bytes`, which must be the same in one piece and in pieces of `size`.
fn the_same_in_pieces(bytes: &[u8], size: u8, play: impl Fn(&[&[u8]]) -> Transcript) -> Transcript {
    let whole = play(&[bytes]);
    let pieces: Vec<_> = bytes.chunks(usize::from(size).max(1)).collect();
    assert_eq!(whole, play(&pieces), "in pieces of {size}");
    whole
}

/// The transcript of `bytes`, which must be the same for every split in two and in pieces of every size.
fn the_same_at_every_cut(bytes: &[u8], play: impl Fn(&[&[u8]]) -> Transcript) -> Transcript {
    let whole = play(&[bytes]);
    for at in 1..=bytes.len() {
        let (before, behind) = bytes.split_at(at);
        assert_eq!(whole, play(&[before, behind]), "cut at {at}");
        let pieces: Vec<_> = bytes.chunks(at).collect();
        assert_eq!(whole, play(&pieces), "in pieces of {at}");
    }
    whole
}

/// Plays a client that sends `pieces` and then waits until the proxy ends the connection. The result of
/// `at_login` is recorded as an event.
#[allow(clippy::too_many_lines, reason = "a kind of event each")]
fn play_client<P: Speech>(
    mut dialogue: Dialogue<P>,
    pieces: &[&[u8]],
    at_login: impl Fn(&Dialogue<P>) -> Option<String>,
) -> Transcript {
    let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
    let mut transcript = Transcript::default();
    let mut rest = pieces.iter();
    loop {
        let over = match dialogue.step(&mut inbox, &mut outbox) {
            Event::More => match rest.next() {
                Some(piece) => {
                    inbox.push(piece);
                    false
                }
                None => {
                    dialogue.dismissed(&Denial::new(Code::Unavailable, "Enough\r\n* OK"), &mut outbox);
                    true
                }
            },
            Event::Asks(Request::Login(login)) => {
                transcript.events.push(format!("{:?} {:?}", login.name, login.password.expose()));
                transcript.events.extend(at_login(&dialogue));
                match decide(&login.name, login.password.expose()) {
                    Some(denial) => match dialogue.denied(&denial, &mut outbox) {
                        Some(end) => {
                            transcript.events.push(name(&end));
                            true
                        }
                        None => false,
                    },
                    None => {
                        dialogue.accepted();
                        true
                    }
                }
            }
            // Every second login is refused, with any name and password.
            Event::Asks(Request::Send) => {
                transcript.events.push("send".into());
                transcript.events.extend(at_login(&dialogue));
                let is_refused = transcript.events.iter().filter(|event| *event == "send").count() % 2 == 1;
                match is_refused {
                    true => {
                        let denial = Denial::new(Code::Expired, "Run x\r\n235 2.7.0 Accepted");
                        dialogue.denied(&denial, &mut outbox);
                        false
                    }
                    false => {
                        dialogue.accepted();
                        true
                    }
                }
            }
            Event::Asks(Request::StartTls { .. }) => {
                transcript.events.push("starttls".into());
                true
            }
            Event::End(end) => {
                transcript.events.push(name(&end));
                true
            }
        };
        if over {
            break;
        }
    }
    transcript.said = outbox.to_vec();
    let ended = transcript.events.last().is_some_and(|event| event.starts_with("end"));
    if !ended {
        transcript.unread = inbox.to_vec();
        rest.for_each(|piece| transcript.unread.extend_from_slice(piece));
    }
    transcript
}

/// A decision that depends on the login only, with outside text in its answer.
fn decide(name: &str, password: &str) -> Option<Denial> {
    let text = || format!("{name}\r\n* BYE {password}\r\n235 2.7.0 Accepted");
    match (name.len() + password.len()) % 4 {
        0 => Some(Denial::wrong_password()),
        1 => Some(Denial::new(Code::Unavailable, text()).alert()),
        2 => Some(Denial::new(Code::AuthorizationFailed, text())),
        _ => None,
    }
}

fn name(end: &DialogueEnd) -> String {
    match end {
        // If two limits are exceeded at once, the split decides which one is noticed.
        DialogueEnd::Limit(_) => "end: limit".into(),
        end => format!("end: {end}"),
    }
}

/// Plays a provider that sends `pieces`.
fn play_provider(mut sign_in: impl ProviderDialogue<Outcome = Accepted>, pieces: &[&[u8]]) -> Transcript {
    let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
    let mut transcript = Transcript::default();
    let mut rest = pieces.iter();
    loop {
        match sign_in.step(&mut inbox, &mut outbox) {
            Ok(None) => match rest.next() {
                Some(piece) => inbox.push(piece),
                None => break,
            },
            Ok(Some(accepted)) => {
                let passed_on = accepted.lines();
                assert!(passed_on.is_empty() || passed_on.ends_with(b"\n"));
                let beside = (accepted.by_other_name, &accepted.lacking);
                transcript.events.push(format!("accepted {} {beside:?}", passed_on.escape_ascii()));
                transcript.unread = inbox.to_vec();
                rest.for_each(|piece| transcript.unread.extend_from_slice(piece));
                break;
            }
            Err(refusal) => {
                transcript.events.push(told(&refusal));
                break;
            }
        }
    }
    transcript.said = outbox.to_vec();
    transcript
}

/// The log's text of a refusal. Neither this nor the client's answer may contain a line end.
fn told(refusal: &Refusal) -> String {
    let (log, denial) = (refusal.to_string(), refusal.denial());
    assert!(log.bytes().chain(denial.text.bytes()).all(|byte| (b' '..=b'~').contains(&byte)));
    log
}

/// The lines of `said`, each checked to be valid.
fn lines(said: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(said).unwrap();
    let Some(text) = text.strip_suffix("\r\n") else {
        assert!(text.is_empty(), "{text:?}");
        return Vec::new();
    };
    let lines: Vec<_> = text.split("\r\n").collect();
    for line in &lines {
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{line:?}");
    }
    lines
}
