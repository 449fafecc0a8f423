//! SEARCH (RFC 3501 §6.4.4) with ESEARCH (RFC 4731), MODSEQ (RFC 7162) and Gmail's own keys.

use super::mailbox::Message;
use super::message;
use super::parser::{Arg, Args, Command};
use super::select::Selected;
use super::session::Session;
use time::Date;

/// A condition on one message.
enum Key {
    All,
    None,
    Flag(String, bool),
    Recent(bool),
    Header(String, Vec<u8>),
    Body(Vec<u8>),
    Text(Vec<u8>),
    Larger(u64),
    Smaller(u64),
    Received(When, Date),
    Sent(When, Date),
    /// UIDs, sorted.
    Uids(Vec<u32>),
    ModSeq(u64),
    GmailId(u64),
    Not(Box<Key>),
    Either(Box<Key>, Box<Key>),
    Both(Vec<Key>),
}

enum When {
    Before,
    On,
    Since,
}

impl Session {
    pub(super) fn search(&mut self, command: Command, by_uid: bool) {
        let Command { tag, name, mut args } = command;
        let returns = take_return(&mut args);
        if args.front().is_some_and(|arg| arg.upper() == "CHARSET") {
            args.drain(..2.min(args.len()));
        }
        let command = Command { tag, name, args: Args::new() };
        let Some(selected) = &self.selected else {
            return self.no(&command.tag, "BAD Command received in Invalid state.");
        };
        let Some(key) = all_of(&mut args, selected) else {
            return self.no(&command.tag, "BAD Command Argument Error. 11");
        };
        let with_modseq = mentions_modseq(&key);
        let mut highest = 0;
        let mut found = Vec::new();
        for (at, uid) in selected.uids.iter().enumerate() {
            let Some(message) = selected.mailbox.message(*uid) else { continue };
            if key.fits(&message, selected) {
                highest = highest.max(message.modseq);
                found.push(if by_uid { *uid } else { at as u32 + 1 });
            }
        }
        self.condstore |= with_modseq;
        let modseq = (with_modseq && !found.is_empty()).then_some(highest);
        let answer = match returns {
            None => plain_answer(&found, modseq),
            Some(options) => extended_answer(&command.tag, by_uid, &options, &found, modseq),
        };
        self.transport.put_line(answer);
        self.report_changes(by_uid);
        self.done(&command);
    }
}

fn plain_answer(found: &[u32], modseq: Option<u64>) -> String {
    let numbers: String = found.iter().map(|number| format!(" {number}")).collect();
    let modseq = modseq.map(|modseq| format!(" (MODSEQ {modseq})")).unwrap_or_default();
    format!("* SEARCH{numbers}{modseq}")
}

fn extended_answer(
    tag: &str,
    by_uid: bool,
    options: &[String],
    found: &[u32],
    modseq: Option<u64>,
) -> String {
    let mut answer = format!("* ESEARCH (TAG \"{tag}\")");
    if by_uid {
        answer.push_str(" UID");
    }
    let asked = |option: &str| options.iter().any(|own| own == option);
    if let (Some(first), Some(last)) = (found.first(), found.last()) {
        if asked("MIN") {
            answer.push_str(&format!(" MIN {first}"));
        }
        if asked("MAX") {
            answer.push_str(&format!(" MAX {last}"));
        }
        if asked("ALL") || options.is_empty() {
            answer.push_str(&format!(" ALL {}", ranges(found)));
        }
    }
    if asked("COUNT") {
        answer.push_str(&format!(" COUNT {}", found.len()));
    }
    if let Some(modseq) = modseq {
        answer.push_str(&format!(" MODSEQ {modseq}"));
    }
    answer
}

fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let range = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}:{last}") }
    };
    ranges.iter().map(range).collect::<Vec<_>>().join(",")
}

fn take_return(args: &mut Args) -> Option<Vec<String>> {
    if args.front()?.upper() != "RETURN" {
        return None;
    }
    args.pop_front();
    Some(args.pop_front()?.into_members().iter().map(Arg::upper).collect())
}

fn all_of(args: &mut Args, selected: &Selected) -> Option<Key> {
    let mut keys = Vec::new();
    while !args.is_empty() {
        keys.push(key(args, selected)?);
    }
    (!keys.is_empty()).then_some(Key::Both(keys))
}

fn key(args: &mut Args, selected: &Selected) -> Option<Key> {
    let arg = args.pop_front()?;
    let name = match arg {
        Arg::List(members) => return all_of(&mut Args::from(members), selected),
        other => other.upper(),
    };
    let flag = |flag: &str, set: bool| Some(Key::Flag(flag.to_owned(), set));
    match name.as_str() {
        "ALL" => Some(Key::All),
        "ANSWERED" => flag("\\Answered", true),
        "DELETED" => flag("\\Deleted", true),
        "DRAFT" => flag("\\Draft", true),
        "FLAGGED" => flag("\\Flagged", true),
        "SEEN" => flag("\\Seen", true),
        "UNANSWERED" => flag("\\Answered", false),
        "UNDELETED" => flag("\\Deleted", false),
        "UNDRAFT" => flag("\\Draft", false),
        "UNFLAGGED" => flag("\\Flagged", false),
        "UNSEEN" => flag("\\Seen", false),
        "KEYWORD" => flag(&args.pop_front()?.text(), true),
        "UNKEYWORD" => flag(&args.pop_front()?.text(), false),
        "RECENT" => Some(Key::Recent(true)),
        "OLD" => Some(Key::Recent(false)),
        "NEW" => Some(Key::Both(vec![Key::Recent(true), Key::Flag("\\Seen".to_owned(), false)])),
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => Some(Key::Header(name, lower(&args.pop_front()?))),
        "HEADER" => Some(Key::Header(args.pop_front()?.text(), lower(&args.pop_front()?))),
        "BODY" => Some(Key::Body(lower(&args.pop_front()?))),
        "TEXT" | "X-GM-RAW" => Some(Key::Text(lower(&args.pop_front()?))),
        "LARGER" => Some(Key::Larger(number(args)?)),
        "SMALLER" => Some(Key::Smaller(number(args)?)),
        "BEFORE" => Some(Key::Received(When::Before, date(args)?)),
        "ON" => Some(Key::Received(When::On, date(args)?)),
        "SINCE" => Some(Key::Received(When::Since, date(args)?)),
        "SENTBEFORE" => Some(Key::Sent(When::Before, date(args)?)),
        "SENTON" => Some(Key::Sent(When::On, date(args)?)),
        "SENTSINCE" => Some(Key::Sent(When::Since, date(args)?)),
        "UID" => uids(&args.pop_front()?.text(), true, selected),
        "MODSEQ" => Some(Key::ModSeq(number(args)?)),
        "X-GM-MSGID" | "X-GM-THRID" => Some(Key::GmailId(number(args)?)),
        "X-GM-LABELS" => args.pop_front().map(|_| Key::None),
        "NOT" => Some(Key::Not(Box::new(key(args, selected)?))),
        "OR" => Some(Key::Either(Box::new(key(args, selected)?), Box::new(key(args, selected)?))),
        set => uids(set, false, selected),
    }
}

fn uids(set: &str, by_uid: bool, selected: &Selected) -> Option<Key> {
    let mut uids: Vec<u32> = selected.resolve(set, by_uid)?.into_iter().map(|(_, uid)| uid).collect();
    uids.sort_unstable();
    Some(Key::Uids(uids))
}

fn lower(arg: &Arg) -> Vec<u8> {
    arg.text().to_lowercase().into_bytes()
}

fn number(args: &mut Args) -> Option<u64> {
    args.pop_front()?.text().parse().ok()
}

fn date(args: &mut Args) -> Option<Date> {
    message::parse_date(&args.pop_front()?.text())
}

fn mentions_modseq(key: &Key) -> bool {
    match key {
        Key::ModSeq(_) => true,
        Key::Not(inner) => mentions_modseq(inner),
        Key::Either(a, b) => mentions_modseq(a) || mentions_modseq(b),
        Key::Both(keys) => keys.iter().any(mentions_modseq),
        _ => false,
    }
}

impl Key {
    fn fits(&self, message: &Message, selected: &Selected) -> bool {
        let octets = message.body.readable();
        let day = |when: &When, day: Date, wanted: Date| match when {
            When::Before => day < wanted,
            When::On => day == wanted,
            When::Since => day >= wanted,
        };
        match self {
            Self::All => true,
            Self::None => false,
            Self::Flag(flag, set) => message.has(flag) == *set,
            Self::Recent(recent) => (message.uid >= selected.recent_from) == *recent,
            Self::Header(name, text) => {
                let value = message::value(message::split(octets).0, name);
                value.is_some_and(|value| contains(&value, text))
            }
            Self::Body(text) => contains(message::split(octets).1, text),
            Self::Text(text) => contains(octets, text),
            Self::Larger(size) => message.body.size() > *size,
            Self::Smaller(size) => message.body.size() < *size,
            Self::Received(when, wanted) => day(when, message.received.date(), *wanted),
            Self::Sent(when, wanted) => {
                message::sent_on(message::split(octets).0).is_some_and(|sent| day(when, sent, *wanted))
            }
            Self::Uids(uids) => uids.binary_search(&message.uid).is_ok(),
            Self::ModSeq(modseq) => message.modseq >= *modseq,
            Self::GmailId(id) => *id == 1_700_000_000_000_000_000 + u64::from(message.uid),
            Self::Not(key) => !key.fits(message, selected),
            Self::Either(a, b) => a.fits(message, selected) || b.fits(message, selected),
            Self::Both(keys) => keys.iter().all(|key| key.fits(message, selected)),
        }
    }
}

/// Whether `octets` contain the lower-case `text`, compared without case.
fn contains(octets: &[u8], text: &[u8]) -> bool {
    let octets = String::from_utf8_lossy(octets).to_lowercase();
    let text = String::from_utf8_lossy(text);
    octets.contains(text.as_ref())
}
