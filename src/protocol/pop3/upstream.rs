//! The dialogue with a provider, from its greeting to its verdict on a token: bytes in, verdict out.
//!
//! greeting -> CAPA -> `AUTH XOAUTH2` -> `+` -> the message -> `+OK`. **Always in two steps**: a command is
//! limited to 255 octets (RFC 2449 §4), and Exchange closes the connection after a longer one. A challenge that
//! refuses the token is answered as the mechanism demands, so that the verdict follows; Exchange sends its verdict
//! at once. A refusal before the server has seen the token is judged apart from a refusal of the token.
//!
//! Bytes behind the verdict stay in the inbox for the relay.

use super::RECENT;
use super::meaning::{closed, not_understood, refused, refused_recent, turned_away, violation};
use super::response::{Lines, Status, code};
use crate::protocol::line::trim_end;
use crate::protocol::provider::ProviderDialogue;
use crate::protocol::sasl::bearer::Bearer;
use crate::protocol::{Accepted, Answers, Credential, Door, Refusal};
use crate::wire::Buffer;

/// A sign-in in progress.
pub struct SignIn<'a> {
    bearer: Bearer<'a>,
    /// The user name begins with `recent:`.
    recent: bool,
    state: State,
    lines: Lines,
    /// The names of SASL mechanisms in CAPA's list, in capitals.
    offered: Vec<String>,
}

enum State {
    Greeting,
    /// CAPA must be sent; no greeting comes before it.
    Silent,
    /// CAPA was sent.
    Capa,
    /// Within the list of CAPA.
    List,
    /// AUTH was sent.
    Auth,
}

impl ProviderDialogue for SignIn<'_> {
    type Outcome = Accepted;

    fn begin(&mut self, outbox: &mut Buffer) {
        if let State::Silent = self.state {
            self.say_capa(outbox);
        }
    }

    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        self.lines.next(inbox)
    }

    fn hear(&mut self, line: &[u8], outbox: &mut Buffer) -> Result<Option<Accepted>, Refusal> {
        if let State::List = self.state {
            self.listed(trim_end(line), outbox)?;
            return Ok(None);
        }
        match (&self.state, Status::read(line)?) {
            (State::Greeting, Status::Ok) => self.say_capa(outbox),
            (State::Greeting, Status::Err(text)) => return Err(turned_away(text, self.bearer.heard.take())),
            (State::Capa, Status::Ok) => self.state = State::List,
            // With a response code, the refusal is not only about the command.
            (State::Capa, Status::Err(text)) if code(text).is_some() => {
                return Err(turned_away(text, self.bearer.heard.take()));
            }
            (State::Capa, Status::Err(_)) => self.say_auth(false, outbox)?,
            (State::Auth, Status::Challenge(text)) => self.bearer.asked(text, outbox)?,
            (State::Auth, Status::Ok) => {
                self.bearer.accepted()?;
                return Ok(Some(Accepted::new(line.to_vec())));
            }
            (State::Auth, Status::Err(text)) => {
                let heard = self.bearer.heard.take();
                return Err(match self.recent {
                    _ if !self.bearer.is_sent() => not_understood(text, heard),
                    true => refused_recent(text, heard),
                    false => refused(text, heard),
                });
            }
            (State::Capa, _) => return Err(violation("it did not answer CAPA as a POP3 server does")),
            (State::Greeting | State::Silent | State::List, _) => {
                return Err(violation("it did not greet as a POP3 server does"));
            }
        }
        Ok(None)
    }

    fn closed(&mut self) -> Refusal {
        closed(self.bearer.heard.take(), self.recent)
    }
}

impl<'a> SignIn<'a> {
    /// A sign-in before the greeting.
    pub fn new(credential: &'a Credential<'a>) -> Result<Self, Refusal> {
        Ok(Self {
            bearer: Bearer::new(Door::Pop3, credential)?,
            recent: credential.user.starts_with(RECENT),
            state: if credential.greeted { State::Greeting } else { State::Silent },
            lines: Lines::default(),
            offered: Vec::new(),
        })
    }

    fn say_capa(&mut self, outbox: &mut Buffer) {
        outbox.push(b"CAPA\r\n");
        self.bearer.heard.answers = Answers::Command("CAPA");
        self.state = State::Capa;
    }

    /// Reads a line of CAPA's list; after the last one, signs in with a mechanism of the list.
    fn listed(&mut self, line: &[u8], outbox: &mut Buffer) -> Result<(), Refusal> {
        if line == b"." {
            return self.say_auth(true, outbox);
        }
        let line = String::from_utf8_lossy(line).to_ascii_uppercase();
        let mut words = line.split_ascii_whitespace();
        if words.next() == Some("SASL") {
            self.offered.extend(words.map(str::to_owned));
        }
        Ok(())
    }

    fn say_auth(&mut self, is_listed: bool, outbox: &mut Buffer) -> Result<(), Refusal> {
        let offered = is_listed.then_some(&self.offered[..]);
        self.state = State::Auth;
        self.bearer.say_auth(self.bearer.credential.user, offered, outbox)
    }
}
