//! Sessions with one provider that later logins can resume.
//!
//! rustls's own store keeps eight TLS 1.3 tickets for each server, and each ticket serves one connection: when
//! thousands of programs come back after an outage, all but the first eight logins would need a full handshake.
//! This store keeps more tickets; it leaves everything else to rustls's.

use std::collections::VecDeque;
use std::sync::Mutex;

use rustls::NamedGroup;
use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

use crate::mutex::lock;

/// With each ticket's certificate chain (5 KiB), this takes a quarter of a MiB for each provider.
const TICKETS: usize = 64;

/// The number of sessions for rustls's own store: a provider has a few names, and rustls counts eight sessions for
/// each.
const REMEMBERED: usize = 8 * 16;

/// The sessions of one connector, newest last. They hold key material and never leave memory.
#[derive(Debug)]
pub(super) struct Resumable {
    tickets: Mutex<VecDeque<(ServerName<'static>, Tls13ClientSessionValue)>>,
    others: ClientSessionMemoryCache,
}

impl Resumable {
    pub(super) fn new() -> Self {
        Self { tickets: Mutex::default(), others: ClientSessionMemoryCache::new(REMEMBERED) }
    }
}

impl ClientSessionStore for Resumable {
    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut tickets = lock(&self.tickets);
        if tickets.len() == TICKETS {
            tickets.pop_front();
        }
        tickets.push_back((server, ticket));
    }

    /// The newest ticket, which expires last.
    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut tickets = lock(&self.tickets);
        let newest = tickets.iter().rposition(|(name, _)| name == server)?;
        tickets.remove(newest).map(|(_, ticket)| ticket)
    }

    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.others.set_kx_hint(server, group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.others.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.others.set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.others.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.others.remove_tls12_session(server);
    }
}
