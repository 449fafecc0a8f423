//! IMAP: drives the two dialogues over their wires.
//!
//! [`client::Dialogue`] and [`upstream::SignIn`] decide everything and know no sockets; the loops
//! here move bytes for them: step, flush, and where more is needed, fill. The dialogue answers the
//! client; the sign-in speaks with the provider under the tag of the client's own login command, so that
//! what the provider answers is passed on as it is.

mod answer;
pub mod client;
mod command;
mod framer;
mod limits;
mod probe;
mod refusal;
mod response;
pub mod upstream;

use std::io;

use super::{Credential, Denial, Protocol, Request};
use crate::wire::{Buffer, Stream, Wire};
use client::{Dialogue, Event};
use upstream::{SignIn, Step};

pub use limits::{Channel, Limits};
pub use probe::{NotListed, count_folders};
pub use refusal::{Advice, Answers, Refusal, Said, advice_on};
pub use upstream::Accepted;

/// The IMAP dialogue of one connection.
#[derive(Debug)]
pub struct Imap {
    dialogue: Dialogue,
}

impl Imap {
    /// A dialogue on a connection that was just accepted, or whose TLS just began.
    pub fn new(channel: Channel, limits: Limits) -> Self {
        Self { dialogue: Dialogue::new(channel, limits) }
    }

    /// What a connection gets that is turned away before any dialogue: a greeting that says why (RFC
    /// 3501 §7.1.5).
    pub fn turn_away(denial: &Denial) -> Vec<u8> {
        let mut line = Buffer::new();
        answer::push_bye(&mut line, denial);
        line.into_unread()
    }
}

impl Protocol for Imap {
    async fn next<S: Stream>(&mut self, client: &mut Wire<S>) -> Result<Request, DialogueEnd> {
        loop {
            let (inbox, outbox) = client.buffers();
            let event = self.dialogue.step(inbox, outbox);
            if matches!(event, Event::StartTls(_)) {
                // Never interpreted, neither here nor as the beginning of the handshake.
                inbox.clear();
            }
            let flushed = client.flush().await;
            match event {
                // The last words may fail to arrive; why it ended is what counts.
                Event::End(end) => return Err(end),
                Event::Login(login) => return flushed.map(|()| Request::Login(login)).map_err(Into::into),
                Event::StartTls(injected) => {
                    return flushed.map(|()| Request::StartTls { injected }).map_err(Into::into);
                }
                Event::More => flushed?,
            }
            if client.fill().await? == 0 {
                return Err(DialogueEnd::Vanished);
            }
        }
    }

    fn tls_started(&mut self) {
        self.dialogue.tls_started();
    }

    async fn deny<S: Stream>(&mut self, client: &mut Wire<S>, denial: &Denial) -> Result<(), DialogueEnd> {
        let (_, outbox) = client.buffers();
        match self.dialogue.denied(denial, outbox) {
            Some(end) => {
                let _ = client.flush().await;
                Err(end)
            }
            None => Ok(client.flush().await?),
        }
    }

    async fn authenticate<U: Stream>(
        &self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        let tag = self.dialogue.login_tag().ok_or(Refusal::NotAsked)?;
        sign_in(tag, upstream, credential).await
    }

    async fn accept<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        accepted: Accepted,
    ) -> Result<(), DialogueEnd> {
        self.dialogue.accepted();
        Ok(client.send(accepted.lines()).await?)
    }

    async fn bye<S: Stream>(&mut self, client: &mut Wire<S>, denial: &Denial) -> Result<(), DialogueEnd> {
        let (_, outbox) = client.buffers();
        self.dialogue.bye(denial, outbox);
        Ok(client.flush().await?)
    }
}

/// Signs in at a provider on a fresh connection, under `tag`: what `authorize` and `check` do too.
///
/// Dropped while it waits, it leaves the wire in the middle of an exchange: close it.
pub async fn sign_in<U: Stream>(
    tag: &[u8],
    upstream: &mut Wire<U>,
    credential: &Credential<'_>,
) -> Result<Accepted, Refusal> {
    let mut sign_in = SignIn::new(tag, credential)?;
    loop {
        let (inbox, outbox) = upstream.buffers();
        let step = sign_in.step(inbox, outbox)?;
        upstream.flush().await?;
        match step {
            Step::More if upstream.fill().await? == 0 => return Err(Refusal::Closed),
            Step::More => {}
            Step::Accepted(accepted) => return Ok(accepted),
        }
    }
}

/// How a dialogue with a client ended without a login. The messages are for the log; the client
/// has been told what it can understand.
#[derive(Debug, thiserror::Error)]
pub enum DialogueEnd {
    /// As it should.
    #[error("the mail program logged out before logging in")]
    Logout,
    /// The client's, or its network's.
    #[error("the mail program closed the connection before logging in")]
    Vanished,
    /// Ours or the network's.
    #[error("the connection to the mail program failed: {0}")]
    Io(io::Error),
    /// The client's: the last of them was answered.
    #[error("the mail program sent {0} wrong passwords on one connection; check the password it has stored")]
    FailedLogins(u32),
    /// The client's: it or whoever it is costs too much.
    #[error("the connection was closed because {0}")]
    Limit(&'static str),
    /// The user's settings.
    #[error(
        "a TLS handshake came to a port without implicit TLS; set the mail program's connection security to match the listener (STARTTLS or none), or use the TLS port"
    )]
    TlsHello,
    /// Not a mail program.
    #[error("an HTTP request came to an IMAP port; this port is for mail programs, not for browsers")]
    Http,
    /// The caller's: it went on after the end.
    #[error("the dialogue was over already")]
    Closed,
}

/// Old mail programs hang up in every way there is, most without a word.
impl From<io::Error> for DialogueEnd {
    fn from(error: io::Error) -> Self {
        if is_hang_up(&error) { Self::Vanished } else { Self::Io(error) }
    }
}

/// Whether the other side is simply gone; a TLS stream that ends without close_notify counts.
fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

impl DialogueEnd {
    /// Whether nothing is worth a warning: the client went away by itself.
    pub fn is_ordinary(&self) -> bool {
        matches!(self, Self::Logout | Self::Vanished)
    }
}
