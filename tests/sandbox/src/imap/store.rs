//! STORE, COPY, MOVE, EXPUNGE, and the commands that leave a mailbox.

use std::sync::Arc;

use super::parser::{Arg, Command};
use super::session::{Flow, Session};

impl Session {
    pub(super) async fn store(&mut self, mut command: Command, by_uid: bool) -> Flow {
        let set = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
        let mut unless_since = None;
        if matches!(command.args.front(), Some(Arg::List(_)))
            && let Some(modifiers) = command.args.pop_front().map(Arg::into_members)
        {
            unless_since = modifiers.get(1).and_then(|value| value.text().parse::<u64>().ok());
            self.condstore = true;
        }
        let action = command.args.pop_front().map(|arg| arg.upper()).unwrap_or_default();
        let flags: Vec<String> =
            command.args.drain(..).flat_map(Arg::into_members).map(|arg| arg.text()).collect();
        let Some(found) = self.resolve(&set, by_uid) else {
            self.no(&command.tag, "BAD Command Argument Error. 11");
            return Ok(());
        };
        let Some(mailbox) = self.writable() else {
            self.no(&command.tag, "NO [READ-ONLY] The mailbox is open for reading");
            return Ok(());
        };
        let (action, silent) = match action.strip_suffix(".SILENT") {
            Some(action) => (action.to_owned(), true),
            None => (action, false),
        };
        if !matches!(
            action.as_str(),
            "FLAGS" | "+FLAGS" | "-FLAGS" | "X-GM-LABELS" | "+X-GM-LABELS" | "-X-GM-LABELS"
        ) {
            self.no(&command.tag, "BAD Command Argument Error. 11");
            return Ok(());
        }
        let mut left_alone = Vec::new();
        for (number, uid) in found {
            if action.ends_with("LABELS") {
                continue;
            }
            let stored = mailbox.store(uid, unless_since, |own| apply(own, &action, &flags));
            match stored {
                Some((_, true)) => left_alone.push(if by_uid { uid } else { number }.to_string()),
                Some((message, false)) if !silent || self.condstore => self.report_flags(&message, by_uid),
                _ => {}
            }
            self.transport.relieve().await?;
        }
        self.catch_up_own_changes();
        if left_alone.is_empty() {
            self.done(&command);
        } else {
            self.no(
                &command.tag,
                &format!("OK [MODIFIED {}] Conditional STORE failed", left_alone.join(",")),
            );
        }
        Ok(())
    }

    /// Skips reporting this session's own changes, if no other session changed the mailbox.
    fn catch_up_own_changes(&mut self) {
        if let Some(selected) = &mut self.selected {
            let (uids, modseq) = selected.mailbox.snapshot();
            if uids == selected.uids {
                selected.modseq = modseq;
            }
        }
    }

    pub(super) fn copy(&mut self, mut command: Command, by_uid: bool) {
        let set = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
        let name = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
        let Some(found) = self.resolve(&set, by_uid) else {
            return self.no(&command.tag, "BAD Command Argument Error. 11");
        };
        let Some(target) = self.mailboxes().find(&name) else {
            return self.no(&command.tag, "NO [TRYCREATE] No such mailbox");
        };
        let moving = command.name == "MOVE";
        let source =
            if moving { self.writable() } else { self.selected.as_ref().map(|s| Arc::clone(&s.mailbox)) };
        let Some(source) = source else {
            return self.no(&command.tag, "NO [READ-ONLY] The mailbox is open for reading");
        };
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for message in found.iter().filter_map(|(_, uid)| source.message(*uid)) {
            old.push(message.uid);
            new.push(target.deliver(message.body.clone(), message.flags.clone(), Some(message.received)));
        }
        let text = format!("[COPYUID {} {} {}]", target.validity, joined(&old), joined(&new));
        if moving {
            // RFC 6851 §4.3: COPYUID in an untagged OK, before the EXPUNGEs.
            if !old.is_empty() {
                self.transport.put_line(format!("* OK {text}"));
            }
            source.remove(|message| old.binary_search(&message.uid).is_ok());
            self.report_changes(true);
            return self.done(&command);
        }
        self.report_changes(true);
        match old.is_empty() {
            true => self.done(&command),
            false => self.no(&command.tag, &format!("OK {text} (Success)")),
        }
    }

    /// CHECK, CLOSE, UNSELECT, EXPUNGE.
    pub(super) fn tidy(&mut self, command: &Command) {
        if self.selected.is_none() {
            return self.no(&command.tag, "BAD Command received in Invalid state.");
        }
        let expunges = matches!(command.name.as_str(), "CLOSE" | "EXPUNGE");
        match self.writable().filter(|_| expunges) {
            Some(mailbox) => mailbox.remove(|message| message.has("\\Deleted")),
            None if command.name == "EXPUNGE" => {
                return self.no(&command.tag, "NO [READ-ONLY] The mailbox is open for reading");
            }
            None => {}
        }
        if matches!(command.name.as_str(), "CLOSE" | "UNSELECT") {
            self.selected = None;
        }
        self.report_changes(true);
        self.done(command);
    }

    pub(super) fn uid_expunge(&mut self, command: &Command) {
        let set = command.args.front().map(Arg::text).unwrap_or_default();
        let (Some(mailbox), Some(found)) = (self.writable(), self.resolve(&set, true)) else {
            return self.no(&command.tag, "NO [READ-ONLY] The mailbox is open for reading");
        };
        let asked = |uid: u32| found.binary_search_by_key(&uid, |(_, uid)| *uid).is_ok();
        mailbox.remove(|message| message.has("\\Deleted") && asked(message.uid));
        self.report_changes(true);
        self.done(command);
    }

    fn writable(&self) -> Option<Arc<super::mailbox::Mailbox>> {
        let selected = self.selected.as_ref().filter(|selected| !selected.read_only)?;
        Some(Arc::clone(&selected.mailbox))
    }
}

fn apply(own: &mut Vec<String>, action: &str, flags: &[String]) {
    let named = |flag: &String| flags.iter().any(|other| other.eq_ignore_ascii_case(flag));
    match action {
        "-FLAGS" => own.retain(|flag| !named(flag)),
        "+FLAGS" => {
            let missing: Vec<String> = {
                let has = |flag: &&String| own.iter().any(|other| other.eq_ignore_ascii_case(flag));
                flags.iter().filter(|flag| !has(flag)).cloned().collect()
            };
            own.extend(missing.into_iter().map(|flag| system_case(&flag)));
        }
        _ => *own = flags.iter().map(|flag| system_case(flag)).collect(),
    }
    own.retain(|flag| !flag.eq_ignore_ascii_case("\\Recent"));
}

/// System flags in RFC 3501's spelling.
pub(super) fn system_case(flag: &str) -> String {
    let known = ["\\Answered", "\\Deleted", "\\Draft", "\\Flagged", "\\Seen"];
    let known = known.into_iter().find(|known| known.eq_ignore_ascii_case(flag));
    known.unwrap_or(flag).to_owned()
}

fn joined(uids: &[u32]) -> String {
    uids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
