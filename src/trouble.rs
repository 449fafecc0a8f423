//! What is wrong with a grant or an account and how to fix it, as data that every surface words itself.
//!
//! A [`Trouble`] is made where the fault is found, stored as data, and rendered where a person reads it: a
//! command on a terminal, the text of a refused login, an event, or fields in JSON. So no code has to parse a
//! command out of a text. Texts are clauses in lower case, without a full stop and without control
//! characters.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::words;

/// A cause, and the cure if one is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What is wrong.
    pub cause: Cause,
    /// What fixes it.
    pub cure: Cure,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The kind, for programs.
    pub kind: CauseKind,
    /// The provider's own code, if it sent one: `invalid_grant`, `AADSTS700082`, `HTTP 503`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One clause for people, with the code if that helps.
    pub text: String,
}

words! {
    /// The kinds of causes. Their names are used in JSON and in the store.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub CauseKind by name {
        /// The token endpoint no longer accepts the grant.
        GrantRefused = "grant_refused",
        /// The token endpoint does not accept the client, or the client's configuration is wrong.
        ClientRefused = "client_refused",
        /// The token endpoint could not be reached, or could not answer.
        ProviderUnavailable = "provider_unavailable",
        /// The mail server no longer accepts the token, or not for this mailbox.
        MailboxRefused = "mailbox_refused",
        /// The provider granted less than was asked for.
        ScopeMissing = "scope_missing",
        /// The account has no grant.
        NoGrant = "no_grant",
        /// The grant was revoked by a command.
        Revoked = "revoked",
        /// The grant was moved to another installation.
        Moved = "moved",
        /// The configuration no longer has the grant's provider.
        ProviderUnknown = "provider_unknown",
        /// The store or the key of this installation fails.
        Local = "local",
        /// Stored by a version without kinds.
        Recorded = "recorded",
    }
}

impl CauseKind {
    /// The kind with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// What fixes a trouble.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cure {
    /// No cure is known.
    Unknown,
    /// A person authorises the account again.
    Authorize {
        /// The flow, if only one works.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        way: Option<Way>,
        /// Text before the command: "set a new password, then run `".
        #[serde(default, skip_serializing_if = "String::is_empty")]
        before: String,
        /// Text after the command: "` and accept".
        #[serde(default, skip_serializing_if = "String::is_empty")]
        after: String,
    },
    /// Set or correct a key of the configuration.
    Configure {
        /// The key as written in the file.
        key: String,
        /// What to do.
        text: String,
    },
    /// The administrator on the provider's side (of the tenant, the domain, the registration) acts.
    Administrator {
        /// What to ask for.
        text: String,
    },
    /// An administrator of the person's organisation consents for it.
    AdminConsent {
        /// What to ask for.
        text: String,
        /// The link that the administrator opens once, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
    },
    /// The trouble passes by itself.
    Wait {
        /// What the proxy does meanwhile.
        text: String,
    },
    /// Another action by the user.
    Advice {
        /// What to do.
        text: String,
    },
}

/// A way to authorise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// With a code entered on another device.
    Device,
    /// By pasting the redirect's address.
    Paste,
}

impl Cause {
    /// A grant's `provider` is missing from the configuration.
    pub fn provider_unknown(provider: &str) -> Self {
        let text = format!("the configuration has no provider named {provider} any more");
        Self { kind: CauseKind::ProviderUnknown, code: None, text }
    }
}

impl Trouble {
    /// A trouble of these parts.
    pub fn new(kind: CauseKind, text: impl Into<String>, cure: Cure) -> Self {
        Self { cause: Cause { kind, code: None, text: text.into() }, cure }
    }

    /// Cause and cure on one line. `authorize` is the command that authorises the account again.
    pub fn line(&self, authorize: &str) -> String {
        match self.cure.words(authorize) {
            cure if cure.is_empty() => self.cause.text.clone(),
            cure => format!("{}; {cure}", self.cause.text),
        }
    }
}

impl Cure {
    /// The person authorises the account again.
    pub fn authorize() -> Self {
        Self::authorize_and("")
    }

    /// The person authorises the account again; `after` follows the command: " and accept".
    pub fn authorize_and(after: &str) -> Self {
        Self::authorize_by(None, "", after)
    }

    /// The person authorises the account again in this `way`: "BEFORErun `COMMAND`AFTER".
    pub fn authorize_by(way: Option<Way>, before: &str, after: &str) -> Self {
        Self::Authorize { way, before: format!("{before}run `"), after: format!("`{after}") }
    }

    /// The command stands between the two texts, for a line that ends with it: "BEFORECOMMANDAFTER".
    pub fn authorize_with(before: impl Into<String>, after: &str) -> Self {
        Self::Authorize { way: None, before: before.into(), after: after.to_owned() }
    }

    /// `key` of the configuration is set; `text` says how.
    pub fn configure(key: &str, text: impl Into<String>) -> Self {
        Self::Configure { key: key.to_owned(), text: text.into() }
    }

    /// The trouble passes by itself; `text` says what the proxy does meanwhile.
    pub fn wait(text: impl Into<String>) -> Self {
        Self::Wait { text: text.into() }
    }

    /// Another action by the user, which `text` describes.
    pub fn advice(text: impl Into<String>) -> Self {
        Self::Advice { text: text.into() }
    }

    /// One clause, empty if no cure is known. `authorize` is the command that authorises the account again.
    pub fn words(&self, authorize: &str) -> String {
        match self {
            Self::Unknown => String::new(),
            Self::Authorize { way, before, after } => {
                let way = way.map_or("", Way::option);
                format!("{before}{authorize}{way}{after}")
            }
            Self::Configure { text, .. }
            | Self::Administrator { text }
            | Self::Wait { text }
            | Self::Advice { text } => text.clone(),
            Self::AdminConsent { text, url: None } => text.clone(),
            Self::AdminConsent { text, url: Some(url) } => format!("{text}: {url}"),
        }
    }

    /// The same cure, with the `seconds` until the next try.
    #[must_use]
    pub fn in_seconds(self, seconds: i64) -> Self {
        match self {
            Self::Wait { text } => Self::Wait { text: format!("{text} (in {seconds} s)") },
            Self::Unknown => Self::Wait { text: format!("it is tried again in {seconds} s") },
            other => other,
        }
    }

    /// The cure's kind, as named in JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Authorize { .. } => "authorize",
            Self::Configure { .. } => "configure",
            Self::Administrator { .. } => "administrator",
            Self::AdminConsent { .. } => "admin_consent",
            Self::Wait { .. } => "wait",
            Self::Advice { .. } => "advice",
        }
    }

    /// The command that fixes the trouble, if one does.
    pub fn command(&self, authorize: &str) -> Option<String> {
        match self {
            Self::Authorize { way, .. } => Some(format!("{authorize}{}", way.map_or("", Way::option))),
            _ => None,
        }
    }

    /// The link that an administrator opens, where one mends it.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::AdminConsent { url, .. } => url.as_deref(),
            _ => None,
        }
    }

    /// The configuration key that fixes the trouble, if one does.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Configure { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Whether authorising again is the whole cure.
    pub fn is_plain_authorize(&self) -> bool {
        *self == Self::authorize()
    }
}

impl Way {
    fn option(self) -> &'static str {
        match self {
            Self::Device => " --device",
            Self::Paste => " --paste",
        }
    }
}

/// The cause alone, for log lines, which contain no commands.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMAND: &str = "imap-oauth-proxy authorize bob@corp.example";

    #[test]
    fn a_cure_is_said_around_its_command() {
        let cure = Cure::authorize_by(Some(Way::Device), "set a new password, then ", " and accept");
        assert_eq!(
            cure.words(COMMAND),
            "set a new password, then run `imap-oauth-proxy authorize bob@corp.example --device` and accept"
        );
        let trouble = Trouble::new(CauseKind::NoGrant, "there is no authorisation", Cure::Unknown);
        assert_eq!(trouble.line(COMMAND), "there is no authorisation");
    }

    #[test]
    fn the_names_of_kinds_are_those_of_json() {
        use CauseKind::*;
        // A new kind has to be added to this chain.
        let next = |kind: &CauseKind| match kind {
            GrantRefused => Some(ClientRefused),
            ClientRefused => Some(ProviderUnavailable),
            ProviderUnavailable => Some(MailboxRefused),
            MailboxRefused => Some(ScopeMissing),
            ScopeMissing => Some(NoGrant),
            NoGrant => Some(Revoked),
            Revoked => Some(Moved),
            Moved => Some(ProviderUnknown),
            ProviderUnknown => Some(Local),
            Local => Some(Recorded),
            Recorded => None,
        };
        for kind in std::iter::successors(Some(GrantRefused), next) {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(CauseKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(CauseKind::from_name("no such kind"), None);
    }

    #[test]
    fn the_kinds_of_cures_are_those_of_json() {
        let next = |cure: &Cure| match cure {
            Cure::Unknown => Some(Cure::authorize()),
            Cure::Authorize { .. } => Some(Cure::configure("client_id", "set client_id")),
            Cure::Configure { .. } => Some(Cure::Administrator { text: "ask the administrator".into() }),
            Cure::Administrator { .. } => Some(Cure::AdminConsent { text: "ask".into(), url: None }),
            Cure::AdminConsent { .. } => Some(Cure::wait("try again later")),
            Cure::Wait { .. } => Some(Cure::advice("look again")),
            Cure::Advice { .. } => None,
        };
        for cure in std::iter::successors(Some(Cure::Unknown), next) {
            assert_eq!(serde_json::to_value(&cure).unwrap()["kind"], cure.kind());
        }
    }

    #[test]
    fn json_carries_kinds_and_words() {
        let cure = serde_json::to_value(Cure::authorize()).unwrap();
        assert_eq!(cure, serde_json::json!({ "kind": "authorize", "before": "run `", "after": "`" }));
        for cure in [
            Cure::Unknown,
            Cure::authorize_and(" again"),
            Cure::configure("client_id", "set client_id"),
            Cure::Administrator { text: "ask the administrator".into() },
            Cure::AdminConsent { text: "ask".into(), url: Some("https://login.example/".into()) },
            Cure::wait("try again later"),
        ] {
            let text = serde_json::to_string(&cure).unwrap();
            assert_eq!(serde_json::from_str::<Cure>(&text).unwrap(), cure);
        }
    }
}
