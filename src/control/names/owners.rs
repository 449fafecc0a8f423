//! Whose grants there are, and which accounts use them: read once for all names that are judged together.
//!
//! A new alias must not be the name of an owner whose grant opens another account. To know that, all grants and accounts
//! are read, which a table of thousands of lines must not do for each line.

use std::collections::HashMap;

use tokio::sync::OnceCell;

use crate::control::error::Error;
use crate::control::installation::Installation;
use crate::store::{Account, Folded, Id, fold};

/// The owners of an installation, read when they are asked for the first time.
pub(in crate::control) struct Owners<'a> {
    installation: &'a Installation,
    known: OnceCell<Known>,
}

impl<'a> Owners<'a> {
    /// Those of that installation, which are not read yet.
    pub(in crate::control) fn of(installation: &'a Installation) -> Self {
        Self { installation, known: OnceCell::new() }
    }

    pub(super) async fn known(&self) -> Result<&Known, Error> {
        let read = async || {
            let mut known = Known::default();
            for grant in self.installation.store.grants().await? {
                known.grants.entry(fold(&grant.owner)).or_default().push(grant.id);
            }
            for Account { name, grant, .. } in self.installation.store.accounts().await? {
                if let Some(grant) = grant {
                    known.users.entry(grant).or_default().push(name);
                }
            }
            Ok(known)
        };
        self.known.get_or_try_init(read).await
    }
}

#[derive(Default)]
pub(super) struct Known {
    /// The grants of an owner, who may have one at each of several providers.
    grants: HashMap<Folded, Vec<Id>>,
    /// The names of the accounts that use a grant, in order.
    users: HashMap<Id, Vec<String>>,
}

impl Known {
    /// Whether there is a grant of the owner called `name`.
    pub(super) fn has_grant(&self, name: &str) -> bool {
        self.grants.contains_key(&fold(name))
    }

    /// The first account that uses a grant of the owner called `name`, unless `account` is among those that do.
    pub(super) fn used_by_another(&self, account: &str, name: &str) -> Option<String> {
        let grants = self.grants.get(&fold(name))?;
        let users = || grants.iter().filter_map(|grant| self.users.get(grant)).flatten();
        match users().any(|user| fold(user) == fold(account)) {
            true => None,
            false => users().min().cloned(),
        }
    }
}
