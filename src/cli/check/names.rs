//! Names that are stored from before they were judged: they go on working, and are named here with the command
//! that takes them away.

use super::report::Report;
use crate::cli::names::{fault_of_address, fault_of_alias, is_foreign};
use crate::store::{Account, Grant, GrantKind};
use crate::text::{is_shown, quoted};

pub(super) fn look_at(report: &mut Report, account: &Account, aliases: &[String], grant: Option<&Grant>) {
    let name = &account.name;
    let removing = format!("imap-oauth-proxy accounts remove {}, and authorize again", positional(name));
    match grant {
        Some(grant) if name.starts_with('@') && grant.kind == GrantKind::Person => {
            let why =
                "an account for a whole domain must be the application's own, and this one is a person's";
            report.person("name", why, &removing);
        }
        _ if name.starts_with('@') => {}
        _ => say(report, "account", name, fault_of_address(name), &removing),
    }
    if let Some(grant) = grant.filter(|grant| grant.kind == GrantKind::Person && grant.owner != *name) {
        say(report, "owner of its authorisation", &grant.owner, fault_of_address(&grant.owner), &removing);
    }
    for alias in aliases {
        let cure = format!("imap-oauth-proxy accounts unalias {} {}", quoted(name), positional(alias));
        match fault_of_alias(alias) {
            None if is_foreign(name, alias) => {
                let text = format!("{alias:?} is another address, and opens this account; {cure} ends that");
                report.done("name", None, &text);
            }
            fault => say(report, "alias", alias, fault, &cure),
        }
    }
}

/// A name that misleads who reads it, or opens what it should not, is for a person; any other fault is worth a
/// word.
fn say(report: &mut Report, what: &str, name: &str, fault: Option<&str>, cure: &str) {
    let Some(fault) = fault else { return };
    let why = format!("the {what} {name:?} {fault}");
    match name.starts_with('@') || !name.chars().all(is_shown) {
        true => report.person("name", &why, cure),
        false => report.done("name", None, &format!("{why}; it goes on working, and this ends it: {cure}")),
    }
}

/// The last word of a command, where it may look like an option.
fn positional(name: &str) -> String {
    let dashes = if name.starts_with('-') { "-- " } else { "" };
    format!("{dashes}{}", quoted(name))
}
