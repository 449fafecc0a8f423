//! One mailbox and its messages, shared by all sessions of its user.
//!
//! A mailbox numbers its changes (`modseq`, RFC 7162). A session compares the number with the one it last saw
//! and asks for details only when they differ; the list of UIDs is shared, not copied, so a session costs the
//! same with a large mailbox as with a small one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::watch;

/// One mailbox.
pub(crate) struct Mailbox {
    pub(crate) validity: u32,
    /// A special use (RFC 6154) or `\Noselect`.
    pub(crate) special: Option<&'static str>,
    inner: Mutex<Inner>,
    changed: watch::Sender<u64>,
}

struct Inner {
    uids: Arc<Vec<u32>>,
    messages: Vec<Message>,
    next: u32,
    modseq: u64,
    /// No session has seen the messages from this UID on.
    recent_from: u32,
}

/// One message. A copy shares the body.
#[derive(Clone)]
pub(crate) struct Message {
    pub(crate) uid: u32,
    pub(crate) flags: Vec<String>,
    pub(crate) received: OffsetDateTime,
    pub(crate) modseq: u64,
    pub(crate) body: Body,
}

/// The content of a message.
#[derive(Clone)]
pub(crate) enum Body {
    Plain(Arc<[u8]>),
    /// A header, then this many octets of the pattern.
    Huge {
        header: Arc<[u8]>,
        octets: u64,
    },
}

/// A message, as tests see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// The UID.
    pub uid: u32,
    /// The flags, sorted.
    pub flags: Vec<String>,
    /// The octets; for a huge message only the header.
    pub octets: Vec<u8>,
}

/// The figures of SELECT and STATUS.
pub(crate) struct Figures {
    pub(crate) messages: usize,
    pub(crate) unseen: usize,
    pub(crate) first_unseen: Option<usize>,
    pub(crate) recent: usize,
    pub(crate) next: u32,
    pub(crate) modseq: u64,
    pub(crate) octets: u64,
}

impl Body {
    pub(crate) fn plain(octets: &[u8]) -> Self {
        Self::Plain(octets.into())
    }

    pub(crate) fn huge(octets: u64) -> Self {
        let header =
            "From: sandbox@example.com\r\nSubject: huge\r\nContent-Type: application/octet-stream\r\n\r\n";
        Self::Huge { header: header.as_bytes().into(), octets }
    }

    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Plain(octets) => octets.len() as u64,
            Self::Huge { header, octets } => header.len() as u64 + octets,
        }
    }

    /// The octets that can be searched: all of a plain message, the header of a huge one.
    pub(crate) fn readable(&self) -> &[u8] {
        match self {
            Self::Plain(octets) => octets,
            Self::Huge { header, .. } => header,
        }
    }
}

impl Message {
    pub(crate) fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own.eq_ignore_ascii_case(flag))
    }
}

impl Mailbox {
    pub(super) fn new(validity: u32, special: Option<&'static str>) -> Self {
        let inner = Inner { uids: Arc::default(), messages: Vec::new(), next: 1, modseq: 1, recent_from: 1 };
        // A large number, so that clients do not mistake it for another number.
        let validity = 1_700_000_000 + validity;
        Self { validity, special, inner: Mutex::new(inner), changed: watch::Sender::new(1) }
    }

    pub(crate) fn selectable(&self) -> bool {
        self.special != Some("\\Noselect")
    }

    /// The UIDs in order, and the number of the last change.
    pub(crate) fn snapshot(&self) -> (Arc<Vec<u32>>, u64) {
        let inner = self.lock();
        (Arc::clone(&inner.uids), inner.modseq)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn figures(&self) -> Figures {
        let inner = self.lock();
        let unseen = |message: &&Message| !message.has("\\Seen");
        Figures {
            messages: inner.messages.len(),
            unseen: inner.messages.iter().filter(unseen).count(),
            first_unseen: inner.messages.iter().position(|message| !message.has("\\Seen")).map(|at| at + 1),
            recent: inner.messages.iter().filter(|message| message.uid >= inner.recent_from).count(),
            next: inner.next,
            modseq: inner.modseq,
            octets: inner.messages.iter().map(|message| message.body.size()).sum(),
        }
    }

    /// Marks the recent messages as seen by the calling session only; returns the first one's UID.
    pub(crate) fn take_recent(&self) -> u32 {
        let mut inner = self.lock();
        let next = inner.next;
        std::mem::replace(&mut inner.recent_from, next)
    }

    pub(crate) fn message(&self, uid: u32) -> Option<Message> {
        let inner = self.lock();
        inner.at(uid).map(|at| inner.messages[at].clone())
    }

    /// The messages changed after `modseq`, without expunged ones.
    pub(crate) fn changed_since(&self, modseq: u64) -> Vec<Message> {
        self.lock().messages.iter().filter(|message| message.modseq > modseq).cloned().collect()
    }

    /// Adds a message and returns its UID.
    pub(crate) fn deliver(&self, body: Body, flags: Vec<String>, received: Option<OffsetDateTime>) -> u32 {
        self.change(|inner| {
            let uid = inner.next;
            inner.next += 1;
            let received = received.unwrap_or_else(OffsetDateTime::now_utc);
            Arc::make_mut(&mut inner.uids).push(uid);
            inner.messages.push(Message { uid, flags, received, modseq: inner.modseq, body });
            uid
        })
    }

    /// Adds many equal messages that share one body.
    pub(crate) fn fill(&self, count: usize, size: usize) {
        let body = Body::plain(&super::message::synthetic(size));
        let received = OffsetDateTime::now_utc();
        self.change(|inner| {
            for _ in 0..count {
                let (uid, modseq) = (inner.next, inner.modseq);
                inner.next += 1;
                inner.messages.push(Message { uid, flags: Vec::new(), received, modseq, body: body.clone() });
            }
            inner.uids = Arc::new(inner.messages.iter().map(|message| message.uid).collect());
        });
    }

    /// Changes a message's flags, unless it has changed after `unless_since`. Returns the current message,
    /// and whether it was left unchanged for that reason.
    pub(crate) fn store(
        &self,
        uid: u32,
        unless_since: Option<u64>,
        change: impl Fn(&mut Vec<String>),
    ) -> Option<(Message, bool)> {
        let known = self.message(uid)?;
        if unless_since.is_some_and(|since| known.modseq > since) {
            return Some((known, true));
        }
        let mut flags = known.flags.clone();
        change(&mut flags);
        flags.sort();
        flags.dedup();
        if flags == known.flags {
            return Some((known, false));
        }
        self.change(|inner| {
            let at = inner.at(uid)?;
            let modseq = inner.modseq;
            let message = &mut inner.messages[at];
            message.flags = flags;
            message.modseq = modseq;
            Some((message.clone(), false))
        })
    }

    /// Removes the messages that `goes` selects.
    pub(crate) fn remove(&self, goes: impl Fn(&Message) -> bool) {
        if !self.lock().messages.iter().any(&goes) {
            return;
        }
        self.change(|inner| {
            inner.messages.retain(|message| !goes(message));
            inner.uids = Arc::new(inner.messages.iter().map(|message| message.uid).collect());
        });
    }

    pub(crate) fn view(&self) -> Vec<MessageView> {
        let view = |message: &Message| {
            let mut flags = message.flags.clone();
            flags.sort();
            MessageView { uid: message.uid, flags, octets: message.body.readable().to_vec() }
        };
        self.lock().messages.iter().map(view).collect()
    }

    fn change<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        let mut inner = self.lock();
        inner.modseq += 1;
        let modseq = inner.modseq;
        let result = change(&mut inner);
        drop(inner);
        self.changed.send_replace(modseq);
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn at(&self, uid: u32) -> Option<usize> {
        self.messages.binary_search_by_key(&uid, |message| message.uid).ok()
    }
}
