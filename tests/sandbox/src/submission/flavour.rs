//! The texts of each dialect. Sources and their weight: the project's notes on sending.
//!
//! Flavours other than Gmail's and Exchange's use the texts of Dovecot's submission server.

use crate::switches::SubmissionRefusal;
use crate::{Flavour, Security};

/// Gmail's suffix of nearly every reply.
const ID: &str = "46e09a7af769-7cc6673c32esm8590418a34.9 - gsmtp";
/// The server's name and the session's id, as Exchange shows them.
const HOST: &str = "SY5P282CA0097.outlook.office365.com";
const MARK: &str = "[SY5P282CA0097.AUSP282.PROD.OUTLOOK.COM 2025-11-23T11:12:21.493Z 08DE2A6028D26C22]";

/// The dialects of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Gmail,
    Exchange,
    Dovecot,
}

/// Fixed replies that differ only by dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phrase {
    Accepted,
    Cancelled,
    UnknownMechanism,
    AlreadyIn,
    NotIn,
    StartTls,
    StartTlsTwice,
    BehindStartTls,
    TlsFirst,
    Mail,
    Rcpt,
    Data,
    Chunk,
    Message,
    Reset,
    Noop,
    Verify,
    Help,
    Quit,
    NoMail,
    NoRecipient,
    TwoSenders,
    Unsupported,
    TooBig,
    Syntax,
}

impl Flavour {
    pub(super) fn dialect(self) -> Dialect {
        match self {
            Self::Gmail => Dialect::Gmail,
            Self::Exchange | Self::ExchangeLoginDisabled => Dialect::Exchange,
            Self::Yahoo | Self::OauthbearerOnly | Self::NoSaslIr => Dialect::Dovecot,
        }
    }

    /// How the provider's submission server uses TLS by default.
    pub(crate) fn submission_security(self) -> Security {
        if self.dialect() == Dialect::Exchange { Security::StartTls } else { Security::Tls }
    }

    /// The longest AUTH line that is accepted.
    pub(crate) fn auth_line_limit(self) -> Option<usize> {
        match self.dialect() {
            Dialect::Gmail => Some(1000),
            Dialect::Exchange => None,
            Dialect::Dovecot => Some(2700),
        }
    }

    /// The mechanisms, as EHLO lists them.
    pub(super) fn mechanisms(self) -> &'static str {
        match self {
            Self::Gmail => "LOGIN PLAIN XOAUTH2 PLAIN-CLIENTTOKEN OAUTHBEARER XOAUTH",
            Self::Exchange | Self::ExchangeLoginDisabled => "LOGIN XOAUTH2",
            Self::OauthbearerOnly => "OAUTHBEARER",
            Self::Yahoo | Self::NoSaslIr => "XOAUTH2 OAUTHBEARER",
        }
    }
}

impl Dialect {
    pub(super) fn greeting(self) -> String {
        match self {
            Self::Gmail => format!("220 smtp.gmail.com ESMTP {ID}"),
            Self::Exchange => format!(
                "220 {HOST} Microsoft ESMTP MAIL Service ready at Sun, 23 Nov 2025 11:12:20 +0000 [08DE2A6028D26C22]"
            ),
            Self::Dovecot => "220 relay.test Dovecot ready.".to_owned(),
        }
    }

    /// The first line of the reply to EHLO, and the only line of the reply to HELO, without code.
    pub(super) fn hello(self) -> String {
        match self {
            Self::Gmail => "smtp.gmail.com at your service, [203.0.113.9]".to_owned(),
            Self::Exchange => format!("{HOST} Hello [203.0.113.9]"),
            Self::Dovecot => "relay.test".to_owned(),
        }
    }

    /// EHLO's list. `AUTH` stands for the line of mechanisms, or for STARTTLS before TLS; see
    /// [`capabilities`](super::session::Session::capabilities).
    pub(super) fn capabilities(self) -> &'static [&'static str] {
        match self {
            Self::Gmail => &[
                "SIZE 35882577",
                "8BITMIME",
                "AUTH",
                "ENHANCEDSTATUSCODES",
                "PIPELINING",
                "CHUNKING",
                "SMTPUTF8",
            ],
            Self::Exchange => &[
                "SIZE 157286400",
                "PIPELINING",
                "DSN",
                "ENHANCEDSTATUSCODES",
                "AUTH",
                "8BITMIME",
                "BINARYMIME",
                "CHUNKING",
                "SMTPUTF8",
            ],
            Self::Dovecot => {
                &["8BITMIME", "AUTH", "BURL imap", "CHUNKING", "ENHANCEDSTATUSCODES", "SIZE", "PIPELINING"]
            }
        }
    }

    /// The reply to a bad token.
    pub(super) fn refusal(self) -> Vec<String> {
        match self {
            Self::Gmail => SubmissionRefusal::BadCredentials.lines(),
            Self::Exchange => vec![format!("535 5.7.3 Authentication unsuccessful {MARK}")],
            Self::Dovecot => vec!["535 5.7.8 Authentication failed.".to_owned()],
        }
    }

    /// The reply to an AUTH line beyond the limit.
    pub(super) fn line_too_long(self) -> Vec<String> {
        match self {
            Self::Gmail => SubmissionRefusal::LineTooLong.lines(),
            Self::Exchange => vec![format!("500 5.3.3 Line too long {MARK}")],
            Self::Dovecot => vec!["500 5.5.2 Line too long".to_owned()],
        }
    }

    pub(super) fn unknown_command(self, verb: &str) -> String {
        match self {
            Self::Gmail => format!("502 5.5.1 Unrecognized command. {ID}"),
            Self::Exchange => format!("500 5.3.3 Unrecognized command '{verb}' {MARK}"),
            Self::Dovecot => "500 5.5.1 Unknown command".to_owned(),
        }
    }

    pub(super) fn send_as_denied(self, user: &str, sender: &str) -> String {
        format!(
            "554 5.2.252 SendAsDenied; {user} not allowed to send as {sender}; \
             STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process \
             message due to a permanent exception {MARK}"
        )
    }

    /// The reply in this dialect.
    pub(super) fn say(self, phrase: Phrase) -> String {
        match self {
            Self::Gmail => format!("{} {ID}", gmail(phrase)),
            Self::Exchange => {
                let text = exchange(phrase);
                let marked = text.starts_with(['4', '5']);
                if marked { format!("{text} {MARK}") } else { text.to_owned() }
            }
            Self::Dovecot => dovecot(phrase).to_owned(),
        }
    }
}

fn gmail(phrase: Phrase) -> &'static str {
    match phrase {
        Phrase::Accepted => "235 2.7.0 Accepted",
        Phrase::Cancelled => "501 5.5.2 Cannot Decode response",
        Phrase::UnknownMechanism => "504 5.7.4 Unrecognized Authentication Type",
        Phrase::AlreadyIn => "503 5.5.1 Already authenticated",
        Phrase::NotIn => "530 5.7.0 Authentication Required.",
        Phrase::StartTls => "220 2.0.0 Ready to start TLS",
        Phrase::StartTlsTwice => "503 5.5.1 bad sequence of commands",
        Phrase::BehindStartTls => {
            "454 4.5.0 SMTP protocol violation, no commands allowed to pipeline after STARTTLS, see RFC 3207"
        }
        Phrase::TlsFirst => "530 5.7.0 Must issue a STARTTLS command first.",
        Phrase::Mail => "250 2.1.0 OK",
        Phrase::Rcpt => "250 2.1.5 OK",
        Phrase::Data => "354  Go ahead",
        Phrase::Chunk | Phrase::Noop => "250 2.0.0 OK",
        Phrase::Message => "250 2.0.0 OK  1763896341",
        Phrase::Reset => "250 2.1.5 Flushed",
        Phrase::Verify => "252 2.1.5 Send some mail, I'll try my best",
        Phrase::Help => "214 2.0.0  https://www.google.com/search?btnI&q=RFC+5321",
        Phrase::Quit => "221 2.0.0 closing connection",
        Phrase::NoMail => "503 5.5.1 MAIL first.",
        Phrase::NoRecipient => "503 5.5.1 RCPT first.",
        Phrase::TwoSenders => "503 5.5.1 bad sequence of commands",
        Phrase::Unsupported | Phrase::Syntax => "555 5.5.2 Syntax error.",
        Phrase::TooBig => "552 5.2.3 Your message exceeded Google's message size limits.",
    }
}

fn exchange(phrase: Phrase) -> &'static str {
    match phrase {
        Phrase::Accepted => "235 2.7.0 Authentication successful",
        // RFC 4954 requires 501.
        Phrase::Cancelled => "535 5.7.3 Authentication unsuccessful",
        Phrase::UnknownMechanism => "504 5.7.4 Unrecognized authentication type",
        Phrase::AlreadyIn => "503 5.5.2 Already authenticated",
        Phrase::NotIn => "530 5.7.57 Client not authenticated to send mail.",
        Phrase::StartTls => "220 2.0.0 SMTP server ready",
        Phrase::StartTlsTwice | Phrase::TwoSenders => "503 5.5.2 Bad sequence of commands",
        Phrase::BehindStartTls => "501 5.5.4 Invalid arguments",
        Phrase::TlsFirst => "451 5.7.3 STARTTLS is required to send mail",
        Phrase::Mail => "250 2.1.0 Sender OK",
        Phrase::Rcpt => "250 2.1.5 Recipient OK",
        Phrase::Data => "354 Start mail input; end with <CRLF>.<CRLF>",
        Phrase::Chunk => "250 2.6.0 CHUNK received OK",
        Phrase::Message => {
            "250 2.0.0 OK <9e1b6c5c-sandbox@SY5P282MB0097.AUSP282.PROD.OUTLOOK.COM> \
             [Hostname=SY5P282MB0097.AUSP282.PROD.OUTLOOK.COM]"
        }
        Phrase::Reset => "250 2.0.0 Resetting",
        Phrase::Noop => "250 2.0.0 OK",
        Phrase::Verify => "252 2.1.5 Cannot VRFY user",
        Phrase::Help => "214 This server supports the following commands:",
        Phrase::Quit => "221 2.0.0 Service closing transmission channel",
        Phrase::NoMail => "503 5.5.2 Need mail command",
        Phrase::NoRecipient => "503 5.5.2 Need rcpt command",
        Phrase::Unsupported => "555 5.5.4 Unsupported option",
        Phrase::TooBig => "552 5.3.4 Message size exceeds fixed maximum message size",
        Phrase::Syntax => "501 5.5.4 Invalid arguments",
    }
}

fn dovecot(phrase: Phrase) -> &'static str {
    match phrase {
        Phrase::Accepted => "235 2.7.0 Logged in.",
        Phrase::Cancelled => "501 5.5.2 Authentication aborted by client.",
        Phrase::UnknownMechanism => "504 5.5.4 Unsupported authentication mechanism.",
        Phrase::AlreadyIn => "503 5.5.1 Already authenticated",
        Phrase::NotIn => "530 5.7.0 Authentication required.",
        Phrase::StartTls => "220 2.0.0 Begin TLS negotiation now.",
        Phrase::StartTlsTwice => "502 5.5.1 TLS is already active.",
        Phrase::BehindStartTls => "501 5.5.1 STARTTLS must be the last command of its group.",
        Phrase::TlsFirst => "523 5.7.10 Authentication not allowed until SSL/TLS is enabled.",
        Phrase::Mail => "250 2.1.0 OK",
        Phrase::Rcpt => "250 2.1.5 OK",
        Phrase::Data => "354 OK",
        Phrase::Chunk => "250 2.0.0 OK chunk received",
        Phrase::Message | Phrase::Noop | Phrase::Reset => "250 2.0.0 OK",
        Phrase::Verify => "252 2.3.3 Try RCPT instead",
        Phrase::Help => "214 2.0.0 See RFC 5321",
        Phrase::Quit => "221 2.0.0 Bye",
        Phrase::NoMail => "503 5.5.0 MAIL needed first",
        Phrase::NoRecipient => "554 5.5.0 No valid recipients",
        Phrase::TwoSenders => "503 5.5.0 MAIL already given",
        Phrase::Unsupported => "555 5.5.4 Unsupported parameter",
        Phrase::TooBig => "552 5.3.4 Message size exceeds the limit",
        Phrase::Syntax => "501 5.5.4 Invalid parameters",
    }
}
