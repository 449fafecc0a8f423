//! Limits on a client before its login, and the channel that protects its connection.

/// The protection of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// TLS: logins are accepted.
    Tls,
    /// Cleartext with STARTTLS on offer: a login is refused before the password is asked for.
    StartTls,
    /// Cleartext without TLS, on loopback or for devices: logins are accepted. The check of the password also decides
    /// whether this password may be sent over a network in cleartext.
    Cleartext,
}

/// Limits for a client before its login. `command` stays below [`crate::wire::CLIENT_INBOX_LIMIT`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one command, announced arguments included, or of one line of a SASL exchange. 8,704 holds two
    /// arguments of full length and the lines around them; RFC 2683 §3.2.1.5 asks for 8,000.
    pub command: usize,
    /// Bytes of one argument whose length the client announces, if the protocol has such arguments. 4,096 is as
    /// much as RFC 7888 §5 lets a client send unasked, and far more than any password.
    pub literal: usize,
    /// Bytes until a login is accepted. 256 KiB: room for many of the longest commands.
    pub bytes: usize,
    /// Commands until a login is accepted. 100: a careful client sends five, a retrying one twenty.
    pub commands: u32,
    /// Wrong passwords; the last one is answered, then the connection ends. 4 allows a typing error or two, and a
    /// collector's second and third password.
    pub failed_logins: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { command: 8704, literal: 4096, bytes: 262_144, commands: 100, failed_logins: 4 }
    }
}
