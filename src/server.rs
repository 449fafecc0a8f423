//! Listens, accepts, limits, stops.
//!
//! The accept loop only accepts: the handshake and everything after live in the connection's own
//! task, under its deadline. A limit that is reached costs the newcomer, never those inside; a full
//! descriptor table pauses accepting and does not spin.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::config::{Listener, Security};
use crate::connection::{self, Connection, Proxy};
use crate::shutdown::{Shutdown, Supervisor};

/// Connections that the kernel keeps for us while the loop is busy.
const BACKLOG: i32 = 4096;
/// No descriptor, no memory: until somebody has closed one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A flood is one line in the log each time, not one a connection.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// An address that clients can connect to.
pub struct Bound {
    listener: TcpListener,
    /// The address with its real port.
    pub address: SocketAddr,
    /// What protects its connections.
    pub security: Security,
}

/// Binds every address of `listeners`, or none.
pub fn bind(listeners: &[Listener]) -> Result<Vec<Bound>, BindError> {
    let mut bound = Vec::new();
    for listener in listeners {
        for &address in &listener.addresses {
            match bind_one(address) {
                Ok(tcp) => {
                    let address = tcp.local_addr().map_err(|error| BindError::new(address, error))?;
                    bound.push(Bound { listener: tcp, address, security: listener.security });
                }
                Err(error) if listener.optional_ipv6 && address.is_ipv6() && is_absent(&error) => {
                    debug!("{address} is not listened on: this machine has no IPv6");
                }
                Err(error) => return Err(BindError::new(address, error)),
            }
        }
    }
    Ok(bound)
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // [::] must not take 0.0.0.0 as well: each address is configured by itself.
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the old connections' TIME-WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

fn is_absent(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Accepts on all of `bound` until `shutdown` begins. Connections go on after that, each with its
/// own copy of `shutdown`, until they have ended.
pub async fn serve(bound: Vec<Bound>, proxy: Arc<Proxy>, supervisor: Arc<Supervisor>, shutdown: Shutdown) {
    let doors = Arc::new(Doors::new(&proxy));
    let loops: Vec<_> = bound
        .into_iter()
        .map(|bound| {
            let (name, bound) = (format!("listener {}", bound.address), Arc::new(bound));
            let (proxy, doors, shutdown) = (proxy.clone(), doors.clone(), shutdown.clone());
            let accepting = move || accept(bound.clone(), proxy.clone(), doors.clone(), shutdown.clone());
            supervisor.start(&name, accepting)
        })
        .collect();
    for accepting in loops {
        let _ = accepting.await;
    }
}

async fn accept(bound: Arc<Bound>, proxy: Arc<Proxy>, doors: Arc<Doors>, shutdown: Shutdown) {
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
                doors.complain(&format!("no connection can be accepted: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some((inside, waiting)) = doors.enter(peer.ip()) else {
            connection::turn_away(&tcp, bound.security);
            continue;
        };
        let connection =
            Connection { proxy: proxy.clone(), peer, security: bound.security, shutdown: shutdown.clone() };
        tokio::spawn(async move {
            connection.run(tcp, || drop(waiting)).await;
            drop(inside);
        });
    }
}

/// Errors of `accept` that are about one connection, already gone.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Who is inside, and who has not logged in yet.
struct Doors {
    places: Arc<Semaphore>,
    limit: usize,
    per_address: usize,
    waiting: Arc<Mutex<HashMap<IpAddr, usize>>>,
    complained: Mutex<Option<Instant>>,
    /// Complaints since the last one in the log.
    withheld: AtomicU64,
}

/// Counts a connection among those of its address that have not logged in.
struct Waiting {
    all: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Doors {
    fn new(proxy: &Proxy) -> Self {
        let limit = proxy.limits.connections.min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(limit)),
            limit,
            per_address: proxy.limits.connections_per_address,
            waiting: Arc::default(),
            complained: Mutex::default(),
            withheld: AtomicU64::new(0),
        }
    }

    /// A place for a connection from `address`; `None` where a limit is reached.
    fn enter(&self, address: IpAddr) -> Option<(tokio::sync::OwnedSemaphorePermit, Waiting)> {
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            self.complain(&format!(
                "{} connections are open, and limits.connections allows no more",
                self.limit
            ));
            return None;
        };
        let address = connection::neighbourhood(address);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.entry(address).or_default();
        if *count >= self.per_address {
            drop(waiting);
            let limit = self.per_address;
            self.complain(&format!(
                "{address} has {limit} connections that have not logged in; no more are taken"
            ));
            return None;
        }
        *count += 1;
        Some((place, Waiting { all: self.waiting.clone(), address }))
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

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.address);
            }
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
