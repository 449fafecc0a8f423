//! Stored names that are no longer allowed: they still work, and are reported with the command that removes them.

use super::step::{Finding, Steps};
use crate::control::error::Error;
use crate::control::names::shape::{
    NameFault, NameOf, OldName, fault_of_address, fault_of_alias, is_foreign,
};
use crate::store::{Account, Grant, GrantKind, is_of_domain};
use crate::text::is_shown;

pub(super) fn look_at(steps: &mut Steps<'_>, account: &Account, grant: Option<&Grant>) {
    let name = &account.name;
    let persons = grant.filter(|grant| grant.kind() == GrantKind::Person);
    match is_of_domain(name) {
        true if persons.is_some() => {
            steps.done("name", None, Err(Error::DomainOfPerson { account: name.clone() }));
        }
        true => {}
        false => look(steps, name, NameOf::Account, name, fault_of_address(name)),
    }
    if let Some(grant) = persons.filter(|grant| grant.owner != *name) {
        look(steps, name, NameOf::Owner, &grant.owner, fault_of_address(&grant.owner));
    }
    for alias in &account.aliases {
        match fault_of_alias(alias) {
            None if is_foreign(name, alias) => {
                let found = Finding::ForeignAlias { account: name.clone(), alias: alias.clone() };
                steps.done("name", None, Ok(found));
            }
            fault => look(steps, name, NameOf::Alias, alias, fault),
        }
    }
}

/// A name that misleads a reader, or opens what it should not, needs a person; other faults are only reported.
fn look(steps: &mut Steps<'_>, account: &str, of: NameOf, name: &str, fault: Option<NameFault>) {
    let Some(fault) = fault else { return };
    let old = OldName { account: account.to_owned(), of, name: name.to_owned(), fault };
    let found = match is_of_domain(name) || !name.chars().all(is_shown) {
        true => Err(Error::OldName(old)),
        false => Ok(Finding::OldName(old)),
    };
    steps.done("name", None, found);
}
