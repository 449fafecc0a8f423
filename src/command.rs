//! The command lines that people are told to run, as a shell takes them.
//!
//! Nothing below the surfaces names a command: what mends a trouble is a [`crate::trouble::Cure`], and a terminal, the
//! answer to a mail program and an event put the command in.

use crate::store::{Grant, GrantKind, GrantStatus, fold};
use crate::text::quoted;

/// Lists every grant with what is wrong with it.
pub const LIST: &str = "imap-oauth-proxy tokens list";

/// Authorises `account` again, as far as the account alone tells how.
pub fn authorize_account(account: &str) -> String {
    format!("imap-oauth-proxy authorize {}", quoted(account))
}

/// Renews `grant` for `account`.
pub fn authorize(grant: &Grant, account: &str) -> String {
    renew(grant.kind(), &grant.owner, &grant.provider, account)
}

/// The same for a grant of which only the state was read.
pub fn authorize_again(grant: &GrantStatus, account: &str) -> String {
    renew(grant.kind, &grant.owner, &grant.provider, account)
}

fn renew(kind: GrantKind, owner: &str, provider: &str, account: &str) -> String {
    match kind {
        GrantKind::App => format!("{} --provider {} --app", authorize_account(owner), quoted(provider)),
        GrantKind::Person if fold(account) == fold(owner) => authorize_account(account),
        GrantKind::Person => format!("{} --owner {}", authorize_account(account), quoted(owner)),
    }
}

/// Lets the app password `name` of `account` open these doors.
pub fn open_doors(account: &str, name: &str, doors: &[&str]) -> String {
    format!("{} --protocols {}", limit(account, name), doors.join(","))
}

/// Lets the app password `name` of `account` go on to another day.
pub fn prolong(account: &str, name: &str) -> String {
    format!("{} --expires DATE", limit(account, name))
}

fn limit(account: &str, name: &str) -> String {
    format!("imap-oauth-proxy passwords limit {} --name {}", quoted(account), quoted(name))
}

/// Lets mail programs in to `account` again.
pub fn enable(account: &str) -> String {
    format!("imap-oauth-proxy accounts enable {}", quoted(account))
}

/// Tries everything on the way to the mail of `account`.
pub fn check(account: &str) -> String {
    format!("imap-oauth-proxy check {}", quoted(account))
}
