//! The parts that the dialogues of all protocols share, and the loops that move bytes for them: step, flush, and
//! fill when more bytes are needed. The dialogues make all decisions and know no sockets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::{Accepted, Channel, Denial, DialogueEnd, Limits, Login, Promises, Refusal, Request};
use crate::wire::{Buffer, Stream, Wire};

/// Why a dialogue with a client stopped.
#[derive(Debug)]
pub enum Event {
    /// The dialogue needs more bytes than the inbox holds.
    More,
    /// A login, which [`ClientDialogue::denied`] or [`ClientDialogue::accepted`] answers.
    Login(Login),
    /// A device (a client with an address that stands for an account) begins to send; its command stays in the inbox.
    /// [`ClientDialogue::denied`] or [`ClientDialogue::accepted`] answers, as for a login.
    Send,
    /// STARTTLS was accepted; this number of bytes behind the command must not be interpreted.
    StartTls(usize),
    /// The dialogue is over; the outbox holds the last words.
    End(DialogueEnd),
}

/// A dialogue with a client, from the greeting to its login: bytes in, events out.
///
/// After a login the dialogue waits: bytes that the client pipelined stay in the inbox, uninterpreted. If the
/// login is denied, the dialogue continues with them; if it is accepted, the relay gets them.
pub trait ClientDialogue {
    /// A dialogue before its greeting.
    fn new(channel: Channel, limits: Limits) -> Self;

    /// Tells the dialogue, before it begins, what every configured provider supports.
    fn promise(&mut self, _promises: &Arc<Promises>) {}

    /// Tells the dialogue, before it begins, that the client's address stands for an account: no login is needed.
    fn admit_device(&mut self) {}

    /// Processes the inbox until an event occurs. The first call, with an empty inbox, greets.
    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Event;

    /// Whether the empty lines in `inbox` wait unanswered, because a PROXY protocol header could begin so.
    fn awaits_header(&self, inbox: &[u8]) -> bool;

    /// The rest of a header did not come, so the empty lines are to be answered.
    fn no_header(&mut self);

    /// The name that the client has given itself.
    fn client_called(&self) -> Option<&str>;

    /// Whether a device ([`ClientDialogue::admit_device`]) has begun to send without the TLS that it must begin first.
    fn device_spoke_in_clear(&self) -> bool {
        false
    }

    /// Continues in TLS: everything said in cleartext is forgotten, but the counters stay.
    fn tls_started(&mut self);

    /// Refuses the waiting login; `Some` if that was one failure too many.
    fn denied(&mut self, denial: &Denial, outbox: &mut Buffer) -> Option<DialogueEnd>;

    /// The client sent more than may be held before a login.
    fn too_much(&mut self, outbox: &mut Buffer) -> DialogueEnd;

    /// The provider accepted the waiting login: the dialogue interprets nothing any more.
    fn accepted(&mut self);

    /// Ends the dialogue from our side, with an answer to a waiting command.
    fn bye(&mut self, denial: &Denial, outbox: &mut Buffer);
}

/// The state of a dialogue with a provider after a step.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The dialogue needs more bytes than the inbox holds.
    More,
    /// The provider accepted the token.
    Accepted(Accepted),
}

/// A sign-in at a provider, from its greeting to its verdict on a token: bytes in, verdict out.
pub trait ProviderDialogue {
    /// Processes the inbox; lines to send go to the outbox.
    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<Step, Refusal>;

    /// The meaning of the connection's end while a verdict is due.
    fn closed(&mut self) -> Refusal {
        Refusal::Closed
    }
}

/// A balancer sends its header in one piece; a client that has sent an empty line waits for an answer.
const HEADER_PATIENCE: Duration = Duration::from_secs(1);

/// [`Protocol::next`](super::Protocol::next).
pub(super) async fn next<S: Stream>(
    dialogue: &mut impl ClientDialogue,
    client: &mut Wire<S>,
) -> Result<Request, DialogueEnd> {
    loop {
        let (inbox, outbox) = client.buffers();
        let event = dialogue.step(inbox, outbox);
        if matches!(event, Event::StartTls(_)) {
            // These bytes are never interpreted, neither here nor as part of the handshake.
            inbox.clear();
        }
        let flushed = client.flush().await;
        match event {
            // The client may not get the last line; the end is reported either way.
            Event::End(end) => return Err(end),
            Event::Login(login) => return flushed.map(|()| Request::Login(login)).map_err(Into::into),
            Event::Send => return flushed.map(|()| Request::Send).map_err(Into::into),
            Event::StartTls(injected) => {
                return flushed.map(|()| Request::StartTls { injected }).map_err(Into::into);
            }
            Event::More => flushed?,
        }
        let filled = match dialogue.awaits_header(client.inbox()) {
            false => client.fill().await,
            true => match tokio::time::timeout(HEADER_PATIENCE, client.fill()).await {
                Ok(filled) => filled,
                Err(_) => {
                    dialogue.no_header();
                    continue;
                }
            },
        };
        match filled {
            Ok(0) => return Err(DialogueEnd::Vanished),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                let (_, outbox) = client.buffers();
                let end = dialogue.too_much(outbox);
                let _ = client.flush().await;
                return Err(end);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// [`Protocol::deny`](super::Protocol::deny).
pub(super) async fn deny<S: Stream>(
    dialogue: &mut impl ClientDialogue,
    client: &mut Wire<S>,
    denial: &Denial,
) -> Result<(), DialogueEnd> {
    let (_, outbox) = client.buffers();
    match dialogue.denied(denial, outbox) {
        Some(end) => {
            let _ = client.flush().await;
            Err(end)
        }
        None => Ok(client.flush().await?),
    }
}

/// [`Protocol::bye`](super::Protocol::bye).
pub(super) async fn bye<S: Stream>(
    dialogue: &mut impl ClientDialogue,
    client: &mut Wire<S>,
    denial: &Denial,
) -> Result<(), DialogueEnd> {
    let (_, outbox) = client.buffers();
    dialogue.bye(denial, outbox);
    Ok(client.flush().await?)
}

/// Drives a sign-in. If this future is dropped while it waits, the wire is in the middle of an exchange: close it.
pub(super) async fn sign_in<U: Stream>(
    sign_in: &mut impl ProviderDialogue,
    upstream: &mut Wire<U>,
) -> Result<Accepted, Refusal> {
    let step = |inbox: &mut Buffer, outbox: &mut Buffer| match sign_in.step(inbox, outbox)? {
        Step::More => Ok(None),
        Step::Accepted(accepted) => Ok(Some(accepted)),
    };
    match drive(upstream, step).await {
        Err(Refusal::Closed) => Err(sign_in.closed()),
        signed_in => signed_in,
    }
}

/// Moves bytes for `step` until `step` has a result.
pub(super) async fn drive<U: Stream, T>(
    upstream: &mut Wire<U>,
    mut step: impl FnMut(&mut Buffer, &mut Buffer) -> Result<Option<T>, Refusal>,
) -> Result<T, Refusal> {
    loop {
        let (inbox, outbox) = upstream.buffers();
        let wanted = step(inbox, outbox)?;
        upstream.flush().await?;
        match wanted {
            Some(wanted) => return Ok(wanted),
            None if upstream.fill().await? == 0 => return Err(Refusal::Closed),
            None => {}
        }
    }
}
