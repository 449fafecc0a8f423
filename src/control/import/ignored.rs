//! Options that are not taken, so that a person learns it before a mail program does.
//!
//! The name of an option is shown only if email-oauth2-proxy has an option of that name: a key that was pasted without
//! its indent looks like options too, and must not be printed.

use super::ini::{Ini, Section};
use super::left::{Change, Ignored};
use super::source::{GLOBAL, is_key, listening};

/// The options of a server, besides those of SMTP.
const SERVER: [&str; 5] =
    ["server_address", "server_port", "local_address", "local_certificate_path", "local_key_path"];
const SMTP: [&str; 3] = ["server_starttls", "starttls", "local_starttls"];
/// The options of an account that are taken, or that need no counterpart.
const ACCOUNT: [&str; 17] = [
    "permission_url",
    "token_url",
    "oauth2_scope",
    "oauth2_flow",
    "redirect_uri",
    "client_id",
    "client_secret",
    "client_secret_encrypted",
    "jwt_certificate_path",
    "jwt_key_path",
    "use_pkce",
    "token_salt",
    "token_iterations",
    "access_token",
    "access_token_expiry",
    "refresh_token",
    "last_activity",
];
/// The global options that are taken.
const TAKEN: [&str; 2] = ["allow_catch_all_accounts", "use_login_password_as_client_credentials_secret"];
/// Options of servers, then of accounts, whose values are paths; the two of a pair need each other.
const PAIRS: [[&str; 2]; 2] =
    [["local_certificate_path", "local_key_path"], ["jwt_certificate_path", "jwt_key_path"]];
/// Every section may have it.
const DOCUMENTATION: &str = "documentation";
/// The other options of the section with which the sample begins.
const HEAD: [&str; 2] = ["format", "warning"];

/// The options of `ini` that have no effect here.
pub(super) fn of(ini: &Ini) -> Vec<Change> {
    ini.sections().flat_map(|section| in_section(ini, section)).collect()
}

fn in_section(ini: &Ini, section: &Section) -> Vec<Change> {
    let mut options: Vec<_> = ini.options(section).filter(|(option, _)| *option != DOCUMENTATION).collect();
    options.sort_by_key(|(_, line)| *line);
    let name = &section.name;
    let server = listening(name).is_some();
    if !server && !name.contains('@') && name != GLOBAL {
        let unknown = Change::UnknownSection { section: name.clone(), line: section.line };
        let says_something = options.iter().any(|(option, _)| !HEAD.contains(option));
        return says_something.then_some(unknown).into_iter().collect();
    }
    let mut found = Vec::new();
    for (option, line) in options {
        let why = match server {
            true => of_path(ini, section, option, PAIRS[0]).or_else(|| of_server(section, option)),
            false if name == GLOBAL => of_all(option, is_yes(ini, section, option)),
            false => of_path(ini, section, option, PAIRS[1]).or_else(|| of_account(option)),
        };
        found.extend(why.map(|why| Change::Ignored { section: name.clone(), line, why }));
    }
    found
}

/// The fault of a path: a key stands in its place, or the other path of the section's pair is missing.
fn of_path(ini: &Ini, section: &Section, option: &str, pair: [&str; 2]) -> Option<Ignored> {
    let path = PAIRS.as_flattened().iter().copied().find(|path| *path == option)?;
    let value = |option| ini.value(section, option);
    if value(path).is_some_and(|value| is_key(value.text.expose())) {
        return Some(Ignored::KeyAsPath(path));
    }
    let is_half = pair.contains(&path) && pair.into_iter().any(|other| value(other).is_none());
    is_half.then_some(Ignored::HalfOfPair(path))
}

fn of_server(section: &Section, option: &str) -> Option<Ignored> {
    match option {
        known if SERVER.contains(&known) => None,
        known if section.name.starts_with("SMTP") && SMTP.contains(&known) => None,
        "plugins" => Some(Ignored::Plugins),
        other => {
            Some(SMTP.into_iter().find(|known| *known == other).map_or(Ignored::Unknown, Ignored::OnlySmtp))
        }
    }
}

fn of_account(option: &str) -> Option<Ignored> {
    match option {
        "oauth2_resource" => Some(Ignored::Resource),
        "redirect_listen_address" => Some(Ignored::ListenAddress),
        known if ACCOUNT.contains(&known) => None,
        _ => Some(Ignored::Unknown),
    }
}

fn of_all(option: &str, is_yes: bool) -> Option<Ignored> {
    match option {
        "delete_account_token_on_password_error" => is_yes.then_some(Ignored::DeleteOnError),
        "encrypt_client_secret_on_first_use" => is_yes.then_some(Ignored::EncryptSecret),
        known if TAKEN.contains(&known) => None,
        _ => Some(Ignored::Unknown),
    }
}

fn is_yes(ini: &Ini, section: &Section, option: &str) -> bool {
    let value = ini.value(section, option).map(|value| value.text.expose().to_lowercase());
    value.is_some_and(|value| ["1", "yes", "true", "on"].contains(&value.as_str()))
}
