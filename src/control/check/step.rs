//! A step of a check, and its result.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::config::{Door, Endpoint};
use crate::control::error::Error;
use crate::control::names::shape::OldName;
use crate::secret::KeySource;
use crate::store::{Grant, LastRefusal};

/// The timeout of a step: longer than any step takes that works.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Every step succeeded.
    Well,
    /// Every step was tried, and a person has to act.
    NeedsPerson,
    /// A step failed.
    Failed,
}

/// The report of a check to its surface.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CheckEvent<'a> {
    /// The state directory has no accounts.
    NoAccounts(&'a Path),
    /// The number of accounts that will be checked.
    Accounts(usize),
    /// The following steps are about this account.
    Account(&'a str),
    /// A step is done.
    CheckStep(&'a CheckStep),
    /// The account has no mailbox of its own to try.
    DomainAccount,
}

/// A finished step.
#[derive(Debug)]
pub(crate) struct CheckStep {
    /// The account of the step.
    pub(crate) account: Option<String>,
    /// The door of the step.
    pub(crate) protocol: Option<Door>,
    /// The thing that was tested.
    pub(crate) name: &'static str,
    /// Its duration, if it was measured.
    pub(crate) took: Option<Duration>,
    /// The result.
    pub(crate) found: Result<Finding, Error>,
}

/// The result of a successful step.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The store opens.
    Store { directory: PathBuf },
    /// The keys open everything.
    Key { source: KeySource, keys: Vec<u32>, values: usize },
    /// A name that still works, but could not be stored today.
    OldName(OldName),
    /// An alias that is another address, and opens this account.
    ForeignAlias { account: String, alias: String },
    /// The account is disabled, so nothing was tried.
    Disabled { account: String },
    /// The provider's last refusal in a session. Only an accepted message shows that the cause is gone.
    LastRefusal { account: String, grant: Option<Box<Grant>>, refusal: Box<LastRefusal> },
    /// The mail server has addresses.
    Addresses { host: String, count: usize },
    /// The mail server accepted a connection.
    Answers(Endpoint),
    /// The network's proxy made a connection to the mail server.
    AnswersThrough { endpoint: Endpoint, proxy: String },
    /// The mail server's certificate is valid.
    Certificate { host: String },
    /// There is an access token; `was_asked` is true if it came now or within the last minute.
    Token { minutes: i64, was_asked: bool, scopes: Vec<String>, missing: Vec<String> },
    /// The mail server accepted the token.
    SignedIn { title: String, mailbox: String, name: String },
    /// The mailbox opened; it has this number of folders.
    Folders(usize),
    /// The sign-in was ended; this door has nothing else to test.
    Left,
    /// The mailbox opened; this door has no folders.
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

    /// The following steps are about `door`.
    pub(super) fn at(&mut self, door: Option<Door>) {
        self.protocol = door;
    }

    /// Reports a step that began at `started`, and whether it succeeded.
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
