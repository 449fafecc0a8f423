//! The IMAP dialogues.

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder as _;
use imap_codec::imap_types::auth::AuthMechanism;
use imap_codec::imap_types::command::{Command, CommandBody};
use imap_codec::imap_types::core::{AString, IString, NString};
use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::dialogue::Event;
use imap_oauth_proxy::protocol::imap::begin_tls::BeginTls;
use imap_oauth_proxy::protocol::imap::client::Dialogue;
use imap_oauth_proxy::protocol::imap::upstream::SignIn;
use imap_oauth_proxy::protocol::provider::ProviderDialogue;
use imap_oauth_proxy::protocol::{Accepted, Channel, Credential, Limits, Refusal, Request, sasl};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Buffer;

use super::{
    ALICE, TOKEN, Transcript, channel_and_limits, lines, play_client, play_provider, the_same_at_every_cut,
    the_same_in_pieces,
};

/// Checks all invariants of the mail program's side. The first byte chooses channel and limits, the second
/// the sizes of the pieces.
pub(crate) fn client(input: &[u8]) {
    let [mode, size, bytes @ ..] = input else { return };
    check_client_lines(&the_same_in_pieces(bytes, *size, |pieces| play(*mode, pieces)).said);
}

/// Checks every split of `bytes`.
pub(crate) fn client_at_every_cut(mode: u8, bytes: &[u8]) {
    check_client_lines(&the_same_at_every_cut(bytes, |pieces| play(mode, pieces)).said);
}

fn play(mode: u8, pieces: &[&[u8]]) -> Transcript {
    let (channel, limits) = channel_and_limits(mode);
    play_client(Dialogue::new(channel, limits), pieces, |_| None)
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
        // An RFC 5530 code, and a text after it.
        let third = words.next().unwrap_or_default();
        assert!(second != "NO" || (third.starts_with('[') && third.contains("] ")), "{line:?}");
    }
}

/// A command that imap-codec accepts before login must read the same in the dialogue.
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
            // A space at the end is not an empty initial response here: that is written `=`.
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
    let Event::Asks(Request::Login(login)) = event else { panic!("{event:?} instead of a login") };
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

/// Checks all invariants of the provider's side. The first byte chooses what is known beforehand, the second
/// the sizes of the pieces.
pub(crate) fn provider(input: &[u8]) {
    let [mode, size, bytes @ ..] = input else { return };
    check_provider_lines(&the_same_in_pieces(bytes, *size, |pieces| sign_in(*mode, pieces)).said);
}

/// Checks every split of `bytes`.
pub(crate) fn provider_at_every_cut(mode: u8, bytes: &[u8]) {
    check_provider_lines(&the_same_at_every_cut(bytes, |pieces| sign_in(mode, pieces)).said);
}

const TAG: &str = "a7";

/// Of the mode: the cleartext before TLS is played, not the sign-in.
const BEGIN_TLS: u8 = 32;

fn sign_in(mode: u8, pieces: &[&[u8]]) -> Transcript {
    if mode & BEGIN_TLS != 0 {
        return play_provider(Beginning(BeginTls::default()), pieces);
    }
    let token = Secret::new(TOKEN);
    let credential = Credential {
        or_user: None,
        greeted: mode & 8 == 0,
        user: ALICE,
        token: &token,
        mechanisms: match mode & 4 {
            0 => &[Mechanism::Xoauth2, Mechanism::Oauthbearer],
            _ => &[Mechanism::Oauthbearer],
        },
        host: "imap.example.com",
        port: 993,
        sasl_ir: [None, Some(true), Some(false), None][usize::from(mode & 3)],
    };
    play_provider(SignIn::new(TAG.as_bytes(), &credential).unwrap(), pieces)
}

/// The way into TLS as a sign-in that is accepted without a word.
struct Beginning(BeginTls);

impl ProviderDialogue for Beginning {
    type Outcome = Accepted;

    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        self.0.next(inbox)
    }

    fn hear(&mut self, answer: &[u8], outbox: &mut Buffer) -> Result<Option<Accepted>, Refusal> {
        Ok(self.0.hear(answer, outbox)?.map(|()| Accepted::default()))
    }
}

/// The provider must get only the lines of a sign-in.
fn check_provider_lines(said: &[u8]) {
    for line in lines(said) {
        let known = matches!(line, "" | "AQ==" | "P1 CAPABILITY" | "P2 STARTTLS")
            || line.starts_with("a7 AUTHENTICATE XOAUTH2")
            || line.starts_with("a7 AUTHENTICATE OAUTHBEARER")
            || sasl::decode_base64(line.as_bytes()).is_some_and(|message| message.ends_with(b"\x01\x01"));
        assert!(known, "{line:?}");
    }
}
