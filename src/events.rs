//! Tells people: a grant needs one of them, is about to, or has healed.
//!
//! One cause is one event: a client secret of fifty accounts that ends, or works again, names all fifty.
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
use crate::store::{Act, Actor, GrantStatus, Id, LONGEST_LOOK, Store, StoreError, Watch};

/// How soon after a change of a grant it is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Grants that are read at once, and the pause between two such reads.
const PAGE: u32 = 200;
const BETWEEN_PAGES: Duration = Duration::from_millis(50);
/// When a grant is looked at again that something was to be told about.
const AGAIN: time::Duration = time::Duration::seconds(30);
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
        // What is near also follows from the configuration, which may be another one than at the last start.
        let mut anyway = true;
        loop {
            match self.look(anyway).await {
                Ok(()) => anyway = false,
                Err(error) => {
                    tracing::warn!("whether somebody must be told about a grant cannot be read: {error}");
                }
            }
            tokio::select! {
                () = &mut replaced => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Looks at what was written since the last look and at what has become due, or at everything.
    async fn look(&self, anyway: bool) -> Result<(), StoreError> {
        let now = OffsetDateTime::now_utc();
        let mut round = Round::default();
        if anyway {
            let mut pages = Statuses::default();
            while let Some(page) = pages.next(&*self.store).await? {
                self.sift(page, &mut round, now).await?;
            }
        }
        loop {
            let due = self.store.due(Watch::News, now, PAGE).await?;
            let is_last = due.len() < PAGE as usize;
            self.sift(due, &mut round, now).await?;
            if is_last {
                break;
            }
        }
        for (cause, members) in round.causes {
            self.tell_of(cause, members, now).await?;
        }
        Ok(())
    }

    /// Puts what is news into `round`, and writes down when to look at each grant again.
    async fn sift(
        &self,
        grants: Vec<GrantStatus>,
        round: &mut Round,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut looks = Vec::new();
        for grant in grants {
            let end = self.nearest_end(&grant, now);
            let near = end.clone().filter(|(at, _)| *at - now <= self.warn);
            // Of disabled accounts there is nothing to tell, as long as they are.
            let news = if grant.accounts.is_empty() { None } else { News::of(&grant, near) };
            let at = match (&news, end) {
                // A grant that was told of is due at once. This is for an event that was not delivered.
                (Some(_), _) => now.saturating_add(AGAIN),
                (None, Some((at, _))) if at - now > self.warn => at.saturating_sub(self.warn),
                (None, _) => now.saturating_add(LONGEST_LOOK),
            };
            looks.extend(grant.next_look(at, now));
            if let Some(news) = news {
                round.add(grant, news);
            }
        }
        self.store.look_again(Watch::News, &looks).await
    }

    /// The nearest certain end of `grant`.
    fn nearest_end(&self, grant: &GrantStatus, now: OffsetDateTime) -> Option<(OffsetDateTime, EndCause)> {
        let ends = forecast::ends(grant, self.providers.get(&grant.provider)?, now);
        let nearest = ends.into_iter().find(|end| end.cause.is_certain())?;
        nearest.at.map(|at| (at, nearest.cause))
    }

    async fn tell_of(
        &self,
        cause: OneCause,
        mut members: Vec<Member>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut others = Vec::new();
        match &cause {
            OneCause::ClientRefused(provider) => {
                let clients = self.of_client(provider).await?;
                if clients.iter().any(news::is_told_of_client) {
                    // That event named them all; what one account after another meets is no news.
                    return self.remember(&members, None).await;
                }
                others.extend(clients.into_iter().flat_map(|grant| grant.accounts));
            }
            OneCause::ClientHealed(provider) => {
                // It has healed once no account meets it any more. Then one event names all that met it, also those
                // that healed a while ago.
                let clients = self.of_client(provider).await?;
                if clients.iter().any(news::is_told_of_client) {
                    return Ok(());
                }
                members =
                    clients.into_iter().filter(news::has_healed_of_client).map(Member::healed).collect();
            }
            OneCause::Grant(_) | OneCause::SecretEnds(_) | OneCause::Healed(_) => {}
        }
        self.tell(members, others, now).await
    }

    /// The grants in force, of accounts that are not disabled, that are refreshed with the client of `provider`.
    async fn of_client(&self, provider: &str) -> Result<Vec<GrantStatus>, StoreError> {
        let (mut pages, mut found) = (Statuses::default(), Vec::new());
        while let Some(page) = pages.next(&*self.store).await? {
            found.extend(
                page.into_iter().filter(|grant| {
                    grant.in_force && grant.provider == provider && !grant.accounts.is_empty()
                }),
            );
        }
        Ok(found)
    }

    /// Tells of `members` in one event, which names the accounts in `others`, too.
    async fn tell(
        &self,
        members: Vec<Member>,
        others: Vec<String>,
        now: OffsetDateTime,
    ) -> Result<(), StoreError> {
        let mut claimed = Vec::new();
        for member in members {
            let told = member.grant.told.as_deref();
            if self.store.claim_telling(&member.grant.id, told, now, now.saturating_add(TELLING)).await? {
                claimed.push(member);
            }
        }
        let Some(Member { grant, news }) = claimed.first() else { return Ok(()) };
        let mut event = Event::new(grant, news, now);
        event.name(claimed.iter().flat_map(|member| member.grant.accounts.iter().cloned()).chain(others));
        tracing::info!(
            account = event.account,
            event = event.event,
            accounts = event.accounts.len(),
            "telling"
        );
        if !self.delivery.deliver(&event).await {
            return Ok(());
        }
        let actor = Actor { surface: "serve".to_owned(), user: None, uid: None };
        let deed = event.event.to_owned();
        let act = Act { deed, accounts: event.accounts, about: event.reason, actor, at: now };
        self.remember(&claimed, Some(&act)).await
    }

    /// Writes down that all `members`, which have one cause, are told, and the telling where there was one.
    async fn remember(&self, members: &[Member], act: Option<&Act>) -> Result<(), StoreError> {
        let Some(first) = members.first() else { return Ok(()) };
        let ids: Vec<&Id> = members.iter().map(|member| &member.grant.id).collect();
        self.store.set_told(&ids, first.news.mark(), act).await
    }
}

/// Everything that is worth telling at one look, by what caused it: one event each.
#[derive(Default)]
struct Round {
    causes: BTreeMap<OneCause, Vec<Member>>,
}

/// A grant, and what is to be told about it.
struct Member {
    grant: GrantStatus,
    news: News,
}

impl Member {
    fn healed(grant: GrantStatus) -> Self {
        Self { grant, news: News::Healed }
    }
}

/// What several grants may have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum OneCause {
    /// Nothing: it is the grant's own.
    Grant(Id),
    /// The secret of this provider's client ends.
    SecretEnds(String),
    /// This provider does not take its client any more.
    ClientRefused(String),
    /// It does again.
    ClientHealed(String),
    /// Grants of this provider work again.
    Healed(String),
}

impl Round {
    fn add(&mut self, grant: GrantStatus, news: News) {
        let provider = grant.provider.clone();
        let cause = match &news {
            News::AboutTo(_, EndCause::ClientSecret) => OneCause::SecretEnds(provider),
            News::ClientRefused => OneCause::ClientRefused(provider),
            News::Healed if news::was_told_of_client(&grant) => OneCause::ClientHealed(provider),
            News::Healed => OneCause::Healed(provider),
            News::NeedsPerson(_) | News::AboutTo(..) => OneCause::Grant(grant.id.clone()),
        };
        self.causes.entry(cause).or_default().push(Member { grant, news });
    }
}

/// Reads all grants page by page.
#[derive(Default)]
struct Statuses {
    after: Option<Id>,
}

impl Statuses {
    async fn next(&mut self, store: &dyn Store) -> Result<Option<Vec<GrantStatus>>, StoreError> {
        let page = store.statuses(Watch::News, self.after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        if self.after.replace(last.id.clone()).is_some() {
            // Logins come first.
            tokio::time::sleep(BETWEEN_PAGES).await;
        }
        Ok(Some(page))
    }
}
