//! POP3: its part of the dialogue with a client, and its dialogues with a provider.
//!
//! The proxy never sends QUIT to a provider: only the client's own QUIT deletes the messages that it has
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

use super::provider::drive;
use super::{Accepted, Credential, Denial, Door, NotListed, Protocol, Refusal, Vocabulary};
use crate::wire::{Buffer, Stream, Wire};
use begin_tls::BeginTls;
use client::Dialogue;
use probe::Stat;
use upstream::SignIn;

pub use client::Pop3;
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

impl Protocol for Pop3 {
    const DOOR: Door = Door::Pop3;
    /// A collector and a telephone may fetch at the same time; each is done within a moment.
    const GATE_PATIENCE: Option<Duration> = Some(Duration::from_secs(5));
    /// Not every provider is known to keep a connection after a refusal.
    const KEEPS_REFUSED: bool = false;
    const WORDS: &'static Vocabulary = &WORDS;

    type Watch = SessionWatch;

    /// A refusal instead of the greeting.
    fn turn_away(denial: &Denial) -> Vec<u8> {
        let mut line = Buffer::new();
        answer::write_denial(&mut line, denial);
        line.into_unread()
    }

    async fn sign_in<U: Stream>(
        client: Option<&Dialogue>,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        if !client.is_some_and(Dialogue::wants_recent) {
            return drive(SignIn::new(credential)?, upstream).await;
        }
        let user = format!("{RECENT}{}", credential.user);
        let credential = Credential { user: &user, ..*credential };
        drive(SignIn::new(&credential)?, upstream).await
    }

    /// Counts the messages, because a provider may accept the sign-in and refuse the mailbox. POP3 has no folders.
    async fn look_in<U: Stream>(upstream: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        drive(Stat::default(), upstream).await.map(|()| None).map_err(NotListed)
    }

    async fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> Result<(), Refusal> {
        drive(BeginTls::default(), upstream).await
    }
}
