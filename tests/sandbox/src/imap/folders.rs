//! Commands about mailboxes as a whole: LIST and its kin, CREATE, DELETE, RENAME, subscriptions, STATUS.

use std::sync::Arc;

use super::mailbox::Mailbox;
use super::mailboxes::{DELIMITER, FolderError, Mailboxes, canonical};
use super::parser::{self, Arg, Command};
use super::session::Session;

/// The options of a LIST (RFC 3501, RFC 5258, RFC 5819, RFC 6154).
#[derive(Default)]
struct Wanted {
    patterns: Vec<String>,
    subscribed_only: bool,
    special_only: bool,
    status: Vec<String>,
}

impl Session {
    pub(super) fn mailboxes(&self) -> Arc<Mailboxes> {
        let user = self.user.as_ref().expect("commands come after the login");
        Arc::clone(&user.mailboxes)
    }

    pub(super) fn list(&mut self, command: Command) {
        let name = command.name.clone();
        let done = Command { tag: command.tag.clone(), name: name.clone(), args: parser::Args::new() };
        let Some(mut wanted) = wanted(command) else {
            return self.no(&done.tag, "BAD Command Argument Error. 11");
        };
        wanted.subscribed_only |= name == "LSUB";
        if wanted.patterns.iter().all(String::is_empty) && name != "LSUB" {
            self.transport.put_line(format!("* {name} (\\Noselect) \"{DELIMITER}\" \"\""));
            return self.done(&done);
        }
        for (mailbox_name, mailbox, subscribed, children) in self.mailboxes().list() {
            let asked = wanted.patterns.iter().any(|pattern| matches(pattern, &mailbox_name));
            let special = mailbox.special.filter(|_| mailbox.selectable());
            if !asked || (wanted.subscribed_only && !subscribed) || (wanted.special_only && special.is_none())
            {
                continue;
            }
            let mut flags = vec![if children { "\\HasChildren" } else { "\\HasNoChildren" }];
            flags.extend(mailbox.special);
            if wanted.subscribed_only && name != "LSUB" {
                flags.push("\\Subscribed");
            }
            self.transport.put(format!("* {name} ({}) \"{DELIMITER}\" ", flags.join(" ")));
            self.transport.put_line(parser::string(mailbox_name.as_bytes()));
            if !wanted.status.is_empty() && mailbox.selectable() {
                self.put_status(&mailbox_name, &mailbox, &wanted.status);
            }
        }
        self.done(&done);
    }

    pub(super) fn change_folders(&mut self, mut command: Command) {
        let name = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
        let mailboxes = self.mailboxes();
        let changed = match command.name.as_str() {
            "CREATE" => mailboxes.create(&name).map(drop),
            "DELETE" => mailboxes.delete(&name),
            "RENAME" => {
                let new = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
                mailboxes.rename(&name, &new)
            }
            _ => {
                mailboxes.subscribe(&name, command.name == "SUBSCRIBE");
                Ok(())
            }
        };
        match changed {
            Ok(()) => self.done(&command),
            Err(FolderError::Missing) => self.no(&command.tag, "NO [NONEXISTENT] Unknown Mailbox"),
            Err(FolderError::Exists) => self.no(&command.tag, "NO [ALREADYEXISTS] Mailbox already exists"),
            Err(FolderError::Forbidden) => self.no(&command.tag, "NO [CANNOT] Not for this mailbox"),
        }
    }

    pub(super) fn status(&mut self, mut command: Command) {
        let name = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
        let items = command.args.pop_front().map(Arg::into_members).unwrap_or_default();
        let items: Vec<String> = items.iter().map(Arg::upper).collect();
        let Some(mailbox) = self.mailboxes().find(&name) else {
            return self.no(&command.tag, "NO [NONEXISTENT] Unknown Mailbox");
        };
        self.put_status(&canonical(&name), &mailbox, &items);
        self.done(&command);
    }

    fn put_status(&mut self, name: &str, mailbox: &Mailbox, items: &[String]) {
        let figures = mailbox.figures();
        let figure = |item: &String| {
            let value = match item.as_str() {
                "MESSAGES" => figures.messages as u64,
                "RECENT" => figures.recent as u64,
                "UIDNEXT" => u64::from(figures.next),
                "UIDVALIDITY" => u64::from(mailbox.validity),
                "UNSEEN" => figures.unseen as u64,
                "HIGHESTMODSEQ" => figures.modseq,
                "SIZE" => figures.octets,
                "DELETED" => 0,
                _ => return None,
            };
            Some(format!("{item} {value}"))
        };
        let told: Vec<String> = items.iter().filter_map(figure).collect();
        self.transport.put(b"* STATUS ");
        self.transport.put(parser::string(name.as_bytes()));
        self.transport.put_line(format!(" ({})", told.join(" ")));
    }
}

fn wanted(command: Command) -> Option<Wanted> {
    let mut wanted = Wanted::default();
    let mut args = command.args;
    if matches!(args.front(), Some(Arg::List(_))) {
        let options = args.pop_front()?.into_members();
        wanted.subscribed_only = options.iter().any(|option| option.upper() == "SUBSCRIBED");
        wanted.special_only = options.iter().any(|option| option.upper() == "SPECIAL-USE");
    }
    let reference = args.pop_front()?.text();
    let patterns = args.pop_front()?.into_members();
    wanted.patterns = patterns.iter().map(|pattern| format!("{reference}{}", pattern.text())).collect();
    if patterns.iter().all(|pattern| pattern.octets().is_some_and(<[u8]>::is_empty)) {
        wanted.patterns = vec![String::new()];
    }
    if args.pop_front().is_some_and(|word| word.upper() == "RETURN") {
        let mut options = args.pop_front()?.into_members().into_iter();
        while let Some(option) = options.next() {
            match option.upper().as_str() {
                "STATUS" => wanted.status = options.next()?.into_members().iter().map(Arg::upper).collect(),
                "SPECIAL-USE" | "SUBSCRIBED" | "CHILDREN" => {}
                _ => return None,
            }
        }
    }
    Some(wanted)
}

/// RFC 3501 §6.3.8: `*` matches anything, `%` anything up to the next level; INBOX is compared without case.
fn matches(pattern: &str, name: &str) -> bool {
    glob(canonical(pattern).as_bytes(), name.as_bytes())
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, rest) => rest.is_none(),
        (Some((b'*', left)), rest) => {
            glob(left, name) || rest.is_some_and(|(_, shorter)| glob(pattern, shorter))
        }
        (Some((b'%', left)), rest) => {
            glob(left, name)
                || rest.is_some_and(|(&octet, shorter)| octet != DELIMITER as u8 && glob(pattern, shorter))
        }
        (Some((a, left)), Some((b, rest))) => a == b && glob(left, rest),
        (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert!(matches("*", "[Gmail]/Trash"));
        assert!(!matches("%", "[Gmail]/Trash"));
        assert!(matches("[Gmail]/%", "[Gmail]/Trash"));
        assert!(matches("inbox", "INBOX"));
        assert!(!matches("INBOX", "INBOX/x"));
        assert!(matches("*as*", "[Gmail]/Trash"));
    }
}
