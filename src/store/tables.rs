//! The tables of a store as plain values, for moving a store into another database. Sealed values stay sealed, and no
//! value is interpreted.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use async_trait::async_trait;

use super::Result;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A number.
    Number,
    /// Bytes, most of them sealed.
    Bytes,
    /// True or false, which SQLite stores as a number.
    Flag,
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// Of a [`Kind::Text`] column.
    Text(Option<String>),
    /// Of a [`Kind::Number`] column.
    Number(Option<i64>),
    /// Of a [`Kind::Bytes`] column.
    Bytes(Option<Vec<u8>>),
    /// Of a [`Kind::Flag`] column.
    Flag(bool),
}

/// A table. Its first column, or its first two, are unique.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// The columns, without those that the database works out.
    pub columns: &'static [(&'static str, Kind)],
}

/// The tables: after each kind, the columns of that kind that come next.
macro_rules! tables {
    ($($table:ident { $($kind:ident: $($column:ident)+;)+ })+) => {
        &[$(Table {
            name: stringify!($table),
            columns: &[$($((stringify!($column), Kind::$kind),)+)+],
        },)+]
    };
}

/// All tables, those that others refer to first.
pub const TABLES: &[Table] = tables! {
    grants {
        Text: id;
        Number: revision;
        Text: provider owner owner_folded kind scopes;
        Bytes: refresh_token access_token;
        Number: access_expires_at;
        Flag: app_in_force;
        Text: state last_error cause_kind cause_code cure;
        Number: failed_at failures retry_at authorized_at refreshed_at refresh_expires_at interrupted_at;
        Text: lease_holder;
        Number: lease_taken_at lease_until;
        Text: told;
        Number: telling_until upkeep_at news_at;
    }
    accounts {
        Text: id name grant_id;
        Number: last_login_at;
        Text: last_login_from;
        Flag: disabled;
        Text: submission_user troubles;
        Number: refusal_at;
        Text: refusal_protocol refusal_code refusal_cause refusal_cure;
        Bytes: link_hash link_sealed;
        Number: link_made_at link_begun;
        Bytes: link_before_hash;
        Number: link_before_made_at link_before_begun alerted_at;
    }
    login_names {
        Text: folded name account_id;
    }
    passwords {
        Text: id account_id name;
        Bytes: generated;
        Text: chosen;
        Number: created_at last_used_at;
        Text: last_used_from protocols networks last_day;
    }
    settings {
        Text: key;
        Bytes: value;
    }
    left_behind {
        Text: key;
        Bytes: sealed;
        Number: until;
    }
    device_messages {
        Text: account_id network;
        Number: since count;
    }
    api_tokens {
        Text: name;
        Bytes: hash;
        Flag: read_only;
        Number: created_at last_used_at;
    }
    trail {
        Number: id at;
        Text: deed accounts about surface user;
        Number: uid;
    }
};

/// The columns for the next look at a grant, which each database sets by itself when a row is written.
const SET_BY_DATABASE: [&str; 2] = ["upkeep_at", "news_at"];

/// The content of a store, for a comparison after a move: two values are equal if all rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Accounts.
    pub accounts: u64,
    /// Grants.
    pub grants: u64,
    /// App passwords.
    pub passwords: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Over the values of all rows, in any order: databases order text in different ways.
    digest: u64,
}

impl Moved {
    fn count(&mut self, table: &Table, row: &[Value]) {
        let mut hasher = DefaultHasher::new();
        table.name.hash(&mut hasher);
        let columns = table.columns.iter().zip(row);
        for (_, value) in columns.filter(|((name, _), _)| !SET_BY_DATABASE.contains(name)) {
            value.hash(&mut hasher);
        }
        self.digest = self.digest.wrapping_add(hasher.finish());
        match table.name {
            "accounts" => self.accounts += 1,
            "grants" => self.grants += 1,
            "passwords" => self.passwords += 1,
            _ => {}
        }
        self.rows += 1;
    }
}

/// Reads and writes whole tables.
#[async_trait]
pub trait WholeStore: Send + Sync {
    /// Begins to read the tables as they are at one moment; other processes continue meanwhile.
    async fn read(&self) -> Result<Box<dyn Reading>>;

    /// Begins to fill a store, which must be empty.
    async fn fill(&self) -> Result<Box<dyn Filling>>;

    /// From now on every version of this program refuses this store and names the place `to` that it was moved to;
    /// writes of processes that have the store open fail with the same words. Fails, and changes nothing, if the store
    /// has changed since it was `seen`, or a process that takes leases lives.
    async fn mark_moved(&self, to: &str, seen: &Moved) -> Result<()>;

    /// Whether a process that takes leases lives, such as `serve`.
    async fn is_in_use(&self) -> Result<bool>;

    /// The place of the store, without a password.
    fn place(&self) -> String;
}

/// The tables at one moment.
#[async_trait]
pub trait Reading: Send {
    /// A number of rows of `table` after the row that is `last`, in the order of its unique columns; empty at the end.
    async fn rows_after(&mut self, table: &Table, last: Option<&[Value]>) -> Result<Vec<Vec<Value>>>;
}

/// A store that is being filled; unless it is finished, it stays empty.
#[async_trait]
pub trait Filling: Send {
    /// Adds a row.
    async fn add(&mut self, table: &Table, row: &[Value]) -> Result<()>;

    /// Keeps what was added.
    async fn finish(self: Box<Self>) -> Result<()>;
}

/// Counts what would be moved out of `from`.
pub async fn count(from: &dyn WholeStore) -> Result<Moved> {
    count_in(&mut *from.read().await?).await
}

/// Counts what `reading` has.
pub(super) async fn count_in(reading: &mut dyn Reading) -> Result<Moved> {
    go_through(reading, None).await
}

/// Copies everything from one store into another one, which must be empty.
pub async fn copy(from: &dyn WholeStore, to: &dyn WholeStore) -> Result<Moved> {
    let mut filling = to.fill().await?;
    let moved = go_through(&mut *from.read().await?, Some(&mut *filling)).await?;
    filling.finish().await?;
    Ok(moved)
}

async fn go_through(from: &mut dyn Reading, mut to: Option<&mut dyn Filling>) -> Result<Moved> {
    let mut moved = Moved::default();
    for table in TABLES {
        let mut last: Option<Vec<Value>> = None;
        loop {
            let rows = from.rows_after(table, last.as_deref()).await?;
            for row in &rows {
                if let Some(filling) = &mut to {
                    filling.add(table, row).await?;
                }
                moved.count(table, row);
            }
            match rows.into_iter().next_back() {
                Some(row) => last = Some(row),
                None => break,
            }
        }
    }
    Ok(moved)
}
