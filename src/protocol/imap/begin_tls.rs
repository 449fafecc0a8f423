//! The cleartext before TLS on a port of STARTTLS: greeting -> capabilities if the greeting lists none -> STARTTLS
//! -> the tagged OK (RFC 3501 §6.2.1).
//!
//! Nothing of this is used afterwards: the sign-in asks for the capabilities again under TLS, and bytes behind the
//! OK are dropped unread with the wire's buffers. PREAUTH is refused: a session that is signed in cannot begin
//! TLS, so with this one word an attacker on the line could prevent TLS.

use super::framer::Framer;
use super::meaning::{Heard, turned_away, violation};
use super::response::{self, Offer, Response, Status};
use crate::protocol::{Answers, Refusal};
use crate::wire::Buffer;

/// Bytes of one line, and lines in all: a greeting and two answers.
const LINE_LIMIT: usize = 16_384;
const LINES_LIMIT: u32 = 50;

/// Asks a server in cleartext to begin TLS.
pub struct BeginTls {
    state: State,
    framer: Framer,
    lines: u32,
}

enum State {
    Greeting,
    Capability { offer: Option<Offer> },
    StartTls,
}

impl BeginTls {
    /// A dialogue before the greeting.
    pub fn new() -> Self {
        Self { state: State::Greeting, framer: Framer::default(), lines: 0 }
    }

    /// Processes the inbox; true once the server waits for the handshake.
    pub fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<bool, Refusal> {
        // No literal is expected here, so each line is complete.
        while let Some(end) = self.framer.next_line(inbox) {
            self.lines += 1;
            if end > LINE_LIMIT || self.lines > LINES_LIMIT {
                return Err(too_much());
            }
            let ready = self.line(inbox.get(..end).unwrap_or_default(), outbox)?;
            inbox.consume(end);
            self.framer = Framer::default();
            if ready {
                return Ok(true);
            }
        }
        match inbox.len() > LINE_LIMIT {
            true => Err(too_much()),
            false => Ok(false),
        }
    }

    fn line(&mut self, line: &[u8], outbox: &mut Buffer) -> Result<bool, Refusal> {
        let (tag, answers): (&[u8], _) = match self.state {
            State::Greeting => (b"", Answers::Connection),
            State::Capability { .. } => (b"P1", Answers::Command("CAPABILITY")),
            State::StartTls => (b"P2", Answers::Command("STARTTLS")),
        };
        let response = response::parse(line, tag);
        let heard = || Heard::while_waiting_for(answers);
        if let Response::Untagged(Status::Bye, words) = response {
            return Err(turned_away(&words, heard()));
        }
        match (&mut self.state, response) {
            (State::Greeting, Response::Untagged(Status::Ok, words)) => match words.offer() {
                Some(offer) => self.start_tls(&offer, outbox)?,
                None => {
                    outbox.push(b"P1 CAPABILITY\r\n");
                    self.state = State::Capability { offer: None };
                }
            },
            (State::Greeting, Response::Untagged(Status::PreAuth, _)) => {
                return Err(violation("it greeted with PREAUTH, after which there is no STARTTLS"));
            }
            (State::Greeting, _) => return Err(violation("it did not greet as an IMAP server does")),
            (State::Capability { offer }, Response::Capability(offered)) => *offer = Some(offered),
            (State::Capability { offer }, Response::Tagged(Status::Ok, words)) => {
                let offer = offer.take().or_else(|| words.offer());
                let offer = offer.ok_or_else(|| violation("it does not list its capabilities"))?;
                self.start_tls(&offer, outbox)?;
            }
            (State::StartTls, Response::Tagged(Status::Ok, _)) => return Ok(true),
            (_, Response::Tagged(_, words)) => return Err(turned_away(&words, heard())),
            _ => {}
        }
        Ok(false)
    }

    fn start_tls(&mut self, offer: &Offer, outbox: &mut Buffer) -> Result<(), Refusal> {
        if !offer.starttls {
            return Err(violation("it offers no STARTTLS"));
        }
        outbox.push(b"P2 STARTTLS\r\n");
        self.state = State::StartTls;
        Ok(())
    }
}

impl Default for BeginTls {
    fn default() -> Self {
        Self::new()
    }
}

fn too_much() -> Refusal {
    violation("it sent more than STARTTLS can need")
}
