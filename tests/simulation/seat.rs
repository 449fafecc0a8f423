//! The store as one process sees it: calls of the database that take time, fail, or lose their answer.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use imap_oauth_proxy::store::{
    Act, BEAT, Contact, FORGOTTEN_AFTER, Folded, Grant, GrantKind, GrantStatus, GrantStore, Id, LastRefusal,
    LeaseStore, Leased, LoginNote, LoginRecord, LoginStore, MailboxTrouble, NextLook, SignInAs, StoreError,
    Takeover, Watch,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::database::Database;
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
    /// The records of logins, and when they were read.
    known: Mutex<BTreeMap<String, (Instant, LoginRecord)>>,
    /// Whether the last record came from memory.
    recalled: AtomicBool,
    /// For the fault of that name.
    once_held: Mutex<HashSet<Id>>,
}

impl Seat {
    pub(crate) fn new(process: &Arc<Process>, database: &Arc<Mutex<Database>>) -> Arc<Self> {
        Arc::new(Self {
            process: process.clone(),
            database: database.clone(),
            contact: Mutex::default(),
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
        statement: impl FnOnce(&mut Database) -> Result<T, StoreError> + Send,
    ) -> Result<T, StoreError> {
        let world = &self.process.world;
        self.process.turn(name).await;
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
        self.call("beat", true, |database| {
            database.beat(&name);
            Ok(())
        })
        .await?;
        self.gave_sign(sent);
        Ok(name)
    }

    fn gave_sign(&self, sent: Instant) {
        let now = Instant::now();
        match &mut *self.contact.lock().unwrap() {
            Some(contact) => contact.gave_sign(sent, now),
            none => *none = Some(Contact::new(sent, now)),
        }
    }

    /// As `dead_after` of `store/postgres/holder.rs`.
    fn dead_after(&self) -> i64 {
        let contact = *self.contact.lock().unwrap();
        contact.map_or(FORGOTTEN_AFTER, |contact| contact.dead_after(Instant::now()))
    }

    /// Gives signs of life, from the start, as an instance that joins the others.
    pub(crate) async fn live(&self) {
        loop {
            let _ = self.beat().await;
            tokio::time::sleep(BEAT).await;
        }
    }

    fn known_holder(&self) -> Option<&str> {
        self.contact.lock().unwrap().map(|_| self.process.name.as_str())
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
    /// As `store/postgres/look.rs`: what was read lately counts while the database is away.
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
            let read = self.call("find", false, |database| Ok(database.find(name))).await;
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
            // Where it answers, it is asked again.
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
        self.call("note_logins", true, |database| {
            for note in notes {
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
        let one = |database: &mut Database| Ok(database.rows.get(id).map(|row| row.grant.clone()));
        self.call("grant", false, one).await
    }

    async fn grant_of(&self, _: &str, owner: &str, _: GrantKind) -> Result<Option<Grant>, StoreError> {
        let is_owners = |grant: &&Grant| grant.owner == owner;
        let one = |database: &mut Database| {
            Ok(database.rows.values().map(|row| &row.grant).find(is_owners).cloned())
        };
        self.call("grant_of", false, one).await
    }

    async fn update_grant(&self, grant: &Grant) -> Result<i64, StoreError> {
        let world = &self.process.world;
        let name = self.known_holder();
        if world.has(Fault::AnswerDropped) && grant.failures == 0 && grant.is_in_force() {
            return self
                .call("update_grant", true, |database| {
                    database.release_lease(&grant.id, name);
                    Ok(grant.revision + 1)
                })
                .await;
        }
        self.call("update_grant", true, |database| database.write(grant, name)).await
    }

    async fn end_grant(&self, grant: &Grant, _: &Act) -> Result<i64, StoreError> {
        let name = self.known_holder();
        self.call("end_grant", true, |database| database.write(grant, name)).await
    }

    async fn statuses(
        &self,
        _: Watch,
        after: Option<&Id>,
        limit: u32,
    ) -> Result<Vec<GrantStatus>, StoreError> {
        self.call("statuses", false, |database| Ok(database.statuses(after, limit))).await
    }

    async fn due(&self, _: Watch, now: OffsetDateTime, limit: u32) -> Result<Vec<GrantStatus>, StoreError> {
        self.call("due", false, |database| Ok(database.due(now, limit))).await
    }

    async fn look_again(&self, _: Watch, looks: &[NextLook]) -> Result<(), StoreError> {
        if looks.is_empty() {
            return Ok(());
        }
        self.call("look_again", true, |database| {
            database.look_again(looks);
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
        self.own().await?;
        let (process, dead_after, sent) = (self.process.clone(), self.dead_after(), Instant::now());
        let taken = self
            .call("take_lease", true, |database| {
                Ok(database.take_lease(&process, grant, (now, until), dead_after, takeover))
            })
            .await?;
        self.gave_sign(sent);
        if goes_on && taken == Leased::Taken {
            self.once_held.lock().unwrap().insert(grant.clone());
        }
        Ok(taken)
    }

    async fn holder(&self) -> Result<String, StoreError> {
        self.own().await
    }

    async fn release_lease(&self, grant: &Id) -> Result<(), StoreError> {
        let name = self.known_holder();
        self.call("release_lease", true, |database| {
            database.release_lease(grant, name);
            Ok(())
        })
        .await
    }
}
