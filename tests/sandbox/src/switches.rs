//! Every known misbehaviour of a provider, each one switch.
//!
//! A switch either holds until it is set back ([`OauthSwitches`], [`ImapSwitches`], [`SubmissionSwitches`], changed
//! through [`Controls::oauth`](crate::Controls::oauth), [`Controls::imap`](crate::Controls::imap) and
//! [`Controls::submission`](crate::Controls::submission)), or it is a fault that meets the next one, the next few or
//! all requests ([`TokenFault`], [`LoginFault`], [`StepFault`]).

mod refusal;
mod submission;
pub(crate) mod usual;

use serde_json::{Map, Value, json};
use std::time::Duration;

use crate::{Flavour, Gate};

pub use refusal::SubmissionRefusal;
pub use submission::{AuthForm, Security, SharedName, Step, StepFault, SubmissionSwitches};

/// When a refresh answers with a new refresh token, and what becomes of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The refresh token stays, and the answer does not repeat it (Google).
    Never,
    /// A new one each time; the old one goes on working (Microsoft).
    Always,
    /// A new one each time; the old one is dead, and using it again revokes the whole grant (RFC 9700 §4.14.2).
    Strict,
}

/// What the authorisation server does until told otherwise.
#[derive(Clone, Debug)]
pub struct OauthSwitches {
    /// Life of access tokens, both as announced in `expires_in` and as enforced. Default: 3,599 s.
    pub access_token_life: Duration,
    /// Octets of each access token; Microsoft's are long. Default: 200.
    pub access_token_length: usize,
    /// See [`Rotation`]. Default: by vendor.
    pub rotation: Rotation,
    /// GET on the authorisation endpoint answers with the redirect straight away. Default: false.
    pub auto_approve: bool,
    /// Who consents, whatever `login_hint` says.
    pub consent_as: Option<String>,
    /// Scopes that the person unticks.
    pub untick: Vec<String>,
    /// The person presses Deny: `error=access_denied`. Default: false.
    pub deny: bool,
    /// The tenant wants an administrator's consent, until its link was opened ([`Wall`]). Default: none.
    pub wall: Option<Wall>,
    /// The redirect carries `iss` (RFC 9207). Default: by vendor: Google does.
    pub iss: bool,
    /// Another value for `iss`, as in a mix-up attack.
    pub wrong_iss: Option<String>,
    /// Refuse authorisation requests without `code_challenge`. Default: true.
    pub require_pkce: bool,
    /// Hand out refresh tokens. Default: true.
    pub refresh_tokens: bool,
    /// Claims that replace those of the id_token and of userinfo; null removes one.
    pub claims: Map<String, Value>,
    /// A refresh that names a scope that nobody consented to is refused as a missing consent: `invalid_grant` with
    /// AADSTS65001 at Microsoft. Off, as an invalid scope. Default: by vendor: Microsoft does.
    pub refuse_unconsented: bool,
    /// Certificates (DER) that were uploaded for the clients. Where there are any, an assertion of a client's own has
    /// to name one of them (`x5t#S256`), as at Microsoft. Default: none.
    pub certificates: Vec<Vec<u8>>,
    /// A federated credential: assertions of this issuer stand for any client, with Microsoft's audience. Their
    /// signature is verified with the client's keys. Default: none.
    pub federated_issuer: Option<String>,
    /// Seconds between polls that the device endpoint asks for. Default: 0.
    pub device_interval: u64,
    /// How many device polls are answered `slow_down`, whatever their timing.
    pub slow_down: u32,
}

/// How the authorisation server behaves where people of a tenant may not consent themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wall {
    /// A page that says so, and no way back.
    Page,
    /// The browser is sent back with `access_denied` and AADSTS90094.
    Redirect,
}

/// What happens to a request at the token endpoint.
#[derive(Clone, Debug)]
pub enum TokenFault {
    /// This answer, and nothing is processed.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers, names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The request waits at the gate, then is served.
    Hold(Gate),
    /// The request is served (tokens rotate), and the answer waits at the gate.
    HoldAnswer(Gate),
    /// The connection is closed without an answer, and nothing is processed.
    Drop,
    /// The request is served (tokens rotate), and the answer is lost: the connection is closed.
    LoseAnswer,
    /// The request is served, and members of the answer are replaced; null removes one.
    Edit(Map<String, Value>),
    /// The request is served, and the answer is gzip-compressed.
    Gzip,
    /// The request is served, and the answer ends in mid-sentence.
    Truncate,
}

impl TokenFault {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type".into(), "application/json; charset=utf-8".into())];
        Self::Answer { status, headers, body: body.to_string().into_bytes() }
    }

    /// Any other answer.
    pub fn answer(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".into(), content_type.into())];
        Self::Answer { status, headers, body: body.into() }
    }

    /// An RFC 6749 §5.2 error without vendor decoration; 401 for `invalid_client`, else 400.
    pub fn error(error: &str, description: &str) -> Self {
        let status = if error == "invalid_client" { 401 } else { 400 };
        Self::json(status, &json!({ "error": error, "error_description": description }))
    }

    /// A Microsoft error with its number.
    pub fn aadsts(error: &str, code: u32, text: &str) -> Self {
        let status = if error == "invalid_client" { 401 } else { 400 };
        Self::json(status, &crate::oauth::answer::aadsts(error, code, text))
    }

    /// 429 with `Retry-After`, as seconds or as an HTTP date, and no JSON (Microsoft).
    pub fn too_many(retry_after: &str) -> Self {
        let headers =
            vec![("content-type".into(), "text/plain".into()), ("retry-after".into(), retry_after.into())];
        Self::Answer { status: 429, headers, body: b"Too Many Requests".to_vec() }
    }

    /// 500 without JSON.
    pub fn server_error() -> Self {
        Self::answer(500, "text/plain", "Internal Server Error")
    }

    /// An HTML page with status 200, as a captive portal or a load balancer sends.
    pub fn html() -> Self {
        Self::answer(200, "text/html", "<!DOCTYPE html><html><body><h1>Welcome</h1></body></html>")
    }

    /// 302 to another address, which must not be followed.
    pub fn redirect(location: &str) -> Self {
        Self::Answer { status: 302, headers: vec![("location".into(), location.into())], body: Vec::new() }
    }

    /// A good-looking answer of more than `octets`.
    pub fn oversized(octets: usize) -> Self {
        let padding = "x".repeat(octets);
        let body =
            json!({ "access_token": "big", "token_type": "Bearer", "expires_in": 3599, "padding": padding });
        Self::json(200, &body)
    }

    /// `expires_in` as this value; null leaves it out.
    pub fn expires_in(value: Value) -> Self {
        Self::Edit(Map::from_iter([("expires_in".to_owned(), value)]))
    }

    /// `scope` as this text.
    pub fn scope(scope: &str) -> Self {
        Self::Edit(Map::from_iter([("scope".to_owned(), Value::from(scope))]))
    }

    /// An answer without a refresh token.
    pub fn no_refresh_token() -> Self {
        Self::Edit(Map::from_iter([("refresh_token".to_owned(), Value::Null)]))
    }
}

/// How the IMAP server greets.
#[derive(Clone, Debug, Default)]
pub enum Greeting {
    /// As its flavour does.
    #[default]
    Normal,
    /// As its flavour does, once the gate lets it.
    Hold(Gate),
    /// `* BYE` with this text, then the end.
    Bye(String),
    /// `* PREAUTH`.
    Preauth,
    /// These octets, then silence.
    Raw(Vec<u8>),
    /// Nothing, ever.
    Silence,
    /// The end, without a word.
    Close,
    /// Untagged lines without end.
    Endless,
    /// One line of so many octets.
    LongLine(u64),
}

/// What the IMAP server does until told otherwise. A session takes them as they are when it is accepted.
#[derive(Clone, Debug)]
pub struct ImapSwitches {
    /// Whose dialect it speaks. Default: as built.
    pub flavour: Flavour,
    /// See [`Greeting`].
    pub greeting: Greeting,
    /// Capabilities stand in the greeting, and the CAPABILITY command tells none. Default: false.
    pub capability_only_in_greeting: bool,
    /// Lines sent before each `+` of AUTHENTICATE.
    pub before_continuation: Vec<String>,
    /// `+` without the space that RFC 9051 shows. Default: false.
    pub bare_continuation: bool,
    /// Sessions of one user beyond this are refused as Gmail does.
    pub max_sessions_per_user: Option<usize>,
    /// LIST is answered with this behind its tag, such as `NO [SERVERBUG] …`; nothing closes the connection.
    pub refuse_list: Option<String>,
    /// After so many commands past the login: `* BYE` with this text, then the end.
    pub bye_after_commands: Option<(u32, String)>,
    /// The session ends with the access token, with the flavour's BYE. Default: true.
    pub bye_at_token_expiry: bool,
    /// At most so many octets a TCP segment; 0 is no limit.
    pub segment: usize,
    /// At most so many octets a TLS record; 0 is no limit.
    pub record: usize,
    /// APPENDs above this are checked against [`pattern`](crate::pattern) and thrown away. Default: 32 MiB.
    pub sink_above: u64,
    /// Anything outside the proxy's own vocabulary before the login is a violation and ends the connection.
    /// Off, such a command is answered as a provider would, so that any mail program can be tried. Default: true.
    pub strict: bool,
}

/// What happens to a login whose SASL message has come, instead of its being judged.
#[derive(Clone, Debug)]
pub enum LoginFault {
    /// Refused as the flavour does, with its challenge where it has one.
    Refuse,
    /// Refused with this challenge (JSON, before base64), or none, and this text after the tag.
    RefuseWith {
        /// The challenge.
        challenge: Option<String>,
        /// For instance `NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)`.
        text: String,
    },
    /// These lines; `{tag}` in them becomes the tag. For BAD, WEBALERT, foreign tags, throttling.
    Lines(Vec<String>),
    /// OK, and then BAD "User is authenticated but not connected." to the first mailbox command.
    FalseSuccess,
    /// The login waits at the gate, then is judged.
    Hold(Gate),
    /// No answer, ever.
    Silence,
    /// The end (TLS close_notify and FIN) without a word.
    Close,
    /// TCP reset.
    Reset,
    /// Untagged lines without end.
    Endless,
    /// Challenges without end, each answer met with the next.
    EndlessChallenges,
    /// One line of so many octets.
    LongLine(u64),
}

/// Faults waiting for their requests, first come first served.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    rules: Vec<(Option<u64>, T)>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { rules: Vec::new() }
    }
}

impl<T: Clone> Queue<T> {
    /// For the next `count` requests (`None`: all) once the rules before it are used up.
    pub(crate) fn push(&mut self, count: Option<u64>, fault: T) {
        self.rules.push((count, fault));
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        self.rules.retain(|(left, _)| *left != Some(0));
        let (left, fault) = self.rules.first_mut()?;
        if let Some(left) = left {
            *left -= 1;
        }
        Some(fault.clone())
    }
}
