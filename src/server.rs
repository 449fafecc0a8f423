//! Listens, accepts connections, enforces limits, and stops.
//!
//! The accept loop only accepts: the handshake and all later steps run in the connection's own task, under its
//! deadline. A limit that is reached costs connections that have not logged in, never a session. If the descriptor
//! table is full, accepting pauses and does not spin.

mod arrival;
pub mod header;
mod sockets;
mod successor;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, warn};

pub use sockets::Sockets;
pub use successor::{Successor, UpgradeError};

use self::arrival::Arrival;
use crate::config::{LimitSettings, Listener, Security};
use crate::connection::{ConnectionPermit, Full, Places, Proxy};
use crate::metrics::Rejection;
use crate::mutex::lock;
use crate::protocol::imap::Imap;
use crate::protocol::pop3::Pop3;
use crate::protocol::submission::Submission;
use crate::protocol::{Door, Protocol};
use crate::shutdown::{Shutdown, Supervisor};

/// Pause after a lack of descriptors or memory, so that some connections can end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Load balancers' connections that may wait for their header at once; a header comes with the connection.
const AWAITED_HEADERS: usize = 1024;
/// A flood of connections is one line in the log per interval, not one per connection.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// An address that clients can connect to.
pub struct Bound {
    listener: TcpListener,
    /// The number of the listener in the configuration.
    pub number: usize,
    /// The protocol of the listener.
    pub protocol: Door,
    /// The address with its real port.
    pub address: SocketAddr,
    /// The security of its connections.
    pub security: Security,
}

/// Binds every new address of `listeners`, or none. One of the default addresses is enough.
pub fn bind(listeners: &[Listener], sockets: &Sockets) -> Result<Vec<Bound>, BindError> {
    let (mut bound, mut given_up) = (Vec::new(), None);
    for (number, listener) in listeners.iter().enumerate() {
        for &address in &listener.addresses {
            match sockets.listen(address) {
                Ok(tcp) => {
                    let address = tcp.local_addr().map_err(|error| BindError::new(address, error))?;
                    let &Listener { protocol, security, .. } = listener;
                    bound.push(Bound { listener: tcp, number, protocol, address, security });
                }
                Err(error) if listener.is_default => {
                    let error = BindError::new(address, error);
                    match address.is_ipv6() && is_absent(&error.error) {
                        true => debug!("{address} is not listened on: this machine has no IPv6"),
                        false => warn!("{error}; serve goes on without it"),
                    }
                    given_up.get_or_insert(error);
                }
                Err(error) => return Err(BindError::new(address, error)),
            }
        }
    }
    match given_up {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

/// Whether `address` can be bound at this moment.
pub fn try_to_bind(address: SocketAddr) -> Result<(), BindError> {
    socket(address).map(drop).map_err(|error| BindError::new(address, error))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // [::] must not include 0.0.0.0: each address is configured separately.
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the old connections' TIME-WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn is_absent(error: &io::Error) -> bool {
    // std has no `ErrorKind` for EAFNOSUPPORT.
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Accepts on all of `bound` until the stop of `doors` begins. Open connections continue after that, each with its
/// own copy of `shutdown`, until they end.
pub async fn serve(
    bound: Vec<Bound>,
    proxy: Arc<ArcSwap<Proxy>>,
    doors: Arc<Supervisor>,
    shutdown: Shutdown,
) {
    let admission = Arc::new(Admission::new(&proxy.load()));
    let open = |bound| {
        let (proxy, admission, shutdown) = (proxy.clone(), admission.clone(), shutdown.clone());
        start(
            &doors,
            Arc::new(Listening {
                bound,
                proxy,
                admission,
                shutdown,
                named_no_client: AtomicBool::new(false),
            }),
        )
    };
    let loops: Vec<_> = bound.into_iter().map(open).collect();
    for accepting in loops {
        let _ = accepting.await;
    }
}

/// A bound address, and the parts that its connections need.
struct Listening {
    bound: Bound,
    /// The parts for new connections; a running connection keeps those it began with.
    proxy: Arc<ArcSwap<Proxy>>,
    admission: Arc<Admission>,
    shutdown: Shutdown,
    /// A balancer that names no client for bytes which it passes on was named in the log.
    named_no_client: AtomicBool,
}

/// Starts accepting. Here a door gets the type of its protocol.
fn start(doors: &Supervisor, listening: Arc<Listening>) -> JoinHandle<()> {
    let name = format!("listener {}", listening.bound.address);
    match listening.bound.protocol {
        Door::Imap => doors.start(&name, move || accept::<Imap>(listening.clone())),
        Door::Pop3 => doors.start(&name, move || accept::<Pop3>(listening.clone())),
        Door::Submission => doors.start(&name, move || accept::<Submission>(listening.clone())),
    }
}

async fn accept<P: Protocol + 'static>(listening: Arc<Listening>) {
    let Listening { bound, proxy, admission, shutdown, .. } = &*listening;
    let stopping = shutdown.begun();
    tokio::pin!(stopping);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => return,
            accepted = bound.listener.accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_the_clients(&error) => continue,
            Err(error) => {
                admission.complain(&format!("no connection can be accepted: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let arrival = Arrival {
            listening: listening.clone(),
            proxy: proxy.load_full(),
            tcp,
            peer,
            via: None,
            tls: None,
        };
        match arrival.access().is_balancer(peer.ip()) {
            true => arrival.after_header::<P>(),
            false => {
                if let Some((connection, tcp, permit)) = arrival.admit::<P>() {
                    tokio::spawn(connection.run(tcp, permit));
                }
            }
        }
    }
}

/// Errors of `accept` about a single connection that has gone already.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// The limits on connections, and the log of connections beyond them.
struct Admission {
    places: Places,
    complained: Mutex<Option<Instant>>,
    /// Complaints since the last one that was logged.
    withheld: AtomicU64,
    /// Connections of load balancers that wait for their header.
    headers: Arc<Semaphore>,
}

impl Admission {
    fn new(proxy: &Proxy) -> Self {
        Self {
            places: Places::new(proxy.limits.connections, proxy.limits.connections_per_address),
            complained: Mutex::default(),
            withheld: AtomicU64::new(0),
            headers: Arc::new(Semaphore::new(AWAITED_HEADERS)),
        }
    }

    /// A place for a connection from `address`, or the limit that it exceeds.
    fn enter(&self, address: IpAddr, limits: &LimitSettings) -> Result<ConnectionPermit, Rejection> {
        self.places.limit_to(limits.connections, limits.connections_per_address);
        let (permit, displaced) = self.places.enter(address).map_err(|full| {
            self.complain(&full.to_string());
            match full {
                Full::All(_) => Rejection::Full,
                Full::Address(..) => Rejection::Address,
            }
        })?;
        if let Some(displaced) = displaced {
            self.complain(&format!(
                "all places of limits.connections are taken; {displaced}, which has not logged in, gave one up"
            ));
        }
        Ok(permit)
    }

    fn complain(&self, complaint: &str) {
        let mut complained = lock(&self.complained);
        if complained.is_none_or(|last| last.elapsed() > COMPLAINT_INTERVAL) {
            *complained = Some(Instant::now());
            match self.withheld.swap(0, Ordering::Relaxed) {
                0 => warn!("{complaint}"),
                more => warn!("{complaint} ({more} more times since the last such line)"),
            }
        } else {
            self.withheld.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("{address} cannot be listened on: {}", bind_reason(.error))]
pub struct BindError {
    /// The address in the configuration.
    pub address: SocketAddr,
    /// The operating system's error. It is not the `source`, because the message contains or replaces its text.
    pub error: io::Error,
}

impl BindError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        Self { address, error }
    }
}

fn bind_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program has the port; stop it, or choose another in [[listeners]]".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges (in a unit: AmbientCapabilities=CAP_NET_BIND_SERVICE); or choose one above in [[listeners]]".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; correct it in [[listeners]]".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_needs_privileges_is_said_with_what_gives_them() {
        let error = BindError::new("0.0.0.0:993".parse().unwrap(), io::ErrorKind::PermissionDenied.into());
        assert_eq!(
            error.to_string(),
            "0.0.0.0:993 cannot be listened on: ports below 1024 need privileges (in a unit: \
             AmbientCapabilities=CAP_NET_BIND_SERVICE); or choose one above in [[listeners]]"
        );
    }
}
