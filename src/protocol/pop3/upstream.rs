//! The dialogue with a provider, from its greeting to its verdict on a token: bytes in, verdict out.
//!
//! greeting -> CAPA -> `AUTH XOAUTH2` -> `+` -> the message -> `+OK`. **Always in two steps**: a command is
//! limited to 255 octets (RFC 2449 §4), and Exchange closes the connection after a longer one. A challenge that
//! refuses the token is answered as the mechanism demands, so that the verdict follows; Exchange sends its verdict
//! at once. A refusal before the server has seen the token is judged apart from a refusal of the token.
//!
//! Bytes behind the verdict stay in the inbox for the relay.

use zeroize::Zeroizing;

use super::RECENT;
use super::meaning::{closed, not_understood, refused, refused_recent, turned_away, violation};
use super::response::{Lines, Status, code};
use crate::protocol::dialogue::{ProviderDialogue, Step};
use crate::protocol::line::trim_end;
use crate::protocol::sasl::{self, Mechanism};
use crate::protocol::verdict::{Heard, answer_challenge, no_mechanism};
use crate::protocol::{Accepted, Answers, Credential, Door, Refusal};
use crate::wire::Buffer;

/// A sign-in in progress.
pub struct SignIn<'a> {
    credential: &'a Credential<'a>,
    state: State,
    lines: Lines,
    /// The names of SASL mechanisms in CAPA's list, in capitals.
    offered: Vec<String>,
    heard: Heard,
    challenges: u32,
}

enum State {
    Greeting,
    /// CAPA must be sent; no greeting comes before it.
    Silent,
    /// CAPA was sent.
    Capa,
    /// Within the list of CAPA.
    List,
    /// AUTH was sent; its message waits for a `+`.
    Prompt {
        mechanism: Mechanism,
        message: Zeroizing<Vec<u8>>,
    },
    /// The message was sent.
    Verdict {
        mechanism: Mechanism,
    },
}

impl ProviderDialogue for SignIn<'_> {
    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<Step, Refusal> {
        if let State::Silent = self.state {
            self.say_capa(outbox);
        }
        while let Some(end) = self.lines.next(inbox)? {
            let verdict = self.line(inbox.get(..end).unwrap_or_default(), outbox);
            inbox.consume(end);
            if let Some(accepted) = verdict? {
                return Ok(Step::Accepted(accepted));
            }
        }
        Ok(Step::More)
    }

    fn closed(&mut self) -> Refusal {
        closed(self.heard.take(), self.credential.user.starts_with(RECENT))
    }
}

impl<'a> SignIn<'a> {
    /// A sign-in before the greeting.
    pub fn new(credential: &'a Credential<'a>) -> Result<Self, Refusal> {
        // Checked before anything is sent.
        sasl::check_bearer(credential.user, credential.token)?;
        Ok(Self {
            credential,
            state: if credential.greeted { State::Greeting } else { State::Silent },
            lines: Lines::default(),
            offered: Vec::new(),
            heard: Heard::while_waiting_for(Answers::Connection),
            challenges: 0,
        })
    }

    /// Handles one line, by the state.
    fn line(&mut self, line: &[u8], outbox: &mut Buffer) -> Result<Option<Accepted>, Refusal> {
        if let State::List = self.state {
            self.listed(trim_end(line), outbox)?;
            return Ok(None);
        }
        let status = Status::read(line)?;
        match (&self.state, status) {
            (State::Greeting, Status::Ok) => self.say_capa(outbox),
            (State::Greeting, Status::Err(text)) => return Err(turned_away(text, self.heard.take())),
            (State::Capa, Status::Ok) => self.state = State::List,
            // With a response code, the refusal is not only about the command.
            (State::Capa, Status::Err(text)) if code(text).is_some() => {
                return Err(turned_away(text, self.heard.take()));
            }
            (State::Capa, Status::Err(_)) => {
                self.say_auth(self.credential.mechanisms.first().copied(), outbox)?;
            }
            (State::Prompt { .. }, Status::Challenge(_)) => self.send_message(outbox),
            (State::Prompt { .. }, Status::Err(text)) => return Err(not_understood(text, self.heard.take())),
            (State::Prompt { .. }, Status::Ok) => {
                return Err(violation("it accepted a token that it had not seen"));
            }
            (State::Verdict { .. }, Status::Ok) => return Ok(Some(Accepted::new(line.to_vec()))),
            (State::Verdict { mechanism }, Status::Challenge(text)) => {
                let mechanism = *mechanism;
                answer_challenge(
                    Door::Pop3,
                    text,
                    mechanism,
                    &mut self.challenges,
                    &mut self.heard.challenge,
                    outbox,
                )?;
            }
            (State::Verdict { .. }, Status::Err(text)) => return Err(self.refused(text)),
            (State::Capa, _) => return Err(violation("it did not answer CAPA as a POP3 server does")),
            (State::Greeting | State::Silent | State::List, _) => {
                return Err(violation("it did not greet as a POP3 server does"));
            }
        }
        Ok(None)
    }

    fn say_capa(&mut self, outbox: &mut Buffer) {
        outbox.push(b"CAPA\r\n");
        self.heard.answers = Answers::Command("CAPA");
        self.state = State::Capa;
    }

    /// Reads a line of CAPA's list; after the last one, signs in with the most preferred mechanism of the list.
    fn listed(&mut self, line: &[u8], outbox: &mut Buffer) -> Result<(), Refusal> {
        if line != b"." {
            let line = String::from_utf8_lossy(line).to_ascii_uppercase();
            let mut words = line.split_ascii_whitespace();
            if words.next() == Some("SASL") {
                self.offered.extend(words.map(str::to_owned));
            }
            return Ok(());
        }
        let offered = |mechanism: &Mechanism| self.offered.iter().any(|name| name == mechanism.name());
        let chosen = self.credential.mechanisms.iter().copied().find(offered);
        self.say_auth(chosen, outbox)
    }

    fn say_auth(&mut self, chosen: Option<Mechanism>, outbox: &mut Buffer) -> Result<(), Refusal> {
        let Credential { user, token, host, port, .. } = *self.credential;
        let mechanism = chosen.ok_or_else(|| no_mechanism(Door::Pop3, &self.offered))?;
        let message = sasl::encode_bearer(mechanism, user, token, (host, port))?;
        for part in ["AUTH ", mechanism.name(), "\r\n"] {
            outbox.push(part.as_bytes());
        }
        self.heard.answers = Answers::SignIn;
        self.state = State::Prompt { mechanism, message };
        Ok(())
    }

    /// Sends the message, and wipes its copy here.
    fn send_message(&mut self, outbox: &mut Buffer) {
        if let State::Prompt { mechanism, message } = &self.state {
            outbox.reserve(message.len() + 2);
            outbox.push(message);
            outbox.push(b"\r\n");
            self.state = State::Verdict { mechanism: *mechanism };
        }
    }

    fn refused(&mut self, text: &[u8]) -> Refusal {
        let heard = self.heard.take();
        match self.credential.user.starts_with(RECENT) {
            true => refused_recent(text, heard),
            false => refused(text, heard),
        }
    }
}
