//! The reads and writes of a login.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::dialect::{Backend, CLEAR_TROUBLE, NOTE_ACCOUNTS, NOTE_PASSWORDS, SET_TROUBLE};
use super::rows::cure_column;
use crate::store::{
    Folded, Id, LastRefusal, LoginNote, LoginRecord, LoginStore, MailboxTrouble, SignInAs, StoreError,
};

#[async_trait]
impl LoginStore for Backend {
    async fn find(&self, name: &Folded) -> Result<Option<LoginRecord>, StoreError> {
        self.look(name).await
    }

    /// The last note of each account and of each password, in two statements for however many. A row that another writer
    /// holds at this moment is left out.
    async fn note_logins(&self, notes: &[LoginNote]) -> Result<(), StoreError> {
        let (mut accounts, mut passwords) = (BTreeMap::new(), BTreeMap::new());
        for note in notes {
            let noted = |id: &Id| json!({"id": id.0, "at": note.at.unix_timestamp(), "came_from": note.from});
            accounts.insert(&note.account.0, noted(&note.account));
            passwords.insert(&note.password.0, noted(&note.password));
        }
        let pool = self.pool()?;
        for (sql, notes) in [(NOTE_ACCOUNTS, accounts), (NOTE_PASSWORDS, passwords)] {
            let notes: Value = notes.into_values().collect();
            sqlx::query(sql).bind(notes.to_string()).execute(&pool).await?;
        }
        Ok(())
    }

    async fn set_trouble(
        &self,
        account: &Id,
        door: &str,
        trouble: Option<&MailboxTrouble>,
    ) -> Result<(), StoreError> {
        // Merged in the database, so that the entries of other doors, written by other logins, are kept.
        let json = trouble.map(serde_json::to_string).transpose();
        let json = json.map_err(|error| StoreError::Failed(error.into()))?;
        let sql = match json {
            Some(_) => SET_TROUBLE,
            None => CLEAR_TROUBLE,
        };
        let query = sqlx::query(sql).bind(door).bind(&account.0);
        let query = match &json {
            Some(json) => query.bind(json),
            None => query,
        };
        query.execute(&self.pool()?).await?;
        Ok(())
    }

    async fn set_refusal(&self, account: &Id, refusal: Option<&LastRefusal>) -> Result<(), StoreError> {
        let sql = "UPDATE accounts SET refusal_at = $1, refusal_protocol = $2, refusal_code = $3, refusal_cause = $4, refusal_cure = $5 WHERE id = $6";
        sqlx::query(sql)
            .bind(refusal.map(|refusal| refusal.at.unix_timestamp()))
            .bind(refusal.map(|refusal| &refusal.protocol))
            .bind(refusal.map(|refusal| &refusal.code))
            .bind(refusal.and_then(|refusal| serde_json::to_string(&refusal.trouble.cause).ok()))
            .bind(cure_column(refusal.map(|refusal| &refusal.trouble)))
            .bind(&account.0)
            .execute(&self.pool()?)
            .await?;
        Ok(())
    }

    async fn set_sign_in_as(&self, account: &Id, user: Option<SignInAs>) -> Result<(), StoreError> {
        sqlx::query("UPDATE accounts SET submission_user = $1 WHERE id = $2")
            .bind(user.map(SignInAs::name))
            .bind(&account.0)
            .execute(&self.pool()?)
            .await?;
        Ok(())
    }
}
