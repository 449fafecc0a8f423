//! What a login name stands for.

use crate::store::{Folded, LoginRecord, LoginStore, Mailbox, StoreError, fold};

/// An account that a login name stands for.
#[derive(Clone, Debug)]
pub struct Found {
    /// The account, its grant and its app passwords. The account of a domain goes by the mailbox's name here.
    pub record: LoginRecord,
    /// Which of its mailboxes the name is.
    pub mailbox: Mailbox,
    /// The login name that it was found by.
    pub key: Folded,
}

/// The account called `name`, by its name or an alias. Where there is none, the account of the whole domain:
/// `@corp.example` for `bob@corp.example`.
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

/// The login name of the account that opens all of the domain that `name` is in.
fn domain_of(name: &str) -> Option<Folded> {
    let (local, domain) = name.rsplit_once('@')?;
    let sound = name.len() <= 320 && !name.chars().any(|c| c.is_control() || c.is_whitespace());
    (sound && !local.is_empty() && !domain.is_empty()).then(|| fold(&format!("@{domain}")))
}
