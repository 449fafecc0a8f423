//! Changes by other processes. This is asked every second, so it reads no token.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use sqlx::{ConnectOptions as _, Row as _};
use time::Date;

use super::Sqlite;
use super::sql::in_force;
use crate::mutex::lock;
use crate::store::{Absence, ChangeStore, Id, Result};

#[async_trait]
impl ChangeStore for Sqlite {
    /// SQLite's counter of other connections' commits.
    async fn changes(&self) -> Result<i64> {
        let opened = self.opened()?;
        let mut observer = opened.observer.lock().await;
        if observer.is_none() {
            *observer = Some(opened.pool.connect_options().connect().await?);
        }
        let Some(connection) = observer.as_mut() else { return Ok(0) };
        let row = sqlx::query("PRAGMA data_version").fetch_one(connection).await?;
        let version: i64 = row.try_get(0)?;
        // Another database starts a new count; the counter itself has 32 bits.
        let epoch = i64::try_from(self.epoch.load(Ordering::SeqCst)).unwrap_or(0);
        Ok(epoch.wrapping_shl(32).wrapping_add(version))
    }

    async fn passwords_in_force(&self, of: &HashSet<Id>, today: Date) -> Result<HashSet<Id>> {
        in_force(&self.pool()?, of, today).await
    }

    async fn copy_to(&self, file: &Path) -> Result<()> {
        self.write_copy(file).await
    }

    async fn reopen(&self) -> Result<()> {
        self.follow().await
    }

    fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn absence(&self) -> Option<Absence> {
        lock(&self.absence).clone()
    }
}
