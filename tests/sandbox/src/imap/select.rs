//! SELECT and EXAMINE, and how a session reports other sessions' changes to its mailbox.
//!
//! A session numbers messages by the list of UIDs that it last reported to the client.
//! [`Session::report_changes`] updates the list and reports the changes. Between a FETCH, STORE or SEARCH and
//! its OK nothing may be expunged (RFC 3501 §7.4.1), so these commands do not call it with `true`.

use std::sync::Arc;

use tokio::sync::watch;

use super::mailbox::{Mailbox, Message};
use super::parser::{self, Arg, Command};
use super::session::Session;

const FLAGS: &str = r"\Answered \Flagged \Draft \Deleted \Seen";

pub(super) struct Selected {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) read_only: bool,
    /// UIDs by sequence number, as the client knows them.
    pub(super) uids: Arc<Vec<u32>>,
    /// The last change that the client knows of.
    pub(super) modseq: u64,
    /// Messages from this UID on are `\Recent` in this session.
    pub(super) recent_from: u32,
    pub(super) changes: watch::Receiver<u64>,
}

impl Session {
    pub(super) fn select(&mut self, mut command: Command) {
        self.selected = None;
        let name = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
        let condstore = command.args.pop_front().map(Arg::into_members).unwrap_or_default();
        self.condstore |= condstore.iter().any(|option| option.upper() == "CONDSTORE");
        let Some(mailbox) = self.mailboxes().find(&name) else {
            return self.no(&command.tag, "NO [NONEXISTENT] Unknown Mailbox");
        };
        let read_only = command.name == "EXAMINE";
        let figures = mailbox.figures();
        let changes = mailbox.changes();
        let (uids, modseq) = mailbox.snapshot();
        let recent_from = if read_only { figures.next } else { mailbox.take_recent() };
        let transport = &mut self.transport;
        transport.put_line(format!("* FLAGS ({FLAGS})"));
        let permanent = if read_only { String::new() } else { format!("{FLAGS} \\*") };
        transport.put_line(format!("* OK [PERMANENTFLAGS ({permanent})] Flags permitted."));
        transport.put_line(format!("* OK [UIDVALIDITY {}] UIDs valid.", mailbox.validity));
        transport.put_line(format!("* {} EXISTS", uids.len()));
        transport.put_line(format!("* {} RECENT", figures.recent));
        if let Some(first) = figures.first_unseen {
            transport.put_line(format!("* OK [UNSEEN {first}] First unseen."));
        }
        transport.put_line(format!("* OK [UIDNEXT {}] Predicted next UID.", figures.next));
        if self.flavour().after_login().contains("CONDSTORE") {
            self.transport.put_line(format!("* OK [HIGHESTMODSEQ {modseq}]"));
        }
        self.selected = Some(Selected { mailbox, read_only, uids, modseq, recent_from, changes });
        let mode = if read_only { "READ-ONLY" } else { "READ-WRITE" };
        let text = match self.flavour() {
            crate::Flavour::Gmail => format!("OK [{mode}] {name} selected. (Success)"),
            _ => format!("OK [{mode}] {} completed.", command.name),
        };
        self.no(&command.tag, &text.replace(['\r', '\n'], " "));
    }

    /// Reports the changes since the last report. Expunges are reported only if the command allows it.
    pub(super) fn report_changes(&mut self, expunges: bool) {
        let Some(selected) = &mut self.selected else { return };
        let (uids, modseq) = selected.mailbox.snapshot();
        if modseq == selected.modseq {
            return;
        }
        let known = Arc::clone(&selected.uids);
        let gone = |uid: &u32| uids.binary_search(uid).is_err();
        if expunges {
            // From the last one down, so that the other numbers stay valid.
            for (at, _) in known.iter().enumerate().rev().filter(|(_, uid)| gone(uid)) {
                self.transport.put_line(format!("* {} EXPUNGE", at + 1));
            }
            selected.uids = Arc::clone(&uids);
        } else {
            let mut all = known.to_vec();
            let last = known.last().copied().unwrap_or(0);
            all.extend(uids.iter().filter(|uid| **uid > last));
            selected.uids = Arc::new(all);
        }
        let last_known = known.last().copied().unwrap_or(0);
        let arrived = uids.last().is_some_and(|last| *last > last_known);
        if arrived {
            if !selected.read_only {
                selected.mailbox.take_recent();
            }
            let recent = uids.iter().filter(|uid| **uid >= selected.recent_from).count();
            self.transport.put_line(format!("* {} EXISTS", selected.uids.len()));
            self.transport.put_line(format!("* {recent} RECENT"));
        }
        let changed = selected.mailbox.changed_since(selected.modseq);
        selected.modseq = modseq;
        for message in changed.iter().filter(|message| message.uid <= last_known) {
            self.report_flags(message, false);
        }
    }

    /// `* n FETCH (FLAGS …)`.
    pub(super) fn report_flags(&mut self, message: &Message, with_uid: bool) {
        let Some(selected) = &self.selected else { return };
        let Ok(at) = selected.uids.binary_search(&message.uid) else { return };
        let mut items = format!("FLAGS ({})", selected.flags(message));
        if with_uid {
            items = format!("UID {} {items}", message.uid);
        }
        if self.condstore {
            items = format!("{items} MODSEQ ({})", message.modseq);
        }
        self.transport.put_line(format!("* {} FETCH ({items})", at + 1));
    }

    /// The sequence numbers and UIDs of a set; numbers without a message are left out.
    pub(super) fn resolve(&self, set: &str, by_uid: bool) -> Option<Vec<(u32, u32)>> {
        self.selected.as_ref()?.resolve(set, by_uid)
    }
}

impl Selected {
    pub(super) fn flags(&self, message: &Message) -> String {
        let mut flags = message.flags.join(" ");
        if message.uid >= self.recent_from {
            flags.push_str(if flags.is_empty() { "\\Recent" } else { " \\Recent" });
        }
        flags
    }

    /// See [`Session::resolve`].
    pub(super) fn resolve(&self, set: &str, by_uid: bool) -> Option<Vec<(u32, u32)>> {
        let uids = &self.uids;
        let largest = if by_uid { uids.last().copied().unwrap_or(0) } else { uids.len() as u32 };
        let mut found = Vec::new();
        for (first, last) in parser::set(set, largest)? {
            let span = if by_uid {
                uids.partition_point(|uid| *uid < first)..uids.partition_point(|uid| *uid <= last)
            } else {
                (first.max(1) as usize - 1).min(uids.len())..(last as usize).min(uids.len())
            };
            found.extend(span.map(|at| (at as u32 + 1, uids[at])));
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    }
}
