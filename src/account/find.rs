//! Finds the account of a login name.

use crate::store::{Folded, LoginRecord, LoginStore, Mailbox, StoreError, fold};

/// The account of a login name.
#[derive(Clone, Debug)]
pub struct Found {
    /// The account, its grant and its app passwords. A domain account carries the mailbox's name here.
    pub record: LoginRecord,
    /// The mailbox that the login name means.
    pub mailbox: Mailbox,
    /// The login name that the account is stored under.
    pub key: Folded,
}

/// The account with the name or alias `name`; otherwise the account of the whole domain: `@corp.example` for
/// `bob@corp.example`.
pub async fn find(store: &dyn LoginStore, name: &str) -> Result<Option<Found>, StoreError> {
    let key = fold(name);
    if let Some(record) = store.find(&key).await? {
        return Ok(Some(Found { record, mailbox: Mailbox::Own, key }));
    }
    let Some(key) = domain_of(name) else { return Ok(None) };
    let Some(mut record) = store.find(&key).await? else { return Ok(None) };
    record.account.name = name.to_owned();
    Ok(Some(Found { record, mailbox: Mailbox::OfDomain(name.to_owned()), key }))
}

/// The login name of the domain account for `name`.
fn domain_of(name: &str) -> Option<Folded> {
    let (local, domain) = name.rsplit_once('@')?;
    let sound = name.len() <= 320 && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    (sound && !local.is_empty() && !domain.is_empty()).then(|| fold(&format!("@{domain}")))
}
