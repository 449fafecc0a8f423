//! Submission: drives the two dialogues over their wires.
//!
//! [`client::Dialogue`] and [`upstream::SignIn`] decide everything and know no sockets; the loops here move bytes for
//! them. A client does not say EHLO again after AUTH, so it is told before its provider is known what all
//! providers keep ([`Promises`](super::Promises)); the sign-in says which of that its own provider lacks.

pub mod begin_tls;
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

/// What a person may see who traces a session.
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
    /// Exchange refuses the fourth session of a mailbox at the end of its message; to wait costs a sender less.
    const GATE_PATIENCE: Option<Duration> = None;
    /// Both Exchange and Dovecot do.
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

    /// A reply of refusal in the place of a greeting (RFC 5321 §3.1).
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

    /// A device has asked for nothing that a `235` would answer: the provider's reply to its MAIL comes next.
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

    /// There is nothing to look at: no message is ever sent to see whether one would be taken.
    async fn look_in<U: Stream>(upstream: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        // A courtesy; its answer is not waited for.
        let _ = upstream.send(b"QUIT\r\n").await;
        Ok(None)
    }

    async fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> Result<(), Refusal> {
        let mut begin_tls = BeginTls::new();
        dialogue::drive(upstream, |inbox, outbox| Ok(begin_tls.step(inbox, outbox)?.then_some(()))).await
    }
}
