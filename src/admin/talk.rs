//! What is said on the control socket: one request, a JSON object on a line; then replies, one a line, the last of
//! which is [`Reply::End`]. Both ends are this program, of versions that may differ.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use crate::control::serving::Reloaded;

/// Longer than any request: a name has 320 characters at most.
pub(super) const LONGEST_REQUEST: usize = 8 * 1024;
/// Longer than any reply: what a mail program calls itself is bounded, too.
pub(super) const LONGEST_REPLY: usize = 64 * 1024;

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// The sessions: a [`Reply::Session`] for each.
    Sessions,
    /// That sessions end: how many, in [`Reply::Closed`].
    Close {
        /// A session's id, or an account's name.
        of: String,
    },
    /// A new configuration: [`Reply::Reloaded`].
    Reload,
    /// That the program on disk takes over: [`Reply::TakenOver`].
    Upgrade,
    /// Whether a login can succeed: [`Reply::Ready`].
    Health,
    /// How many sessions each account has: a [`Reply::Held`] for each, then [`Reply::Ready`]; and the same again
    /// after each change, until one of the two processes ends.
    Holding,
    /// The masked lines of an account's sessions: a [`Reply::Traced`] for each, and [`Reply::Lost`], until
    /// [`Reply::End`].
    Trace {
        /// Its name, or an alias.
        account: String,
        /// How long.
        seconds: u64,
    },
}

/// What is answered, a line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// One session.
    Session(SessionRow),
    /// The trace has begun.
    Tracing {},
    /// One line of it.
    Traced(TraceRow),
    /// So many lines of it were lost: they were read too slowly.
    Lost(u64),
    /// The account that was traced is gone.
    AccountGone {},
    /// So many sessions of one account.
    Held(HeldRow),
    /// So many sessions are told to end.
    Closed(usize),
    /// The configuration was taken.
    Reloaded(Reloaded),
    /// The process with this id has taken over.
    TakenOver(u32),
    /// Logins can succeed.
    Ready {},
    /// Not that: this process ends.
    Stopping {},
    /// It was not done, and why.
    Failed(String),
    /// All was said.
    End {},
}

/// A session, as `sessions list --json` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SessionRow {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) protocol: String,
    pub(crate) from: String,
    /// RFC 3339, UTC.
    pub(crate) since: String,
    pub(crate) password: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
}

/// One masked line of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TraceRow {
    /// RFC 3339, UTC.
    pub(crate) at: String,
    pub(crate) session: String,
    pub(crate) protocol: String,
    /// Who says it to whom: `client>proxy`.
    pub(crate) way: String,
    pub(crate) text: String,
}

/// How many sessions one account has at one door.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HeldRow {
    pub(crate) account: String,
    pub(crate) protocol: String,
    pub(crate) sessions: usize,
}

/// The next line without its end, of `longest` bytes at most; `None` at the end of what is sent.
pub(super) async fn line(
    input: &mut (impl AsyncBufRead + Unpin),
    longest: usize,
) -> std::io::Result<Option<Vec<u8>>> {
    let limit = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    let mut line = Vec::new();
    input.take(limit).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if line.len() >= longest => Err(std::io::Error::other("the line is too long")),
        Some(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_whole_and_bounded() {
        let mut input = &b"{}\nab"[..];
        assert_eq!(line(&mut input, 5).await.unwrap(), Some(b"{}".to_vec()));
        assert!(line(&mut input, 5).await.is_err(), "cut off");
        assert_eq!(line(&mut &b""[..], 5).await.unwrap(), None);
        assert_eq!(line(&mut &b"12345\n"[..], 5).await.unwrap(), Some(b"12345".to_vec()));
        assert!(line(&mut &b"123456\n"[..], 5).await.is_err());
    }

    #[test]
    fn a_request_is_what_it_says_and_nothing_more() {
        let read = serde_json::from_str::<Request>;
        assert_eq!(read(r#"{"do":"health"}"#).unwrap(), Request::Health);
        assert_eq!(read(r#"{"do":"close","of":"a@b"}"#).unwrap(), Request::Close { of: "a@b".into() });
        for wrong in [r#"{"do":"export"}"#, r#"{"do":"close"}"#, r#"{"do":"close","of":1}"#, "[]", "1", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
