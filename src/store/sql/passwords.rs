//! The row of a new app password.

use super::dialect::Writing;
use super::limits::LimitColumns;
use crate::store::{AppPassword, Id, StoreError, Verifier};

/// Adds an app password to an account.
pub(super) async fn put_password(
    transaction: &mut Writing,
    account: &Id,
    password: &AppPassword,
) -> Result<(), StoreError> {
    let (generated, chosen) = match &password.verifier {
        Verifier::Generated(hash) => (Some(hash), None),
        Verifier::Chosen(hash) => (None, Some(hash)),
    };
    let sql = "INSERT INTO passwords (id, account_id, name, generated, chosen, created_at, protocols, networks, last_day) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (account_id, name) DO NOTHING";
    let limits = LimitColumns::from(&password.limits);
    let done = sqlx::query(sql)
        .bind(&password.id.0)
        .bind(&account.0)
        .bind(&password.name)
        .bind(generated)
        .bind(chosen)
        .bind(password.created_at.unix_timestamp())
        .bind(limits.protocols)
        .bind(limits.networks)
        .bind(limits.last_day)
        .execute(&mut **transaction)
        .await?;
    match done.rows_affected() {
        0 => Err(StoreError::PasswordNameTaken { name: password.name.clone() }),
        _ => Ok(()),
    }
}
