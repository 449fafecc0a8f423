//! Listens, accepts, limits, stops.
//!
//! The accept loop only accepts: the handshake and everything after live in the connection's own
//! task, under its deadline. A limit that is reached costs those who have not logged in, never a session; a full
//! descriptor table pauses accepting and does not spin.

mod sockets;
mod successor;

use std::io;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{debug, warn};

pub use sockets::Sockets;
pub use successor::{Successor, UpgradeError};

use crate::config::{LimitSettings, Listener, Security};
use crate::connection::{self, Connection, ConnectionPermit, Full, Places, Proxy};
use crate::metrics::Rejection;
use crate::protocol::imap::Imap;
use crate::protocol::pop3::Pop3;
use crate::protocol::submission::Submission;
use crate::protocol::{Door, Protocol};
use crate::shutdown::{Shutdown, Supervisor};

/// No descriptor, no memory: until some connection has ended.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A flood is one line in the log each time, not one a connection.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// An address that clients can connect to.
pub struct Bound {
    listener: TcpListener,
    /// Which of the configuration's listeners it belongs to.
    number: usize,
    /// What it speaks.
    pub protocol: Door,
    /// The address with its real port.
    pub address: SocketAddr,
    /// What protects its connections.
    pub security: Security,
}

/// Binds every address of `listeners` that `sockets` do not have yet, or none. Of the addresses that no file names one is enough.
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

/// Whether `address` could be listened on just now.
pub fn try_to_bind(address: SocketAddr) -> Result<(), BindError> {
    socket(address).map(drop).map_err(|error| BindError::new(address, error))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // [::] must not take 0.0.0.0 as well: each address is configured by itself.
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the old connections' TIME-WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn is_absent(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Accepts on all of `bound` until the stop of `doors` begins. Connections go on after that, each with its
/// own copy of `shutdown`, until they have ended.
pub async fn serve(
    bound: Vec<Bound>,
    proxy: Arc<ArcSwap<Proxy>>,
    doors: Arc<Supervisor>,
    shutdown: Shutdown,
) {
    let admission = Arc::new(Admission::new(&proxy.load()));
    let open = |bound| {
        let (proxy, admission, shutdown) = (proxy.clone(), admission.clone(), shutdown.clone());
        start(&doors, Arc::new(Listening { bound, proxy, admission, shutdown }))
    };
    let loops: Vec<_> = bound.into_iter().map(open).collect();
    for accepting in loops {
        let _ = accepting.await;
    }
}

/// An address that is listened on, and what its connections need.
struct Listening {
    bound: Bound,
    /// What connections that come now need; a running one keeps what it began with.
    proxy: Arc<ArcSwap<Proxy>>,
    admission: Arc<Admission>,
    shutdown: Shutdown,
}

/// Starts accepting. Here a door gets the type that speaks its protocol; from here on all are the same.
fn start(doors: &Supervisor, listening: Arc<Listening>) -> JoinHandle<()> {
    let name = format!("listener {}", listening.bound.address);
    match listening.bound.protocol {
        Door::Imap => doors.start(&name, move || accept::<Imap>(listening.clone())),
        Door::Pop3 => doors.start(&name, move || accept::<Pop3>(listening.clone())),
        Door::Submission => doors.start(&name, move || accept::<Submission>(listening.clone())),
    }
}

async fn accept<P: Protocol + 'static>(listening: Arc<Listening>) {
    let Listening { bound, proxy, admission, shutdown } = &*listening;
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
        let proxy = proxy.load_full();
        if !may_connect(&proxy.sources, bound.number, peer.ip()) {
            proxy.metrics.rejected(P::DOOR, Rejection::Source);
            debug!("{peer} is closed: its address is none of the listener's `from`");
            continue;
        }
        let permit = match admission.enter(peer.ip(), &proxy.limits) {
            Ok(permit) => permit,
            Err(rejection) => {
                proxy.metrics.rejected(P::DOOR, rejection);
                connection::turn_away::<P>(&tcp, bound.security);
                continue;
            }
        };
        let connection = Connection::<P> {
            proxy,
            peer,
            id: connection::connection_id(),
            security: bound.security,
            shutdown: shutdown.clone(),
            protocol: PhantomData,
        };
        tokio::spawn(connection.run(tcp, permit));
    }
}

/// Errors of `accept` that are about one connection, already gone.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Whether listener `number` takes connections from `peer`.
fn may_connect(sources: &[Vec<IpNet>], number: usize, peer: IpAddr) -> bool {
    let networks = sources.get(number).map(Vec::as_slice).unwrap_or_default();
    // A socket for both families shows IPv4 as ::ffff:192.0.2.7.
    networks.is_empty() || networks.iter().any(|network| network.contains(&peer.to_canonical()))
}

/// The limits on connections, and what the log says of connections that are one too many.
struct Admission {
    places: Places,
    complained: Mutex<Option<Instant>>,
    /// Complaints since the last one in the log.
    withheld: AtomicU64,
}

impl Admission {
    fn new(proxy: &Proxy) -> Self {
        Self {
            places: Places::new(proxy.limits.connections, proxy.limits.connections_per_address),
            complained: Mutex::default(),
            withheld: AtomicU64::new(0),
        }
    }

    /// A place for a connection from `address`; none where a limit is reached.
    fn enter(&self, address: IpAddr, limits: &LimitSettings) -> Result<ConnectionPermit, Rejection> {
        self.places.limit_to(limits.connections, limits.connections_per_address);
        let (rejection, complaint) = match self.places.enter(address) {
            Ok((permit, displaced)) => {
                if let Some(displaced) = displaced {
                    self.complain(&format!(
                        "all places of limits.connections are taken; {displaced}, which has not logged in, gave one up"
                    ));
                }
                return Ok(permit);
            }
            Err(Full::All(limit)) => (
                Rejection::Full,
                format!("{limit} connections are open, and limits.connections allows no more"),
            ),
            Err(Full::Address(address, limit)) => (
                Rejection::Address,
                format!("{address} has {limit} connections that have not logged in; no more are taken"),
            ),
        };
        self.complain(&complaint);
        Err(rejection)
    }

    fn complain(&self, complaint: &str) {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
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

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{address} cannot be listened on: {}", bind_reason(.error))]
pub struct BindError {
    /// As configured.
    pub address: SocketAddr,
    /// The operating system's word. Not the `source`: the message says it in other words, or holds it.
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
            "ports below 1024 need privileges; choose one above in [[listeners]]".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; correct it in [[listeners]]".to_owned()
        }
        _ => error.to_string(),
    }
}
