//! The submission dialogues.

use std::sync::Arc;

use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::provider::ProviderDialogue as _;
use imap_oauth_proxy::protocol::submission::SessionWatch;
use imap_oauth_proxy::protocol::submission::begin_tls::BeginTls;
use imap_oauth_proxy::protocol::submission::client::Dialogue;
use imap_oauth_proxy::protocol::submission::upstream::SignIn;
use imap_oauth_proxy::protocol::{Credential, Overheard, Promises, Watch as _, sasl};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Buffer;

use super::{
    ALICE, TOKEN, Transcript, channel_and_limits, lines, play_client, play_provider, the_same_at_every_cut,
    the_same_in_pieces, told,
};

/// The proxy's own name in EHLO.
const OWN_NAME: &str = "imap-oauth-proxy.localhost";
/// A second name to try.
const TEAM: &str = "team@example.com";
/// Includes the line end (RFC 5321 §4.5.3.1.4 and .5).
const LINE_LIMIT: usize = 512;
/// The limit of a line with a SASL message, including the line end (RFC 4954 §4).
const MESSAGE_LIMIT: usize = 12_288;

/// Checks all invariants of the sender's side. The first byte chooses channel and limits, the second the
/// sizes of the pieces.
pub(crate) fn client(input: &[u8]) {
    let [mode, size, bytes @ ..] = input else { return };
    check_replies(&the_same_in_pieces(bytes, *size, |pieces| play(*mode, pieces)).said);
}

/// Checks every split of `bytes`.
pub(crate) fn client_at_every_cut(mode: u8, bytes: &[u8]) {
    check_replies(&the_same_at_every_cut(bytes, |pieces| play(mode, pieces)).said);
}

fn play(mode: u8, pieces: &[&[u8]]) -> Transcript {
    let (channel, limits) = channel_and_limits(mode);
    let mut dialogue = Dialogue::new(channel, limits);
    if mode & 0x40 != 0 {
        dialogue.promise(&promises());
    }
    if mode & DEVICE != 0 {
        dialogue.admit_device();
    }
    play_client(dialogue, pieces, |dialogue| Some(sign_in_behind(dialogue)))
}

/// Of the mode: the client's address stands for an account.
const DEVICE: u8 = 0x20;

fn promises() -> Arc<Promises> {
    let lines = ["SIZE 35882577", "PIPELINING", "8BITMIME"].map(str::to_owned);
    Arc::new(Promises::common(std::iter::once(&lines[..])))
}

/// Every reply must be valid: code, mark and text in at most 512 octets, and the same code in each of its
/// lines.
pub(crate) fn check_replies(said: &[u8]) {
    let mut begun = None;
    for line in lines(said) {
        assert!(line.len() + 2 <= LINE_LIMIT, "{} octets: {line:?}", line.len() + 2);
        let (code, rest) = line.split_at_checked(3).unwrap();
        assert!(
            code.bytes().all(|byte| byte.is_ascii_digit()) && matches!(&code[..1], "2" | "3" | "4" | "5")
        );
        assert!(begun.is_none_or(|begun| begun == code), "{line:?} goes on with another code");
        begun = match rest.as_bytes().first() {
            Some(b'-') => Some(code),
            Some(b' ') => None,
            _ => panic!("{line:?}"),
        };
    }
    assert_eq!(begun, None, "a reply without its last line");
}

/// The lines that a provider gets after a login: none of the client's, except the name in its EHLO.
fn sign_in_behind(dialogue: &Dialogue) -> String {
    let token = Secret::new(TOKEN);
    let credential = credential(&token, 0);
    let script = b"220 x\r\n250-x\r\n250 AUTH XOAUTH2\r\n334 \r\n235 2.7.0 OK\r\n";
    let name = dialogue.client_name();
    let promises = dialogue.promises();
    let heard = play_provider(SignIn::new(&credential, name, promises).unwrap(), &[script]).said;
    let name = name.unwrap_or(OWN_NAME);
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    assert!((1..=255).contains(&name.len()) && name.bytes().all(harmless), "{name:?}");
    let message = "dXNlcj1hbGljZUBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LlRFU1QBAQ==";
    let expected = format!("EHLO {name}\r\nAUTH XOAUTH2\r\n{message}\r\n");
    assert_eq!(String::from_utf8_lossy(&heard), expected);
    name.to_owned()
}

/// Checks all invariants of the provider's side. The first byte chooses what is known beforehand, the second
/// the sizes of the pieces.
pub(crate) fn provider(input: &[u8]) {
    let [mode, size, bytes @ ..] = input else { return };
    check_commands(*mode, &the_same_in_pieces(bytes, *size, |pieces| say(*mode, pieces)).said);
    overhear(bytes.chunks(usize::from(*size).max(1)));
}

/// After the login any bytes may be overheard, and the result must be safe to show to a person.
fn overhear<'a>(pieces: impl Iterator<Item = &'a [u8]>) {
    let mut watch = SessionWatch::of_device();
    for piece in pieces {
        watch.overhear_client(piece);
        watch.overhear(piece, &mut |overheard| {
            let Overheard::MessageRefused { code, advice } = overheard else { return };
            assert!(code.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'), "{code:?}");
            assert!(!advice.cause.is_empty() && !advice.remedy.is_empty());
        });
    }
}

/// Checks every split of `bytes`; returns the events.
pub(crate) fn provider_at_every_cut(mode: u8, bytes: &[u8]) -> String {
    let transcript = the_same_at_every_cut(bytes, |pieces| say(mode, pieces));
    check_commands(mode, &transcript.said);
    transcript.events.join("; ")
}

/// Bits of the mode: 1, the server has greeted already; 2, OAUTHBEARER only; 4, a second name; 8, known
/// capabilities; 16, the client's name; 32, the cleartext before STARTTLS.
const BEGIN_TLS: u8 = 32;

fn say(mode: u8, pieces: &[&[u8]]) -> Transcript {
    if mode & BEGIN_TLS != 0 {
        return play_begin_tls(pieces);
    }
    let token = Secret::new(TOKEN);
    let promises = (mode & 8 != 0).then(promises);
    let credential = credential(&token, mode);
    play_provider(SignIn::new(&credential, client_name(mode), promises.as_deref()).unwrap(), pieces)
}

fn client_name(mode: u8) -> Option<&'static str> {
    (mode & 16 != 0).then_some("scanner.corp.example")
}

fn credential(token: &Secret, mode: u8) -> Credential<'_> {
    Credential {
        or_user: (mode & 4 != 0).then_some(TEAM),
        greeted: mode & 1 == 0,
        user: ALICE,
        token,
        mechanisms: match mode & 2 {
            0 => &[Mechanism::Xoauth2, Mechanism::Oauthbearer],
            _ => &[Mechanism::Oauthbearer],
        },
        host: "smtp.example.com",
        port: 465,
        sasl_ir: None,
    }
}

fn play_begin_tls(pieces: &[&[u8]]) -> Transcript {
    let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
    let mut transcript = Transcript::default();
    let (mut begin_tls, mut rest) = (BeginTls::default(), pieces.iter());
    loop {
        match begin_tls.step(&mut inbox, &mut outbox) {
            Ok(None) => match rest.next() {
                Some(piece) => inbox.push(piece),
                None => break,
            },
            Ok(Some(())) => {
                transcript.events.push("starttls".into());
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

/// The provider must get only the lines of a sign-in, in their order.
fn check_commands(mode: u8, said: &[u8]) {
    let name = client_name(mode).filter(|_| mode & BEGIN_TLS == 0).unwrap_or(OWN_NAME);
    let lines = lines(said);
    let mut lines = lines.iter().copied();
    let Some(ehlo) = lines.next() else { return };
    assert_eq!(ehlo, format!("EHLO {name}"));
    if mode & BEGIN_TLS != 0 {
        assert!(lines.all(|line| line == "STARTTLS"), "{}", said.escape_ascii());
        return;
    }
    let own_ehlo = format!("EHLO {OWN_NAME}");
    let mut before = ehlo;
    for line in lines {
        let asked = before.starts_with("AUTH ");
        let known = match line {
            "AUTH XOAUTH2" => mode & 2 == 0 && !asked,
            "AUTH OAUTHBEARER" => !asked,
            // Sent after the client's name was refused.
            own if own == own_ehlo => before == ehlo && ehlo != own_ehlo,
            // The answers to a challenge.
            "" | "AQ==" => !asked && !before.starts_with("EHLO "),
            message => asked && is_message(message.as_bytes(), TOKEN),
        };
        assert!(known, "{line:?} behind {before:?}");
        before = line;
    }
}

/// Whether the line is Alice's or the team's message with `token`, within the limit.
fn is_message(line: &[u8], token: &str) -> bool {
    let Some(message) = sasl::decode_base64(line) else { return false };
    let text = String::from_utf8_lossy(&message);
    let is_of = |user: &str| {
        text == format!("user={user}\x01auth=Bearer {token}\x01\x01")
            || text
                == format!("n,a={user},\x01host=smtp.example.com\x01port=465\x01auth=Bearer {token}\x01\x01")
    };
    line.len() + 2 <= MESSAGE_LIMIT && (is_of(ALICE) || is_of(TEAM))
}

/// A token of any length is sent in a line of its own, after a short AUTH line.
pub(crate) fn two_steps(token: &str, mode: u8) {
    let secret = Secret::new(token);
    let credential = credential(&secret, mode & 2);
    let script = b"220 x\r\n250-x\r\n250 AUTH OAUTHBEARER XOAUTH2\r\n334 \r\n235 2.7.0 OK\r\n";
    let transcript = the_same_at_every_cut(script, |pieces| {
        play_provider(SignIn::new(&credential, None, None).unwrap(), pieces)
    });
    assert!(transcript.events.iter().any(|event| event.starts_with("accepted 235 ")), "{transcript:?}");
    let [ehlo, auth, message] = lines(&transcript.said)[..] else { panic!("{transcript:?}") };
    assert!(ehlo.len() + 2 <= LINE_LIMIT && auth.len() + 2 <= LINE_LIMIT);
    assert_eq!(auth.split(' ').count(), 2, "no token beside the mechanism: {auth:?}");
    assert!(is_message(message.as_bytes(), token), "{} octets", message.len());
}
