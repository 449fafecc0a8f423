//! What holds for every input of both dialogues. The property tests and the fuzz targets share it.
//!
//! * However the bytes are cut on their way, the answers, the events and the unread rest are the same.
//! * Every line that we write is a line: printable ASCII, CRLF, and of a kind that we write.
//! * What imap-codec, an independent reader, accepts as a command reads the same here.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::{AString, IString, NString};
use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::dialogue::{ClientDialogue as _, Event, ProviderDialogue as _, Step};
use imap_oauth_proxy::protocol::imap::client::Dialogue;
use imap_oauth_proxy::protocol::imap::upstream::SignIn;
use imap_oauth_proxy::protocol::{Channel, Code, Credential, Denial, DialogueEnd, Limits, sasl};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Buffer;

/// Bounds small enough to be met by small inputs.
const SMALL: Limits = Limits { command: 300, literal: 64, bytes: 1500, commands: 12, failed_logins: 3 };

/// All that came of an input.
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

/// Holds the mail program's side to all of it. The first byte chooses channel and limits, the second how the
/// input is cut.
pub(crate) fn client(input: &[u8]) {
    let [mode, cut, bytes @ ..] = input else { return };
    let channel = [Channel::Tls, Channel::StartTls, Channel::Cleartext][usize::from(mode % 3)];
    let limits = if mode & 0x80 == 0 { Limits::default() } else { SMALL };
    let whole = play_client(channel, limits, bytes, bytes.len());
    let cut = play_client(channel, limits, bytes, usize::from(*cut).max(1));
    assert_eq!(whole, cut);
    check_client_lines(&whole.said);
}

fn play_client(channel: Channel, limits: Limits, input: &[u8], size: usize) -> Transcript {
    let mut dialogue = Dialogue::new(channel, limits);
    let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
    let mut transcript = Transcript::default();
    let mut rest = input.chunks(size.max(1));
    loop {
        let event = dialogue.step(&mut inbox, &mut outbox);
        let over = match &event {
            Event::More => match rest.next() {
                Some(piece) => {
                    inbox.push(piece);
                    continue;
                }
                None => break,
            },
            Event::Login(login) => {
                transcript.events.push(format!("{:?} {:?}", login.name, login.password.expose()));
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
            Event::StartTls(_) => {
                transcript.events.push("starttls".into());
                true
            }
            Event::End(end) => {
                transcript.events.push(name(end));
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

/// A decision that depends on the login alone, and text from outside in its answer.
fn decide(name: &str, password: &str) -> Option<Denial> {
    match (name.len() + password.len()) % 3 {
        0 => Some(Denial::wrong_password()),
        1 => Some(Denial::new(Code::Unavailable, format!("{name}\r\n* BYE {password}")).alert()),
        _ => None,
    }
}

fn name(end: &DialogueEnd) -> String {
    match end {
        // Where two limits are passed at once, the cut decides which one is noticed.
        DialogueEnd::Limit(_) => "end: limit".into(),
        end => format!("end: {end}"),
    }
}

fn check_client_lines(said: &[u8]) {
    for line in lines(said) {
        let mut words = line.splitn(3, ' ');
        let (first, second) = (words.next().unwrap(), words.next().unwrap_or_default());
        let known = match first {
            "*" => ["OK", "BAD", "NO", "BYE", "CAPABILITY", "ID"].contains(&second),
            "+" => ["", "Go", "VXNlcm5hbWU6", "UGFzc3dvcmQ6"].contains(&second),
            _ => ["OK", "NO", "BAD"].contains(&second),
        };
        assert!(known, "{line:?}");
        // RFC 5530 codes, and a text behind them.
        let third = words.next().unwrap_or_default();
        assert!(second != "NO" || (third.starts_with('[') && third.contains("] ")), "{line:?}");
    }
}

/// The lines of what we said, each checked to be one.
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

/// Whatever imap-codec takes for a command before login, the dialogue takes for the same.
pub(crate) fn command(input: &[u8]) {
    let Ok((rest, Command { tag, body })) = CommandCodec::default().decode(input) else { return };
    let bytes = &input[..input.len() - rest.len()];
    let limits = Limits::default();
    if tag.as_ref().len() > 1024 || bytes.len() > limits.literal {
        return;
    }
    let mut dialogue = Dialogue::new(Channel::Tls, limits);
    let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
    dialogue.step(&mut inbox, &mut outbox);
    outbox.clear();
    inbox.push(bytes);
    let event = dialogue.step(&mut inbox, &mut outbox);
    let said = String::from_utf8_lossy(&outbox).into_owned();
    let answered = |answer: &str| {
        let line = format!("{} {answer}", tag.as_ref());
        assert!(said.split("\r\n").any(|said| said.starts_with(&line)), "{line:?} for {bytes:?}: {said:?}");
    };
    match body {
        CommandBody::Capability => answered("OK CAPABILITY"),
        CommandBody::Noop => answered("OK NOOP"),
        CommandBody::Logout => answered("OK LOGOUT"),
        CommandBody::StartTLS => answered("BAD TLS"),
        CommandBody::Id { parameters } => {
            let ok = parameters.is_none_or(|pairs| is_within_bounds(&pairs));
            answered(if ok { "OK ID" } else { "BAD" });
        }
        CommandBody::Login { username, password } => {
            is_login(&event, astring(&username), astring(password.declassify()));
        }
        CommandBody::Authenticate { mechanism, initial_response } => {
            let response = initial_response.as_ref().map(|response| response.declassify().as_ref());
            // A blank at the end is not an empty response to us: that is `=`.
            let response = response.filter(|bytes| !bytes.is_empty() || input_has_equals(input));
            match (mechanism, response) {
                (AuthMechanism::Plain, Some(message)) => match sasl::decode_plain(message) {
                    Ok(login) => {
                        is_login(&event, login.name.as_bytes(), login.password.expose().as_bytes());
                    }
                    Err(sasl::PlainError::Malformed) => answered("BAD"),
                    Err(sasl::PlainError::OtherIdentity) => answered("NO [AUTHORIZATIONFAILED]"),
                },
                (AuthMechanism::Plain, None) => assert_eq!(said, "+ \r\n"),
                (AuthMechanism::Login, None | Some(b"")) => assert_eq!(said, "+ VXNlcm5hbWU6\r\n"),
                (AuthMechanism::Login, Some(_)) => assert_eq!(said, "+ UGFzc3dvcmQ6\r\n"),
                _ => answered("NO [CANNOT]"),
            }
        }
        _ => answered("BAD"),
    }
}

fn input_has_equals(input: &[u8]) -> bool {
    let line = input.split(|&byte| byte == b'\r').next().unwrap_or_default();
    line.ends_with(b" =")
}

fn is_login(event: &Event, name: &[u8], password: &[u8]) {
    let Event::Login(login) = event else { panic!("{event:?} instead of a login") };
    assert_eq!(login.name, sasl::text_of(name));
    assert_eq!(login.password.expose(), sasl::text_of(password));
}

fn astring<'a>(text: &'a AString<'_>) -> &'a [u8] {
    match text {
        AString::Atom(atom) => atom.as_ref().as_bytes(),
        AString::String(string) => istring(string),
    }
}

fn istring<'a>(string: &'a IString<'_>) -> &'a [u8] {
    match string {
        IString::Literal(literal) => literal.as_ref(),
        IString::Quoted(quoted) => quoted.as_ref().as_bytes(),
    }
}

fn is_within_bounds(pairs: &[(IString<'_>, NString<'_>)]) -> bool {
    let fields: Vec<_> = pairs.iter().map(|(field, _)| istring(field).to_ascii_lowercase()).collect();
    let repeated = fields.iter().enumerate().any(|(at, field)| fields[..at].contains(field));
    let short = pairs.iter().all(|(field, value)| {
        istring(field).len() <= 30 && value.0.as_ref().is_none_or(|value| istring(value).len() <= 1024)
    });
    pairs.len() <= 30 && short && !repeated
}

/// Holds the provider's side to all of it. The first byte chooses what is known beforehand, the second how the
/// input is cut.
pub(crate) fn provider(input: &[u8]) {
    let [mode, cut, bytes @ ..] = input else { return };
    let whole = play_provider(*mode, bytes, bytes.len());
    let cut = play_provider(*mode, bytes, usize::from(*cut).max(1));
    assert_eq!(whole, cut);
    check_provider_lines(&whole.said);
}

const TAG: &str = "a7";

fn play_provider(mode: u8, input: &[u8], size: usize) -> Transcript {
    let token = Secret::new("ya29.TEST");
    let credential = Credential {
        or_user: None,
        greeted: true,
        user: "alice@example.com",
        token: &token,
        mechanisms: match mode & 4 {
            0 => &[Mechanism::Xoauth2, Mechanism::Oauthbearer],
            _ => &[Mechanism::Oauthbearer],
        },
        host: "imap.example.com",
        port: 993,
        sasl_ir: [None, Some(true), Some(false), None][usize::from(mode & 3)],
    };
    let mut sign_in = SignIn::new(TAG.as_bytes(), &credential).unwrap();
    let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
    let mut transcript = Transcript::default();
    let mut rest = input.chunks(size.max(1));
    loop {
        match sign_in.step(&mut inbox, &mut outbox) {
            Ok(Step::More) => match rest.next() {
                Some(piece) => inbox.push(piece),
                None => break,
            },
            Ok(Step::Accepted(accepted)) => {
                let passed_on = accepted.lines();
                assert!(passed_on.ends_with(b"\n"));
                transcript.events.push(format!("accepted {}", passed_on.escape_ascii()));
                transcript.unread = inbox.to_vec();
                rest.by_ref().for_each(|piece| transcript.unread.extend_from_slice(piece));
                break;
            }
            Err(refusal) => {
                let (log, denial) = (refusal.to_string(), refusal.denial());
                assert!(log.bytes().chain(denial.text.bytes()).all(|byte| (b' '..=b'~').contains(&byte)));
                transcript.events.push(log);
                break;
            }
        }
    }
    transcript.said = outbox.to_vec();
    transcript
}

/// Nothing goes up but the lines that a sign-in consists of.
fn check_provider_lines(said: &[u8]) {
    for line in lines(said) {
        let known = matches!(line, "" | "AQ==" | "P1 CAPABILITY")
            || line.starts_with("a7 AUTHENTICATE XOAUTH2")
            || line.starts_with("a7 AUTHENTICATE OAUTHBEARER")
            || sasl::decode_base64(line.as_bytes()).is_some_and(|message| message.ends_with(b"\x01\x01"));
        assert!(known, "{line:?}");
    }
}
