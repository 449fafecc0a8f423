//! The process that takes over in an upgrade: the program now on disk, with this process's sockets.
//!
//! It is started with the same path and arguments as this process, and has taken over once it reports that it
//! accepts connections. Until then nothing changes; a failed start is an error and leaves no process behind.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::Duration;

use command_fds::{CommandFdExt as _, FdMapping};
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

use super::sockets::{READY, Sockets};

/// systemd's first descriptor (`SD_LISTEN_FDS_START`).
const FIRST: i32 = 3;
/// A start takes a fraction of a second, but longer with a busy database or a key program that asks a person. The
/// command that asks for the upgrade waits a minute.
const PATIENCE: Duration = Duration::from_secs(50);

/// A process that has taken over.
pub struct Successor {
    /// Its process id.
    pub pid: u32,
    child: Child,
}

impl Successor {
    /// Starts the process and waits until it is ready. If this future is dropped, the started process is killed.
    pub async fn start(sockets: &Sockets) -> Result<Self, UpgradeError> {
        let (program, mut command, told) = command(sockets)?;
        let failed = |error| UpgradeError::Start { program: program.clone(), error };
        let mut starting = Starting(Some(command.spawn().map_err(failed)?));
        // This closes this process's copies of the sockets.
        drop(command);
        let mut word = [0; 16];
        let ready = async {
            loop {
                let length = told.recv(&mut word).await?;
                if word.get(..length) == Some(READY) {
                    return Ok::<_, io::Error>(());
                }
            }
        };
        tokio::select! {
            biased;
            ready = tokio::time::timeout(PATIENCE, ready) => match ready {
                Ok(ready) => ready?,
                Err(_) => return Err(UpgradeError::Slow { program }),
            },
            ended = starting.ended() => {
                return Err(UpgradeError::Ended { program, status: ended? });
            }
        }
        starting.stands()
    }

    /// Completes when the process has ended.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }
}

/// A process that is not ready yet; dropping this kills it.
struct Starting(Option<Child>);

impl Starting {
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Some(child) => child.wait().await,
            None => std::future::pending().await,
        }
    }

    fn stands(mut self) -> Result<Successor, UpgradeError> {
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let child = self.0.take().ok_or_else(gone)?;
        let pid = child.id().ok_or_else(gone)?;
        Ok(Successor { pid, child })
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.start_kill();
        }
    }
}

/// The program's name, the command that starts it, and the socket for its report.
fn command(sockets: &Sockets) -> Result<(String, Command, UnixDatagram), UpgradeError> {
    let mut words = std::env::args_os();
    let path: OsString = words.next().ok_or(UpgradeError::NoName)?;
    let (ours, theirs) = std::os::unix::net::UnixDatagram::pair()?;
    ours.set_nonblocking(true)?;
    let mut passed = sockets.copies()?;
    passed.push(OwnedFd::from(theirs));
    let count = passed.len();
    let mut command = std::process::Command::new(&path);
    command
        .args(words)
        .env("LISTEN_FDS", count.to_string())
        // LISTEN_PID names another process, or an id that is not known yet.
        .env_remove("LISTEN_PID")
        .env_remove("LISTEN_FDNAMES")
        .env_remove("LISTEN_FDS_FIRST_FD");
    let mapped = (FIRST..).zip(passed).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(mapped.collect()).map_err(io::Error::other)?;
    let told = UnixDatagram::from_std(ours)?;
    Ok((path.to_string_lossy().into_owned(), Command::from(command), told))
}

/// Why an upgrade failed.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// This process was started without a name.
    #[error("this process does not know by which path it was started; restart it instead")]
    NoName,
    /// The program does not exist, or cannot be run.
    #[error("{program} cannot be started: {error}; install it again")]
    Start {
        /// The path.
        program: String,
        /// The operating system's error.
        #[source]
        error: io::Error,
    },
    /// The process ended before it was ready.
    #[error("the new process ({program}) ended before it was ready ({status}); its output has the reason")]
    Ended {
        /// The path.
        program: String,
        /// Its exit status.
        status: ExitStatus,
    },
    /// The process did not report that it is ready.
    #[error("the new process ({program}) was not ready after {} s and is ended", PATIENCE.as_secs())]
    Slow {
        /// The path.
        program: String,
    },
    /// The operating system refused the sockets.
    #[error("the sockets cannot be passed on: {0}")]
    Sockets(#[from] io::Error),
}
