//! Makes many accounts from a table, which is checked as a whole; each waits for its owner's consent.
//!
//! [`read`] parses the table, [`judge`] reports all its faults, and only lines that [`judge`] accepted can be
//! made: a mistake in the last line makes no account. The accounts of one owner at one provider share a grant from
//! the start, and one consent opens them all.

mod table;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::time::Instant;

use super::accounts::canonical_name;
use super::audit::Deed;
use super::error::{Error, TableError};
use super::installation::Installation;
use super::names::{Owners, check_account, check_aliases, check_login_name, check_owner};
use super::{passwords, providers, waiting};
use crate::config::Provider;
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::{
    Authorization, Folded, GrantKind, GrantState, Granted, Id, StoreError, fold, is_of_domain,
};

pub(crate) use table::{Fault, Row, read};

/// A line that was accepted.
#[derive(Debug)]
pub(crate) struct Enrolling {
    line: u64,
    account: String,
    owner: String,
    aliases: Vec<String>,
    provider: Arc<Provider>,
}

#[derive(Debug)]
pub(crate) struct Enrolled {
    pub(crate) account: String,
    pub(crate) owner: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) provider: String,
    /// Whether the table had to name the provider.
    pub(crate) provider_is_named: bool,
    /// The state of its grant, which its owner may have had before.
    pub(crate) state: GrantState,
    pub(crate) password: Option<Secret>,
}

/// Judges all lines together; `yes` where an alias may be another address.
pub(crate) async fn judge(
    installation: &Installation,
    rows: &[Row],
    yes: bool,
) -> Result<Vec<Enrolling>, Vec<Fault>> {
    let (mut enrolling, mut faults) = (Vec::new(), Vec::new());
    let mut taken: HashMap<Folded, u64> = HashMap::new();
    let (owners, rows_of) = (Owners::of(installation), RowsOf::owners(rows));
    for row in rows {
        let mut fault = |error| faults.push(Fault { line: row.line, error });
        for name in std::iter::once(&row.account).chain(&row.aliases) {
            match taken.insert(fold(name), row.line) {
                Some(first) => fault(TableError::NameTwice { name: name.clone(), first }.into()),
                None if *name != row.account => {
                    if let Some(other) = rows_of.another(name, &row.account) {
                        let (alias, account) = (name.clone(), row.account.clone());
                        fault(Error::AliasOfOwner { alias, account, owned: other.account.clone() });
                    }
                }
                None => {}
            }
        }
        let names = judge_names(installation, &owners, row, yes).await;
        let provider = providers::choose(&installation.config, &row.account, row.provider.as_deref());
        match (names, provider) {
            (Ok(()), Ok(provider)) => {
                let Row { line, account, owner, aliases, .. } = row.clone();
                let owner = owner.unwrap_or_else(|| account.clone());
                enrolling.push(Enrolling { line, account, owner, aliases, provider });
            }
            (Ok(()), Err(error)) | (Err(error), Ok(_)) => fault(error),
            (Err(error), Err(other)) => {
                fault(error);
                // What the line says is judged in any case; what it leaves out may follow from the wrong name.
                if row.provider.is_some() {
                    fault(other);
                }
            }
        }
    }
    if faults.is_empty() { Ok(enrolling) } else { Err(faults) }
}

/// The lines that name an owner, by the owner.
struct RowsOf<'a>(HashMap<Folded, Vec<&'a Row>>);

impl<'a> RowsOf<'a> {
    /// Two lines of each owner are enough, if they are of two accounts: one of them is not that of the account asked about.
    fn owners(rows: &'a [Row]) -> Self {
        let mut of: HashMap<Folded, Vec<&Row>> = HashMap::new();
        for row in rows {
            let Some(owner) = &row.owner else { continue };
            let known = of.entry(fold(owner)).or_default();
            if known.len() < 2 && known.iter().all(|other| fold(&other.account) != fold(&row.account)) {
                known.push(row);
            }
        }
        Self(of)
    }

    /// A line of that owner with another account than `account`.
    fn another(&self, owner: &str, account: &str) -> Option<&'a Row> {
        let rows = self.0.get(&fold(owner))?;
        rows.iter().copied().find(|row| fold(&row.account) != fold(account))
    }
}

async fn judge_names(
    installation: &Installation,
    owners: &Owners<'_>,
    row: &Row,
    yes: bool,
) -> Result<(), Error> {
    let Row { account, owner, aliases, .. } = row;
    for name in std::iter::once(account).chain(owner).chain(aliases) {
        check_login_name(name)?;
    }
    if is_of_domain(account) {
        return Err(Error::DomainNeedsApplication { account: account.clone() });
    }
    check_account(installation, account, false).await?;
    if installation.known_account(account).await?.is_some() {
        let name = canonical_name(installation, account).await?;
        return Err(match fold(&name) == fold(account) {
            true => Error::AlreadyHere { account: account.clone() },
            false => Error::AliasHere { alias: account.clone(), account: name },
        });
    }
    if let Some(owner) = owner {
        check_owner(owners, owner).await?;
    }
    check_aliases(installation, owners, account, aliases, yes).await
}

/// Makes one account, with an app password called `password` if given.
pub(crate) async fn make(
    installation: &Installation,
    enrolling: Enrolling,
    password: Option<&str>,
) -> Result<Enrolled, Error> {
    let _making = Uninterrupted::begin();
    let Enrolling { account, owner, aliases, provider, .. } = enrolling;
    let id = Id::random();
    let made = match password {
        Some(name) => Some(passwords::make(installation, &id, name, None).await?),
        None => None,
    };
    let (password, row) = made.unzip();
    // The store decides whether the owner has a grant: a consent may come while this runs.
    let now = OffsetDateTime::now_utc();
    let grant = waiting::grant(Id::random(), &provider.name, &owner, GrantKind::Person, now);
    let grant = Granted::Waiting(Box::new(grant));
    let acts = installation.acts(Deed::Added, &account, Some(&owner), row.as_ref());
    let authorization = Authorization { account, aliases, grant, id, password: row, disabled: false };
    let stored = installation.store.authorize(&authorization, &acts).await.map_err(taken)?;
    let grant = stored.grant.ok_or(Error::RemovedAgain)?;
    // The owner may have had that grant before.
    let state = installation.store.grant(&grant).await?.ok_or(Error::RemovedAgain)?.state;
    let Authorization { account, aliases, .. } = authorization;
    let by_domain = installation.config.provider_of(&account);
    let provider_is_named = by_domain.is_none_or(|other| other.name != provider.name);
    let provider = provider.name.clone();
    Ok(Enrolled { account, owner, aliases, provider, provider_is_named, state, password })
}

/// The accounts of a table that were made, and why the rest was not.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) accounts: Vec<Enrolled>,
    pub(crate) failure: Option<Error>,
}

/// Makes all accounts, until one fails or the time is `until`. Their passwords are in the answer and nowhere else, so the
/// caller has to have time left to give it.
pub(crate) async fn make_all(
    installation: &Installation,
    judged: Vec<Enrolling>,
    password: Option<&str>,
    until: Instant,
) -> Made {
    let mut accounts = Vec::new();
    for enrolling in judged {
        if Instant::now() >= until {
            let failure = TableError::OutOfTime { line: enrolling.line };
            return Made { accounts, failure: Some(failure.into()) };
        }
        match make(installation, enrolling, password).await {
            Ok(enrolled) => accounts.push(enrolled),
            Err(error) => return Made { accounts, failure: Some(error) },
        }
    }
    Made { accounts, failure: None }
}

/// The error for an account that was made by another process since the table was judged.
fn taken(error: StoreError) -> Error {
    match error {
        StoreError::LoginNameTaken { name, account } if fold(&name) == fold(&account) => {
            Error::AlreadyHere { account }
        }
        error => error.into(),
    }
}

/// A file for the new passwords, made before the first account, with access for its owner only.
pub(crate) struct PasswordFile(std::fs::File);

impl PasswordFile {
    /// Makes the file, which must not exist.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = crate::files::create(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Error::FileThere { file: path.to_owned() },
            _ => Error::Unwritable { file: path.to_owned(), error },
        })?;
        let mut file = Self(file);
        file.line(&["account", "password"])?;
        Ok(file)
    }

    pub(crate) fn put(&mut self, enrolled: &Enrolled) -> Result<(), Error> {
        match &enrolled.password {
            Some(password) => self.line(&[&enrolled.account, password.expose()]),
            None => Ok(()),
        }
    }

    fn line(&mut self, fields: &[&str]) -> Result<(), Error> {
        let mut writer = csv::Writer::from_writer(&mut self.0);
        writer.write_record(fields).map_err(std::io::Error::other)?;
        Ok(writer.flush()?)
    }
}

#[cfg(test)]
mod tests;
