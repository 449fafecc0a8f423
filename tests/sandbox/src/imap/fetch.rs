//! FETCH: the items one by one; large bodies are sent without a copy.

use std::sync::Arc;

use super::mailbox::{Body, Message};
use super::message;
use super::parser::{self, Arg, Command};
use super::session::{Flow, Session};
use super::structure;
use crate::pattern;

/// One requested item.
enum Item {
    Flags,
    Uid,
    InternalDate,
    Size,
    Envelope,
    Structure { extended: bool },
    ModSeq,
    GmailMessageId,
    GmailThreadId,
    GmailLabels,
    Section(Section),
}

/// `BODY[…]<…>` and the RFC822 forms.
struct Section {
    /// The text before the literal in the answer.
    label: String,
    /// `1.2`; empty for the message itself.
    part: Vec<usize>,
    what: What,
    /// First octet and count.
    partial: Option<(u64, u64)>,
    /// Does not set `\Seen`.
    peek: bool,
}

enum What {
    All,
    Header,
    Fields { names: Vec<String>, not: bool },
    Text,
    Mime,
}

impl Session {
    pub(super) async fn fetch(&mut self, mut command: Command, by_uid: bool) -> Flow {
        let set = command.args.pop_front().map(|arg| arg.text()).unwrap_or_default();
        let asked = command.args.pop_front().map(Arg::into_members).unwrap_or_default();
        let since = changed_since(command.args.pop_front());
        let Some(mut items) = items(&asked) else {
            self.no(&command.tag, "BAD Command Argument Error. 11");
            return Ok(());
        };
        if by_uid && !items.iter().any(|item| matches!(item, Item::Uid)) {
            items.insert(0, Item::Uid);
        }
        self.condstore |= since.is_some() || items.iter().any(|item| matches!(item, Item::ModSeq));
        if since.is_some() && !items.iter().any(|item| matches!(item, Item::ModSeq)) {
            items.push(Item::ModSeq);
        }
        let Some(found) = self.resolve(&set, by_uid) else {
            self.no(&command.tag, "BAD Command Argument Error. 11");
            return Ok(());
        };
        for (number, uid) in found {
            self.fetch_one(number, uid, &items, since).await?;
        }
        self.report_changes(by_uid);
        self.done(&command);
        Ok(())
    }

    async fn fetch_one(&mut self, number: u32, uid: u32, items: &[Item], since: Option<u64>) -> Flow {
        let Some(selected) = &self.selected else { return Ok(()) };
        let mailbox = Arc::clone(&selected.mailbox);
        let read_only = selected.read_only;
        // A message that another session has expunged is skipped.
        let Some(mut message) = mailbox.message(uid) else { return Ok(()) };
        if since.is_some_and(|since| message.modseq <= since) {
            return Ok(());
        }
        let reads = items.iter().any(|item| matches!(item, Item::Section(section) if !section.peek));
        let newly_seen = reads && !read_only && !message.has("\\Seen");
        if newly_seen
            && let Some((now, _)) = mailbox.store(uid, None, |flags| flags.push("\\Seen".to_owned()))
        {
            message = now;
        }
        self.transport.put(format!("* {number} FETCH ("));
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.transport.put(b" ");
            }
            self.put_item(&message, item).await?;
        }
        if newly_seen && !items.iter().any(|item| matches!(item, Item::Flags)) {
            let flags = self.flags_of(&message);
            self.transport.put(format!(" FLAGS ({flags})"));
        }
        self.transport.put_line(b")");
        Ok(self.transport.relieve().await?)
    }

    async fn put_item(&mut self, message: &Message, item: &Item) -> Flow {
        let text = match item {
            Item::Flags => format!("FLAGS ({})", self.flags_of(message)),
            Item::Uid => format!("UID {}", message.uid),
            Item::InternalDate => format!("INTERNALDATE \"{}\"", message::date_time(message.received)),
            Item::Size => format!("RFC822.SIZE {}", message.body.size()),
            Item::ModSeq => format!("MODSEQ ({})", message.modseq),
            Item::GmailMessageId => {
                format!("X-GM-MSGID {}", 1_700_000_000_000_000_000 + u64::from(message.uid))
            }
            Item::GmailThreadId => {
                format!("X-GM-THRID {}", 1_700_000_000_000_000_000 + u64::from(message.uid))
            }
            Item::GmailLabels => "X-GM-LABELS (\"\\\\Inbox\")".to_owned(),
            Item::Envelope => {
                self.transport.put(b"ENVELOPE ");
                self.transport.put(structure::envelope(message.body.readable()));
                return Ok(());
            }
            Item::Structure { extended } => {
                self.transport.put(if *extended { "BODYSTRUCTURE " } else { "BODY " });
                self.transport.put(structure::body(&message.body, *extended));
                return Ok(());
            }
            Item::Section(section) => return self.put_section(message, section).await,
        };
        self.transport.put(text);
        Ok(())
    }

    async fn put_section(&mut self, message: &Message, section: &Section) -> Flow {
        if let Body::Huge { header, octets } = &message.body
            && section.part.is_empty()
            && matches!(section.what, What::All | What::Text)
        {
            let header = if matches!(section.what, What::All) { &header[..] } else { &[] };
            return self.put_huge(header, *octets, section).await;
        }
        let Some(text) = select(message.body.readable(), section) else {
            self.transport.put(format!("{} NIL", section.label));
            return Ok(());
        };
        let text = match section.partial {
            None => &text[..],
            Some((first, count)) => {
                let first = (first as usize).min(text.len());
                &text[first..first.saturating_add(count as usize).min(text.len())]
            }
        };
        self.transport.put(format!("{} {{{}}}\r\n", section.label, text.len()));
        Ok(self.transport.put_large(text).await?)
    }

    async fn put_huge(&mut self, header: &[u8], octets: u64, section: &Section) -> Flow {
        let total = header.len() as u64 + octets;
        let (first, count) = section.partial.unwrap_or((0, total));
        let first = first.min(total);
        let end = first.saturating_add(count).min(total);
        self.transport.put(format!("{} {{{}}}\r\n", section.label, end - first));
        let mut at = first;
        while at < end {
            let piece = match header.get(at as usize..).filter(|rest| !rest.is_empty()) {
                Some(rest) => &rest[..rest.len().min((end - at) as usize)],
                None => pattern::chunk(at - header.len() as u64, end - at),
            };
            self.transport.put_large(piece).await?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn flags_of(&self, message: &Message) -> String {
        self.selected.as_ref().map(|selected| selected.flags(message)).unwrap_or_default()
    }
}

/// The octets of a section; `None` if there is no such part.
fn select<'a>(message: &'a [u8], section: &Section) -> Option<std::borrow::Cow<'a, [u8]>> {
    let entity = structure::part(message, &section.part)?;
    let (header, text) = message::split(entity.octets);
    Some(match &section.what {
        What::All if section.part.is_empty() => entity.octets.into(),
        // BODY[1] is the part without its own header.
        What::All => entity.body.into(),
        What::Mime => entity.header.into(),
        What::Header => header.into(),
        What::Text => text.into(),
        What::Fields { names, not } => {
            let named = |field: &&&[u8]| {
                let name = message::field_name(field);
                names.iter().any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(name)) != *not
            };
            let mut chosen =
                message::fields(header).iter().filter(named).copied().collect::<Vec<_>>().concat();
            chosen.extend_from_slice(b"\r\n");
            chosen.into()
        }
    })
}

fn changed_since(arg: Option<Arg>) -> Option<u64> {
    let members = arg?.into_members();
    let at = members.iter().position(|member| member.upper() == "CHANGEDSINCE")?;
    members.get(at + 1)?.text().parse().ok()
}

fn items(asked: &[Arg]) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    for arg in asked {
        let fast = || [Item::Flags, Item::InternalDate, Item::Size];
        match arg.upper().as_str() {
            "FAST" => items.extend(fast()),
            "ALL" => items.extend(fast().into_iter().chain([Item::Envelope])),
            "FULL" => {
                items.extend(fast().into_iter().chain([Item::Envelope, Item::Structure { extended: false }]));
            }
            "FLAGS" => items.push(Item::Flags),
            "UID" => items.push(Item::Uid),
            "INTERNALDATE" => items.push(Item::InternalDate),
            "RFC822.SIZE" => items.push(Item::Size),
            "ENVELOPE" => items.push(Item::Envelope),
            "BODY" => items.push(Item::Structure { extended: false }),
            "BODYSTRUCTURE" => items.push(Item::Structure { extended: true }),
            "MODSEQ" => items.push(Item::ModSeq),
            "X-GM-MSGID" => items.push(Item::GmailMessageId),
            "X-GM-THRID" => items.push(Item::GmailThreadId),
            "X-GM-LABELS" => items.push(Item::GmailLabels),
            "RFC822" => items.push(whole("RFC822", What::All, false)),
            "RFC822.HEADER" => items.push(whole("RFC822.HEADER", What::Header, true)),
            "RFC822.TEXT" => items.push(whole("RFC822.TEXT", What::Text, false)),
            _ => items.push(Item::Section(section(&arg.text())?)),
        }
    }
    Some(items).filter(|items| !items.is_empty())
}

fn whole(label: &str, what: What, peek: bool) -> Item {
    Item::Section(Section { label: label.to_owned(), part: Vec::new(), what, partial: None, peek })
}

/// `BODY.PEEK[1.HEADER.FIELDS (TO FROM)]<0.100>`.
fn section(text: &str) -> Option<Section> {
    let (head, rest) = text.split_once('[')?;
    let (inside, tail) = rest.rsplit_once(']')?;
    let peek = match head.to_ascii_uppercase().as_str() {
        "BODY" => false,
        "BODY.PEEK" => true,
        _ => return None,
    };
    let partial = match tail.strip_prefix('<').and_then(|tail| tail.strip_suffix('>')) {
        None if tail.is_empty() => None,
        None => return None,
        Some(range) => {
            let (first, count) = range.split_once('.')?;
            Some((first.parse().ok()?, count.parse().ok()?))
        }
    };
    let (part, what) = part_and_what(inside)?;
    let origin = partial.map(|(first, _): (u64, u64)| format!("<{first}>")).unwrap_or_default();
    let label = format!("BODY[{}]{origin}", inside.to_ascii_uppercase());
    Some(Section { label, part, what, partial, peek })
}

fn part_and_what(inside: &str) -> Option<(Vec<usize>, What)> {
    let digits =
        inside.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(inside.len());
    let (numbers, word) = inside.split_at(digits);
    let numbers = numbers.trim_end_matches('.').split('.').filter(|number| !number.is_empty());
    let part: Option<Vec<usize>> = numbers.map(|number| number.parse().ok().filter(|n| *n > 0)).collect();
    let upper = word.to_ascii_uppercase();
    let what = match upper.as_str() {
        "" => What::All,
        "HEADER" => What::Header,
        "TEXT" => What::Text,
        "MIME" => What::Mime,
        _ => {
            let (kind, names) = word.split_once('(')?;
            let names =
                names.strip_suffix(')')?.split_whitespace().map(|name| name.trim_matches('"').to_owned());
            let not = match kind.trim().to_ascii_uppercase().as_str() {
                "HEADER.FIELDS" => false,
                "HEADER.FIELDS.NOT" => true,
                _ => return None,
            };
            What::Fields { names: names.collect(), not }
        }
    };
    Some((part?, what))
}

/// A string or NIL.
pub(super) fn nstring(text: Option<&[u8]>) -> Vec<u8> {
    text.map_or_else(|| b"NIL".to_vec(), parser::string)
}
