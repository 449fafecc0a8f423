//! A user's mailboxes: names, hierarchy, subscriptions, special uses.
//!
//! A renamed mailbox keeps its messages; a session that has it selected does not notice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::mailbox::{Body, Mailbox};
use crate::Flavour;

pub(crate) const DELIMITER: char = '/';

/// A user's mailboxes.
pub(crate) struct Mailboxes {
    folders: Mutex<Folders>,
}

struct Folders {
    by_name: BTreeMap<String, Arc<Mailbox>>,
    subscribed: BTreeSet<String>,
    next_validity: u32,
}

/// Why a change of mailboxes is refused.
pub(crate) enum FolderError {
    Missing,
    Exists,
    Forbidden,
}

impl Mailboxes {
    pub(crate) fn new(flavour: Flavour, address: &str, seed: bool) -> Self {
        let folders = Folders { by_name: BTreeMap::new(), subscribed: BTreeSet::new(), next_validity: 1 };
        let mailboxes = Self { folders: Mutex::new(folders) };
        for &(name, special) in layout(flavour) {
            mailboxes.lock().add(name, special);
        }
        if seed {
            let inbox = mailboxes.ensure("INBOX");
            for (number, text) in super::message::samples(address).into_iter().enumerate() {
                let flags = if number == 0 { vec!["\\Seen".to_owned()] } else { Vec::new() };
                inbox.deliver(Body::plain(&text), flags, None);
            }
        }
        mailboxes
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Mailbox>> {
        self.lock().by_name.get(&canonical(name)).filter(|mailbox| mailbox.selectable()).cloned()
    }

    /// The mailbox of this name, created if it does not exist.
    pub(crate) fn ensure(&self, name: &str) -> Arc<Mailbox> {
        let name = canonical(name);
        let mut folders = self.lock();
        if !folders.by_name.contains_key(&name) {
            folders.add(&name, None);
        }
        Arc::clone(&folders.by_name[&name])
    }

    /// The mailbox of this special use, such as `\\Sent`.
    pub(crate) fn special(&self, special: &str) -> Option<Arc<Mailbox>> {
        self.lock().by_name.values().find(|mailbox| mailbox.special == Some(special)).cloned()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().by_name.keys().cloned().collect()
    }

    /// Name, mailbox, subscribed, has children.
    pub(crate) fn list(&self) -> Vec<(String, Arc<Mailbox>, bool, bool)> {
        let folders = self.lock();
        let entry = |(name, mailbox): (&String, &Arc<Mailbox>)| {
            let below = format!("{name}{DELIMITER}");
            let children =
                folders.by_name.range(below.clone()..).next().is_some_and(|(n, _)| n.starts_with(&below));
            (name.clone(), Arc::clone(mailbox), folders.subscribed.contains(name), children)
        };
        folders.by_name.iter().map(entry).collect()
    }

    pub(crate) fn create(&self, name: &str) -> Result<Arc<Mailbox>, FolderError> {
        let name = canonical(name.trim_end_matches(DELIMITER));
        let mut folders = self.lock();
        if folders.by_name.contains_key(&name) {
            return Err(FolderError::Exists);
        }
        // RFC 3501 §6.3.3: superior names are created too.
        for (at, _) in name.match_indices(DELIMITER) {
            if !folders.by_name.contains_key(&name[..at]) {
                folders.add(&name[..at], None);
            }
        }
        Ok(folders.add(&name, None))
    }

    pub(crate) fn delete(&self, name: &str) -> Result<(), FolderError> {
        let name = canonical(name);
        let mut folders = self.lock();
        let mailbox = folders.by_name.get(&name).ok_or(FolderError::Missing)?;
        if name == "INBOX" || mailbox.special.is_some() {
            return Err(FolderError::Forbidden);
        }
        folders.by_name.remove(&name);
        folders.subscribed.remove(&name);
        Ok(())
    }

    pub(crate) fn rename(&self, from: &str, to: &str) -> Result<(), FolderError> {
        let (from, to) = (canonical(from), canonical(to));
        let mut folders = self.lock();
        if folders.by_name.contains_key(&to) {
            return Err(FolderError::Exists);
        }
        let mailbox = folders.by_name.get(&from).ok_or(FolderError::Missing)?;
        if from == "INBOX" || mailbox.special.is_some() {
            return Err(FolderError::Forbidden);
        }
        let below = format!("{from}{DELIMITER}");
        let moved: Vec<String> =
            folders.by_name.keys().filter(|n| **n == from || n.starts_with(&below)).cloned().collect();
        for old in moved {
            let new = format!("{to}{}", &old[from.len()..]);
            if let Some(mailbox) = folders.by_name.remove(&old) {
                folders.by_name.insert(new.clone(), mailbox);
            }
            if folders.subscribed.remove(&old) {
                folders.subscribed.insert(new);
            }
        }
        Ok(())
    }

    pub(crate) fn subscribe(&self, name: &str, on: bool) {
        let mut folders = self.lock();
        let name = canonical(name);
        if on {
            folders.subscribed.insert(name)
        } else {
            folders.subscribed.remove(&name)
        };
    }

    fn lock(&self) -> MutexGuard<'_, Folders> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folders {
    fn add(&mut self, name: &str, special: Option<&'static str>) -> Arc<Mailbox> {
        let mailbox = Arc::new(Mailbox::new(self.next_validity, special));
        self.next_validity += 1;
        self.by_name.insert(name.to_owned(), Arc::clone(&mailbox));
        self.subscribed.insert(name.to_owned());
        mailbox
    }
}

/// The name with INBOX, and INBOX as first level of a longer name, in upper case (RFC 3501 §5.1).
pub(crate) fn canonical(name: &str) -> String {
    let (first, rest) = name.split_at(name.find(DELIMITER).unwrap_or(name.len()));
    if first.eq_ignore_ascii_case("INBOX") { format!("INBOX{rest}") } else { name.to_owned() }
}

fn layout(flavour: Flavour) -> &'static [(&'static str, Option<&'static str>)] {
    match flavour {
        Flavour::Gmail => &[
            ("INBOX", None),
            ("[Gmail]", Some("\\Noselect")),
            ("[Gmail]/All Mail", Some("\\All")),
            ("[Gmail]/Drafts", Some("\\Drafts")),
            ("[Gmail]/Sent Mail", Some("\\Sent")),
            ("[Gmail]/Spam", Some("\\Junk")),
            ("[Gmail]/Starred", Some("\\Flagged")),
            ("[Gmail]/Trash", Some("\\Trash")),
        ],
        Flavour::Exchange | Flavour::ExchangeLoginDisabled => &[
            ("INBOX", None),
            ("Archive", None),
            ("Deleted Items", Some("\\Trash")),
            ("Drafts", Some("\\Drafts")),
            ("Junk Email", Some("\\Junk")),
            ("Sent Items", Some("\\Sent")),
        ],
        Flavour::Yahoo | Flavour::OauthbearerOnly | Flavour::NoSaslIr => &[
            ("INBOX", None),
            ("Archive", Some("\\Archive")),
            ("Bulk", Some("\\Junk")),
            ("Draft", Some("\\Drafts")),
            ("Sent", Some("\\Sent")),
            ("Trash", Some("\\Trash")),
        ],
    }
}
