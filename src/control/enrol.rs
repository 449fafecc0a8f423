//! Makes many accounts from a table, which is checked as a whole; each waits for its owner's consent.
//!
//! [`read`] parses the table, [`judge`] reports all its faults, and only lines that [`judge`] accepted can be
//! made: a mistake in the last line makes no account. The accounts of one owner at one provider share a grant from
//! the start, and one consent opens them all.

pub(super) mod error;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use time::OffsetDateTime;

use self::error::TableError;
use super::accounts::canonical_name;
use super::audit::Deed;
use super::error::Error;
use super::installation::Installation;
use super::names::{check_account, check_aliases, check_login_name, check_owner};
use super::{passwords, providers, waiting};
use crate::config::Provider;
use crate::secret::Secret;
use crate::shutdown::Uninterrupted;
use crate::store::{Authorization, GrantKind, GrantState, Granted, Id, StoreError, fold, is_of_domain};

/// The first cell of a table's head.
const HEAD: &str = "account";

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) account: String,
    /// `None` if the account's domain determines it.
    pub(crate) provider: Option<String>,
    /// The account itself, if the table names no owner.
    pub(crate) owner: Option<String>,
    pub(crate) aliases: Vec<String>,
}

/// A fault of a line.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) line: u64,
    pub(crate) error: Error,
}

/// A line that was accepted.
#[derive(Debug)]
pub(crate) struct Enrolling {
    account: String,
    owner: String,
    aliases: Vec<String>,
    provider: Arc<Provider>,
}

/// A new account.
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

/// The lines of a table: account, provider, owner, and any number of aliases, separated by commas or semicolons.
pub(crate) fn read(text: &str) -> Result<Vec<Row>, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    let mut reader = csv::ReaderBuilder::new();
    reader.has_headers(false).flexible(true).trim(csv::Trim::All).comment(Some(b'#')).delimiter(delimiter);
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for record in reader.from_reader(text.as_bytes()).into_records() {
        match record {
            Ok(record) => rows.extend(row(text, &record)),
            Err(error) => {
                let line = error.position().map_or(0, |position| line_of(text, position));
                faults.push(Fault { line, error: TableError::Line.into() });
            }
        }
    }
    if rows.first().is_some_and(|row| row.account.eq_ignore_ascii_case(HEAD)) {
        rows.remove(0);
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push(Fault { line: 1, error: TableError::Empty.into() });
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

fn row(text: &str, record: &csv::StringRecord) -> Option<Row> {
    if record.iter().all(str::is_empty) {
        return None;
    }
    let mut fields = record.iter().map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    let (account, provider, owner) = (next(), next(), next());
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let aliases = fields.filter(|alias| !alias.is_empty()).collect();
    let line = record.position().map_or(0, |position| line_of(text, position));
    Some(Row { line, account, provider: some(provider), owner: some(owner), aliases })
}

/// The line of a record. The reader's position is before the line ends and comments in front of the record.
fn line_of(text: &str, position: &csv::Position) -> u64 {
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let (_, mut behind) = text.split_at_checked(from).unwrap_or((text, ""));
    while behind.starts_with(['\r', '\n', '#']) {
        behind = behind.split_once('\n').map_or("", |(_, rest)| rest);
    }
    let before = text.len() - behind.len();
    1 + text.bytes().take(before).filter(|byte| *byte == b'\n').count() as u64
}

/// Judges all lines together; `yes` where an alias may be another address.
pub(crate) async fn judge(
    installation: &Installation,
    rows: &[Row],
    yes: bool,
) -> Result<Vec<Enrolling>, Vec<Fault>> {
    let (mut enrolling, mut faults) = (Vec::new(), Vec::new());
    let mut taken: HashMap<String, u64> = HashMap::new();
    for row in rows {
        let mut fault = |error| faults.push(Fault { line: row.line, error });
        for name in std::iter::once(&row.account).chain(&row.aliases) {
            match taken.insert(fold(name).as_str().to_owned(), row.line) {
                Some(first) => fault(TableError::NameTwice { name: name.clone(), first }.into()),
                None => {
                    let is_owner = |other: &&Row| {
                        fold(&other.account) != fold(&row.account)
                            && other.owner.as_ref().is_some_and(|owner| fold(owner) == fold(name))
                    };
                    if *name != row.account
                        && let Some(other) = rows.iter().find(is_owner)
                    {
                        let (alias, account, owned) =
                            (name.clone(), row.account.clone(), other.account.clone());
                        fault(Error::AliasOfOwner { alias, account, owned });
                    }
                }
            }
        }
        match judge_one(installation, row, yes).await {
            Ok(judged) => enrolling.push(judged),
            Err(error) => fault(error),
        }
    }
    if faults.is_empty() { Ok(enrolling) } else { Err(faults) }
}

async fn judge_one(installation: &Installation, row: &Row, yes: bool) -> Result<Enrolling, Error> {
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
        check_owner(installation, owner).await?;
    }
    check_aliases(installation, account, aliases, yes).await?;
    let provider = providers::choose(&installation.config, account, row.provider.as_deref())?;
    let owner = owner.clone().unwrap_or_else(|| account.clone());
    Ok(Enrolling { account: account.clone(), owner, aliases: aliases.clone(), provider })
}

/// Makes one account, with an app password called `password` if given.
pub(crate) async fn make(
    installation: &Installation,
    enrolling: Enrolling,
    password: Option<&str>,
) -> Result<Enrolled, Error> {
    let _making = Uninterrupted::begin();
    let Enrolling { account, owner, aliases, provider } = enrolling;
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
    let state = state_of(installation, stored.grant).await?;
    let Authorization { account, aliases, .. } = authorization;
    let by_domain = installation.config.provider_of(&account);
    let provider_is_named = by_domain.is_none_or(|other| other.name != provider.name);
    let provider = provider.name.clone();
    Ok(Enrolled { account, owner, aliases, provider, provider_is_named, state, password })
}

/// Makes all accounts, until one fails; returns those that were made, and the failure.
pub(crate) async fn make_all(
    installation: &Installation,
    judged: Vec<Enrolling>,
    password: Option<&str>,
) -> (Vec<Enrolled>, Option<Error>) {
    let mut made = Vec::new();
    for enrolling in judged {
        match make(installation, enrolling, password).await {
            Ok(enrolled) => made.push(enrolled),
            Err(error) => return (made, Some(error)),
        }
    }
    (made, None)
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

/// The state of the grant that the new account has.
async fn state_of(installation: &Installation, grant: Option<Id>) -> Result<GrantState, Error> {
    let Some(id) = grant else { return Err(Error::RemovedAgain) };
    Ok(installation.store.grant(&id).await?.ok_or(Error::RemovedAgain)?.state)
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

    /// Writes the password of an account.
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
mod tests {
    use super::*;

    fn rows(text: &str) -> Vec<(u64, String, String, String, String)> {
        let shown = |row: Row| {
            let (provider, owner) = (row.provider.unwrap_or_default(), row.owner.unwrap_or_default());
            (row.line, row.account, provider, owner, row.aliases.join(" "))
        };
        read(text).unwrap().into_iter().map(shown).collect()
    }

    #[test]
    fn a_table_is_read_with_and_without_a_head_and_as_spreadsheets_write_it() {
        let one =
            |line| vec![(line, "a@x.example".into(), "gmail".into(), "b@x.example".into(), "c d".into())];
        for (text, line) in [
            ("a@x.example,gmail,b@x.example,c,d\n", 1),
            ("Account,provider,owner,alias\n\n# a comment\na@x.example, gmail , b@x.example,c,,d,\n", 4),
            ("\u{feff}account;provider;owner;alias\r\na@x.example;gmail;\"b@x.example\";c;d\r\n;;\r\n", 2),
        ] {
            assert_eq!(rows(text), one(line), "{text}");
        }
        assert_eq!(
            rows("a@x.example"),
            [(1, "a@x.example".into(), String::new(), String::new(), String::new())]
        );
        for empty in ["", "account,provider\n", "\n,,\n# x\n"] {
            assert!(matches!(read(empty).unwrap_err()[0].error, Error::Table(TableError::Empty)), "{empty}");
        }
    }
}
