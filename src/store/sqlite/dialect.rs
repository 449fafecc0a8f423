//! The parts of the statements in `store/sql` that differ between databases: those of SQLite.

pub(super) use sqlx::Sqlite as Driver;
pub(super) use sqlx::sqlite::{SqlitePool as Pool, SqliteRow as Row};

pub(super) use super::Sqlite as Backend;
use crate::store::WAS_MOVED;
use crate::store::tables::TABLES;

/// A transaction.
pub(super) type Writing = sqlx::Transaction<'static, Driver>;

// The values of a column as a JSON array, without NULL.
macro_rules! JSON_NAMES {
    ($column:literal) => {
        concat!("json_group_array(", $column, ") FILTER (WHERE ", $column, " IS NOT NULL)")
    };
}
pub(super) use JSON_NAMES;

// The texts of a JSON array, as rows.
macro_rules! LISTED {
    ($parameter:literal) => {
        concat!("SELECT value FROM json_each(", $parameter, ")")
    };
}
pub(super) use LISTED;

/// Puts the trouble $3 of door $1 beside those of other doors of account $2.
pub(super) const SET_TROUBLE: &str =
    "UPDATE accounts SET troubles = json_set(troubles, '$.' || $1, json($3)) WHERE id = $2";
/// Removes the trouble of door $1 of account $2.
pub(super) const CLEAR_TROUBLE: &str =
    "UPDATE accounts SET troubles = json_remove(troubles, '$.' || $1) WHERE id = $2";

pub(super) type Arguments = sqlx::sqlite::SqliteArguments;
/// The statements around the filling of a store from another one.
pub(super) const BEFORE_FILLING: &[&str] = &[];
pub(super) const AFTER_FILLING: &[&str] = &[];
/// Makes every later write fail, with the place `to` that the store was moved to.
pub(super) fn refuse_writes(to: &str) -> Vec<String> {
    let to = to.replace('\'', "''");
    let trigger = |(table, write): (&str, &str)| {
        format!(
            "CREATE TRIGGER moved_{table}_{write} BEFORE {write} ON {table} \
             BEGIN SELECT RAISE(ABORT, '{WAS_MOVED}{to}; name that place in store.url'); END"
        )
    };
    let tables = TABLES.iter().map(|table| table.name);
    tables.flat_map(|table| ["INSERT", "UPDATE", "DELETE"].map(|write| trigger((table, write)))).collect()
}
/// Begins a transaction that sees the database at one moment.
pub(super) const BEGIN_READING: &str = "BEGIN";
/// Statements to run after a store was marked as moved: they move the mark from the log into the file itself, which may
/// be renamed without its log.
pub(super) const AFTER_MARKING: &[&str] = &["PRAGMA wal_checkpoint(TRUNCATE)"];
/// The time in seconds, by the clock that all processes on the store go by.
pub(super) const CLOCK: &str = "SELECT unixepoch() AS now";
