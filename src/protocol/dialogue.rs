//! What the dialogues of all protocols have in common, and the loops that move bytes for them: step, flush, and
//! where more is needed, fill. The dialogues decide everything and know no sockets.

use std::io;
use std::sync::Arc;

use super::{Accepted, Channel, Denial, DialogueEnd, Limits, Login, Promises, Refusal, Request};
use crate::wire::{Buffer, Stream, Wire};

/// Why a dialogue with a client stopped.
#[derive(Debug)]
pub enum Event {
    /// It needs more bytes than the inbox holds.
    More,
    /// A login, which [`ClientDialogue::denied`] or [`ClientDialogue::accepted`] answers.
    Login(Login),
    /// A client whose address stands for an account begins to send; what it said stays in the inbox.
    /// [`ClientDialogue::denied`] or [`ClientDialogue::accepted`] answers, as for a login.
    Send,
    /// STARTTLS was agreed to, with so many bytes behind it that must not be interpreted.
    StartTls(usize),
    /// The dialogue is over; the outbox holds the last words.
    End(DialogueEnd),
}

/// A dialogue with a client, from the greeting to its login: bytes in, events out.
///
/// Behind a login it stands still: what the client pipelined stays in the inbox, uninterpreted, until the login is
/// denied (then it goes on) or accepted (then it is the relay's).
pub trait ClientDialogue {
    /// At its very beginning.
    fn new(channel: Channel, limits: Limits) -> Self;

    /// Tells it, before it begins, what every configured provider supports.
    fn promise(&mut self, _promises: &Arc<Promises>) {}

    /// Tells it, before it begins, that the client's address stands for an account, so that it needs no login.
    fn admit_device(&mut self) {}

    /// Works through the inbox until something is needed. Call it first with an empty inbox: it greets.
    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Event;

    /// What the client has called itself.
    fn client_called(&self) -> Option<&str>;

    /// Goes on in TLS: nothing that was said counts any more; the counters stay.
    fn tls_started(&mut self);

    /// Refuses the login that waits; `Some` where that was one too many.
    fn denied(&mut self, denial: &Denial, outbox: &mut Buffer) -> Option<DialogueEnd>;

    /// More came than may be held before a login.
    fn too_much(&mut self, outbox: &mut Buffer) -> DialogueEnd;

    /// The login that waited was accepted by the provider: nothing is interpreted any more.
    fn accepted(&mut self);

    /// Ends from our side, with an answer to a command that waits for one.
    fn bye(&mut self, denial: &Denial, outbox: &mut Buffer);
}

/// What a dialogue with a provider wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More bytes than the inbox holds.
    More,
    /// Nothing: the provider accepted.
    Accepted(Accepted),
}

/// A sign-in at a provider, from its greeting to its verdict on a token: bytes in, verdict out.
pub trait ProviderDialogue {
    /// Works through the inbox; lines to send go to the outbox.
    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<Step, Refusal>;
}

/// [`Protocol::next`](super::Protocol::next).
pub(super) async fn next<S: Stream>(
    dialogue: &mut impl ClientDialogue,
    client: &mut Wire<S>,
) -> Result<Request, DialogueEnd> {
    loop {
        let (inbox, outbox) = client.buffers();
        let event = dialogue.step(inbox, outbox);
        if matches!(event, Event::StartTls(_)) {
            // Never interpreted, neither here nor as the beginning of the handshake.
            inbox.clear();
        }
        let flushed = client.flush().await;
        match event {
            // The last words may fail to arrive; why it ended is what counts.
            Event::End(end) => return Err(end),
            Event::Login(login) => return flushed.map(|()| Request::Login(login)).map_err(Into::into),
            Event::Send => return flushed.map(|()| Request::Send).map_err(Into::into),
            Event::StartTls(injected) => {
                return flushed.map(|()| Request::StartTls { injected }).map_err(Into::into);
            }
            Event::More => flushed?,
        }
        match client.fill().await {
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

/// Drives a sign-in. Dropped while it waits, it leaves the wire in the middle of an exchange: close it.
pub(super) async fn sign_in<U: Stream>(
    sign_in: &mut impl ProviderDialogue,
    upstream: &mut Wire<U>,
) -> Result<Accepted, Refusal> {
    drive(upstream, |inbox, outbox| match sign_in.step(inbox, outbox)? {
        Step::More => Ok(None),
        Step::Accepted(accepted) => Ok(Some(accepted)),
    })
    .await
}

/// Moves bytes for `step` until that has what it wants of the provider.
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
