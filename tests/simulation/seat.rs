//! The store as one process sees it: calls of the database that take time, fail, or lose their answer.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use imap_oauth_proxy::clock::GivenClock as _;
use imap_oauth_proxy::store::{
    Act, BEAT, Contact, Folded, Grant, GrantKind, GrantStatus, GrantStore, Id, LastRefusal, LeaseMarks,
    LeaseStore, Leased, LoginNote, LoginRecord, LoginStore, MailboxTrouble, NextLook, SignInAs, StoreError,
    Takeover, Watch,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::database::{Asked, Database};
use crate::faults::Fault;
use crate::process::Process;
use crate::unused::no;

/// How old a record is that [`Fault::StaleReader`] returns.
const STALE: Duration = Duration::from_secs(10);

/// The store of one process.
pub(crate) struct Seat {
    process: Arc<Process>,
    database: Arc<Mutex<Database>>,
    /// The signs of life, once the process has been a holder.
    contact: Mutex<Option<Contact>>,
    marks: Mutex<LeaseMarks>,
    /// The records of logins, and when they were read.
    known: Mutex<BTreeMap<String, (Instant, LoginRecord)>>,
    /// Whether the last record came from memory.
    recalled: AtomicBool,
    /// Leases that this process has had: for the fault [`Fault::HolderGoesOn`].
    once_held: Mutex<HashSet<Id>>,
}

impl Seat {
    pub(crate) fn new(process: &Arc<Process>, database: &Arc<Mutex<Database>>) -> Arc<Self> {
        Arc::new(Self {
            process: process.clone(),
            database: database.clone(),
            contact: Mutex::default(),
            marks: Mutex::default(),
            known: Mutex::default(),
            recalled: AtomicBool::new(false),
            once_held: Mutex::default(),
        })
    }

    /// One call: its statement happens at one moment, and its answer may be lost.
    async fn call<T>(
        &self,
        name: &'static str,
        writes: bool,
        statement: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let world = &self.process.world;
        self.process.turn(name).await;
        if writes && world.strikes(world.knobs.late) {
            self.comes_late(name, statement);
            self.process.turn(name).await;
            return Err(StoreError::Away("nothing came in time".to_owned()));
        }
        let done = {
            let mut database = self.database.lock().unwrap();
            database.reach(&self.process, writes).and_then(|()| {
                let done = statement(&mut database);
                world.log(format_args!("{} {name} {}", self.process.name, done.is_ok()));
                done
            })
        };
        self.process.turn(name).await;
        if world.strikes(world.knobs.lost_commit) {
            world.log(format_args!("{} does not hear of {name}", self.process.name));
            world.count("lost answers of the database");
            return Err(StoreError::Away("the connection broke".to_owned()));
        }
        done
    }

    /// A statement that its process gives up lies in a socket, and is executed later.
    fn comes_late<T>(
        &self,
        name: &'static str,
        statement: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send + 'static,
    ) {
        let (process, database, after) =
            (self.process.clone(), self.database.clone(), self.process.world.millis(1_000..=60_000));
        process.world.count("statements that come late");
        let clocks = database.lock().unwrap().clocks;
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            let mut database = database.lock().unwrap();
            if database.is_up() && database.clocks == clocks {
                let done = statement(&mut database).is_ok();
                process.world.log(format_args!("{} {name} {done}, which comes late", process.name));
            }
        });
    }

    /// The name of this process, which has just given a sign of life.
    async fn own(&self) -> Result<String, StoreError> {
        let contact = *self.contact.lock().unwrap();
        if contact.is_some_and(|contact| contact.is_fresh(Instant::now())) {
            return Ok(self.process.name.clone());
        }
        self.beat().await
    }

    async fn beat(&self) -> Result<String, StoreError> {
        let (sent, name) = (Instant::now(), self.process.name.clone());
        let beating = name.clone();
        let seen = self.call("beat", true, move |database| Ok(database.beat(&beating))).await?;
        self.gave_sign(sent, seen);
        Ok(name)
    }

    fn gave_sign(&self, sent: Instant, seen: i64) {
        let now = Instant::now();
        match &mut *self.contact.lock().unwrap() {
            Some(contact) => contact.gave_sign(sent, seen, now),
            none => *none = Some(Contact::new(sent, seen, now)),
        }
    }

    /// As `ask_for_lease` of `store/postgres/leases.rs`.
    async fn ask_for_lease(
        &self,
        grant: &Id,
        (mark, span): (i64, i64),
        takeover: Takeover,
    ) -> Result<Leased, StoreError> {
        self.own().await?;
        let (sent, contact) = (Instant::now(), *self.contact.lock().unwrap());
        let contact = contact.expect("it has just given a sign");
        let asked = Asked {
            name: self.process.name.clone(),
            grant: grant.clone(),
            mark,
            span,
            takeover,
            dead_after: contact.dead_after(sent),
            is_in_contact: contact.is_believed(sent),
            take_until: contact.take_until(sent),
            own_now: self.process.now(),
        };
        match self.call("take_lease", true, move |database| Ok(database.take_lease(&asked))).await? {
            Some((seen, leased)) => {
                self.gave_sign(sent, seen);
                Ok(leased)
            }
            None => {
                self.beat().await?;
                Ok(Leased::Busy)
            }
        }
    }

    /// Gives signs of life, from the start, as an instance that joins the others.
    pub(crate) async fn live(&self) {
        let _ = self.beat().await;
        loop {
            tokio::time::sleep(BEAT).await;
            if self.beat().await.is_err() {
                continue;
            }
            let unnoticed = self.marks.lock().unwrap().unnoticed(Instant::now());
            for (grant, mark) in unnoticed {
                let name = self.process.name.clone();
                let releasing = move |database: &mut Database| {
                    database.release_lease(&grant, &name, mark);
                    Ok(())
                };
                let _ = self.call("release what was late", true, releasing).await;
            }
        }
    }

    /// The name of this process, and the mark of its lease on `grant`.
    fn known_lease(&self, grant: &Id) -> Option<(String, i64)> {
        let mark = self.marks.lock().unwrap().of(grant)?;
        Some((self.process.name.clone(), mark))
    }

    async fn write(&self, name: &'static str, grant: &Grant) -> Result<i64, StoreError> {
        let (lease, grant) = (self.known_lease(&grant.id), grant.clone());
        let id = grant.id.clone();
        let written = self.call(name, true, move |database| database.write(&grant, lease.as_ref())).await?;
        self.marks.lock().unwrap().ended(&id);
        Ok(written)
    }

    /// Whether the record that [`LoginStore::find`] has just returned was only remembered.
    pub(crate) fn has_recalled(&self) -> bool {
        self.recalled.load(Ordering::Relaxed)
    }

    fn recall(&self, name: &Folded) -> Option<LoginRecord> {
        let known = self.known.lock().unwrap();
        let (read, record) = known.get(name.as_str())?;
        (read.elapsed() < Duration::from_secs(self.process.world.knobs.stale)).then(|| record.clone())
    }
}

#[async_trait]
impl LoginStore for Seat {
    /// Like `store/postgres/look.rs`: while the database is away, a record that was read lately is used.
    async fn find(&self, name: &Folded) -> Result<Option<LoginRecord>, StoreError> {
        let world = &self.process.world;
        self.recalled.store(false, Ordering::Relaxed);
        if world.has(Fault::StaleReader)
            && let Some((read, record)) = self.known.lock().unwrap().get(name.as_str())
            && read.elapsed() < STALE
        {
            return Ok(Some(record.clone()));
        }
        let began = Instant::now();
        let mut tries = 0;
        let error = loop {
            let asked = name.clone();
            let read = self.call("find", false, move |database| Ok(database.find(&asked))).await;
            let error = match read {
                Ok(mut found) => {
                    if world.has(Fault::AnothersGrant)
                        && let Some(found) = &mut found
                    {
                        found.grant = self
                            .database
                            .lock()
                            .unwrap()
                            .find(&imap_oauth_proxy::store::fold("a0"))
                            .and_then(|other| other.grant);
                    }
                    self.recalled.store(false, Ordering::Relaxed);
                    if let Some(found) = &found {
                        let known = (began, found.clone());
                        self.known.lock().unwrap().insert(name.as_str().to_owned(), known);
                    }
                    return Ok(found);
                }
                Err(error) => error,
            };
            tries += 1;
            // While the database answers, the process asks it again and uses nothing from memory.
            let answers = self.database.lock().unwrap().reach(&self.process, true).is_ok();
            if tries > 3 || !answers {
                break error;
            }
        };
        match self.recall(name) {
            Some(record) => {
                self.recalled.store(true, Ordering::Relaxed);
                world.count("logins as last known");
                Ok(Some(record))
            }
            None => Err(error),
        }
    }

    async fn note_logins(&self, notes: &[LoginNote]) -> Result<(), StoreError> {
        let notes = notes.to_vec();
        self.call("note_logins", true, move |database| {
            for note in &notes {
                database.note_login(&note.account, note.at);
            }
            Ok(())
        })
        .await
    }

    async fn set_trouble(&self, _: &Id, _: &str, _: Option<&MailboxTrouble>) -> Result<(), StoreError> {
        no()
    }

    async fn set_refusal(&self, _: &Id, _: Option<&LastRefusal>) -> Result<(), StoreError> {
        no()
    }

    async fn set_sign_in_as(&self, _: &Id, _: Option<SignInAs>) -> Result<(), StoreError> {
        no()
    }
}

#[async_trait]
impl GrantStore for Seat {
    async fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        let all = |database: &mut Database| Ok(database.rows.values().map(|row| row.grant.clone()).collect());
        self.call("grants", false, all).await
    }

    async fn grant(&self, id: &Id) -> Result<Option<Grant>, StoreError> {
        let id = id.clone();
        let one = move |database: &mut Database| Ok(database.rows.get(&id).map(|row| row.grant.clone()));
        self.call("grant", false, one).await
    }

    async fn grant_of(&self, _: &str, owner: &str, _: GrantKind) -> Result<Option<Grant>, StoreError> {
        let owner = owner.to_owned();
        let is_owners = move |grant: &&Grant| grant.owner == owner;
        let one = move |database: &mut Database| {
            Ok(database.rows.values().map(|row| &row.grant).find(is_owners).cloned())
        };
        self.call("grant_of", false, one).await
    }

    async fn update_grant(&self, grant: &Grant) -> Result<i64, StoreError> {
        let world = &self.process.world;
        if world.has(Fault::AnswerDropped) && grant.failures == 0 && grant.is_in_force() {
            self.release_lease(&grant.id).await?;
            return Ok(grant.revision + 1);
        }
        self.write("update_grant", grant).await
    }

    async fn end_grant(&self, grant: &Grant, _: &Act) -> Result<i64, StoreError> {
        self.write("end_grant", grant).await
    }

    async fn statuses(
        &self,
        _: Watch,
        after: Option<&Id>,
        limit: u32,
    ) -> Result<Vec<GrantStatus>, StoreError> {
        let after = after.cloned();
        self.call("statuses", false, move |database| Ok(database.statuses(after.as_ref(), limit))).await
    }

    async fn due(&self, _: Watch, now: OffsetDateTime, limit: u32) -> Result<Vec<GrantStatus>, StoreError> {
        self.call("due", false, move |database| Ok(database.due(now, limit))).await
    }

    async fn look_again(&self, _: Watch, looks: &[NextLook]) -> Result<(), StoreError> {
        if looks.is_empty() {
            return Ok(());
        }
        let looks: Vec<_> = looks
            .iter()
            .map(|look| NextLook { grant: look.grant.clone(), seen: look.seen, at: look.at })
            .collect();
        self.call("look_again", true, move |database| {
            database.look_again(&looks);
            Ok(())
        })
        .await
    }

    async fn claim_telling(
        &self,
        _: &Id,
        _: Option<&str>,
        _: OffsetDateTime,
        _: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        no()
    }

    async fn set_told(&self, _: &[&Id], _: Option<&str>, _: Option<&Act>) -> Result<(), StoreError> {
        no()
    }
}

#[async_trait]
impl LeaseStore for Seat {
    async fn take_lease(
        &self,
        grant: &Id,
        now: OffsetDateTime,
        until: OffsetDateTime,
        takeover: Takeover,
    ) -> Result<Leased, StoreError> {
        let goes_on = self.process.world.has(Fault::HolderGoesOn);
        if goes_on && self.once_held.lock().unwrap().contains(grant) {
            return Ok(Leased::Taken);
        }
        let mark = self.marks.lock().unwrap().begin(grant, now.unix_timestamp(), Instant::now());
        let asked = self.ask_for_lease(grant, (mark, (until - now).whole_seconds()), takeover).await;
        let mut marks = self.marks.lock().unwrap();
        match &asked {
            Ok(Leased::Taken) => {}
            Ok(Leased::Busy | Leased::Silent) => marks.ended(grant),
            Err(_) => marks.gave_up(grant, mark, Instant::now()),
        }
        drop(marks);
        if goes_on && matches!(asked, Ok(Leased::Taken)) {
            self.once_held.lock().unwrap().insert(grant.clone());
        }
        asked
    }

    async fn holder(&self) -> Result<String, StoreError> {
        self.own().await
    }

    async fn release_lease(&self, grant: &Id) -> Result<(), StoreError> {
        let Some((name, mark)) = self.known_lease(grant) else { return Ok(()) };
        let id = grant.clone();
        let releasing = move |database: &mut Database| {
            database.release_lease(&id, &name, mark);
            Ok(())
        };
        self.call("release_lease", true, releasing).await?;
        self.marks.lock().unwrap().ended(grant);
        Ok(())
    }
}
