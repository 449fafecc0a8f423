//! Traces: what is said in the sessions of one account, for a person who looks for what is wrong there.
//!
//! Whose a connection is shows only when it logs in. So while a trace runs, every new connection keeps a bounded record of
//! its lines, already masked ([`Scribe`]), and gives it to the trace of the account that it names, or drops it.
//! A trace that is read too slowly loses lines and counts them; no session waits for it. Without a trace a connection
//! looks at one counter, and a session at one flag.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::live::{Live, LiveSession};
use crate::account::{Folded, fold};
use crate::protocol::{Door, Scribe, Speaker, Vocabulary};
use crate::wire::Tape;

/// Traces at once; each costs a line of text for each line of its sessions.
pub const MOST: usize = 8;
/// Lines that may wait for their reader.
const WAITING: usize = 1000;
/// Lines of a connection that are kept until it names an account. A login takes a dozen.
const HELD: usize = 100;

/// The traces under way.
#[derive(Default)]
pub(super) struct Traces {
    count: AtomicUsize,
    list: Mutex<Vec<Arc<Listener>>>,
}

/// One masked line.
#[derive(Clone, Debug)]
pub struct TraceLine {
    /// When.
    pub at: OffsetDateTime,
    /// The session's id, or the connection's.
    pub session: String,
    /// What it speaks.
    pub door: Door,
    /// Who says it to whom.
    pub way: &'static str,
    /// What may be seen of it.
    pub text: String,
}

struct Listener {
    names: Vec<Folded>,
    lines: mpsc::Sender<TraceLine>,
    lost: AtomicU64,
}

/// A trace, which ends with the value.
pub struct Trace {
    live: Arc<Live>,
    listener: Arc<Listener>,
    lines: mpsc::Receiver<TraceLine>,
}

impl Trace {
    /// Traces the sessions that log in under one of `names`, and those that have; `None` where too many traces run.
    pub fn begin(live: &Arc<Live>, names: &[&str]) -> Option<Self> {
        let (sender, lines) = mpsc::channel(WAITING);
        let names = names.iter().map(|name| fold(name)).collect();
        let listener = Arc::new(Listener { names, lines: sender, lost: AtomicU64::new(0) });
        {
            let mut list = live.traces.lock();
            if list.len() >= MOST {
                return None;
            }
            list.push(listener.clone());
            live.traces.count.store(list.len(), Ordering::Relaxed);
        }
        // Those that enter from here on see it in the list.
        for session in live.list() {
            live.listen_to(&session, false);
        }
        Some(Self { live: live.clone(), listener, lines })
    }

    /// The next line.
    pub async fn next(&mut self) -> Option<TraceLine> {
        self.lines.recv().await
    }

    /// How many lines were lost since this was asked last.
    pub fn lost(&self) -> u64 {
        self.listener.lost.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let traces = &self.live.traces;
        {
            let mut list = traces.lock();
            list.retain(|other| !Arc::ptr_eq(other, &self.listener));
            traces.count.store(list.len(), Ordering::Relaxed);
        }
        for session in self.live.list() {
            if !traces.trace(&fold(&session.account)) {
                session.traffic.tap.close();
            }
        }
    }
}

impl Traces {
    fn is_idle(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    fn trace(&self, name: &Folded) -> bool {
        !self.is_idle() && self.lock().iter().any(|listener| listener.names.contains(name))
    }

    fn tell(&self, name: &Folded, line: &TraceLine) {
        for listener in self.lock().iter().filter(|listener| listener.names.contains(name)) {
            if listener.lines.try_send(line.clone()).is_err() {
                listener.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Listener>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    /// The record of a connection that has just come, where there is a trace.
    pub(super) fn record(
        self: &Arc<Self>,
        id: &str,
        door: Door,
        words: &'static Vocabulary,
    ) -> Option<Record> {
        if self.traces.is_idle() {
            return None;
        }
        let kept = Kept { id: id.to_owned(), door, name: None, held: Vec::new() };
        Some(Record { live: self.clone(), kept: Arc::new(Mutex::new(kept)), words })
    }

    /// Has the traces of the session's account hear it: from its login on, where it `begins`.
    pub(super) fn listen_to(self: &Arc<Self>, session: &Arc<LiveSession>, begins: bool) {
        let name = fold(&session.account);
        if !self.traces.trace(&name) {
            return;
        }
        let (live, door, id) = (self.clone(), session.door, session.id.clone());
        let words = session.words;
        session.traffic.tap.open(move || {
            let mut scribe = Scribe::of_session(words, begins);
            Box::new(move |is_up, piece| {
                let (speaker, way) = match is_up {
                    true => (Speaker::Client, "client>provider"),
                    false => (Speaker::Server, "provider>client"),
                };
                scribe.hear(speaker, piece, &mut |text| {
                    let at = OffsetDateTime::now_utc();
                    live.traces.tell(&name, &TraceLine { at, session: id.clone(), door, way, text });
                });
            })
        });
    }
}

/// What a connection has said before it is known whose it is.
pub(super) struct Record {
    live: Arc<Live>,
    kept: Arc<Mutex<Kept>>,
    words: &'static Vocabulary,
}

struct Kept {
    id: String,
    door: Door,
    name: Option<Folded>,
    held: Vec<TraceLine>,
}

impl Record {
    /// The connection logs in as `name`: what is held is for the traces of that account, and so is what comes.
    pub(super) fn names(&self, name: &str) {
        let name = fold(name);
        let mut kept = lock(&self.kept);
        for line in std::mem::take(&mut kept.held) {
            self.live.traces.tell(&name, &line);
        }
        kept.name = Some(name);
    }

    /// Hears the wire to the client.
    pub(super) fn of_client(&self) -> Tape {
        self.tape(|sent| match sent {
            true => (Speaker::Server, "proxy>client"),
            false => (Speaker::Client, "client>proxy"),
        })
    }

    /// Hears a wire to the provider.
    pub(super) fn of_provider(&self) -> Tape {
        self.tape(|sent| match sent {
            true => (Speaker::Client, "proxy>provider"),
            false => (Speaker::Server, "provider>proxy"),
        })
    }

    fn tape(&self, who: fn(bool) -> (Speaker, &'static str)) -> Tape {
        let (live, kept) = (self.live.clone(), self.kept.clone());
        let scribe = Mutex::new(Scribe::new(self.words));
        Tape(Arc::new(move |sent, bytes| {
            let (speaker, way) = who(sent);
            let mut scribe = scribe.lock().unwrap_or_else(PoisonError::into_inner);
            scribe.hear(speaker, bytes, &mut |text| {
                let mut kept = lock(&kept);
                let (session, door) = (kept.id.clone(), kept.door);
                let line = TraceLine { at: OffsetDateTime::now_utc(), session, door, way, text };
                match &kept.name {
                    Some(name) => live.traces.tell(name, &line),
                    None if kept.held.len() < HELD => kept.held.push(line),
                    None => {}
                }
            });
        }))
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
