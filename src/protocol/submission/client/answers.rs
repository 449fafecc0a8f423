//! Replies that depend on the channel: EHLO's list, STARTTLS, and the refusal of mail without a login.

use super::{Dialogue, State};
use crate::protocol::Channel;
use crate::protocol::called::called;
use crate::protocol::dialogue::Event;
use crate::protocol::submission::command;
use crate::protocol::submission::reply::{NAME, write_reply};
use crate::wire::Buffer;

impl Dialogue {
    /// The client has named itself, which begins its session anew.
    pub(super) fn named(&mut self, argument: &[u8]) {
        self.name = command::domain(argument);
        self.called = called(&[argument]);
        self.mail_refused = false;
    }

    /// The reply to EHLO: what every configured provider supports, because the client's is not known yet.
    pub(super) fn greet(&self, outbox: &mut Buffer) {
        let own = match self.channel {
            Channel::Tls | Channel::Cleartext => "AUTH PLAIN LOGIN",
            Channel::StartTls => "STARTTLS",
        };
        for part in ["250-", NAME, "\r\n"] {
            outbox.push(part.as_bytes());
        }
        let promised = self.promises.lines().iter().map(String::as_str);
        let mut lines = std::iter::once(own).chain(promised).peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { "250-" } else { "250 " };
            for part in [mark, line, "\r\n"] {
                outbox.push(part.as_bytes());
            }
        }
    }

    /// Refuses MAIL before a login. On a STARTTLS listener a device gets 530, too (RFC 3207 §4): with a 4xx code it
    /// would send the same envelope in cleartext again and again.
    pub(super) fn refuse_mail(&mut self, outbox: &mut Buffer) {
        self.mail_in_clear = self.is_device && self.channel == Channel::StartTls;
        let text = match self.channel {
            Channel::StartTls if self.mail_in_clear => {
                "Say STARTTLS first: switch TLS on in the device, which then needs no login"
            }
            Channel::StartTls => "Say STARTTLS first, then log in with AUTH",
            Channel::Tls | Channel::Cleartext => "Log in first: set user name and app password in the sender",
        };
        write_reply(outbox, "530 5.7.0", text);
    }

    pub(super) fn reset(&mut self, outbox: &mut Buffer) {
        self.mail_refused = false;
        write_reply(outbox, "250 2.0.0", "Flushed");
    }

    pub(super) fn start_tls(&mut self, outbox: &mut Buffer) -> Option<Event> {
        match self.channel {
            Channel::StartTls => {
                write_reply(outbox, "220 2.0.0", "Ready to start TLS");
                self.state = State::StartTls;
                return Some(Event::StartTls(0));
            }
            Channel::Tls => write_reply(outbox, "503 5.5.1", "TLS is active already"),
            Channel::Cleartext => write_reply(outbox, "502 5.5.1", "STARTTLS is not offered here"),
        }
        None
    }
}
