//! Renews tokens before a login has to wait for one.
//!
//! A grant in use gets a new token shortly before a login would need one. An idle grant is refreshed once a
//! week, so that its refresh token does not die of disuse. A refused grant is tried again now and then,
//! because the provider or an administrator may have fixed the cause. The due time follows from the row, the
//! configuration and the wall clock, and is stored beside the row; a look reads only the grants that are due
//! or were written since. So a machine that slept catches up. Several processes can share a store: each
//! refresh takes the lease, and a process that comes later finds the new token in the row.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use time::{Duration, OffsetDateTime};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

use super::clients::Clients;
use super::pause::pause_until;
use super::{Inner, SESSION_MARGIN, Wanted};
use crate::store::{
    GrantKind, GrantState, GrantStatus, Id, LONGEST_LOOK, NextLook, StoreError, Watch, is_of_domain,
};

/// An account with a login this recent counts as in use: people read mail daily.
const IN_USE: Duration = Duration::days(1);
/// Providers end unused refresh tokens after months (Google six, Microsoft three).
const IDLE_REFRESH: Duration = Duration::weeks(1);
/// A provider's mistaken refusal ends by itself. More frequent tries would look like an attack.
const REFUSED_RETRY: Duration = Duration::days(1);
/// An administrator has to act. A restart tries at once.
const MISCONFIGURED_RETRY: Duration = Duration::hours(1);
/// How far the clocks of two processes on one store may differ.
const CLOCK_SKEW: Duration = Duration::hours(1);
/// Concurrent background refreshes. A low limit leaves the endpoint to logins.
const AT_ONCE: usize = 4;
/// The pauses between two looks at the store: with work left, with none left, and after a failure.
const SHORTEST_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);
const IDLE_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(5);
/// Grants that one query reads.
const PAGE: u32 = 200;
/// With this many refreshes waiting for a slot, no more grants are read.
const MOST_WAITING: usize = 200;
/// When to look again at a grant that is being refreshed: no refresh takes longer.
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
    /// Dropping these tasks leaves the refreshes that they wait for running.
    tasks: JoinSet<()>,
    /// The clients of the configuration in force.
    clients: Arc<Clients>,
    /// The last grant read in the pass over all grants, after a start or a configuration change; `None` when
    /// the pass is done. The pass is needed because the stored due times may come from another configuration.
    unread: Option<Option<Id>>,
}

impl Upkeep {
    /// Starts the refreshes that are due. Returns the pause before the next look.
    async fn look(&mut self, in_use: &impl Fn() -> HashSet<Id>) -> Result<std::time::Duration, StoreError> {
        while self.tasks.try_join_next().is_some() {}
        // Drops panicked tasks too, so that their grants can be renewed again.
        self.under_way.retain(|_, task| !task.is_finished());
        let clients = self.inner.clients.load_full();
        if !Arc::ptr_eq(&clients, &self.clients) {
            self.clients = clients;
            self.unread = Some(None);
        }
        if self.under_way.len() >= MOST_WAITING {
            return Ok(SHORTEST_PAUSE);
        }
        let (store, in_use, now) = (self.inner.store.clone(), in_use(), self.inner.clock.now());
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

    /// Starts the refreshes that are due among `grants`. Returns the next look of each grant whose stored
    /// time differs.
    fn begin(&mut self, grants: &[GrantStatus], in_use: &HashSet<Id>, now: OffsetDateTime) -> Vec<NextLook> {
        let mut looks = Vec::new();
        for grant in grants {
            let at = match self.due(grant, in_use.contains(&grant.id), now) {
                Some(at) if at <= now => {
                    self.renew(grant);
                    // A finished refresh writes the row, which makes the grant due again. This covers a
                    // refresh that writes nothing.
                    now.saturating_add(UNDER_WAY)
                }
                Some(at) => at,
                None => now.saturating_add(LONGEST_LOOK),
            };
            looks.extend(grant.next_look(at, now));
        }
        looks
    }

    /// When to refresh `grant` in the background, judged by its row and the configuration.
    fn due(&self, grant: &GrantStatus, has_sessions: bool, now: OffsetDateTime) -> Option<OffsetDateTime> {
        // A grant without an enabled account needs no token.
        if grant.accounts.is_empty() {
            return None;
        }
        let provider = self.clients.get(&grant.provider)?;
        let known = provider.client.provider();
        // A domain grant has one token a mailbox, in memory only, so there is none to renew.
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

/// When to refresh `grant` in the background.
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
                // An application's right does not expire when unused; its next login asks for a token.
                _ if grant.kind == GrantKind::App => return None,
                _ => {
                    let longest =
                        idle_days.map_or(IDLE_REFRESH, |days| scaled(Duration::days(days.into()), 0.5));
                    renewed_at.saturating_add(scaled(IDLE_REFRESH.min(longest), 1.0 - jitter / 10.0))
                }
            }
        }
    };
    Some(pause_until(grant.failed_at, grant.retry_at, now).map_or(at, |retry_at| at.max(retry_at)))
}

/// `at`, or long ago where `at` lies in the future. A wrong clock wrote such a date; the grant is then due at
/// once and gets a correct date.
fn past(at: OffsetDateTime, now: OffsetDateTime) -> OffsetDateTime {
    match at - now > CLOCK_SKEW {
        true => OffsetDateTime::UNIX_EPOCH,
        false => at,
    }
}

/// When to renew a token that expires at `ends`: a twentieth to a tenth of its life before a login would ask
/// for another one.
fn before_a_login_asks(ends: OffsetDateTime, life: Duration, jitter: f64) -> OffsetDateTime {
    let life = life.max(Duration::ZERO);
    let margin = SESSION_MARGIN.min(scaled(life, 0.5));
    ends.saturating_sub(margin).saturating_sub(scaled(life, (1.0 + jitter) / 20.0))
}

/// `span` times `by`, saturating, because `*` panics on overflow.
fn scaled(span: Duration, by: f64) -> Duration {
    Duration::saturating_seconds_f64(span.as_seconds_f64() * by)
}

/// A number from 0 to 1 derived from the grant and its last renewal. All processes agree on it, and grants
/// that were renewed together are not due together.
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
                ..grant(OffsetDateTime::UNIX_EPOCH)
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
