//! Checks whether the database at its path is still the one that is open.
//!
//! An open file stays the same file under any name: a process could continue to use a database that was replaced,
//! removed, or lost with its disk, and would not see what commands change at the path. So every use compares
//! first. Only [`Sqlite::follow`] opens the database that has replaced it, after judging it.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{BUSY_TIMEOUT, MIGRATIONS, Opened, Sqlite, migrating};
use crate::mutex::lock;
use crate::store::{Absence, Result, SealedSetting, StoreError};

/// How long to wait for the end of work on a replaced database; then it is tried again.
const LET_GO: Duration = Duration::from_secs(5);

/// SQLite's endings for its write-ahead log, and for the shared index of the log.
pub(super) const LOG: &str = "-wal";
pub(super) const LOG_INDEX: &str = "-shm";

/// Checks the sealed values of a database that has replaced ours; the error is why they cannot be used.
pub type Judge = Box<dyn Fn(&[SealedSetting]) -> Result<(), String> + Send + Sync>;

/// The identity of a file, without regard to its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// Why the database cannot be used, and the cure.
pub(super) struct Fault {
    cause: String,
    cure: &'static str,
}

impl From<Fault> for StoreError {
    fn from(Fault { cause, cure }: Fault) -> Self {
        Self::Unusable(format!("{cause}; {cure}"))
    }
}

impl Sqlite {
    /// The open database, if it is still the one at the path.
    pub(super) fn opened(&self) -> Result<Arc<Opened>> {
        let opened = self.opened.load_full();
        if self.found()? == opened.place && !opened.pool.is_closed() {
            return Ok(opened);
        }
        let known = lock(&self.absence);
        let trouble = match &*known {
            Some(Absence { cause, cure, .. }) => Fault { cause: cause.clone(), cure },
            None => self.trouble("was replaced by another one", "it is opened in a moment"),
        };
        Err(trouble.into())
    }

    /// Opens the database that has replaced ours, if there is one, and notes since when there is no usable
    /// database.
    pub(super) async fn follow(&self) -> Result<()> {
        let followed = self.try_to_follow().await;
        let mut absence = lock(&self.absence);
        match followed {
            Ok(()) => {
                *absence = None;
                Ok(())
            }
            Err(trouble) => {
                let since = absence.as_ref().map_or_else(std::time::Instant::now, |absence| absence.since);
                *absence = Some(Absence { since, cause: trouble.cause.clone(), cure: trouble.cure });
                Err(trouble.into())
            }
        }
    }

    async fn try_to_follow(&self) -> Result<(), Fault> {
        let before = self.opened.load_full();
        let found = self.found()?;
        if found == before.place && !before.pool.is_closed() {
            before.remember_log(&self.path);
            return Ok(());
        }
        let unusable = |why: String| {
            let cause = format!("was replaced by another, which cannot be used: {why}");
            self.trouble(&cause, "put the right one in its place")
        };
        before.let_go(&self.path).await.map_err(unusable)?;
        self.judge().await.map_err(unusable)?;
        let opened = Opened::open(&self.path).await.map_err(|error| unusable(error.to_string()))?;
        if opened.place != found {
            return Err(unusable("it was replaced once more".to_owned()));
        }
        // Changed before anything is read from the new database, so that remembered rows of the old one become
        // invalid.
        self.epoch.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.opened.store(Arc::new(opened));
        tracing::warn!(
            "the database {} was replaced; the new one is in use from now on",
            self.path.display()
        );
        Ok(())
    }

    fn found(&self) -> Result<Place, Fault> {
        Place::of(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                self.trouble("is missing", "put it back, or mount the disk that it is on")
            }
            _ => self.trouble(&format!("cannot be seen ({error})"), "look after the disk that it is on"),
        })
    }

    fn trouble(&self, what: &str, cure: &'static str) -> Fault {
        Fault { cause: format!("the database {} {what}", self.path.display()), cure }
    }

    /// Checks the database at the path without changing it.
    async fn judge(&self) -> Result<(), String> {
        let settings = settings_of(&self.path, Release::This).await?;
        let Some(judge) = self.judge.clone() else { return Ok(()) };
        // The judge may have to read keys.
        let judging = tokio::task::spawn_blocking(move || judge(&settings));
        judging.await.map_err(|error| error.to_string())?
    }
}

impl Opened {
    /// Notes the file of SQLite's write-ahead log, whose path changes when the database is moved.
    pub(super) fn remember_log(&self, database: &Path) {
        let log = Place::of(&beside(database, LOG)).ok();
        *lock(&self.log) = log;
    }

    /// Closes the database. If its log still lies at the path, the log is emptied into its database and removed:
    /// SQLite would take it for the log of the new database there.
    async fn let_go(&self, database: &Path) -> Result<(), String> {
        // A pool that is closed may still have a transaction under way, for which the code below waits again.
        if !self.pool.is_closed() && self.log_lies_at(database) {
            tokio::time::timeout(LET_GO, self.empty_log()).await.map_err(|_| in_use())??;
            if self.log_lies_at(database) {
                remove_log(database);
            }
        }
        tokio::time::timeout(LET_GO, self.looks.close()).await.map_err(|_| in_use())?;
        drop(self.observer.lock().await.take());
        tokio::time::timeout(LET_GO, self.pool.close()).await.map_err(|_| in_use())
    }

    fn log_lies_at(&self, database: &Path) -> bool {
        let log = *lock(&self.log);
        log.is_some() && Place::of(&beside(database, LOG)).ok() == log
    }

    async fn empty_log(&self) -> Result<(), String> {
        let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await;
        let busy = emptied.and_then(|row| row.try_get::<i64, _>(0)).map_err(|error| error.to_string())?;
        match busy {
            0 => Ok(()),
            _ => Err(in_use()),
        }
    }
}

fn in_use() -> String {
    "the one that was there is still in use".to_owned()
}

/// Removes the log beside a database.
pub(super) fn remove_log(database: &Path) {
    for ending in [LOG, LOG_INDEX] {
        let _ = std::fs::remove_file(beside(database, ending));
    }
}

/// The file beside a database whose name is longer by this ending.
pub(super) fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The versions whose tables a database may have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Release {
    /// This version only.
    This,
    /// This version or an earlier one, which the next start migrates.
    ThisOrEarlier,
}

/// The values that show whether a database is one of ours.
struct Sealed {
    whole: String,
    made: Vec<(i64, Vec<u8>)>,
    settings: Vec<SealedSetting>,
}

/// Reads these values over a connection that is used for nothing else.
async fn read_alone(path: &Path) -> Result<Sealed, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(BUSY_TIMEOUT);
    let mut connection = options.disable_statement_logging().connect().await?;
    let whole = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await?;
    let made = "SELECT version, checksum FROM _sqlx_migrations WHERE success ORDER BY version";
    let made = sqlx::query_as(made).fetch_all(&mut connection).await?;
    let settings = sqlx::query_as("SELECT key, value FROM settings").fetch_all(&mut connection).await?;
    let settings = settings.into_iter().map(|(key, value)| SealedSetting { key, value }).collect();
    connection.close().await?;
    Ok(Sealed { whole, made, settings })
}

/// The sealed settings of an undamaged database with our tables.
pub(super) async fn settings_of(path: &Path, release: Release) -> Result<Vec<SealedSetting>, String> {
    let read = read_alone(path).await;
    let Sealed { whole, made, settings } =
        read.map_err(|error| format!("it is not a store of this program ({error})"))?;
    if whole != "ok" {
        return Err("it is damaged".to_owned());
    }
    let ours: Vec<_> =
        migrating::migrator(MIGRATIONS).iter().map(|step| (step.version, step.checksum.to_vec())).collect();
    let is_ours = match release {
        Release::This => made == ours,
        Release::ThisOrEarlier => !made.is_empty() && ours.starts_with(&made),
    };
    match (is_ours, release) {
        (true, _) => Ok(settings),
        (false, Release::ThisOrEarlier) => Err("it is of a newer version of this program".to_owned()),
        (false, Release::This) => {
            Err("it is of another version of this program, and is changed at a start only".to_owned())
        }
    }
}
