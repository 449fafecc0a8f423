//! Proves that a session at the provider opens a mailbox: lists the folders and leaves.
//!
//! A sign-in alone does not prove it: Exchange accepts tokens for mailboxes that it then refuses with
//! the first command ("User is authenticated but not connected").

use std::fmt;

use super::framer::{Framed, Framer};
use super::refusal::{Answers, Heard, Refusal, refused, turned_away};
use super::response::{self, Response, Status};
use crate::wire::{Stream, Wire};

/// Bytes of one response: a folder name is at most a few hundred.
const RESPONSE_LIMIT: usize = 16_384;

/// Folders counted; a mailbox with more is proven as well.
const FOLDERS_LIMIT: usize = 100_000;

/// What [`count_folders`] met, in words: the token is good, because it has just been accepted.
#[derive(Debug)]
pub struct NotListed(pub Refusal);

impl fmt::Display for NotListed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sign-in succeeded, but the folders were not listed: ")?;
        match &self.0 {
            // What a NO without a known text means to a sign-in is wrong here.
            Refusal::Token(said) => write!(
                f,
                "the provider said \"{}\" to LIST; check the access to the mailbox, and try again later",
                said.text
            ),
            Refusal::Closed => {
                f.write_str("the provider closed the connection instead of answering LIST; try again later")
            }
            refusal => write!(f, "{refusal}"),
        }
    }
}

impl std::error::Error for NotListed {}

/// Counts the folders of a mailbox just signed in to ([`super::sign_in`]), and logs out.
///
/// Not for a session that goes on: the wire is spent afterwards.
pub async fn count_folders<U: Stream>(upstream: &mut Wire<U>) -> Result<usize, Refusal> {
    let heard = || Heard::while_waiting_for(Answers::List);
    const TAG: &[u8] = b"P3";
    upstream.send(b"P3 LIST \"\" \"*\"\r\n").await?;
    let (mut framer, mut folders) = (Framer::default(), 0);
    loop {
        let inbox = upstream.inbox();
        let end = match framer.next(inbox) {
            Framed::Complete(end) => end,
            Framed::Literal(literal)
                if response::is_text(inbox.get(..literal.start).unwrap_or_default(), TAG) =>
            {
                literal.start
            }
            Framed::Literal(literal) if literal.size <= RESPONSE_LIMIT as u64 => {
                framer.skip(&literal);
                continue;
            }
            Framed::More if inbox.len() <= RESPONSE_LIMIT => {
                if upstream.fill().await? == 0 {
                    return Err(Refusal::Closed);
                }
                continue;
            }
            _ => return Err(Refusal::Violation("it sent a response that is too long")),
        };
        let line = inbox.get(..end).unwrap_or_default();
        match response::parse(line, TAG) {
            Response::Tagged(Status::Ok, _) => break,
            Response::Tagged(_, text) => return Err(refused(text, heard())),
            Response::Untagged(Status::Bye, text) => return Err(turned_away(text, heard())),
            Response::Data if is_list(line) && folders < FOLDERS_LIMIT => folders += 1,
            Response::Data if is_list(line) => break,
            _ => {}
        }
        upstream.buffers().0.consume(end);
        framer = Framer::default();
    }
    // A courtesy whose answer nobody waits for.
    let _ = upstream.send(b"P4 LOGOUT\r\n").await;
    Ok(folders)
}

fn is_list(line: &[u8]) -> bool {
    line.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"* LIST "))
}
