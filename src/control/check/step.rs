//! A step of a check, and its result.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::config::{Door, Endpoint};
use crate::control::error::Error;
use crate::control::names::shape::OldName;
use crate::secret::KeySource;
use crate::store::{Grant, LastRefusal};
use crate::text::utc;

/// The timeout of a step: longer than any step takes that works.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Well,
    /// Every step was tried, and a person has to act.
    NeedsPerson,
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
    CheckStep(&'a CheckStep),
    /// The account has no mailbox of its own to try.
    DomainAccount,
}

/// A finished step.
#[derive(Debug)]
pub(crate) struct CheckStep {
    pub(crate) account: Option<String>,
    pub(crate) protocol: Option<Door>,
    /// The thing that was tested.
    pub(crate) name: &'static str,
    /// Its duration, if it was measured.
    pub(crate) took: Option<Duration>,
    pub(crate) found: Result<Finding, Error>,
}

/// The result of a successful step, as a clause for people. The surface adds the command or button that changes it. An
/// `Error` for its `Display` alone; it is no failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Finding {
    #[error("{place}")]
    Store { place: String },
    #[error("{place}, key {}; it opens all {values} sealed values", list(keys))]
    Key { place: KeySource, keys: Vec<u32>, values: usize },
    /// A name that still works, but could not be stored today.
    #[error("{0}; it goes on working")]
    OldName(OldName),
    #[error("{alias:?} is another address, and opens this account")]
    ForeignAlias { account: String, alias: String },
    /// Nothing was tried.
    #[error("it is disabled, and lets no mail program in")]
    Disabled { account: String },
    /// The provider's last refusal in a session. Only an accepted message shows that the cause is gone.
    #[error("at {} the provider refused {}: {}", utc(refusal.at), refusal.protocol, refusal.trouble.cause)]
    LastRefusal { account: String, grant: Option<Box<Grant>>, refusal: Box<LastRefusal> },
    #[error("{host} has {count} {}", if *count == 1 { "address" } else { "addresses" })]
    Addresses { host: String, count: usize },
    #[error("{0} answers")]
    Answers(Endpoint),
    #[error("{endpoint} answers through network.proxy ({proxy})")]
    AnswersThrough { endpoint: Endpoint, proxy: String },
    #[error("the certificate is good for {host}")]
    Certificate { host: String },
    /// `was_asked` is true if the token came now or within the last minute.
    #[error("good for {minutes} min; {}; {}", origin(*was_asked), granted(scopes, missing))]
    Token { minutes: i64, was_asked: bool, scopes: Vec<String>, missing: Vec<String> },
    #[error("{title} accepts the token for {mailbox}{}", with_name(mailbox, name))]
    SignedIn { title: String, mailbox: String, name: String },
    #[error("the mailbox has {0}")]
    Folders(usize),
    /// This door has nothing else to test.
    #[error("the session is over; no message was sent")]
    Left,
    /// This door has no folders.
    #[error("the mailbox opens; no message was fetched")]
    Open,
}

fn list(keys: &[u32]) -> String {
    keys.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

fn origin(was_asked: bool) -> &'static str {
    match was_asked {
        true => "the sign-in service gave a new one",
        false => "from the cache, the sign-in service was asked less than a minute ago",
    }
}

fn granted(scopes: &[String], missing: &[String]) -> String {
    match missing.is_empty() {
        true => format!("scopes {}", scopes.join(" ")),
        false => format!("the scope {} is missing", missing.join(" ")),
    }
}

fn with_name(mailbox: &str, name: &str) -> String {
    if name == mailbox { String::new() } else { format!(", with the name of {name}") }
}

pub(super) struct Steps<'a> {
    tell: &'a mut (dyn FnMut(CheckEvent<'_>) + Send),
    account: Option<String>,
    /// The door of the following steps.
    pub(super) protocol: Option<Door>,
    /// The worst so far.
    pub(super) outcome: Outcome,
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

    /// Does a step, and reports it with its duration; returns whether it succeeded.
    pub(super) async fn timed(
        &mut self,
        name: &'static str,
        step: impl Future<Output = Result<Finding, Error>>,
    ) -> bool {
        let started = Instant::now();
        let found = step.await;
        self.done(name, Some(started), found)
    }
}
