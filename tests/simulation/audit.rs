//! The invariants of the rows and the leases, checked at every commit and kept apart from the statements that they judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use imap_oauth_proxy::store::{Grant, GrantState, Id};
use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

use crate::instance::SEALER;
use crate::world::World;

/// No process takes the lease of a process that gave a sign of life within this time: `DEAD_AFTER`, less the time that a
/// statement takes.
const SILENT: std::time::Duration = std::time::Duration::from_secs(28);
/// The same where the clock of the database was set within [`SILENT`]: the contact that a process needs before it believes
/// in a death.
const SILENT_WHERE_SET: std::time::Duration = std::time::Duration::from_secs(15);
/// The longest pause that a row may ask for: `LONGEST_PAUSE` of `token.rs`.
const LONGEST_PAUSE: Duration = Duration::hours(25);

/// The process that has a lease, and until when.
pub(crate) struct Holding {
    pub(crate) holder: String,
    /// By the clock of the database.
    pub(crate) until: i64,
}

/// A lease that went over to another process, because its holder was dead.
pub(crate) struct TakenOver {
    grant: Id,
    from: String,
    at: Instant,
    pub(crate) now: OffsetDateTime,
    /// The access token in the row, unless it was over by the clock of the database.
    pub(crate) living: Option<String>,
}

/// When a grant was revoked.
#[derive(Clone, Copy)]
pub(crate) struct Revoked {
    pub(crate) at: Instant,
}

pub(crate) struct Audit {
    world: Arc<World>,
    leases: BTreeMap<Id, Holding>,
    /// By no clock that jumps.
    seen: BTreeMap<String, Instant>,
    /// When the clock of the database was set.
    set: Option<Instant>,
    taken_over: Vec<TakenOver>,
    revoked: BTreeMap<Id, Revoked>,
}

impl Audit {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            leases: BTreeMap::new(),
            seen: BTreeMap::new(),
            set: None,
            taken_over: Vec::new(),
            revoked: BTreeMap::new(),
        }
    }

    pub(crate) fn beat(&mut self, name: &str) {
        self.seen.insert(name.to_owned(), Instant::now());
    }

    /// The clock of the database is set.
    pub(crate) fn clock_is_set(&mut self) {
        self.set = Some(Instant::now());
    }

    /// A lease is taken. Its previous holder must have released it, be dead, or have kept it past its end.
    pub(crate) fn takes(&mut self, row: &Grant, new: Holding, now: OffsetDateTime) {
        let grant = &row.id;
        if let Some(old) = self.leases.get(grant).filter(|old| old.holder != new.holder) {
            let silent = self.seen.get(&old.holder).map(Instant::elapsed);
            let least = match self.set {
                Some(set) if set.elapsed() < SILENT => SILENT_WHERE_SET,
                _ => SILENT,
            };
            let is_dead = silent.is_none_or(|silent| silent >= least);
            let is_over = old.until <= now.unix_timestamp();
            if !is_dead && !is_over {
                let (new, old) = (&new.holder, &old.holder);
                self.world.breach(format_args!("{new} took the lease on {grant} that {old} has"));
            }
            self.world.log(format_args!("{} takes over the lease on {grant} of {}", new.holder, old.holder));
            self.world.count("leases taken over");
            let from = old.holder.clone();
            let ends = row.access_expires_at.filter(|ends| *ends > now + Duration::MINUTE);
            let living = ends.and(row.access_token.as_ref()).map(|sealed| {
                let context = Grant::access_context(grant);
                SEALER.open_text(&context, sealed).unwrap().expose().to_owned()
            });
            let (at, now) = (Instant::now(), self.world.now());
            self.taken_over.push(TakenOver { grant: grant.clone(), from, at, now, living });
        }
        self.world.log(format_args!("{} has the lease on {grant}", new.holder));
        self.leases.insert(grant.clone(), new);
    }

    pub(crate) fn released(&mut self, grant: &Id) {
        if let Some(lease) = self.leases.remove(grant) {
            self.world.log(format_args!("{} gives back the lease on {grant}", lease.holder));
        }
    }

    /// How the lease of `holder` on `grant` went to another process since then.
    pub(crate) fn taken_over(
        &self,
        grant: &Id,
        holder: &str,
        since: Instant,
    ) -> impl Iterator<Item = &TakenOver> {
        let taken = self.taken_over.iter();
        taken.filter(move |taken| taken.grant == *grant && taken.from == holder && taken.at >= since)
    }

    /// Whether `holder` has the lease on `grant`.
    pub(crate) fn has(&self, grant: &Id, holder: &str) -> bool {
        self.leases.get(grant).is_some_and(|lease| lease.holder == holder)
    }

    pub(crate) fn writes(&mut self, before: &Grant, after: &Grant) {
        let (world, id) = (&self.world, &after.id);
        if before.revision != after.revision {
            let (old, new) = (after.revision, before.revision);
            world.breach(format_args!("a write of {id} on revision {old} went over revision {new}"));
        }
        if !before.is_in_force() && after.is_in_force() {
            world.breach(format_args!("a write brought back {id}, which was revoked"));
        }
        if before.is_in_force() && !after.is_in_force() {
            self.revoked.insert(id.clone(), Revoked { at: Instant::now() });
        }
        world.log(format_args!(
            "{id} revision {} state {} failures {}",
            before.revision + 1,
            after.state.name(),
            after.failures
        ));
        self.is_sane(after);
    }

    pub(crate) fn puts(&mut self, grant: &Grant) {
        self.revoked.remove(&grant.id);
        self.leases.remove(&grant.id);
        self.world.log(format_args!("{} revision {} by a consent", grant.id, grant.revision));
    }

    /// When `grant` was revoked, if no consent came since.
    pub(crate) fn revoked(&self, grant: &Id) -> Option<Revoked> {
        self.revoked.get(grant).copied()
    }

    /// State, trouble and dates of a row fit each other.
    fn is_sane(&self, grant: &Grant) {
        let pause = grant.retry_at.zip(grant.failed_at).map(|(retry, failed)| retry - failed);
        let waits = |least, most| pause.is_some_and(|pause| pause >= least && pause <= most);
        let (hour, second) = (Duration::hours(1), Duration::seconds(1));
        let is_sane = match grant.state {
            _ if !grant.is_in_force() => grant.access_token.is_none() && grant.retry_at.is_none(),
            GrantState::Ok => grant.failures == 0 && grant.retry_at.is_none() && grant.failed_at.is_none(),
            GrantState::Retrying => grant.failures > 0 && waits(second, LONGEST_PAUSE),
            GrantState::NeedsAuthorization => grant.trouble.is_some() && waits(hour, hour),
            GrantState::Misconfigured | GrantState::WaitingForAdministrator => {
                grant.trouble.is_some() && waits(second, hour)
            }
        };
        if !is_sane {
            let state = grant.state.name();
            self.world
                .breach(format_args!("the row of {} makes no sense in state {state}: {pause:?}", grant.id));
        }
    }
}
