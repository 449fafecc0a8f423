//! The consents under way, as they lie in the store, and what is shown of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tokio::sync::watch;
use tracing::{info, warn};
use url::Url;
use zeroize::Zeroizing;

use super::redirect::Listeners;
use crate::control::authorize::{Authorized, FrozenConsent};
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::control::misses::{Judged, Lookups};
use crate::oauth::RedirectError;
use crate::secret::marks::Marks;
use crate::secret::{Sealer, Secret, same_bytes};
use crate::store::{Actor, ShortLived, ShortLivedKind, Store, StoreError};

/// The path on the page that takes a browser's answer, with the query of the redirect.
pub(crate) const ANSWER: &str = "/answer";
/// How often the write of a row is tried while a rotation of the keys writes the same row.
pub(super) const TRIES: usize = 5;
/// How often the write of an outcome is tried while the store is away, and the pause between two tries. The grant is
/// already stored, and without an outcome the page of the consent would wait until its time is over.
const OUTCOME_TRIES: usize = 20;
const OUTCOME_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// A consent as its page shows it.
pub(crate) struct View {
    pub(crate) account: String,
    pub(crate) owner: String,
    /// The provider's title.
    pub(crate) provider: String,
    /// Where the person begins again.
    pub(crate) back: Option<Secret>,
    pub(crate) stage: Stage,
}

/// How far a consent is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stage {
    /// The person signs in at `url`, and pastes the address at which the browser ends if `pastes`.
    Waiting { url: Url, pastes: bool },
    /// The answer is checked and the mailbox is tried.
    Working,
    /// It is over.
    Done(Outcome),
}

/// What became of a consent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The grant is stored.
    Stored,
    /// Another person consented than the owner of the mail.
    AnotherPerson { names: Vec<String>, owner: String },
    /// It failed for this reason; the link is for an administrator who has to accept first.
    Failed { why: String, approval: Option<String> },
}

impl From<&Result<Authorized, Error>> for Outcome {
    fn from(result: &Result<Authorized, Error>) -> Self {
        match result {
            Ok(_) => Self::Stored,
            Err(Error::AnotherPerson { names, owner, .. }) => {
                Self::AnotherPerson { names: names.clone(), owner: owner.clone() }
            }
            Err(error) => {
                let awaited = match error {
                    Error::Provider { error, .. } => error.awaited_consent(),
                    _ => None,
                };
                let approval = awaited.and_then(|why| why.cure.link().map(str::to_owned));
                Self::Failed { why: error.to_string(), approval }
            }
        }
    }
}

/// Why an answer was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("no sign-in waits for this answer: it took too long, or it was answered already")]
    Unknown,
    /// It came in another browser than the one that began the consent. Nothing has changed.
    #[error("this sign-in began in another browser, and only that one can finish it; nothing was changed")]
    OtherBrowser,
    /// The text that the person pasted is no answer; the consent goes on waiting.
    #[error("{0}")]
    Pasted(RedirectError),
    /// The store cannot be asked; the consent goes on waiting.
    #[error("the sign-in cannot be looked up just now; load this page again in a minute")]
    Away,
    #[error("too many sign-ins that do not exist are asked for; load this page again in a minute")]
    TooMany,
}

pub(crate) struct Consents {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    pub(super) changed: watch::Sender<()>,
    /// Each consent that is being finished here holds a receiver.
    pub(super) busy: watch::Sender<()>,
    pub(super) listeners: Listeners,
    pub(super) marks: Arc<Marks>,
    lookups: Lookups,
}

/// A consent in the store.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    /// The hash of the browser's key.
    pub(super) key: String,
    pub(super) origin: String,
    pub(super) account: String,
    pub(super) owner: String,
    pub(super) provider: String,
    pub(super) back: Option<String>,
    pub(super) actor: Actor,
    pub(super) stage: Stage,
    /// What the answer needs, while the consent waits for it.
    pub(super) waiting: Option<FrozenConsent>,
}

pub(super) struct Kept {
    pub(super) record: Record,
    sealed: Vec<u8>,
}

impl Consents {
    pub(crate) fn new(installation: &Installation, marks: Arc<Marks>) -> Self {
        let Installation { store, sealer, .. } = installation;
        Self {
            store: store.clone(),
            sealer: sealer.clone(),
            changed: watch::Sender::default(),
            busy: watch::Sender::default(),
            listeners: Listeners::default(),
            marks,
            lookups: Lookups::default(),
        }
    }

    /// Completes when no consent is being finished here: the provider's answer to a code comes once.
    pub(crate) async fn settled(&self) {
        self.busy.closed().await;
    }

    /// Keeps the outcome of the consent called `id` for its page.
    pub(super) async fn done(&self, id: &str, account: &str, result: Result<Authorized, Error>) {
        match &result {
            Ok(authorized) => info!(account = authorized.account, "a person consented in the browser"),
            Err(error) => warn!(account, "a consent in the browser failed: {error}"),
        }
        let outcome = Outcome::from(&result);
        for _ in 0..OUTCOME_TRIES {
            match self.write_outcome(id, &outcome).await {
                Ok(()) => break,
                Err(_) => tokio::time::sleep(OUTCOME_PAUSE).await,
            }
        }
        self.changed.send_replace(());
    }

    async fn write_outcome(&self, id: &str, outcome: &Outcome) -> Result<(), NotTaken> {
        for _ in 0..TRIES {
            let Some(mut kept) = self.load(id, true).await? else { return Ok(()) };
            kept.record.stage = Stage::Done(outcome.clone());
            if self.replace(id, &kept).await? {
                return Ok(());
            }
        }
        Err(NotTaken::Away)
    }

    /// Ends the consent called `id`, to which no browser was sent. Where it cannot be ended it is over with its time.
    pub(crate) async fn forget(&self, id: &str) {
        let forgetting = async {
            let now = self.store.clock().await?;
            self.store.take_short_lived(ShortLivedKind::Consent, &ShortLived::key_of(id), now).await
        };
        if let Err(error) = forgetting.await {
            warn!("a consent that did not begin waits until its time is over: {error}");
        }
    }

    /// Stores a new consent for this time.
    pub(super) async fn add(&self, id: &str, record: &Record, life: Duration) -> Result<(), Error> {
        let now = self.store.clock().await?;
        self.sealer.refresh();
        let (kind, key) = (ShortLivedKind::Consent, ShortLived::key_of(id));
        let sealed = self.seal(&key, record)?;
        let value = ShortLived { kind, key, sealed, used_at: now, until: now + life };
        Ok(self.store.keep_shortly(&value, now).await?)
    }

    /// The consent called `id`, if its time is not over. `is_marked` says whether the request shows a token that was
    /// made for it.
    pub(super) async fn load(&self, id: &str, is_marked: bool) -> Result<Option<Kept>, NotTaken> {
        let key = ShortLived::key_of(id);
        match self.lookups.judge(&key, is_marked) {
            Judged::Look => {}
            Judged::Gone => return Ok(None),
            Judged::TooMany => return Err(NotTaken::TooMany),
        }
        let read = async {
            let now: OffsetDateTime = self.store.clock().await?;
            self.store.short_lived(ShortLivedKind::Consent, &key, now).await
        };
        let found = read.await.map_err(|error| {
            warn!("a consent cannot be looked up: {error}");
            NotTaken::Away
        })?;
        let Some(ShortLived { kind, key, sealed, .. }) = found else {
            self.lookups.missed(&key, is_marked);
            return Ok(None);
        };
        let text = self.sealer.open(&ShortLived::context(kind, &key), &sealed);
        let text = text.inspect_err(|error| warn!("a consent cannot be opened: {error}"));
        let record = text.ok().and_then(|text| serde_json::from_slice(&text).ok());
        Ok(record.map(|record| Kept { record, sealed }))
    }

    /// Writes the record of a consent that was read; false if another process has written it since.
    pub(super) async fn replace(&self, id: &str, kept: &Kept) -> Result<bool, NotTaken> {
        let key = ShortLived::key_of(id);
        let Ok(new) = self.seal(&key, &kept.record) else { return Err(NotTaken::Away) };
        let replaced =
            self.store.replace_short_lived(ShortLivedKind::Consent, &key, &kept.sealed, &new).await;
        replaced.map_err(|error| {
            warn!("a consent cannot be written: {error}");
            NotTaken::Away
        })
    }

    fn seal(&self, key: &str, record: &Record) -> Result<Vec<u8>, Error> {
        let text = serde_json::to_vec(record).map_err(|error| StoreError::Failed(error.into()))?;
        let text = Zeroizing::new(text);
        Ok(self.sealer.seal(&ShortLived::context(ShortLivedKind::Consent, key), &text)?)
    }
}

impl Record {
    /// Whether `key` is that of the browser that began the consent.
    pub(super) fn judge(&self, key: Option<&Secret>) -> Result<(), NotTaken> {
        let is_right = key
            .is_some_and(|key| same_bytes(ShortLived::key_of(key.expose()).as_bytes(), self.key.as_bytes()));
        if is_right { Ok(()) } else { Err(NotTaken::OtherBrowser) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::control::actors;

    fn record() -> Record {
        Record {
            key: ShortLived::key_of("key"),
            origin: "https://proxy.corp.example".to_owned(),
            account: "bob@corp.example".to_owned(),
            owner: "bob@corp.example".to_owned(),
            provider: "acme".to_owned(),
            back: None,
            actor: actors::by_link(),
            stage: Stage::Working,
            waiting: None,
        }
    }

    #[tokio::test]
    async fn the_oldest_consent_gives_way_to_one_too_many_and_each_ends_with_its_time() {
        let directory = tempfile::tempdir().unwrap();
        let config = Config::parse(&format!("state_directory = {:?}", directory.path()), None).unwrap();
        let marks = Arc::new(Marks::new(&[7; 32]));
        let consents = Consents::new(&Installation::open(config).await.unwrap(), marks);
        let (most, key) = (ShortLivedKind::Consent.most(), Secret::new("key"));
        for number in 0..=most {
            consents.add(&number.to_string(), &record(), Duration::minutes(10)).await.unwrap();
        }
        for (number, is_there) in [(0, false), (1, true), (most, true)] {
            assert_eq!(consents.look(&number.to_string(), Some(&key)).await.is_ok(), is_there, "{number}");
        }
        consents.add("over", &record(), Duration::ZERO).await.unwrap();
        assert!(consents.look("over", Some(&key)).await.is_err());
    }
}
