//! What the POP3 server does until told otherwise, and the steps at which a fault can meet a session.

use crate::Flavour;

/// What the POP3 server does until told otherwise. A session takes them as they are when it is accepted.
#[derive(Clone, Debug)]
pub struct Pop3Switches {
    /// Whose dialect it speaks. Default: as built.
    pub flavour: Flavour,
    /// Whether it knows CAPA. Default: true.
    pub capa: bool,
    /// The mechanisms that CAPA lists instead of its own; empty leaves the line out.
    pub sasl: Option<String>,
    /// `+` without the space behind it. Default: false.
    pub bare_challenge: bool,
    /// A second session of a mailbox is refused with `[IN-USE]`. Default: false.
    pub exclusive: bool,
    /// Octets sent in cleartext in one write with the answer to STLS, as an attacker on the line would inject them.
    pub behind_stls: Vec<u8>,
    /// At most so many octets a write, and a TLS record; 0 is no limit.
    pub piece: usize,
    /// Anything outside the proxy's own vocabulary before the login is a violation and ends the connection, QUIT
    /// included. Off, such a command is answered as a provider would. Default: true.
    pub strict: bool,
}

/// A step of a POP3 session, where a [`StepFault`](crate::StepFault) can meet it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pop3Step {
    /// The greeting.
    Greeting,
    /// CAPA.
    Capa,
    /// STLS.
    Stls,
    /// AUTH, before any message of the mechanism was asked for.
    Auth,
    /// The message with the token, which would be judged now.
    Token,
    /// STAT.
    Stat,
    /// RETR and TOP.
    Retrieve,
    /// Any other command behind the login.
    Other,
    /// QUIT.
    Quit,
}
