//! Accounts, their login names and their app passwords.

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::Row as _;
use time::OffsetDateTime;

use super::dialect::{Backend, JSON_NAMES, Row, Writing};
use super::grants::{folded_owner, put_grant};
use super::limits::{day_column, day_of_column, limit_columns};
use super::links::end_links;
use super::rows::{ACCOUNT_COLUMNS, GRANT_COLUMNS, PASSWORD_COLUMNS, account, grant, names, password};
use super::statements::Query;
use super::trail::{commit_with, put_act};
use crate::store::{
    Account, AccountRow, AccountStore, Act, AppPassword, Authorization, Grant, Granted, Id, Limits, Result,
    StoreError, Verifier, fold,
};

// The rows of the list of accounts on the day $1. What the list says of the app passwords is one text, so that one look at
// their index suffices for each account: how many there are, how many of them are in force, and the nearest last day.
macro_rules! ROW {
    () => {
        concat!(
            "SELECT ",
            ACCOUNT_COLUMNS!(),
            ", ",
            GRANT_COLUMNS!(),
            ", (SELECT count(*) || ' ' || count(*) FILTER (WHERE p.last_day IS NULL OR p.last_day >= $1) || ' ' \
             || coalesce(min(p.last_day) FILTER (WHERE p.last_day >= $1), '') \
             FROM passwords p WHERE p.account_id = a.id) AS passwords, (SELECT ",
            JSON_NAMES!("named.name"),
            " FROM (SELECT n.name FROM login_names n \
             WHERE n.account_id = a.id AND n.name <> a.name ORDER BY n.folded) AS named) AS aliases \
             FROM accounts a LEFT JOIN grants g ON g.id = a.grant_id"
        )
    };
}

fn account_row(row: &Row) -> Result<AccountRow> {
    let aliases = names(&row.try_get::<String, _>("aliases")?);
    let passwords: String = row.try_get("passwords")?;
    let mut passwords = passwords.split(' ');
    let mut number = || passwords.next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let (all, in_force) = (number(), number());
    Ok(AccountRow {
        account: Account { aliases, ..account(row)? },
        grant: grant(row)?,
        passwords: all,
        in_force,
        next_last_day: passwords.next().and_then(day_of_column),
    })
}

/// Today, for `ROW`.
fn today() -> String {
    day_column(OffsetDateTime::now_utc().date())
}

#[async_trait]
impl AccountStore for Backend {
    async fn accounts(&self) -> Result<Vec<Account>> {
        let sql = concat!("SELECT ", ACCOUNT_COLUMNS!(), " FROM accounts a ORDER BY a.name");
        let rows = sqlx::query(sql).fetch_all(&self.pool()?).await?;
        let mut accounts = rows.iter().map(account).collect::<Result<Vec<_>, _>>()?;
        let names = sqlx::query_as("SELECT name, account_id FROM login_names ORDER BY folded");
        let names: Vec<(String, String)> = names.fetch_all(&self.pool()?).await?;
        let mut by_id: HashMap<String, &mut Account> =
            accounts.iter_mut().map(|account| (account.id.0.clone(), account)).collect();
        for (name, id) in names {
            if let Some(account) = by_id.get_mut(&id).filter(|account| account.name != name) {
                account.aliases.push(name);
            }
        }
        Ok(accounts)
    }

    async fn account_page(&self, after: Option<&str>, limit: u32) -> Result<Vec<AccountRow>> {
        let sql = concat!(ROW!(), " WHERE a.name > $2 ORDER BY a.name LIMIT $3");
        let query = sqlx::query(sql).bind(today()).bind(after.unwrap_or("")).bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool()?).await?;
        rows.iter().map(account_row).collect()
    }

    async fn account_row(&self, account: &Id) -> Result<Option<AccountRow>> {
        let sql = concat!(ROW!(), " WHERE a.id = $2");
        let row = sqlx::query(sql).bind(today()).bind(&account.0).fetch_optional(&self.pool()?).await?;
        row.as_ref().map(account_row).transpose()
    }

    async fn authorize(&self, authorization: &Authorization, acts: &[Act]) -> Result<Account> {
        let mut transaction = self.write().await?;
        let grant = match &authorization.grant {
            Granted::New(grant) => {
                put_grant(&mut transaction, grant).await?;
                grant.id.clone()
            }
            Granted::Existing(id) => {
                let held = sqlx::query("SELECT 1 FROM grants WHERE id = $1 AND in_force");
                let held = held.bind(&id.0).fetch_optional(&mut *transaction).await?;
                held.ok_or(StoreError::Conflict)?;
                id.clone()
            }
            Granted::Waiting(grant) => {
                let name = &authorization.account;
                if let Some(known) = find_account(&mut transaction, name).await? {
                    return Err(StoreError::LoginNameTaken { name: name.clone(), account: known.name });
                }
                put_grant_unless_there(&mut transaction, grant).await?
            }
        };
        let account = put_account(&mut transaction, authorization, &grant).await?;
        for alias in &authorization.aliases {
            put_name(&mut transaction, &account.id, alias).await?;
        }
        if let Some(password) = &authorization.password {
            put_password(&mut transaction, &account.id, password).await?;
        }
        for act in acts {
            put_act(&mut transaction, act).await?;
        }
        transaction.commit().await?;
        Ok(account)
    }

    async fn remove_account(&self, account: &Id, act: &Act) -> Result<()> {
        let mut transaction = self.write().await?;
        let sql = "SELECT grant_id FROM accounts WHERE id = $1";
        let used =
            sqlx::query_scalar(sql).bind(&account.0).fetch_optional(&mut *transaction).await?.flatten();
        let sql = "DELETE FROM accounts WHERE id = $1";
        let done = sqlx::query(sql).bind(&account.0).execute(&mut *transaction).await?;
        drop_unused_grant(&mut transaction, used.map(Id).as_ref()).await?;
        commit_with(transaction, done.rows_affected() == 1, act).await.map(drop)
    }

    async fn add_alias(&self, account: &Id, alias: &str, act: &Act) -> Result<bool> {
        let mut transaction = self.write().await?;
        let is_new = put_name(&mut transaction, account, alias).await?;
        commit_with(transaction, is_new, act).await
    }

    async fn remove_alias(&self, account: &Id, alias: &str, act: &Act) -> Result<bool> {
        let sql = "DELETE FROM login_names WHERE folded = $1 AND account_id = $2 \
             AND name <> (SELECT name FROM accounts WHERE id = account_id)";
        self.change(sqlx::query(sql).bind(fold(alias).as_str()).bind(&account.0), act).await
    }

    async fn passwords(&self, account: &Id) -> Result<Vec<AppPassword>> {
        let sql = concat!(
            "SELECT ",
            PASSWORD_COLUMNS!(),
            " FROM passwords p WHERE p.account_id = $1 ORDER BY p.name"
        );
        let rows = sqlx::query(sql).bind(&account.0).fetch_all(&self.pool()?).await?;
        rows.iter().filter_map(|row| password(row).transpose()).collect()
    }

    async fn add_password(&self, password: &AppPassword, act: &Act) -> Result<()> {
        let mut transaction = self.write().await?;
        put_password(&mut transaction, &password.account, password).await?;
        commit_with(transaction, true, act).await.map(drop)
    }

    async fn remove_password(&self, account: &Id, name: &str, act: &Act) -> Result<bool> {
        let sql = "DELETE FROM passwords WHERE account_id = $1 AND name = $2";
        self.change(sqlx::query(sql).bind(&account.0).bind(name), act).await
    }

    async fn limit_password(&self, account: &Id, name: &str, limits: &Limits, act: &Act) -> Result<bool> {
        let sql = "UPDATE passwords SET protocols = $1, networks = $2, last_day = $3 \
             WHERE account_id = $4 AND name = $5";
        let query = limit_columns(limits).into_iter().fold(sqlx::query(sql), Query::bind);
        self.change(query.bind(&account.0).bind(name), act).await
    }

    async fn set_disabled(&self, account: &Id, disabled: bool, act: &Act) -> Result<bool> {
        let sql = "UPDATE accounts SET disabled = $1 WHERE id = $2 AND disabled <> $1";
        self.change(sqlx::query(sql).bind(disabled).bind(&account.0), act).await
    }
}

/// Inserts `grant`, unless its owner has a grant at its provider; returns the identity of the grant that is there
/// afterwards.
async fn put_grant_unless_there(transaction: &mut Writing, grant: &Grant) -> Result<Id> {
    let owner = folded_owner(&grant.owner, grant.kind());
    let sql = "SELECT id FROM grants WHERE provider = $1 AND owner_folded = $2";
    let known = sqlx::query_scalar(sql).bind(&grant.provider).bind(owner);
    if let Some(id) = known.fetch_optional(&mut **transaction).await? {
        return Ok(Id(id));
    }
    put_grant(transaction, grant).await?;
    Ok(grant.id.clone())
}

async fn put_account(
    transaction: &mut Writing,
    Authorization { account: name, id, disabled, .. }: &Authorization,
    grant: &Id,
) -> Result<Account> {
    let known = find_account(transaction, name).await?;
    if known.is_none() {
        let sql = "INSERT INTO accounts (id, name) VALUES ($1, $2)";
        sqlx::query(sql).bind(&id.0).bind(name).execute(&mut **transaction).await?;
        put_name(transaction, id, name).await?;
    }
    // The last event about the replaced grant moves to the new one, so that its end can be reported.
    let sql = "UPDATE grants SET told = (SELECT g.told FROM grants g JOIN accounts a ON a.grant_id = g.id \
         JOIN login_names n ON n.account_id = a.id WHERE n.folded = $1 \
         AND (SELECT count(*) FROM accounts WHERE grant_id = g.id) = 1) \
         WHERE id = $2 AND told IS NULL";
    sqlx::query(sql).bind(fold(name).as_str()).bind(&grant.0).execute(&mut **transaction).await?;
    let sql = "UPDATE accounts SET grant_id = $1, troubles = '{}', submission_user = NULL, disabled = disabled OR $2 \
         WHERE id = (SELECT account_id FROM login_names WHERE folded = $3)";
    let query = sqlx::query(sql).bind(&grant.0).bind(disabled);
    query.bind(fold(name).as_str()).execute(&mut **transaction).await?;
    end_links(transaction, grant).await?;
    drop_unused_grant(transaction, known.and_then(|account| account.grant).as_ref()).await?;
    find_account(transaction, name).await?.ok_or(StoreError::Conflict)
}

/// Removes an account's former grant if no account uses it any more.
async fn drop_unused_grant(transaction: &mut Writing, used: Option<&Id>) -> Result<()> {
    let Some(id) = used else { return Ok(()) };
    let sql = "DELETE FROM grants WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM accounts WHERE grant_id = $1)";
    sqlx::query(sql).bind(&id.0).execute(&mut **transaction).await?;
    Ok(())
}

/// Adds an app password to an account.
async fn put_password(transaction: &mut Writing, account: &Id, password: &AppPassword) -> Result<()> {
    let (generated, chosen) = match &password.verifier {
        Verifier::Generated(hash) => (Some(hash), None),
        Verifier::Chosen(hash) => (None, Some(hash)),
    };
    let sql = "INSERT INTO passwords (id, account_id, name, generated, chosen, created_at, protocols, networks, last_day) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (account_id, name) DO NOTHING";
    let query = sqlx::query(sql).bind(&password.id.0).bind(&account.0).bind(&password.name);
    let query = query.bind(generated).bind(chosen).bind(password.created_at.unix_timestamp());
    let query = limit_columns(&password.limits).into_iter().fold(query, Query::bind);
    match query.execute(&mut **transaction).await?.rows_affected() {
        0 => Err(StoreError::PasswordNameTaken { name: password.name.clone() }),
        _ => Ok(()),
    }
}

/// The account with this login name.
async fn find_account(transaction: &mut Writing, name: &str) -> Result<Option<Account>> {
    let sql = concat!(
        "SELECT ",
        ACCOUNT_COLUMNS!(),
        " FROM login_names n JOIN accounts a ON a.id = n.account_id WHERE n.folded = $1"
    );
    let row = sqlx::query(sql).bind(fold(name).as_str()).fetch_optional(&mut **transaction).await?;
    row.as_ref().map(account).transpose()
}

/// Makes `name` a login name of `account`; returns whether it is new. A name of another account is refused.
async fn put_name(transaction: &mut Writing, account: &Id, name: &str) -> Result<bool> {
    match find_account(transaction, name).await? {
        Some(owner) if owner.id == *account => Ok(false),
        Some(owner) => Err(StoreError::LoginNameTaken { name: name.to_owned(), account: owner.name }),
        None => {
            let sql = "INSERT INTO login_names (folded, name, account_id) VALUES ($1, $2, $3)";
            let query = sqlx::query(sql).bind(fold(name).as_str()).bind(name).bind(&account.0);
            query.execute(&mut **transaction).await?;
            Ok(true)
        }
    }
}
