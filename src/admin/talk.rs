//! The protocol of the control socket: one request, a JSON object on a line; then replies, one on each line, the
//! last of which is [`Reply::End`]. Both ends are this program, perhaps in different versions.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::OwnedWriteHalf;

use crate::control::serving::Reloaded;
pub(crate) use crate::control::sessions::SessionRow;
use crate::store::Actor;

/// Longer than any request: a name has 320 characters at most.
pub(super) const LONGEST_REQUEST: usize = 8 * 1024;
/// Longer than any reply: a client's own name is bounded too.
pub(super) const LONGEST_REPLY: usize = 64 * 1024;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// List the sessions: a [`Reply::Session`] for each.
    Sessions,
    /// End sessions: their number, in [`Reply::Closed`].
    Close {
        /// A session's id, or an account's name.
        of: String,
        /// The person who asked the process that sends this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// Load the configuration again: [`Reply::Reloaded`].
    Reload {
        /// The person who asked the process that sends this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<By>,
    },
    /// Let the program on disk take over: [`Reply::TakenOver`].
    Upgrade,
    /// Make a one-time address of the page: [`Reply::Entrance`].
    Entrance,
    /// Report whether a login can succeed: [`Reply::Ready`].
    Health,
    /// Report the number of sessions of each account: a [`Reply::Held`] for each, then [`Reply::Ready`]; and again
    /// after each change, until one of the two processes ends.
    Holding,
    /// Trace an account's sessions, masked: a [`Reply::Traced`] for each line, and [`Reply::Lost`], until
    /// [`Reply::End`].
    Trace {
        /// The account's name, or an alias.
        account: String,
        /// How long.
        seconds: u64,
    },
}

impl Request {
    /// This request without the fields that earlier versions do not know; `None` if it has no such field.
    pub(super) fn earlier(&self) -> Option<Self> {
        match self {
            Self::Close { of, by: Some(_) } => Some(Self::Close { of: of.clone(), by: None }),
            Self::Reload { by: Some(_) } => Some(Self::Reload { by: None }),
            _ => None,
        }
    }
}

/// The actor for whom another process of this installation sends the request: a person on the page, or a program that
/// uses the API. The field can be trusted, because only this installation's user and root can use the socket, and they
/// can write the audit trail anyway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Actor")]
pub(crate) struct By(Actor);

impl By {
    /// The actor in the form for the socket; `None` for the user of a command, whom the kernel names.
    pub(super) fn of(actor: &Actor) -> Option<Self> {
        Self::try_from(actor.clone()).ok()
    }

    /// The actor for the audit trail.
    pub(super) fn actor(self) -> Actor {
        self.0
    }
}

impl TryFrom<Actor> for By {
    type Error = &'static str;

    fn try_from(actor: Actor) -> Result<Self, Self::Error> {
        match actor.surface.as_str() {
            "page" | "api" => Ok(Self(actor)),
            _ => Err("only the page and the API ask for others"),
        }
    }
}

/// The beginning of the refusal of a request that could not be read.
pub(super) const NOT_A_REQUEST: &str = "not a request";

/// A reply, on one line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// One session.
    Session(SessionRow),
    /// The trace has begun.
    Tracing {},
    /// One line of the trace.
    Traced(TraceRow),
    /// The number of lines of the trace that were lost, because the reader was too slow.
    Lost(u64),
    /// The traced account was removed.
    AccountGone {},
    /// The number of sessions of one account.
    Held(HeldRow),
    /// The number of sessions that will end.
    Closed(usize),
    /// The new configuration is in use.
    Reloaded(Reloaded),
    /// The process with this id has taken over.
    TakenOver(u32),
    /// The one-time address of the page.
    Entrance(String),
    /// This process has no page.
    NoPage {},
    /// Logins can succeed.
    Ready {},
    /// Not ready: this process is stopping.
    Stopping {},
    /// The request failed, with the reason.
    Failed(String),
    /// The last reply.
    End {},
}

/// One masked line of a session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TraceRow {
    /// RFC 3339, UTC.
    pub(crate) at: String,
    pub(crate) session: String,
    pub(crate) protocol: String,
    /// The sender and the receiver: `client>proxy`.
    pub(crate) way: String,
    pub(crate) text: String,
}

/// The number of sessions of one account at one door.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HeldRow {
    pub(crate) account: String,
    pub(crate) protocol: String,
    pub(crate) sessions: usize,
}

/// Writes a request or a reply as a line.
pub(super) async fn send(output: &mut OwnedWriteHalf, message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    output.write_all(&line).await
}

/// The next line without its end, of at most `longest` bytes; `None` at the end of the input.
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
    fn a_request_carries_for_whom_it_is_asked_and_an_earlier_process_can_read_it() {
        let page =
            Actor { surface: "page".to_owned(), user: Some("root, session ab".to_owned()), uid: Some(0) };
        let close = Request::Close { of: "a@b".to_owned(), by: By::of(&page) };
        let line = serde_json::to_string(&close).unwrap();
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), close);
        let Request::Close { by: Some(by), .. } = close.clone() else { panic!("{line}") };
        assert_eq!(by.actor(), page);
        let earlier = serde_json::to_string(&close.earlier().unwrap()).unwrap();
        assert_eq!(earlier, r#"{"do":"close","of":"a@b"}"#);
        assert_eq!(serde_json::to_string(&Request::Reload { by: None }).unwrap(), r#"{"do":"reload"}"#);
        assert!(Request::Health.earlier().is_none() && close.earlier().unwrap().earlier().is_none());
        let command = Actor { surface: "cli".to_owned(), ..page };
        assert_eq!(By::of(&command), None);
        let forged = r#"{"do":"close","of":"a@b","by":{"surface":"serve","user":null,"uid":null}}"#;
        assert!(serde_json::from_str::<Request>(forged).is_err());
    }

    #[test]
    fn a_request_is_what_it_says_and_nothing_more() {
        let read = serde_json::from_str::<Request>;
        assert_eq!(read(r#"{"do":"health"}"#).unwrap(), Request::Health);
        assert_eq!(
            read(r#"{"do":"close","of":"a@b"}"#).unwrap(),
            Request::Close { of: "a@b".into(), by: None }
        );
        assert_eq!(read(r#"{"do":"reload"}"#).unwrap(), Request::Reload { by: None });
        for wrong in [r#"{"do":"export"}"#, r#"{"do":"close"}"#, r#"{"do":"close","of":1}"#, "[]", "1", ""] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
