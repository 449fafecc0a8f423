//! The result of a successful step, as a clause for people. The surface adds the command or button that changes it.

use std::fmt;

use super::step::Finding;
use crate::text::utc;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { directory } => write!(f, "SQLite in {}", directory.display()),
            Self::Key { source, keys, values } => {
                let keys: Vec<String> = keys.iter().map(u32::to_string).collect();
                write!(f, "{source}, key {}; it opens all {values} sealed values", keys.join(", "))
            }
            Self::OldName(name) => write!(f, "{name}; it goes on working"),
            Self::ForeignAlias { alias, .. } => {
                write!(f, "{alias:?} is another address, and opens this account")
            }
            Self::Disabled { .. } => f.write_str("it is disabled, and lets no mail program in"),
            Self::LastRefusal { refusal, .. } => {
                write!(
                    f,
                    "at {} the provider refused {}: {}",
                    utc(refusal.at),
                    refusal.protocol,
                    refusal.trouble.cause
                )
            }
            Self::Addresses { host, count: 1 } => write!(f, "{host} has 1 address"),
            Self::Addresses { host, count } => write!(f, "{host} has {count} addresses"),
            Self::Answers(endpoint) => write!(f, "{endpoint} answers"),
            Self::AnswersThrough { endpoint, proxy } => {
                write!(f, "{endpoint} answers through network.proxy ({proxy})")
            }
            Self::Certificate { host } => write!(f, "the certificate is good for {host}"),
            Self::Token { minutes, was_asked, scopes, missing } => {
                let scopes = match missing.is_empty() {
                    true => format!("scopes {}", scopes.join(" ")),
                    false => format!("the scope {} is missing", missing.join(" ")),
                };
                let source = match was_asked {
                    true => "the sign-in service gave a new one",
                    false => "from the cache, the sign-in service was asked less than a minute ago",
                };
                write!(f, "good for {minutes} min; {source}; {scopes}")
            }
            Self::SignedIn { title, mailbox, name } if name == mailbox => {
                write!(f, "{title} accepts the token for {mailbox}")
            }
            Self::SignedIn { title, mailbox, name } => {
                write!(f, "{title} accepts the token for {mailbox}, with the name of {name}")
            }
            Self::Folders(folders) => write!(f, "the mailbox has {folders}"),
            Self::Open => f.write_str("the mailbox opens; no message was fetched"),
            Self::Left => f.write_str("the session is over; no message was sent"),
        }
    }
}
