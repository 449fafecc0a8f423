//! Tells people: a grant needs one of them, is about to, or has healed.
//!
//! What was told last stands in the grant's row. The process that sees a newer state reserves the telling,
//! delivers the event and records it; so an event is told once, whatever the number of processes on a store, and
//! again after a process died while telling. An event holds names, states and cures, never a secret.

// Dates and spans from files, the store and peers: no sum of them may overflow.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod delivery;
mod news;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use self::delivery::Delivery;
use self::news::{Event, News};
use crate::config::{Events, Provider};
use crate::forecast::{self, EndCause};
use crate::metrics::Metrics;
use crate::oauth::Webhook;
use crate::store::{GrantStatus, Store, StoreError};

/// How soon after a change of the store it is looked at.
const CHANGE_POLL: Duration = Duration::from_secs(1);
/// Looked at so often though nothing changed: the calendar moves, too.
const CALENDAR_POLL: u32 = 600;
/// Longer than every attempt at every delivery together. After a failure, the time until the next one.
const TELLING: time::Duration = time::Duration::minutes(5);

/// Watches grants and tells.
pub struct Teller {
    store: Arc<dyn Store>,
    warn: time::Duration,
    delivery: Delivery,
    providers: BTreeMap<String, Arc<Provider>>,
}

impl Teller {
    /// `webhook` posts to the address in `settings`.
    pub fn new(
        store: Arc<dyn Store>,
        settings: Events,
        webhook: Option<Webhook>,
        providers: BTreeMap<String, Arc<Provider>>,
    ) -> Self {
        let warn = time::Duration::days(settings.warn_days.into());
        Self { store, warn, delivery: Delivery::new(settings.command, webhook), providers }
    }

    /// Counts what is delivered.
    pub fn count_in(&mut self, metrics: Arc<Metrics>) {
        self.delivery.count_in(metrics);
    }

    /// Tells until it is `replaced`, which cuts no delivery.
    pub async fn watch(&self, replaced: impl Future<Output = ()>) {
        let mut replaced = std::pin::pin!(replaced);
        let (mut seen, mut looks) = (None, 0);
        loop {
            let look = self.look(&mut seen, looks % CALENDAR_POLL == 0).await;
            if let Err(error) = look {
                tracing::warn!("whether somebody must be told about a grant cannot be read: {error}");
            }
            looks = looks.wrapping_add(1);
            tokio::select! {
                () = &mut replaced => return,
                () = tokio::time::sleep(CHANGE_POLL) => {}
            }
        }
    }

    async fn look(&self, seen: &mut Option<i64>, anyway: bool) -> Result<(), StoreError> {
        // Our own writes count as changes: the look after the last of them finds nothing.
        let version = self.store.changes().await?;
        if seen.replace(version) == Some(version) && !anyway {
            return Ok(());
        }
        let now = OffsetDateTime::now_utc();
        for grant in self.store.statuses().await? {
            if let Some(news) = News::of(&grant, self.near_end(&grant, now)) {
                self.tell(&grant, &news, now).await?;
            }
        }
        Ok(())
    }

    /// The nearest certain end of `grant`, where it is time to warn of it.
    fn near_end(&self, grant: &GrantStatus, now: OffsetDateTime) -> Option<(OffsetDateTime, EndCause)> {
        let ends = forecast::ends(grant, self.providers.get(&grant.provider)?, now);
        let nearest = ends.into_iter().find(|end| end.cause.is_certain())?;
        nearest.at.filter(|at| *at - now <= self.warn).map(|at| (at, nearest.cause))
    }

    async fn tell(&self, grant: &GrantStatus, news: &News, now: OffsetDateTime) -> Result<(), StoreError> {
        let told = grant.told.as_deref();
        if !self.store.claim_telling(&grant.id, told, now, now.saturating_add(TELLING)).await? {
            return Ok(());
        }
        let event = Event::new(grant, news, now);
        tracing::info!(account = event.account, event = event.event, "telling");
        if self.delivery.deliver(&event).await {
            self.store.set_told(&grant.id, news.mark()).await?;
        }
        Ok(())
    }
}
