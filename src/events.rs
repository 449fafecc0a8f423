//! Reports when a grant needs a person, will soon need one, or works again.
//!
//! One cause is one event: when the client secret of fifty accounts expires, or works again, one event names
//! all fifty. The grant's row records what was reported last. The process that sees a newer state claims the
//! report in the row, delivers the event, and records it. So an event is reported once, however many
//! processes use the store, and again if a process died during delivery. An event holds names, states and
//! cures, never a secret.

// Files, the store and peers supply arbitrary dates and durations; adding them must not overflow.
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
use crate::links::Links;
use crate::metrics::Metrics;
use crate::oauth::Webhook;
use crate::store::{Act, Actor, GrantStatus, Id, LONGEST_LOOK, Result, Store, Watch};

/// The pause between two looks for changed grants.
const LOOK: Duration = Duration::from_secs(1);
/// Grants that one query reads, and the pause between two queries.
const PAGE: u32 = 200;
const BETWEEN_PAGES: Duration = Duration::from_millis(50);
/// When to look again at a grant with news, in case the delivery failed.
const AGAIN: time::Duration = time::Duration::seconds(30);
/// How long a claim to report lasts: longer than all delivery attempts together. After a failure it is the
/// time until the next attempt.
const TELLING: time::Duration = time::Duration::minutes(5);

/// Watches grants and reports news.
pub struct Teller {
    store: Arc<dyn Store>,
    warn: time::Duration,
    delivery: Delivery,
    providers: BTreeMap<String, Arc<Provider>>,
    links: Links,
}

impl Teller {
    /// `webhook` posts to the address in `settings`. Deliveries are counted in `metrics`.
    pub fn new(
        store: Arc<dyn Store>,
        settings: Events,
        webhook: Option<Webhook>,
        providers: BTreeMap<String, Arc<Provider>>,
        links: Links,
        metrics: Arc<Metrics>,
    ) -> Self {
        let warn = time::Duration::days(settings.warn_days.into());
        let delivery = Delivery { command: settings.command, webhook, metrics };
        Self { store, warn, delivery, providers, links }
    }

    /// Runs until `replaced`, which interrupts no delivery.
    pub async fn watch(&self, replaced: impl Future<Output = ()>) {
        let mut replaced = std::pin::pin!(replaced);
        // The first look reads all grants: the configuration decides what is near, and may have changed since
        // the last start.
        let mut anyway = true;
        loop {
            match self.look(anyway).await {
                Ok(()) => anyway = false,
                Err(error) => {
                    tracing::warn!("events are delayed, because the grants cannot be read: {error}");
                }
            }
            tokio::select! {
                () = &mut replaced => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Looks at the grants that were written or became due since the last look, or at all of them.
    async fn look(&self, anyway: bool) -> Result<()> {
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
        for (cause, members) in round {
            self.tell_of(cause, members, now).await?;
        }
        Ok(())
    }

    /// Adds news to `round`, and stores when to look at each grant again.
    async fn sift(&self, grants: Vec<GrantStatus>, round: &mut Round, now: OffsetDateTime) -> Result<()> {
        let mut looks = Vec::new();
        for grant in grants {
            let end = self.nearest_end(&grant, now);
            let near = end.clone().filter(|(at, _)| *at - now <= self.warn);
            // A disabled account's grant is not reported while the account is disabled.
            let news = if grant.accounts.is_empty() { None } else { News::of(&grant, near) };
            let at = match (&news, end) {
                // A delivered event makes the grant due by itself. This time covers an event that was not delivered.
                (Some(_), _) => now.saturating_add(AGAIN),
                (None, Some((at, _))) if at - now > self.warn => at.saturating_sub(self.warn),
                (None, _) => now.saturating_add(LONGEST_LOOK),
            };
            looks.extend(grant.next_look(at, now));
            if let Some(news) = news {
                round.entry(OneCause::of(&grant, &news)).or_default().push(Member { grant, news });
            }
        }
        self.store.look_again(Watch::News, &looks).await
    }

    /// The nearest end of `grant` that is certain.
    fn nearest_end(&self, grant: &GrantStatus, now: OffsetDateTime) -> Option<(OffsetDateTime, EndCause)> {
        let ends = forecast::ends(grant, self.providers.get(&grant.provider)?, now);
        let nearest = ends.into_iter().find(|end| end.cause.is_certain())?;
        nearest.at.map(|at| (at, nearest.cause))
    }

    async fn tell_of(&self, cause: OneCause, mut members: Vec<Member>, now: OffsetDateTime) -> Result<()> {
        let mut others = Vec::new();
        match &cause {
            OneCause::ClientRefused(provider) => {
                let clients = self.of_client(provider).await?;
                if clients.iter().any(news::is_told_of_client) {
                    // That event named all accounts, so it covers these grants too.
                    return self.remember(&members, None).await;
                }
                others.extend(clients.into_iter().flat_map(|grant| grant.accounts));
            }
            OneCause::ClientHealed(provider) => {
                // Wait until no grant has the trouble. Then one event names all grants that had it, including
                // those that recovered earlier.
                let clients = self.of_client(provider).await?;
                if clients.iter().any(news::is_told_of_client) {
                    return Ok(());
                }
                let healed = clients.into_iter().filter(news::has_healed_of_client);
                members = healed.map(|grant| Member { grant, news: News::Healed }).collect();
            }
            OneCause::Grant(_) | OneCause::SecretEnds(_) | OneCause::Healed(_) => {}
        }
        self.tell(members, others, now).await
    }

    /// The grants in force that use the client of `provider` and have an enabled account.
    async fn of_client(&self, provider: &str) -> Result<Vec<GrantStatus>> {
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

    /// Reports `members` in one event, which also names the accounts in `others`.
    async fn tell(&self, members: Vec<Member>, others: Vec<String>, now: OffsetDateTime) -> Result<()> {
        let mut claimed = Vec::new();
        for member in members {
            let told = member.grant.told.as_deref();
            if self.store.claim_telling(&member.grant.id, told, now, now.saturating_add(TELLING)).await? {
                claimed.push(member);
            }
        }
        let Some(Member { grant, news }) = claimed.first() else { return Ok(()) };
        let mut event = Event::new(grant, news, now);
        if news.is_mended_by_consent(grant) {
            event.sign_in_url = self.links.for_people(&event.account).await;
        }
        let named = claimed.iter().flat_map(|member| member.grant.accounts.iter().cloned());
        event.accounts = named.chain(others).collect();
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
        let (deed, accounts) = (event.event.to_owned(), event.accounts.into_iter().collect());
        let act = Act { deed, accounts, about: event.reason, actor, at: now };
        self.remember(&claimed, Some(&act)).await
    }

    /// Records in the rows that all `members`, which have one cause, are reported, and the delivery `act` if there was
    /// one.
    async fn remember(&self, members: &[Member], act: Option<&Act>) -> Result<()> {
        let Some(first) = members.first() else { return Ok(()) };
        let ids: Vec<&Id> = members.iter().map(|member| &member.grant.id).collect();
        self.store.set_told(&ids, first.news.mark(), act).await
    }
}

/// The news of one look, grouped by cause: one event for each.
type Round = BTreeMap<OneCause, Vec<Member>>;

/// A grant and its news.
struct Member {
    grant: GrantStatus,
    news: News,
}

/// A cause that several grants may share.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum OneCause {
    /// A cause of this grant alone.
    Grant(Id),
    /// The client secret of this provider expires.
    SecretEnds(String),
    /// This provider refuses its client.
    ClientRefused(String),
    /// This provider accepts its client again.
    ClientHealed(String),
    /// Grants of this provider work again.
    Healed(String),
}

impl OneCause {
    fn of(grant: &GrantStatus, news: &News) -> Self {
        let provider = grant.provider.clone();
        match news {
            News::AboutTo(_, EndCause::ClientSecret) => Self::SecretEnds(provider),
            News::ClientRefused => Self::ClientRefused(provider),
            News::Healed if news::was_told_of_client(grant) => Self::ClientHealed(provider),
            News::Healed => Self::Healed(provider),
            News::NeedsPerson(_) | News::AboutTo(..) => Self::Grant(grant.id.clone()),
        }
    }
}

/// Reads all grants page by page.
#[derive(Default)]
struct Statuses {
    after: Option<Id>,
}

impl Statuses {
    async fn next(&mut self, store: &dyn Store) -> Result<Option<Vec<GrantStatus>>> {
        let page = store.statuses(Watch::News, self.after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(None) };
        if self.after.replace(last.id.clone()).is_some() {
            // Leaves the store to logins for a moment.
            tokio::time::sleep(BETWEEN_PAGES).await;
        }
        Ok(Some(page))
    }
}
