//! Traces: the lines of one account's sessions, for an administrator who looks for a fault.
//!
//! The account of a connection is known only at its login. So while a trace runs, every new connection keeps a
//! bounded record of its lines, already masked ([`Scribe`]), and passes it at the login to the traces of its
//! account, or drops it. A reader that is too slow loses lines, which are counted; no session waits for it.
//! Without a trace a connection reads one counter, and a session one flag.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use time::OffsetDateTime;
use tokio::sync::mpsc;

use super::live::{Live, LiveSession};
use crate::account::{Folded, fold};
use crate::mutex::lock;
use crate::protocol::{Door, Scribe, Speaker, Vocabulary};
use crate::wire::Tape;

/// The most traces at the same time; each costs a line of text for each line of its sessions.
pub const MOST: usize = 8;
/// Lines that may wait for the reader of a trace.
const WAITING: usize = 1000;
/// Lines that a connection keeps until its login. A login takes a dozen.
const HELD: usize = 100;

/// The running traces.
#[derive(Default)]
pub(super) struct Traces {
    count: AtomicUsize,
    list: Mutex<Vec<Arc<Listener>>>,
}

/// One masked line.
#[derive(Clone, Debug)]
pub struct TraceLine {
    /// The time of the line.
    pub at: OffsetDateTime,
    /// The session's id, or the connection's.
    pub session: String,
    /// The protocol of the session.
    pub door: Door,
    /// The sender and the receiver.
    pub way: &'static str,
    /// The part that may be shown.
    pub text: String,
}

struct Listener {
    names: Vec<Folded>,
    lines: mpsc::Sender<TraceLine>,
    lost: AtomicU64,
}

/// A running trace, which ends when the value is dropped.
pub struct Trace {
    live: Arc<Live>,
    listener: Arc<Listener>,
    lines: mpsc::Receiver<TraceLine>,
}

impl Trace {
    /// Traces the sessions of `names`, open and new ones; `None` if too many traces run.
    pub fn begin(live: &Arc<Live>, names: &[&str]) -> Option<Self> {
        let (sender, lines) = mpsc::channel(WAITING);
        let names = names.iter().map(|name| fold(name)).collect();
        let listener = Arc::new(Listener { names, lines: sender, lost: AtomicU64::new(0) });
        {
            let mut list = lock(&live.traces.list);
            if list.len() >= MOST {
                return None;
            }
            list.push(listener.clone());
            live.traces.count.store(list.len(), Ordering::Relaxed);
        }
        // Sessions that begin from now on find the trace in the list.
        for session in live.list() {
            live.listen_to(&session, false);
        }
        Some(Self { live: live.clone(), listener, lines })
    }

    /// The next line.
    pub async fn next(&mut self) -> Option<TraceLine> {
        self.lines.recv().await
    }

    /// The number of lines lost since the last call.
    pub fn lost(&self) -> u64 {
        self.listener.lost.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        let traces = &self.live.traces;
        {
            let mut list = lock(&traces.list);
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
        !self.is_idle() && lock(&self.list).iter().any(|listener| listener.names.contains(name))
    }

    fn tell(&self, name: &Folded, line: &TraceLine) {
        for listener in lock(&self.list).iter().filter(|listener| listener.names.contains(name)) {
            if listener.lines.try_send(line.clone()).is_err() {
                listener.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Live {
    /// The record of a new connection, if a trace runs.
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

    /// Connects the session to the traces of its account; `begins` if this is its login.
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

/// The lines of a connection before its account is known.
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
    /// The connection logs in as `name`: the traces of that account get the lines kept so far and all later ones.
    pub(super) fn names(&self, name: &str) {
        let name = fold(name);
        let mut kept = lock(&self.kept);
        for line in std::mem::take(&mut kept.held) {
            self.live.traces.tell(&name, &line);
        }
        kept.name = Some(name);
    }

    /// Records the wire to the client.
    pub(super) fn of_client(&self) -> Tape {
        self.tape(|sent| match sent {
            true => (Speaker::Server, "proxy>client"),
            false => (Speaker::Client, "client>proxy"),
        })
    }

    /// Records a wire to the provider.
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
            let mut scribe = lock(&scribe);
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
