//! The table of wire cases: transcripts of mail programs and providers, compared line by line.
//!
//! Each file of `tests/wire_cases/` is a list of cases. A case begins with `## name` and its lines read:
//!
//! ```text
//! C: text      the mail program says it, CRLF added (provider cases: the proxy must say it)
//! C> text      the same without CRLF
//! S: text      the proxy must answer it (provider cases: the provider says it)
//! S> text      provider cases: the same without CRLF
//! = channel tls | starttls | cleartext
//! = device                       the client's address stands for an account
//! = send                         the dialogue must ask for the decision on a device
//! = login "NAME" "PASSWORD"      the dialogue must ask for this decision
//! = deny CODE text               the decision
//! = deny CODE text | text | text the decision, with texts in fewer words
//! = accept                       the decision; what follows must stay unread
//! = starttls N                   STARTTLS was agreed to, with N bytes behind it
//! = end logout | limit | failed | tls-hello | http | proxy
//! = unread TEXT                  what is left in the inbox
//! ```
//!
//! `\r \n \0 \\ \xHH` are escapes, and `\*N(TEXT)` repeats TEXT N times. Every case runs twice: with the input of a
//! turn in one piece, and byte by byte.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use imap_oauth_proxy::config::Mechanism;
use std::sync::Arc;

use imap_oauth_proxy::protocol::dialogue::{Dialogue, Event, Speech};
use imap_oauth_proxy::protocol::imap::{Imap, response_code};
use imap_oauth_proxy::protocol::pop3::Pop3;
use imap_oauth_proxy::protocol::provider::ProviderDialogue;
use imap_oauth_proxy::protocol::submission::Submission;
use imap_oauth_proxy::protocol::{
    Accepted, Channel, Code, Credential, Denial, DialogueEnd, Limits, Promises, Refusal, Request, imap, pop3,
    submission,
};
use imap_oauth_proxy::secret::Secret;
use imap_oauth_proxy::wire::Buffer;

#[test]
fn logins() {
    run_clients::<Imap>(include_str!("wire_cases/logins.txt"));
}

#[test]
fn authenticate() {
    run_clients::<Imap>(include_str!("wire_cases/authenticate.txt"));
}

#[test]
fn commands() {
    run_clients::<Imap>(include_str!("wire_cases/commands.txt"));
}

#[test]
fn bounds() {
    run_clients::<Imap>(include_str!("wire_cases/bounds.txt"));
}

#[test]
fn channels() {
    run_clients::<Imap>(include_str!("wire_cases/channels.txt"));
}

#[test]
fn providers() {
    for (name, lines) in cases(include_str!("wire_cases/providers.txt")) {
        for byte_by_byte in [false, true] {
            Provider::new(&name, byte_by_byte, &lines).run(&lines);
        }
    }
}

#[test]
fn imap_starttls() {
    for (name, lines) in cases(include_str!("wire_cases/imap_starttls.txt")) {
        for byte_by_byte in [false, true] {
            Provider::new(&name, byte_by_byte, &lines).begin_tls(&lines);
        }
    }
}

#[test]
fn submission_clients() {
    run_clients::<Submission>(include_str!("wire_cases/submission.txt"));
}

#[test]
fn submission_providers() {
    for (name, lines) in cases(include_str!("wire_cases/submission_providers.txt")) {
        for byte_by_byte in [false, true] {
            Provider::new(&name, byte_by_byte, &lines).run_submission(&lines);
        }
    }
}

#[test]
fn pop3_clients() {
    run_clients::<Pop3>(include_str!("wire_cases/pop3.txt"));
}

#[test]
fn pop3_providers() {
    for (name, lines) in cases(include_str!("wire_cases/pop3_providers.txt")) {
        for byte_by_byte in [false, true] {
            let provider = Provider::new(&name, byte_by_byte, &lines);
            provider.with_credential(|credential| {
                provider.play(&mut pop3::upstream::SignIn::new(credential).unwrap(), &lines);
            });
        }
    }
}

fn run_clients<P: Speech>(file: &str) {
    for (name, lines) in cases(file) {
        for byte_by_byte in [false, true] {
            Client::<P>::new(&name, byte_by_byte).run(&lines);
        }
    }
}

/// The cases of a file: names and lines.
fn cases(file: &str) -> Vec<(String, Vec<String>)> {
    let mut cases: Vec<(String, Vec<String>)> = Vec::new();
    for line in file.lines().filter(|line| !line.trim().is_empty()) {
        match line.strip_prefix("## ") {
            Some(name) => cases.push((name.to_owned(), Vec::new())),
            None if line.starts_with('#') => {}
            None => cases.last_mut().expect("a file begins with a case").1.push(line.to_owned()),
        }
    }
    cases
}

/// Splits `C: text` and similar lines into `("C:", "text")`.
fn split(line: &str) -> (&str, &str) {
    match line.split_at_checked(2) {
        Some((kind, text)) => (kind, text.strip_prefix(' ').unwrap_or(text)),
        None => (line, ""),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (kind, behind) = escape.split_at(1);
        rest = behind;
        match kind {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "0" => bytes.push(0),
            "\\" => bytes.push(b'\\'),
            "x" => {
                let (digits, behind) = behind.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = behind;
            }
            "*" => {
                let (count, behind) = behind.split_once('(').unwrap();
                let (repeated, behind) = behind.split_once(')').unwrap();
                bytes.extend(unescape(repeated).repeat(count.parse().unwrap()));
                rest = behind;
            }
            other => panic!("unknown escape \\{other}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn code(name: &str) -> Code {
    use Code::*;
    [
        AuthenticationFailed,
        AuthorizationFailed,
        Unavailable,
        ContactAdmin,
        Limit,
        Expired,
        PrivacyRequired,
        ServerBug,
    ]
    .into_iter()
    .find(|code| response_code(*code) == name)
    .unwrap()
}

/// A mail program's side, played from a transcript.
struct Client<'a, P> {
    name: &'a str,
    byte_by_byte: bool,
    dialogue: Dialogue<P>,
    inbox: Buffer,
    outbox: Buffer,
    events: Vec<String>,
    /// Whether the dialogue waits for a decision, while input accumulates.
    waits: bool,
}

impl<'a, P: Speech> Client<'a, P> {
    fn new(name: &'a str, byte_by_byte: bool) -> Self {
        let dialogue = Dialogue::new(Channel::Tls, Limits::default());
        Self {
            name,
            byte_by_byte,
            dialogue,
            inbox: Buffer::new(),
            outbox: Buffer::new(),
            events: vec![],
            waits: false,
        }
    }

    fn run(mut self, lines: &[String]) {
        let mut greeted = false;
        for (number, line) in lines.iter().enumerate() {
            let (kind, text) = split(line);
            if let Some(channel) = text.strip_prefix("channel ").filter(|_| kind.starts_with('=')) {
                let channel = match channel {
                    "starttls" => Channel::StartTls,
                    "cleartext" => Channel::Cleartext,
                    _ => Channel::Tls,
                };
                self.dialogue = Dialogue::new(channel, Limits::default());
                continue;
            }
            if let Some(promises) = text.strip_prefix("promises ").filter(|_| kind.starts_with('=')) {
                self.dialogue.promise(&promised(promises));
                continue;
            }
            if text == "device" && kind.starts_with('=') {
                self.dialogue.admit_device();
                continue;
            }
            if !greeted {
                greeted = true;
                self.step();
                // Transcripts contain the greeting only where it matters.
                if kind != "S:" {
                    self.outbox.clear();
                }
            }
            match kind {
                "C:" => self.say(&[&unescape(text)[..], b"\r\n"].concat()),
                "C>" => self.say(&unescape(text)),
                "S:" => self.hears(&unescape(text), line),
                "= " | "=" => self.outcome(text),
                _ => panic!("{}: line {number} is none: {line}", self.name),
            }
            let next_is_said = lines.get(number + 1).is_none_or(|next| next.starts_with('C'));
            if next_is_said && kind != "C:" && kind != "C>" {
                assert!(self.outbox.is_empty(), "{}: said beyond the transcript: {}", self.name, self.said());
            }
        }
        assert!(self.outbox.is_empty(), "{}: said beyond the transcript: {}", self.name, self.said());
        assert!(self.events.is_empty(), "{}: happened beyond the transcript: {:?}", self.name, self.events);
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.outbox).into_owned()
    }

    fn say(&mut self, bytes: &[u8]) {
        let size = if self.byte_by_byte { 1 } else { bytes.len().max(1) };
        for piece in bytes.chunks(size) {
            self.inbox.push(piece);
            if !self.waits {
                self.step();
            }
        }
    }

    fn step(&mut self) {
        let event = match self.dialogue.step(&mut self.inbox, &mut self.outbox) {
            Event::More => return,
            Event::Asks(Request::Login(login)) => {
                format!("login \"{}\" \"{}\"", login.name, login.password.expose())
            }
            Event::Asks(Request::Send) => "send".to_owned(),
            Event::Asks(Request::StartTls { injected }) => format!("starttls {injected}"),
            Event::End(end) => format!("end {}", end_name(&end)),
        };
        self.waits = true;
        self.events.push(event);
    }

    fn hears(&mut self, expected: &[u8], line: &str) {
        let expected = [expected, b"\r\n"].concat();
        let said = self.said();
        assert!(self.outbox.starts_with(&expected), "{}: expected {line:?}, heard {said:?}", self.name);
        self.outbox.consume(expected.len());
    }

    fn outcome(&mut self, text: &str) {
        let text = text.trim();
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "deny" | "alert" => {
                let (name, text) = rest.split_once(' ').unwrap();
                let mut texts = text.split(" | ").map(|text| String::from_utf8(unescape(text)).unwrap());
                let mut denial = Denial::new(code(name), texts.next().unwrap());
                denial.shorter = texts.collect();
                denial.alert = word == "alert";
                self.waits = false;
                match self.dialogue.denied(&denial, &mut self.outbox) {
                    Some(end) => self.events.push(format!("end {}", end_name(&end))),
                    None => self.step(),
                }
            }
            "accept" => self.dialogue.accepted(),
            "tls" => {
                self.waits = false;
                self.inbox.clear();
                self.dialogue.tls_started();
            }
            "bye" => self.dialogue.dismissed(&Denial::new(Code::Unavailable, rest), &mut self.outbox),
            "unread" => {
                assert_eq!(&*self.inbox, &unescape(rest)[..], "{}", self.name);
                self.inbox.clear();
            }
            _ => {
                let happened =
                    if self.events.is_empty() { "nothing".to_owned() } else { self.events.remove(0) };
                let expected = String::from_utf8(unescape(text)).unwrap();
                assert_eq!(happened, expected, "{}; said: {}", self.name, self.said());
            }
        }
    }
}

fn promised(list: &str) -> Arc<Promises> {
    let lines: Vec<String> = list.split(',').map(str::to_owned).collect();
    Arc::new(Promises::common(std::iter::once(lines.as_slice())))
}

fn end_name(end: &DialogueEnd) -> &'static str {
    match end {
        DialogueEnd::Logout => "logout",
        DialogueEnd::Limit(_) => "limit",
        DialogueEnd::FailedLogins(_) => "failed",
        DialogueEnd::TlsHello => "tls-hello",
        DialogueEnd::Http(_) => "http",
        DialogueEnd::ProxyHeader => "proxy",
        _ => "other",
    }
}

/// A provider's side, played from a transcript.
struct Provider<'a> {
    name: &'a str,
    byte_by_byte: bool,
    tag: String,
    mechanisms: Vec<Mechanism>,
    sasl_ir: Option<bool>,
    or_user: Option<String>,
    greeted: bool,
    promises: Option<Arc<Promises>>,
}

/// The way into TLS as a sign-in that is accepted without a word.
struct Beginning(imap::begin_tls::BeginTls);

impl ProviderDialogue for Beginning {
    type Outcome = Accepted;

    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        self.0.next(inbox)
    }

    fn hear(&mut self, answer: &[u8], outbox: &mut Buffer) -> Result<Option<Accepted>, Refusal> {
        Ok(self.0.hear(answer, outbox)?.map(|()| Accepted::default()))
    }
}

/// The verdict, or none yet.
type Verdict = Option<Result<Accepted, Refusal>>;

impl<'a> Provider<'a> {
    fn new(name: &'a str, byte_by_byte: bool, lines: &[String]) -> Self {
        let setting = |key: &str| {
            let prefix = format!("= {key} ");
            lines.iter().find_map(|line| line.strip_prefix(&prefix).map(str::to_owned))
        };
        let mechanisms = match setting("mechanisms").as_deref() {
            Some("oauthbearer") => vec![Mechanism::Oauthbearer],
            Some("oauthbearer xoauth2") => vec![Mechanism::Oauthbearer, Mechanism::Xoauth2],
            Some("xoauth2 oauthbearer") => vec![Mechanism::Xoauth2, Mechanism::Oauthbearer],
            _ => vec![Mechanism::Xoauth2],
        };
        let sasl_ir = setting("sasl-ir").map(|text| text == "yes");
        Self {
            name,
            byte_by_byte,
            tag: setting("tag").unwrap_or("a7".into()),
            mechanisms,
            sasl_ir,
            or_user: setting("or-user"),
            greeted: setting("greeted").as_deref() != Some("no"),
            promises: setting("promises").map(|list| promised(&list)),
        }
    }

    fn run(&self, lines: &[String]) {
        self.with_credential(|credential| {
            let mut sign_in = imap::upstream::SignIn::new(self.tag.as_bytes(), credential).unwrap();
            self.play(&mut sign_in, lines);
        });
    }

    fn run_submission(&self, lines: &[String]) {
        let client = lines.iter().find_map(|line| line.strip_prefix("= client "));
        self.with_credential(|credential| {
            let promises = self.promises.as_deref();
            let mut sign_in = submission::upstream::SignIn::new(credential, client, promises).unwrap();
            self.play(&mut sign_in, lines);
        });
    }

    fn begin_tls(&self, lines: &[String]) {
        self.play(&mut Beginning(imap::begin_tls::BeginTls::default()), lines);
    }

    fn with_credential(&self, run: impl FnOnce(&Credential<'_>)) {
        let token = Secret::new("ya29.TEST");
        let credential = Credential {
            or_user: self.or_user.as_deref(),
            greeted: self.greeted,
            user: "alice@example.com",
            token: &token,
            mechanisms: &self.mechanisms,
            host: "imap.gmail.com",
            port: 993,
            sasl_ir: self.sasl_ir,
        };
        run(&credential);
    }

    fn play(&self, sign_in: &mut impl ProviderDialogue<Outcome = Accepted>, lines: &[String]) {
        let (mut inbox, mut outbox) = (Buffer::new(), Buffer::new());
        let mut verdict: Verdict = None;
        let mut passed_on = 0;
        if !self.greeted {
            let begun = sign_in.step(&mut inbox, &mut outbox);
            assert!(matches!(begun, Ok(None)), "{}: {begun:?}", self.name);
        }
        for line in lines {
            let (kind, text) = split(line);
            match kind {
                "S:" | "S>" => {
                    let end: &[u8] = if kind == "S:" { b"\r\n" } else { b"" };
                    let bytes = [&unescape(text)[..], end].concat();
                    let size = if self.byte_by_byte { 1 } else { bytes.len().max(1) };
                    for piece in bytes.chunks(size) {
                        inbox.push(piece);
                        if verdict.is_some() {
                            continue;
                        }
                        match sign_in.step(&mut inbox, &mut outbox) {
                            Ok(None) => {}
                            Ok(Some(accepted)) => verdict = Some(Ok(accepted)),
                            Err(refusal) => verdict = Some(Err(refusal)),
                        }
                    }
                }
                "C:" => {
                    let expected = [&unescape(text)[..], b"\r\n"].concat();
                    let said = String::from_utf8_lossy(&outbox).into_owned();
                    assert!(outbox.starts_with(&expected), "{}: expected {line:?}, said {said:?}", self.name);
                    outbox.consume(expected.len());
                }
                "= " | "=" => self.outcome(text, &verdict, &mut inbox, &mut passed_on),
                _ => panic!("{}: no such line: {line}", self.name),
            }
        }
        assert!(
            outbox.is_empty(),
            "{}: said beyond the transcript: {:?}",
            self.name,
            String::from_utf8_lossy(&outbox)
        );
        if let Some(Ok(accepted)) = verdict {
            assert_eq!(accepted.lines().len(), passed_on, "{}: passed on beyond the transcript", self.name);
        }
    }

    fn outcome(&self, text: &str, verdict: &Verdict, inbox: &mut Buffer, passed_on: &mut usize) {
        let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        match (word, verdict) {
            ("tag" | "mechanisms" | "sasl-ir" | "or-user" | "greeted" | "promises" | "client", _) => {}
            ("lacks", Some(Ok(accepted))) => assert_eq!(accepted.lacking.join(","), rest, "{}", self.name),
            ("by", Some(Ok(accepted))) => {
                assert_eq!(accepted.by_other_name, rest == "other", "{}", self.name);
            }
            ("ready", Some(Ok(_))) => {}
            ("waits", verdict) => assert!(verdict.is_none(), "{}: {verdict:?}", self.name),
            ("passes", Some(Ok(accepted))) => {
                let expected = unescape(rest);
                let got = accepted.lines().get(*passed_on..).unwrap_or_default();
                assert!(got.starts_with(&expected), "{}: {:?}", self.name, String::from_utf8_lossy(got));
                *passed_on += expected.len();
            }
            ("unread", _) => assert_eq!(&**inbox, &unescape(rest)[..], "{}", self.name),
            ("refused", Some(Err(refusal))) => {
                assert_eq!(refusal_name(refusal), rest, "{}: {refusal}", self.name);
                no_line_breaks(refusal);
            }
            ("code", Some(Err(refusal))) => {
                assert_eq!(response_code(refusal.denial().code), rest, "{}", self.name);
            }
            ("log", Some(Err(refusal))) => {
                let log = refusal.to_string();
                assert!(log.contains(rest), "{}: {log}", self.name);
            }
            (_, verdict) => panic!("{}: expected {text}, got {verdict:?}", self.name),
        }
    }
}

fn no_line_breaks(refusal: &Refusal) {
    let texts = [refusal.to_string(), refusal.denial().text];
    assert!(texts.iter().all(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte))), "{texts:?}");
}

fn refusal_name(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Token(_) => "token".into(),
        Refusal::Connections(_) => "connections".into(),
        Refusal::Throttled { wait: Some(wait), .. } => format!("throttled {}", wait.as_millis()),
        Refusal::Throttled { wait: None, .. } => "throttled".into(),
        Refusal::Disabled(_) => "disabled".into(),
        Refusal::WebLogin { url, .. } => format!("web-login {}", url.as_deref().unwrap_or("nowhere")),
        Refusal::Unavailable(_) => "unavailable".into(),
        Refusal::NoCommonMechanism(offered) => format!("no-mechanism {offered}"),
        Refusal::PasswordsOnly(_) => "login-only".into(),
        Refusal::Violation { .. } => "violation".into(),
        other => format!("{other:?}"),
    }
}
