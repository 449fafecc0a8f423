//! What happened at the provider so far, for tests to assert and to wait for.

/// Counters since the start, unless a field says "now". Copies are cheap enough to take often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Authorisation requests (GET) that were well-formed.
    pub authorizations: u64,
    /// Consents given.
    pub consents: u64,
    /// Requests at the token endpoint, counted as they arrive.
    pub token_requests: u64,
    /// Of these, `authorization_code`.
    pub code_exchanges: u64,
    /// Of these, `refresh_token`.
    pub refreshes: u64,
    /// Of these, device polls.
    pub device_polls: u64,
    /// Of these, `client_credentials`.
    pub client_credentials: u64,
    /// Of these, JWT bearer assertions.
    pub assertions: u64,
    /// Access tokens issued, including lost answers.
    pub tokens_issued: u64,
    /// Token requests that the provider refused by its own rules (faults not included).
    pub tokens_refused: u64,
    /// Rotated refresh tokens that were used again under [`Rotation::Strict`](crate::Rotation::Strict).
    pub refresh_token_reuses: u64,
    /// Userinfo requests.
    pub userinfos: u64,
    /// Revocation requests.
    pub revocations: u64,
    /// IMAP connections accepted (TCP).
    pub connections: u64,
    /// IMAP connections open now.
    pub open: u64,
    /// The most that were open at once.
    pub max_open: u64,
    /// TLS handshakes that failed on the IMAP port.
    pub tls_failures: u64,
    /// TLS handshakes on the IMAP port that resumed an earlier session.
    pub tls_resumptions: u64,
    /// Successful logins, false successes included.
    pub logins: u64,
    /// Refused logins.
    pub failed_logins: u64,
    /// Sessions logged in now.
    pub logged_in: u64,
    /// The most that were logged in at once.
    pub max_logged_in: u64,
    /// Sessions in IDLE now.
    pub idling: u64,
    /// Sessions with COMPRESS=DEFLATE on, ever.
    pub compressed: u64,
    /// LOGOUT commands.
    pub logouts: u64,
    /// Messages appended, including those in the sink.
    pub appends: u64,
    /// Connections accepted by the POP3 server (TCP).
    pub pop3_connections: u64,
    /// Of these, open now.
    pub pop3_open: u64,
    /// TLS handshakes that failed on the POP3 port.
    pub pop3_tls_failures: u64,
    /// Successful logins at the POP3 server, false successes included.
    pub pop3_logins: u64,
    /// Refused logins there.
    pub failed_pop3_logins: u64,
    /// QUIT commands there.
    pub pop3_quits: u64,
    /// Messages that were deleted by a QUIT.
    pub pop3_deleted: u64,
    /// Connections accepted by the submission server (TCP).
    pub submissions: u64,
    /// Of these, open now.
    pub submissions_open: u64,
    /// The most that were open at once.
    pub max_submissions_open: u64,
    /// TLS handshakes that failed on the submission port.
    pub submission_tls_failures: u64,
    /// AUTH commands.
    pub submission_auths: u64,
    /// Successful logins at the submission server, false successes included.
    pub submission_logins: u64,
    /// Refused logins there.
    pub failed_submission_logins: u64,
    /// QUIT commands.
    pub submission_quits: u64,
    /// Messages accepted for delivery.
    pub messages: u64,
    /// Completed messages that were refused.
    pub refused_messages: u64,
    /// The proxy's violations; see [`Controls::violations`](crate::Controls::violations).
    pub violations: u64,
}

impl Stats {
    pub(crate) fn opened(&mut self) {
        self.connections += 1;
        self.open += 1;
        self.max_open = self.max_open.max(self.open);
    }

    pub(crate) fn submission_opened(&mut self) {
        self.submissions += 1;
        self.submissions_open += 1;
        self.max_submissions_open = self.max_submissions_open.max(self.submissions_open);
    }

    pub(crate) fn entered(&mut self) {
        self.logins += 1;
        self.logged_in += 1;
        self.max_logged_in = self.max_logged_in.max(self.logged_in);
    }
}

/// One request at the token endpoint, as received.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The form, in order.
    pub form: Vec<(String, String)>,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
}

impl TokenRequest {
    /// The first value of a form field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One login that reached the judgement of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginRecord {
    /// The mechanism, upper case.
    pub mechanism: String,
    /// The user named in the SASL message.
    pub user: String,
    /// The access token.
    pub token: String,
    /// Whether the initial response was on the command line (RFC 4959).
    pub initial_response: bool,
    /// The tag of the command; empty where it was not IMAP.
    pub tag: String,
    /// Whether it was accepted.
    pub accepted: bool,
}

/// A message that was too big to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sunk {
    /// The mailbox it was sent to.
    pub mailbox: String,
    /// Octets.
    pub octets: u64,
    /// The first octet that differs from [`pattern`](crate::pattern); `None` if all match.
    pub first_wrong: Option<u64>,
}

/// One connection to the POP3 server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pop3Session {
    /// The users named in SASL messages, in order.
    pub users: Vec<String>,
    /// The address of the mailbox that was let in.
    pub accepted: Option<String>,
    /// Whether STLS was followed by TLS.
    pub tls: bool,
    /// All command lines, as they came, without SASL messages.
    pub heard: Vec<String>,
    /// Whether the client said QUIT.
    pub quit: bool,
    /// Whether the connection is over.
    pub ended: bool,
}

/// One connection to the submission server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Submission {
    /// The names in EHLO and HELO, in order.
    pub names: Vec<String>,
    /// AUTH commands.
    pub attempts: u64,
    /// The users named in SASL messages, in order.
    pub users: Vec<String>,
    /// The address of the mailbox that the login opened.
    pub accepted: Option<String>,
    /// Whether STARTTLS was followed by TLS.
    pub tls: bool,
    /// All command lines, as received, without SASL messages and mail.
    pub heard: Vec<String>,
    /// Whether the client sent QUIT.
    pub quit: bool,
    /// Whether the connection has ended.
    pub ended: bool,
}

/// A completed message at the submission server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The address of the mailbox that sent it.
    pub user: String,
    /// MAIL and the accepted RCPTs, as received.
    pub commands: Vec<String>,
    /// The address of MAIL.
    pub from: String,
    /// The accepted recipients.
    pub recipients: Vec<String>,
    /// The octets between 354 and the final dot, with doubled dots; or those of the chunks.
    pub data: Vec<u8>,
    /// The number of octets; more than in `data` if the message was too big to keep.
    pub octets: u64,
    /// For a message too big to keep: the first octet that differs from [`pattern`](crate::pattern).
    pub first_wrong: Option<u64>,
    /// The sizes of the chunks of a message sent by BDAT.
    pub chunks: Vec<u64>,
    /// The first line of the final reply; `None` without one.
    pub reply: Option<String>,
    /// Whether it was accepted for delivery.
    pub accepted: bool,
}

/// A forbidden action of the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// One sentence; it gives a canary's number, never its content.
    pub what: String,
}
