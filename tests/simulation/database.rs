//! The database of a run: rows in memory, with the statements of `store/postgres` and `store/sql` as one step each.
//!
//! A step is a transaction: it happens at one moment, whole or not at all, and what was committed survives a restart and a
//! failover. Leases and signs of life go by the clock of the database. Every commit passes the audit, which does not trust
//! the statements.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use imap_oauth_proxy::store::{
    Account, DEAD_AFTER, Folded, Grant, GrantStatus, Id, Leased, LoginRecord, NextLook, Right, StoreError,
    Takeover, fold,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::audit::{Audit, Holding};
use crate::faults::Fault;
use crate::instance::SEALER;
use crate::process::Process;
use crate::provider::RefreshToken;
use crate::world::World;

/// As in `store/sql/grants.rs`.
const TOO_LATE: time::Duration = time::Duration::days(2);

pub(crate) struct Row {
    pub(crate) grant: Grant,
    holder: Option<String>,
    until: Option<i64>,
    taken_at: Option<i64>,
    upkeep_at: i64,
}

/// What the server does with calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Up,
    /// The server does not answer before this time.
    Away(Instant),
    /// The server answers reads, and refuses writes before this time.
    Standby(Instant),
}

/// What `take_lease` binds.
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) grant: Id,
    pub(crate) mark: i64,
    /// For how many seconds.
    pub(crate) span: i64,
    pub(crate) takeover: Takeover,
    pub(crate) dead_after: i64,
    pub(crate) is_in_contact: bool,
    pub(crate) take_until: i64,
    /// For the fault that judges by the clock of the instance.
    pub(crate) own_now: OffsetDateTime,
}

pub(crate) struct Database {
    world: Arc<World>,
    pub(crate) rows: BTreeMap<Id, Row>,
    accounts: BTreeMap<String, Account>,
    /// The last sign of life of each process.
    seen: BTreeMap<String, OffsetDateTime>,
    mode: Mode,
    /// How far the server's clock is off.
    off: time::Duration,
    /// How often it was set. What lies in a socket then is lost with the server: it goes by one clock from its begin to its end.
    pub(crate) clocks: u64,
    /// The counter of `due_at_once`.
    due: i64,
    pub(crate) audit: Audit,
}

impl Database {
    pub(crate) fn new(world: &Arc<World>) -> Self {
        Self {
            world: world.clone(),
            rows: BTreeMap::new(),
            accounts: BTreeMap::new(),
            seen: BTreeMap::new(),
            mode: Mode::Up,
            off: time::Duration::ZERO,
            clocks: 0,
            due: 0,
            audit: Audit::new(world),
        }
    }

    pub(crate) fn now(&self) -> OffsetDateTime {
        self.world.now() + self.off
    }

    pub(crate) fn add_account(&mut self, name: &str, grant: &Id) {
        let account = Account {
            id: Id(format!("account of {name}")),
            name: name.to_owned(),
            aliases: Vec::new(),
            grant: Some(grant.clone()),
            last_login_at: None,
            last_login_from: None,
            troubles: BTreeMap::new(),
            disabled: false,
            sign_in_as: None,
            refusal: None,
        };
        self.accounts.insert(fold(name).as_str().to_owned(), account);
    }

    /// The server is away for a while. After a failover it is another server, with another clock.
    pub(crate) fn goes_away(&mut self, time: Duration) {
        self.world.log(format_args!("the database is away for {} ms", time.as_millis()));
        self.world.count("database away");
        self.mode = Mode::Away(Instant::now() + time);
    }

    pub(crate) fn fails_over(&mut self, time: Duration, off: time::Duration) {
        self.world
            .log(format_args!("the database is a standby for {} ms, its clock {off} off", time.as_millis()));
        self.world.count("failovers");
        self.audit.clock_is_set();
        (self.mode, self.off, self.clocks) = (Mode::Standby(Instant::now() + time), off, self.clocks + 1);
    }

    /// Whether `process` reaches the server, and whether the server takes writes if `writes`.
    pub(crate) fn reach(&self, process: &Process, writes: bool) -> Result<(), StoreError> {
        let now = Instant::now();
        let away = |text: &str| Err(StoreError::Away(text.to_owned()));
        match self.mode {
            _ if process.is_cut() => away("there is no way to it"),
            _ if self.world.is_calm() => Ok(()),
            Mode::Away(until) if now < until => away("it does not answer"),
            Mode::Standby(until) if now < until && writes => away("it is a standby"),
            _ => Ok(()),
        }
    }

    /// Whether the server takes the writes that come to it.
    pub(crate) fn is_up(&self) -> bool {
        let now = Instant::now();
        match self.mode {
            Mode::Up => true,
            Mode::Away(until) | Mode::Standby(until) => now >= until || self.world.is_calm(),
        }
    }

    /// The server's clock is set.
    pub(crate) fn jumps(&mut self, by: time::Duration) {
        (self.off, self.clocks) = (self.off + by, self.clocks + 1);
        self.audit.clock_is_set();
        self.world.log(format_args!("the clock of the database is {} off", self.off));
        self.world.count("clock jumps of the database");
    }

    /// A sign of life; returns when it was taken, in microseconds.
    pub(crate) fn beat(&mut self, name: &str) -> i64 {
        let now = self.now();
        self.seen.insert(name.to_owned(), now);
        self.audit.beat(name);
        i64::try_from(now.unix_timestamp_nanos() / 1_000).unwrap()
    }

    fn is_alive(&self, holder: &str, now: OffsetDateTime, dead_after: i64) -> bool {
        self.seen.get(holder).is_some_and(|seen| *seen > now - time::Duration::seconds(dead_after))
    }

    /// The statement of `store/postgres/leases.rs`, with the time of its sign of life; `None` if it comes too late.
    pub(crate) fn take_lease(&mut self, asked: &Asked) -> Option<(i64, Leased)> {
        let (name, world) = (&asked.name, self.world.clone());
        if !world.has(Fault::LateStatements)
            && self.now().unix_timestamp_nanos() / 1_000 >= i128::from(asked.take_until)
        {
            return None;
        }
        let seen = self.beat(name);
        let now = if world.has(Fault::LeaseByOwnClock) { asked.own_now } else { self.now() };
        let dead_after = match world.fault {
            Some(Fault::LeaseEndsEarly) => 2,
            Some(Fault::LeaseForEver) => i64::from(i32::MAX),
            Some(Fault::DeathIsBelieved) => DEAD_AFTER,
            _ => asked.dead_after,
        };
        let Some(row) = self.rows.get(&asked.grant) else { return Some((seen, Leased::Busy)) };
        let is_over = row.until.is_none_or(|until| until <= now.unix_timestamp());
        let token_ends = row.grant.access_expires_at.is_none_or(|ends| ends <= now + time::Duration::MINUTE);
        let waits =
            asked.takeover == Takeover::OnceTokenEnds && !token_ends && !world.has(Fault::TakesOverAtOnce);
        let is_free = row.holder.as_ref().is_none_or(|holder| {
            let is_dead = || !self.is_alive(holder, now, dead_after);
            holder == name || (!waits && ((is_over && asked.is_in_contact) || is_dead()))
        });
        if !is_free {
            let looks_dead =
                row.holder.as_ref().is_some_and(|holder| !self.is_alive(holder, now, DEAD_AFTER));
            let is_silent = waits && (looks_dead || is_over);
            if is_silent {
                world.count("leases left to a silent holder");
            }
            return Some((seen, if is_silent { Leased::Silent } else { Leased::Busy }));
        }
        let until = now.unix_timestamp() + asked.span;
        let holding = Holding { holder: name.clone(), until };
        let at = self.now();
        self.audit.takes(&row.grant, holding, at);
        let Some(row) = self.rows.get_mut(&asked.grant) else { return Some((seen, Leased::Busy)) };
        if row.holder.as_ref().is_some_and(|holder| holder != name) {
            row.grant.interrupted_at = row.taken_at.and_then(at_second);
        }
        let own = row.taken_at.filter(|_| row.holder.as_ref() == Some(name));
        let mark = own.map_or(asked.mark, |taken_at| taken_at.max(asked.mark));
        (row.holder, row.until, row.taken_at) = (Some(name.clone()), Some(until), Some(mark));
        Some((seen, Leased::Taken))
    }

    /// Frees a lease that was taken up to the mark.
    pub(crate) fn release_lease(&mut self, grant: &Id, name: &str, mark: i64) {
        let any = self.world.has(Fault::LateStatements);
        let Some(row) = self.rows.get_mut(grant) else { return };
        if row.holder.as_deref() == Some(name) && row.taken_at.is_none_or(|taken_at| any || taken_at <= mark)
        {
            (row.holder, row.until) = (None, None);
            self.audit.released(grant);
        }
    }

    /// `update_grant`, and `end_grant` with its revocation.
    pub(crate) fn write(&mut self, grant: &Grant, lease: Option<&(String, i64)>) -> Result<i64, StoreError> {
        let compares = !self.world.has(Fault::WriteWithoutRevision);
        let due = self.due_at_once();
        let Some(row) = self.rows.get_mut(&grant.id) else { return Err(StoreError::Conflict) };
        if compares && row.grant.revision != grant.revision {
            self.world.count("conflicts");
            return Err(StoreError::Conflict);
        }
        self.audit.writes(&row.grant, grant);
        let revision = row.grant.revision + 1;
        let is_holder = lease.is_some_and(|(name, mark)| {
            row.holder.as_ref() == Some(name) && row.taken_at.is_none_or(|taken_at| taken_at <= *mark)
        });
        let before = row.grant.interrupted_at.filter(|_| !is_holder);
        row.grant = Grant { revision, ..in_seconds(grant) };
        row.grant.interrupted_at = row.grant.interrupted_at.or(before);
        row.upkeep_at = due;
        if let Some((name, mark)) = lease {
            self.release_lease(&grant.id, name, *mark);
        }
        Ok(revision)
    }

    /// The refresh token in a row.
    pub(crate) fn stored(&self, grant: &Id) -> Option<RefreshToken> {
        let Right::Person { refresh_token } = &self.rows.get(grant)?.grant.right else { return None };
        let opened = SEALER.open_text(&Grant::refresh_context(grant), refresh_token).unwrap();
        RefreshToken::read(opened.expose())
    }

    /// Stores the grant of a consent in place of the previous grant.
    pub(crate) fn put(&mut self, grant: &Grant) {
        let due = self.due_at_once();
        let revision = self.rows.get(&grant.id).map_or(1, |row| row.grant.revision + 1);
        let grant = Grant { revision, ..in_seconds(grant) };
        self.audit.puts(&grant);
        let id = grant.id.clone();
        let row = Row { grant, holder: None, until: None, taken_at: None, upkeep_at: due };
        self.rows.insert(id, row);
    }

    fn due_at_once(&mut self) -> i64 {
        self.due -= 1;
        self.due
    }

    pub(crate) fn find(&self, name: &Folded) -> Option<LoginRecord> {
        let account = self.accounts.get(name.as_str())?.clone();
        let grant = account.grant.as_ref().and_then(|id| self.rows.get(id)).map(|row| row.grant.clone());
        Some(LoginRecord { account, passwords: Vec::new(), grant })
    }

    pub(crate) fn note_login(&mut self, account: &Id, at: OffsetDateTime) {
        let due = self.due_at_once();
        let Some(account) = self.accounts.values_mut().find(|known| known.id == *account) else { return };
        let before = account.last_login_at.replace(at);
        let is_news = before.is_none_or(|before| !(0..=3600).contains(&(at - before).whole_seconds()));
        if let (true, Some(row)) = (is_news, account.grant.as_ref().and_then(|id| self.rows.get_mut(id))) {
            row.upkeep_at = due;
        }
    }

    pub(crate) fn statuses(&self, after: Option<&Id>, limit: u32) -> Vec<GrantStatus> {
        let page = self.rows.iter().filter(|(id, _)| after.is_none_or(|after| *id > after));
        page.take(limit as usize).map(|(_, row)| self.status(row)).collect()
    }

    pub(crate) fn due(&self, now: OffsetDateTime, limit: u32) -> Vec<GrantStatus> {
        let (now, later) = (now.unix_timestamp(), (now + TOO_LATE).unix_timestamp());
        let due = self.rows.values().filter(|row| row.upkeep_at <= now || row.upkeep_at > later);
        due.take(limit as usize).map(|row| self.status(row)).collect()
    }

    pub(crate) fn look_again(&mut self, looks: &[NextLook]) {
        for look in looks {
            if let Some(row) = self.rows.get_mut(&look.grant).filter(|row| row.upkeep_at == look.seen) {
                row.upkeep_at = look.at.unix_timestamp();
            }
        }
    }

    fn status(&self, row: &Row) -> GrantStatus {
        let grant = &row.grant;
        let mut users = self.accounts.values().filter(|account| account.grant.as_ref() == Some(&grant.id));
        let names = users.clone().map(|account| account.name.clone()).collect();
        GrantStatus {
            id: grant.id.clone(),
            kind: grant.kind(),
            provider: grant.provider.clone(),
            owner: grant.owner.clone(),
            state: grant.state,
            trouble: grant.trouble.clone(),
            in_force: grant.is_in_force(),
            access_expires_at: grant.access_expires_at,
            renewed_at: grant.refreshed_at.unwrap_or(grant.authorized_at),
            refresh_expires_at: grant.refresh_expires_at,
            failed_at: grant.failed_at,
            retry_at: grant.retry_at,
            last_login_at: users.find_map(|account| account.last_login_at),
            accounts: names,
            told: None,
            look: row.upkeep_at,
        }
    }
}

/// The columns of dates hold whole seconds.
fn in_seconds(grant: &Grant) -> Grant {
    let whole = |date: Option<OffsetDateTime>| date.and_then(|date| at_second(date.unix_timestamp()));
    Grant {
        access_expires_at: whole(grant.access_expires_at),
        failed_at: whole(grant.failed_at),
        retry_at: whole(grant.retry_at),
        refreshed_at: whole(grant.refreshed_at),
        ..grant.clone()
    }
}

fn at_second(second: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(second).ok()
}
