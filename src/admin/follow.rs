//! Continuous replies on the control socket: the sessions that this process holds, for a newer process that counts
//! them (both ends of that are here); and the lines of a trace.
//!
//! If a process ends, its connection ends too, so the other side notices.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncRead, AsyncReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::socket::all;
use super::talk::{self, HeldRow, LONGEST_REPLY, Reply, Request, TraceRow};
use crate::command;
use crate::control::serving::{Held, LONGEST_TRACE, NotTraced, Running, TraceLine, Traced};
use crate::protocol::Door;
use crate::store::Actor;

/// How long an older process may take to report its sessions; then the start continues without them.
const FIRST_COUNT: Duration = Duration::from_secs(5);
/// The timeout of one write; a process that does not read gets no more.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// Reports the sessions of this process until the other side closes.
pub(super) async fn holding(
    running: &Arc<Running>,
    input: &mut (impl AsyncRead + Unpin),
    output: &mut OwnedWriteHalf,
) {
    let mut holding = running.holding();
    loop {
        let held = tokio::select! {
            held = holding.next() => held,
            () = gone(input) => return,
        };
        let rows = held.into_iter().map(|Held { account, door, sessions }| {
            Reply::Held(HeldRow { account, protocol: door.name().to_owned(), sessions })
        });
        let replies: Vec<_> = rows.chain([Reply::Ready {}]).collect();
        if !matches!(timeout(WRITE_PATIENCE, write(output, &replies)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// A request for a trace.
pub(super) struct Asked {
    pub(super) account: String,
    pub(super) seconds: u64,
    pub(super) by: Actor,
}

/// Sends the masked lines of an account's sessions until its time is over, or the other side closes.
pub(super) async fn trace(
    running: &Arc<Running>,
    asked: Asked,
    input: &mut (impl AsyncRead + Unpin),
    output: &mut OwnedWriteHalf,
) {
    let Asked { account, seconds, by } = asked;
    let told = async {
        let mut tracing = match running.trace(&account, Duration::from_secs(seconds), by).await {
            Ok(tracing) => tracing,
            Err(error) => return write(output, &[Reply::Failed(not_traced(&error)), Reply::End {}]).await,
        };
        write(output, &[Reply::Tracing {}]).await?;
        loop {
            // The end of the trace also ends a write that waits for its reader.
            let reply = match tracing.next().await {
                Traced::Line(line) => Reply::Traced(row(line)),
                Traced::Lost(lost) => Reply::Lost(lost),
                Traced::AccountGone => return write(output, &[Reply::AccountGone {}, Reply::End {}]).await,
                Traced::Over => return write(output, &[Reply::End {}]).await,
            };
            write(output, &[reply]).await?;
        }
    };
    let limit = Duration::from_secs(seconds).min(LONGEST_TRACE) + WRITE_PATIENCE;
    tokio::select! {
        _ = timeout(limit, told) => {}
        () = gone(input) => {}
    }
}

/// Why a trace cannot start, and the cure.
fn not_traced(error: &NotTraced) -> String {
    match error {
        NotTraced::NoAccount(_) => format!("{error}; {} shows all", command::ACCOUNTS),
        _ => error.to_string(),
    }
}

fn row(line: TraceLine) -> TraceRow {
    let TraceLine { at, session, door, way, text } = line;
    let at = at.replace_millisecond(at.millisecond()).unwrap_or(at).format(&Rfc3339).unwrap_or_default();
    TraceRow { at, session, protocol: door.name().to_owned(), way: way.to_owned(), text }
}

/// Writes `replies`, one on each line.
pub(super) async fn write(output: &mut OwnedWriteHalf, replies: &[Reply]) -> io::Result<()> {
    for reply in replies {
        talk::send(output, reply).await?;
    }
    Ok(())
}

/// Completes when the other side closes; bytes from it are dropped.
pub(super) async fn gone(input: &mut (impl AsyncRead + Unpin)) {
    let mut dropped = [0; 256];
    while input.read(&mut dropped).await.is_ok_and(|count| count > 0) {}
}

/// Counts the sessions of every process of `state_directory`, all of which are older than this one, until the
/// value is dropped. Returns when each has reported once.
pub(super) async fn count_predecessors(running: &Arc<Running>, state_directory: &Path) -> JoinSet<()> {
    let mut predecessors = JoinSet::new();
    let mut first_counts = Vec::new();
    for path in all(state_directory).unwrap_or_default() {
        let (counted, first_count) = oneshot::channel();
        predecessors.spawn(count(running.clone(), path, counted));
        first_counts.push(first_count);
    }
    let all_counted = async {
        for first_count in first_counts {
            // The sender is dropped if the process does not answer, for example because it was killed.
            let _ = first_count.await;
        }
    };
    let _ = timeout(FIRST_COUNT, all_counted).await;
    predecessors
}

async fn count(running: Arc<Running>, path: PathBuf, counted: oneshot::Sender<()>) {
    let process = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // The connection has ended: sessions there, if any, are no longer known.
    let _ = count_until_it_ends(&running, &path, &process, counted).await;
    running.ended_elsewhere(&process);
}

async fn count_until_it_ends(
    running: &Running,
    path: &Path,
    process: &str,
    counted: oneshot::Sender<()>,
) -> io::Result<()> {
    let (input, mut output) = UnixStream::connect(path).await?.into_split();
    talk::send(&mut output, &Request::Holding).await?;
    let (mut input, mut counted) = (BufReader::new(input), Some(counted));
    while let Some(line) = talk::line(&mut input, LONGEST_REPLY).await? {
        match serde_json::from_slice(&line) {
            Ok(Reply::Held(HeldRow { account, protocol, sessions })) => {
                if let Some(door) = Door::named(&protocol) {
                    running.held_elsewhere(process, &Held { account, door, sessions });
                }
            }
            Ok(Reply::Ready {}) => drop(counted.take().map(|counted| counted.send(()))),
            // A process of an older version, which does not know the request.
            _ => return Ok(()),
        }
    }
    Ok(())
}
