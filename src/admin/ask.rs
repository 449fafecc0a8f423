//! Asks every running `serve` of a state directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::socket::{all, is_stale};
use super::talk::{self, LONGEST_REPLY, Reply, Request};
use crate::store::{DirectoryError, StateDirectory};

/// The process answers at once, whatever its sessions do; a reload may have to make an RSA key.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who asks for the health of a container waits 30 s at most. It is not less than the time that `serve` gives its store.
const HEALTH_PATIENCE: Duration = Duration::from_secs(7);
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

/// What those that run answered.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// All of all, but for the final [`Reply::End`].
    pub(crate) replies: Vec<Reply>,
    /// Those that gave no answer.
    pub(crate) silent: Vec<AskError>,
}

/// What every `serve` of `state_directory` answers to `request`. All are asked at the same time, so that one that is
/// silent keeps none from being asked; an error where that leaves no answer at all.
pub(crate) async fn all_running(state_directory: &Path, request: &Request) -> Result<Answers, AskError> {
    let sockets = all(state_directory).map_err(|error| not_ours(state_directory, error))?;
    let patience = patience(request);
    let ask_one = |path: PathBuf| {
        let request = request.clone();
        let asked = path.clone();
        (path, tokio::spawn(async move { timeout(patience, ask(&asked, &request)).await }))
    };
    let asked: Vec<_> = sockets.into_iter().map(ask_one).collect();
    let (mut answers, mut has_answer) = (Answers::default(), false);
    for (path, answer) in asked {
        let answer = answer.await.map_err(io::Error::other);
        match answer.and_then(|answer| answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))) {
            Ok(replies) => {
                has_answer = true;
                answers.replies.extend(replies);
            }
            Err(error) if is_stale(&error) => drop(std::fs::remove_file(&path)),
            // It has ended since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => answers.silent.push(AskError::Silent { path, error }),
        }
    }
    if has_answer {
        return Ok(answers);
    }
    let silent = answers.silent.into_iter().next();
    Err(silent.unwrap_or_else(|| AskError::NoneRunning(state_directory.to_owned())))
}

/// Shows `hear` each reply of every `serve` of `state_directory` as it comes, until all have ended. How many ended
/// without having said all.
pub(crate) async fn follow_all(
    state_directory: &Path,
    request: &Request,
    mut hear: impl FnMut(Reply),
) -> Result<usize, AskError> {
    let sockets = all(state_directory).map_err(|error| not_ours(state_directory, error))?;
    // Bounded: where the person's terminal takes nothing, neither does this.
    let (sender, mut replies) = mpsc::channel(16);
    let mut following = JoinSet::new();
    for path in sockets {
        let Ok(stream) = UnixStream::connect(&path).await else { continue };
        following.spawn(follow(stream, request.clone(), sender.clone()));
    }
    drop(sender);
    if following.is_empty() {
        return Err(AskError::NoneRunning(state_directory.to_owned()));
    }
    while let Some(reply) = replies.recv().await {
        hear(reply);
    }
    let ended = following.join_all().await;
    Ok(ended.iter().filter(|ended| ended.is_err()).count())
}

async fn follow(stream: UnixStream, request: Request, replies: mpsc::Sender<Reply>) -> io::Result<()> {
    let (input, mut output) = stream.into_split();
    send(&mut output, &request).await?;
    let mut input = BufReader::new(input);
    while let Some(line) = talk::line(&mut input, LONGEST_REPLY).await? {
        match serde_json::from_slice(&line) {
            Ok(Reply::End {}) => return Ok(()),
            Ok(reply) => drop(replies.send(reply).await),
            Err(_) => break,
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

pub(super) async fn send(output: &mut OwnedWriteHalf, request: &Request) -> io::Result<()> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    output.write_all(&line).await
}

/// How long one that runs may take to answer.
fn patience(request: &Request) -> Duration {
    match request {
        Request::Health => HEALTH_PATIENCE,
        _ => PATIENCE,
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
    send(&mut output, request).await?;
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
