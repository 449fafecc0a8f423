//! The open connections: lent to one statement or transaction at a time, and kept.
//!
//! Every wait here has a deadline, because a network that is cut says nothing: a connection whose answer did not come is
//! closed, one whose asker did not wait to the end has seconds to settle, and one that was idle is asked before it is
//! lent. sqlx's own pool asks each connection that is given back, without a deadline; connections that a cut network leaves
//! behind are lost to it until the kernel gives them up, a quarter of an hour later.
//!
//! The question to an idle connection is whether its server takes writes: after a failover the old primary may live on as
//! a standby, which refuses them.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity};
use sqlx::{ConnectOptions as _, Connection as _, Error, Executor as _, Row as _};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::connect::{SESSION, is_standby};
use super::server::Server;
use crate::mutex::lock;

/// How long a caller waits for a connection, behind hundreds of others. The deadline of a waiting login comes later.
const WAIT: Duration = Duration::from_secs(10);
/// How long a new connection may take, which keeps a place meanwhile.
const CONNECTING: Duration = Duration::from_secs(4);
/// How long the answer to a caller who is gone may take, which keeps a place meanwhile.
const SETTLING: Duration = Duration::from_secs(3);
/// A connection that was used within this time is used without a question, unless another one has ended since.
const FRESH: Duration = Duration::from_secs(1);
/// How long a connection lives. Connections to a name thereby follow it to another server.
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// One that was not used for so long is closed.
const LONGEST_IDLE: Duration = Duration::from_secs(10 * 60);
/// Pauses between two tries to connect, while the server starts or takes no more connections.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// The places of connections to one server.
pub(super) struct Slots {
    pub(super) options: PgConnectOptions,
    pub(super) server: Arc<Server>,
    free: Arc<Semaphore>,
    /// The one that was used last is at the end.
    idle: Mutex<Vec<Made>>,
    /// A connection is idle again.
    came: Notify,
}

/// An open connection.
struct Made {
    connection: PgConnection,
    at: Instant,
    used: Instant,
}

impl fmt::Debug for Slots {
    // The options hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").finish_non_exhaustive()
    }
}

impl Slots {
    /// Makes no connection before the first statement, whose error is the one to show.
    pub(super) fn new(options: PgConnectOptions, number: usize, server: Arc<Server>) -> Arc<Self> {
        let (idle, came) = (Mutex::default(), Notify::new());
        Arc::new(Self { options, server, free: Arc::new(Semaphore::new(number)), idle, came })
    }

    /// A connection that works, or the reason why there is none in time.
    pub(super) async fn acquire(self: &Arc<Self>) -> Result<Lent, Error> {
        let mut last = None;
        match timeout(WAIT, self.find(&mut last)).await {
            Ok(found) => found,
            Err(_) => Err(last.unwrap_or(Error::PoolTimedOut)),
        }
    }

    async fn find(self: &Arc<Self>, last: &mut Option<Error>) -> Result<Lent, Error> {
        let (mut pause, longest) = PAUSES;
        loop {
            let permit = self.free.clone().acquire_owned().await.map_err(|_| Error::PoolClosed)?;
            let made = match self.take_idle() {
                Some(idle) if self.is_fresh(&idle) => Ok(Some(idle)),
                Some(idle) => self.revive(idle).await,
                None => self.connect().await.map(Some),
            };
            match made {
                Ok(Some(made)) => return Ok(self.lend(made, permit)),
                Ok(None) => {}
                Err(error) if passes(&error) => {
                    drop(permit);
                    *last = Some(error);
                    // One that is given back is as good as a new one.
                    let _ = timeout(pause, self.came.notified()).await;
                    pause = pause.saturating_mul(2).min(longest);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn is_fresh(&self, idle: &Made) -> bool {
        idle.used.elapsed() < FRESH && !self.server.is_doubted_since(idle.used)
    }

    /// One that is idle, without waiting for it: the one that was used last.
    fn take_idle(&self) -> Option<Made> {
        let mut idle = lock(&self.idle);
        while let Some(made) = idle.pop() {
            // One that is early was made without deadlines.
            if made.at.elapsed() < LIFETIME && !self.server.is_proven_after(made.at) {
                return Some(made);
            }
            say_goodbye(made.connection);
        }
        None
    }

    /// An idle connection if there is one, as it is.
    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<Lent> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        self.take_idle().map(|made| self.lend(made, permit))
    }

    /// The idle connection, once it has answered; a new one where that is faster, because the old one may be dead without
    /// a word; none where the old one is known to be of no use.
    async fn revive(&self, mut idle: Made) -> Result<Option<Made>, Error> {
        let asking = async move {
            let is_standby = is_standby(&mut idle.connection).await;
            matches!(is_standby, Ok(false)).then_some(idle)
        };
        let mut asking = pin!(asking);
        if let Ok(answered) = timeout(FRESH, &mut asking).await {
            return Ok(answered);
        }
        tokio::select! {
            answered = &mut asking => Ok(answered),
            made = self.connect() => match made {
                Err(error) if passes(&error) => asking.await.map_or(Err(error), |idle| Ok(Some(idle))),
                made => made.map(Some),
            },
        }
    }

    async fn connect(&self) -> Result<Made, Error> {
        let silence = |_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        timeout(CONNECTING, self.make()).await.unwrap_or_else(silence)
    }

    async fn make(&self) -> Result<Made, Error> {
        let is_direct = self.server.is_proven();
        let at = Instant::now();
        let mut connection = self.options.connect().await?;
        // Through a pooler what is set would count for other clients.
        let is_standby = match is_direct {
            true => connection.fetch_one(SESSION).await?.try_get(0)?,
            false => is_standby(&mut connection).await?,
        };
        // It may be behind what was written elsewhere.
        if is_standby {
            return Err(std::io::Error::other("it is a standby").into());
        }
        self.server.answers();
        Ok(Made { connection, at, used: at })
    }

    fn lend(self: &Arc<Self>, made: Made, permit: OwnedSemaphorePermit) -> Lent {
        Lent { made: Some(made), is_asked: false, slots: self.clone(), permit: Some(permit) }
    }

    fn take_back(&self, mut made: Made) {
        made.used = Instant::now();
        let mut idle = lock(&self.idle);
        idle.push(made);
        while idle.first().is_some_and(|first| first.used.elapsed() > LONGEST_IDLE) {
            say_goodbye(idle.remove(0).connection);
        }
        self.came.notify_one();
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        lock(&self.idle).drain(..).for_each(|made| say_goodbye(made.connection));
    }
}

/// Whether a server that refuses a connection so may take one soon: nothing listens, it starts or stops, or it has no place.
fn passes(error: &Error) -> bool {
    match error {
        Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Error::Database(error) => error.code().is_some_and(|code| matches!(&*code, "53300" | "57P03")),
        _ => false,
    }
}

/// Ends a connection as a server likes it, without waiting for that.
fn say_goodbye(connection: PgConnection) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(timeout(FRESH, connection.close()));
    }
}

/// Whether a connection is of no use after this answer.
fn ends(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) => true,
        Error::Database(error) => error
            .try_downcast_ref::<PgDatabaseError>()
            .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic)),
        _ => false,
    }
}

/// A connection in the hands of one caller. Given back when it is dropped, unless an answer is still to come.
pub(super) struct Lent {
    made: Option<Made>,
    is_asked: bool,
    slots: Arc<Slots>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lent {
    /// The connection, for one question. [`Self::judge`] says how it went.
    pub(super) fn ask(&mut self) -> Result<&mut PgConnection, Error> {
        self.is_asked = true;
        self.made.as_mut().map(|made| &mut made.connection).ok_or(Error::PoolClosed)
    }

    /// What the connection answered. After no answer it is not given back.
    pub(super) fn judge<T>(&mut self, answered: Result<Result<T, Error>, Elapsed>) -> Result<T, Error> {
        let Ok(answered) = answered else {
            // Closed without a farewell, for which it might wait for ever.
            self.made = None;
            self.slots.server.doubt();
            return Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into());
        };
        match answered.as_ref().is_err_and(ends) {
            true => {
                self.made = None;
                self.slots.server.doubt();
            }
            false => {
                self.is_asked = false;
                self.slots.server.answers();
            }
        }
        answered
    }

    /// Ends the transaction that was begun on it, and then gives it back.
    pub(super) fn roll_back(&mut self) {
        let (made, permit) = (self.made.take(), self.permit.take());
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_asked {
            return;
        }
        let mut lent = Self { made, is_asked: false, slots: self.slots.clone(), permit };
        runtime.spawn(async move {
            let Ok(connection) = lent.ask() else { return };
            let answered = timeout(FRESH, connection.execute("ROLLBACK")).await;
            let _ = lent.judge(answered);
        });
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(made) = self.made.take() else { return };
        if !self.is_asked {
            return self.slots.take_back(made);
        }
        // Its caller did not wait to the end. Where the server is slow the connection is worth more than a new one.
        let (Ok(runtime), Some(permit)) = (tokio::runtime::Handle::try_current(), self.permit.take()) else {
            return;
        };
        runtime.spawn(settle(made, self.slots.clone(), permit));
    }
}

/// Gives a connection back once it has said all, or closes it.
async fn settle(mut made: Made, slots: Arc<Slots>, permit: OwnedSemaphorePermit) {
    if let Ok(Ok(())) = timeout(SETTLING, made.connection.ping()).await {
        slots.server.answers();
        slots.take_back(made);
    }
    drop(permit);
}
