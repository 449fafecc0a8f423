//! The reads and writes of a login.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};
use sqlx::Executor;

use super::dialect::{Backend, CLEAR_TROUBLE, Driver, NOTE_ACCOUNTS, NOTE_PASSWORDS, SET_TROUBLE};
use super::rows::{ACCOUNT_COLUMNS, GRANT_COLUMNS, PASSWORD_COLUMNS, account, cure_column, grant, password};
use crate::store::{
    Folded, Id, LastRefusal, LoginNote, LoginRecord, LoginStore, MailboxTrouble, Result, SignInAs, StoreError,
};

/// All data for a login under the name $1: one row for each app password.
const LOGIN: &str = concat!(
    "SELECT ",
    ACCOUNT_COLUMNS!(),
    ", ",
    GRANT_COLUMNS!(),
    ", ",
    PASSWORD_COLUMNS!(),
    " FROM login_names n JOIN accounts a ON a.id = n.account_id",
    " LEFT JOIN grants g ON g.id = a.grant_id LEFT JOIN passwords p ON p.account_id = a.id",
    " WHERE n.folded = $1"
);

/// Reads all data for a login.
pub(in crate::store) async fn find(
    executor: impl Executor<'_, Database = Driver>,
    name: &Folded,
) -> Result<Option<LoginRecord>> {
    let rows = sqlx::query(LOGIN).bind(name.as_str()).fetch_all(executor).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let mut record = LoginRecord { account: account(first)?, grant: grant(first)?, passwords: Vec::new() };
    for row in &rows {
        record.passwords.extend(password(row)?);
    }
    Ok(Some(record))
}

#[async_trait]
impl LoginStore for Backend {
    async fn find(&self, name: &Folded) -> Result<Option<LoginRecord>> {
        self.look(name).await
    }

    /// The last note of each account and of each password, in two statements for however many. A row that another writer
    /// holds at this moment is left out.
    async fn note_logins(&self, notes: &[LoginNote]) -> Result<()> {
        let (mut accounts, mut passwords) = (BTreeMap::new(), BTreeMap::new());
        for note in notes {
            let noted = |id: &Id| json!({"id": id.0, "at": note.at.unix_timestamp(), "came_from": note.from});
            accounts.insert(&note.account.0, noted(&note.account));
            passwords.insert(&note.password.0, noted(&note.password));
        }
        for (sql, notes) in [(NOTE_ACCOUNTS, accounts), (NOTE_PASSWORDS, passwords)] {
            let notes: Value = notes.into_values().collect();
            self.run(sqlx::query(sql).bind(notes.to_string())).await?;
        }
        Ok(())
    }

    async fn set_trouble(&self, account: &Id, door: &str, trouble: Option<&MailboxTrouble>) -> Result<()> {
        // Merged in the database, so that the entries of other doors, written by other logins, are kept.
        let json = trouble.map(serde_json::to_string).transpose();
        let json = json.map_err(|error| StoreError::Failed(error.into()))?;
        let query = match json {
            Some(json) => sqlx::query(SET_TROUBLE).bind(door).bind(&account.0).bind(json),
            None => sqlx::query(CLEAR_TROUBLE).bind(door).bind(&account.0),
        };
        self.run(query).await.map(drop)
    }

    async fn set_refusal(&self, account: &Id, refusal: Option<&LastRefusal>) -> Result<()> {
        let sql = "UPDATE accounts SET refusal_at = $1, refusal_protocol = $2, refusal_code = $3, refusal_cause = $4, refusal_cure = $5 WHERE id = $6";
        let query = sqlx::query(sql)
            .bind(refusal.map(|refusal| refusal.at.unix_timestamp()))
            .bind(refusal.map(|refusal| &refusal.protocol))
            .bind(refusal.map(|refusal| &refusal.code))
            .bind(refusal.and_then(|refusal| serde_json::to_string(&refusal.trouble.cause).ok()))
            .bind(cure_column(refusal.map(|refusal| &refusal.trouble)));
        self.run(query.bind(&account.0)).await.map(drop)
    }

    async fn set_sign_in_as(&self, account: &Id, user: Option<SignInAs>) -> Result<()> {
        let query = sqlx::query("UPDATE accounts SET submission_user = $1 WHERE id = $2");
        self.run(query.bind(user.map(SignInAs::name)).bind(&account.0)).await.map(drop)
    }
}
