//! The loops that move bytes for a [`Dialogue`] with a client: step, flush, and fill when more bytes are needed. The
//! dialogue makes all decisions and knows no sockets.

use std::io;
use std::time::Duration;

use super::{Dialogue, Event, Speech, State};
use crate::protocol::{Accepted, Credential, Denial, DialogueEnd, Protocol, Refusal, Request};
use crate::wire::{Stream, Wire};

/// A balancer sends its header in one piece; a client that has sent an empty line waits for an answer.
const HEADER_PATIENCE: Duration = Duration::from_secs(1);

impl<P: Speech> Dialogue<P> {
    /// Greets (once), answers the client's commands, and returns the client's next request.
    pub async fn next<S: Stream>(&mut self, client: &mut Wire<S>) -> Result<Request, DialogueEnd> {
        loop {
            let (inbox, outbox) = client.buffers();
            let event = self.step(inbox, outbox);
            if matches!(event, Event::Asks(Request::StartTls { .. })) {
                // These bytes are never interpreted, neither here nor as part of the handshake.
                inbox.clear();
            }
            let flushed = client.flush().await;
            match event {
                // The client may not get the last line; the end is reported either way.
                Event::End(end) => return Err(end),
                Event::Asks(request) => {
                    flushed?;
                    return Ok(request);
                }
                Event::More => flushed?,
            }
            let filled = match self.meter.awaits_header(client.inbox()) {
                false => client.fill().await,
                true => match tokio::time::timeout(HEADER_PATIENCE, client.fill()).await {
                    Ok(filled) => filled,
                    Err(_) => {
                        self.meter.no_header();
                        continue;
                    }
                },
            };
            match filled {
                Ok(0) => return Err(DialogueEnd::Vanished),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    let (_, outbox) = client.buffers();
                    let end = self.limit("it sent more at once than is held before a login", outbox);
                    let _ = client.flush().await;
                    return Err(end);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Refuses the login that [`Dialogue::next`] returned. The connection ends after too many wrong passwords;
    /// otherwise `next` continues with the bytes behind the login.
    pub async fn deny<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        denial: &Denial,
    ) -> Result<(), DialogueEnd> {
        let (_, outbox) = client.buffers();
        match self.denied(denial, outbox) {
            Some(end) => {
                let _ = client.flush().await;
                Err(end)
            }
            None => Ok(client.flush().await?),
        }
    }

    /// Passes the provider's acceptance on. Afterwards both wires are for the relay: [`Wire::into_parts`] gives the
    /// bytes that no dialogue has taken.
    pub async fn accept<S: Stream>(
        &mut self,
        client: &mut Wire<S>,
        accepted: Accepted,
    ) -> Result<(), DialogueEnd> {
        let is_device = matches!(self.state, State::Send);
        self.accepted();
        match is_device {
            // A device has not logged in, so the provider's reply to its MAIL comes next.
            true => Ok(()),
            false => Ok(client.send(accepted.lines()).await?),
        }
    }

    /// Ends the dialogue from our side: a waiting command is refused with `denial`, and the client is told that the
    /// connection closes.
    pub async fn bye<S: Stream>(&mut self, client: &mut Wire<S>, denial: &Denial) -> Result<(), DialogueEnd> {
        let (_, outbox) = client.buffers();
        self.dismissed(denial, outbox);
        Ok(client.flush().await?)
    }
}

impl<P: Protocol> Dialogue<P> {
    /// Signs in at the provider on behalf of the login that [`Dialogue::next`] returned, on a fresh connection. May be
    /// called again, on another connection, after a refusal.
    pub async fn authenticate<U: Stream>(
        &self,
        upstream: &mut Wire<U>,
        credential: &Credential<'_>,
    ) -> Result<Accepted, Refusal> {
        match self.is_asked() {
            true => P::sign_in(Some(self), upstream, credential).await,
            false => Err(Refusal::NotAsked),
        }
    }
}
