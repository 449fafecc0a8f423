//! The INBOX as a session sees it: as it was at the login, with marks for deletion that count at QUIT (RFC 1939 §6).

use std::sync::Arc;

use crate::imap::mailbox::{Body, Mailbox};

/// The messages of one session, by their numbers from 1.
pub(super) struct Maildrop {
    mailbox: Arc<Mailbox>,
    messages: Vec<Entry>,
}

struct Entry {
    uid: u32,
    body: Body,
    deleted: bool,
}

impl Maildrop {
    pub(super) fn of(mailbox: Arc<Mailbox>) -> Self {
        let uids = mailbox.snapshot().0;
        let messages = uids.iter().filter_map(|&uid| {
            let body = mailbox.message(uid)?.body;
            Some(Entry { uid, body, deleted: false })
        });
        Self { messages: messages.collect(), mailbox }
    }

    fn kept(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let numbered = self.messages.iter().enumerate().map(|(at, entry)| (at + 1, entry));
        numbered.filter(|(_, entry)| !entry.deleted)
    }

    /// The number of messages, and their octets.
    pub(super) fn figures(&self) -> (usize, u64) {
        self.kept().fold((0, 0), |(count, octets), (_, entry)| (count + 1, octets + entry.body.size()))
    }

    /// Number and octets of each message.
    pub(super) fn sizes(&self) -> Vec<(usize, String)> {
        self.kept().map(|(number, entry)| (number, entry.body.size().to_string())).collect()
    }

    /// Number and unique id of each message.
    pub(super) fn ids(&self) -> Vec<(usize, String)> {
        let id = |entry: &Entry| format!("{}-{}", self.mailbox.validity, entry.uid);
        self.kept().map(|(number, entry)| (number, id(entry))).collect()
    }

    /// The message of this number.
    pub(super) fn body(&self, number: usize) -> Option<Body> {
        self.kept().find(|(own, _)| *own == number).map(|(_, entry)| entry.body.clone())
    }

    /// Marks a message for deletion; returns whether it exists.
    pub(super) fn delete(&mut self, number: usize) -> bool {
        let entry = number.checked_sub(1).and_then(|at| self.messages.get_mut(at));
        entry.is_some_and(|entry| !std::mem::replace(&mut entry.deleted, true))
    }

    pub(super) fn reset(&mut self) {
        self.messages.iter_mut().for_each(|entry| entry.deleted = false);
    }

    /// Deletes the marked messages; returns their number.
    pub(super) fn update(self) -> u64 {
        let gone: Vec<u32> =
            self.messages.iter().filter(|entry| entry.deleted).map(|entry| entry.uid).collect();
        self.mailbox.remove(|message| gone.contains(&message.uid));
        gone.len() as u64
    }
}

/// A message as it is sent: a line that begins with a dot gets another one, and a line with a dot ends the message.
pub(super) fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 8);
    for line in message.split_inclusive(|&octet| octet == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The header, and this many lines after it.
pub(super) fn top(message: &[u8], lines: usize) -> &[u8] {
    let body = message.windows(4).position(|octets| octets == b"\r\n\r\n").map_or(message.len(), |at| at + 4);
    let mut end = body;
    for _ in 0..lines {
        let Some(at) = message[end..].iter().position(|&octet| octet == b'\n') else {
            return message;
        };
        end += at + 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_with_a_dot_get_another() {
        assert_eq!(stuffed(b".a\r\n..\r\nb.c"), b"..a\r\n...\r\nb.c\r\n");
        assert_eq!(top(b"A: b\r\n\r\n1\r\n2\r\n", 1), b"A: b\r\n\r\n1\r\n");
        assert_eq!(top(b"A: b\r\n\r\n1\r\n", 9), b"A: b\r\n\r\n1\r\n");
        assert_eq!(top(b"A: b\r\n", 0), b"A: b\r\n");
    }
}
