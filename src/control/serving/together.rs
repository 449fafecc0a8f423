//! This process as one of the instances on a shared store. Once a second it writes its charges of failed logins to the
//! store, reads those of the others, and answers questions. It writes its connections of mailboxes as they change. In
//! this module to *tell* is to write to the store for the others, and to *look* is to read what they have told.
//!
//! No login waits for this. An instance that is alone writes only charges of failed logins. While the store is away
//! each instance counts alone, and after [`LONGEST_GAP`] it drops the connections of the others, which may have died by
//! then.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::parts::Kept;
use crate::account::{HeldHere, machine};
use crate::control::sessions::{self, Answer, Asked, SessionRow};
use crate::protocol::Door;
use crate::shutdown::{self, Supervisor, Trigger};
use crate::store::{Actor, GateCount, Look, Question, StoreError};

/// The pause between two looks, and between two writes of failures, or of connections.
const PAUSE: Duration = Duration::from_secs(1);
/// The shortest pause between two looks, even if many instances send notices.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// After a gap of this length between two looks, everything is read again: the rows of ended connections stay in the
/// store for a minute only.
const LONGEST_GAP: Duration = Duration::from_secs(30);
const SWEEP: Duration = Duration::from_secs(60);
/// How long the first look may delay the start, and the last write the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions are over in seconds, so these are enough.
const REMEMBERED: usize = 1000;

/// The state of the exchange with the others.
#[derive(Default)]
struct Seen {
    mark: i64,
    looked: Option<Instant>,
    told: Option<Instant>,
    swept: Option<Instant>,
    others: HashSet<String>,
    /// The ids of answered questions, so that no question is answered twice.
    answered: HashSet<String>,
    /// Answers that could not be stored yet: sessions that were told to end are not counted again.
    unsent: HashMap<String, Answer>,
}

/// Becomes an instance, and looks for the first time.
async fn begin(kept: &Kept, seen: &Mutex<Seen>) {
    let beginning = async {
        kept.store.join(&place()).await?;
        look(kept, &mut *seen.lock().await).await
    };
    match timeout(PATIENCE, beginning).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!("what other instances hold is not known yet: {error}"),
        Err(_) => warn!("what other instances hold is not known yet: the store does not answer in time"),
    }
}

/// The tasks of the exchange. They continue after the stop has begun, so that draining sessions can be listed and
/// closed, and their ends are told.
pub(super) struct Company {
    trigger: Trigger,
    tasks: Vec<JoinHandle<()>>,
}

impl Company {
    /// Starts the tasks. Call it before a connection is accepted: it reads the connections and the failed logins of the
    /// others.
    pub(super) async fn start(kept: &Arc<Kept>, supervisor: &Supervisor) -> Self {
        let (trigger, shutdown) = shutdown::channel();
        let supervisor = supervisor.until(&shutdown);
        let mut tasks = Vec::new();
        if kept.store.is_shared() {
            // This state outlives a restart of the task: an instance that ended meanwhile still has to be forgotten.
            let seen = Arc::new(Mutex::new(Seen::default()));
            begin(kept, &seen).await;
            let (staying, telling) = (kept.clone(), kept.clone());
            tasks.push(supervisor.start("instances", move || stay(staying.clone(), seen.clone())));
            tasks.push(supervisor.start("gates of instances", move || tell_gates(telling.clone())));
        }
        Self { trigger, tasks }
    }

    /// Tells the others that this process holds nothing any more.
    pub(super) async fn leave(self, kept: &Kept) {
        self.trigger.begin();
        for task in self.tasks {
            // If the task has failed, the supervisor has logged why.
            let _ = task.await;
        }
        let leaving = async {
            kept.accounts.tell_failures().await;
            kept.store.part().await
        };
        if let Ok(Err(error)) = timeout(PATIENCE, leaving).await {
            debug!("other instances learn in half a minute that this one has ended: {error}");
        }
    }
}

/// The machine and the process, for people.
fn place() -> String {
    format!("{} (process {})", machine(), std::process::id())
}

/// Tells, looks and answers until the future is dropped.
async fn stay(kept: Arc<Kept>, seen: Arc<Mutex<Seen>>) {
    let mut seen = seen.lock().await;
    loop {
        let began = Instant::now();
        if seen.told.is_none_or(|told| began - told >= PAUSE) {
            kept.accounts.tell_failures().await;
            seen.told = Some(began);
        }
        if let Err(error) = look(&kept, &mut seen).await {
            debug!("what other instances hold cannot be read: {error}");
            seen.lose(&kept);
        }
        sleep_until(began + SHORTEST_PAUSE).await;
        tokio::select! {
            () = sleep_until(began + PAUSE) => {}
            () = kept.store.told() => {}
        }
    }
}

/// Tells the connections of mailboxes as they change, with one statement a second at most.
pub(super) async fn tell_gates(kept: Arc<Kept>) {
    loop {
        kept.gates.untold().await;
        let (held, is_whole) = kept.gates.take_untold();
        if held.is_empty() && !is_whole {
            continue;
        }
        let count = |held: HeldHere| GateCount {
            holder: String::new(),
            account: held.account,
            door: held.door.name().to_owned(),
            sessions: u32::try_from(held.sessions).unwrap_or(u32::MAX),
        };
        let held: Vec<GateCount> = held.into_iter().map(count).collect();
        if let Err(error) = kept.store.tell_gates(&held, is_whole).await {
            debug!("other instances do not know yet what this one holds: {error}");
            kept.gates.tell_again();
        }
        sleep(PAUSE).await;
    }
}

async fn look(kept: &Kept, seen: &mut Seen) -> Result<(), StoreError> {
    let began = Instant::now();
    if seen.looked.is_none_or(|looked| began - looked > LONGEST_GAP) {
        seen.mark = 0;
    }
    let mut look = kept.store.look_around(seen.mark).await?;
    // Read from the beginning if an instance is new to this one, because its earlier rows may be older than the mark;
    // or if the database was replaced, because its marks are lower.
    let is_new = look.others.iter().any(|other| !seen.others.contains(&other.holder));
    if seen.mark > 0 && (is_new || look.mark < seen.mark) {
        if look.mark < seen.mark {
            // What this instance has told last is perhaps not in it.
            kept.gates.tell_again();
        }
        seen.mark = 0;
        look = kept.store.look_around(0).await?;
    }
    if !look.is_joined {
        kept.store.join(&place()).await?;
        kept.gates.tell_again();
    }
    let is_whole = seen.mark == 0;
    seen.mark = look.mark;
    seen.looked = Some(began);
    seen.learn_gates(kept, &look, is_whole);
    kept.accounts.learn_failures(&look.owed);
    seen.unsent.retain(|id, _| look.questions.iter().any(|question| question.id == *id));
    for question in look.questions {
        seen.answer(kept, question).await?;
    }
    if began - *seen.swept.get_or_insert(began) >= SWEEP {
        seen.swept = Some(began);
        kept.store.sweep().await?;
    }
    Ok(())
}

impl Seen {
    fn learn_gates(&mut self, kept: &Kept, look: &Look, is_whole: bool) {
        let others: HashSet<String> = look.others.iter().map(|other| other.holder.clone()).collect();
        self.others.difference(&others).for_each(|gone| kept.gates.ended_elsewhere(gone));
        kept.gates.share(!others.is_empty());
        self.others = others;
        let counts = look.gates.iter().filter(|count| self.others.contains(&count.holder));
        let counts = counts.filter_map(|count| Some((count, Door::named(&count.door)?)));
        let sessions = |count: &GateCount| usize::try_from(count.sessions).unwrap_or(usize::MAX);
        if !is_whole {
            return counts.for_each(|(count, door)| {
                kept.gates.held_elsewhere(&count.holder, &count.account, door, sessions(count));
            });
        }
        let mut held: HashMap<&str, Vec<HeldHere>> = HashMap::new();
        for (count, door) in counts {
            let here = HeldHere { account: count.account.clone(), door, sessions: sessions(count) };
            held.entry(&count.holder).or_default().push(here);
        }
        for other in &self.others {
            kept.gates.replace_elsewhere(other, held.remove(other.as_str()).unwrap_or_default());
        }
    }

    /// The store is away: after [`LONGEST_GAP`] the connections of the others count as ended.
    fn lose(&mut self, kept: &Kept) {
        if self.looked.is_some_and(|looked| looked.elapsed() > LONGEST_GAP) {
            self.others.drain().for_each(|other| kept.gates.ended_elsewhere(&other));
            kept.gates.share(false);
        }
    }

    async fn answer(&mut self, kept: &Kept, question: Question) -> Result<(), StoreError> {
        let answer = match self.unsent.remove(&question.id) {
            Some(answer) => answer,
            None if self.answered.contains(&question.id) => return Ok(()),
            None => {
                if self.answered.len() >= REMEMBERED {
                    self.answered.clear();
                }
                self.answered.insert(question.id.clone());
                let Some(asked) = sessions::read(&kept.sealer, &question) else {
                    warn!(
                        "a question to the instances is not answered: no key of this instance has sealed it"
                    );
                    return Ok(());
                };
                answer_to(kept, asked).await
            }
        };
        let sent = sessions::reply(&*kept.store, &kept.sealer, &question.id, &answer).await;
        if sent.is_err() {
            self.unsent.insert(question.id, answer);
        }
        sent
    }
}

async fn answer_to(kept: &Kept, asked: Asked) -> Answer {
    match asked {
        Asked::List => {
            Answer::Sessions(kept.live.list().iter().map(|session| SessionRow::of(session)).collect())
        }
        Asked::Close { of, by: (surface, user, uid) } => {
            Answer::Closed(kept.close(&of, Actor { surface, user, uid }).await)
        }
    }
}
