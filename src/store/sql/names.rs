//! The login names of accounts. A name opens one account.

use super::dialect::Writing;
use super::rows::{ACCOUNT_COLUMNS, account};
use crate::store::{Account, Id, StoreError, fold};

/// The account with this login name.
pub(super) async fn find_account(
    transaction: &mut Writing,
    name: &str,
) -> Result<Option<Account>, StoreError> {
    let sql = concat!(
        "SELECT ",
        ACCOUNT_COLUMNS!(),
        " FROM login_names n JOIN accounts a ON a.id = n.account_id WHERE n.folded = $1"
    );
    let row = sqlx::query(sql).bind(fold(name).as_str()).fetch_optional(&mut **transaction).await?;
    row.as_ref().map(account).transpose()
}

/// Makes `name` a login name of `account`; returns whether it is new. A name of another account is refused.
pub(super) async fn put_name(
    transaction: &mut Writing,
    account: &Id,
    name: &str,
) -> Result<bool, StoreError> {
    match find_account(transaction, name).await? {
        Some(owner) if owner.id == *account => Ok(false),
        Some(owner) => Err(StoreError::LoginNameTaken { name: name.to_owned(), account: owner.name }),
        None => {
            sqlx::query("INSERT INTO login_names (folded, name, account_id) VALUES ($1, $2, $3)")
                .bind(fold(name).as_str())
                .bind(name)
                .bind(&account.0)
                .execute(&mut **transaction)
                .await?;
            Ok(true)
        }
    }
}
