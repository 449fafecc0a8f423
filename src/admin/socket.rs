//! The control socket: `control/HOLDER.sock` in the state directory, one for each running `serve`.
//!
//! The directory has mode 0700 and the socket 0600. The kernel also names the peer's user, and users other than
//! the owner and root get no answer. A killed process leaves its socket behind; because nothing listens on that,
//! the next process removes it.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::warn;

use super::follow;
use super::site::Site;
use super::talk::{self, By, LONGEST_REQUEST, NOT_A_REQUEST, Reply, Request, SessionRow};
use crate::control::serving::{NotUpgraded, Running, Unready};
use crate::control::{Error, audit};
use crate::store::Actor;

/// The directory of the sockets in the state directory.
const DIRECTORY: &str = "control";
const ENDING: &str = "sock";
/// The name of a socket before it listens, so that no process takes it for a dead one.
const UNFINISHED: &str = "new";
/// The most connections at once; more than a few are a mistake, and wait.
const AT_ONCE: usize = 32;
/// A command writes its request at once.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes and time for the rest of a peer's input after its request.
const MOST_REST: u64 = 1024 * 1024;
const REST_PATIENCE: Duration = Duration::from_secs(1);
/// A command that does not read its answer must not hold a connection longer.
const REPLY_PATIENCE: Duration = Duration::from_secs(30);

/// A control socket, which is removed when the value is dropped.
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens as `holder`, and removes the sockets of dead processes.
    pub(super) fn bind(state_directory: &Path, holder: &str) -> io::Result<Self> {
        let directory = state_directory.join(DIRECTORY);
        crate::files::make_directory(&directory)?;
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        sweep(state_directory);
        let path = directory.join(format!("{holder}.{ENDING}"));
        let unfinished = path.with_extension(UNFINISHED);
        let listener = UnixListener::bind(&unfinished)?;
        std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&unfinished, &path)?;
        Ok(Self { listener, path })
    }

    /// Answers until the future is dropped.
    pub(super) async fn serve(self: Arc<Self>, running: Arc<Running>, site: Option<Arc<Site>>) {
        let mut conversations = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if conversations.len() < AT_ONCE => match accepted {
                    Ok((stream, _)) => {
                        conversations.spawn(converse(stream, running.clone(), site.clone()));
                    }
                    // For example, no descriptors are free: try again, but not in a tight loop.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                },
                Some(_) = conversations.join_next() => {}
            }
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The sockets in `state_directory`, whether or not anything listens on them.
pub(super) fn all(state_directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(state_directory.join(DIRECTORY)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut sockets: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == ENDING))
        .collect();
    sockets.sort();
    Ok(sockets)
}

/// Whether the error of a connection means that nothing listens on the socket.
pub(super) fn is_stale(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn sweep(state_directory: &Path) {
    for path in all(state_directory).unwrap_or_default() {
        // A connection without a request does no harm to a process that still listens.
        if std::os::unix::net::UnixStream::connect(&path).is_err_and(|error| is_stale(&error)) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// One request and its answer.
async fn converse(stream: UnixStream, running: Arc<Running>, site: Option<Arc<Site>>) {
    let owner = rustix::process::geteuid().as_raw();
    let uid = match stream.peer_cred() {
        Ok(peer) if is_trusted(peer.uid(), owner) => peer.uid(),
        Ok(peer) => {
            warn!("the user {} may not use the control socket", peer.uid());
            return;
        }
        Err(error) => {
            warn!("the user of the control socket is not known: {error}");
            return;
        }
    };
    let (input, mut output) = stream.into_split();
    let mut input = BufReader::new(input);
    let answering = running.answering();
    let replies = match request(&mut input).await {
        Some(Ok(Request::Holding)) => {
            // The end of the process does not wait for this answer.
            drop(answering);
            return follow::holding(&running, &mut input, &mut output).await;
        }
        Some(Ok(Request::Trace { account, seconds })) => {
            drop(answering);
            let asked = follow::Asked { account, seconds, by: audit::asker(uid) };
            return follow::trace(&running, asked, &mut input, &mut output).await;
        }
        Some(Ok(Request::Entrance)) => {
            let entrance = match site {
                Some(site) => site.entrance(audit::asker(uid)).await,
                None => Ok(None),
            };
            vec![match entrance {
                Ok(entrance) => entrance.map_or(Reply::NoPage {}, Reply::Entrance),
                Err(error) => Reply::Failed(error.to_string()),
            }]
        }
        Some(Ok(request)) => answer(&running, request, uid).await,
        Some(Err(fault)) => vec![Reply::Failed(fault)],
        None => return,
    };
    // A command that has ended needs no answer.
    let _ = timeout(REPLY_PATIENCE, write(&mut output, &replies)).await;
    // Unread input would reset the connection, and the peer would lose the answer.
    let rest = async { tokio::io::copy(&mut input.take(MOST_REST), &mut tokio::io::sink()).await };
    let _ = timeout(REST_PATIENCE, rest).await;
}

/// The peer's request, or what is wrong with it; `None` if the peer only checked that a `serve` answers.
async fn request(input: &mut (impl AsyncBufRead + Unpin)) -> Option<Result<Request, String>> {
    match timeout(REQUEST_PATIENCE, talk::line(input, LONGEST_REQUEST)).await {
        Ok(Ok(Some(line))) => {
            Some(serde_json::from_slice(&line).map_err(|error| format!("{NOT_A_REQUEST}: {error}")))
        }
        Ok(Ok(None)) => None,
        Ok(Err(error)) => Some(Err(format!("{NOT_A_REQUEST}: {error}"))),
        Err(_) => Some(Err(format!("no request came within {} s", REQUEST_PATIENCE.as_secs()))),
    }
}

pub(super) fn is_trusted(peer: u32, owner: u32) -> bool {
    peer == owner || peer == 0
}

/// The actor of the request: the person for whom another process asks, or else the peer.
fn actor(by: Option<By>, uid: u32) -> Actor {
    by.map_or_else(|| audit::asker(uid), By::actor)
}

async fn answer(running: &Arc<Running>, request: Request, uid: u32) -> Vec<Reply> {
    match request {
        Request::Sessions => {
            running.sessions().iter().map(|session| Reply::Session(SessionRow::of(session))).collect()
        }
        Request::Close { of, by } => vec![Reply::Closed(running.close(&of, actor(by, uid)).await)],
        Request::Reload { by } => vec![match running.reload(actor(by, uid)).await {
            Ok(reloaded) => Reply::Reloaded(reloaded),
            Err(Error::Stopping) => Reply::Stopping {},
            Err(error) => Reply::Failed(error.to_string()),
        }],
        Request::Upgrade => vec![match running.upgrade(audit::asker(uid)).await {
            Ok(pid) => Reply::TakenOver(pid),
            Err(NotUpgraded::Stopping) => Reply::Stopping {},
            Err(NotUpgraded::Failed(failure)) => Reply::Failed(failure),
        }],
        // These requests are answered elsewhere.
        Request::Holding | Request::Trace { .. } | Request::Entrance => Vec::new(),
        Request::Health => vec![match running.readiness().await {
            Ok(_) => Reply::Ready {},
            Err(Unready::Stopping) => Reply::Stopping {},
            Err(error) => Reply::Failed(error.to_string()),
        }],
    }
}

async fn write(output: &mut OwnedWriteHalf, replies: &[Reply]) -> io::Result<()> {
    follow::write(output, replies).await?;
    follow::write(output, &[Reply::End {}]).await?;
    output.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn security_row_47_the_owner_and_root_are_trusted_and_nobody_else() {
        assert!(is_trusted(1000, 1000) && is_trusted(0, 1000) && is_trusted(0, 0));
        assert!(!is_trusted(1001, 1000) && !is_trusted(1000, 0));
    }

    #[tokio::test]
    async fn a_socket_is_private_and_what_a_killed_process_left_is_swept() {
        let state = tempfile::tempdir().unwrap();
        let left = ControlSocket::bind(state.path(), "left").unwrap().path.clone();
        drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
        assert!(left.exists());
        let living = ControlSocket::bind(state.path(), "living").unwrap();
        let other = ControlSocket::bind(state.path(), "other").unwrap();
        assert!(!left.exists());
        assert_eq!(all(state.path()).unwrap(), [living.path.clone(), other.path.clone()]);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&living.path), mode(living.path.parent().unwrap())), (0o600, 0o700));
        drop((living, other));
        assert!(all(state.path()).unwrap().is_empty());
    }
}
