//! Submission's part of the dialogue with a sender, from the greeting to its login.
//!
//! SMTP (RFC 5321) as far as a submission server (RFC 6409) speaks it before a login, with AUTH (RFC 4954),
//! STARTTLS (RFC 3207) and enhanced codes (RFC 2034). The habits of old senders are accepted: HELO or nothing before
//! AUTH, lower case, a bare LF, `=` for an empty response.
//!
//! A device, whose address stands for an account, needs no login: its first MAIL asks for the session. That line
//! stays in the inbox for the relay, or is answered with a 4xx code and dropped.

mod device;

use self::device::Follows;
use super::command::{self, Command};
use super::reply::{NAME, write_deferral, write_denial, write_end, write_reply};
use crate::protocol::called::called;
use crate::protocol::dialogue::{self, Event, Phrase, Speech, State};
use crate::protocol::line::trim_end;
use crate::protocol::{Channel, Denial, Promises, Request};
use crate::wire::Buffer;

/// The dialogue with a sender.
pub type Dialogue = dialogue::Dialogue<Submission>;

/// Submission, and what its dialogue remembers about a sender.
#[derive(Debug, Default)]
pub struct Submission {
    /// The client's name from EHLO or HELO, if it is a domain or an address literal.
    name: Option<String>,
    /// The device's last MAIL was refused: commands that it pipelined behind MAIL are refused in the same way.
    mail_refused: bool,
    /// The line of the refused MAIL is still to be dropped.
    drops_line: bool,
    /// What the device sends next, if it sends without waiting for answers.
    follows: Follows,
}

impl Speech for Submission {
    const PORT: &'static str = "a submission port";

    fn read(dialogue: &mut Dialogue, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        dialogue.drop_refused_line(inbox);
        let is_foreign = dialogue.begins(inbox);
        is_foreign.or_else(|| dialogue.chunk(inbox, outbox)).or_else(|| dialogue.read_line(inbox, outbox))
    }

    fn command(dialogue: &mut Dialogue, line: &[u8], outbox: &mut Buffer) -> Option<Event> {
        let command = command::parse(trim_end(line));
        if dialogue.own.is_body(&command) {
            return Some(dialogue.end_blind(outbox));
        }
        // On a STARTTLS listener a device must begin TLS first, like all clients.
        let may_send = dialogue.is_device && dialogue.channel != Channel::StartTls;
        match command {
            Command::Ehlo(name) => {
                dialogue.named(name);
                dialogue.list_capabilities(outbox);
            }
            Command::Helo(name) => {
                dialogue.named(name);
                write_reply(outbox, "250", NAME);
            }
            Command::Auth { mechanism, initial } => return dialogue.begin_sasl(mechanism, initial, outbox),
            Command::StartTls => return dialogue.start_tls(outbox),
            Command::StartTlsWithMore => write_reply(outbox, "501 5.5.4", "STARTTLS takes no parameter"),
            Command::Noop => write_reply(outbox, "250 2.0.0", "OK"),
            Command::Rset => {
                dialogue.own.mail_refused = false;
                write_reply(outbox, "250 2.0.0", "Flushed");
            }
            Command::Help => write_reply(outbox, "214 2.0.0", "Log in with AUTH PLAIN or AUTH LOGIN"),
            Command::Quit => return dialogue.log_out(outbox),
            Command::Mail if may_send => {
                dialogue.state = State::Send;
                return Some(Event::Asks(Request::Send));
            }
            Command::AfterLogin(command) if may_send => dialogue.own.refuse_recipient(command, outbox),
            Command::Mail | Command::AfterLogin(_) => dialogue.refuse_mail(outbox),
            Command::Unknown => write_reply(outbox, "500 5.5.1", "Unknown command"),
        }
        None
    }

    fn say(_: &Dialogue, phrase: Phrase, outbox: &mut Buffer) {
        let (status, text) = match phrase {
            Phrase::Greeting => return outbox.push_parts(&["220 ", NAME, " ESMTP ready\r\n"]),
            Phrase::Ask(challenge) => return outbox.push_parts(&["334 ", challenge, "\r\n"]),
            Phrase::Wrong(wrong) => return write_reply(outbox, "501 5.5.2", &wrong.to_string()),
            Phrase::Cancelled => ("501 5.7.0", "AUTH cancelled"),
            Phrase::NoMechanism => ("504 5.5.4", "Only the mechanisms PLAIN and LOGIN are supported here"),
            Phrase::TlsFirst => ("530 5.7.0", "Say STARTTLS first: passwords are not read in cleartext here"),
            Phrase::BeginTls => ("220 2.0.0", "Ready to start TLS"),
            Phrase::TlsIsActive => ("503 5.5.1", "TLS is active already"),
            Phrase::NoTls => ("502 5.5.1", "STARTTLS is not offered here"),
            Phrase::Goodbye => ("221 2.0.0", "Closing the connection"),
            Phrase::Http => ("554 5.7.0", "This is a mail submission server"),
            Phrase::TooMuch => ("421 4.7.0", "Too much before login"),
            Phrase::TooManyFailures => ("421 4.7.0", "Too many failed logins"),
        };
        write_reply(outbox, status, text);
    }

    fn deny(dialogue: &mut Dialogue, denial: &Denial, outbox: &mut Buffer) {
        if let State::Send = dialogue.state {
            write_deferral(outbox, denial);
            (dialogue.own.mail_refused, dialogue.own.drops_line) = (true, true);
        } else {
            write_denial(outbox, denial);
        }
    }

    fn bye(dialogue: &mut Dialogue, denial: &Denial, outbox: &mut Buffer) {
        if dialogue.is_asked() {
            Self::deny(dialogue, denial, outbox);
        }
        write_end(outbox, denial);
    }
}

impl Dialogue {
    /// The client's name from EHLO or HELO, if it is a domain or an address literal.
    pub fn client_name(&self) -> Option<&str> {
        self.own.name.as_deref()
    }

    /// The client has named itself, which begins its session anew.
    fn named(&mut self, argument: &[u8]) {
        self.called = called(&[argument]);
        self.own.name = command::domain(argument);
        self.own.mail_refused = false;
    }

    /// The reply to EHLO: what every configured provider supports, because the client's is not known yet.
    fn list_capabilities(&self, outbox: &mut Buffer) {
        let own = match self.channel {
            Channel::Tls | Channel::Cleartext => "AUTH PLAIN LOGIN",
            Channel::StartTls => "STARTTLS",
        };
        outbox.push_parts(&["250-", NAME, "\r\n"]);
        let promised = self.promises().map(Promises::lines).unwrap_or_default().iter().map(String::as_str);
        let mut lines = std::iter::once(own).chain(promised).peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { "250-" } else { "250 " };
            outbox.push_parts(&[mark, line, "\r\n"]);
        }
    }

    /// Refuses MAIL before a login. On a STARTTLS listener a device gets 530, too (RFC 3207 §4): with a 4xx code it
    /// would send the same envelope in cleartext again and again.
    fn refuse_mail(&mut self, outbox: &mut Buffer) {
        self.device_in_clear = self.is_device && self.channel == Channel::StartTls;
        let text = match self.channel {
            Channel::StartTls if self.device_in_clear => {
                "Say STARTTLS first: switch TLS on in the device, which then needs no login"
            }
            Channel::StartTls => "Say STARTTLS first, then log in with AUTH",
            Channel::Tls | Channel::Cleartext => "Log in first: set user name and app password in the sender",
        };
        write_reply(outbox, "530 5.7.0", text);
    }
}
