//! Asks every running `serve` of a state directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::socket::{all, is_stale};
use super::talk::{self, LONGEST_REPLY, NOT_A_REQUEST, Reply, Request};
use crate::control::sessions::Heard;
use crate::store::{DirectoryError, StateDirectory};

/// The process answers at once, despite its sessions; a reload may have to make an RSA key.
const PATIENCE: Duration = Duration::from_secs(60);
/// A container's health check waits 30 s at most. This is longer than `serve` waits for its store.
const HEALTH_PATIENCE: Duration = Duration::from_secs(7);
/// The most replies of one process: twice the sessions that a machine can hold.
const MOST_REPLIES: usize = 200_000;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("no serve is running on the state directory {}", .0.display())]
    NoneRunning(PathBuf),
    #[error(transparent)]
    Directory(DirectoryError),
    #[error("a running serve gives no answer on {}: {error}", path.display())]
    Silent { path: PathBuf, error: io::Error },
}

/// The answers of the running processes.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// All replies of all processes, without the final [`Reply::End`].
    pub(crate) replies: Vec<Reply>,
    /// The processes that did not answer.
    pub(crate) silent: Vec<AskError>,
}

impl Answers {
    /// The sessions of all processes, and how many are told to end.
    pub(crate) fn heard(self) -> Heard {
        let silent = self.silent.iter().map(ToString::to_string).collect();
        let mut heard = Heard { silent, ..Heard::default() };
        for reply in self.replies {
            match reply {
                Reply::Session(session) => heard.sessions.push(session),
                Reply::Closed(count) => heard.closed += count,
                _ => {}
            }
        }
        heard
    }

    /// The first failure that a process has answered.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.replies.iter().find_map(|reply| match reply {
            Reply::Failed(failure) => Some(failure.as_str()),
            _ => None,
        })
    }
}

/// The answers of every `serve` of `state_directory` to `request`. All are asked at the same time, so that a
/// silent one delays no other; an error if none answers.
pub(crate) async fn all_running(state_directory: &Path, request: &Request) -> Result<Answers, AskError> {
    all_but(None, state_directory, request).await
}

/// Like [`all_running`], without the process that has the name `holder`; an error also if there is no other.
pub(super) async fn all_but(
    holder: Option<&str>,
    state_directory: &Path,
    request: &Request,
) -> Result<Answers, AskError> {
    let mut sockets = all(state_directory).map_err(|error| not_ours(state_directory, error))?;
    sockets.retain(|path| holder.is_none() || path.file_stem().and_then(|stem| stem.to_str()) != holder);
    let patience = if *request == Request::Health { HEALTH_PATIENCE } else { PATIENCE };
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
            // The process has ended since it was listed.
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

/// Passes each reply of every `serve` of `state_directory` to `hear` as it comes, until all have ended. Returns
/// the number of processes that ended without [`Reply::End`].
pub(crate) async fn follow_all(
    state_directory: &Path,
    request: &Request,
    mut hear: impl FnMut(Reply),
) -> Result<usize, AskError> {
    let sockets = all(state_directory).map_err(|error| not_ours(state_directory, error))?;
    // Bounded: if the terminal is slow, the processes must wait too.
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
    talk::send(&mut output, &request).await?;
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

/// Whether a `serve` listens in `state_directory`.
pub(crate) fn is_any_running(state_directory: &Path) -> bool {
    let sockets = all(state_directory).unwrap_or_default();
    sockets.iter().any(|path| std::os::unix::net::UnixStream::connect(path).is_ok())
}

/// Names the owner if the directory belongs to another user.
fn not_ours(state_directory: &Path, error: io::Error) -> AskError {
    AskError::Directory(match StateDirectory::judge(state_directory) {
        Err(error) => error,
        Ok(_) => DirectoryError::Failed(state_directory.to_owned(), error),
    })
}

/// Sends the request; if a process of an earlier version cannot read it, sends it again without the newer fields.
async fn ask(path: &Path, request: &Request) -> io::Result<Vec<Reply>> {
    let replies = ask_once(path, request).await?;
    match (replies.first(), request.earlier()) {
        (Some(Reply::Failed(why)), Some(earlier)) if why.starts_with(NOT_A_REQUEST) => {
            ask_once(path, &earlier).await
        }
        _ => Ok(replies),
    }
}

async fn ask_once(path: &Path, request: &Request) -> io::Result<Vec<Reply>> {
    let (input, mut output) = UnixStream::connect(path).await?.into_split();
    talk::send(&mut output, request).await?;
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
