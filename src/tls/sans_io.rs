//! One end of a TLS connection without a socket, through which the tests and the fuzz target of records use
//! `Session`. The program uses [`super::Socket`].

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::handshake;
use super::session::Session;

/// One end after its handshake.
#[derive(Debug)]
pub struct Endpoint {
    session: Session,
    room: Vec<u8>,
}

impl Endpoint {
    /// Performs the handshake over `wire` as the server. `config` must allow the extraction of secrets.
    pub async fn server(
        config: Arc<ServerConfig>,
        wire: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<Self> {
        handshake::server(config, wire).await.map(Self::new)
    }

    /// Performs the handshake over `wire` as the client of the server called `name`.
    pub async fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        wire: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> io::Result<Self> {
        handshake::client(config, name, wire).await.map(Self::new)
    }

    fn new(session: Session) -> Self {
        Self { session, room: Vec::new() }
    }

    /// Takes received bytes; returns their plaintext, read `at_most` bytes at a time.
    pub fn receive(&mut self, sealed: &[u8], at_most: usize) -> Vec<u8> {
        let Self { session, room } = self;
        room.resize(at_most.max(1), 0);
        let mut plain = Vec::new();
        let mut fresh = Some([&session.take_received(), sealed].concat());
        loop {
            let mut out = ReadBuf::new(room);
            match fresh.take() {
                Some(all) => {
                    let opened = session.open(&all, &mut out);
                    session.keep(all.get(opened..).unwrap_or_default());
                }
                None if session.read_opened(&mut out) => {}
                None => session.open_received(&mut out),
            }
            if out.filled().is_empty() {
                return plain;
            }
            plain.extend_from_slice(out.filled());
        }
    }

    /// The bytes that must be sent to the peer.
    pub fn send(&mut self) -> Vec<u8> {
        let unsent = self.session.unsent().to_vec();
        self.session.sent(unsent.len());
        unsent
    }

    /// Number of received bytes that are kept.
    pub fn held(&self) -> usize {
        self.session.held()
    }

    /// Whether the peer has said close_notify.
    pub fn peer_closed(&self) -> bool {
        self.session.peer_closed()
    }

    /// The error after which no record is opened.
    pub fn failure(&self) -> Option<&Error> {
        self.session.failure()
    }
}
