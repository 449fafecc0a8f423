//! Asks every running `serve` of a state directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::socket::{all, is_stale};
use super::talk::{self, LONGEST_REPLY, Reply, Request};
use crate::store::{DirectoryError, StateDirectory};

/// The process answers at once, whatever its sessions do; a reload may have to make an RSA key.
const PATIENCE: Duration = Duration::from_secs(60);
/// Replies of one process: twice the sessions that a machine can hold.
const MOST_REPLIES: usize = 200_000;

/// Why the answers are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// There is nothing that could answer.
    #[error("no serve is running on the state directory {}", .0.display())]
    NoneRunning(PathBuf),
    /// It is not ours to ask.
    #[error(transparent)]
    Directory(DirectoryError),
    /// One of those that run.
    #[error("a running serve gives no answer on {}: {error}", path.display())]
    Silent {
        /// Its socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// What each `serve` of `state_directory` answers to `request`, but for the final [`Reply::End`].
pub(crate) async fn all_running(
    state_directory: &Path,
    request: &Request,
) -> Result<Vec<Vec<Reply>>, AskError> {
    let sockets = all(state_directory).map_err(|error| not_ours(state_directory, error))?;
    let mut answers = Vec::new();
    for path in sockets {
        match timeout(PATIENCE, ask(&path, request))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        {
            Ok(replies) => answers.push(replies),
            Err(error) if is_stale(&error) => drop(std::fs::remove_file(&path)),
            // It has ended since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(AskError::Silent { path, error }),
        }
    }
    match answers.is_empty() {
        true => Err(AskError::NoneRunning(state_directory.to_owned())),
        false => Ok(answers),
    }
}

/// Whether a `serve` listens in `state_directory`.
pub(crate) fn is_any_running(state_directory: &Path) -> bool {
    let sockets = all(state_directory).unwrap_or_default();
    sockets.iter().any(|path| std::os::unix::net::UnixStream::connect(path).is_ok())
}

/// The owner is named, where the directory is another user's.
fn not_ours(state_directory: &Path, error: io::Error) -> AskError {
    AskError::Directory(match StateDirectory::judge(state_directory) {
        Err(error) => error,
        Ok(_) => DirectoryError::Failed(state_directory.to_owned(), error),
    })
}

async fn ask(path: &Path, request: &Request) -> io::Result<Vec<Reply>> {
    let (input, mut output) = UnixStream::connect(path).await?.into_split();
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    output.write_all(&line).await?;
    let mut input = BufReader::new(input);
    let mut replies = Vec::new();
    while replies.len() < MOST_REPLIES {
        let line = talk::line(&mut input, LONGEST_REPLY).await?;
        let line = line.ok_or_else(|| io::Error::other("it ends before its answer does"))?;
        match serde_json::from_slice(&line) {
            Ok(Reply::End {}) => return Ok(replies),
            Ok(reply) => replies.push(reply),
            Err(_) => return Err(io::Error::other("it is of another version; restart it")),
        }
    }
    Err(io::Error::other("it does not come to an end"))
}
