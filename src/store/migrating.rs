//! The part of a migration that SQLite and PostgreSQL share: the check of the sealed values, and the list of
//! migrations.

use std::sync::Arc;

use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::{Judge, SealedSetting};

/// A migration: its number, its name and its statements.
pub(super) type Statements = (i64, &'static str, &'static str);

/// What a database holds before it is migrated.
#[derive(Default)]
pub(super) struct Found {
    /// The sealed settings.
    pub(super) sealed: Vec<SealedSetting>,
    /// Number of migrations in it.
    pub(super) made: usize,
}

impl Found {
    /// Judges the sealed values of a store that is to be migrated: a process that cannot use it must not change it.
    pub(super) async fn judge(self, judge: Option<Arc<Judge>>, all: &[Statements]) -> Result<(), String> {
        let Some(judge) = judge.filter(|_| !self.sealed.is_empty() && self.made < all.len()) else {
            return Ok(());
        };
        // The judge may have to read keys.
        let judged = tokio::task::spawn_blocking(move || judge(&self.sealed)).await;
        judged
            .unwrap_or_else(|error| Err(error.to_string()))
            .map_err(|why| format!("{why}, so it was not changed for this version"))
    }
}

pub(super) fn migrator(migrations: &[Statements]) -> Migrator {
    let migrations = migrations.iter().map(|(number, name, sql)| {
        let sql = sqlx::SqlStr::from_static(sql);
        Migration::new(*number, (*name).into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}
