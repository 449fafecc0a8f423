//! A connection between accept and its own task: finds the client's address and a place.
//!
//! Behind a load balancer the PROXY header names the client: `from`, the places and everything after them use that
//! address, and the balancer's own address does not count. Before its header arrives, a connection has no place,
//! so only a few may wait for a header.

use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tracing::{debug, info, warn};

use super::Listening;
use super::header::{self, Header, HeaderError};
use crate::config::{Access, Security};
use crate::connection::{self, Connection, ConnectionPermit, Proxy};
use crate::metrics::Rejection;
use crate::protocol::{Door, Protocol};

/// A connection that was just accepted.
pub(super) struct Arrival {
    pub(super) listening: Arc<Listening>,
    pub(super) proxy: Arc<Proxy>,
    pub(super) tcp: TcpStream,
    /// The client's address, or the balancer's until the header is read.
    pub(super) peer: SocketAddr,
    /// The load balancer in between.
    pub(super) via: Option<IpAddr>,
    /// Whether the client used TLS up to the load balancer, if its header says so.
    pub(super) tls: Option<bool>,
}

/// How long a connection of a balancer itself is watched for bytes, which a health check that waits does not send.
const LOCAL_PATIENCE: Duration = Duration::from_millis(200);

impl Arrival {
    /// The addresses that may use the listener.
    pub(super) fn access(&self) -> Arc<Access> {
        self.proxy.access.get(self.listening.bound.number).cloned().unwrap_or_default()
    }

    /// Serves the client that the header names, in a separate task.
    pub(super) fn after_header<P: Protocol + 'static>(self) {
        match self.listening.admission.headers.clone().try_acquire_owned() {
            Ok(waiting) => drop(tokio::spawn(self.serve_behind_header::<P>(waiting))),
            Err(_) => {
                self.proxy.metrics.rejected(P::DOOR, Rejection::ProxyHeader);
                let peer = self.peer.ip().to_canonical();
                let complaint =
                    format!("too many connections of {peer} wait for their PROXY protocol header");
                self.listening.admission.complain(&complaint);
            }
        }
    }

    async fn serve_behind_header<P: Protocol + 'static>(mut self, waiting: OwnedSemaphorePermit) {
        let shutdown = self.listening.shutdown.clone();
        let read = tokio::select! {
            biased;
            () = shutdown.begun() => return,
            read = header::read(&mut self.tcp) => read,
        };
        let balancer = self.peer.ip().to_canonical();
        match read {
            Ok((Header::From(client), tls)) => {
                self.peer = client;
                self.via = Some(balancer);
                self.tls = tls;
            }
            Ok((Header::Local, _)) => return self.close_local(balancer).await,
            Err(error) => {
                if !matches!(error, HeaderError::Probe) {
                    self.proxy.metrics.rejected(P::DOOR, Rejection::ProxyHeader);
                }
                return log(balancer, &error);
            }
        }
        drop(waiting);
        if let Some((connection, tcp, permit)) = self.admit::<P>() {
            connection.run(tcp, permit).await;
        }
    }

    /// Closes a connection for which the balancer names no client. A health check says nothing; a balancer that
    /// passes a client's bytes on in this way is set up wrong, which is said once.
    async fn close_local(&self, balancer: IpAddr) {
        let peeked = tokio::time::timeout(LOCAL_PATIENCE, self.tcp.peek(&mut [0])).await;
        match peeked {
            Ok(Ok(1..)) if !self.listening.named_no_client.swap(true, Ordering::Relaxed) => info!(
                "{balancer} names no client; its connections are closed. A health check that speaks needs no PROXY \
                 protocol header of its own: use a plain check, or /readyz"
            ),
            _ => debug!("{balancer} speaks for itself, to see whether the port is open"),
        }
    }

    /// Whether a password would cross the network in clear. Behind a load balancer on this machine the client's own
    /// leg counts, if the header tells about it: without that the balancer may have ended TLS, and only submission,
    /// where such passwords have limits of their own, is judged as if it had not.
    fn is_exposed<P: Protocol>(&self, access: &Access) -> bool {
        let bound = &self.listening.bound;
        if bound.security != Security::None {
            return false;
        }
        let is_from_afar = self.via.is_some() && !self.peer.ip().to_canonical().is_loopback();
        let was_in_clear = match self.tls {
            Some(tls) => !tls,
            None => P::DOOR == Door::Submission && !access.acknowledge_cleartext,
        };
        !bound.address.ip().is_loopback() || (is_from_afar && was_in_clear)
    }

    /// The connection and its place, if the client's address is allowed and a place is free.
    pub(super) fn admit<P: Protocol>(self) -> Option<(Connection<P>, TcpStream, ConnectionPermit)> {
        let access = self.access();
        let is_exposed = self.is_exposed::<P>(&access);
        let Self { listening, proxy, tcp, peer, via, .. } = self;
        let bound = &listening.bound;
        if !access.admits(peer.ip()) {
            proxy.metrics.rejected(P::DOOR, Rejection::Source);
            debug!("{peer} is closed: its address is none of the listener's `from`");
            return None;
        }
        if is_exposed && P::DOOR != Door::Submission {
            proxy.metrics.rejected(P::DOOR, Rejection::Source);
            listening.admission.complain(&format!(
                "{} is closed: it came to the load balancer without TLS, and passwords would cross the network in clear",
                peer.ip()
            ));
            connection::refuse_cleartext::<P>(&tcp);
            return None;
        }
        let permit = match listening.admission.enter(peer.ip(), &proxy.limits) {
            Ok(permit) => permit,
            Err(rejection) => {
                proxy.metrics.rejected(P::DOOR, rejection);
                connection::turn_away::<P>(&tcp, bound.security);
                return None;
            }
        };
        let connection = Connection::<P> {
            proxy,
            peer,
            via,
            device: access.device(peer.ip()).cloned(),
            is_exposed,
            id: connection::connection_id(),
            security: bound.security,
            shutdown: listening.shutdown.clone(),
            protocol: PhantomData,
        };
        Some((connection, tcp, permit))
    }
}

/// Logs what is wrong with a balancer's header, and the cure.
fn log(balancer: IpAddr, error: &HeaderError) {
    match error {
        HeaderError::Probe => debug!("{balancer} closed the connection without a word"),
        HeaderError::Io(_) => info!("{balancer}: {error}"),
        HeaderError::Missing => warn!(
            "{balancer} stands in proxy_protocol and sent no PROXY protocol header; switch it on in the balancer \
             (send-proxy-v2), or take the address out of proxy_protocol"
        ),
        HeaderError::Broken(_) | HeaderError::Truncated => {
            warn!("{balancer}: {error}; the connection is closed");
        }
    }
}
