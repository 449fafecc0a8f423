//! Renews tokens before anybody waits for them.
//!
//! Grants in use get a new token a little before a login would ask for one; idle ones are refreshed once
//! a week, so that none dies of disuse; refused ones are asked about now and then, in case the provider
//! or an administrator has mended it. When something is due follows from the row and the wall clock alone,
//! kept in the store beside the row: a look reads only the grants whose time has come, or that were written
//! since. A machine that slept catches up, and several processes on one store agree, since each refresh is done
//! under the lease and a process that comes later finds it done.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::clients::Clients;
use super::{Inner, SESSION_MARGIN, Wanted, pause_until};
use crate::store::{
    GrantKind, GrantState, GrantStatus, Id, LONGEST_LOOK, NextLook, StoreError, Watch, is_of_domain,
};

/// So recent a login means that the next one is near: people look into their mail every day.
const IN_USE: Duration = Duration::days(1);
/// A refresh token that nobody uses dies after months (Google six, Microsoft three).
const IDLE_REFRESH: Duration = Duration::weeks(1);
/// A refusal that was a provider's mistake heals by itself; more often would look like an attack.
const REFUSED_RETRY: Duration = Duration::days(1);
/// Waits for an administrator; a restart asks at once.
const MISCONFIGURED_RETRY: Duration = Duration::hours(1);
/// How far the clocks of two processes on one store may lie apart.
const CLOCK_SKEW: Duration = Duration::hours(1);
/// Background refreshes at once: logins come first.
const AT_ONCE: usize = 4;
/// The pause between two looks at the store: while there is something to do, else, and after a failure.
const SHORTEST_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);
const IDLE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);
/// Grants that are read at once.
const PAGE: u32 = 200;
/// Refreshes that wait for a slot: with more, nothing else is read.
const MOST_WAITING: usize = 200;
/// When a grant is looked at again that is being refreshed: no answer takes longer.
const UNDER_WAY: Duration = Duration::seconds(45);

pub(super) async fn run(inner: &Arc<Inner>, in_use: impl Fn() -> HashSet<Id>) {
    let mut upkeep = Upkeep {
        inner: inner.clone(),
        slots: Arc::new(Semaphore::new(AT_ONCE)),
        under_way: HashMap::new(),
        tasks: JoinSet::new(),
        unread: Some(None),
        clients: inner.clients.load_full(),
    };
    loop {
        let pause = match upkeep.look(&in_use).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::warn!("no token is renewed ahead of time: {error}");
                LONGEST_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

struct Upkeep {
    inner: Arc<Inner>,
    slots: Arc<Semaphore>,
    under_way: HashMap<Id, AbortHandle>,
    /// They end with this; the refreshes that they wait for go on.
    tasks: JoinSet<()>,
    /// Of the configuration in force.
    clients: Arc<Clients>,
    /// Up to which grant all were read since the start, or since the configuration changed. What is due also follows
    /// from the configuration, which may be another one than when the times in the store were worked out; `None`
    /// once all were.
    unread: Option<Option<Id>>,
}

impl Upkeep {
    /// Starts what is due, and returns how long to wait before the next look.
    async fn look(&mut self, in_use: &impl Fn() -> HashSet<Id>) -> Result<std::time::Duration, StoreError> {
        while self.tasks.try_join_next().is_some() {}
        // However they ended: one that panicked must not keep its grant from being renewed.
        self.under_way.retain(|_, task| !task.is_finished());
        let clients = self.inner.clients.load_full();
        if !Arc::ptr_eq(&clients, &self.clients) {
            self.clients = clients;
            self.unread = Some(None);
        }
        if self.under_way.len() >= MOST_WAITING {
            return Ok(SHORTEST_PAUSE);
        }
        let (store, in_use, now) = (self.inner.store.clone(), in_use(), OffsetDateTime::now_utc());
        if let Some(after) = &self.unread {
            let grants = store.statuses(Watch::Upkeep, after.as_ref(), PAGE).await?;
            let sooner = self.begin(&grants, &in_use, now);
            store.look_again(Watch::Upkeep, &sooner).await?;
            self.unread = grants.last().map(|last| Some(last.id.clone()));
        }
        let grants = store.due(Watch::Upkeep, now, PAGE).await?;
        let looks = self.begin(&grants, &in_use, now);
        store.look_again(Watch::Upkeep, &looks).await?;
        Ok(if grants.is_empty() && self.unread.is_none() { IDLE_PAUSE } else { SHORTEST_PAUSE })
    }

    /// Starts what is due of `grants`, and returns when to look at them again, where that is not written yet.
    fn begin(&mut self, grants: &[GrantStatus], in_use: &HashSet<Id>, now: OffsetDateTime) -> Vec<NextLook> {
        let mut looks = Vec::new();
        for grant in grants {
            let at = match self.due(grant, in_use.contains(&grant.id), now) {
                Some(at) if at <= now => {
                    self.renew(grant);
                    // Its end is written to the row, which is due then; this is for one that ends without.
                    now.saturating_add(UNDER_WAY)
                }
                Some(at) => at,
                None => now.saturating_add(LONGEST_LOOK),
            };
            looks.extend(grant.next_look(at, now));
        }
        looks
    }

    /// When `grant` is to be refreshed in the background, as far as its row and the configuration tell.
    fn due(&self, grant: &GrantStatus, has_sessions: bool, now: OffsetDateTime) -> Option<OffsetDateTime> {
        // Disabled accounts get no token ahead of time.
        if grant.accounts.is_empty() {
            return None;
        }
        let provider = self.clients.get(&grant.provider)?;
        let known = provider.client.provider();
        // Of a whole domain's there is no token to renew: each mailbox has its own, in memory.
        if grant.kind == GrantKind::App && known.app_tokens_are_per_mailbox() && is_of_domain(&grant.owner) {
            return None;
        }
        due(grant, has_sessions, known.idle_days, now)
    }

    fn renew(&mut self, grant: &GrantStatus) {
        let id = grant.id.clone();
        if self.under_way.contains_key(&id) {
            return;
        }
        let wanted = Wanted::EndingAfter(grant.access_expires_at.unwrap_or(OffsetDateTime::UNIX_EPOCH));
        let (inner, slots, of) = (self.inner.clone(), self.slots.clone(), id.clone());
        let task = self.tasks.spawn(async move {
            let slot = slots.acquire_owned().await;
            if let Err(failure) = inner.join(&of, wanted).await {
                tracing::debug!("not renewed ahead of time: {failure}");
            }
            drop(slot);
        });
        self.under_way.insert(id, task);
    }
}

/// When `grant` is to be refreshed in the background.
fn due(
    grant: &GrantStatus,
    has_sessions: bool,
    idle_days: Option<u32>,
    now: OffsetDateTime,
) -> Option<OffsetDateTime> {
    if !grant.in_force {
        return None;
    }
    let failed_at = grant.failed_at.map_or(now, |at| past(at, now));
    let renewed_at = past(grant.renewed_at, now);
    let jitter = jitter(grant);
    let at = match grant.state {
        GrantState::NeedsAuthorization => {
            failed_at.saturating_add(scaled(REFUSED_RETRY, 1.0 + jitter / 10.0))
        }
        GrantState::Misconfigured | GrantState::WaitingForAdministrator => {
            failed_at.saturating_add(scaled(MISCONFIGURED_RETRY, 1.0 + jitter / 10.0))
        }
        GrantState::Ok | GrantState::Retrying => {
            let in_use = has_sessions || grant.last_login_at.is_some_and(|at| now - past(at, now) < IN_USE);
            match grant.access_expires_at {
                Some(ends) if in_use => before_a_login_asks(ends, ends - renewed_at, jitter),
                None if in_use && grant.kind == GrantKind::Person => now,
                // An application's own right does not die of disuse; what it needs is asked for at a login.
                _ if grant.kind == GrantKind::App => return None,
                _ => {
                    let longest =
                        idle_days.map_or(IDLE_REFRESH, |days| scaled(Duration::days(days.into()), 0.5));
                    renewed_at.saturating_add(scaled(IDLE_REFRESH.min(longest), 1.0 - jitter / 10.0))
                }
            }
        }
    };
    Some(pause_until(grant.retry_at, now).map_or(at, |retry_at| at.max(retry_at)))
}

/// When something happened. A date that lies ahead is one of a wrong clock, so it was at some time; what
/// waits for its distance is then due, and the row gets a right one.
fn past(at: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    match at - now > CLOCK_SKEW {
        true => OffsetDateTime::UNIX_EPOCH,
        false => at,
    }
}

/// A login asks for another token once half an hour or half of its life is left; this is a twentieth to a
/// tenth of its life earlier.
fn before_a_login_asks(ends: OffsetDateTime, life: Duration, jitter: f64) -> OffsetDateTime {
    let life = life.max(Duration::ZERO);
    let margin = SESSION_MARGIN.min(scaled(life, 0.5));
    ends.saturating_sub(margin).saturating_sub(scaled(life, (1.0 + jitter) / 20.0))
}

/// A span times a number, of whatever size: `*` panics where the result is none.
fn scaled(span: Duration, by: f64) -> Duration {
    Duration::saturating_seconds_f64(span.as_seconds_f64() * by)
}

/// From 0 to 1: the same in all processes, other for each grant and each time, so that grants that were
/// renewed together do not come back together.
fn jitter(grant: &GrantStatus) -> f64 {
    let seed = grant.renewed_at.unix_timestamp().to_le_bytes();
    let bytes = grant.id.0.bytes().chain(seed);
    // FNV-1a.
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    f64::from(hash) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::any_date;

    fn grant(now: OffsetDateTime) -> GrantStatus {
        GrantStatus {
            id: Id("grant".into()),
            kind: GrantKind::Person,
            provider: "acme".into(),
            owner: "alice".into(),
            state: GrantState::Ok,
            trouble: None,
            in_force: true,
            access_expires_at: Some(now + Duration::hours(1)),
            renewed_at: now,
            refresh_expires_at: None,
            failed_at: None,
            retry_at: None,
            last_login_at: None,
            accounts: Vec::new(),
            told: None,
            look: 0,
        }
    }

    proptest! {
        #[test]
        fn security_row_33_no_date_makes_upkeep_panic(
            dates in (any_date(), any_date(), any_date(), any_date(), any_date()),
            now in any_date(),
            state in prop::sample::select(GrantState::ALL.to_vec()),
            has_sessions: bool,
            idle_days: Option<u32>,
        ) {
            let grant = GrantStatus {
                state,
                access_expires_at: Some(dates.0),
                renewed_at: dates.1,
                failed_at: Some(dates.2),
                retry_at: Some(dates.3),
                last_login_at: Some(dates.4),
                ..grant(now)
            };
            let at = due(&grant, has_sessions, idle_days, now).unwrap();
            let _ = (at - now).unsigned_abs();
        }
    }

    #[test]
    fn security_row_33_a_date_that_lies_ahead_keeps_no_grant_from_being_renewed() {
        let now = OffsetDateTime::now_utc();
        let ahead = now + Duration::days(10_000);
        let renewed = GrantStatus { renewed_at: ahead, ..grant(now) };
        assert!(due(&renewed, false, None, now).unwrap() <= now);
        let failed = |state| GrantStatus { state, failed_at: Some(ahead), ..grant(now) };
        assert!(due(&failed(GrantState::NeedsAuthorization), false, None, now).unwrap() <= now);
        let waiting = GrantStatus {
            retry_at: Some(ahead),
            failed_at: Some(now - Duration::days(2)),
            state: GrantState::NeedsAuthorization,
            ..grant(now)
        };
        assert!(due(&waiting, false, None, now).unwrap() <= now, "no provider asks to wait for years");
    }

    #[test]
    fn one_in_use_is_renewed_before_a_login_would_ask() {
        let now = OffsetDateTime::now_utc();
        for recent in [GrantStatus { last_login_at: Some(now), ..grant(now) }, grant(now)] {
            let at = due(&recent, recent.last_login_at.is_none(), None, now).unwrap();
            let left = recent.access_expires_at.unwrap() - at;
            assert!(left >= Duration::minutes(33) && left <= Duration::minutes(36), "{left}");
        }
    }

    #[test]
    fn an_idle_one_is_renewed_long_before_it_dies() {
        let now = OffsetDateTime::now_utc();
        let days =
            |idle_days| (due(&grant(now), false, idle_days, now).unwrap() - now).as_seconds_f64() / 86_400.0;
        assert!((6.3..=7.0).contains(&days(None)) && (6.3..=7.0).contains(&days(Some(90))));
        assert!((0.9..=1.0).contains(&days(Some(2))));
    }

    #[test]
    fn trouble_is_tried_again_rarely_and_never_too_early() {
        let now = OffsetDateTime::now_utc();
        let failed = |state| GrantStatus { state, failed_at: Some(now), ..grant(now) };
        assert!(
            due(&failed(GrantState::NeedsAuthorization), true, None, now).unwrap() >= now + REFUSED_RETRY
        );
        assert!(
            due(&failed(GrantState::Misconfigured), true, None, now).unwrap() >= now + MISCONFIGURED_RETRY
        );
        let asked_to_wait = now + Duration::hours(5);
        let waiting = GrantStatus { retry_at: Some(asked_to_wait), ..failed(GrantState::Retrying) };
        assert_eq!(due(&waiting, true, None, now), Some(asked_to_wait));
        assert_eq!(due(&GrantStatus { kind: GrantKind::App, ..grant(now) }, false, None, now), None);
        assert_eq!(due(&GrantStatus { in_force: false, ..grant(now) }, true, None, now), None);
    }
}
