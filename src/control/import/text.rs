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
    Hidden,
    Written,
}

/// The file for a service account's key.
pub(super) fn key_file(table: &Table, directory: Option<&Path>) -> PathBuf {
    directory.unwrap_or(Path::new("/")).join(format!("{}-service-account.json", table.name))
}

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
        path(&mut out, "certificate", certificate);
        path(&mut out, "key", key);
    }
    if let Some(admin) = parts.admin {
        out.push_str("\n[admin]\n");
        string(&mut out, "address", Some(&admin.to_string()));
    }
    for table in parts.tables {
        provider(&mut out, table, parts.keys, sight);
    }
    out
}

fn listening(out: &mut String, listener: &Listening) {
    let _ = write!(out, "\n# [{}]\n[[listeners]]\n", listener.section);
    string(out, "protocol", Some(listener.door.name()));
    let addresses: Vec<String> = listener.addresses.iter().map(ToString::to_string).collect();
    line(out, "addresses", &list(&addresses));
    string(out, "security", Some(listener.security.name()));
}

fn provider(out: &mut String, table: &Table, keys: Option<&Path>, sight: Sight) {
    let _ = write!(out, "\n[providers.{}]\n", table.name);
    base(out, table, sight);
    string(out, "client_id", table.client_id.as_deref());
    let shown = |secret| if sight == Sight::Written { Secret::expose(secret) } else { HIDDEN };
    string(out, "client_secret", table.client_secret.as_ref().map(shown));
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
                    path(out, "app_certificate", certificate);
                    path(out, "app_key", key);
                }
                Application::KeyFile(file) => path(out, "service_account_file", file),
                Application::Key(_) => path(out, "service_account_file", &key_file(table, keys)),
            }
        }
    }
    url(out, "redirect_uri", table.redirect_uri.as_deref(), sight);
    if !table.has_domains_of_preset {
        line(out, "domains", &list(&table.domains));
    }
}

fn base(out: &mut String, table: &Table, sight: Sight) {
    match &table.base {
        Base::Preset { preset, tenant } => {
            string(out, "preset", Some(preset.as_str()).filter(|preset| *preset != table.name));
            string(out, "tenant", tenant.as_deref());
            for server in &table.servers {
                mail_server(out, server);
                // The preset's scopes are for its own server.
                line(out, &format!("{}_scopes", server.door.server_key()), "[]");
            }
        }
        Base::Own { authorize_url, token_url, device_url } => {
            table.servers.iter().for_each(|server| mail_server(out, server));
            url(out, "authorize_url", Some(authorize_url), sight);
            url(out, "token_url", Some(token_url), sight);
            url(out, "device_url", device_url.as_deref(), sight);
            // A table without a preset needs a client, which a service account is not.
            if table.client_id.is_none() {
                string(out, "client_id", Some("service-account"));
            }
        }
    }
}

fn mail_server(out: &mut String, server: &MailServer) {
    let key = server.door.server_key();
    let _ = writeln!(out, "# [{}]", server.section);
    string(out, key, Some(&server.endpoint));
    string(out, &format!("{key}_security"), server.security);
}

/// The line of a URL, if there is one; its query may be a key of the endpoint.
fn url(out: &mut String, key: &str, url: Option<&str>, sight: Sight) {
    match (sight, url.and_then(|url| url.split_once('?'))) {
        (Sight::Hidden, Some((endpoint, _))) => string(out, key, Some(&format!("{endpoint}?{HIDDEN}"))),
        _ => string(out, key, url),
    }
}

fn path(out: &mut String, key: &str, path: &Path) {
    string(out, key, Some(&path.to_string_lossy()));
}

/// The line of a text, if there is one.
fn string(out: &mut String, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        line(out, key, &quoted(text));
    }
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}
