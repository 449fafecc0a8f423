//! The dialogues with a provider: bytes in, a result or a refusal out. They make all decisions and know no sockets.

use super::Refusal;
use crate::wire::{Buffer, Stream, Wire};

/// A dialogue with a provider, such as a sign-in from the greeting to the verdict on a token.
pub trait ProviderDialogue {
    /// The result.
    type Outcome;

    /// Says what comes before the provider's next answer, if that was not said yet.
    fn begin(&mut self, _outbox: &mut Buffer) {}

    /// The end of the first whole answer in the inbox, which is then removed; a refusal if the answer is too long.
    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal>;

    /// Handles a whole answer; lines to send go to the outbox.
    fn hear(&mut self, answer: &[u8], outbox: &mut Buffer) -> Result<Option<Self::Outcome>, Refusal>;

    /// The meaning of the connection's end while an answer is due.
    fn closed(&mut self) -> Refusal {
        Refusal::Closed
    }

    /// Processes the inbox; `None` if the dialogue needs more bytes than the inbox holds.
    fn step(&mut self, inbox: &mut Buffer, outbox: &mut Buffer) -> Result<Option<Self::Outcome>, Refusal> {
        self.begin(outbox);
        while let Some(end) = self.next(inbox)? {
            let outcome = self.hear(inbox.get(..end).unwrap_or_default(), outbox);
            inbox.consume(end);
            if let Some(outcome) = outcome? {
                return Ok(Some(outcome));
            }
        }
        Ok(None)
    }
}

/// Moves bytes for `dialogue` until it has a result. If this future is dropped while it waits, the wire is in the middle
/// of an exchange: close it.
pub(super) async fn drive<U: Stream, D: ProviderDialogue>(
    mut dialogue: D,
    upstream: &mut Wire<U>,
) -> Result<D::Outcome, Refusal> {
    match exchange(&mut dialogue, upstream).await {
        Err(Refusal::Closed) => Err(dialogue.closed()),
        outcome => outcome,
    }
}

async fn exchange<U: Stream, D: ProviderDialogue>(
    dialogue: &mut D,
    upstream: &mut Wire<U>,
) -> Result<D::Outcome, Refusal> {
    loop {
        let (inbox, outbox) = upstream.buffers();
        let outcome = dialogue.step(inbox, outbox)?;
        upstream.flush().await?;
        match outcome {
            Some(outcome) => return Ok(outcome),
            None if upstream.fill().await? == 0 => return Err(Refusal::Closed),
            None => {}
        }
    }
}
