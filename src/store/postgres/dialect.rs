//! The parts of the statements in `store/sql` that differ between databases: those of PostgreSQL.

pub(super) use sqlx::Postgres as Driver;
pub(super) use sqlx::postgres::PgRow as Row;

pub(super) use super::Postgres as Backend;
pub(super) use super::pool::{Pool, Writing};
use crate::store::WAS_MOVED;
use crate::store::tables::{TABLES, Table};

/// Whether the tables of a store are there.
pub(super) const HAS_TABLES: &str =
    "SELECT to_regclass('settings') IS NOT NULL AND to_regclass('_sqlx_migrations') IS NOT NULL";

// The values of a column as a JSON array, without NULL.
macro_rules! JSON_NAMES {
    ($column:literal) => {
        concat!("coalesce((json_agg(", $column, ") FILTER (WHERE ", $column, " IS NOT NULL))::text, '[]')")
    };
}
pub(super) use JSON_NAMES;

// The texts of a JSON array, as rows.
macro_rules! LISTED {
    ($parameter:literal) => {
        concat!("SELECT json_array_elements_text(", $parameter, "::json)")
    };
}
pub(super) use LISTED;

// An update of many rows of $table by the objects of the JSON array $1, whose ids name the rows. Rows that another writer holds
// are left out, and rows are locked in one order, so that no two instances wait for each other.
macro_rules! FOR_EACH {
    ($table:literal, $fields:literal, $set:literal, $condition:literal) => {
        concat!(
            "WITH free AS MATERIALIZED (SELECT id FROM ",
            $table,
            " WHERE id IN (SELECT id FROM json_to_recordset($1::json) AS named (id text)) ORDER BY id FOR UPDATE SKIP LOCKED) UPDATE ",
            $table,
            " AS r SET ",
            $set,
            " FROM json_to_recordset($1::json) AS t (id text, ",
            $fields,
            ") WHERE r.id = t.id AND r.id IN (SELECT id FROM free)",
            $condition
        )
    };
}
pub(super) const NOTE_ACCOUNTS: &str = FOR_EACH!(
    "accounts",
    "at bigint, came_from text",
    "last_login_at = t.at, last_login_from = t.came_from",
    ""
);
pub(super) const NOTE_PASSWORDS: &str = FOR_EACH!(
    "passwords",
    "at bigint, came_from text",
    "last_used_at = t.at, last_used_from = t.came_from",
    ""
);
pub(super) const LOOK_AGAIN_FOR_UPKEEP: &str =
    FOR_EACH!("grants", "seen bigint, at bigint", "upkeep_at = t.at", " AND r.upkeep_at = t.seen");
pub(super) const LOOK_AGAIN_FOR_NEWS: &str =
    FOR_EACH!("grants", "seen bigint, at bigint", "news_at = t.at", " AND r.news_at = t.seen");

/// Puts the trouble $3 of door $1 beside those of other doors of account $2.
pub(super) const SET_TROUBLE: &str = "UPDATE accounts SET troubles = \
     (troubles::jsonb || jsonb_build_object($1, $3::jsonb))::text WHERE id = $2";
/// Removes the trouble of door $1 of account $2.
pub(super) const CLEAR_TROUBLE: &str =
    "UPDATE accounts SET troubles = (troubles::jsonb - $1)::text WHERE id = $2";

pub(super) type Arguments = sqlx::postgres::PgArguments;
/// The statements around the filling of a store from another one: without them, each row would send a notice.
pub(super) const BEFORE_FILLING: &[&str] = &[
    "ALTER TABLE settings DISABLE TRIGGER USER",
    "ALTER TABLE grants DISABLE TRIGGER USER",
    "ALTER TABLE accounts DISABLE TRIGGER USER",
    "ALTER TABLE login_names DISABLE TRIGGER USER",
    "ALTER TABLE passwords DISABLE TRIGGER USER",
];
pub(super) const AFTER_FILLING: &[&str] = &[
    "SELECT setval(pg_get_serial_sequence('trail', 'id'), greatest(max(id), 1)) FROM trail",
    "ALTER TABLE settings ENABLE TRIGGER USER",
    "ALTER TABLE grants ENABLE TRIGGER USER",
    "ALTER TABLE accounts ENABLE TRIGGER USER",
    "ALTER TABLE login_names ENABLE TRIGGER USER",
    "ALTER TABLE passwords ENABLE TRIGGER USER",
];
/// Makes every later write fail, with the place `to` that the store was moved to; waits for the writes under way.
pub(super) fn refuse_writes(to: &str) -> Vec<String> {
    let function = format!(
        "CREATE FUNCTION store_was_moved() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION '{WAS_MOVED}%; name that place in store.url', TG_ARGV[0]; END $$"
    );
    let to = to.replace('\'', "''");
    let trigger = |table: &Table| {
        format!(
            "CREATE TRIGGER store_was_moved BEFORE INSERT OR UPDATE OR DELETE ON {} \
             FOR EACH STATEMENT EXECUTE FUNCTION store_was_moved('{to}')",
            table.name
        )
    };
    std::iter::once(function).chain(TABLES.iter().map(trigger)).collect()
}
/// Begins a transaction that sees the database at one moment.
pub(super) const BEGIN_READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Statements to run after a store was marked as moved.
pub(super) const AFTER_MARKING: &[&str] = &[];
/// The time in seconds, by the clock that all processes on the store go by.
pub(super) const CLOCK: &str = "SELECT floor(extract(epoch FROM clock_timestamp()))::bigint AS now";
