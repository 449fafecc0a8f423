//! What is wrong with a grant or an account, and what mends it: data that every surface says in its own words.
//!
//! A [`Trouble`] is made where the fault is met, stored as it is, and rendered where a person reads it: as a
//! command on a terminal, in the text of a refused login, in an event, in JSON as fields. So no text that holds
//! a command is ever taken apart again. The words are plain clauses in lower case, without a full stop and
//! without control characters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A cause, and the cure where one is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What is wrong.
    pub cause: Cause,
    /// What mends it.
    pub cure: Cure,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// For programs.
    pub kind: CauseKind,
    /// The provider's own code, where it sent one: `invalid_grant`, `AADSTS700082`, `HTTP 503`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// For people: one clause, which names the code where that helps.
    pub text: String,
}

/// The kinds of causes; the words are those of JSON and of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// The token endpoint no longer accepts the grant.
    GrantRefused,
    /// The token endpoint does not accept the client, or the configuration of it is wrong.
    ClientRefused,
    /// The token endpoint could not be asked, or could not answer.
    ProviderUnavailable,
    /// The mail server accepts the token no more, or not for this mailbox.
    MailboxRefused,
    /// The provider granted less than was asked for.
    ScopeMissing,
    /// The account has no grant.
    NoGrant,
    /// The grant was revoked by a command.
    Revoked,
    /// The grant was moved to another installation.
    Moved,
    /// The configuration does not have the grant's provider any more.
    ProviderUnknown,
    /// The store or the key of this installation fails.
    Local,
    /// Written down by a version that knew no kinds.
    Recorded,
}

impl CauseKind {
    /// The word in the store and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::GrantRefused => "grant_refused",
            Self::ClientRefused => "client_refused",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::MailboxRefused => "mailbox_refused",
            Self::ScopeMissing => "scope_missing",
            Self::NoGrant => "no_grant",
            Self::Revoked => "revoked",
            Self::Moved => "moved",
            Self::ProviderUnknown => "provider_unknown",
            Self::Local => "local",
            Self::Recorded => "recorded",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        serde_json::from_value(name.into()).ok()
    }
}

/// What mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cure {
    /// Nothing is known that mends it.
    Unknown,
    /// A person authorises the account again.
    Authorize {
        /// How, where only one way works.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        way: Option<Way>,
        /// Words before the command: "set a new password, then run `".
        #[serde(default, skip_serializing_if = "String::is_empty")]
        before: String,
        /// Words behind the command: "` and accept".
        #[serde(default, skip_serializing_if = "String::is_empty")]
        after: String,
    },
    /// A key of the configuration is set or corrected.
    Configure {
        /// The key, as it stands in the file.
        key: String,
        /// What to do.
        text: String,
    },
    /// The administrator of the provider's side (the tenant, the domain, the registration) acts.
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
    /// Time mends it.
    Wait {
        /// What happens meanwhile.
        text: String,
    },
    /// Something else that a person does.
    Advice {
        /// What to do.
        text: String,
    },
}

/// A way to authorise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// With a code on another device.
    Device,
    /// With a pasted address.
    Paste,
}

impl Cause {
    /// The configuration does not have the `provider` of a grant.
    pub fn provider_unknown(provider: &str) -> Self {
        let text = format!("the configuration has no provider named {provider} any more");
        Self { kind: CauseKind::ProviderUnknown, code: None, text }
    }
}

impl Trouble {
    /// A trouble of the given parts.
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

    /// The person authorises the account again, `after` told behind it: " and accept".
    pub fn authorize_and(after: &str) -> Self {
        Self::authorize_by(None, "", after)
    }

    /// The person authorises the account again in this `way`: "BEFORErun `COMMAND`AFTER".
    pub fn authorize_by(way: Option<Way>, before: &str, after: &str) -> Self {
        Self::Authorize { way, before: format!("{before}run `"), after: format!("`{after}") }
    }

    /// The command stands between the two texts as it is, for a line that ends with it: "BEFORECOMMANDAFTER".
    pub fn authorize_with(before: impl Into<String>, after: &str) -> Self {
        Self::Authorize { way: None, before: before.into(), after: after.to_owned() }
    }

    /// `key` of the configuration is set; `text` says how.
    pub fn configure(key: &str, text: impl Into<String>) -> Self {
        Self::Configure { key: key.to_owned(), text: text.into() }
    }

    /// Time mends it.
    pub fn wait(text: impl Into<String>) -> Self {
        Self::Wait { text: text.into() }
    }

    /// Something else mends it.
    pub fn advice(text: impl Into<String>) -> Self {
        Self::Advice { text: text.into() }
    }

    /// One clause, empty where nothing is known. `authorize` is the command that authorises the account again.
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

    /// The same, said to take `seconds` yet.
    #[must_use]
    pub fn in_seconds(self, seconds: i64) -> Self {
        match self {
            Self::Wait { text } => Self::Wait { text: format!("{text} (in {seconds} s)") },
            Self::Unknown => Self::Wait { text: format!("it is tried again in {seconds} s") },
            other => other,
        }
    }

    /// Its kind, in the words of JSON.
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

    /// The command that mends it, where one does.
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

    /// The key of the configuration that mends it, where one does.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Configure { key, .. } => Some(key),
            _ => None,
        }
    }

    /// Whether authorising again is all there is to do.
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

/// The cause alone: for a log line, which is no place for commands.
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
        // A new kind has to be given its place in this walk.
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
