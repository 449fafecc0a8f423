//! The consents under way, and what is shown of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, watch};
use tokio::time::Instant;
use tracing::{info, warn};
use url::Url;

use super::redirect::Listener;
use crate::control::answers::Onwards;
use crate::control::authorize::{Authorized, Consent};
use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::oauth::RedirectError;
use crate::secret::{Secret, same_bytes};

/// The path on the page that takes a browser's answer, with the query of the redirect.
pub(crate) const ANSWER: &str = "/answer";
/// The most consents at one time; far more than people give. The oldest goes first.
const MOST: usize = 200;

/// A consent as its page shows it.
pub(crate) struct View {
    /// The account's name.
    pub(crate) account: String,
    /// The person who consents.
    pub(crate) owner: String,
    /// The provider's title.
    pub(crate) provider: String,
    /// Where the person begins again.
    pub(crate) back: Option<Secret>,
    /// How far it is.
    pub(crate) stage: Stage,
}

/// How far a consent is.
#[derive(Clone)]
pub(crate) enum Stage {
    /// The person signs in at `url`, and pastes the address at which the browser ends if `pastes`.
    Waiting { url: Url, pastes: bool },
    /// The answer is checked and the mailbox is tried.
    Working,
    /// It is over.
    Done(Arc<Result<Authorized, Error>>),
}

/// Why an answer was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    /// No consent waits for it: it is over, or it was answered.
    #[error("no sign-in waits for this answer: it took too long, or it was answered already")]
    Unknown,
    /// It came in another browser than the one that began the consent. Nothing has changed.
    #[error("this sign-in began in another browser, and only that one can finish it; nothing was changed")]
    OtherBrowser,
    /// The text that the person pasted is no answer; the consent goes on waiting.
    #[error("{0}")]
    Pasted(RedirectError),
}

/// The consents under way.
#[derive(Default)]
pub(crate) struct Consents {
    pub(super) entries: Mutex<Vec<Entry>>,
    pub(super) changed: watch::Sender<()>,
    /// Each consent that is being finished holds a receiver.
    pub(super) busy: watch::Sender<()>,
    /// Those of the consents under way, by their redirect URIs.
    pub(super) listeners: AsyncMutex<HashMap<String, Weak<Listener>>>,
}

pub(super) struct Entry {
    pub(super) id: String,
    pub(super) key: Secret,
    /// The `state` of the answer.
    pub(super) state: Secret,
    pub(super) origin: String,
    pub(super) account: String,
    pub(super) owner: String,
    pub(super) provider: String,
    pub(super) back: Option<Secret>,
    pub(super) until: Instant,
    pub(super) stage: Stage,
    pub(super) waiting: Option<Waiting>,
}

/// What the answer needs.
pub(super) struct Waiting {
    pub(super) consent: Box<Consent>,
    pub(super) installation: Arc<Installation>,
    /// Held until the answer is there.
    pub(super) _listener: Option<Arc<Listener>>,
}

impl Consents {
    /// Finds where browsers take answers, for a receiver of redirects.
    pub(crate) fn onwards(self: Arc<Self>) -> Onwards {
        Arc::new(move |state: &str| self.place_of(state))
    }

    /// Where a browser takes the answer with this `state`: an address on the page where its consent began.
    pub(crate) fn place_of(&self, state: &str) -> Option<String> {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry.has_state(state) && entry.waiting.is_some())?;
        Some(format!("{}{ANSWER}", entry.origin))
    }

    pub(super) fn look(&self, id: &str, key: Option<&Secret>) -> Option<View> {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry.id == id)?;
        entry.judge(key).ok()?;
        Some(View {
            account: entry.account.clone(),
            owner: entry.owner.clone(),
            provider: entry.provider.clone(),
            back: entry.back.clone(),
            stage: entry.stage.clone(),
        })
    }

    /// Completes when no consent is being finished: the provider's answer to a code comes once.
    pub(crate) async fn settled(&self) {
        self.busy.closed().await;
    }

    /// Keeps the outcome of the consent called `id` for its page.
    pub(super) fn done(&self, id: &str, result: Result<Authorized, Error>) {
        {
            let mut entries = self.entries();
            let Some(entry) = entries.iter_mut().find(|entry| entry.id == id) else { return };
            match &result {
                Ok(authorized) => info!(account = authorized.account, "a person consented in the browser"),
                Err(error) => warn!(account = entry.account, "a consent in the browser failed: {error}"),
            }
            entry.stage = Stage::Done(Arc::new(result));
        }
        self.changed.send_replace(());
    }

    /// Ends the consent called `id`, to which no browser was sent.
    pub(crate) fn forget(&self, id: &str) {
        self.entries().retain(|entry| entry.id != id);
    }

    pub(super) fn add(&self, entry: Entry) {
        let mut entries = self.entries();
        if entries.len() >= MOST {
            entries.remove(0);
        }
        entries.push(entry);
    }

    /// The consents whose time is not over.
    pub(super) fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        entries.retain(|entry| now < entry.until);
        entries
    }
}

impl Entry {
    pub(super) fn has_state(&self, state: &str) -> bool {
        same_bytes(self.state.expose().as_bytes(), state.as_bytes())
    }

    /// Whether `key` is that of the browser that began the consent.
    pub(super) fn judge(&self, key: Option<&Secret>) -> Result<(), NotTaken> {
        if key.is_some_and(|key| *key == self.key) { Ok(()) } else { Err(NotTaken::OtherBrowser) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(number: usize, until: Instant) -> Entry {
        Entry {
            id: number.to_string(),
            key: Secret::new("key"),
            state: Secret::new("state"),
            origin: "https://proxy.corp.example".to_owned(),
            account: "bob@corp.example".to_owned(),
            owner: "bob@corp.example".to_owned(),
            provider: "acme".to_owned(),
            back: None,
            until,
            stage: Stage::Working,
            waiting: None,
        }
    }

    #[test]
    fn the_oldest_consent_gives_way_to_one_too_many_and_each_ends_with_its_time() {
        let (consents, now) = (Consents::default(), Instant::now());
        let is_there =
            |number: usize| consents.look(&number.to_string(), Some(&Secret::new("key"))).is_some();
        for number in 0..=MOST {
            consents.add(entry(number, now + Duration::from_secs(600)));
        }
        assert!(!is_there(0) && is_there(1) && is_there(MOST));
        consents.add(entry(MOST + 1, now));
        assert!(!is_there(MOST + 1));
    }
}
