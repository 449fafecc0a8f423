//! The part of a protocol in a session after its login.

use std::time::Duration;

use super::Advice;

/// The last bytes that a provider sent, the newest at the end.
pub type Tail = [u8; 4];

/// Observes a session while the relay copies it, and decides the last line to the client.
///
/// There is one value for each open session: keep it small.
pub trait Watch: Default + Send {
    /// The longest piece that the watch is shown. In some protocols every longer piece is mail.
    const LISTENS_TO: usize;

    /// After this time without a byte in either direction, the session may be between two answers.
    const QUIET: Duration;

    /// Whether the session must not end between a command of the client and the first byte of its answer, because a
    /// line of the proxy cannot replace that answer.
    const AWAITS_ANSWERS: bool = false;

    /// The watch of a device's session, whose messages are counted.
    fn of_device() -> Self {
        Self::default()
    }

    /// Gets each piece from the client, before the provider gets it. Most watches need none.
    fn overhear_client(&mut self, _piece: &[u8]) {}

    /// Gets each piece from the provider that is not too long, before the client gets it. News about the session
    /// goes to `tell`, each once. This runs within the relay's read, so it must cost next to nothing.
    fn overhear(&mut self, piece: &[u8], tell: &mut dyn FnMut(Overheard));

    /// The last word to the client when the session is to end, everything was passed on, and the provider has been
    /// silent for a moment after `tail`. `reason` is one sentence for the user.
    fn last_word(&self, tail: Tail, reason: &str) -> LastWord;
}

/// News of a provider in a session.
#[derive(Debug)]
pub enum Overheard {
    /// The session itself is in trouble.
    Trouble(Advice),
    /// The provider refused a message, for a known reason that a person can remove.
    MessageRefused {
        /// The provider's code: "5.2.252", or "432".
        code: String,
        /// The meaning of the code.
        advice: Advice,
    },
    /// The provider refused a message, a recipient or a command; the reason is unknown or was reported already.
    Refused {
        /// The provider's code.
        code: String,
    },
    /// The provider is ready for a message, which the client sends now; or it has accepted a message that a device sent
    /// by BDAT, which needs no such reply.
    MessageBegun,
    /// The provider accepted a message.
    MessageTaken,
}

/// The last word to a client at the end of its session.
#[derive(Debug, PartialEq, Eq)]
pub enum LastWord {
    /// No line yet: an answer is not complete.
    NotYet,
    /// No line that the client would understand; the session may end.
    Silence,
    /// This line; then the session ends.
    Say(String),
}
