//! Submission: its part of the dialogue with a client, and its dialogues with a provider.
//!
//! A client does not repeat EHLO after AUTH, so EHLO lists what all providers have
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

use super::provider::drive;
use super::{Accepted, Credential, Denial, Door, NotListed, Protocol, Refusal, Vocabulary};
use crate::wire::{Buffer, Stream, Wire};
use begin_tls::BeginTls;
use client::Dialogue;
use upstream::SignIn;

pub use client::Submission;
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

impl Protocol for Submission {
    const DOOR: Door = Door::Submission;
    /// Exchange refuses a mailbox's fourth session only at the end of its message, so waiting costs less.
    const GATE_PATIENCE: Option<Duration> = None;
    /// Exchange and Dovecot keep the connection.
    const KEEPS_REFUSED: bool = true;
    const WORDS: &'static Vocabulary = &WORDS;

    type Watch = SessionWatch;

    /// A refusal instead of a greeting (RFC 5321 §3.1).
    fn turn_away(denial: &Denial) -> Vec<u8> {
        let mut line = Buffer::new();
        reply::write_end(&mut line, denial);
        line.into_unread()
    }

    async fn sign_in<U: Stream>(
        client: Option<&Dialogue>,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        let name = client.and_then(Dialogue::client_name);
        drive(SignIn::new(credential, name, client.and_then(Dialogue::promises))?, upstream).await
    }

    /// Nothing can be checked without sending a message.
    async fn look_in<U: Stream>(upstream: &mut Wire<U>) -> Result<Option<usize>, NotListed> {
        // For politeness; the answer is not awaited.
        let _ = upstream.send(b"QUIT\r\n").await;
        Ok(None)
    }

    async fn begin_tls<U: Stream>(upstream: &mut Wire<U>) -> Result<(), Refusal> {
        drive(BeginTls::default(), upstream).await
    }
}
