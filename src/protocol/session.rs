//! A session after its login, as far as its protocol has a say in it.

use std::time::Duration;

use super::Advice;

/// The last bytes that a provider sent, the newest at the end.
pub type Tail = [u8; 4];

/// What a protocol hears of a session while the relay copies it, and says at its end.
///
/// One value a session, for as long as that lasts: keep it small.
pub trait Watch: Default + Send {
    /// The longest piece that it is shown: in some protocols whatever is longer is mail.
    const LISTENS_TO: usize;

    /// So long without a byte in either direction, the session may be between two answers.
    const QUIET: Duration;

    /// Whether a session does not end between what the client said last and the first byte of its answer, because no
    /// word of ours can stand for that.
    const AWAITS_ANSWERS: bool = false;

    /// Shown each piece of what the provider sends that is not too long, before it is passed on. What it says about
    /// the session as such goes to `tell`, once. It runs within the relay's read, so it must cost next to nothing.
    fn overhear(&mut self, piece: &[u8], tell: &mut dyn FnMut(Overheard));

    /// What the client may be told, where the session is to end, all was passed on, and the provider has been
    /// silent for a moment after `tail`. `reason` is one sentence for the person.
    fn last_word(&self, tail: Tail, reason: &str) -> LastWord;
}

/// What a provider said in a session that is worth remembering.
#[derive(Debug)]
pub enum Overheard {
    /// The session as such is in trouble.
    Trouble(Advice),
    /// It refused a message, for a reason that is known and that a person can do something about.
    MessageRefused {
        /// Its own code: "5.2.252", or "432".
        code: String,
        /// What that means.
        advice: Advice,
    },
    /// It refused a message, a recipient or a command, and no more is known of it, or it was told already.
    Refused {
        /// Its own code.
        code: String,
    },
    /// It is ready for a message, which the client sends now.
    MessageBegun,
    /// It took a message.
    MessageTaken,
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
