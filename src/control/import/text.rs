//! The new configuration as text: only values that differ from the defaults, so that it is quickly read.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::listeners::Listening;
use super::servers::MailServer;
use super::tables::{Application, Base, Table};
use crate::secret::Secret;

/// Shown in place of a secret.
const HIDDEN: &str = "(kept)";

/// Whether secrets are written or hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// For a terminal.
    Hidden,
    /// For the file.
    Written,
}

/// The file for a service account's key.
pub(super) fn key_file(table: &Table, directory: Option<&Path>) -> PathBuf {
    directory.unwrap_or(Path::new("/")).join(format!("{}-service-account.json", table.name))
}

/// The parts of a configuration.
#[derive(Clone, Copy, Default)]
pub(super) struct Parts<'a> {
    pub(super) listeners: &'a [Listening],
    pub(super) certificate: Option<&'a (PathBuf, PathBuf)>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) tables: &'a [Table],
    /// The directory for the keys of service accounts; their paths are written in full, since the file may be moved.
    pub(super) keys: Option<&'a Path>,
}

/// The configuration. `carried` are lines of an existing configuration.
pub(super) fn text(parts: Parts<'_>, carried: &str, sight: Sight) -> String {
    let mut out = String::from("# Made from a configuration of email-oauth2-proxy.\n");
    out.push_str(carried);
    for listener in parts.listeners {
        listening(&mut out, listener);
    }
    if let Some((certificate, key)) = parts.certificate {
        out.push_str("\n[tls]\n");
        line(&mut out, "certificate", &path(certificate));
        line(&mut out, "key", &path(key));
    }
    if let Some(admin) = parts.admin {
        out.push_str("\n[admin]\n");
        line(&mut out, "address", &quoted(&admin.to_string()));
    }
    for table in parts.tables {
        provider(&mut out, table, parts.keys, sight);
    }
    out
}

fn listening(out: &mut String, listener: &Listening) {
    let _ = write!(out, "\n# [{}]\n[[listeners]]\n", listener.section);
    line(out, "protocol", &quoted(listener.door.name()));
    let addresses: Vec<String> = listener.addresses.iter().map(ToString::to_string).collect();
    line(out, "addresses", &list(&addresses));
    line(out, "security", &quoted(listener.security.name()));
}

fn provider(out: &mut String, table: &Table, keys: Option<&Path>, sight: Sight) {
    let secret = |secret: &Secret| match sight {
        Sight::Written => quoted(secret.expose()),
        Sight::Hidden => quoted(HIDDEN),
    };
    let _ = write!(out, "\n[providers.{}]\n", table.name);
    base(out, table, sight);
    if let Some(client_id) = &table.client_id {
        line(out, "client_id", &quoted(client_id));
    }
    if let Some(client_secret) = &table.client_secret {
        line(out, "client_secret", &secret(client_secret));
    }
    let scopes = list(&table.scopes);
    match &table.application {
        None => {
            out.push_str(
                "# The granted scopes; without this line the provider is asked for its default scopes.\n",
            );
            line(out, "scopes", &scopes);
        }
        Some(application) => {
            if matches!(table.base, Base::Own { .. }) {
                line(out, "scopes", &scopes);
            }
            line(out, "app_scopes", &scopes);
            match application {
                Application::Secret => {}
                Application::Certificate { certificate, key } => {
                    line(out, "app_certificate", &path(certificate));
                    line(out, "app_key", &path(key));
                }
                Application::KeyFile(file) => line(out, "service_account_file", &path(file)),
                Application::Key(_) => line(out, "service_account_file", &path(&key_file(table, keys))),
            }
        }
    }
    if let Some(uri) = &table.redirect_uri {
        line(out, "redirect_uri", &quoted(&shown(uri, sight)));
    }
    if !table.has_domains_of_preset {
        line(out, "domains", &list(&table.domains));
    }
}

fn base(out: &mut String, table: &Table, sight: Sight) {
    match &table.base {
        Base::Preset { preset, tenant, servers } => {
            if preset != &table.name {
                line(out, "preset", &quoted(preset));
            }
            if let Some(tenant) = tenant {
                line(out, "tenant", &quoted(tenant));
            }
            for server in servers {
                mail_server(out, server);
                // The preset's scopes are for its own server.
                line(out, &format!("{}_scopes", server.door.server_key()), "[]");
            }
        }
        Base::Own { authorize_url, token_url, device_url, servers } => {
            for server in servers {
                mail_server(out, server);
            }
            let url = |url: &str| quoted(&shown(url, sight));
            line(out, "authorize_url", &url(authorize_url));
            line(out, "token_url", &url(token_url));
            if let Some(device_url) = device_url {
                line(out, "device_url", &url(device_url));
            }
            // A table without a preset needs a client, which a service account is not.
            if table.client_id.is_none() {
                line(out, "client_id", &quoted("service-account"));
            }
        }
    }
}

fn mail_server(out: &mut String, server: &MailServer) {
    let key = server.door.server_key();
    let _ = writeln!(out, "# [{}]", server.section);
    line(out, key, &quoted(&server.endpoint));
    if let Some(security) = server.security {
        line(out, &format!("{key}_security"), &quoted(security));
    }
}

/// A URL; its query may be a key of the endpoint.
fn shown(url: &str, sight: Sight) -> String {
    match (sight, url.split_once('?')) {
        (Sight::Hidden, Some((endpoint, _))) => format!("{endpoint}?{HIDDEN}"),
        _ => url.to_owned(),
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

/// A string in TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}
