//! TLS after the handshake: the two keys, and the peer's messages other than data.
//!
//! No I/O: sealed bytes go in and plain bytes come out, or the other way round, and [`Session::unsent`] must be
//! sent to the peer. Alerts, key updates and session tickets are handled here; data is not read. Invariants: after
//! an error no record is opened, and the peer gets an alert (RFC 8446 §6.2); after close_notify no record is
//! sealed; a silent session holds keys and no buffer.

#[cfg(test)]
mod tests;

mod opening;
mod talk;

use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{
    AlertDescription, ConnectionTrafficSecrets, ContentType, Error, ExtractedSecrets, ProtocolVersion,
    SupportedCipherSuite,
};
use zeroize::Zeroizing;

use self::talk::{FATAL, Talk, WARNING, description_of};
use super::record::{MAX_PLAINTEXT, OVERHEAD, RecordOpener, RecordSealer};

/// rustls's state for changing keys and remembering tickets.
pub(super) enum Keys {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

impl Keys {
    fn next_own(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kernel) => kernel.update_tx_secret(),
            Self::Server(kernel) => kernel.update_tx_secret(),
        }
    }

    fn next_peers(&mut self) -> Result<(u64, ConnectionTrafficSecrets), Error> {
        match self {
            Self::Client(kernel) => kernel.update_rx_secret(),
            Self::Server(kernel) => kernel.update_rx_secret(),
        }
    }
}

/// The result of a handshake.
pub(super) struct Established {
    pub(super) version: ProtocolVersion,
    pub(super) suite: SupportedCipherSuite,
    pub(super) resumed: bool,
    pub(super) secrets: ExtractedSecrets,
    pub(super) keys: Keys,
    /// Bytes behind the handshake, still sealed.
    pub(super) received: Vec<u8>,
    /// The last message of the handshake, to be sent.
    pub(super) unsent: Vec<u8>,
}

/// One connection's TLS state.
pub(super) struct Session {
    version: ProtocolVersion,
    suite: SupportedCipherSuite,
    resumed: bool,
    opener: RecordOpener,
    sealer: RecordSealer,
    /// Only TLS 1.3 changes keys and sends tickets after the handshake.
    keys: Option<Box<Keys>>,
    is_server: bool,
    /// Sealed bytes to be opened: a part of a record, or records for which the reader had no room.
    received: Vec<u8>,
    /// Opened bytes that were not read yet; they may hold a password.
    opened: Zeroizing<Vec<u8>>,
    /// The most bytes that `received` and `opened` may hold together before a read.
    may_hold: usize,
    unsent: Vec<u8>,
    sent: usize,
    /// Whether `unsent` holds a change of our key.
    key_changed: bool,
    talk: Talk,
    peer_closed: bool,
    closed: bool,
    failure: Option<Box<Error>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(established: Established) -> Result<Self, Error> {
        let Established { version, suite, resumed, secrets, keys, received, unsent } = established;
        Ok(Self {
            version,
            suite,
            resumed,
            opener: RecordOpener::new(secrets.rx, suite)?,
            sealer: RecordSealer::new(secrets.tx, suite)?,
            is_server: matches!(keys, Keys::Server(_)),
            keys: (version == ProtocolVersion::TLSv1_3).then(|| Box::new(keys)),
            received,
            opened: Zeroizing::default(),
            may_hold: usize::MAX,
            unsent,
            sent: 0,
            key_changed: false,
            talk: Talk::default(),
            peer_closed: false,
            closed: false,
            failure: None,
        })
    }

    pub(super) fn version(&self) -> ProtocolVersion {
        self.version
    }

    pub(super) fn was_resumed(&self) -> bool {
        self.resumed
    }

    /// `TLSv1_3 TLS13_AES_128_GCM_SHA256`.
    pub(super) fn describe(&self) -> String {
        format!("{:?} {:?}", self.version, self.suite.suite())
    }

    /// Whether the peer has said close_notify.
    pub(super) fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// The error after which no record is opened.
    pub(super) fn failure(&self) -> Option<&Error> {
        self.failure.as_deref()
    }

    /// Changes our sealing key if it is worn. TLS 1.2 cannot change keys; its session ends after 256 GiB in one
    /// direction.
    pub(super) fn renew(&mut self) -> Result<(), Error> {
        match self.sealer.is_worn() {
            false => Ok(()),
            true if self.keys.is_some() => self.change_own_key(),
            true => Err(Error::EncryptError),
        }
    }

    /// Announces the change under the old key (RFC 8446 §4.6.3).
    fn change_own_key(&mut self) -> Result<(), Error> {
        const KEY_UPDATE_NOT_REQUESTED: [u8; 5] = [24, 0, 0, 1, 0];
        let Some(mut keys) = self.keys.take() else { return Err(Error::EncryptError) };
        self.queue(ContentType::Handshake, &KEY_UPDATE_NOT_REQUESTED)?;
        let next = keys.next_own()?;
        self.keys = Some(keys);
        self.key_changed = true;
        self.sealer = RecordSealer::new(next, self.suite)?;
        Ok(())
    }

    /// Seals as much of `plain` as `out` has room for; returns the lengths of plain and sealed bytes.
    pub(super) fn seal(&mut self, plain: &[u8], out: &mut [u8]) -> Result<(usize, usize), Error> {
        let (mut taken, mut sealed) = (0, 0);
        while taken < plain.len() {
            let room = out.len().saturating_sub(sealed + OVERHEAD).min(MAX_PLAINTEXT);
            let content = plain.get(taken..).unwrap_or_default();
            let content = content.get(..room).unwrap_or(content);
            if content.is_empty() {
                break;
            }
            let rest = out.get_mut(sealed..).unwrap_or_default();
            sealed += self.sealer.seal(ContentType::ApplicationData, content, rest)?;
            taken += content.len();
        }
        Ok((taken, sealed))
    }

    /// Ends our direction; nothing may be sealed afterwards.
    pub(super) fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            // Without a usable key, close_notify cannot be sent.
            let _ = self.alert(WARNING, AlertDescription::CloseNotify);
        }
    }

    /// Whether our direction has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Sealed bytes that must still be sent.
    pub(super) fn unsent(&self) -> &[u8] {
        self.unsent.get(self.sent..).unwrap_or_default()
    }

    /// Moves all of [`Session::unsent`] to the start of `out`; returns its length.
    pub(super) fn take_unsent(&mut self, out: &mut [u8]) -> usize {
        let length = self.unsent().len();
        let Some(room) = out.get_mut(..length) else { return 0 };
        room.copy_from_slice(self.unsent());
        self.sent(length);
        length
    }

    /// Queues sealed bytes that the socket did not take.
    pub(super) fn not_sent(&mut self, sealed: &[u8]) {
        self.unsent.extend_from_slice(sealed);
    }

    /// Removes the first `count` bytes of [`Session::unsent`].
    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.unsent.len() {
            self.unsent = Vec::new();
            self.sent = 0;
            self.key_changed = false;
        }
    }

    fn fail(&mut self, error: Error) {
        if !self.closed {
            self.closed = true;
            let _ = self.alert(FATAL, description_of(&error));
        }
        self.failure = Some(Box::new(error));
    }

    fn alert(&mut self, level: u8, description: AlertDescription) -> Result<(), Error> {
        self.queue(ContentType::Alert, &[level, description.into()])
    }

    fn queue(&mut self, typ: ContentType, content: &[u8]) -> Result<(), Error> {
        let start = self.unsent.len();
        self.unsent.resize(start + content.len() + OVERHEAD, 0);
        let sealed = self.sealer.seal(typ, content, self.unsent.get_mut(start..).unwrap_or_default());
        self.unsent.truncate(start + sealed.as_ref().copied().unwrap_or_default());
        sealed.map(drop)
    }
}
