//! What the submission server does until told otherwise, and what befalls a session at one of its steps.

use std::time::Duration;

use super::SubmissionRefusal;
use crate::{Flavour, Gate};

/// How a submission server speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// From the first octet on, as at Gmail's port 465.
    Tls,
    /// After STARTTLS, as at Microsoft's port 587. AUTH is not offered before.
    StartTls,
}

/// Under which name a delegate signs in to send from a shared mailbox (Exchange).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedName {
    /// The token's owner; the shared address is refused.
    Owner,
    /// The shared address; the name of an owner who is somebody's delegate is refused.
    Account,
}

/// How EHLO lists the mechanisms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthForm {
    /// `AUTH LOGIN XOAUTH2`, where the flavour has it.
    Usual,
    /// The same, as the last line.
    Last,
    /// `AUTH=LOGIN XOAUTH2` instead (Postfix's broken_sasl_auth_clients, James).
    Equals,
    /// Both, the one with `=` first.
    Both,
    /// Not at all.
    Missing,
}

/// What the submission server does until told otherwise. A session takes them as they are when it is accepted.
#[derive(Clone, Debug)]
pub struct SubmissionSwitches {
    /// Whose dialect it speaks. Default: as built.
    pub flavour: Flavour,
    /// See [`AuthForm`].
    pub auth: AuthForm,
    /// Words that EHLO leaves out, such as `SMTPUTF8`.
    pub without: Vec<String>,
    /// Lines that EHLO lists besides.
    pub besides: Vec<String>,
    /// What EHLO lists instead of all of its own.
    pub instead: Option<Vec<String>>,
    /// AUTH lines above so many octets are refused as too long. Default: by flavour: 1,000 at Gmail.
    pub auth_line_limit: Option<usize>,
    /// `334` without the space behind it. Default: false.
    pub bare_challenge: bool,
    /// See [`SharedName`]. Default: the owner.
    pub shared_name: SharedName,
    /// Mail from an address that the user may not send as is refused at its end. Default: by flavour: Exchange.
    pub check_sender: bool,
    /// Messages of a user with more sessions than this are refused at their end, as Exchange does with 3.
    pub max_sending: Option<usize>,
    /// The silence before an unknown command is refused; Exchange's is 5 s. Default: none.
    pub tarpit: Duration,
    /// Octets sent in cleartext in one write with the answer to STARTTLS, as somebody on the line would.
    pub behind_starttls: Vec<u8>,
    /// At most so many octets a write, and a TLS record; 0 is no limit.
    pub piece: usize,
    /// Messages above this are checked against [`pattern`](crate::pattern) and thrown away. Default: 32 MiB.
    pub sink_above: u64,
    /// Anything outside the proxy's own vocabulary before the login is a violation and ends the connection.
    /// Off, such a command is answered as a provider would, so that any mail program can be tried. Default: true.
    pub strict: bool,
}

/// A step of a session, where a fault can meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The greeting.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS.
    StartTls,
    /// AUTH, before any message of the mechanism was asked for.
    Auth,
    /// The message with the token, which would be judged now.
    Token,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA.
    Data,
    /// The end of a message: its final dot, or its last BDAT.
    Message,
    /// A BDAT that is not the last.
    Chunk,
    /// RSET, NOOP, VRFY or HELP.
    Other,
    /// QUIT.
    Quit,
}

/// What befalls a session at a [`Step`].
#[derive(Clone, Debug)]
pub enum StepFault {
    /// These lines, instead of what the step does. `\u{1}` and the like go out as they are.
    Reply(Vec<String>),
    /// These lines, then the end (TLS close_notify and FIN).
    ReplyAndClose(Vec<String>),
    /// The step waits at the gate, then is taken.
    Hold(Gate),
    /// The step is taken, and the reply waits at the gate.
    HoldReply(Gate),
    /// These octets, instead of what the step does.
    Raw(Vec<u8>),
    /// No answer, ever.
    Silence,
    /// The end (TLS close_notify and FIN) without a word.
    Close,
    /// TCP reset.
    Reset,
    /// Lines of one reply without end.
    Endless,
    /// A reply of so many lines.
    Lines(u64),
    /// A reply whose only line has so many octets.
    LongLine(u64),
    /// At [`Step::Token`]: refused as the flavour refuses a bad token.
    Refuse,
    /// At [`Step::Auth`]: let in, without a token. Nothing can be sent.
    EarlySuccess,
    /// At [`Step::Token`]: let in, and refused at MAIL (Exchange, an application without rights on the mailbox).
    FalseSuccess,
    /// At [`Step::Token`]: challenges without end, each answer met with the next.
    EndlessChallenges,
}

impl StepFault {
    /// One line.
    pub fn reply(line: &str) -> Self {
        Self::Reply(vec![line.to_owned()])
    }

    /// What a web server says to a mail client.
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
