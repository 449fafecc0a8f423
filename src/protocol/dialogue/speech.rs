//! What a protocol adds to the [`Dialogue`] with a client: its commands, and its words for what all protocols say.

use super::{Dialogue, Event};
use crate::protocol::sasl::exchange::WrongLine;
use crate::protocol::{Denial, Login};
use crate::wire::Buffer;

/// The commands and the words of one protocol before a login. A value is what only this protocol remembers about a
/// client; it is forgotten when TLS begins.
pub trait Speech: Default + Send + Sync {
    /// The kind of port, for the log: "an IMAP port".
    const PORT: &'static str;

    /// Reads the beginning of the inbox: one line or less, unless the protocol has longer commands. `None` if there may
    /// be more to read.
    fn read(dialogue: &mut Dialogue<Self>, inbox: &mut Buffer, outbox: &mut Buffer) -> Option<Event> {
        dialogue.begins(inbox).or_else(|| dialogue.read_line(inbox, outbox))
    }

    /// Answers one command, line end included, which the dialogue then removes from the inbox.
    fn command(dialogue: &mut Dialogue<Self>, command: &[u8], outbox: &mut Buffer) -> Option<Event>;

    /// Writes `phrase` in the words of this protocol.
    fn say(dialogue: &Dialogue<Self>, phrase: Phrase, outbox: &mut Buffer);

    /// Writes the refusal of the waiting login, or of the waiting device.
    fn deny(dialogue: &mut Dialogue<Self>, denial: &Denial, outbox: &mut Buffer);

    /// Writes the end of the connection from our side, with an answer to a waiting command.
    fn bye(dialogue: &mut Dialogue<Self>, denial: &Denial, outbox: &mut Buffer);

    /// Sees each login before the proxy does.
    fn takes(&mut self, _login: &mut Login) {}
}

/// What the dialogues of all protocols say.
#[derive(Clone, Copy, Debug)]
pub enum Phrase {
    /// The first line of the connection.
    Greeting,
    /// Asks for the next line of a SASL exchange, with this challenge in base64.
    Ask(&'static str),
    /// The client's SASL line cannot be part of a login.
    Wrong(WrongLine),
    /// The client has cancelled its SASL exchange.
    Cancelled,
    /// No other mechanisms than those that carry a password.
    NoMechanism,
    /// No password may be sent before TLS begins.
    TlsFirst,
    /// TLS begins now.
    BeginTls,
    /// TLS was asked for, but has begun already.
    TlsIsActive,
    /// TLS was asked for, but is not offered.
    NoTls,
    /// The client logs out.
    Goodbye,
    /// A browser or a probe has come to the wrong port.
    Http,
    /// The client used more than its limits allow; the connection ends.
    TooMuch,
    /// The client sent too many wrong passwords; the connection ends.
    TooManyFailures,
}
