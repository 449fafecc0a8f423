//! A step of a check, and what it found.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::config::Endpoint;
use crate::control::error::Error;
use crate::control::grants::in_words;
use crate::control::names::shape::NameFault;
use crate::protocol::imap::{MendedBy, NotListed, Refusal};
use crate::secret::{KeySource, SealError};
use crate::store::StoreError;
use crate::token::TokenFailure;
use crate::upstream::DialError;

/// How long a step is waited for: longer than any takes that works.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All is well.
    Well,
    /// Everything was tried, and something needs a person.
    NeedsPerson,
    /// Something does not work.
    Failed,
}

/// What a surface hears of a check.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// There is nothing to check.
    NoAccounts,
    /// What follows is about this account.
    Account(&'a str),
    /// A step is done.
    Step(&'a Step),
    /// The account has no mailbox of its own to try.
    DomainAccount,
}

/// A step that is done.
#[derive(Debug)]
pub struct Step {
    /// The account that it is about.
    pub account: Option<String>,
    /// What was tried.
    pub name: &'static str,
    /// How long it took, where it took its time.
    pub took: Option<Duration>,
    /// What came of it.
    pub found: Result<Found, Wrong>,
}

/// A name that could not be stored today.
#[derive(Debug, thiserror::Error)]
#[error("the {of} {name:?} {fault}")]
pub struct BadName {
    /// The account that it belongs to.
    pub account: String,
    /// What it is there.
    pub of: NameOf,
    /// The name.
    pub name: String,
    /// What is wrong with it.
    pub fault: NameFault,
}

/// What a name is in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameOf {
    /// Its own.
    Account,
    /// The person's who consented.
    Owner,
    /// Another login name.
    Alias,
}

impl fmt::Display for NameOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "account",
            Self::Owner => "owner of its authorisation",
            Self::Alias => "alias",
        })
    }
}

/// What a step that went well found.
#[derive(Debug)]
pub enum Found {
    /// The store opens.
    Store {
        /// Where it is.
        directory: PathBuf,
    },
    /// The keys open everything.
    Key {
        /// Where they are.
        source: KeySource,
        /// Which.
        keys: Vec<u32>,
        /// How many values they open.
        values: usize,
    },
    /// A name that goes on working, and could not be stored today.
    OldName(BadName),
    /// An alias that is another address, and opens the account.
    ForeignAlias {
        /// The account's name.
        account: String,
        /// The alias.
        alias: String,
    },
    /// The mail server has addresses.
    Addresses {
        /// Its name.
        host: String,
        /// How many.
        count: usize,
    },
    /// A connection was made.
    Answers(Endpoint),
    /// The mail server's certificate is good.
    Certificate {
        /// For that name.
        host: String,
    },
    /// There is an access token.
    Token {
        /// How long it is good for.
        minutes: i64,
        /// The scopes of its grant.
        scopes: Vec<String>,
        /// Those that the configuration asks for besides.
        missing: Vec<String>,
    },
    /// The mail server accepts it.
    SignedIn {
        /// The provider's title.
        title: String,
        /// For that mailbox.
        mailbox: String,
    },
    /// The mailbox opens.
    Folders(usize),
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// This installation.
    #[error(transparent)]
    Local(#[from] Error),
    /// A sealed value that no key opens.
    #[error("{what} cannot be opened: {error}")]
    NotOpened {
        /// What it is.
        what: String,
        /// Why.
        error: SealError,
    },
    /// The sealed values cannot be read.
    #[error(transparent)]
    NotRead(#[from] StoreError),
    /// A name that misleads its reader, or opens what it should not.
    #[error(transparent)]
    Name(BadName),
    /// A person's grant opens a domain.
    #[error("an account for a whole domain must be the application's own, and this one is a person's")]
    PersonsDomain {
        /// The account's name.
        account: String,
    },
    /// No mail program can log in.
    #[error("it has none, so no mail program can log in")]
    NoPassword {
        /// The account's name.
        account: String,
    },
    /// There is nothing to get tokens with.
    #[error("there is no authorisation for this account")]
    NoGrant {
        /// The account's name.
        account: String,
    },
    /// There is no client to get tokens with.
    #[error("the configuration has no provider {provider:?} with a client any more")]
    NoProvider {
        /// The provider's name.
        provider: String,
    },
    /// The mail server's name leads nowhere.
    #[error("{host} has no address")]
    NoAddress {
        /// The name.
        host: String,
    },
    /// The mail server's name is not known.
    #[error("{host} was not found: {error}")]
    NotFound {
        /// The name.
        host: String,
        /// The resolver's word.
        error: std::io::Error,
    },
    /// No connection; the last address's reason, where one gave any in time.
    #[error("{endpoint} cannot be reached: {}", match error { Some(error) => error.to_string(), None => "no answer within 20 s".to_owned() })]
    Unreachable {
        /// The mail server.
        endpoint: Endpoint,
        /// The operating system's word.
        error: Option<std::io::Error>,
    },
    /// A TLS handshake that did not end.
    #[error("{0} did not finish the handshake")]
    NoHandshake(Endpoint),
    /// No TLS connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No access token.
    #[error("{}", in_words(failure, target))]
    Token {
        /// Why.
        failure: TokenFailure,
        /// What is behind `authorize` for it.
        target: String,
    },
    /// The mail server said nothing.
    #[error("{0} did not answer within 20 s")]
    Silent(Endpoint),
    /// The mail server said nothing to the list of folders.
    #[error("{0} did not answer LIST within 20 s")]
    SilentList(Endpoint),
    /// The mail server did not accept the token.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The mail server accepted the token and showed no folders.
    #[error(transparent)]
    NotListed(#[from] NotListed),
}

impl Wrong {
    /// Whether a person has to act; else it passes, or the machine's owner mends it.
    pub fn needs_person(&self) -> bool {
        match self {
            Self::Name(_) | Self::PersonsDomain { .. } => true,
            Self::NoPassword { .. } | Self::NoGrant { .. } | Self::NoProvider { .. } => true,
            Self::Token { failure, .. } => failure.needs_person(),
            Self::Refused(refusal) | Self::NotListed(NotListed(refusal)) => {
                refusal.mended_by() == MendedBy::Person
            }
            _ => false,
        }
    }
}

/// The steps so far.
pub(super) struct Steps<'a> {
    tell: &'a mut (dyn FnMut(Event<'_>) + Send),
    account: Option<String>,
    outcome: Outcome,
}

impl<'a> Steps<'a> {
    pub(super) fn new(tell: &'a mut (dyn FnMut(Event<'_>) + Send)) -> Self {
        Self { tell, account: None, outcome: Outcome::Well }
    }

    pub(super) fn tell(&mut self, event: Event<'_>) {
        if let Event::Account(name) = event {
            self.account = Some(name.to_owned());
        }
        (self.tell)(event);
    }

    /// Tells of a step that began at `started`, and whether it went well.
    pub(super) fn done(
        &mut self,
        name: &'static str,
        started: Option<Instant>,
        found: Result<Found, Wrong>,
    ) -> bool {
        let went_well = found.is_ok();
        let outcome = match &found {
            Ok(_) => Outcome::Well,
            Err(wrong) if wrong.needs_person() => Outcome::NeedsPerson,
            Err(_) => Outcome::Failed,
        };
        self.outcome = self.outcome.max(outcome);
        let took = started.map(|started| started.elapsed());
        (self.tell)(Event::Step(&Step { account: self.account.clone(), name, took, found }));
        went_well
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }
}
