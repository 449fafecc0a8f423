//! Proves that a session at the provider opens a mailbox: lists the folders and leaves.
//!
//! A sign-in alone does not prove that: Exchange accepts tokens for mailboxes that it then refuses with the first
//! command ("User is authenticated but not connected").

use super::framer::{Framed, Framer};
use super::meaning::{Heard, refused, turned_away, violation};
use super::response::{self, Response, Status};
use crate::protocol::{Answers, Refusal};
use crate::wire::{Stream, Wire};

/// Bytes of one response: a folder name is at most a few hundred.
const RESPONSE_LIMIT: usize = 16_384;

/// Folders counted; a mailbox with more is proven as well.
const FOLDERS_LIMIT: usize = 100_000;

/// Counts the folders of a mailbox after [`super::sign_in`], and logs out.
///
/// The wire cannot be used afterwards, so this is not for a session that continues.
pub async fn count_folders<U: Stream>(upstream: &mut Wire<U>) -> Result<usize, Refusal> {
    let heard = || Heard::while_waiting_for(Answers::Command("LIST"));
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
            _ => return Err(violation("it sent too long a response")),
        };
        let line = inbox.get(..end).unwrap_or_default();
        match response::parse(line, TAG) {
            Response::Tagged(Status::Ok, _) => break,
            Response::Tagged(_, words) => return Err(refused(&words, heard())),
            Response::Untagged(Status::Bye, words) => return Err(turned_away(&words, heard())),
            Response::List if folders < FOLDERS_LIMIT => folders += 1,
            Response::List => break,
            _ => {}
        }
        upstream.buffers().0.consume(end);
        framer = Framer::default();
    }
    // For politeness; the answer is not awaited.
    let _ = upstream.send(b"P4 LOGOUT\r\n").await;
    Ok(folders)
}
