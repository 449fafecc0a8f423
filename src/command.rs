//! The command lines that users are told to run, quoted for a shell.
//!
//! Only the surfaces name commands. Below them a cure is a [`crate::trouble::Cure`]; the terminal, the answer
//! to a mail program and an event insert the command.

use crate::store::{Grant, GrantKind, GrantStatus, fold};
use crate::text::quoted;

/// The URL of a page of the documentation: an installed program is not beside its source.
pub fn manual(page: &str) -> String {
    match env!("CARGO_PKG_REPOSITORY") {
        "" => format!("docs/{page} in the source, or /usr/share/doc/imap-oauth-proxy/{page} of a package"),
        repository => format!("{repository}/blob/main/docs/{page}"),
    }
}

/// Makes a new CA and replaces the old one.
pub const RENEW_CA: &str = "imap-oauth-proxy certs renew-ca";

/// Writes the CA's certificate, for import into mail programs.
pub const EXPORT_CA: &str = "imap-oauth-proxy certs export FILE";

/// Lists the bearer tokens of the API.
pub const API_TOKENS: &str = "imap-oauth-proxy admin token list";

/// Prints every key of the configuration.
pub const CONFIG_EXAMPLE: &str = "imap-oauth-proxy config example";

/// Prints the key for exporting accounts to this installation.
pub const RECIPIENT: &str = "imap-oauth-proxy keys recipient";

/// Lists every grant with its troubles.
pub const LIST: &str = "imap-oauth-proxy tokens list";

/// Authorises `account` again, if only the account's name is known.
pub fn authorize_account(account: &str) -> String {
    format!("imap-oauth-proxy authorize {}", quoted(account))
}

/// Authorises `account` by the consent of `owner`.
pub fn authorize_person(account: &str, owner: &str) -> String {
    match fold(account) == fold(owner) {
        true => authorize_account(account),
        false => format!("{} --owner {}", authorize_account(account), quoted(owner)),
    }
}

/// Authorises `grant` again for `account`.
pub fn authorize(grant: &Grant, account: &str) -> String {
    renew(grant.kind(), &grant.owner, &grant.provider, account)
}

/// Authorises `account` again, by its grant if it has one.
pub fn authorize_by(grant: Option<&Grant>, account: &str) -> String {
    grant.map_or_else(|| authorize_account(account), |grant| authorize(grant, account))
}

/// Like [`authorize`], for a grant of which only the state was read.
pub fn authorize_again(grant: &GrantStatus, account: &str) -> String {
    renew(grant.kind, &grant.owner, &grant.provider, account)
}

fn renew(kind: GrantKind, owner: &str, provider: &str, account: &str) -> String {
    match kind {
        GrantKind::App => format!("{} --provider {} --app", authorize_account(owner), quoted(provider)),
        GrantKind::Person => authorize_person(account, owner),
    }
}

/// Like [`authorize`], so that the new grant opens `doors`.
pub fn authorize_for(grant: &Grant, account: &str, doors: &[&str]) -> String {
    with_protocols(&authorize(grant, account), doors)
}

/// Restricts an authorising command to these doors.
pub fn with_protocols(command: &str, doors: &[&str]) -> String {
    format!("{command} --protocols {}", doors.join(","))
}

/// Lets the app password `name` of `account` open these doors.
pub fn open_doors(account: &str, name: &str, doors: &[&str]) -> String {
    format!("{} --protocols {}", limit(account, name), doors.join(","))
}

/// Gives the app password `name` of `account` a later last day.
pub fn prolong(account: &str, name: &str) -> String {
    format!("{} --expires DATE", limit(account, name))
}

fn limit(account: &str, name: &str) -> String {
    format!("imap-oauth-proxy passwords limit {} --name {}", quoted(account), quoted(name))
}

/// Lets mail programs log in to `account` again.
pub fn enable(account: &str) -> String {
    format!("imap-oauth-proxy accounts enable {}", quoted(account))
}

/// Lists every account with its login names.
pub const ACCOUNTS: &str = "imap-oauth-proxy accounts list";

/// Removes `account` with its grant and passwords.
pub fn remove_account(account: &str) -> String {
    format!("imap-oauth-proxy accounts remove {}", positional(account))
}

/// Takes an alias away from `account`.
pub fn unalias(account: &str, alias: &str) -> String {
    format!("imap-oauth-proxy accounts unalias {} {}", quoted(account), positional(alias))
}

/// The last word of a command, if it may look like an option.
fn positional(name: &str) -> String {
    let dashes = if name.starts_with('-') { "-- " } else { "" };
    format!("{dashes}{}", quoted(name))
}

/// Makes an app password for `account`.
pub fn create_password(account: &str) -> String {
    format!("imap-oauth-proxy passwords create {} --name NAME", quoted(account))
}

/// Makes an app password for this door alone.
pub fn create_password_for(account: &str, door: &str) -> String {
    with_protocols(&create_password(account), &[door])
}

/// Makes a file that sets a mail program of `account` up.
pub fn setup(account: &str) -> String {
    format!("imap-oauth-proxy setup {} --for thunderbird|apple|outlook|text", quoted(account))
}

/// Fetches a new access token for `account`.
pub fn refresh(account: &str) -> String {
    format!("imap-oauth-proxy tokens refresh {}", quoted(account))
}

/// Tests every step to the mail of every account.
pub const CHECK_ALL: &str = "imap-oauth-proxy check";

/// Listens for mail programs.
pub const SERVE: &str = "imap-oauth-proxy serve";

/// Tests every step to the mail of `account`.
pub fn check(account: &str) -> String {
    format!("imap-oauth-proxy check {}", quoted(account))
}

/// Like [`check`], at one door.
pub fn check_at(account: &str, door: &str) -> String {
    format!("{} --protocol {door}", check(account))
}
