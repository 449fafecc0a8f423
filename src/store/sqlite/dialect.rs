//! The parts of the statements in `store/sql` that differ between databases: those of SQLite.

pub(super) use sqlx::Sqlite as Driver;
pub(super) use sqlx::sqlite::{SqlitePool as Pool, SqliteRow as Row};

pub(super) use super::Sqlite as Backend;
use crate::store::WAS_MOVED;
use crate::store::tables::TABLES;

/// Whether the tables of a store are there.
pub(super) const HAS_TABLES: &str =
    "SELECT count(*) = 2 FROM sqlite_schema WHERE name IN ('settings', '_sqlx_migrations')";

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

// An update of many rows of $table by the objects of the JSON array $1, whose ids name the rows.
macro_rules! FOR_EACH {
    ($table:literal, $fields:literal, $set:literal, $condition:literal) => {
        concat!(
            "UPDATE ",
            $table,
            " AS r SET ",
            $set,
            " FROM (SELECT value ->> 'id' AS id, ",
            $fields,
            " FROM json_each($1)) AS t WHERE r.id = t.id",
            $condition
        )
    };
}
pub(super) const NOTE_ACCOUNTS: &str = FOR_EACH!(
    "accounts",
    "value ->> 'at' AS at, value ->> 'came_from' AS came_from",
    "last_login_at = t.at, last_login_from = t.came_from",
    ""
);
pub(super) const NOTE_PASSWORDS: &str = FOR_EACH!(
    "passwords",
    "value ->> 'at' AS at, value ->> 'came_from' AS came_from",
    "last_used_at = t.at, last_used_from = t.came_from",
    ""
);
pub(super) const LOOK_AGAIN_FOR_UPKEEP: &str = FOR_EACH!(
    "grants",
    "value ->> 'seen' AS seen, value ->> 'at' AS at",
    "upkeep_at = t.at",
    " AND r.upkeep_at = t.seen"
);
pub(super) const LOOK_AGAIN_FOR_NEWS: &str = FOR_EACH!(
    "grants",
    "value ->> 'seen' AS seen, value ->> 'at' AS at",
    "news_at = t.at",
    " AND r.news_at = t.seen"
);

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
