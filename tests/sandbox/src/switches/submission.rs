//! The settings of the submission server, and the faults that a session meets at its steps.

use std::time::Duration;

use super::SubmissionRefusal;
use crate::{Flavour, Gate};

/// How a submission server uses TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// From the first octet on, as at Gmail's port 465.
    Tls,
    /// After STARTTLS, as at Microsoft's port 587. AUTH is not offered before.
    StartTls,
}

/// The name under which a delegate signs in to send from a shared mailbox (Exchange).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedName {
    /// The token's owner; the shared address is refused.
    Owner,
    /// The shared address; the delegate's own name is refused.
    Account,
}

/// How EHLO lists the mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthForm {
    /// `AUTH LOGIN XOAUTH2`, at the flavour's usual place.
    Usual,
    /// The same line, at the end of the list.
    Last,
    /// `AUTH=LOGIN XOAUTH2` instead (Postfix's broken_sasl_auth_clients, James).
    Equals,
    /// Both, the one with `=` first.
    Both,
    /// Not at all.
    Missing,
}

/// The settings of the submission server. A session uses those in force when it is accepted.
#[derive(Clone, Debug)]
pub struct SubmissionSwitches {
    /// The dialect. Default: as built.
    pub flavour: Flavour,
    /// See [`AuthForm`].
    pub auth: AuthForm,
    /// Words that EHLO leaves out, such as `SMTPUTF8`.
    pub without: Vec<String>,
    /// Lines that EHLO lists in addition.
    pub besides: Vec<String>,
    /// Lines that EHLO lists instead of its own.
    pub instead: Option<Vec<String>>,
    /// AUTH lines above this many octets are refused as too long. Default: by flavour: 1,000 at Gmail.
    pub auth_line_limit: Option<usize>,
    /// `334` without the space after it. Default: false.
    pub bare_challenge: bool,
    /// See [`SharedName`]. Default: the owner.
    pub shared_name: SharedName,
    /// Mail from an address that the user may not send as is refused at the end of the message. Default: by
    /// flavour: Exchange.
    pub check_sender: bool,
    /// Messages of a user with more sessions than this are refused at their end, as Exchange does with 3.
    pub max_sending: Option<usize>,
    /// The pause before an unknown command is refused; Exchange's is 5 s. Default: none.
    pub tarpit: Duration,
    /// Octets sent in cleartext in one write with the answer to STARTTLS, as an attacker on the network
    /// would.
    pub behind_starttls: Vec<u8>,
    /// At most this many octets a write, and a TLS record; 0 is no limit.
    pub piece: usize,
    /// Messages above this size are checked against [`pattern`](crate::pattern) and discarded. Default: 32
    /// MiB.
    pub sink_above: u64,
    /// Before the login, a command that is not the proxy's own is a violation and ends the connection. If
    /// false, the server answers it as a provider would, for use with any mail program. Default: true.
    pub strict: bool,
}

/// A step of a session at which a fault can be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The greeting.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH, before a message of the mechanism is asked for.
    Auth,
    /// The message with the token, before the verdict.
    Token,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The end of a message: its final dot, or its last BDAT.
    Message,
    /// A BDAT other than the last.
    Chunk,
    /// RSET, NOOP, VRFY or HELP.
    Other,
    /// QUIT.
    Quit,
}

/// What a session meets at a [`Step`].
#[derive(Clone, Debug)]
pub enum StepFault {
    /// These lines, instead of the step. Control characters such as `\u{1}` are sent unchanged.
    Reply(Vec<String>),
    /// These lines, then the connection closes (TLS close_notify and FIN).
    ReplyAndClose(Vec<String>),
    /// The step waits at the gate, then is carried out.
    Hold(Gate),
    /// The step is carried out, and the reply waits at the gate.
    HoldReply(Gate),
    /// These octets, instead of the step.
    Raw(Vec<u8>),
    /// No answer.
    Silence,
    /// The connection closes (TLS close_notify and FIN) without an answer.
    Close,
    /// TCP reset.
    Reset,
    /// Lines of one reply without end.
    Endless,
    /// A reply of this many lines.
    Lines(u64),
    /// A reply whose only line has this many octets.
    LongLine(u64),
    /// At [`Step::Token`]: refused as the flavour refuses a bad token.
    Refuse,
    /// At [`Step::Auth`]: accepted without a token. Nothing can be sent.
    EarlySuccess,
    /// At [`Step::Token`]: accepted, and refused at MAIL (Exchange, an application without rights to the
    /// mailbox).
    FalseSuccess,
    /// At [`Step::Token`]: challenges without end, one after each answer.
    EndlessChallenges,
}

impl StepFault {
    /// One line.
    pub fn reply(line: &str) -> Self {
        Self::Reply(vec![line.to_owned()])
    }

    /// A web server's answer to a mail client.
    pub fn http() -> Self {
        let answer =
            "HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html></html>";
        Self::Raw(answer.as_bytes().to_vec())
    }
}

impl From<SubmissionRefusal> for StepFault {
    fn from(refusal: SubmissionRefusal) -> Self {
        let lines = refusal.lines();
        match refusal.hangs_up() {
            true => Self::ReplyAndClose(lines),
            false => Self::Reply(lines),
        }
    }
}
