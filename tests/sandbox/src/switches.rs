//! Every known misbehaviour of a provider, a switch for each.
//!
//! A switch either stays set until it is changed ([`OauthSwitches`], [`ImapSwitches`],
//! [`SubmissionSwitches`], changed through [`Controls::oauth`](crate::Controls::oauth),
//! [`Controls::imap`](crate::Controls::imap) and [`Controls::submission`](crate::Controls::submission)), or
//! it is a fault that meets the next request, the next few or all ([`TokenFault`], [`LoginFault`],
//! [`StepFault`]).

mod pop3;
mod refusal;
mod submission;
pub(crate) mod usual;

use serde_json::{Map, Value, json};
use std::time::Duration;

use crate::{Flavour, Gate};

pub use pop3::{Pop3Step, Pop3Switches};
pub use refusal::SubmissionRefusal;
pub use submission::{AuthForm, Security, SharedName, Step, StepFault, SubmissionSwitches};

/// When a refresh returns a new refresh token, and whether the old one stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Never: the answer holds no refresh token (Google).
    Never,
    /// A new one each time; the old one stays valid (Microsoft).
    Always,
    /// A new one each time; the old one becomes invalid, and using it again revokes the whole grant (RFC 9700
    /// §4.14.2).
    Strict,
}

/// The settings of the authorisation server.
#[derive(Clone, Debug)]
pub struct OauthSwitches {
    /// Lifetime of access tokens, announced in `expires_in` and enforced. Default: 3,599 s.
    pub access_token_life: Duration,
    /// Octets of each access token; Microsoft's are long. Default: 200.
    pub access_token_length: usize,
    /// See [`Rotation`]. Default: by vendor.
    pub rotation: Rotation,
    /// GET on the authorisation endpoint answers with the redirect at once. Default: false.
    pub auto_approve: bool,
    /// The address that consents; it overrides `login_hint`.
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
    /// Issue refresh tokens. Default: true.
    pub refresh_tokens: bool,
    /// Claims that replace those of the id_token and of userinfo; null removes one.
    pub claims: Map<String, Value>,
    /// A refresh that names a scope without consent is refused as a missing consent (`invalid_grant` with
    /// AADSTS65001 at Microsoft), otherwise as an invalid scope. Default: by vendor: Microsoft does.
    pub refuse_unconsented: bool,
    /// Certificates (DER) that were uploaded for the clients. Where there are any, an assertion of a client's own has
    /// to name one of them (`x5t#S256`), as at Microsoft. Default: none.
    pub certificates: Vec<Vec<u8>>,
    /// A federated credential: assertions of this issuer stand for any client, with Microsoft's audience. Their
    /// signature is verified with the client's keys. Default: none.
    pub federated_issuer: Option<String>,
    /// Seconds between polls that the device endpoint asks for. Default: 0.
    pub device_interval: u64,
    /// The number of device polls that are answered with `slow_down`, at any pace.
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

/// What a request at the token endpoint meets.
#[derive(Clone, Debug)]
pub enum TokenFault {
    /// This answer, without processing the request.
    Answer {
        /// HTTP status.
        status: u16,
        /// Headers, names and values.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// The request waits at the gate, then is processed.
    Hold(Gate),
    /// The request is processed (tokens rotate), and the answer waits at the gate.
    HoldAnswer(Gate),
    /// The connection is closed without an answer, and the request is not processed.
    Drop,
    /// The request is processed (tokens rotate), and the answer is lost: the connection is closed.
    LoseAnswer,
    /// The request is processed, and members of the answer are replaced; null removes one.
    Edit(Map<String, Value>),
    /// The request is processed, and the answer is gzip-compressed.
    Gzip,
    /// The request is processed, and the answer is cut off.
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

    /// A plausible answer of more than `octets`.
    pub fn oversized(octets: usize) -> Self {
        let padding = "x".repeat(octets);
        let body =
            json!({ "access_token": "big", "token_type": "Bearer", "expires_in": 3599, "padding": padding });
        Self::json(200, &body)
    }

    /// Sets `expires_in` to this value; null removes it.
    pub fn expires_in(value: Value) -> Self {
        Self::Edit(Map::from_iter([("expires_in".to_owned(), value)]))
    }

    /// Sets `scope` to this text.
    pub fn scope(scope: &str) -> Self {
        Self::Edit(Map::from_iter([("scope".to_owned(), Value::from(scope))]))
    }

    /// An answer without a refresh token.
    pub fn no_refresh_token() -> Self {
        Self::Edit(Map::from_iter([("refresh_token".to_owned(), Value::Null)]))
    }
}

/// The IMAP server's greeting.
#[derive(Clone, Debug, Default)]
pub enum Greeting {
    /// As usual for the flavour.
    #[default]
    Normal,
    /// As usual, once the gate lets it through.
    Hold(Gate),
    /// `* BYE` with this text, then the connection closes.
    Bye(String),
    /// `* PREAUTH`.
    Preauth,
    /// These octets, then silence.
    Raw(Vec<u8>),
    /// No greeting.
    Silence,
    /// The connection closes without a greeting.
    Close,
    /// Untagged lines without end.
    Endless,
    /// One line of this many octets.
    LongLine(u64),
}

/// The settings of the IMAP server. A session uses those in force when it is accepted.
#[derive(Clone, Debug)]
pub struct ImapSwitches {
    /// The dialect. Default: as built.
    pub flavour: Flavour,
    /// See [`Greeting`].
    pub greeting: Greeting,
    /// Capabilities are in the greeting, and the CAPABILITY command lists none. Default: false.
    pub capability_only_in_greeting: bool,
    /// Lines sent before each `+` of AUTHENTICATE.
    pub before_continuation: Vec<String>,
    /// `+` without the space that RFC 9051 shows. Default: false.
    pub bare_continuation: bool,
    /// Sessions of one user above this number are refused as Gmail does.
    pub max_sessions_per_user: Option<usize>,
    /// LIST is answered with this text after its tag, such as `NO [SERVERBUG] …`; the connection stays open.
    pub refuse_list: Option<String>,
    /// After this many commands past the login: `* BYE` with this text, then the connection closes.
    pub bye_after_commands: Option<(u32, String)>,
    /// The session ends with the access token, by the flavour's BYE. Default: true.
    pub bye_at_token_expiry: bool,
    /// At most this many octets a TCP segment; 0 is no limit.
    pub segment: usize,
    /// At most this many octets a TLS record; 0 is no limit.
    pub record: usize,
    /// APPENDs above this size are checked against [`pattern`](crate::pattern) and discarded. Default: 32
    /// MiB.
    pub sink_above: u64,
    /// Before the login, a command that is not the proxy's own is a violation and ends the connection. If
    /// false, the server answers it as a provider would, for use with any mail program. Default: true.
    pub strict: bool,
}

/// What a login meets instead of the verdict, after its SASL message.
#[derive(Clone, Debug)]
pub enum LoginFault {
    /// Refused as the flavour does, with its challenge if it has one.
    Refuse,
    /// Refused with this challenge (JSON, before base64), if any, and this text after the tag.
    RefuseWith {
        /// The challenge.
        challenge: Option<String>,
        /// For instance `NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)`.
        text: String,
    },
    /// These lines; `{tag}` in them is replaced by the tag. For BAD, WEBALERT, foreign tags, throttling.
    Lines(Vec<String>),
    /// OK, then BAD "User is authenticated but not connected." to the first mailbox command.
    FalseSuccess,
    /// The login waits at the gate, then is judged.
    Hold(Gate),
    /// No answer.
    Silence,
    /// The connection closes (TLS close_notify and FIN) without an answer.
    Close,
    /// TCP reset.
    Reset,
    /// Untagged lines without end.
    Endless,
    /// Challenges without end, one after each answer.
    EndlessChallenges,
    /// One line of this many octets.
    LongLine(u64),
}

/// Faults queued for requests, in order.
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
    /// Queues a fault for the next `count` requests (`None`: all) after the faults before it.
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
