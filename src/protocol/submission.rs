//! Submission: drives the two dialogues over their wires.
//!
//! [`client::Dialogue`] and [`upstream::SignIn`] make all decisions and know no sockets; the loops here move bytes
//! for them. A client does not repeat EHLO after AUTH, so EHLO lists what all providers have
//! ([`Promises`](super::Promises)); the sign-in reports what the client's provider lacks.

pub mod begin_tls;
mod chunks;
pub mod client;
mod command;
mod meaning;
mod reply;
mod response;
pub mod upstream;
mod watch;

use std::time::Duration;

use super::dialogue::{self, ClientDialogue as _};
use super::{
    Accepted, Channel, Credential, Denial, DialogueEnd, Door, Limits, NotListed, Protocol, Refusal,
    Vocabulary,
};
use crate::wire::{Buffer, Stream, Wire};
use begin_tls::BeginTls;
use client::Dialogue;
use upstream::SignIn;

pub use watch::SessionWatch;

/// The words that a session trace may show.
const WORDS: Vocabulary = Vocabulary {
    tagged: false,
    #[rustfmt::skip]
    commands: &[
        "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "BURL", "RSET", "NOOP", "VRFY", "EXPN", "ETRN",
        "HELP", "QUIT",
    ],
    exchanges: &["AUTH"],
    codes: true,
    texts: false,
    replies: &[],
    prompts: &["334", "354"],
    message: Some("DATA"),
};

/// The submission dialogue of one connection.
#[derive(Debug)]
pub struct Submission {
    dialogue: Dialogue,
}

impl Protocol for Submission {
    const DOOR: Door = Door::Submission;
    /// Exchange refuses a mailbox's fourth session only at the end of its message, so waiting costs less.
    const GATE_PATIENCE: Option<Duration> = None;
    /// Exchange and Dovecot keep the connection.
    const KEEPS_REFUSED: bool = true;
    const WORDS: &'static Vocabulary = &WORDS;

    type Watch = SessionWatch;
    type Dialogue = Dialogue;

    fn new(channel: Channel, limits: Limits) -> Self {
        Self { dialogue: Dialogue::new(channel, limits) }
    }

    fn dialogue(&mut self) -> &mut Dialogue {
        &mut self.dialogue
    }

    /// A refusal instead of a greeting (RFC 5321 §3.1).
    fn turn_away(denial: &Denial) -> Vec<u8> {
        let mut line = Buffer::new();
        reply::write_end(&mut line, denial);
        line.into_unread()
    }

    async fn authenticate<U: Stream>(
        &self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        if !self.dialogue.has_login() && !self.dialogue.has_mail() {
            return Err(Refusal::NotAsked);
        }
        let name = self.dialogue.client_name();
        let mut sign_in = SignIn::new(credential, name, Some(self.dialogue.promises()))?;
        dialogue::sign_in(&mut sign_in, upstream).await
    }

    /// A device has sent no AUTH, so it gets no `235`: the provider's reply to its MAIL comes next.
    async fn accept<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        accepted: Accepted,
    ) -> Result<(), DialogueEnd> {
        let has_mail = self.dialogue.has_mail();
        self.dialogue.accepted();
        if !has_mail {
            client.send(accepted.lines()).await?;
        }
        Ok(())
    }

    async fn sign_in<U: Stream>(
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        dialogue::sign_in(&mut SignIn::new(credential, None, None)?, upstream).await
    }

    /// Nothing can be checked without sending a message.
    async fn look_in<U: Stream>(upstream: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        // For politeness; the answer is not awaited.
        let _ = upstream.send(b"QUIT\r\n").await;
        Ok(None)
    }

    async fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> Result<(), Refusal> {
        let mut begin_tls = BeginTls::new();
        dialogue::drive(upstream, |inbox, outbox| Ok(begin_tls.step(inbox, outbox)?.then_some(()))).await
    }
}
