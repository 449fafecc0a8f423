//! POP3: drives the two dialogues over their wires.
//!
//! [`client::Dialogue`] and [`upstream::SignIn`] make all decisions and know no sockets; the loops here move bytes
//! for them. The proxy never sends QUIT to a provider: only the client's own QUIT deletes the messages that it has
//! marked (RFC 1939 §6), so a session that breaks off loses nothing.

mod answer;
pub mod begin_tls;
pub mod client;
mod command;
mod meaning;
mod probe;
mod response;
pub mod upstream;
mod watch;

use std::time::Duration;

use super::dialogue::{self, ClientDialogue as _};
use super::{Accepted, Channel, Credential, Denial, Door, Limits, NotListed, Protocol, Refusal, Vocabulary};
use crate::wire::{Buffer, Stream, Wire};
use begin_tls::BeginTls;
use client::Dialogue;
use probe::Stat;
use upstream::SignIn;

pub use watch::SessionWatch;

/// The words that a session trace may show.
const WORDS: Vocabulary = Vocabulary {
    tagged: false,
    #[rustfmt::skip]
    commands: &[
        "CAPA", "USER", "PASS", "AUTH", "STLS", "QUIT", "APOP", "STAT", "LIST", "RETR", "DELE", "NOOP", "RSET", "TOP", "UIDL",
        "UTF8", "LANG",
    ],
    exchanges: &["AUTH"],
    codes: false,
    texts: true,
    replies: &["+OK", "-ERR"],
    prompts: &["+"],
    message: None,
};

/// Prefix of the user name: Gmail then offers the mail of the last thirty days, even if fetched already.
const RECENT: &str = "recent:";

/// The POP3 dialogue of one connection.
#[derive(Debug)]
pub struct Pop3 {
    dialogue: Dialogue,
}

impl Protocol for Pop3 {
    const DOOR: Door = Door::Pop3;
    /// A collector and a telephone may fetch at the same time; each is done within a moment.
    const GATE_PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
    /// Not every provider is known to keep a connection after a refusal.
    const KEEPS_REFUSED: bool = false;
    const WORDS: &'static Vocabulary = &WORDS;

    type Watch = SessionWatch;
    type Dialogue = Dialogue;

    fn new(channel: Channel, limits: Limits) -> Self {
        Self { dialogue: Dialogue::new(channel, limits) }
    }

    fn dialogue(&mut self) -> &mut Dialogue {
        &mut self.dialogue
    }

    /// A refusal instead of the greeting.
    fn turn_away(denial: &Denial) -> Vec<u8> {
        let mut line = Buffer::new();
        answer::write_denial(&mut line, denial);
        line.into_unread()
    }

    async fn authenticate<U: Stream>(
        &self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        if !self.dialogue.has_login() {
            return Err(Refusal::NotAsked);
        }
        if !self.dialogue.wants_recent() {
            return dialogue::sign_in(&mut SignIn::new(credential)?, upstream).await;
        }
        let user = format!("{RECENT}{}", credential.user);
        let credential = Credential { user: &user, ..*credential };
        dialogue::sign_in(&mut SignIn::new(&credential)?, upstream).await
    }

    async fn sign_in<U: Stream>(
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        dialogue::sign_in(&mut SignIn::new(credential)?, upstream).await
    }

    /// Counts the messages, because a provider may accept the sign-in and refuse the mailbox. POP3 has no folders.
    async fn look_in<U: Stream>(upstream: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        let mut stat = Stat::default();
        let looking = dialogue::drive(upstream, |inbox, outbox| stat.step(inbox, outbox));
        looking.await.map(|()| None).map_err(NotListed)
    }

    async fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> Result<(), Refusal> {
        let mut begin_tls = BeginTls::default();
        dialogue::drive(upstream, |inbox, outbox| Ok(begin_tls.step(inbox, outbox)?.then_some(()))).await
    }
}
