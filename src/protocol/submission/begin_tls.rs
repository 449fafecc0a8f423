//! The cleartext before TLS on a port of STARTTLS.

use super::meaning::{turned_away, violation};
use super::reply::NAME;
use super::response::{Replies, Reply};
use super::upstream::{Offer, write_ehlo};
use crate::protocol::provider::ProviderDialogue;
use crate::protocol::verdict::Heard;
use crate::protocol::{Answers, Refusal};
use crate::wire::Buffer;

/// The cleartext before TLS on a port of STARTTLS: greeting -> EHLO -> STARTTLS -> `220`.
#[derive(Default)]
pub struct BeginTls {
    state: State,
    replies: Replies,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Greeting,
    Ehlo,
    StartTls,
}

impl ProviderDialogue for BeginTls {
    /// The server waits for the handshake.
    type Outcome = ();

    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        self.replies.next(inbox)
    }

    fn hear(&mut self, reply: &[u8], outbox: &mut Buffer) -> Result<Option<()>, Refusal> {
        let reply = Reply::read(reply);
        let answers = match self.state {
            State::Greeting => Answers::Connection,
            State::Ehlo => Answers::Command("EHLO"),
            State::StartTls => Answers::Command("STARTTLS"),
        };
        match (self.state, reply.code) {
            (_, 400..=599) => return Err(turned_away(&reply, Heard::while_waiting_for(answers))),
            (State::Greeting, 220) => {
                write_ehlo(outbox, NAME);
                self.state = State::Ehlo;
            }
            (State::Ehlo, 250) if Offer::read(&reply).keywords.iter().any(|word| word == "STARTTLS") => {
                outbox.push(b"STARTTLS\r\n");
                self.state = State::StartTls;
            }
            (State::Ehlo, 250) => return Err(violation("it offers no STARTTLS")),
            (State::StartTls, 220) => return Ok(Some(())),
            _ => return Err(violation("it did not greet as a submission server does")),
        }
        Ok(None)
    }
}
