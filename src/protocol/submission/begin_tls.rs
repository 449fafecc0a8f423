//! The cleartext before TLS on a port of STARTTLS.

use super::meaning::{turned_away, violation};
use super::reply::NAME;
use super::response::{Replies, Reply};
use super::upstream::{Offer, write_ehlo};
use crate::protocol::verdict::Heard;
use crate::protocol::{Answers, Refusal};
use crate::wire::Buffer;

/// The cleartext before TLS on a port of STARTTLS: greeting -> EHLO -> STARTTLS -> `220`.
pub struct BeginTls {
    state: TlsState,
    replies: Replies,
}

#[derive(Clone, Copy)]
enum TlsState {
    Greeting,
    Ehlo,
    StartTls,
}

impl BeginTls {
    /// A dialogue before the greeting.
    pub fn new() -> Self {
        Self { state: TlsState::Greeting, replies: Replies::default() }
    }

    /// Processes the inbox; true once the server waits for the handshake.
    pub fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<bool, Refusal> {
        while let Some(end) = self.replies.next(inbox)? {
            let reply = Reply::read(inbox.get(..end).unwrap_or_default());
            let ready = self.reply(&reply, outbox)?;
            inbox.consume(end);
            if ready {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn reply(&mut self, reply: &Reply<'_>, outbox: &mut Buffer) -> Result<bool, Refusal> {
        let answers = match self.state {
            TlsState::Greeting => Answers::Connection,
            TlsState::Ehlo => Answers::Command("EHLO"),
            TlsState::StartTls => Answers::Command("STARTTLS"),
        };
        if (400..=599).contains(&reply.code) {
            return Err(turned_away(reply, Heard::while_waiting_for(answers)));
        }
        match (self.state, reply.code) {
            (TlsState::Greeting, 220) => {
                write_ehlo(outbox, NAME);
                self.state = TlsState::Ehlo;
            }
            (TlsState::Ehlo, 250) if Offer::read(reply).keywords.iter().any(|word| word == "STARTTLS") => {
                outbox.push(b"STARTTLS\r\n");
                self.state = TlsState::StartTls;
            }
            (TlsState::Ehlo, 250) => return Err(violation("it offers no STARTTLS")),
            (TlsState::StartTls, 220) => return Ok(true),
            _ => return Err(violation("it did not greet as a submission server does")),
        }
        Ok(false)
    }
}

impl Default for BeginTls {
    fn default() -> Self {
        Self::new()
    }
}
