//! Why a provider refused a sign-in, divided by the caller's next action.
//!
//! The kinds are the same for all doors. Each protocol's `meaning.rs` decides which kind a provider's answer is.
//! Everything quoted is printable ASCII of bounded length.

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
    /// The token is refused: get a fresh one and try once more on a new connection; then a person must act.
    #[error("{what}: {0}", what = TOKEN)]
    Token(Said),
    /// Too many sessions of this account are open: wait for one to end.
    #[error("{what}: {0}", what = CONNECTIONS)]
    Connections(Said),
    /// The account sent too many requests: leave it alone for `wait`, if the provider said how long.
    #[error("{what}: {said}", what = THROTTLED)]
    Throttled {
        /// Counted from now.
        wait: Option<Duration>,
        /// The provider's text.
        said: Said,
    },
    /// The door is switched off, or the mailbox cannot be opened: a person or an administrator must act.
    #[error("{what}: {0}", what = DISABLED)]
    Disabled(Said),
    /// The person must sign in with a browser.
    #[error("{what}: {said}", what = WEB_LOGIN)]
    WebLogin {
        /// The URL of the sign-in, if the provider gave one.
        url: Option<String>,
        /// The provider's text.
        said: Said,
    },
    /// A temporary failure of the provider: try later.
    #[error("{what}: {0}", what = UNAVAILABLE)]
    Unavailable(Said),
    /// Wrong configuration: the provider offers none of the mechanisms.
    #[error(
        "the provider offers none of the configured sign-in mechanisms, only {0}; set `mechanisms` of the provider to one of these"
    )]
    NoCommonMechanism(String),
    /// Wrong configuration: this server takes passwords only.
    #[error(
        "the provider offers no OAuth sign-in over {title}; check its `{key}` host, and whether OAuth is enabled for it",
        title = .0.title(),
        key = .0.server_key()
    )]
    PasswordsOnly(Door),
    /// The server, or another program in its place, breaks the protocol.
    #[error(
        "the provider's server does not speak {title} as it should: {what}; check the provider's `{key}` host and port",
        title = .door.title(),
        key = .door.server_key()
    )]
    Violation {
        /// The expected protocol.
        door: Door,
        /// The server's behaviour: "it …".
        what: &'static str,
    },
    /// The server closed the connection: try later.
    #[error("the provider closed the connection during the sign-in; try again later")]
    Closed,
    /// The network failed: try later.
    #[error("the connection to the provider failed: {0}; try again later")]
    Io(io::Error),
    /// No message could be made; nothing was sent.
    #[error("no sign-in message can be made: {0}")]
    Credential(#[from] EncodeError),
    /// A fault of the caller: no login waits for an answer.
    #[error("there is no login to sign in for")]
    NotAsked,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if is_hang_up(&error) { Self::Closed } else { Self::Io(error) }
    }
}

/// Who or what removes the cause of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MendedBy {
    /// Time: the cause passes by itself, and says nothing about the token or the mailbox.
    Time,
    /// Less use of the account. The cause passes, but comes back, so a person should hear of it.
    Rest,
    /// A person: the owner, or the administrator of this proxy.
    Person,
    /// The administrator of the mailbox.
    Administrator,
}

impl Refusal {
    /// Who or what removes the cause. Only this function separates causes that pass from those that need a person.
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

    /// Cause and cure, in the form stored with the account.
    pub fn trouble(&self) -> Trouble {
        let (what, said) = match self {
            Self::Token(said) => (TOKEN, said),
            Self::Connections(said) => (CONNECTIONS, said),
            Self::Throttled { said, .. } => (THROTTLED, said),
            Self::Disabled(said) => (DISABLED, said),
            Self::WebLogin { said, .. } => (WEB_LOGIN, said),
            Self::Unavailable(said) => (UNAVAILABLE, said),
            // These messages contain the cure.
            _ => return Trouble::new(CauseKind::MailboxRefused, self.to_string(), Cure::Unknown),
        };
        let cause = format!("{what}: {}", said.cause());
        Trouble::new(CauseKind::MailboxRefused, cause, said.advice.cure())
    }

    /// Whether a fresh token may help.
    pub fn is_token(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// Whether the server has hung up.
    pub fn is_hang_up(&self) -> bool {
        match self {
            Self::Token(said) => said.answers == Answers::Nothing,
            other => matches!(other, Self::Closed),
        }
    }

    /// The answer to the mail program if the caller has no better one. A password prompt must come only if another
    /// password could help (RFC 5530).
    pub fn denial(&self) -> Denial {
        let advised = |code, said: &Said| Denial::new(code, said.advice.to_string());
        match self {
            // Not AUTHENTICATIONFAILED: the app password is right, and typing another one does not help.
            Self::Token(said) => advised(Code::AuthorizationFailed, said),
            Self::Connections(said) => advised(Code::InUse, said),
            Self::Throttled { said, .. } if said.names_login_delay() => advised(Code::LoginDelay, said),
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
            Self::Violation { .. } | Self::Closed | Self::Io(_) => Denial::new(
                Code::Unavailable,
                "The mail provider cannot be reached; wait and try again later",
            ),
            Self::NotAsked => Denial::new(Code::ServerBug, "The proxy lost its place; please report this"),
        }
    }
}

/// The provider's text, and its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The text of the decisive line, response code included; printable ASCII, bounded.
    pub text: String,
    /// The step that the line answers.
    pub answers: Answers,
    /// The challenge before the line, reduced to parts that are safe to log.
    pub challenge: Option<Box<Challenge>>,
    /// Cause and remedy.
    pub advice: Advice,
}

impl Said {
    /// The provider's text and its cause, without the cure.
    fn cause(&self) -> String {
        let challenge =
            self.challenge.as_ref().map_or(String::new(), |challenge| format!(" (challenge: {challenge})"));
        format!("\"{}\"{}{challenge}; {}", self.text, self.answers, self.advice.cause)
    }

    /// Whether the text begins with the response code of a login that came too soon (RFC 2449 §8.1.1).
    fn names_login_delay(&self) -> bool {
        const CODE: &str = "[LOGIN-DELAY";
        let begins = self.text.get(..CODE.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(CODE));
        begins && self.text.get(CODE.len()..).is_some_and(|rest| rest.starts_with([']', '/']))
    }

    /// Cause and cure, in the form stored with the account.
    pub fn trouble(&self) -> Trouble {
        Trouble::new(CauseKind::MailboxRefused, self.cause(), self.advice.cure())
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause(), self.advice.remedy)
    }
}

/// The step that a provider's line answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// The connection: the line came instead of a greeting.
    Connection,
    /// The sign-in.
    #[default]
    SignIn,
    /// This command, after a sign-in that succeeded.
    Command(&'static str),
    /// None, for there is no line: the server has hung up behind its challenge.
    Nothing,
}

impl fmt::Display for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection => f.write_str(" instead of a greeting"),
            Self::SignIn => Ok(()),
            Self::Command(name) => write!(f, " to {name}"),
            Self::Nothing => f.write_str(" instead of a verdict"),
        }
    }
}

/// Cause and remedy of a provider's refusal, in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// The cause.
    pub cause: &'static str,
    /// The remedy.
    pub remedy: &'static str,
    /// Who or what applies the remedy.
    pub by: MendedBy,
}

impl Advice {
    /// Advice for the user of the mail program, or the owner of the mailbox.
    pub const fn person(cause: &'static str, remedy: &'static str) -> Self {
        Self { cause, remedy, by: MendedBy::Person }
    }

    /// Advice for the administrator of the mailbox.
    pub const fn administrator(cause: &'static str, remedy: &'static str) -> Self {
        Self { cause, remedy, by: MendedBy::Administrator }
    }

    fn cure(&self) -> Cure {
        match self.by {
            MendedBy::Administrator => Cure::Administrator { text: self.remedy.to_owned() },
            MendedBy::Time => Cure::wait(self.remedy),
            MendedBy::Rest | MendedBy::Person => Cure::advice(self.remedy),
        }
    }

    /// Cause and remedy in the form stored with the account.
    pub fn trouble(&self) -> Trouble {
        Trouble::new(CauseKind::MailboxRefused, self.cause, self.cure())
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}
