//! The command lines that people are told to run, as a shell takes them.
//!
//! Nothing below the surfaces names a command: what mends a trouble is a [`crate::trouble::Cure`], and a terminal, the
//! answer to a mail program and an event put the command in.

use crate::store::{Grant, GrantKind, GrantStatus, fold};
use crate::text::quoted;

/// Makes a new CA in the place of the old one.
pub const RENEW_CA: &str = "imap-oauth-proxy certs renew-ca";

/// Writes the CA's certificate for the mail programs.
pub const EXPORT_CA: &str = "imap-oauth-proxy certs export FILE";

/// Prints every key of the configuration.
pub const CONFIG_EXAMPLE: &str = "imap-oauth-proxy config example";

/// Prints the key that accounts can be exported to this installation with.
pub const RECIPIENT: &str = "imap-oauth-proxy keys recipient";

/// Lists every grant with what is wrong with it.
pub const LIST: &str = "imap-oauth-proxy tokens list";

/// Authorises `account` again, as far as the account alone tells how.
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
        GrantKind::Person => authorize_person(account, owner),
    }
}

/// The same for `account` and `grant`, so that it opens `doors` afterwards.
pub fn authorize_for(grant: &Grant, account: &str, doors: &[&str]) -> String {
    with_protocols(&authorize(grant, account), doors)
}

/// An authorising command for these doors, and for no other.
pub fn with_protocols(command: &str, doors: &[&str]) -> String {
    format!("{command} --protocols {}", doors.join(","))
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

/// Lists every account and the names that open it.
pub const ACCOUNTS: &str = "imap-oauth-proxy accounts list";

/// Makes an app password for `account`.
pub fn create_password(account: &str) -> String {
    format!("imap-oauth-proxy passwords create {} --name NAME", quoted(account))
}

/// Makes a file that sets a mail program of `account` up.
pub fn setup(account: &str) -> String {
    format!("imap-oauth-proxy setup {} --for thunderbird|apple|outlook|text", quoted(account))
}

/// Tries everything on the way to the mail of every account.
pub const CHECK_ALL: &str = "imap-oauth-proxy check";

/// Lets mail programs in.
pub const SERVE: &str = "imap-oauth-proxy serve";

/// Tries everything on the way to the mail of `account`.
pub fn check(account: &str) -> String {
    format!("imap-oauth-proxy check {}", quoted(account))
}

/// The same, at one door.
pub fn check_at(account: &str, door: &str) -> String {
    format!("{} --protocol {door}", check(account))
}
