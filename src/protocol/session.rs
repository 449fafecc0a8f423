//! A session after its login, as far as its protocol has a say in it.

use super::Advice;

/// The last bytes that a provider sent, the newest at the end.
pub type Tail = [u8; 4];

/// What a protocol hears of a session while the relay copies it, and says at its end.
///
/// One value a session, for as long as that lasts: keep it small.
pub trait Watch: Default + Send {
    /// Shown each short piece of what the provider sends, before it is passed on. What it tells about the
    /// session as such is returned, once. It runs within the relay's read, so it must cost next to nothing.
    fn overhear(&mut self, piece: &[u8]) -> Option<Advice>;

    /// What the client may be told, where the session is to end, all was passed on, and the provider has been
    /// silent for a moment after `tail`. `reason` is one sentence for the person.
    fn last_word(&self, tail: Tail, reason: &str) -> LastWord;
}

/// What a client may be told at the end of its session.
#[derive(Debug, PartialEq, Eq)]
pub enum LastWord {
    /// Nothing yet: an answer is under way.
    NotYet,
    /// Nothing that it would understand; the session may end.
    Silence,
    /// This; then the session ends.
    Say(String),
}
