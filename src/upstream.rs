//! The connection to a provider's servers: resolve, connect, keep-alive, TLS.
//!
//! A host's addresses are raced (RFC 8305), so that broken IPv6 costs a quarter of a second instead of a
//! minute. The result is TLS verified for the configured host, never for a name from DNS. With
//! `network.proxy`, the proxy gets the host's name and connects to it; hosts on this machine are reached
//! directly.

mod error;
mod proxied;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use error::DialError;
pub use proxied::ProxyError;

use crate::config::{Door, Endpoint, NetworkProxy, Provider, Service, UpstreamSecurity};
use crate::tls::{Connector, Socket};
use crate::wire::Wire;

/// RFC 8305 §5: the recommended pause before the next address is tried as well.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// How long a look-up is reused. The resolver does not tell the TTL; providers use a minute or more.
const REMEMBERED: Duration = Duration::from_secs(30);
/// Detects a peer that answers no probe after about three minutes. The interval is shorter than the time for
/// which a NAT keeps an idle entry.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_PROBES: u32 = 4;

/// A provider, and a dialler for each of its servers.
pub struct Upstream {
    /// The provider as configured.
    pub provider: Arc<Provider>,
    diallers: Vec<Dialler>,
}

impl Upstream {
    /// The diallers of `provider`, with the trust of `connector`, through `proxy` except to this machine.
    pub fn new(provider: Arc<Provider>, connector: &Connector, proxy: Option<&Arc<NetworkProxy>>) -> Self {
        let dialler = |service: &Service| Dialler {
            service: service.clone(),
            proxy: proxy.filter(|_| !service.endpoint.is_loopback()).cloned(),
            connector: connector.clone(),
            known: Addresses::default(),
        };
        let diallers = provider.services.iter().map(dialler).collect();
        Self { provider, diallers }
    }

    /// The dialler of the server for `door`.
    pub fn dialler(&self, door: Door) -> Result<&Dialler, DialError> {
        let found = self.diallers.iter().find(|dialler| dialler.service.door == door);
        found.ok_or_else(|| DialError::NoServer { door, provider: self.provider.name.clone() })
    }
}

/// Connects to one server of a provider.
pub struct Dialler {
    /// The server.
    pub service: Service,
    proxy: Option<Arc<NetworkProxy>>,
    connector: Connector,
    /// The addresses of the server, or of the proxy if there is one.
    known: Addresses,
}

impl Dialler {
    /// Connects and finishes the TLS handshake, directly or after STARTTLS. The caller sets the deadline.
    pub async fn dial(&self) -> Result<Socket, DialError> {
        let tcp = self.connect().await?;
        let tcp = match self.service.security {
            UpstreamSecurity::Tls => tcp,
            UpstreamSecurity::Starttls => self.begin_tls(tcp).await?,
        };
        Ok(self.connector.connect(&self.service.endpoint.host, tcp).await?)
    }

    /// The proxy on the way, if there is one.
    pub fn proxy(&self) -> Option<&NetworkProxy> {
        self.proxy.as_deref()
    }

    /// Connects without sending anything.
    pub async fn connect(&self) -> Result<TcpStream, DialError> {
        match &self.proxy {
            Some(proxy) => self.dial_through(proxy).await,
            None => self.reach(&self.service.endpoint).await,
        }
    }

    /// A connection to the server through `proxy`.
    async fn dial_through(&self, proxy: &NetworkProxy) -> Result<TcpStream, DialError> {
        let failed = |error| DialError::Proxy {
            endpoint: self.service.endpoint.to_string(),
            proxy: proxy.to_string(),
            error,
        };
        let unreached = |error| match error {
            DialError::Resolve { error, .. } | DialError::Connect { error, .. } => failed(error.into()),
            other => other,
        };
        let tcp = self.reach(&proxy.endpoint).await.map_err(unreached)?;
        proxied::ask(proxy, tcp, &self.service.endpoint).await.map_err(failed)
    }

    /// A TCP connection to `endpoint`: the server, or the proxy.
    async fn reach(&self, endpoint: &Endpoint) -> Result<TcpStream, DialError> {
        let (door, name) = (self.service.door, || endpoint.to_string());
        let look_up =
            async || Ok(tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await?.collect());
        let addresses = self.known.get(Instant::now(), look_up).await;
        let addresses = addresses.map_err(|error| DialError::Resolve { door, endpoint: name(), error })?;
        let tcp = match race(interleave(addresses)).await {
            Ok(tcp) => tcp,
            Err(error) => {
                self.known.forget();
                return Err(DialError::Connect { endpoint: name(), error });
            }
        };
        keep_alive(&tcp);
        Ok(tcp)
    }

    /// Asks the server for STARTTLS. All cleartext received, including bytes after the server's consent, is
    /// dropped, because an attacker on the network may have written it.
    async fn begin_tls(&self, tcp: TcpStream) -> Result<TcpStream, DialError> {
        let (door, endpoint) = (self.service.door, || self.service.endpoint.to_string());
        let lost = |error| DialError::Connect { endpoint: endpoint(), error };
        let mut wire = Wire::new(Socket::plain(tcp).map_err(lost)?);
        let begun = door.begin_tls(&mut wire).await;
        begun.map_err(|refusal| DialError::BeginTls { endpoint: endpoint(), refusal: Box::new(refusal) })?;
        let (stream, _) = wire.into_parts();
        stream.into_plain().map_err(|_| lost(io::ErrorKind::InvalidInput.into()))
    }
}

/// The result of looking up a name. One look-up at a time serves all waiting logins: the system's resolver takes a
/// thread for each look-up, and many clients that reconnect at once would take hundreds. Waiting logins share a
/// failure, too: with a silent resolver, looking up again for one login after the other would exceed their deadlines.
#[derive(Default)]
struct Addresses(Mutex<Option<Known>>);

struct Known {
    at: Instant,
    answer: Result<Vec<SocketAddr>, Arc<io::Error>>,
}

impl Addresses {
    async fn get(
        &self,
        asked: Instant,
        look_up: impl AsyncFnOnce() -> io::Result<Vec<SocketAddr>>,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut known = self.0.lock().await;
        let fresh = known.as_ref().filter(|known| match known.answer {
            Ok(_) => asked - known.at < REMEMBERED,
            // Only a login that began before the failure shares it.
            Err(_) => asked < known.at,
        });
        let answer = match fresh {
            Some(known) => known.answer.clone(),
            None => {
                let answer = look_up().await.map_err(Arc::new);
                *known = Some(Known { at: Instant::now(), answer: answer.clone() });
                answer
            }
        };
        answer.map_err(|error| io::Error::new(error.kind(), error))
    }

    /// Drops the result after a failed connect: the provider may have moved. A look-up under way is kept, because its
    /// result will be newer.
    fn forget(&self) {
        if let Ok(mut known) = self.0.try_lock() {
            *known = None;
        }
    }
}

/// Lets the kernel notice a peer that vanished without a FIN. Idle sessions are silent for half an hour
/// (IDLE), so nothing else would.
pub fn keep_alive(tcp: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    if let Err(error) = SockRef::from(tcp).set_tcp_keepalive(&keepalive) {
        tracing::debug!("TCP keep-alive cannot be set: {error}");
    }
}

/// The resolver's order with alternating address families (RFC 8305 §4).
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut mixed = Vec::new();
    loop {
        match (first.next(), second.next()) {
            (None, None) => return mixed,
            (a, b) => mixed.extend(a.into_iter().chain(b)),
        }
    }
}

/// The first established connection; the others are dropped.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let &[only] = addresses.as_slice() {
        return TcpStream::connect(only).await;
    }
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match waiting.next() {
            Some(address) => {
                attempts.spawn(TcpStream::connect(address));
            }
            None if attempts.is_empty() => return Err(last_error),
            None => {}
        }
        let more_waiting = waiting.len() > 0;
        tokio::select! {
            Some(attempt) = attempts.join_next() => match attempt {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => last_error = error,
                Err(_) => {}
            },
            () = tokio::time::sleep(ATTEMPT_DELAY), if more_waiting => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn the_families_take_turns() {
        let list =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let mixed = interleave(list(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]));
        assert_eq!(mixed, list(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]));
    }

    #[tokio::test]
    async fn a_dead_address_does_not_hide_a_live_one() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let tcp = race(vec![closed, listener.local_addr().unwrap()]).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_crowd_looks_a_name_up_once_and_a_dead_address_is_forgotten() {
        let (known, asked) = (Addresses::default(), AtomicUsize::new(0));
        let look_up = async || {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(vec!["127.0.0.1:993".parse().unwrap()])
        };
        let now = Instant::now();
        let (one, other) = tokio::join!(known.get(now, look_up), known.get(now, look_up));
        assert_eq!(one.unwrap(), other.unwrap());
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        known.get(Instant::now() + REMEMBERED, look_up).await.unwrap();
        known.forget();
        known.get(Instant::now(), look_up).await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_crowd_fails_together_and_who_comes_later_asks_again() {
        let (known, asked) = (Addresses::default(), AtomicUsize::new(0));
        let silent = async || {
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Err(io::Error::new(io::ErrorKind::NotFound, "no name server answers"))
        };
        let now = Instant::now();
        let (one, other) = tokio::join!(known.get(now, silent), known.get(now, silent));
        for failed in [one, other] {
            assert_eq!(failed.unwrap_err().to_string(), "no name server answers");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        known.get(Instant::now(), silent).await.unwrap_err();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        known.get(Instant::now(), async || Ok(Vec::new())).await.unwrap();
    }

    #[tokio::test]
    async fn a_login_that_gives_up_leaves_the_look_up_to_the_next() {
        let known = Addresses::default();
        let now = Instant::now();
        let gives_up = Box::pin(known.get(now, async || std::future::pending().await));
        let patient = known.get(now, async || Ok(Vec::new()));
        tokio::pin!(patient);
        tokio::select! {
            biased;
            _ = gives_up => unreachable!("no answer comes"),
            _ = &mut patient => unreachable!("one look-up at a time"),
            () = std::future::ready(()) => known.forget(),
        }
        patient.await.unwrap();
    }

    #[tokio::test]
    async fn no_address_is_an_error_and_not_a_hang() {
        assert!(race(Vec::new()).await.is_err());
    }
}
