//! A step of a check, and what it found.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::{Door, Endpoint};
use crate::control::error::Error;
use crate::control::names::shape::OldName;
use crate::secret::KeySource;
use crate::store::{Grant, LastRefusal};

/// How long a step is waited for: longer than any takes that works.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// All is well.
    Well,
    /// Everything was tried, and something needs a person.
    NeedsPerson,
    /// Something does not work.
    Failed,
}

/// What a surface hears of a check.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CheckEvent<'a> {
    /// There is nothing to check in that state directory.
    NoAccounts(&'a Path),
    /// So many accounts are checked.
    Accounts(usize),
    /// What follows is about this account.
    Account(&'a str),
    /// A step is done.
    CheckStep(&'a CheckStep),
    /// The account has no mailbox of its own to try.
    DomainAccount,
}

/// A step that is done.
#[derive(Debug)]
pub(crate) struct CheckStep {
    /// The account that it is about.
    pub(crate) account: Option<String>,
    /// The door that it is about.
    pub(crate) protocol: Option<Door>,
    /// What was tried.
    pub(crate) name: &'static str,
    /// How long it took, where it took its time.
    pub(crate) took: Option<Duration>,
    /// What came of it.
    pub(crate) found: Result<Finding, Error>,
}

/// What a step that went well found.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The store opens.
    Store { directory: PathBuf },
    /// The keys open everything.
    Key { source: KeySource, keys: Vec<u32>, values: usize },
    /// A name that goes on working, and could not be stored today.
    OldName(OldName),
    /// An alias that is another address, and opens the account.
    ForeignAlias { account: String, alias: String },
    /// The account lets no mail program in, so nothing was tried.
    Disabled { account: String },
    /// What the provider refused in a session. Only a message that it takes says that this is mended.
    LastRefusal { account: String, grant: Option<Box<Grant>>, refusal: Box<LastRefusal> },
    /// The mail server has addresses.
    Addresses { host: String, count: usize },
    /// A connection was made.
    Answers(Endpoint),
    /// A connection was made by the proxy.
    AnswersThrough { endpoint: Endpoint, proxy: String },
    /// The mail server's certificate is good.
    Certificate { host: String },
    /// There is an access token; the sign-in service was asked for it just now, or within the last minute.
    Token { minutes: i64, was_asked: bool, scopes: Vec<String>, missing: Vec<String> },
    /// The mail server accepts it.
    SignedIn { title: String, mailbox: String, name: String },
    /// The mailbox opens.
    Folders(usize),
    /// The server was left, and there is nothing else to look at.
    Left,
    /// The mailbox opened, which has no folders at this door.
    Open,
}

/// The steps so far.
pub(super) struct Steps<'a> {
    tell: &'a mut (dyn FnMut(CheckEvent<'_>) + Send),
    account: Option<String>,
    protocol: Option<Door>,
    outcome: Outcome,
}

impl<'a> Steps<'a> {
    pub(super) fn new(tell: &'a mut (dyn FnMut(CheckEvent<'_>) + Send)) -> Self {
        Self { tell, account: None, protocol: None, outcome: Outcome::Well }
    }

    pub(super) fn tell(&mut self, event: CheckEvent<'_>) {
        if let CheckEvent::Account(name) = event {
            self.account = Some(name.to_owned());
        }
        (self.tell)(event);
    }

    /// What follows is about that door, or about none.
    pub(super) fn at(&mut self, door: Option<Door>) {
        self.protocol = door;
    }

    /// Tells of a step that began at `started`, and whether it went well.
    pub(super) fn done(
        &mut self,
        name: &'static str,
        started: Option<Instant>,
        found: Result<Finding, Error>,
    ) -> bool {
        let went_well = found.is_ok();
        let outcome = match &found {
            Ok(_) => Outcome::Well,
            Err(error) if error.needs_person() => Outcome::NeedsPerson,
            Err(_) => Outcome::Failed,
        };
        self.outcome = self.outcome.max(outcome);
        let took = started.map(|started| started.elapsed());
        (self.tell)(CheckEvent::CheckStep(&CheckStep {
            account: self.account.clone(),
            protocol: self.protocol,
            name,
            took,
            found,
        }));
        went_well
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }
}
