//! Listening sockets: those that another process passed to this one (systemd, or the predecessor in an upgrade),
//! and its own.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener as StdUnixListener, UnixStream};
use std::path::Path;
use std::sync::Mutex;

use listenfd::ListenFd;
use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};
use tracing::warn;

use super::socket;
use crate::mutex::lock;

/// Connections that the kernel queues while the accept loop is busy.
const BACKLOG: i32 = 4096;
/// The message of a successor to its predecessor.
pub(super) const READY: &[u8] = b"ready";

/// The sockets of this process.
#[derive(Default)]
pub struct Sockets {
    /// Passed sockets that were not used yet.
    passed: Mutex<Vec<StdListener>>,
    /// Copies of the sockets that are in use.
    in_use: Mutex<Vec<StdListener>>,
    /// Likewise, Unix sockets.
    passed_paths: Mutex<Vec<StdUnixListener>>,
    paths_in_use: Mutex<Vec<StdUnixListener>>,
    predecessor: Option<UnixDatagram>,
}

impl Sockets {
    /// Takes the sockets that were passed to this process. Must be called before there are threads, because it
    /// removes the variables from the environment, which would mislead child processes.
    pub fn inherited() -> io::Result<Self> {
        let mut sockets = Self::default();
        let mut passed = ListenFd::from_env();
        for index in 0..passed.len() {
            if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
                if !SockRef::from(&listener).is_listener()? {
                    return Err(io::Error::other("a socket that was passed to serve does not listen"));
                }
                listener.set_nonblocking(true)?;
                lock(&sockets.passed).push(listener);
            } else if let Ok(Some(listener)) = passed.take_unix_listener(index) {
                listener.set_nonblocking(true)?;
                lock(&sockets.passed_paths).push(listener);
            } else if let Ok(Some(predecessor)) = passed.take_unix_datagram(index) {
                sockets.predecessor = Some(predecessor);
            } else {
                return Err(io::Error::other("serve was passed something that is not a listening socket"));
            }
        }
        Ok(sockets)
    }

    /// Listens on `address`, with the passed socket if there is one.
    pub fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let listener = match self.take_passed(address) {
            Some(passed) => passed,
            None => bind(address)?,
        };
        lock(&self.in_use).push(listener.try_clone()?);
        TcpListener::from_std(listener)
    }

    /// Listens on a Unix socket at `path`, with the passed socket if there is one. The members of the socket's group
    /// may connect. A socket that a killed process has left is replaced.
    pub fn listen_on_path(&self, path: &Path) -> io::Result<UnixListener> {
        let mut passed = lock(&self.passed_paths);
        let is_it = |listener: &StdUnixListener| {
            listener.local_addr().is_ok_and(|bound| bound.as_pathname() == Some(path))
        };
        let listener = match passed.iter().position(is_it) {
            Some(index) => passed.remove(index),
            None => bind_path(path)?,
        };
        lock(&self.paths_in_use).push(listener.try_clone()?);
        UnixListener::from_std(listener)
    }

    /// For port 0 the first passed socket with that address is used, in the
    /// configuration's order.
    fn take_passed(&self, address: SocketAddr) -> Option<StdListener> {
        let mut passed = lock(&self.passed);
        let fits = |listener: &StdListener| {
            listener
                .local_addr()
                .is_ok_and(|bound| bound == address || (address.port() == 0 && bound.ip() == address.ip()))
        };
        let index = passed.iter().position(fits)?;
        Some(passed.remove(index))
    }

    /// Closes passed sockets that are not used, and logs each, because clients of such a socket get no answer.
    pub fn close_unused(&self) {
        for listener in lock(&self.passed).drain(..) {
            if let Ok(address) = listener.local_addr() {
                warn!(
                    "a socket for {address} was passed to serve, but no listener of the configuration has that \
                     address; it is closed"
                );
            }
        }
        for listener in lock(&self.passed_paths).drain(..) {
            if let Some(path) = listener.local_addr().ok().as_ref().and_then(|bound| bound.as_pathname()) {
                warn!(
                    "a socket at {} was passed to serve, but admin.address is another one; it is closed",
                    path.display()
                );
            }
        }
    }

    /// Whether this process takes over from a predecessor.
    pub fn have_predecessor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Tells the predecessor that this process accepts connections; returns whether there is a predecessor.
    pub fn tell_predecessor(&self) -> bool {
        let told = self.predecessor.as_ref().map(|socket| socket.send(READY));
        if let Some(Err(error)) = &told {
            warn!("the process that started this one for an upgrade is not there any more: {error}");
        }
        told.is_some()
    }

    /// A copy of each socket, to be passed to a successor.
    pub(super) fn copies(&self) -> io::Result<Vec<OwnedFd>> {
        let tcp = lock(&self.in_use);
        let paths = lock(&self.paths_in_use);
        let tcp = tcp.iter().map(|listener| Ok(listener.try_clone()?.into()));
        tcp.chain(paths.iter().map(|listener| Ok(listener.try_clone()?.into()))).collect()
    }

    /// Drops the copies, because the successor has its own.
    pub fn let_go(&self) {
        lock(&self.in_use).clear();
        lock(&self.paths_in_use).clear();
    }
}

fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = socket(address)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Access for the owner and the group of the socket. If the directory has the setgid bit, the directory's group is the
/// socket's.
const MODE_OF_A_PATH: u32 = 0o660;

fn bind_path(path: &Path) -> io::Result<StdUnixListener> {
    use std::os::unix::fs::FileTypeExt as _;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    // A connection without a request does no harm to a process that still listens.
    let is_left =
        || UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_socket && is_left() {
        std::fs::remove_file(path)?;
    }
    let listener = StdUnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE_OF_A_PATH))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
