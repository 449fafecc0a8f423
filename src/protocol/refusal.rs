//! Why a provider did not let us in, cut by what the caller does next.
//!
//! The words are the same for all doors. Which of them a provider's answer means is decided where its protocol
//! is read (`imap/meaning.rs`). Everything quoted is printable ASCII of bounded length.

use std::fmt;
use std::io;
use std::time::Duration;

use super::end::is_hang_up;
use super::sasl::{Challenge, EncodeError};
use super::{Code, Denial, Door};
use crate::trouble::{CauseKind, Cure, Trouble};

const TOKEN: &str = "the provider refused the access token";
const CONNECTIONS: &str = "the provider allows no more connections for this account";
const THROTTLED: &str = "the provider slows this account down";
const DISABLED: &str = "the provider does not open this mailbox";
const WEB_LOGIN: &str = "the provider wants the person to sign in with a browser";
const UNAVAILABLE: &str = "the provider is not available";

/// Why there is no session at the provider.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The token: get a fresh one and try once more on a new connection; then a person is needed.
    #[error("{what}: {0}", what = TOKEN)]
    Token(Said),
    /// Too many sessions of this account: wait for one to end.
    #[error("{what}: {0}", what = CONNECTIONS)]
    Connections(Said),
    /// The account did too much: leave it alone for `wait`, where the provider told how long.
    #[error("{what}: {said}", what = THROTTLED)]
    Throttled {
        /// From now.
        wait: Option<Duration>,
        /// What it said.
        said: Said,
    },
    /// The door is switched off, or the mailbox cannot be opened: a person or an administrator must act.
    #[error("{what}: {0}", what = DISABLED)]
    Disabled(Said),
    /// The person must sign in with a browser.
    #[error("{what}: {said}", what = WEB_LOGIN)]
    WebLogin {
        /// Where, if it told.
        url: Option<String>,
        /// What it said.
        said: Said,
    },
    /// A passing failure of the provider: try later.
    #[error("{what}: {0}", what = UNAVAILABLE)]
    Unavailable(Said),
    /// The configuration: none of the mechanisms is offered.
    #[error(
        "the provider offers none of the configured sign-in mechanisms, only {0}; set `mechanisms` of the provider to what it offers"
    )]
    NoCommonMechanism(String),
    /// The configuration: this server takes passwords only.
    #[error(
        "the provider offers no OAuth sign-in over {title}; check its `{key}` host, and whether OAuth is enabled for it",
        title = .0.title(),
        key = .0.server_key()
    )]
    PasswordsOnly(Door),
    /// The server, or what stands in its place.
    #[error(
        "the provider's server does not speak {title} as it should: {what}; check the provider's `{key}` host and port",
        title = .door.title(),
        key = .door.server_key()
    )]
    Violation {
        /// What it should speak.
        door: Door,
        /// What it did instead: "it …".
        what: &'static str,
    },
    /// The server hung up: try later.
    #[error("the provider closed the connection during the sign-in; try again later")]
    Closed,
    /// The network: try later.
    #[error("the connection to the provider failed: {0}; try again later")]
    Io(io::Error),
    /// Nothing was sent.
    #[error("no sign-in message can be made: {0}")]
    Credential(#[from] EncodeError),
    /// The caller's: there is no login to answer.
    #[error("there is no login to sign in for")]
    NotAsked,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if is_hang_up(&error) { Self::Closed } else { Self::Io(error) }
    }
}

/// What it takes until the provider lets the account in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MendedBy {
    /// Nothing: it passes by itself, and says nothing about the token or the mailbox.
    Time,
    /// Less use of the account. It passes as well, but comes again, so that a person should hear of it.
    Rest,
    /// A person: the owner, or the administrator of this proxy.
    Person,
    /// The administrator of the mailbox.
    Administrator,
}

impl Refusal {
    /// What ends it: the one place that tells what passes from what needs a person.
    pub fn mended_by(&self) -> MendedBy {
        match self {
            Self::Unavailable(_) | Self::Closed | Self::Io(_) | Self::NotAsked => MendedBy::Time,
            Self::Connections(_) | Self::Throttled { .. } => MendedBy::Rest,
            Self::Token(_)
            | Self::Disabled(_)
            | Self::WebLogin { .. }
            | Self::NoCommonMechanism(_)
            | Self::PasswordsOnly(_)
            | Self::Violation { .. }
            | Self::Credential(_) => MendedBy::Person,
        }
    }

    /// Cause and cure, as they are remembered of the account.
    pub fn trouble(&self) -> Trouble {
        let (what, said) = match self {
            Self::Token(said) => (TOKEN, said),
            Self::Connections(said) => (CONNECTIONS, said),
            Self::Throttled { said, .. } => (THROTTLED, said),
            Self::Disabled(said) => (DISABLED, said),
            Self::WebLogin { said, .. } => (WEB_LOGIN, said),
            Self::Unavailable(said) => (UNAVAILABLE, said),
            // The cure is part of what they say.
            _ => return Trouble::new(CauseKind::MailboxRefused, self.to_string(), Cure::Unknown),
        };
        let cause = format!("{what}: {}", said.cause());
        Trouble::new(CauseKind::MailboxRefused, cause, said.advice.cure())
    }

    /// Whether a fresh token may help.
    pub fn is_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// What the mail program is told where the caller knows nothing better. RFC 5530: a password prompt
    /// must come only where typing something else could help.
    pub fn denial(&self) -> Denial {
        let advised = |code, said: &Said| Denial::new(code, said.advice.to_string());
        match self {
            // Not AUTHENTICATIONFAILED: the app password is right, and typing another one does not help.
            Self::Token(said) => advised(Code::AuthorizationFailed, said),
            Self::Connections(said) => advised(Code::InUse, said),
            Self::Throttled { said, .. } | Self::Unavailable(said) => advised(Code::Unavailable, said),
            Self::Disabled(said) => advised(Code::ContactAdmin, said).alert(),
            Self::WebLogin { url: None, said } => advised(Code::WebLogin, said).alert(),
            Self::WebLogin { url: Some(url), said } => {
                Denial::new(Code::WebLogin, format!("{}: {url}", said.advice)).alert()
            }
            Self::NoCommonMechanism(_) | Self::PasswordsOnly(_) => Denial::new(
                Code::ContactAdmin,
                "The mail provider offers no OAuth sign-in that is configured here",
            ),
            Self::Credential(error) => Denial::new(Code::ContactAdmin, error.to_string()),
            Self::Violation { .. } | Self::Closed | Self::Io(_) => {
                Denial::new(Code::Unavailable, "The mail provider cannot be reached; try again later")
            }
            Self::NotAsked => Denial::new(Code::ServerBug, "The proxy lost its place; please report this"),
        }
    }
}

/// What the provider said, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The decisive line's text, response code included; printable ASCII, bounded.
    pub text: String,
    /// What it answers.
    pub answers: Answers,
    /// The challenge that came before, reduced to what is safe to log.
    pub challenge: Option<Box<Challenge>>,
    /// Cause and remedy.
    pub advice: Advice,
}

impl Said {
    /// What was said, and what it means, without what mends it.
    fn cause(&self) -> String {
        let challenge =
            self.challenge.as_ref().map_or(String::new(), |challenge| format!(" (challenge: {challenge})"));
        format!("\"{}\"{}{challenge}; {}", self.text, self.answers, self.advice.cause)
    }

    /// Cause and cure, as they are remembered of the account.
    pub fn trouble(&self) -> Trouble {
        Trouble::new(CauseKind::MailboxRefused, self.cause(), self.advice.cure())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause(), self.advice.remedy)
    }
}

/// The step that a provider's line ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// The connection: it came instead of a greeting.
    Connection,
    /// The sign-in.
    #[default]
    SignIn,
    /// This command, after a sign-in that succeeded.
    Command(&'static str),
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str(" instead of a greeting"),
            Self::SignIn => Ok(()),
            Self::Command(name) => write!(f, " to {name}"),
        }
    }
}

/// Why the mailbox was not looked into, in words: the token is good, because it has just been accepted.
#[derive(Debug)]
pub struct NotListed(pub Refusal);

impl fmt::Display for NotListed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sign-in succeeded, but the mailbox was not looked into: ")?;
        match &self.0 {
            // What a refusal without a known text means to a sign-in is wrong here.
            Refusal::Token(Said { text, answers, .. }) => write!(
                f,
                "the provider said \"{text}\"{answers}; check the access to the mailbox, and try again later"
            ),
            Refusal::Closed => {
                f.write_str("the provider closed the connection instead of showing it; try again later")
            }
            refusal => write!(f, "{refusal}"),
        }
    }
}

impl std::error::Error for NotListed {}

/// Cause and remedy of a provider's refusal, in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// What is the matter.
    pub cause: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Who does it.
    pub by: MendedBy,
}

impl Advice {
    /// What the person at the mail program, or at its mailbox, can do.
    pub const fn person(cause: &'static str, remedy: &'static str) -> Self {
        Self { cause, remedy, by: MendedBy::Person }
    }

    fn cure(&self) -> Cure {
        match self.by {
            MendedBy::Administrator => Cure::Administrator { text: self.remedy.to_owned() },
            MendedBy::Time => Cure::wait(self.remedy),
            MendedBy::Rest | MendedBy::Person => Cure::advice(self.remedy),
        }
    }

    /// The same, as it is remembered of the account.
    pub fn trouble(&self) -> Trouble {
        Trouble::new(CauseKind::MailboxRefused, self.cause, self.cure())
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}
