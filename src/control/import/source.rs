//! A configuration of email-oauth2-proxy in its own terms: servers, accounts, and global options.
//!
//! Only the form of values is checked here: an invalid section is left out with its reason, so that it does not
//! keep the others from moving. An account's options may come from the catch-all of its domain, `[@domain]`, or
//! from `[@]`, if the configuration allows that; its tokens never do.

use std::path::{Path, PathBuf};

use url::Url;

use super::carried::Existing;
use super::ini::{Ini, Section, Value};
use super::left::{Change, Left, Why};
use super::vault::Lock;
use crate::config::Door;
use crate::secret::Secret;

pub(super) const GLOBAL: &str = "emailproxy";
/// The sample's placeholder for a value.
const PLACEHOLDER: &str = "*** your";

/// A local port, and the mail server behind it.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) section: String,
    pub(super) line: usize,
    pub(super) door: Door,
    pub(super) port: u16,
    pub(super) host: String,
    pub(super) host_port: u16,
    pub(super) starttls_there: bool,
    pub(super) local_address: String,
    pub(super) starttls_here: bool,
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
}

/// An account, with options from its section and the catch-alls.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) name: String,
    /// The base of its relative paths.
    pub(super) directory: PathBuf,
    pub(super) line: usize,
    /// The lines of its options that may be invalid.
    lines: Vec<(&'static str, usize)>,
    pub(super) permission_url: Option<String>,
    pub(super) token_url: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) flow: Option<String>,
    pub(super) redirect_uri: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) client_secret_encrypted: Option<String>,
    pub(super) certificate: Option<(PathBuf, PathBuf)>,
    pub(super) lock: Option<Lock>,
    /// The option of its lock whose value cannot be right.
    pub(super) bad_lock: Option<&'static str>,
    pub(super) refresh_token: Option<String>,
    pub(super) access_token: Option<String>,
    /// The first option that still has the sample's placeholder.
    pub(super) placeholder: Option<&'static str>,
}

impl Account {
    /// The fault of an option that is there, and cannot be right.
    pub(super) fn wrong(&self, option: &'static str) -> Why {
        let line = self.lines.iter().find(|(known, _)| *known == option).map_or(0, |(_, line)| *line);
        Why::Option { option, line }
    }

    /// The first option whose URL names a user or a password, which would be shown with the URL. email-oauth2-proxy
    /// cannot use such an endpoint. A URL that cannot be read may have an `@` within its password.
    pub(super) fn with_credentials(&self) -> Option<&'static str> {
        let names_user = |text: &str| match Url::parse(text) {
            Ok(url) => !url.username().is_empty() || url.password().is_some(),
            Err(_) => text.contains('@'),
        };
        let urls = [
            ("permission_url", &self.permission_url),
            ("token_url", &self.token_url),
            ("redirect_uri", &self.redirect_uri),
        ];
        urls.into_iter().find(|(_, url)| url.as_deref().is_some_and(names_user)).map(|(option, _)| option)
    }
}

pub(super) struct Source {
    pub(super) servers: Vec<Server>,
    pub(super) accounts: Vec<Account>,
    /// Whether an application without other credentials sends the mail password as its client secret.
    pub(super) password_is_secret: bool,
    pub(super) left: Vec<Left>,
    pub(super) changes: Vec<Change>,
    /// What the existing configuration has taken.
    pub(super) existing: Existing,
    /// The directory for the keys of service accounts.
    pub(super) keys: PathBuf,
}

impl Source {
    /// Reads `ini`; relative paths in it are relative to `directory`.
    pub(super) fn read(
        ini: &Ini,
        directory: &Path,
        existing: Existing,
        keys: PathBuf,
        changes: Vec<Change>,
    ) -> Self {
        let mut reader = Reader { ini, directory, catch_all: false, left: Vec::new() };
        reader.catch_all = reader.global("allow_catch_all_accounts");
        let password_is_secret = reader.global("use_login_password_as_client_credentials_secret");
        let (mut servers, mut accounts) = (Vec::new(), Vec::new());
        for section in ini.sections() {
            if let Some((door, port)) = listening(&section.name) {
                servers.extend(reader.server(section, door, port));
            } else if section.name.contains('@') {
                accounts.push(reader.account(section));
            }
        }
        Self { servers, accounts, password_is_secret, left: reader.left, changes, existing, keys }
    }
}

struct Reader<'a> {
    ini: &'a Ini,
    directory: &'a Path,
    catch_all: bool,
    left: Vec<Left>,
}

impl Reader<'_> {
    fn global(&mut self, option: &'static str) -> bool {
        let Some(section) = self.ini.section(GLOBAL) else { return false };
        self.yes(section, option).unwrap_or(false)
    }

    /// A yes or a no; `None` if it is neither, which is noted.
    fn yes(&mut self, section: &Section, option: &'static str) -> Option<bool> {
        let Some(Value { text, line }) = self.ini.value(section, option) else { return Some(false) };
        match text.expose().to_lowercase().as_str() {
            "1" | "yes" | "true" | "on" => Some(true),
            "0" | "no" | "false" | "off" => Some(false),
            _ => {
                self.leave(section, Why::Option { option, line: *line });
                None
            }
        }
    }

    fn leave(&mut self, section: &Section, why: Why) {
        self.left.push(Left { section: section.name.clone(), line: section.line, why });
    }

    fn server(&mut self, section: &Section, door: Door, port: Option<u16>) -> Option<Server> {
        let text = |option| self.ini.value(section, option).map(|value| value.text.expose().to_owned());
        let local_address = text("local_address").unwrap_or_else(|| "::".to_owned());
        let certificate = self.pair(section, "local_certificate_path", "local_key_path");
        let Some(port) = port else {
            self.leave(section, Why::Port);
            return None;
        };
        let Some(host) = text("server_address").filter(|host| !host.is_empty()) else {
            return self.no_server(section, "server_address");
        };
        let host_port = text("server_port").and_then(|port| port.parse().ok()).filter(|port| *port > 0);
        let Some(host_port) = host_port else { return self.no_server(section, "server_port") };
        let (mut starttls_there, mut starttls_here) = (false, false);
        if door == Door::Submission {
            let named = self.ini.value(section, "server_starttls").is_some();
            starttls_there = self.yes(section, if named { "server_starttls" } else { "starttls" })?;
            starttls_here = self.yes(section, "local_starttls")?;
        }
        let (section, line) = (section.name.clone(), section.line);
        Some(Server {
            section,
            line,
            door,
            port,
            host,
            host_port,
            starttls_there,
            local_address,
            starttls_here,
            certificate,
        })
    }

    fn no_server(&mut self, section: &Section, option: &'static str) -> Option<Server> {
        let value = self.ini.value(section, option).filter(|value| !value.text.is_empty());
        let wrong = |value: &Value| Why::Option { option, line: value.line };
        self.leave(section, value.map_or(Why::Missing { option }, wrong));
        None
    }

    /// Two options that name files, and must come together.
    fn pair(&self, section: &Section, one: &str, other: &str) -> Option<(PathBuf, PathBuf)> {
        let path = |option| {
            let text = self.option(section, option).filter(|value| !is_key(value.text.expose()))?;
            Some(self.directory.join(text.text.expose()))
        };
        Some((path(one)?, path(other)?))
    }

    /// The option of the section, or of the catch-alls that the section may use.
    fn option<'b>(&'b self, section: &'b Section, option: &str) -> Option<&'b Value> {
        let domain = section.name.rsplit_once('@').map(|(_, domain)| format!("@{domain}"));
        let lenders = [domain.as_deref(), Some("@")].into_iter().flatten();
        let lent = lenders.filter(|_| self.catch_all).filter_map(|name| self.ini.section(name));
        let found = std::iter::once(section).chain(lent).find_map(|section| self.ini.value(section, option));
        found.filter(|value| !value.text.is_empty())
    }

    fn account(&self, section: &Section) -> Account {
        let text = |option| self.option(section, option).map(|value| value.text.expose().to_owned());
        let own = |option| {
            let value = self.ini.value(section, option).map(|value| value.text.expose().to_owned());
            value.filter(|text| !text.is_empty())
        };
        let (lock, bad_lock) = lock(text("token_salt").as_deref(), text("token_iterations").as_deref());
        let is_placeholder = |option: &&str| {
            self.option(section, option).is_some_and(|value| value.text.expose().contains(PLACEHOLDER))
        };
        Account {
            name: section.name.clone(),
            directory: self.directory.to_owned(),
            line: section.line,
            lines: ["token_url", "client_id", "client_secret"]
                .into_iter()
                .filter_map(|option| Some((option, self.option(section, option)?.line)))
                .collect(),
            permission_url: text("permission_url"),
            token_url: text("token_url"),
            scopes: text("oauth2_scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
            flow: text("oauth2_flow"),
            redirect_uri: text("redirect_uri"),
            client_id: text("client_id"),
            client_secret: self.option(section, "client_secret").map(|value| value.text.clone()),
            client_secret_encrypted: text("client_secret_encrypted"),
            certificate: self.pair(section, "jwt_certificate_path", "jwt_key_path"),
            lock,
            bad_lock,
            refresh_token: own("refresh_token"),
            access_token: own("access_token"),
            placeholder: ["client_id", "client_secret", "token_url", "permission_url"]
                .into_iter()
                .find(is_placeholder),
        }
    }
}

/// Whether a text is a key, or a part of one, and no path: a path would be shown.
pub(super) fn is_key(text: &str) -> bool {
    text.trim_start().starts_with('{') || text.contains('\n') || text.contains("-----")
}

/// The lock of an account, and the option that cannot be right. A wrong number of iterations may be a usual one in truth.
fn lock(salt: Option<&str>, iterations: Option<&str>) -> (Option<Lock>, Option<&'static str>) {
    let Some(salt) = salt else { return (None, None) };
    match Lock::new(salt, iterations) {
        Ok(lock) => (Some(lock), None),
        Err(option) => (Lock::new(salt, None).ok(), Some(option)),
    }
}

/// The protocol and the port of a section of that name; the port is `None` if it is invalid.
pub(super) fn listening(section: &str) -> Option<(Door, Option<u16>)> {
    let (kind, port) = section.split_once('-')?;
    let door = match kind {
        "IMAP" => Door::Imap,
        "POP" => Door::Pop3,
        "SMTP" => Door::Submission,
        _ => return None,
    };
    let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (door, port.parse().ok().filter(|port| *port > 0)))
}
