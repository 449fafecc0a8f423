//! The cleartext before TLS on a port of STARTTLS: greeting -> capabilities if the greeting lists none -> STARTTLS
//! -> the tagged OK (RFC 3501 §6.2.1).
//!
//! Nothing of this is used afterwards: the sign-in asks for the capabilities again under TLS, and bytes behind the
//! OK are dropped unread with the wire's buffers. PREAUTH is refused: a session that is signed in cannot begin
//! TLS, so with this one word an attacker on the line could prevent TLS.

use super::meaning::{turned_away, violation};
use super::response::{self, Offer, Response, Status};
use crate::protocol::framer::Framer;
use crate::protocol::provider::ProviderDialogue;
use crate::protocol::verdict::Heard;
use crate::protocol::{Answers, Refusal};
use crate::wire::Buffer;

/// Bytes of one line, and lines in all: a greeting and two answers.
const LINE_LIMIT: usize = 16_384;
const LINES_LIMIT: u32 = 50;

/// Asks a server in cleartext to begin TLS.
#[derive(Default)]
pub struct BeginTls {
    state: State,
    framer: Framer,
    lines: u32,
}

#[derive(Default)]
enum State {
    #[default]
    Greeting,
    Capability {
        offer: Option<Offer>,
    },
    StartTls,
}

impl ProviderDialogue for BeginTls {
    /// The server waits for the handshake.
    type Outcome = ();

    /// No literal is expected here, so each line is complete.
    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        let found = self.framer.next_line(inbox);
        self.lines += u32::from(found.is_some());
        if found.unwrap_or(inbox.len()) > LINE_LIMIT || self.lines > LINES_LIMIT {
            return Err(violation("it sent more than STARTTLS can need"));
        }
        if found.is_some() {
            self.framer = Framer::default();
        }
        Ok(found)
    }

    fn hear(&mut self, line: &[u8], outbox: &mut Buffer) -> Result<Option<()>, Refusal> {
        let (tag, answers): (&[u8], _) = match self.state {
            State::Greeting => (b"", Answers::Connection),
            State::Capability { .. } => (b"P1", Answers::Command("CAPABILITY")),
            State::StartTls => (b"P2", Answers::Command("STARTTLS")),
        };
        let heard = Heard::while_waiting_for(answers);
        match (&mut self.state, response::parse(line, tag)) {
            (_, Response::Untagged(Status::Bye, words)) => return Err(turned_away(&words, heard)),
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
            (State::StartTls, Response::Tagged(Status::Ok, _)) => return Ok(Some(())),
            (_, Response::Tagged(_, words)) => return Err(turned_away(&words, heard)),
            _ => {}
        }
        Ok(None)
    }
}

impl BeginTls {
    fn start_tls(&mut self, offer: &Offer, outbox: &mut Buffer) -> Result<(), Refusal> {
        if !offer.starttls {
            return Err(violation("it offers no STARTTLS"));
        }
        outbox.push(b"P2 STARTTLS\r\n");
        self.state = State::StartTls;
        Ok(())
    }
}
