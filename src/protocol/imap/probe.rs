//! Proves that a session at the provider opens a mailbox: lists the folders and leaves.
//!
//! A sign-in alone does not prove that: Exchange accepts tokens for mailboxes that it then refuses with the first
//! command ("User is authenticated but not connected").

use super::meaning::{refused, turned_away};
use super::response::{self, Response, Status};
use crate::protocol::framer::Framer;
use crate::protocol::provider::ProviderDialogue;
use crate::protocol::verdict::Heard;
use crate::protocol::{Answers, Refusal};
use crate::wire::Buffer;

/// Bytes of one response: a folder name is at most a few hundred.
const RESPONSE_LIMIT: usize = 16_384;

/// Folders counted; a mailbox with more is proven as well.
const FOLDERS_LIMIT: usize = 100_000;

const TAG: &[u8] = b"P3";

/// The command LIST and its answers. The outcome is the number of folders.
#[derive(Default)]
pub(super) struct List {
    asked: bool,
    framer: Framer,
    folders: usize,
}

impl ProviderDialogue for List {
    type Outcome = usize;

    fn begin(&mut self, outbox: &mut Buffer) {
        if !std::mem::replace(&mut self.asked, true) {
            outbox.push(b"P3 LIST \"\" \"*\"\r\n");
        }
    }

    fn next(&mut self, inbox: &[u8]) -> Result<Option<usize>, Refusal> {
        response::find(&mut self.framer, inbox, TAG, (RESPONSE_LIMIT, "it sent too long a response"))
    }

    fn hear(&mut self, response: &[u8], _: &mut Buffer) -> Result<Option<usize>, Refusal> {
        let heard = Heard::while_waiting_for(Answers::Command("LIST"));
        match response::parse(response, TAG) {
            Response::Tagged(Status::Ok, _) => return Ok(Some(self.folders)),
            Response::Tagged(_, words) => return Err(refused(&words, heard)),
            Response::Untagged(Status::Bye, words) => return Err(turned_away(&words, heard)),
            Response::List if self.folders == FOLDERS_LIMIT => return Ok(Some(self.folders)),
            Response::List => self.folders += 1,
            _ => {}
        }
        Ok(None)
    }
}
