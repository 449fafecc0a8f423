//! The POP3 dialogues.

use std::sync::Arc;

use imap_oauth_proxy::config::Mechanism;
use imap_oauth_proxy::protocol::pop3::SessionWatch;
use imap_oauth_proxy::protocol::pop3::begin_tls::BeginTls;
use imap_oauth_proxy::protocol::pop3::client::Dialogue;
use imap_oauth_proxy::protocol::pop3::upstream::SignIn;
use imap_oauth_proxy::protocol::provider::ProviderDialogue as _;
use imap_oauth_proxy::protocol::{Credential, Overheard, Promises, Watch as _, sasl};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Buffer;

use super::{
    ALICE, TOKEN, Transcript, channel_and_limits, lines, play_client, play_provider, the_same_at_every_cut,
    the_same_in_pieces, told,
};

/// With line end (RFC 2449 §4).
const LINE_LIMIT: usize = 512;
/// Of a command, with line end (RFC 2449 §4).
const COMMAND_LIMIT: usize = 255;

/// Checks all invariants of the client's side. The first byte chooses channel and limits, the second how the input is
/// cut.
pub(crate) fn client(input: &[u8]) {
    let [mode, size, bytes @ ..] = input else { return };
    check_answers(&the_same_in_pieces(bytes, *size, |pieces| play(*mode, pieces)).said);
}

/// Checks every split of `bytes`.
pub(crate) fn client_at_every_cut(mode: u8, bytes: &[u8]) {
    check_answers(&the_same_at_every_cut(bytes, |pieces| play(mode, pieces)).said);
}

fn play(mode: u8, pieces: &[&[u8]]) -> Transcript {
    let (channel, limits) = channel_and_limits(mode);
    let mut dialogue = Dialogue::new(channel, limits);
    if mode & 0x40 != 0 {
        let promised = ["TOP", "UIDL"].map(str::to_owned);
        dialogue.promise(&Arc::new(Promises::common(std::iter::once(&promised[..]))));
    }
    play_client(dialogue, pieces, |dialogue| Some(dialogue.wants_recent().to_string()))
}

/// Every answer must be valid: a status line, a challenge, or a list up to its dot, each line in at most 512 octets,
/// and no timestamp that APOP could use.
pub(crate) fn check_answers(said: &[u8]) {
    let mut in_list = false;
    for line in lines(said) {
        assert!(line.len() + 2 <= LINE_LIMIT, "{} octets: {line:?}", line.len() + 2);
        if in_list {
            in_list = line != ".";
            continue;
        }
        in_list = matches!(line, "+OK Capability list follows" | "+OK Mechanisms follow");
        assert!(["+OK ", "-ERR ", "+ "].iter().any(|mark| line.starts_with(mark)), "{line:?}");
        assert!(!line.starts_with("+OK") || !line.contains(['<', '>']), "{line:?}");
    }
    assert!(!in_list, "a list without its dot");
}

/// Checks all invariants of the provider's side. The first byte chooses what is known beforehand, the second how the
/// input is cut.
pub(crate) fn provider(input: &[u8]) {
    let [mode, size, bytes @ ..] = input else { return };
    check_commands(*mode, &the_same_in_pieces(bytes, *size, |pieces| say(*mode, pieces)).said);
    overhear(bytes, usize::from(*size).max(1));
}

/// After the login the dialogue may read any bytes, and their split does not decide when the session may end.
fn overhear(bytes: &[u8], size: usize) {
    let end = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut watch = SessionWatch::default();
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            watch.overhear(piece, &mut |overheard| {
                let Overheard::Trouble(advice) = overheard else { panic!("{overheard:?}") };
                assert!(!advice.cause.is_empty() && !advice.remedy.is_empty());
            });
        }
        watch.last_word([0; 4], "Enough")
    };
    assert_eq!(end(&mut std::iter::once(bytes)), end(&mut bytes.chunks(size)));
}

/// Checks every split of `bytes`; returns the events.
pub(crate) fn provider_at_every_cut(mode: u8, bytes: &[u8]) -> String {
    let transcript = the_same_at_every_cut(bytes, |pieces| say(mode, pieces));
    check_commands(mode, &transcript.said);
    transcript.events.join("; ")
}

/// Mode: 1, it has greeted already; 2, OAUTHBEARER alone; 4, the mail of the last days; 32, the cleartext before STLS.
const BEGIN_TLS: u8 = 32;

fn say(mode: u8, pieces: &[&[u8]]) -> Transcript {
    if mode & BEGIN_TLS != 0 {
        return play_begin_tls(pieces);
    }
    let token = Secret::new(TOKEN);
    let user = user(mode);
    play_provider(SignIn::new(&credential(&token, &user, mode)).unwrap(), pieces)
}

fn user(mode: u8) -> String {
    let recent = if mode & 4 == 0 { "" } else { "recent:" };
    format!("{recent}{ALICE}")
}

fn credential<'a>(token: &'a Secret, user: &'a str, mode: u8) -> Credential<'a> {
    Credential {
        or_user: None,
        greeted: mode & 1 == 0,
        user,
        token,
        mechanisms: match mode & 2 {
            0 => &[Mechanism::Xoauth2, Mechanism::Oauthbearer],
            _ => &[Mechanism::Oauthbearer],
        },
        host: "pop.example.com",
        port: 995,
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

/// The provider must get only the lines of a sign-in, in their order, and never QUIT.
fn check_commands(mode: u8, said: &[u8]) {
    let lines = lines(said);
    if mode & BEGIN_TLS != 0 {
        assert!(lines.iter().all(|line| *line == "STLS") && lines.len() <= 1, "{lines:?}");
        return;
    }
    let mut before = "";
    for line in lines {
        let asked = before.starts_with("AUTH ");
        let known = match line {
            "CAPA" => before.is_empty(),
            "AUTH XOAUTH2" => before == "CAPA" && mode & 2 == 0,
            "AUTH OAUTHBEARER" => before == "CAPA",
            // The answers to a challenge.
            "" | "AQ==" => !asked && before != "CAPA" && !before.is_empty(),
            message => asked && is_message(message.as_bytes(), &user(mode), TOKEN),
        };
        assert!(known, "{line:?} behind {before:?}");
        // An empty answer may come twice.
        before = if line.is_empty() { "an answer" } else { line };
    }
}

/// Whether that is the message of `user` with `token`.
fn is_message(line: &[u8], user: &str, token: &str) -> bool {
    let Some(message) = sasl::decode_base64(line) else { return false };
    let text = String::from_utf8_lossy(&message);
    text == format!("user={user}\x01auth=Bearer {token}\x01\x01")
        || text == format!("n,a={user},\x01host=pop.example.com\x01port=995\x01auth=Bearer {token}\x01\x01")
}

/// A token of any length is sent in a line of its own, and the commands are short.
pub(crate) fn two_steps(token: &str, mode: u8) {
    let secret = Secret::new(token);
    let credential = credential(&secret, ALICE, mode & 2);
    let script = b"+OK x\r\n+OK\r\nSASL OAUTHBEARER XOAUTH2\r\n.\r\n+ \r\n+OK in\r\n";
    let transcript =
        the_same_at_every_cut(script, |pieces| play_provider(SignIn::new(&credential).unwrap(), pieces));
    assert!(transcript.events.iter().any(|event| event.starts_with("accepted +OK ")), "{transcript:?}");
    let [capa, auth, message] = lines(&transcript.said)[..] else { panic!("{transcript:?}") };
    assert!(capa.len() + 2 <= COMMAND_LIMIT && auth.len() + 2 <= COMMAND_LIMIT);
    assert_eq!(auth.split(' ').count(), 2, "no token beside the mechanism: {auth:?}");
    assert!(is_message(message.as_bytes(), ALICE, token), "{} octets", message.len());
}
