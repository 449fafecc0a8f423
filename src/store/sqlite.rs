//! The store in one SQLite file, shared by `serve` and the commands.
//!
//! WAL lets them read while one writes; `synchronous=FULL` makes a commit outlive a power cut, which a
//! rotated refresh token must; a busy timeout queues writers. Read-modify-write runs in
//! `BEGIN IMMEDIATE` transactions, so that no reader ever has to become a writer half-way.

mod look;
mod place;
mod rows;
mod upkeep;

use std::collections::HashSet;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, Sqlite as Database, SqliteConnection, Transaction,
};
use time::OffsetDateTime;
use tokio::sync::Mutex;

use self::look::Looks;
use self::place::Place;
use self::rows::{
    ACCOUNT_COLUMNS, GRANT_COLUMNS, PASSWORD_COLUMNS, account, grant, join_scopes, password, seconds,
};
use super::holder::Holders;
use super::{
    Absence, Account, AppPassword, Authorization, Grant, GrantKind, GrantStatus, Granted, Id, LoginNote,
    LoginRecord, SealedSetting, Store, StoreError, Trouble, Verifier, domain_account, fold,
};

pub use self::place::Judge;

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "initial", include_str!("migrations/0001_initial.sql")),
    (2, "upkeep", include_str!("migrations/0002_upkeep.sql")),
    (3, "kinds", include_str!("migrations/0003_kinds.sql")),
];

/// Longer than any transaction of ours by far: what waits this long has found a stuck disk.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Sign-ins that wait for their answer at one time; far more than people authorise.
const LEFT_AT_ONCE: i64 = 1000;
/// Reads run beside one another; more connections than this only cost threads.
const CONNECTIONS: u32 = 4;
/// What ends a wait is the deadline of the login or of the refresh that waits, and not this.
const CONNECTION_WAIT: Duration = Duration::from_secs(120);

/// The store in a SQLite file.
pub struct Sqlite {
    path: PathBuf,
    opened: ArcSwap<Opened>,
    /// How many databases have taken the place of the first one.
    epoch: AtomicU64,
    absence: StdMutex<Option<Absence>>,
    judge: Option<Arc<Judge>>,
}

/// One database, open.
struct Opened {
    pool: SqlitePool,
    looks: Looks,
    holders: Holders,
    /// Writes nothing, so that it sees everybody's writes; see [`Store::version`].
    observer: Mutex<Option<SqliteConnection>>,
    /// The file that was opened.
    place: Place,
    /// The file of its write-ahead log, when it was last looked at.
    log: StdMutex<Option<Place>>,
}

impl Opened {
    /// Opens the file at `path`, which exists and is a database of ours, or empty.
    async fn open(path: &Path) -> Result<Self, sqlx::Error> {
        let place = Place::of(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            // A statement in the log would hold names.
            .disable_statement_logging();
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(CONNECTION_WAIT)
            // There is no server that could have gone.
            .test_before_acquire(false)
            // A full disk ends SQLite's transaction by itself; sqlx goes on counting it and would never
            // begin another one on that connection.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .connect_with(options)
            .await?;
        let (looks, holders) = (Looks::new(path), Holders::new(path));
        let opened =
            Self { pool, looks, holders, observer: Mutex::new(None), place, log: StdMutex::new(None) };
        opened.remember_log(path);
        Ok(opened)
    }
}

impl Sqlite {
    /// Opens the database at `path`, making or migrating it as needed. The caller holds the state
    /// directory's lock, so that two processes never migrate at once.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let unusable = |error: &dyn std::fmt::Display| {
            StoreError::Unusable(format!("the database {} cannot be used: {error}", path.display()))
        };
        // SQLite gives its -wal and -shm files the mode of this one.
        std::fs::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| unusable(&error))?;
        let opened = Opened::open(path).await.map_err(|error| unusable(&error))?;
        migrator().run(&opened.pool).await.map_err(|error| unusable(&error))?;
        Ok(Self {
            path: path.to_owned(),
            opened: ArcSwap::from_pointee(opened),
            epoch: AtomicU64::new(0),
            absence: StdMutex::default(),
            judge: None,
        })
    }

    /// Has `judge` look at what is sealed in a database that takes the place of this one.
    pub fn judged_by(self, judge: Judge) -> Self {
        Self { judge: Some(Arc::new(judge)), ..self }
    }

    fn pool(&self) -> Result<SqlitePool, StoreError> {
        Ok(self.opened()?.pool.clone())
    }

    async fn write(&self) -> Result<Transaction<'static, Database>, StoreError> {
        Ok(self.pool()?.begin_with("BEGIN IMMEDIATE").await?)
    }
}

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|(version, name, sql)| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[async_trait]
impl Store for Sqlite {
    async fn login(&self, name: &str) -> Result<Option<LoginRecord>, StoreError> {
        let looks = self.opened()?.looks.clone();
        if let Some(record) = looks.find(fold(name)).await? {
            return Ok(Some(record));
        }
        let Some(domain) = domain_account(name) else { return Ok(None) };
        let Some(mut record) = looks.find(domain).await? else { return Ok(None) };
        record.account.name = name.to_owned();
        if let Some(grant) = &mut record.grant {
            grant.mailbox = Some(name.to_owned());
        }
        Ok(Some(record))
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let sql = concat!("SELECT ", ACCOUNT_COLUMNS!(), " FROM accounts a ORDER BY a.name");
        let rows = sqlx::query(sql).fetch_all(&self.pool()?).await?;
        let mut accounts = rows.iter().map(account).collect::<Result<Vec<_>, _>>()?;
        let names = sqlx::query("SELECT name, account_id FROM login_names ORDER BY folded")
            .fetch_all(&self.pool()?)
            .await?;
        for row in names {
            let (name, id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let owner = accounts.iter_mut().find(|account| account.id.0 == id && account.name != name);
            if let Some(account) = owner {
                account.aliases.push(name);
            }
        }
        Ok(accounts)
    }

    async fn grants(&self) -> Result<Vec<Grant>, StoreError> {
        let sql = concat!("SELECT ", GRANT_COLUMNS!(), " FROM grants g");
        let rows = sqlx::query(sql).fetch_all(&self.pool()?).await?;
        rows.iter().filter_map(|row| grant(row).transpose()).collect()
    }

    async fn grant(&self, id: &Id) -> Result<Option<Grant>, StoreError> {
        let sql = concat!("SELECT ", GRANT_COLUMNS!(), " FROM grants g WHERE g.id = ?");
        let row = sqlx::query(sql).bind(&id.0).fetch_optional(&self.pool()?).await?;
        row.as_ref().map_or(Ok(None), grant)
    }

    async fn grant_of(
        &self,
        provider: &str,
        owner: &str,
        kind: GrantKind,
    ) -> Result<Option<Grant>, StoreError> {
        let sql = concat!(
            "SELECT ",
            GRANT_COLUMNS!(),
            " FROM grants g WHERE g.provider = ? AND g.owner_folded = ?"
        );
        let row = sqlx::query(sql)
            .bind(provider)
            .bind(folded_owner(owner, kind))
            .fetch_optional(&self.pool()?)
            .await?;
        row.as_ref().map_or(Ok(None), grant)
    }

    async fn update_grant(&self, grant: &Grant, holder: Option<&str>) -> Result<i64, StoreError> {
        let sql = "UPDATE grants SET revision = revision + 1, provider = ?, owner = ?, owner_folded = ?, kind = ?, scopes = ?, \
             refresh_token = ?, access_token = ?, access_expires_at = ?, state = ?, last_error = ?, failed_at = ?, failures = ?, \
             retry_at = ?, authorized_at = ?, refreshed_at = ?, refresh_expires_at = ?, interrupted_at = ?, \
             lease_until = CASE WHEN lease_holder = ? THEN NULL ELSE lease_until END, \
             lease_holder = CASE WHEN lease_holder = ? THEN NULL ELSE lease_holder END \
             WHERE id = ? AND revision = ?";
        let done = bind_grant(sqlx::query(sql), grant)
            .bind(holder)
            .bind(holder)
            .bind(&grant.id.0)
            .bind(grant.revision)
            .execute(&self.pool()?)
            .await?;
        match done.rows_affected() {
            0 => Err(StoreError::Conflict),
            _ => Ok(grant.revision + 1),
        }
    }

    async fn holder(&self) -> Result<String, StoreError> {
        let unusable =
            |error| StoreError::Unusable(format!("no lease can be taken in the state directory: {error}"));
        self.opened()?.holders.own().map_err(unusable)
    }

    async fn version(&self) -> Result<i64, StoreError> {
        self.data_version().await
    }

    async fn reopen(&self) -> Result<(), StoreError> {
        self.follow().await
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn absence(&self) -> Option<Absence> {
        self.absence.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn passwords_in_force(&self) -> Result<HashSet<Id>, StoreError> {
        upkeep::passwords_in_force(&self.pool()?).await
    }

    async fn statuses(&self) -> Result<Vec<GrantStatus>, StoreError> {
        upkeep::statuses(&self.pool()?).await
    }

    async fn claim_telling(
        &self,
        grant: &Id,
        told: Option<&str>,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        upkeep::claim_telling(&self.pool()?, grant, told, now, until).await
    }

    async fn set_told(&self, grant: &Id, told: Option<&str>) -> Result<(), StoreError> {
        upkeep::set_told(&self.pool()?, grant, told).await
    }

    async fn take_lease(
        &self,
        grant: &Id,
        holder: &str,
        now: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let opened = self.opened()?;
        let row = sqlx::query("SELECT lease_holder, lease_until FROM grants WHERE id = ?")
            .bind(&grant.0)
            .fetch_optional(&opened.pool)
            .await?;
        let Some(row) = row else { return Ok(false) };
        let (found, found_until): (Option<String>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        let now = now.unix_timestamp();
        if let Some(found) = &found
            && found != holder
            && found_until.is_some_and(|until| until > now)
            && opened.holders.is_alive(found)
        {
            return Ok(false);
        }
        // Another holder that is still written there could not write its end.
        let sql = "UPDATE grants SET interrupted_at = \
             CASE WHEN lease_holder IS NOT NULL AND lease_holder <> ? THEN lease_taken_at ELSE interrupted_at END, \
             lease_holder = ?, lease_taken_at = ?, lease_until = ? WHERE id = ? AND lease_holder IS ?";
        let done = sqlx::query(sql)
            .bind(holder)
            .bind(holder)
            .bind(now)
            .bind(until.unix_timestamp())
            .bind(&grant.0)
            .bind(found)
            .execute(&opened.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn release_lease(&self, grant: &Id, holder: &str) -> Result<(), StoreError> {
        let sql =
            "UPDATE grants SET lease_holder = NULL, lease_until = NULL WHERE id = ? AND lease_holder = ?";
        sqlx::query(sql).bind(&grant.0).bind(holder).execute(&self.pool()?).await?;
        Ok(())
    }

    async fn authorize(&self, authorization: &Authorization) -> Result<Account, StoreError> {
        let mut transaction = self.write().await?;
        let grant = match &authorization.grant {
            Granted::New(grant) => {
                put_grant(&mut transaction, grant).await?;
                &grant.id
            }
            Granted::Existing(id) => {
                let held = sqlx::query("SELECT 1 FROM grants WHERE id = ? AND refresh_token IS NOT NULL");
                let held = held.bind(&id.0).fetch_optional(&mut *transaction).await?;
                held.ok_or(StoreError::Conflict)?;
                id
            }
        };
        let account = put_account(&mut transaction, authorization, grant).await?;
        for alias in &authorization.aliases {
            put_name(&mut transaction, &account.id, alias).await?;
        }
        if let Some(password) = &authorization.password {
            put_password(&mut transaction, &account.id, password).await?;
        }
        transaction.commit().await?;
        Ok(account)
    }

    async fn remove_account(&self, account: &Id) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM accounts WHERE id = ?").bind(&account.0).execute(&mut *transaction).await?;
        sqlx::query(
            "DELETE FROM grants WHERE id NOT IN (SELECT grant_id FROM accounts WHERE grant_id IS NOT NULL)",
        )
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    async fn add_alias(&self, account: &Id, alias: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        put_name(&mut transaction, account, alias).await?;
        Ok(transaction.commit().await?)
    }

    async fn remove_alias(&self, account: &Id, alias: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM login_names WHERE folded = ? AND account_id = ? \
             AND name <> (SELECT name FROM accounts WHERE id = account_id)";
        let done = sqlx::query(sql).bind(fold(alias)).bind(&account.0).execute(&self.pool()?).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn add_password(&self, password: &AppPassword) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        put_password(&mut transaction, &password.account, password).await?;
        Ok(transaction.commit().await?)
    }

    async fn passwords(&self, account: &Id) -> Result<Vec<AppPassword>, StoreError> {
        let sql = concat!(
            "SELECT ",
            PASSWORD_COLUMNS!(),
            " FROM passwords p WHERE p.account_id = ? ORDER BY p.name"
        );
        let rows = sqlx::query(sql).bind(&account.0).fetch_all(&self.pool()?).await?;
        rows.iter().filter_map(|row| password(row).transpose()).collect()
    }

    async fn remove_password(&self, account: &Id, name: &str) -> Result<bool, StoreError> {
        let sql = "DELETE FROM passwords WHERE account_id = ? AND name = ?";
        let done = sqlx::query(sql).bind(&account.0).bind(name).execute(&self.pool()?).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn note_logins(&self, notes: &[LoginNote]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for note in notes {
            let at = note.at.unix_timestamp();
            sqlx::query("UPDATE accounts SET last_login_at = ?, last_login_from = ? WHERE id = ?")
                .bind(at)
                .bind(&note.from)
                .bind(&note.account.0)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("UPDATE passwords SET last_used_at = ?, last_used_from = ? WHERE id = ?")
                .bind(at)
                .bind(&note.from)
                .bind(&note.password.0)
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn set_trouble(&self, account: &Id, trouble: Option<&Trouble>) -> Result<(), StoreError> {
        let sql = "UPDATE accounts SET trouble = ?, trouble_count = ?, trouble_at = ?, trouble_retry_at = ? WHERE id = ?";
        sqlx::query(sql)
            .bind(trouble.map(|trouble| &trouble.reason))
            .bind(trouble.map(|trouble| trouble.count))
            .bind(trouble.map(|trouble| trouble.at.unix_timestamp()))
            .bind(trouble.map(|trouble| trouble.retry_at.unix_timestamp()))
            .bind(&account.0)
            .execute(&self.pool()?)
            .await?;
        Ok(())
    }

    async fn setting(&self, key: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO NOTHING")
            .bind(key)
            .bind(value)
            .execute(&mut *transaction)
            .await?;
        let row = sqlx::query("SELECT value FROM settings WHERE key = ?")
            .bind(key)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(row.try_get(0)?)
    }

    async fn sealed_settings(&self) -> Result<Vec<SealedSetting>, StoreError> {
        let rows = sqlx::query("SELECT key, value FROM settings").fetch_all(&self.pool()?).await?;
        let setting =
            |row: &SqliteRow| Ok(SealedSetting { key: row.try_get("key")?, value: row.try_get("value")? });
        rows.iter().map(setting).collect()
    }

    async fn replace_setting(&self, key: &str, old: &[u8], new: &[u8]) -> Result<bool, StoreError> {
        let done = sqlx::query("UPDATE settings SET value = ? WHERE key = ? AND value = ?")
            .bind(new)
            .bind(key)
            .bind(old)
            .execute(&self.pool()?)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    async fn leave(&self, key: &str, sealed: &[u8], until: OffsetDateTime) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM left_behind WHERE until < ?")
            .bind(OffsetDateTime::now_utc().unix_timestamp())
            .execute(&mut *transaction)
            .await?;
        // The first answer counts, and many junk ones do not fill the disk.
        sqlx::query(
            "INSERT INTO left_behind (key, sealed, until) SELECT ?, ?, ? \
             WHERE (SELECT count(*) FROM left_behind) < ? ON CONFLICT (key) DO NOTHING",
        )
        .bind(key)
        .bind(sealed)
        .bind(until.unix_timestamp())
        .bind(LEFT_AT_ONCE)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }

    async fn collect(&self, key: &str, now: OffsetDateTime) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("DELETE FROM left_behind WHERE key = ? AND until >= ? RETURNING sealed")
            .bind(key)
            .bind(now.unix_timestamp())
            .fetch_optional(&self.pool()?)
            .await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }
}

/// A person's grant and an application's for the same mailbox are two.
fn folded_owner(owner: &str, kind: GrantKind) -> String {
    match kind {
        GrantKind::Person => fold(owner),
        GrantKind::App => format!("app:{}", fold(owner)),
    }
}

type Query<'q> = sqlx::query::Query<'q, Database, <Database as sqlx::Database>::Arguments>;

/// Binds what `update_grant` and `put_grant` write, in their common order.
fn bind_grant<'q>(query: Query<'q>, grant: &'q Grant) -> Query<'q> {
    query
        .bind(&grant.provider)
        .bind(&grant.owner)
        .bind(folded_owner(&grant.owner, grant.kind))
        .bind(grant.kind.name())
        .bind(join_scopes(&grant.scopes))
        .bind(grant.refresh_token.as_deref())
        .bind(grant.access_token.as_deref())
        .bind(seconds(grant.access_expires_at))
        .bind(grant.state.name())
        .bind(grant.last_error.as_deref())
        .bind(seconds(grant.failed_at))
        .bind(grant.failures)
        .bind(seconds(grant.retry_at))
        .bind(grant.authorized_at.unix_timestamp())
        .bind(seconds(grant.refreshed_at))
        .bind(seconds(grant.refresh_expires_at))
        .bind(seconds(grant.interrupted_at))
}

/// A person's consent wins over whatever a background refresh wrote meanwhile: the row's revision
/// moves on, and a refresh that began before loses.
async fn put_grant(transaction: &mut Transaction<'_, Database>, grant: &Grant) -> Result<(), StoreError> {
    let sql = "INSERT INTO grants (provider, owner, owner_folded, kind, scopes, refresh_token, access_token, \
         access_expires_at, state, last_error, failed_at, failures, retry_at, authorized_at, refreshed_at, refresh_expires_at, \
         interrupted_at, id, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) \
         ON CONFLICT (id) DO UPDATE SET revision = grants.revision + 1, provider = excluded.provider, \
         owner = excluded.owner, owner_folded = excluded.owner_folded, kind = excluded.kind, scopes = excluded.scopes, \
         refresh_token = excluded.refresh_token, access_token = excluded.access_token, \
         access_expires_at = excluded.access_expires_at, state = excluded.state, last_error = excluded.last_error, failed_at = excluded.failed_at, \
         failures = excluded.failures, retry_at = excluded.retry_at, authorized_at = excluded.authorized_at, \
         refreshed_at = excluded.refreshed_at, refresh_expires_at = excluded.refresh_expires_at, \
         interrupted_at = excluded.interrupted_at, lease_holder = NULL, lease_until = NULL";
    bind_grant(sqlx::query(sql), grant).bind(&grant.id.0).execute(&mut **transaction).await?;
    Ok(())
}

async fn put_account(
    transaction: &mut Transaction<'_, Database>,
    authorization: &Authorization,
    grant: &Id,
) -> Result<Account, StoreError> {
    let Authorization { account: name, id, .. } = authorization;
    let account = match find_account(transaction, name).await? {
        Some(account) => account,
        None => {
            sqlx::query("INSERT INTO accounts (id, name) VALUES (?, ?)")
                .bind(&id.0)
                .bind(name)
                .execute(&mut **transaction)
                .await?;
            put_name(transaction, id, name).await?;
            Account {
                id: id.clone(),
                name: name.to_owned(),
                aliases: Vec::new(),
                grant: None,
                last_login_at: None,
                last_login_from: None,
                trouble: None,
            }
        }
    };
    sqlx::query("UPDATE accounts SET grant_id = ?, trouble = NULL WHERE id = ?")
        .bind(&grant.0)
        .bind(&account.id.0)
        .execute(&mut **transaction)
        .await?;
    // What this account used before, and nobody uses any more.
    sqlx::query(
        "DELETE FROM grants WHERE id NOT IN (SELECT grant_id FROM accounts WHERE grant_id IS NOT NULL)",
    )
    .execute(&mut **transaction)
    .await?;
    Ok(Account { grant: Some(grant.clone()), ..account })
}

async fn put_password(
    transaction: &mut Transaction<'_, Database>,
    account: &Id,
    password: &AppPassword,
) -> Result<(), StoreError> {
    let (generated, chosen) = match &password.verifier {
        Verifier::Generated(hash) => (Some(hash), None),
        Verifier::Chosen(hash) => (None, Some(hash)),
    };
    let sql = "INSERT INTO passwords (id, account_id, name, generated, chosen, created_at) \
         VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, name) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(&password.id.0)
        .bind(&account.0)
        .bind(&password.name)
        .bind(generated)
        .bind(chosen)
        .bind(password.created_at.unix_timestamp())
        .execute(&mut **transaction)
        .await?;
    match done.rows_affected() {
        0 => Err(StoreError::Taken(format!(
            "the account already has an app password named {:?}",
            password.name
        ))),
        _ => Ok(()),
    }
}

async fn find_account(
    transaction: &mut Transaction<'_, Database>,
    name: &str,
) -> Result<Option<Account>, StoreError> {
    let sql = concat!(
        "SELECT ",
        ACCOUNT_COLUMNS!(),
        " FROM login_names n JOIN accounts a ON a.id = n.account_id WHERE n.folded = ?"
    );
    let row = sqlx::query(sql).bind(fold(name)).fetch_optional(&mut **transaction).await?;
    row.as_ref().map(account).transpose()
}

/// Makes `name` open `account`; a name that opens another one is refused.
async fn put_name(
    transaction: &mut Transaction<'_, Database>,
    account: &Id,
    name: &str,
) -> Result<(), StoreError> {
    match find_account(transaction, name).await? {
        Some(owner) if owner.id == *account => Ok(()),
        Some(owner) => Err(StoreError::Taken(format!("{name:?} is already a login name of {}", owner.name))),
        None => {
            sqlx::query("INSERT INTO login_names (folded, name, account_id) VALUES (?, ?, ?)")
                .bind(fold(name))
                .bind(name)
                .bind(&account.0)
                .execute(&mut **transaction)
                .await?;
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_whose_transaction_a_full_disk_ended_is_not_used_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&directory.path().join("store.sqlite")).await.unwrap();
        for _ in 0..2 * CONNECTIONS {
            let mut transaction = store.write().await.unwrap();
            // As SQLite does by itself on SQLITE_FULL.
            sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
        }
        store.write().await.unwrap().commit().await.unwrap();
    }
}
